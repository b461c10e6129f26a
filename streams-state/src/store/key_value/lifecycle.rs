//! Steps 5 to 8 seen from the task: changelog out, commit, flush to the engine, restore.

use super::super::bulk_restore::{BulkRestore, KeyValueRows};
use super::super::{CachedStore, ChangelogEntry, ChangelogRecord};
use super::*;
use crate::types::Headers;

impl<K: 'static, V: Clone + 'static> StateStore for KeyValueStore<K, V> {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.progress.check_broken()?;
        self.log.drain(sink)
    }

    fn write_cached(&mut self) -> Result<(), StateError> {
        while let Some(held) = self.cache.pop() {
            self.tier.slot_mut(held.slot).cached = NONE;
            // A key that came and went leaves a tombstone: only a store that forwards spares it, as in Kafka Streams.
            let written = self.write_out(held.slot, &held.context);
            written.map_err(|error| self.progress.broken(error))?;
        }
        Ok(())
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        self.restore_row(key, value, timestamp, &Headers::EMPTY)
    }

    fn restore_record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        self.restore_row(record.key, record.value, record.timestamp, record.headers)
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        Unflushed { records: self.progress.unflushed(), bytes: self.tier.touched_bytes() }
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(self.cache.len() > 0 || !self.log.is_empty())?;
        self.ordered.clear();
        if !self.engine.is_durable() {
            self.progress.flushed();
            self.tier.drop_absent();
            return Ok(());
        }
        if !self.tier.touched().is_empty() || self.progress.offset_moved() {
            self.apply()?;
            self.tier.flushed();
        }
        self.progress.flushed();
        self.evict_above = self.options.tier_max_bytes;
        if self.tier.memory_bytes() > self.evict_above {
            self.evict();
        }
        Ok(())
    }

    fn memory_bytes(&self) -> u64 {
        self.tier.memory_bytes()
    }

    fn cached_bytes(&self) -> u64 {
        KeyValueStore::cached_bytes(self)
    }

    fn engine_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn bulk_restore(&self) -> Result<Option<BulkRestore>, StateError> {
        if self.lru.is_some() || self.keeps_headers() {
            return Ok(None);
        }
        BulkRestore::new(&self.options.name, &*self.engine, KeyValueRows)
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.engine.wipe()?;
        self.reopen()
    }

    fn reopen(&mut self) -> Result<(), StateError> {
        self.tier = Tier::new();
        self.cache = RecordCache::new();
        self.ordered.clear();
        if let Some(lru) = &mut self.lru {
            lru.clear();
        }
        self.log.clear();
        self.complete = self.engine.is_empty()?;
        self.evict_above = self.options.tier_max_bytes;
        self.progress = Progress::new(self.options.name.clone(), self.engine.offset()?);
        Ok(())
    }
}

impl<K: 'static, V: Clone + 'static> CachedStore<K, V> for KeyValueStore<K, V> {
    fn caching(&self) -> bool {
        KeyValueStore::caching(self)
    }

    fn send_old_values(&mut self) {
        KeyValueStore::send_old_values(self);
    }

    fn pop_cached(&mut self) -> Result<Option<CachedUpdate<K, V>>, StateError> {
        KeyValueStore::pop_cached(self)
    }
}

/// A row of a run: its key, and its value in the buffer of values.
type RunRow<'a> = (&'a [u8], Option<std::ops::Range<usize>>);

/// Gives `rows`, which are sorted, to `engine`.
fn apply_rows(
    engine: &mut dyn Engine,
    rows: &[RunRow<'_>],
    bytes: &[u8],
    offset: Option<i64>,
) -> Result<(), StateError> {
    let mut entries = rows.iter().map(|(key, value)| (*key, value.clone().map(|value| &bytes[value])));
    engine.apply(&mut entries, offset)
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    fn restore_row(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: Timestamp,
        headers: &Headers,
    ) -> Result<(), StateError> {
        let (row, len) = match value {
            Some(bytes) => {
                let value = self.logged_headers.read(&self.values, bytes, headers);
                let value = value.map_err(|source| self.progress.serde_error(source))?;
                (Some((value, timestamp)), bytes.len())
            }
            None => (None, 0),
        };
        self.progress.restored();
        let hash = self.tier.hash(key);
        let id = match self.tier.find(hash, key) {
            Some(id) => id,
            None if self.complete && row.is_none() => return Ok(()),
            None => self.tier.insert(hash, key, None, 0),
        };
        let present = row.is_some();
        self.tier.slot_mut(id).row = row;
        self.tier.touch(id, Some(len));
        if self.lru.is_some() {
            self.count_row(id, present);
        }
        Ok(())
    }

    /// Gives the touched slots to the engine as one sorted run.
    fn apply(&mut self) -> Result<(), StateError> {
        let run = self.tier.sorted_run();
        let mut bytes = Vec::with_capacity(self.tier.touched_bytes() as usize);
        let mut rows = Vec::with_capacity(run.len());
        for slot in run {
            let slot = self.tier.slot(slot);
            let value = match &slot.row {
                Some(row) => self.encode(row, &mut bytes)?,
                None => None,
            };
            rows.push((slot.key(), value));
        }
        apply_rows(&mut *self.engine, &rows, &bytes, self.progress.offset())
    }

    /// Appends `row` as the engine has it. `None`: it serializes as null.
    fn encode(
        &self,
        row: &(V, Timestamp),
        out: &mut Vec<u8>,
    ) -> Result<Option<std::ops::Range<usize>>, StateError> {
        let start = out.len();
        out.extend_from_slice(&row.1.to_be_bytes());
        let present =
            self.values.serialize(&row.0, out).map_err(|source| self.progress.serde_error(source))?;
        if !present {
            out.truncate(start);
        }
        Ok(present.then_some(start..out.len()))
    }
}
