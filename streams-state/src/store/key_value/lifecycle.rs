//! Steps 5 to 8 seen from the task: changelog out, commit, flush to the engine, restore.

use super::super::bulk_restore::{BulkRestore, KeyValueRows};
use super::super::timestamped_row::write_row;
use super::super::{CachedStore, ChangelogEntry, ChangelogRecord};
use super::*;
use crate::engine::{Run, Statistics};
use crate::fetch::TOGETHER;
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
        while let Some(held) = self.pop_held() {
            self.tier.slot_mut(held.slot).cached = NONE;
            // A key that came and went leaves a tombstone: only a store that forwards spares it, as in Kafka Streams.
            let written = self.write_out(held.slot, &held.context);
            written.map_err(|error| self.progress.broken(error))?;
        }
        Ok(())
    }

    fn look_ahead(&self, keys: &[&[u8]]) {
        self.tier.look_ahead(keys, |hashes| self.forgotten.look_ahead(hashes));
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

    fn start_flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(self.cache.len() > 0 || !self.log.is_empty())?;
        self.ordered.clear();
        if !self.engine.is_durable() {
            self.progress.flushed();
            self.tier.drop_absent();
            return Ok(());
        }
        if !self.tier.touched().is_empty() || self.progress.offset_moved() {
            let run = self.run()?;
            self.engine.write(run, self.progress.offset())?;
            self.tier.flushing();
        }
        self.progress.flushed();
        Ok(())
    }

    fn finish_flush(&mut self, wait: bool) -> Result<bool, StateError> {
        if !self.engine.written(wait)? {
            return Ok(false);
        }
        // Rows that nobody else has stay.
        if !self.engine.is_durable() {
            return Ok(true);
        }
        self.tier.written();
        let keep = self.forgotten.keeping(&*self.values, self.tier.memory_bytes());
        self.tier.make_room_after_flush(keep);
        if self.lru.is_none() && self.tier.shrink(|entry, slot| self.cache.moved(entry, slot)) {
            self.ordered.clear();
        }
        Ok(true)
    }

    fn must_wait(&self) -> bool {
        self.engine.is_busy()
    }

    fn memory_bytes(&self) -> u64 {
        self.tier.memory_bytes() + self.beside_tier_bytes()
    }

    fn shed(&mut self, target_bytes: u64) {
        if self.engine.is_durable() && self.tier.has_clean() {
            let target = target_bytes.saturating_sub(self.beside_tier_bytes());
            let keep = self.forgotten.keeping(&*self.values, self.tier.memory_bytes());
            self.tier.evict(target, keep);
        }
    }

    fn cached_bytes(&self) -> u64 {
        KeyValueStore::cached_bytes(self)
    }

    fn engine_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn engine_property(&self, name: &str) -> Option<u64> {
        self.engine.property(name)
    }

    fn operation_meters(&mut self) -> Option<&mut OperationMeters> {
        Some(&mut self.meters)
    }

    fn engine_statistics(&self) -> Option<Statistics> {
        self.engine.statistics()
    }

    fn num_keys(&self) -> Option<u64> {
        Some(self.approximate_num_entries())
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
        let engine_is_empty = self.engine.is_empty()?;
        self.tier = Tier::new(self.options.tier_max_bytes, engine_is_empty);
        self.forgotten.clear(engine_is_empty);
        self.cache = RecordCache::new();
        self.ordered.clear();
        if let Some(lru) = &mut self.lru {
            lru.clear();
        }
        self.log.clear();
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

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Bytes of memory in use beside the tier.
    fn beside_tier_bytes(&self) -> u64 {
        self.cache.bytes() + self.log.memory_bytes() + self.forgotten.memory_bytes()
    }

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
            None if !self.tier.may_be_in_engine(hash) && row.is_none() => return Ok(()),
            None => {
                self.forgotten.forget(hash);
                self.tier.insert(hash, key, None, 0)
            }
        };
        let present = row.is_some();
        self.tier.slot_mut(id).row = row;
        self.tier.touch(id, Some(len));
        if self.lru.is_some() {
            self.count_row(id, present);
        }
        Ok(())
    }

    /// The touched slots as the engine gets them: timestamp, 8 bytes big-endian, and value.
    fn run(&self) -> Result<Run, StateError> {
        let touched = self.tier.touched();
        let mut run = Run::with_capacity(touched.len(), self.tier.touched_bytes() as usize);
        for touched in touched.chunks(TOGETHER) {
            self.tier.fetch(touched.iter().copied());
            for id in touched {
                let slot = self.tier.slot(*id);
                let written = run.push_with(
                    |out| out.extend_from_slice(slot.key()),
                    |out| write_row(&*self.values, slot.row.as_ref(), out),
                );
                written.map_err(|source| self.progress.serde_error(source))?;
            }
        }
        Ok(run)
    }
}
