//! The engines that the model runs over. Each opener opens the same engine again after a crash.

#![allow(dead_code, reason = "each test program takes the engines that it needs")]

use std::cell::RefCell;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use streams_state::engine::{
    Engine, EngineProvider, InMemoryEngine, InMemoryProvider, Run, RunEntry, RunWriter, Visitor,
};
use streams_state::error::StateError;

/// Opens the engine; the last one is closed.
pub(crate) type Opener = Box<dyn FnMut() -> Box<dyn Engine> + Send>;

/// An in-memory engine that is there after a crash, as one on disk is.
#[derive(Clone)]
struct KeptMap {
    map: Arc<Mutex<InMemoryEngine>>,
    scratch: Arc<tempfile::TempDir>,
    gets: Arc<AtomicUsize>,
}

impl KeptMap {
    fn new() -> Self {
        let scratch = Arc::new(tempfile::tempdir().unwrap());
        Self { map: Arc::default(), scratch, gets: Arc::default() }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, InMemoryEngine> {
        self.map.lock().unwrap()
    }
}

impl Engine for KeptMap {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.gets.fetch_add(1, Relaxed);
        self.map().get(key, out)
    }
    fn scratch_directory(&self) -> Option<&Path> {
        Some(self.scratch.path())
    }
    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.map().scan(from, to, visit)
    }
    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        RunWriter::write(self, run, offset)
    }
    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        Some(Box::new(self.clone()))
    }
    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.map().drop_range(from, to)
    }
    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.map().offset()
    }
    fn is_empty(&self) -> Result<bool, StateError> {
        self.map().is_empty()
    }
    fn wipe(&mut self) -> Result<(), StateError> {
        self.map().wipe()
    }
    fn size_bytes(&self) -> u64 {
        self.map().size_bytes()
    }
}

impl RunWriter for KeptMap {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.map().get(key, out)
    }
    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        let entries: Vec<RunEntry<'_>> = run.collect();
        assert!(entries.is_sorted_by(|left, right| left.0 < right.0), "a run is sorted, without duplicates");
        self.map().apply(&mut entries.into_iter(), offset)
    }
}

/// A map that keeps its rows.
pub(crate) fn kept_map() -> Opener {
    let map = KeptMap::new();
    Box::new(move || Box::new(map.clone()))
}

/// A map that keeps its rows, and how often it was asked for one.
pub(crate) fn counted_map() -> (Box<dyn Engine>, Arc<AtomicUsize>) {
    let map = KeptMap::new();
    let gets = map.gets.clone();
    (Box::new(map), gets)
}

/// An engine whose runs arrive some time after they were given: when they were asked for often enough, or when something waits for
/// them. What has not arrived when it is closed is lost, as in a crash.
struct Late {
    map: KeptMap,
    /// A run on its way, and how often it is still to be asked for.
    pending: RefCell<Option<(Run, Option<i64>, u32)>>,
    runs: u32,
}

impl Late {
    fn arrive(&self) {
        if let Some((mut run, offset, _)) = self.pending.borrow_mut().take() {
            run.sort();
            self.map.map().apply(&mut run.iter(), offset).unwrap();
        }
    }
}

impl Engine for Late {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        if let Some((run, ..)) = &*self.pending.borrow() {
            assert!(run.iter().all(|(on_its_way, _)| on_its_way != key), "the store has what is on its way");
        }
        Engine::get(&self.map, key, out)
    }
    fn scratch_directory(&self) -> Option<&Path> {
        self.map.scratch_directory()
    }
    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.arrive();
        self.map.scan(from, to, visit)
    }
    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.arrive();
        self.map.apply(run, offset)
    }
    fn write(&mut self, run: Run, offset: Option<i64>) -> Result<(), StateError> {
        assert!(self.pending.borrow().is_none(), "one run at a time");
        self.runs += 1;
        *self.pending.borrow_mut() = Some((run, offset, self.runs % 4));
        Ok(())
    }
    fn written(&mut self, wait: bool) -> Result<bool, StateError> {
        match self.pending.get_mut() {
            Some((_, _, polls)) if !wait && *polls > 0 => {
                *polls -= 1;
                Ok(false)
            }
            Some(_) | None => {
                self.arrive();
                Ok(true)
            }
        }
    }
    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.arrive();
        self.map.drop_range(from, to)
    }
    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.map.offset()
    }
    fn is_empty(&self) -> Result<bool, StateError> {
        self.map.is_empty()
    }
    fn wipe(&mut self) -> Result<(), StateError> {
        self.arrive();
        self.map.wipe()
    }
    fn size_bytes(&self) -> u64 {
        self.map.size_bytes()
    }
}

/// A map that keeps its rows, which reach it late.
pub(crate) fn late_map() -> Opener {
    let map = KeptMap::new();
    Box::new(move || Box::new(Late { map: map.clone(), pending: RefCell::new(None), runs: 0 }))
}

/// The in-memory engine, empty each time.
pub(crate) fn in_memory() -> Opener {
    Box::new(|| InMemoryProvider.open(Path::new(""), &["s"]).unwrap().remove(0))
}

/// RocksDB in a directory of its own, whose runs are written by another thread.
#[cfg(feature = "rocksdb")]
pub(crate) fn rocksdb() -> Opener {
    let directory = tempfile::tempdir().unwrap();
    let provider = Arc::new(streams_state::engine::RocksDbProvider::new(8 << 20));
    let provider = streams_state::engine::BackgroundProvider::new(provider).unwrap();
    Box::new(move || provider.open(directory.path(), &["s"]).unwrap().remove(0))
}
