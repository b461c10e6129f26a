//! The in-memory engine: a sorted map. Nothing survives; a store over it restores its whole changelog.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use super::{Engine, EngineProvider, RunEntry, Visitor};
use crate::error::StateError;

/// Rows in memory, in byte order.
///
/// It is not durable, so a store keeps its rows in the tier alone and gives it nothing: the map is for tests and
/// for engines made of it.
#[derive(Debug, Default, Clone)]
pub struct InMemoryEngine {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    offset: Option<i64>,
    bytes: u64,
}

/// Opens in-memory engines: always empty, nothing on disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct InMemoryProvider;

impl InMemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(value) = self.rows.remove(key) {
            self.bytes -= (key.len() + value.len()) as u64;
        }
    }
}

impl Engine for InMemoryEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        out.clear();
        let row = self.rows.get(key);
        if let Some(value) = row {
            out.extend_from_slice(value);
        }
        Ok(row.is_some())
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        for (key, value) in self.rows.range::<[u8], _>((from, to)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        for (key, value) in run {
            self.remove(key);
            if let Some(value) = value {
                self.bytes += (key.len() + value.len()) as u64;
                self.rows.insert(key.to_vec(), value.to_vec());
            }
        }
        self.offset = offset;
        Ok(())
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let keys: Vec<Vec<u8>> = self.rows.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
        Ok(())
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        Ok(self.offset)
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.rows.is_empty())
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        *self = Self::default();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.bytes
    }

    fn approximate_entries(&self) -> u64 {
        self.rows.len() as u64
    }

    fn is_durable(&self) -> bool {
        false
    }
}

impl EngineProvider for InMemoryProvider {
    fn open(&self, _directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        Ok(stores.iter().map(|_| Box::new(InMemoryEngine::new()) as Box<dyn Engine>).collect())
    }

    fn name(&self) -> &'static str {
        "in-memory"
    }
}
