//! Steps 5 to 8 seen from the task: changelog out, commit, flush to the engine, restore.

use super::bulk::WindowRows;
use super::segment::Slot;
use super::*;
use crate::engine::{Run, Statistics};
use crate::format::window_key::WindowKey;
use crate::store::bulk_restore::BulkRestore;
use crate::store::tier::hash;
use crate::store::timestamped_row::write_row;
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

    fn start_flush(&mut self) -> Result<(), StateError> {
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
            let run = self.run()?;
            self.engine.write(run, self.progress.offset())?;
            self.flushed_state = state;
            let min_live = self.min_live_segment();
            for segment in &mut self.segments {
                segment.flushing();
                segment.in_engine &= segment.id >= min_live;
            }
        }
        self.dropping = self.dropped.take();
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
        self.segments.iter_mut().for_each(Segment::written);
        if let Some(last) = self.dropping {
            let (from, to) = (layout::segment_prefix(i64::MIN), layout::segment_prefix(last + 1));
            self.engine.drop_range(&from, &to)?;
            self.dropping = None;
        }
        self.evict_above = self.options.tier_max_bytes;
        if self.tier_bytes() > self.evict_above {
            self.evict(self.options.tier_max_bytes / 2);
        }
        Ok(true)
    }

    fn must_wait(&self) -> bool {
        self.engine.is_busy()
    }

    fn memory_bytes(&self) -> u64 {
        self.tier_bytes() + self.beside_tier_bytes()
    }

    fn shed(&mut self, target_bytes: u64) {
        if self.engine.is_durable() {
            self.evict(target_bytes.saturating_sub(self.beside_tier_bytes()));
        }
    }

    fn cached_bytes(&self) -> u64 {
        self.held_bytes()
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
        if self.logged_headers.in_rows() || self.panes.is_some() {
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
        (self.dropped, self.dropping, self.gone) = (None, None, None);
        self.progress = Progress::new(self.options.name.clone(), self.engine.offset()?);
        self.open()
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Bytes of memory in use beside the tier.
    fn beside_tier_bytes(&self) -> u64 {
        self.cache.bytes() + self.log.memory_bytes()
    }

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
        self.check_sequence(sequence)?;
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

    /// The touched rows as the engine gets them, with stream time and sequence.
    fn run(&self) -> Result<Run, StateError> {
        let mut run = Run::default();
        let state = layout::encode_state(self.stream_time, self.sequence);
        run.push(layout::STATE_KEY, Some(&state));
        let min_live = self.min_live_segment();
        for segment in self.segments.iter().filter(|segment| segment.id >= min_live) {
            for id in segment.touched() {
                self.add_rows(segment.id, segment.slot(*id), &mut run)?;
            }
        }
        Ok(run)
    }

    fn add_rows(&self, segment: i64, slot: &Slot<V>, run: &mut Run) -> Result<(), StateError> {
        let key = slot.key.as_slice();
        for row in slot.rows.as_slice().iter().filter(|row| row.touched) {
            let written = run.push_with(
                |out| {
                    layout::key_prefix(segment, key, out);
                    layout::row_suffix(row.start, row.sequence, out);
                },
                |out| write_row(&*self.values, row.value.as_ref(), out),
            );
            written.map_err(|source| self.progress.serde_error(source))?;
            if self.options.ordered_by_time {
                let present = row.value.is_some();
                let written = run.push_with(
                    |out| layout::time_key(segment, row.start, key, row.sequence, out),
                    |_| Ok::<bool, Infallible>(present),
                );
                match written {
                    Ok(()) => {}
                    Err(never) => match never {},
                }
            }
        }
        Ok(())
    }
}
