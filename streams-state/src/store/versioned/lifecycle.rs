//! Steps 5 to 8 seen from the task: changelog out, commit, flush to the engine, restore.

use std::ops::{Bound, ControlFlow};

use super::super::ChangelogEntry;
use super::history::segment_of;
use super::*;
use crate::engine::{Run, Statistics};

impl<K: 'static, V: Clone + 'static> StateStore for VersionedStore<K, V> {
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

    fn look_ahead(&self, keys: &[&[u8]]) {
        self.tier.look_ahead(keys, |_| ());
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        let value = match value {
            Some(bytes) => {
                let value = self
                    .values
                    .deserialize(Some(bytes))
                    .map_err(|source| self.progress.serde_error(source))?;
                Some(Sized { value, len: bytes.len() as u32 })
            }
            None => None,
        };
        self.progress.restored();
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(key);
        self.apply_put(self.tier.hash(key), value, timestamp).map(drop)
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        Unflushed { records: self.progress.unflushed(), bytes: self.unflushed_bytes }
    }

    fn start_flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(!self.log.is_empty())?;
        self.unflushed_bytes = 0;
        self.sweep();
        if !self.engine.is_durable() {
            self.progress.flushed();
            self.forget_empty();
            self.tier.drop_absent();
            return Ok(());
        }
        if !self.tier.touched().is_empty() || self.progress.offset_moved() {
            self.apply()?;
            self.forget_empty();
            self.tier.flushed();
        }
        self.progress.flushed();
        self.drop_expired()?;
        self.tier.make_room_after_flush(());
        Ok(())
    }

    fn memory_bytes(&self) -> u64 {
        self.tier.memory_bytes() + self.beside_tier_bytes()
    }

    fn shed(&mut self, target_bytes: u64) {
        if self.engine.is_durable() && self.tier.has_clean() {
            self.tier.evict(target_bytes.saturating_sub(self.beside_tier_bytes()), ());
        }
    }

    fn engine_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn operation_meters(&mut self) -> Option<&mut OperationMeters> {
        Some(&mut self.meters)
    }

    fn engine_property(&self, name: &str) -> Option<u64> {
        self.engine.property(name)
    }

    fn engine_statistics(&self) -> Option<Statistics> {
        self.engine.statistics()
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.engine.wipe()?;
        self.tier = Tier::new(self.options.tier_max_bytes, true);
        self.log.clear();
        self.segments.clear();
        (self.stream_time, self.swept) = (NO_TIMESTAMP, i64::MIN);
        self.unflushed_bytes = 0;
        self.progress.wiped();
        Ok(())
    }
}

impl<K: 'static, V: Clone + 'static> VersionedStore<K, V> {
    /// Bytes of memory in use beside the tier.
    fn beside_tier_bytes(&self) -> u64 {
        self.log.memory_bytes()
    }

    /// Reads the stream time and the numbers of the segments from the engine.
    pub(super) fn open_engine(&mut self) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        if self.engine.get(&rows::STREAM_TIME, &mut bytes)? {
            match bytes.as_slice().try_into() {
                Ok(time) => self.stream_time = Timestamp::from_be_bytes(time),
                Err(_) => {
                    let message = "the stream time is not 8 bytes long".to_owned();
                    return Err(self.engine.corrupt(&self.options.name, message));
                }
            }
        }
        let mut next = Some(i64::MIN);
        while let Some(from) = next.take() {
            let mut low = Vec::new();
            rows::segment_key(from, &[], &mut low);
            self.engine.scan(Bound::Included(&low), Bound::Unbounded, &mut |row, _| {
                if let Some((Some(segment), _)) = rows::parse_key(row) {
                    self.segments.insert(segment);
                    next = segment.checked_add(1);
                }
                ControlFlow::Break(())
            })?;
        }
        Ok(())
    }

    /// All live versions of `key` that the engine has.
    pub(super) fn read_engine(&self, key: &[u8]) -> Result<History<V>, StateError> {
        let (mut latest, mut older) = (None, Vec::new());
        let (mut row, mut bytes) = (Vec::new(), Vec::new());
        rows::latest_key(key, &mut row);
        let values = &*self.values;
        if self.engine.get(&row, &mut bytes)? {
            latest =
                Some(rows::read_latest(&bytes, values).map_err(|source| self.progress.serde_error(source))?);
        }
        for segment in self.segments.range(self.oldest_segment()..) {
            row.clear();
            rows::segment_key(*segment, key, &mut row);
            if self.engine.get(&row, &mut bytes)? {
                rows::read_segment(&bytes, values, &mut older)
                    .map_err(|source| self.progress.serde_error(source))?;
            }
        }
        Ok(History::read(latest, older))
    }

    /// Forgets expired versions of keys that are not put any more, once for each segment that expires.
    fn sweep(&mut self) {
        let (oldest, interval) = (self.oldest_segment(), self.options.segment_interval);
        if oldest <= self.swept {
            return;
        }
        self.swept = oldest;
        self.tier.for_each_row(|history| {
            history.expire(oldest, interval);
            history.bytes()
        });
        // The engine's rows of such a key, if there are any, are those of expired segments.
        self.tier.forget_if(History::is_empty);
    }

    /// Turns touched histories without any version into absent rows, and the others into what the engine has.
    fn forget_empty(&mut self) {
        for at in 0..self.tier.touched().len() {
            let row = &mut self.tier.slot_mut(self.tier.touched()[at]).row;
            if let Some((history, _)) = row {
                history.latest_changed = false;
                history.changed.clear();
            }
            if row.as_ref().is_some_and(|(history, _)| history.is_empty()) {
                *row = None;
            }
        }
    }

    /// Gives the changed rows of touched slots to the engine as one sorted run, with the stream time.
    fn apply(&mut self) -> Result<(), StateError> {
        let mut run = Run::with_capacity(self.tier.touched().len(), self.tier.touched_bytes() as usize);
        for id in self.tier.touched() {
            let slot = self.tier.slot(*id);
            let Some((history, _)) = &slot.row else { continue };
            self.add_rows(slot.key(), history, &mut run)
                .map_err(|source| self.progress.serde_error(source))?;
        }
        run.push(&rows::STREAM_TIME, Some(&self.stream_time.to_be_bytes()));
        run.sort();
        self.engine.apply(&mut run.iter(), self.progress.offset())?;
        let written = run.iter().filter(|(_, value)| value.is_some());
        self.segments.extend(written.filter_map(|(key, _)| rows::parse_key(key)?.0));
        Ok(())
    }

    /// Appends the changed rows of one key.
    fn add_rows(&self, key: &[u8], history: &History<V>, run: &mut Run) -> Result<(), SerdeError> {
        let values = &*self.values;
        if history.latest_changed {
            run.push_with(
                |out| rows::latest_key(key, out),
                |out| match &history.latest {
                    Some((latest, from)) => {
                        rows::write_latest(&latest.value, *from, values, out).map(|()| true)
                    }
                    None => Ok(false),
                },
            )?;
        }
        for segment in &history.changed {
            let interval = self.options.segment_interval;
            let from = history.older.partition_point(|version| segment_of(version.to, interval) < *segment);
            let ended = history.older[from..].iter().take_while(|v| segment_of(v.to, interval) == *segment);
            run.push_with(
                |out| rows::segment_key(*segment, key, out),
                |out| {
                    let mut present = false;
                    for version in ended {
                        rows::write_older(version, values, out)?;
                        present = true;
                    }
                    Ok::<bool, SerdeError>(present)
                },
            )?;
        }
        Ok(())
    }

    /// Drops the engine's rows of expired segments, all at once.
    fn drop_expired(&mut self) -> Result<(), StateError> {
        let oldest = self.oldest_segment();
        if self.segments.first().is_none_or(|first| *first >= oldest) {
            return Ok(());
        }
        let (mut from, mut to) = (Vec::new(), Vec::new());
        rows::segment_key(i64::MIN, &[], &mut from);
        rows::segment_key(oldest, &[], &mut to);
        self.engine.drop_range(&from, &to)?;
        self.segments = self.segments.split_off(&oldest);
        Ok(())
    }
}
