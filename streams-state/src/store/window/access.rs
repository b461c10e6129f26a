//! Finding rows: segment, slot, row, from the engine if the tier does not know; writing a changed row out; expiry.

use std::ops::{Bound, ControlFlow, RangeInclusive};

use super::rows::Row;
use super::*;
use crate::format::window_key::WindowKey;
use crate::store::tier::hash;

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Reads from the engine what it knows about time, and which segments it has.
    pub(super) fn open(&mut self) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        if self.engine.get(layout::STATE_KEY, &mut bytes)? {
            self.flushed_state = layout::decode_state(&bytes).ok_or_else(|| self.corrupt("state"))?;
            (self.stream_time, self.sequence) = self.flushed_state;
        }
        let min_live = self.min_live_segment();
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let mut found = None;
            let prefix = layout::segment_prefix(from);
            self.engine.scan(Bound::Included(&prefix), Bound::Unbounded, &mut |entry, _| {
                found = layout::segment_of(entry);
                ControlFlow::Break(())
            })?;
            match found {
                // Such a segment has no time: what is counted by segments would never end.
                Some(id) if !self.segment_ids().contains(&id) => return Err(self.corrupt("segment")),
                Some(id) if id < min_live => (self.dropped, self.gone) = (Some(id), Some(id)),
                Some(id) => self.segments.push(Segment::new(id, true, self.options.ordered_by_time)),
                None => {}
            }
            next = found.and_then(|id| id.checked_add(1));
        }
        Ok(())
    }

    /// The segments of all starts that there are.
    fn segment_ids(&self) -> RangeInclusive<i64> {
        self.segment_id(Timestamp::MIN)..=self.segment_id(Timestamp::MAX)
    }

    /// The first start that reads show. A cache shows what it has, whatever its time.
    #[inline]
    pub(super) fn shown_from(&self) -> Timestamp {
        if self.options.caching { Timestamp::MIN } else { self.horizon() }
    }

    /// The first start that is not expired.
    #[inline]
    pub(super) fn horizon(&self) -> Timestamp {
        self.options.horizon(self.stream_time)
    }

    /// Whether Kafka Streams' store would refuse a put at `start`, as one that came too late.
    pub fn refuses(&self, start: Timestamp) -> bool {
        let expired = self.stream_time.max(start).saturating_sub(self.options.retention);
        match self.options.persistent {
            true => self.segment_id(start) < self.segment_id(expired),
            false => start <= expired,
        }
    }

    /// Whether a put at `start` is refused although it may be the newest: with a retention of 0 rows have expired when they come.
    #[inline]
    pub(super) fn keeps_nothing(&self, start: Timestamp) -> bool {
        self.options.retention < 1 && !self.options.caching && self.refuses(start)
    }

    #[inline]
    pub(super) fn segment_id(&self, start: Timestamp) -> i64 {
        self.options.segment_id(start)
    }

    pub(super) fn min_live_segment(&self) -> i64 {
        self.segment_id(self.stream_time.saturating_sub(self.options.retention))
    }

    #[inline]
    fn search_segment(&self, id: i64) -> Result<usize, usize> {
        match self.segments.last() {
            None => Err(0),
            Some(last) if last.id == id => Ok(self.segments.len() - 1),
            Some(last) if last.id < id => Err(self.segments.len()),
            Some(_) => self.segments.binary_search_by_key(&id, |segment| segment.id),
        }
    }

    /// The segment of `start`, if it has had rows.
    #[inline]
    pub(super) fn segment_at(&self, start: Timestamp) -> Option<usize> {
        self.search_segment(self.segment_id(start)).ok()
    }

    /// The segment of `start`.
    #[inline]
    pub(super) fn segment_or_insert(&mut self, start: Timestamp) -> usize {
        let id = self.segment_id(start);
        match self.search_segment(id) {
            Ok(index) => index,
            Err(index) => {
                self.segments.insert(index, Segment::new(id, false, self.options.ordered_by_time));
                index
            }
        }
    }

    /// The segment with this id, which is known to be there.
    pub(super) fn segment_index(&self, id: i64) -> Result<usize, StateError> {
        self.search_segment(id).map_err(|_| self.corrupt("segment of a held-back update"))
    }

    /// The slot with all rows of the key in `key_bytes`. `None`: no rows and no slot.
    #[inline]
    pub(super) fn resolve(&mut self, segment: usize, hash: u64) -> Result<Option<u32>, StateError> {
        let rows = &mut self.segments[segment];
        match rows.find(hash, &self.key_bytes) {
            Some(slot) if !rows.slot(slot).partial => Ok(Some(slot)),
            None if rows.complete => Ok(None),
            Some(_) | None => self.load(segment, hash).map(Some),
        }
    }

    /// The slot of the key in `key_bytes`, without asking the engine for the rows that it may have.
    pub(super) fn slot_or_partial(&mut self, segment: usize, hash: u64) -> u32 {
        let rows = &mut self.segments[segment];
        match rows.find(hash, &self.key_bytes) {
            Some(slot) => slot,
            None => rows.insert(hash, &self.key_bytes, !rows.complete),
        }
    }

    /// The row of `key` at `start`, made if there is none. For stores without duplicates.
    #[inline]
    pub(super) fn locate_or_insert(
        &mut self,
        key: &K,
        start: Timestamp,
        sequence: u32,
    ) -> Result<Place, StateError> {
        let hash = self.encode_key(key)?;
        let segment = self.segment_or_insert(start);
        let slot = match self.resolve(segment, hash)? {
            Some(slot) => slot,
            None => self.segments[segment].insert(hash, &self.key_bytes, false),
        };
        Ok(Place { segment, slot, row: self.segments[segment].find_or_insert(slot, start, sequence) })
    }

    /// Takes the rows of the key in `key_bytes` from the engine into the tier, or the knowledge that there are none.
    #[cold]
    fn load(&mut self, segment: usize, hash: u64) -> Result<u32, StateError> {
        self.meters.asks_engine();
        self.make_room();
        let slot = self.slot_or_partial(segment, hash);
        let id = self.segments[segment].id;
        let mut prefix = std::mem::take(&mut self.entry_bytes);
        prefix.clear();
        layout::key_prefix(id, &self.key_bytes, &mut prefix);
        let mut last = prefix.clone();
        last.extend_from_slice(&[0xff; 12]);
        let mut loaded = Vec::new();
        let mut result = Ok(());
        self.engine.scan(Bound::Included(&prefix), Bound::Included(&last), &mut |entry, bytes| match self
            .decode_row(entry, bytes)
        {
            Ok(row) => {
                loaded.push(row);
                ControlFlow::Continue(())
            }
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        })?;
        self.entry_bytes = prefix;
        result?;
        let rows = &mut self.segments[segment];
        for row in loaded {
            if let Err(index) = rows.slot(slot).rows.find(row.start, row.sequence) {
                rows.insert_row(slot, index, row);
            }
        }
        rows.set_whole(slot);
        Ok(slot)
    }

    fn decode_row(&self, entry: &[u8], bytes: &[u8]) -> Result<Row<V>, StateError> {
        let (start, sequence) = layout::decode_row_suffix(entry).ok_or_else(|| self.corrupt("row key"))?;
        self.check_sequence(sequence)?;
        let (timestamp, value) = bytes.split_first_chunk::<8>().ok_or_else(|| self.corrupt("row"))?;
        let timestamp = Timestamp::from_be_bytes(*timestamp);
        let len = value.len();
        let value =
            self.values.deserialize(Some(value)).map_err(|source| self.progress.serde_error(source))?;
        Ok(Row::new(start, sequence, Some((value, timestamp)), len))
    }

    /// Evicts if loaded rows have filled the tier.
    fn make_room(&mut self) {
        if self.tier_bytes() <= self.evict_above {
            return;
        }
        self.evict(self.options.tier_max_bytes / 2);
        let in_use = self.tier_bytes();
        self.evict_above = self.options.tier_max_bytes.max(in_use + in_use / 4);
    }

    /// Evicts clean rows, those of the oldest segments first, until the tier needs no more than `target` bytes.
    pub(super) fn evict(&mut self, target: u64) {
        let mut excess = self.tier_bytes().saturating_sub(target);
        for segment in &mut self.segments {
            if excess == 0 {
                break;
            }
            let before = segment.memory_bytes();
            segment.evict(excess);
            excess = excess.saturating_sub(before - segment.memory_bytes());
        }
    }

    /// Bytes that the segments use.
    pub(super) fn tier_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::memory_bytes).sum()
    }

    /// A row at `start` was updated: moves stream time, but not for an update that the cache holds back.
    #[inline]
    pub(super) fn updated(&mut self, start: Timestamp) {
        if !self.options.caching {
            self.advance(start);
        }
    }

    /// Stream time has reached `start`.
    #[inline]
    pub(super) fn advance(&mut self, start: Timestamp) {
        if start > self.stream_time {
            self.stream_time = start;
            self.expire();
        }
    }

    /// Drops expired segments, except those whose updates are still held back. The engine gives them up at the next
    /// flush: until the commit, time may still turn out not to have been that late.
    #[inline]
    pub(super) fn expire(&mut self) {
        let min_live = self.min_live_segment();
        if self.segments.first().is_none_or(|first| first.id >= min_live) {
            return;
        }
        if self.options.caching {
            return self.outdate(min_live);
        }
        let dropped = &mut self.dropped;
        self.segments.retain(|segment| {
            let goes = segment.id < min_live && segment.held == 0;
            if goes && segment.in_engine {
                *dropped = (*dropped).max(Some(segment.id));
            }
            !goes
        });
    }

    /// Segments below `min_live` are in a cache only now: not in the engine, and the oldest not at all if they need too much memory.
    fn outdate(&mut self, min_live: i64) {
        let mut outdated = 0;
        for segment in self.segments.iter_mut().take_while(|segment| segment.id < min_live) {
            if segment.in_engine {
                self.dropped = self.dropped.max(Some(segment.id));
                (segment.in_engine, segment.complete) = (false, true);
            }
            outdated += segment.memory_bytes();
        }
        self.segments.retain(|segment| {
            let goes =
                segment.id < min_live && segment.held == 0 && outdated > self.options.expired_max_bytes;
            outdated -= if goes { segment.memory_bytes() } else { 0 };
            self.gone = self.gone.max(goes.then_some(segment.id));
            !goes
        });
    }

    /// Logs the row at `place`. The one place where an update is counted and null turns into absence.
    #[inline]
    pub(super) fn write_out(&mut self, place: Place, context: &RecordContext) -> Result<(), StateError> {
        let segment = &mut self.segments[place.segment];
        let (key, row) = (&segment.slot(place.slot).key, segment.row(place.slot, place.row));
        let null = if self.options.logging {
            self.log_key.clear();
            let key = WindowKey { key: key.as_slice(), start: row.start, sequence: row.sequence as i32 };
            key.encode(&mut self.log_key);
            match log_row(
                &mut self.log,
                &self.log_key,
                row.value.as_ref(),
                (&self.values, &self.logged_headers),
                self.options.timestamped,
                context,
            ) {
                Ok(len) => Some(len),
                Err(source) => return Err(self.progress.serde_error(source)),
            }
        } else if row.value.as_ref().is_none_or(|(value, _)| self.values.is_null(value)) {
            Some(None)
        } else {
            None
        };
        if let Some(None) = null {
            segment.row_mut(place.slot, place.row).value = None;
        }
        if let Some(Some(len)) = null {
            self.mean_len.add(len);
        }
        segment.touch(place.slot, place.row, null.map(|len| len.unwrap_or(0)));
        self.progress.updated();
        Ok(())
    }

    /// Logs a put of the key in `key_bytes` that changes no row.
    pub(super) fn log_only(
        &mut self,
        start: Timestamp,
        sequence: u32,
        value: Option<&(V, Timestamp)>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        if !self.options.logging {
            self.progress.updated();
            return Ok(());
        }
        self.log_key.clear();
        WindowKey { key: &self.key_bytes, start, sequence: sequence as i32 }.encode(&mut self.log_key);
        let values = (&self.values, &self.logged_headers);
        let logged = log_row(&mut self.log, &self.log_key, value, values, self.options.timestamped, context);
        logged.map_err(|source| self.progress.serde_error(source))?;
        self.progress.updated();
        Ok(())
    }

    /// Serializes `key` into `key_bytes`. Returns its hash.
    #[inline]
    pub(super) fn encode_key(&mut self, key: &K) -> Result<u64, StateError> {
        self.key_bytes.clear();
        self.progress.key_written(self.keys.serialize(key, &mut self.key_bytes))?;
        Ok(hash(&self.hasher, &self.key_bytes))
    }

    pub(super) fn decode_key(&self, key: &[u8]) -> Result<K, StateError> {
        self.keys.deserialize(Some(key)).map_err(|source| self.progress.serde_error(source))
    }

    #[cold]
    pub(super) fn corrupt(&self, what: &str) -> StateError {
        self.engine.corrupt(&self.options.name, format!("a {what} that this store did not write"))
    }
}

/// Appends the changelog record of a row. Returns the bytes of its value, `None` for a tombstone.
#[inline]
fn log_row<V: 'static>(
    log: &mut ChangelogBuffer,
    key: &[u8],
    value: Option<&(V, Timestamp)>,
    (values, headers): (&SerdeRef<V>, &LoggedHeaders<V>),
    timestamped: bool,
    context: &RecordContext,
) -> Result<Option<usize>, SerdeError> {
    let timestamp = match value {
        Some((_, timestamp)) if timestamped => *timestamp,
        Some(_) | None => context.timestamp,
    };
    let values = headers.serde(values);
    let write = |out: &mut Vec<u8>| match value {
        Some((value, _)) => values.serialize(value, out),
        None => Ok(false),
    };
    let len = log.push(key, (timestamp, context.timestamp), write)?;
    headers.add(log, value.filter(|_| len.is_some()).map(|(value, _)| value), &context.headers);
    Ok(len)
}
