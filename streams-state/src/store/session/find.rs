//! Visiting sessions: of one key, of all keys that ended in a stretch of time, and all there are.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use super::super::key_bytes::KeyBytes;
use super::sessions::Session;
use super::time_index::Place;
use super::*;

/// The order of Kafka Streams' store in memory.
fn in_memory_order((end, start, key): &Place) -> (Timestamp, KeyBytes, Reverse<Timestamp>) {
    (*end, key.clone(), Reverse(*start))
}

impl<K: 'static, V: Clone + 'static> SessionStore<K, V> {
    /// Visits the sessions of `key` that end at `earliest_end` or later and start at `latest_start` or earlier: those
    /// that a record at `t` belongs to with `t - gap` and `t + gap`. In the order of end and start; with
    /// [`in_memory_order`](SessionOptions::in_memory_order) those that end together are visited by start backward.
    pub fn find_sessions(
        &mut self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(Window, &V),
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| {
            let mut any = false;
            for (window, value) in store.matching(key, earliest_end, latest_start)? {
                any = true;
                visit(window, value);
            }
            Ok(any)
        };
        self.operation(work, key_visited).map(drop)
    }

    /// As [`find_sessions`](Self::find_sessions), in the opposite order.
    pub fn backward_find_sessions(
        &mut self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(Window, &V),
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| {
            let found: Vec<_> = store.matching(key, earliest_end, latest_start)?.collect();
            let any = !found.is_empty();
            found.into_iter().rev().for_each(|(window, value)| visit(window, value));
            Ok(any)
        };
        self.operation(work, key_visited).map(drop)
    }

    /// Visits all sessions of `key`, in the order of [`find_sessions`](Self::find_sessions).
    pub fn fetch(&mut self, key: &K, visit: &mut dyn FnMut(Window, &V)) -> Result<(), StateError> {
        self.find_sessions(key, Timestamp::MIN, Timestamp::MAX, visit)
    }

    /// As [`fetch`](Self::fetch), in the opposite order.
    pub fn backward_fetch(&mut self, key: &K, visit: &mut dyn FnMut(Window, &V)) -> Result<(), StateError> {
        self.backward_find_sessions(key, Timestamp::MIN, Timestamp::MAX, visit)
    }

    /// Visits the sessions of the keys from `low` to `high`, both included and compared as bytes, that end at
    /// `earliest_end` or later and start at `latest_start` or earlier: by segment of the end, key bytes, end and start, or with
    /// [`in_memory_order`](SessionOptions::in_memory_order) by end, key bytes and start backward. `None` is no limit.
    pub fn find_sessions_of_keys(
        &mut self,
        keys: (Option<&K>, Option<&K>),
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| {
            let places = store.places_of_keys(keys, earliest_end, latest_start)?;
            store.visit_sessions(places.into_iter(), visit)
        };
        self.operation(work, |_, _| Ended::Visit(StoreOperation::Fetch))
    }

    /// As [`find_sessions_of_keys`](Self::find_sessions_of_keys), in the opposite order.
    pub fn backward_find_sessions_of_keys(
        &mut self,
        keys: (Option<&K>, Option<&K>),
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| {
            let places = store.places_of_keys(keys, earliest_end, latest_start)?;
            store.visit_sessions(places.into_iter().rev(), visit)
        };
        self.operation(work, |_, _| Ended::Visit(StoreOperation::Fetch))
    }

    fn places_of_keys(
        &mut self,
        (low, high): (Option<&K>, Option<&K>),
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<Vec<Place>, StateError> {
        let (low, high) = (self.limit(low)?, self.limit(high)?);
        let mut places = self.search(earliest_end.max(self.shown_from()), Timestamp::MAX)?;
        places.retain(|(_, start, key)| {
            let key = key.as_slice();
            *start <= latest_start
                && low.as_deref().is_none_or(|low| key >= low)
                && high.as_deref().is_none_or(|high| key <= high)
        });
        match self.options.in_memory_order {
            true => places.sort_by_cached_key(in_memory_order),
            false => {
                places.sort_by_cached_key(|(end, start, key)| (self.segment(*end), key.clone(), *end, *start))
            }
        }
        Ok(places)
    }

    fn limit(&mut self, key: Option<&K>) -> Result<Option<Vec<u8>>, StateError> {
        let Some(key) = key else { return Ok(None) };
        self.encode_key(key)?;
        Ok(Some(self.key_bytes.clone()))
    }

    /// Visits the sessions of all keys that ended from `earliest_end` to `latest_end`, both included: by end, start
    /// and key bytes, or with [`in_memory_order`](SessionOptions::in_memory_order) by end, key bytes and start
    /// backward. Without that order sessions are found that are hidden from reading by key already, until their segment
    /// has passed.
    pub fn find_sessions_ended(
        &mut self,
        earliest_end: Timestamp,
        latest_end: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.visit_ended(earliest_end, latest_end, visit),
            |_, _| Ended::Visit(StoreOperation::Fetch),
        )
    }

    fn visit_ended(
        &mut self,
        earliest_end: Timestamp,
        latest_end: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        let from = earliest_end.max(if self.options.caching { Timestamp::MIN } else { self.kept_from() });
        if from > latest_end {
            return Ok(());
        }
        let mut places = match self.options.time_index {
            true => self.index.collect(&*self.engine, from, latest_end)?,
            false => self.search(from, latest_end)?,
        };
        if self.options.in_memory_order {
            places.sort_by_cached_key(in_memory_order);
        }
        self.visit_sessions(places.into_iter(), visit)
    }

    /// Visits all sessions, by key bytes, end and start.
    pub fn for_each(&mut self, visit: &mut dyn FnMut(K, Window, &V)) -> Result<(), StateError> {
        let mut places = self.search(self.shown_from(), Timestamp::MAX)?;
        places.sort_by(|left, right| (&left.2, left.0, left.1).cmp(&(&right.2, right.0, right.1)));
        for (end, start, key) in places {
            self.visit_session(key.as_slice(), Window { start, end }, visit)?;
        }
        Ok(())
    }

    /// Number of sessions: exact while all of them are in the tier, else at least those that are.
    pub fn approximate_num_entries(&self) -> u64 {
        let live_from = self.shown_from();
        let live = |session: &&Session<V>| session.value.is_some() && session.window.end >= live_from;
        let rows = self.tier.present().filter_map(|slot| slot.row.as_ref());
        rows.map(|(sessions, _)| sessions.list().iter().filter(live).count() as u64).sum()
    }

    fn matching(
        &mut self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Result<impl Iterator<Item = (Window, &V)>, StateError> {
        let from = earliest_end.max(self.shown_from());
        let backward = self.options.in_memory_order;
        let slot = self.locate(key)?.map(|id| self.tier.slot(id));
        let list = slot.and_then(|slot| slot.row.as_ref()).map_or(&[][..], |(sessions, _)| sessions.list());
        let list = &list[list.partition_point(|session| session.window.end < from)..];
        let together = list.chunk_by(|left, right| left.window.end == right.window.end);
        Ok(together
            .flat_map(move |group| {
                (0..group.len())
                    .map(move |index| &group[if backward { group.len() - 1 - index } else { index }])
            })
            .filter(move |session| session.window.start <= latest_start)
            .filter_map(|session| session.value.as_ref().map(|value| (session.window, value))))
    }

    fn visit_sessions(
        &mut self,
        places: impl Iterator<Item = Place>,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        for (end, start, key) in places {
            self.visit_session(key.as_slice(), Window { start, end }, visit)?;
        }
        Ok(())
    }

    fn visit_session(
        &mut self,
        key: &[u8],
        window: Window,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(key);
        let Some(id) = self.locate_bytes()? else { return Ok(()) };
        let session = self.tier.slot(id).row.as_ref().and_then(|(sessions, _)| sessions.get(window));
        if let Some(value) = session.and_then(|session| session.value.as_ref()) {
            let key = self.keys.deserialize(Some(key)).map_err(|source| self.progress.serde_error(source))?;
            visit(key, window, value);
        }
        Ok(())
    }

    /// The sessions that ended from `from` to `to`, in the order of end, start and key, found by looking at all
    /// sessions of the segments in question.
    fn search(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Place>, StateError> {
        let mut places = BTreeSet::new();
        let mut add = |key: &[u8], window: Window| {
            if window.end >= from && window.end <= to {
                places.insert((window.end, window.start, KeyBytes::new(key)));
            }
        };
        for slot in self.tier.present() {
            let Some((sessions, _)) = &slot.row else { continue };
            let present = sessions.list().iter().filter(|session| session.value.is_some());
            present.for_each(|session| add(slot.key(), session.window));
        }
        if !self.tier.is_complete() {
            self.search_engine(self.segment(from), self.segment(to), &mut add)?;
        }
        Ok(places.into_iter().collect())
    }

    /// Visits the sessions of keys that are not in the tier.
    fn search_engine(
        &self,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&[u8], Window),
    ) -> Result<(), StateError> {
        for segment in self.segments.range(from..=to) {
            let (mut low, mut high) = (Vec::new(), Vec::new());
            layout::row_key(*segment, &[], &mut low);
            layout::row_key(segment.saturating_add(1), &[], &mut high);
            let mut result = Ok(());
            self.engine.scan(Bound::Included(&low), Bound::Excluded(&high), &mut |row_key, row| {
                let Some((_, key)) = layout::parse_row_key(row_key) else { return ControlFlow::Continue(()) };
                if self.tier.peek(key).is_none() {
                    result = layout::read_row(row, &mut |window, _| {
                        visit(key, window);
                        Ok(())
                    });
                }
                if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            result.map_err(|source| self.progress.serde_error(source))?;
        }
        Ok(())
    }
}

/// How a visit of one key ended, which says whether it found something.
fn key_visited<S>(_store: &S, found: &Result<bool, StateError>) -> Ended {
    Ended::KeyVisit(StoreOperation::Fetch, matches!(found, Ok(true)))
}
