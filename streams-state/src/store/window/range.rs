//! Visiting rows: of one key, in the order of time; of all keys, segment by segment, as Kafka Streams' stores have them: in
//! memory and in stores ordered by time by (start, key bytes), in other stores on disk by (key bytes, start).

use std::ops::{Bound, ControlFlow};

use super::*;
use crate::store::key_bytes::KeyBytes;
use crate::store::tier::hash;

/// Called for each row of one key: start, value, timestamp; until it breaks.
pub type RowVisitor<'a, V> = dyn FnMut(Timestamp, &V, Timestamp) -> ControlFlow<()> + 'a;

/// Called for each row of many keys: key, start, value, timestamp; until it breaks.
pub type KeyedRowVisitor<'a, K, V> = dyn FnMut(K, Timestamp, &V, Timestamp) -> ControlFlow<()> + 'a;

/// Which rows are visited, and in which direction. Limits are included; `None` is no limit.
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
    pub(super) backward: bool,
    /// Rows of a segment are visited by key, and those of a key by start.
    pub(super) by_key: bool,
}

impl Span {
    pub(super) fn of_time(from: Timestamp, to: Timestamp, backward: bool) -> Self {
        Self { from, to, low: None, high: None, backward, by_key: false }
    }

    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        self.low.as_deref().is_none_or(|low| key >= low)
            && self.high.as_deref().is_none_or(|high| key <= high)
    }

    /// Brings slots that were found, some perhaps twice, into the order of the visit.
    fn sort<'a>(&self, found: &mut Vec<(Timestamp, u32)>, key_of: &dyn Fn(u32) -> &'a KeyBytes) {
        found.sort_unstable_by(|left, right| {
            let (times, keys) = (left.0.cmp(&right.0), || key_of(left.1).cmp(key_of(right.1)));
            if self.by_key { keys().then(times) } else { times.then_with(keys) }
        });
        found.dedup();
        if self.backward {
            found.reverse();
        }
    }

    /// As [`sort`](Self::sort), for keys, of which some may not be wanted.
    fn settle(&self, found: &mut Vec<(Timestamp, KeyBytes)>) {
        found.retain(|(_, key)| self.has_key(key.as_slice()));
        match self.by_key {
            true => found.sort_unstable_by(|left, right| (&left.1, left.0).cmp(&(&right.1, right.0))),
            false => found.sort_unstable(),
        }
        found.dedup();
        if self.backward {
            found.reverse();
        }
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Visits the rows of `key` whose windows start in `from..=to`, in the order of (start, sequence).
    pub fn fetch_range(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| store.visit_range(key, from, to, visit);
        self.operation(work, key_visited).map(drop)
    }

    fn visit_range(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<bool, StateError> {
        let from = from.max(self.shown_from());
        if to < from {
            return Ok(false);
        }
        if self.panes.is_some() {
            return self.visit_windows(key, (from, to), false, visit);
        }
        let hash = self.encode_key(key)?;
        let mut found = false;
        let (first, last) = (self.segment_id(from), self.segment_id(to));
        for segment in 0..self.segments.len() {
            if (first..=last).contains(&self.segments[segment].id)
                && let Some(slot) = self.resolve(segment, hash)?
            {
                found = true;
                if self.visit_rows(segment, slot, (from, to), false, visit).is_break() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Like [`fetch_range`](Self::fetch_range), the latest row first.
    pub fn fetch_range_backward(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| store.visit_range_backward(key, from, to, visit);
        self.operation(work, key_visited).map(drop)
    }

    fn visit_range_backward(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<bool, StateError> {
        let from = from.max(self.shown_from());
        if to < from {
            return Ok(false);
        }
        if self.panes.is_some() {
            return self.visit_windows(key, (from, to), true, visit);
        }
        let hash = self.encode_key(key)?;
        let mut found = false;
        let (first, last) = (self.segment_id(from), self.segment_id(to));
        for segment in (0..self.segments.len()).rev() {
            if (first..=last).contains(&self.segments[segment].id)
                && let Some(slot) = self.resolve(segment, hash)?
            {
                found = true;
                if self.visit_rows(segment, slot, (from, to), true, visit).is_break() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Visits the rows of all keys whose windows start in `from..=to`, in the order of Kafka Streams' stores:
    /// in memory and ordered by time (start, key bytes, sequence), else on disk (segment, key bytes, start, sequence).
    ///
    /// Without [`WindowOptions::ordered_by_time`] it costs a look at all keys of the segments
    /// in question, with it only what is visited.
    pub fn fetch_all(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.scan(Span::of_time(from, to, false), visit)
    }

    /// Like [`fetch_all`](Self::fetch_all) from the end to the beginning.
    pub fn fetch_all_backward(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.scan(Span::of_time(from, to, true), visit)
    }

    /// Visits the rows of the keys from `low` to `high`, both included and compared as bytes, whose windows start in
    /// `from..=to`, in the order of [`fetch_all`](Self::fetch_all). `None` is no limit.
    pub fn fetch_keys(
        &mut self,
        (low, high): (Option<&K>, Option<&K>),
        (from, to): (Timestamp, Timestamp),
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        let span = Span { low: self.limit(low)?, high: self.limit(high)?, ..Span::of_time(from, to, false) };
        self.scan(span, visit)
    }

    /// Like [`fetch_keys`](Self::fetch_keys) from the end to the beginning.
    pub fn fetch_keys_backward(
        &mut self,
        (low, high): (Option<&K>, Option<&K>),
        (from, to): (Timestamp, Timestamp),
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        let span = Span { low: self.limit(low)?, high: self.limit(high)?, ..Span::of_time(from, to, true) };
        self.scan(span, visit)
    }

    /// Visits all rows: key, start, value, timestamp, in the order of [`fetch_all`](Self::fetch_all).
    pub fn all(&mut self, visit: &mut dyn FnMut(K, Timestamp, &V, Timestamp)) -> Result<(), StateError> {
        self.fetch_all(Timestamp::MIN, Timestamp::MAX, &mut |key, start, value, timestamp| {
            visit(key, start, value, timestamp);
            ControlFlow::Continue(())
        })
    }

    /// Like [`all`](Self::all) from the end to the beginning.
    pub fn all_backward(
        &mut self,
        visit: &mut dyn FnMut(K, Timestamp, &V, Timestamp),
    ) -> Result<(), StateError> {
        self.fetch_all_backward(Timestamp::MIN, Timestamp::MAX, &mut |key, start, value, timestamp| {
            visit(key, start, value, timestamp);
            ControlFlow::Continue(())
        })
    }

    /// Number of rows, be they windows, records or panes: exact while all of them are in the tier, else the engine's estimate or what is in the tier.
    pub fn approximate_num_entries(&self) -> u64 {
        let rows = self.segments.iter().map(Segment::rows).sum();
        match self.segments.iter().all(|segment| segment.complete) {
            true => rows,
            // In order of time each row has a second entry.
            false => (self.engine.approximate_entries() >> u32::from(self.options.ordered_by_time)).max(rows),
        }
    }

    fn limit(&mut self, key: Option<&K>) -> Result<Option<Vec<u8>>, StateError> {
        let Some(key) = key else { return Ok(None) };
        self.encode_key(key)?;
        Ok(Some(self.key_bytes.clone()))
    }

    fn visit_rows(
        &self,
        segment: usize,
        slot: u32,
        (from, to): (Timestamp, Timestamp),
        backward: bool,
        visit: &mut RowVisitor<'_, V>,
    ) -> ControlFlow<()> {
        let rows = self.segments[segment].slot(slot).rows.between(from, to);
        for index in 0..rows.len() {
            let row = &rows[if backward { rows.len() - 1 - index } else { index }];
            if let Some((value, timestamp)) = &row.value {
                visit(row.start, value, *timestamp)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn scan(&mut self, span: Span, visit: &mut KeyedRowVisitor<'_, K, V>) -> Result<(), StateError> {
        self.operation(|store| store.scan_segments(span, visit), |_, _| Ended::Visit(StoreOperation::Fetch))
    }

    fn scan_segments(
        &mut self,
        mut span: Span,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        span.from = span.from.max(self.shown_from());
        span.by_key = self.options.persistent && !self.options.ordered_by_time;
        if span.to < span.from {
            return Ok(());
        }
        if self.panes.is_some() {
            return self.scan_windows(&span, visit);
        }
        let (first, last) = (self.segment_id(span.from), self.segment_id(span.to));
        for step in 0..self.segments.len() {
            let segment = if span.backward { self.segments.len() - 1 - step } else { step };
            if !(first..=last).contains(&self.segments[segment].id) {
                continue;
            }
            let flow = match self.segments[segment].complete {
                true => self.scan_tier(segment, &span, visit)?,
                false => self.scan_both(segment, &span, visit)?,
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits the rows of a segment that the tier has completely.
    fn scan_tier(
        &self,
        segment: usize,
        span: &Span,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let rows = &self.segments[segment];
        let mut found: Vec<(Timestamp, u32)> = Vec::new();
        rows.for_each_between(span.from, span.to, &mut |start, slot| {
            if span.has_key(rows.slot(slot).key.as_slice()) {
                found.push((start, slot));
            }
        });
        span.sort(&mut found, &|id| &rows.slot(id).key);
        for (start, slot) in found {
            if self.visit_keyed(segment, slot, start, span.backward, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Visits the rows of a segment of which the tier has a part: each key is taken from the engine in turn.
    fn scan_both(
        &mut self,
        segment: usize,
        span: &Span,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let mut found: Vec<(Timestamp, KeyBytes)> = Vec::new();
        let rows = &self.segments[segment];
        rows.for_each_between(span.from, span.to, &mut |start, slot| {
            found.push((start, rows.slot(slot).key.clone()))
        });
        self.engine_rows(rows.id, span, &mut found)?;
        span.settle(&mut found);
        for (start, key) in found {
            self.key_bytes.clear();
            self.key_bytes.extend_from_slice(key.as_slice());
            let hash = hash(&self.hasher, key.as_slice());
            if let Some(slot) = self.resolve(segment, hash)?
                && self.visit_keyed(segment, slot, start, span.backward, visit)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Starts and keys of the rows that the engine has in a segment, as long as `span` may want them.
    pub(super) fn engine_rows(
        &self,
        segment: i64,
        span: &Span,
        found: &mut Vec<(Timestamp, KeyBytes)>,
    ) -> Result<(), StateError> {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        let by_time = self.options.ordered_by_time;
        if by_time {
            layout::time_prefix(segment, span.from, &mut low);
            layout::time_prefix(segment, span.to, &mut high);
            // Behind the last start of the segment nothing follows.
            match span.to.checked_add(1) {
                Some(end) => {
                    high.clear();
                    layout::time_prefix(segment, end, &mut high);
                }
                None => high.push(0xff),
            }
        } else {
            layout::rows_prefix(segment, &mut low);
            layout::time_prefix(segment, Timestamp::MIN, &mut high);
        }
        let mut intact = true;
        self.engine.scan(Bound::Included(&low), Bound::Excluded(&high), &mut |entry, _| {
            let place = match by_time {
                true => layout::decode_time_key(entry),
                false => layout::decode_row_suffix(entry).map(|row| row.0).zip(layout::decode_row_key(entry)),
            };
            match place {
                Some((start, key)) if (span.from..=span.to).contains(&start) => {
                    found.push((start, KeyBytes::new(key)))
                }
                Some(_) => {}
                None => intact = false,
            }
            ControlFlow::Continue(())
        })?;
        if intact { Ok(()) } else { Err(self.corrupt("row key")) }
    }

    fn visit_keyed(
        &self,
        segment: usize,
        slot: u32,
        start: Timestamp,
        backward: bool,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let key = self.segments[segment].slot(slot).key.as_slice();
        let mut result = Ok(ControlFlow::Continue(()));
        let flow = self.visit_rows(
            segment,
            slot,
            (start, start),
            backward,
            &mut |start, value, timestamp| match self.decode_key(key) {
                Ok(key) => visit(key, start, value, timestamp),
                Err(error) => {
                    result = Err(error);
                    ControlFlow::Break(())
                }
            },
        );
        result.map(|_: ControlFlow<()>| flow)
    }
}

/// How a visit of one key ended, which says whether it found something.
fn key_visited<S>(_store: &S, found: &Result<bool, StateError>) -> Ended {
    Ended::KeyVisit(StoreOperation::Fetch, matches!(found, Ok(true)))
}
