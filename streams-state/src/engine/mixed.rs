//! Some stores of a task in memory only, the others where the application keeps its state.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Engine, EngineProvider, FoundStore, InMemoryEngine};
use crate::error::StateError;

/// Gives the stores that are named an in-memory engine, and the others one of `inner`.
pub struct MixedProvider {
    inner: Arc<dyn EngineProvider>,
    in_memory: BTreeSet<String>,
}

impl MixedProvider {
    /// `in_memory` are the names of the stores that are in memory only.
    pub fn new(inner: Arc<dyn EngineProvider>, in_memory: impl IntoIterator<Item = String>) -> Self {
        Self { inner, in_memory: in_memory.into_iter().collect() }
    }
}

impl EngineProvider for MixedProvider {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let kept: Vec<&str> = stores.iter().copied().filter(|name| !self.in_memory.contains(*name)).collect();
        let mut kept =
            if kept.is_empty() { Vec::new() } else { self.inner.open(directory, &kept)? }.into_iter();
        let mut engine = |name: &&str| -> Box<dyn Engine> {
            let other = if self.in_memory.contains(*name) { None } else { kept.next() };
            other.unwrap_or_else(|| Box::new(InMemoryEngine::new()))
        };
        Ok(stores.iter().map(&mut engine).collect())
    }

    fn read(&self, directory: &Path) -> Result<Vec<FoundStore>, StateError> {
        self.inner.read(directory)
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}
