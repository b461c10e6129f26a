//! The reads of a run, each against the rows of the model that are not expired.

use std::ops::ControlFlow;

use streams_state::types::Timestamp;

use crate::Op;
use crate::model::{Key, Run, Value, key};

/// Key, start, value, timestamp.
type Seen = (Key, Timestamp, Value, Timestamp);

impl Run {
    /// The rows that `wanted` chooses by key and start, in the order of visits.
    fn expected(&self, backward: bool, wanted: impl Fn(&Key, Timestamp) -> bool) -> Vec<Seen> {
        let rows = self
            .now
            .rows
            .iter()
            .filter(|((start, key, _), _)| *start >= self.horizon() && wanted(key, *start));
        let mut rows: Vec<Seen> = rows
            .map(|((start, key, _), (value, timestamp))| (key.clone(), *start, value.clone(), *timestamp))
            .collect();
        if self.options.persistent && !self.options.ordered_by_time {
            // Within a segment, as Kafka Streams has the rows on disk. The sort is stable: duplicates stay in order.
            let interval = self.options.segment_interval;
            rows.sort_by_key(|(key, start, _, _)| (start / interval, key.clone(), *start));
        }
        if backward {
            rows.reverse();
        }
        rows
    }

    /// Where a read from `from` begins, of which the model knows the result.
    fn known_from(&self, from: Timestamp) -> Timestamp {
        if self.options.caching { from.max(self.horizon()) } else { from }
    }

    pub(crate) fn read(&mut self, op: &Op) {
        match op {
            Op::Fetch((number, distance)) => {
                let (key, start) = (key(*number), self.start(*distance));
                if !self.is_known(start) {
                    return;
                }
                let expected = self.expected(true, |other, at| *other == key && at == start);
                let row = self
                    .store()
                    .fetch(&key, start)
                    .unwrap()
                    .map(|(value, timestamp)| (value.clone(), timestamp));
                assert_eq!(row, expected.first().map(|(_, _, value, timestamp)| (value.clone(), *timestamp)));
            }
            Op::Range((number, distance), len, most, backward) => {
                let (key, from) = (key(*number), self.start(*distance) - 20);
                let (to, most) = (from + i64::from(*len) - 5, usize::from(*most) + 1);
                let from = self.known_from(from);
                let mut seen: Vec<Seen> = Vec::new();
                let visit = &mut |start, value: &Value, timestamp| {
                    seen.push((key.clone(), start, value.clone(), timestamp));
                    if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                match backward {
                    true => self.store().fetch_range_backward(&key, from, to, visit).unwrap(),
                    false => self.store().fetch_range(&key, from, to, visit).unwrap(),
                }
                let mut expected =
                    self.expected(*backward, |other, at| *other == key && at >= from && at <= to);
                expected.truncate(most);
                assert_eq!(seen, expected);
            }
            Op::All { from, len, low, high, most, backward } => {
                let from = self.start(*from) - 20;
                self.read_all(
                    (self.known_from(from), from + i64::from(*len) - 5),
                    (*low, *high),
                    usize::from(*most) + 1,
                    *backward,
                );
            }
            Op::Everything => {
                let mut seen: Vec<Seen> = Vec::new();
                let visit = &mut |key, start, value: &Value, timestamp| {
                    seen.push((key, start, value.clone(), timestamp))
                };
                self.store().all(visit).unwrap();
                seen.retain(|(_, start, _, _)| self.is_known(*start));
                assert_eq!(seen, self.expected(false, |_, _| true));
                seen.clear();
                let visit = &mut |key, start, value: &Value, timestamp| {
                    seen.push((key, start, value.clone(), timestamp))
                };
                self.store().all_backward(visit).unwrap();
                seen.retain(|(_, start, _, _)| self.is_known(*start));
                assert_eq!(seen, self.expected(true, |_, _| true));
            }
            other => unreachable!("{other:?} does not read"),
        }
    }

    fn read_all(
        &mut self,
        (from, to): (Timestamp, Timestamp),
        (low, high): (Option<u8>, Option<u8>),
        most: usize,
        backward: bool,
    ) {
        let (low, high) = (low.map(key), high.map(key));
        let mut seen: Vec<Seen> = Vec::new();
        let visit = &mut |key: Key, start, value: &Value, timestamp| {
            seen.push((key, start, value.clone(), timestamp));
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let (keys, store) = ((low.as_ref(), high.as_ref()), self.store());
        match (keys, backward) {
            ((None, None), false) => store.fetch_all(from, to, visit).unwrap(),
            ((None, None), true) => store.fetch_all_backward(from, to, visit).unwrap(),
            (keys, false) => store.fetch_keys(keys, (from, to), visit).unwrap(),
            (keys, true) => store.fetch_keys_backward(keys, (from, to), visit).unwrap(),
        }
        let within = |key: &Key| {
            low.as_ref().is_none_or(|low| key >= low) && high.as_ref().is_none_or(|high| key <= high)
        };
        let mut expected = self.expected(backward, |key, start| start >= from && start <= to && within(key));
        expected.truncate(most);
        assert_eq!(seen, expected);
    }
}
