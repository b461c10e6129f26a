//! Steps 5 to 8 of a session store seen from the task: changelog out, commit, flush to the engine, restore.

use std::ops::{Bound, ControlFlow};

use super::super::bulk_restore::BulkRestore;
use super::super::{ChangelogEntry, ChangelogRecord};
use super::bulk::SessionRows;
use super::*;
use crate::engine::{Run, Statistics};
use crate::serdes::SerdeError;
use crate::types::Headers;

impl<K: 'static, V: Clone + 'static> StateStore for SessionStore<K, V> {
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
            self.write_held(&held, false)?;
        }
        Ok(())
    }

    fn look_ahead(&self, keys: &[&[u8]]) {
        self.tier.look_ahead(keys, |_| ());
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        self.restore_record(&ChangelogRecord { key, value, timestamp, headers: &Headers::EMPTY, offset: 0 })
    }

    fn restore_record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        self.progress.restored();
        let (key, window) =
            session_key::decode(record.key).map_err(|error| self.progress.serde_error(error))?;
        let len = record.value.map_or(0, <[u8]>::len);
        let value = record
            .value
            .map(|bytes| self.logged_headers.read(&self.values, bytes, record.headers))
            .transpose();
        let value = value.map_err(|source| self.progress.serde_error(source))?;
        self.stream_time = self.stream_time.max(window.end);
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(key);
        let id = self.locate_or_insert_bytes()?;
        self.set(id, window, value, len);
        self.sweep();
        Ok(())
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        Unflushed { records: self.progress.unflushed(), bytes: self.tier.touched_bytes() }
    }

    fn start_flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(self.cache.len() > 0 || !self.log.is_empty())?;
        let changed = !self.tier.touched().is_empty() || self.index.changed();
        if self.durable && (changed || self.progress.behind()) {
            self.apply()?;
        }
        self.drop_empty();
        self.progress.flushed();
        if !self.durable {
            self.tier.drop_absent();
            return Ok(());
        }
        self.tier.flushed();
        self.tier.make_room_after_flush(());
        Ok(())
    }

    fn memory_bytes(&self) -> u64 {
        self.tier.memory_bytes() + self.beside_tier_bytes()
    }

    fn shed(&mut self, target_bytes: u64) {
        if self.durable && self.tier.has_clean() {
            self.tier.evict(target_bytes.saturating_sub(self.beside_tier_bytes()), ());
        }
    }

    fn cached_bytes(&self) -> u64 {
        SessionStore::cached_bytes(self)
    }

    fn engine_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn num_keys(&self) -> Option<u64> {
        Some(self.approximate_num_entries())
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

    fn bulk_restore(&self) -> Result<Option<BulkRestore>, StateError> {
        if self.logged_headers.in_rows() {
            return Ok(None);
        }
        let rows = SessionRows::new(&self.options, self.stream_time);
        BulkRestore::new(&self.options.name, &*self.engine, rows)
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.engine.wipe()?;
        self.reopen()
    }

    fn reopen(&mut self) -> Result<(), StateError> {
        self.cache = RecordCache::new();
        self.log.clear();
        self.index.clear();
        self.segments.clear();
        self.stream_time = NO_TIMESTAMP;
        (self.swept, self.puts) = (i64::MIN, 0);
        self.progress = Progress::new(self.options.name.clone(), self.engine.offset()?);
        self.read_state()
    }
}

impl<K: 'static, V: Clone + 'static> SessionStore<K, V> {
    /// Bytes of memory in use beside the tier.
    fn beside_tier_bytes(&self) -> u64 {
        self.cache.bytes() + self.log.memory_bytes() + self.index.memory_bytes()
    }

    /// Gives the touched segments of the touched slots to the engine as one sorted run, and drops old segments.
    fn apply(&mut self) -> Result<(), StateError> {
        let kept_from = self.kept_from();
        let state = layout::encode_state(self.stream_time, self.options.time_index);
        let mut run = self.rows_of_run()?;
        run.push(layout::STATE, Some(&state));
        self.index.add_rows(kept_from, &mut run);
        run.sort();
        self.engine.apply(&mut run.iter(), self.progress.offset())?;
        self.index.flushed();
        self.drop_segments(kept_from)
    }

    fn rows_of_run(&mut self) -> Result<Run, StateError> {
        let live = self.segment(self.kept_from());
        let mut run = Run::with_capacity(self.tier.touched().len(), self.tier.touched_bytes() as usize);
        for id in self.tier.touched() {
            let slot = self.tier.slot(*id);
            let Some((sessions, _)) = &slot.row else { continue };
            for segment in sessions.dirty().iter().filter(|segment| **segment >= live) {
                let mut present = false;
                let written = run.push_with(
                    |out| layout::row_key(*segment, slot.key(), out),
                    |out| {
                        for session in sessions.list() {
                            let Some(aggregate) = &session.value else { continue };
                            if self.segment(session.window.end) == *segment {
                                let write = |out: &mut Vec<u8>| self.values.serialize(aggregate, out);
                                present |= layout::write_session(session.window, out, write)?;
                            }
                        }
                        Ok::<bool, SerdeError>(present)
                    },
                );
                written.map_err(|source| self.progress.serde_error(source))?;
                if present {
                    self.segments.insert(*segment);
                }
            }
        }
        Ok(run)
    }

    /// Forgets in the engine what is too old: whole segments, and their index.
    fn drop_segments(&mut self, kept_from: Timestamp) -> Result<(), StateError> {
        let live = self.segments.split_off(&self.segment(kept_from));
        let old = std::mem::replace(&mut self.segments, live);
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(()) };
        let (mut low, mut high) = (Vec::new(), Vec::new());
        layout::row_key(*first, &[], &mut low);
        layout::row_key(last.saturating_add(1), &[], &mut high);
        self.engine.drop_range(&low, &high)?;
        if self.options.time_index {
            self.engine.drop_range(&[layout::INDEX], &layout::index_from(kept_from))?;
        }
        Ok(())
    }

    /// The touched slots are as in the engine; those without sessions are absent rows.
    fn drop_empty(&mut self) {
        for position in 0..self.tier.touched().len() {
            let Some(id) = self.tier.touched().get(position).copied() else { break };
            let row = &mut self.tier.slot_mut(id).row;
            if let Some((sessions, _)) = row {
                sessions.flushed();
                if sessions.list().is_empty() {
                    *row = None;
                }
            }
        }
    }

    /// Reads stream time and the segments that there are; makes the index if it is missing. The tier is new then.
    pub(super) fn read_state(&mut self) -> Result<(), StateError> {
        let mut state = Vec::new();
        self.engine.get(layout::STATE, &mut state)?;
        if let Some(stream_time) = state.first_chunk() {
            self.stream_time = Timestamp::from_be_bytes(*stream_time);
        }
        let mut low = Vec::new();
        let mut next = Some(i64::MIN);
        // One step a segment: its first row, then behind its last.
        while let Some(from) = next {
            low.clear();
            layout::row_key(from, &[], &mut low);
            let mut found = None;
            self.engine.scan(
                Bound::Included(&low),
                Bound::Excluded(layout::ROWS_END),
                &mut |row_key, _| {
                    found = layout::parse_row_key(row_key).map(|(segment, _)| segment);
                    ControlFlow::Break(())
                },
            )?;
            self.segments.extend(found);
            next = found.and_then(|segment| segment.checked_add(1));
        }
        self.tier = Tier::new(self.options.tier_max_bytes, self.segments.is_empty());
        if self.options.time_index && !self.tier.is_complete() && state.get(8) != Some(&1) {
            self.make_index()?;
        }
        Ok(())
    }

    /// The rows were written without an index: makes it.
    fn make_index(&mut self) -> Result<(), StateError> {
        self.engine.drop_range(&[layout::INDEX], &[layout::ROW])?;
        let (index, mut result) = (&mut self.index, Ok(()));
        self.engine.scan(
            Bound::Included(&[layout::ROW]),
            Bound::Excluded(layout::ROWS_END),
            &mut |row_key, row| {
                let Some((_, key)) = layout::parse_row_key(row_key) else { return ControlFlow::Continue(()) };
                result = layout::read_row(row, &mut |window, _| {
                    index.set(key, window, true);
                    Ok(())
                });
                if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )?;
        result.map_err(|source| self.progress.serde_error(source))
    }
}
