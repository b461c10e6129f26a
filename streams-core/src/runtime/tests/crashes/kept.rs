//! Engines in memory that survive a crash as a disk would: the next that opens the same store finds what was applied.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use streams_state::engine::{Engine, EngineProvider, InMemoryEngine, RunEntry, RunWriter, Visitor};
use streams_state::error::StateError;

type Shared = Arc<Mutex<InMemoryEngine>>;

/// The disk.
#[derive(Clone, Default)]
pub(in crate::runtime::tests) struct Kept(Arc<Mutex<BTreeMap<(PathBuf, String), Shared>>>);

impl Kept {
    /// Everything below `directory` is gone.
    pub(in crate::runtime::tests) fn delete(&self, directory: &Path) {
        self.0.lock().unwrap().retain(|(path, _), _| !path.starts_with(directory));
    }
}

impl EngineProvider for Kept {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let mut disk = self.0.lock().unwrap();
        let mut open = |store: &&str| {
            let engine = disk.entry((directory.to_owned(), (*store).to_owned())).or_default();
            Box::new(KeptEngine(engine.clone())) as Box<dyn Engine>
        };
        Ok(stores.iter().map(&mut open).collect())
    }

    fn name(&self) -> &'static str {
        "kept"
    }
}

#[derive(Clone)]
struct KeptEngine(Shared);

impl Engine for KeptEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.0.lock().unwrap().get(key, out)
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.0.lock().unwrap().scan(from, to, visit)
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.0.lock().unwrap().apply(run, offset)
    }

    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        Some(Box::new(self.clone()))
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.0.lock().unwrap().drop_range(from, to)
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.0.lock().unwrap().offset()
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        self.0.lock().unwrap().is_empty()
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.0.lock().unwrap().wipe()
    }

    fn size_bytes(&self) -> u64 {
        self.0.lock().unwrap().size_bytes()
    }
}

impl RunWriter for KeptEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        Engine::get(self, key, out)
    }

    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.apply(run, offset)
    }
}
