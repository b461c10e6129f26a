//! Steps 5 to 8 seen from the task: changelog out, commit, flush to the engine, restore.

use std::ops::Range;

use super::bulk::WindowRows;
use super::*;
use crate::format::window_key::WindowKey;
use crate::store::bulk_restore::BulkRestore;
use crate::store::tier::hash;
use crate::store::{ChangelogEntry, ChangelogRecord};
use crate::types::{Headers, NO_TIMESTAMP};

impl<K: 'static, V: Clone + 'static> StateStore for WindowStore<K, V> {
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
        self.write_all_cached()
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        let record = ChangelogRecord { key, value, timestamp, headers: &Headers::EMPTY, offset: 0 };
        self.restore_row(&record)
    }

    fn restore_record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        self.restore_row(record)
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        let bytes = self.segments.iter().map(Segment::touched_bytes).sum();
        Unflushed { records: self.progress.unflushed(), bytes }
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(self.cache.len() > 0 || !self.log.is_empty())?;
        self.expire();
        if !self.engine.is_durable() {
            self.progress.flushed();
            self.segments.iter_mut().for_each(Segment::drop_absent);
            return Ok(());
        }
        let state = (self.stream_time, self.sequence);
        let touched = self.segments.iter().any(Segment::is_touched);
        if touched || self.progress.offset_moved() || state != self.flushed_state {
            self.apply()?;
            self.flushed_state = state;
            let min_live = self.min_live_segment();
            for segment in &mut self.segments {
                segment.flushed();
                segment.in_engine &= segment.id >= min_live;
            }
        }
        self.progress.flushed();
        if let Some(last) = self.dropped {
            let (from, to) = (layout::segment_prefix(i64::MIN), layout::segment_prefix(last + 1));
            self.engine.drop_range(&from, &to)?;
            self.dropped = None;
        }
        self.evict_above = self.options.tier_max_bytes;
        if self.tier_bytes() > self.evict_above {
            self.evict();
        }
        Ok(())
    }

    fn memory_bytes(&self) -> u64 {
        self.tier_bytes()
    }

    fn cached_bytes(&self) -> u64 {
        self.held_bytes()
    }

    fn engine_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn bulk_restore(&self) -> Result<Option<BulkRestore>, StateError> {
        if self.logged_headers.in_rows() {
            return Ok(None);
        }
        let rows = WindowRows::new(&self.options, self.flushed_state);
        BulkRestore::new(&self.options.name, &*self.engine, rows)
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.engine.wipe()?;
        self.reopen()
    }

    fn reopen(&mut self) -> Result<(), StateError> {
        self.segments.clear();
        self.cache = super::RecordCache::new();
        self.places = HeldPlaces::default();
        self.log.clear();
        self.evict_above = self.options.tier_max_bytes;
        (self.stream_time, self.sequence) = (NO_TIMESTAMP, 0);
        self.flushed_state = (NO_TIMESTAMP, 0);
        self.dropped = None;
        self.progress = Progress::new(self.options.name.clone(), self.engine.offset()?);
        self.open()
    }
}

/// Entries of a run in one buffer.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    entries: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl Run {
    fn push(&mut self, key_from: usize, value_from: Option<usize>) {
        let end = self.bytes.len();
        let key_to = value_from.unwrap_or(end);
        self.entries.push((key_from..key_to, value_from.map(|from| from..end)));
    }

    /// Appends keys, each with an empty value or as a deletion, in their order.
    fn push_sorted(&mut self, mut entries: Vec<(Vec<u8>, bool)>) {
        entries.sort_unstable();
        for (entry, present) in entries {
            let key_from = self.bytes.len();
            self.bytes.extend_from_slice(&entry);
            self.push(key_from, present.then_some(self.bytes.len()));
        }
    }

    /// Gives the run to `engine`, with the offset that it reaches.
    fn apply(&self, engine: &mut dyn Engine, offset: Option<i64>) -> Result<(), StateError> {
        let bytes = &self.bytes;
        let mut entries = self
            .entries
            .iter()
            .map(|(key, value)| (&bytes[key.clone()], value.clone().map(|value| &bytes[value])));
        engine.apply(&mut entries, offset)
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// A record whose start is expired is skipped, but its start counts for stream time.
    fn restore_row(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        let at = WindowKey::decode(record.key).map_err(|error| self.progress.serde_error(error))?;
        let (row, len) = match record.value {
            Some(bytes) => {
                let value = self.logged_headers.read(&self.values, bytes, record.headers);
                let value = value.map_err(|source| self.progress.serde_error(source))?;
                (Some((value, record.timestamp)), bytes.len())
            }
            None => (None, 0),
        };
        self.progress.restored();
        let sequence = at.sequence as u32;
        if self.options.retain_duplicates {
            self.sequence = sequence;
        }
        self.advance(at.start);
        if at.start < self.horizon() || (row.is_none() && self.options.retain_duplicates) {
            return Ok(());
        }
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(at.key);
        let segment = self.segment_or_insert(at.start);
        let rows = &mut self.segments[segment];
        let hash = hash(&self.hasher, at.key);
        if row.is_none() && rows.complete && rows.find(hash, at.key).is_none() {
            return Ok(());
        }
        let slot = self.slot_or_partial(segment, hash);
        let rows = &mut self.segments[segment];
        let index = rows.find_or_insert(slot, at.start, sequence);
        rows.row_mut(slot, index).value = row;
        rows.touch(slot, index, Some(len));
        Ok(())
    }

    /// Gives the touched rows to the engine as one sorted run, with stream time and sequence.
    fn apply(&mut self) -> Result<(), StateError> {
        let mut run = Run::default();
        run.bytes.extend_from_slice(layout::STATE_KEY);
        run.bytes.extend_from_slice(&layout::encode_state(self.stream_time, self.sequence));
        run.push(0, Some(layout::STATE_KEY.len()));
        let min_live = self.min_live_segment();
        for segment in self.segments.iter().filter(|segment| segment.id >= min_live) {
            let slots = segment.sorted_run();
            self.add_rows(segment, &slots, &mut run)?;
            if self.options.ordered_by_time {
                add_times(segment, &slots, &mut run);
            }
        }
        run.apply(&mut *self.engine, self.progress.offset())
    }

    fn add_rows(&self, segment: &Segment<V>, slots: &[u32], run: &mut Run) -> Result<(), StateError> {
        for id in slots {
            let slot = segment.slot(*id);
            for row in slot.rows.as_slice().iter().filter(|row| row.touched) {
                let key_from = run.bytes.len();
                layout::key_prefix(segment.id, slot.key.as_slice(), &mut run.bytes);
                layout::row_suffix(row.start, row.sequence, &mut run.bytes);
                let value_from = run.bytes.len();
                let mut present = false;
                if let Some((value, timestamp)) = &row.value {
                    run.bytes.extend_from_slice(&timestamp.to_be_bytes());
                    let written = self.values.serialize(value, &mut run.bytes);
                    present = written.map_err(|source| self.progress.serde_error(source))?;
                }
                if !present {
                    run.bytes.truncate(value_from);
                }
                run.push(key_from, present.then_some(value_from));
            }
        }
        Ok(())
    }
}

/// Appends the entries in the order of time of the rows of `slots`.
fn add_times<V>(segment: &Segment<V>, slots: &[u32], run: &mut Run) {
    let mut entries = Vec::new();
    for id in slots {
        let slot = segment.slot(*id);
        for row in slot.rows.as_slice().iter().filter(|row| row.touched) {
            let mut entry = Vec::new();
            layout::time_key(segment.id, row.start, slot.key.as_slice(), row.sequence, &mut entry);
            entries.push((entry, row.value.is_some()));
        }
    }
    run.push_sorted(entries);
}
