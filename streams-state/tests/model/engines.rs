//! The engines that the model runs over. Each opener opens the same engine again after a crash.

use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use streams_state::engine::{
    Engine, EngineProvider, InMemoryEngine, InMemoryProvider, RunEntry, RunWriter, Visitor,
};
use streams_state::error::StateError;

/// Opens the engine; the last one is closed.
pub(crate) type Opener = Box<dyn FnMut() -> Box<dyn Engine>>;

/// An in-memory engine that is there after a crash, as one on disk is.
#[derive(Clone)]
struct KeptMap(Arc<Mutex<InMemoryEngine>>);

impl KeptMap {
    fn map(&self) -> std::sync::MutexGuard<'_, InMemoryEngine> {
        self.0.lock().unwrap()
    }
}

impl Engine for KeptMap {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.map().get(key, out)
    }
    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.map().scan(from, to, visit)
    }
    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.write(run, offset)
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
    let map = Arc::new(Mutex::new(InMemoryEngine::new()));
    Box::new(move || Box::new(KeptMap(map.clone())))
}

/// The in-memory engine, empty each time.
pub(crate) fn in_memory() -> Opener {
    Box::new(|| InMemoryProvider.open(Path::new(""), &["s"]).unwrap().remove(0))
}

/// RocksDB in a directory of its own.
#[cfg(feature = "rocksdb")]
pub(crate) fn rocksdb() -> Opener {
    let directory = tempfile::tempdir().unwrap();
    let provider = streams_state::engine::RocksDbProvider::new(8 << 20);
    Box::new(move || provider.open(directory.path(), &["s"]).unwrap().remove(0))
}
