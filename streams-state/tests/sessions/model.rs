//! A session store and its model, side by side.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::format::session_key;
use streams_state::serdes::Auto;
use streams_state::store::{SessionOptions, SessionStore, StateStore};
use streams_state::types::{RecordContext, Timestamp, Window};

use crate::Op;
use crate::bulk::restore_in_bulk;
use crate::engines::Opener;

type Key = String;
/// Null is a value of this type: writing it deletes.
type Value = Option<String>;
/// End, start, key.
type Place = (Timestamp, Timestamp, Key);
type Rows = BTreeMap<Place, Value>;
/// Key, value, timestamp.
type Logged = (Vec<u8>, Option<String>, Timestamp);

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub caching: bool,
    pub logging: bool,
    pub send_old_values: bool,
    pub time_index: bool,
    pub in_memory_order: bool,
    pub retention: i64,
    pub segment_interval: i64,
    pub tier_max_bytes: u64,
    /// Restores in bulk, with so many bytes.
    pub bulk: Option<usize>,
}

/// A session whose update the cache holds back.
struct Dirty {
    place: Place,
    before: Option<Value>,
    context: RecordContext,
}

pub(crate) struct Run {
    options: Options,
    opener: Opener,
    store: Option<SessionStore<Key, Value>>,
    clock: i64,
    /// Start of the times that operations mean.
    base: Timestamp,
    stream_time: Timestamp,
    /// Without regard to retention.
    rows: Rows,
    dirty: Vec<Dirty>,
    logged: Vec<Logged>,
    pending: Vec<Logged>,
    changelog: Vec<Logged>,
    uncommitted: bool,
    flushed: (Rows, Timestamp, Option<i64>),
    durable: bool,
}

fn key(number: u8) -> Key {
    let tail = if number.is_multiple_of(3) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{number}{tail}")
}

fn value(number: u8) -> Value {
    (!number.is_multiple_of(8)).then(|| "v".repeat(usize::from(number % 50)))
}

fn window(place: &Place) -> Window {
    Window { start: place.1, end: place.0 }
}

impl Run {
    pub(crate) fn new(options: Options, opener: Opener) -> Self {
        let mut run = Self {
            options,
            opener,
            store: None,
            clock: 0,
            base: 0,
            stream_time: -1,
            rows: Rows::new(),
            dirty: Vec::new(),
            logged: Vec::new(),
            pending: Vec::new(),
            changelog: Vec::new(),
            uncommitted: false,
            flushed: (Rows::new(), -1, None),
            durable: true,
        };
        run.open();
        run
    }

    fn store(&mut self) -> &mut SessionStore<Key, Value> {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let engine = (self.opener)();
        self.durable = engine.is_durable();
        let options = SessionOptions {
            name: "s".into(),
            retention: self.options.retention,
            segment_interval: self.options.segment_interval,
            time_index: self.options.time_index,
            in_memory_order: self.options.in_memory_order,
            caching: self.options.caching,
            logging: self.options.logging,
            tier_max_bytes: self.options.tier_max_bytes,
            expired_max_bytes: 0,
        };
        let mut store = SessionStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
        if self.options.send_old_values {
            store.send_old_values();
        }
        self.store = Some(store);
    }

    fn context(&mut self) -> RecordContext {
        self.clock += 1;
        RecordContext { offset: self.clock, ..RecordContext::none(1_000_000 + self.clock) }
    }

    fn place(&self, number: u8, start: u8, length: u8) -> Place {
        let start = self.base + i64::from(start);
        (start + i64::from(length), start, key(number))
    }

    fn live(&self, place: &Place) -> bool {
        place.0 > self.stream_time - self.options.retention
    }

    fn kept(&self, place: &Place) -> bool {
        let segment = |time: Timestamp| time.div_euclid(self.options.segment_interval);
        let oldest = self.stream_time - self.options.retention;
        if self.options.in_memory_order { self.live(place) } else { segment(place.0) >= segment(oldest) }
    }

    /// Whether the model knows what is at `place`: a cached store may still have what is too old.
    fn is_known(&self, place: &Place) -> bool {
        !self.options.caching || self.live(place)
    }

    /// The row, if it is not too old.
    fn row(&self, place: &Place) -> Option<Value> {
        self.rows.get(place).filter(|_| self.live(place)).cloned()
    }

    /// The model of a change. Returns what was there.
    fn change(&mut self, place: &Place, value: Option<Value>, context: &RecordContext) -> Option<Value> {
        let before = self.row(place);
        if !self.options.caching {
            self.stream_time = self.stream_time.max(place.0);
        }
        let value = value.filter(Option::is_some);
        match &value {
            Some(value) if self.options.caching || self.kept(place) => {
                self.rows.insert(place.clone(), value.clone())
            }
            _ => self.rows.remove(place),
        };
        if !self.options.caching {
            self.log(place, value.flatten(), context);
            return before.filter(|_| self.live(place));
        }
        let position = self.dirty.iter().position(|dirty| dirty.place == *place);
        let flushed = match position {
            Some(position) => self.dirty.remove(position).before,
            None => before.clone(),
        };
        self.dirty.push(Dirty { place: place.clone(), before: flushed, context: context.clone() });
        before
    }

    fn log(&mut self, place: &Place, value: Value, context: &RecordContext) {
        self.uncommitted = true;
        if self.options.logging {
            let mut key = Vec::new();
            session_key::encode(place.2.as_bytes(), window(place), &mut key);
            self.logged.push((key, value, context.timestamp));
        }
    }

    /// What a held-back update writes; afterwards what is too old is gone.
    fn log_held(&mut self, dirty: &Dirty) -> Option<Value> {
        self.stream_time = self.stream_time.max(dirty.place.0);
        let row = self.rows.get(&dirty.place).cloned();
        self.log(&dirty.place, row.clone().flatten(), &dirty.context);
        if !self.kept(&dirty.place) {
            self.rows.remove(&dirty.place);
        }
        row
    }

    fn put(&mut self, place: &Place, value: Option<Value>) {
        if !self.is_known(place) {
            return;
        }
        let context = self.context();
        let put = self.store().put(&place.2, window(place), value.clone(), &context).unwrap();
        self.change(place, value, &context);
        assert_eq!(put, self.options.caching || self.kept(place));
        assert_eq!(self.store.as_ref().unwrap().stream_time(), self.stream_time);
    }

    fn remove(&mut self, place: &Place) -> Option<Value> {
        if !self.is_known(place) {
            return None;
        }
        let context = self.context();
        let removed = self.store().remove(&place.2, window(place), &context).unwrap();
        let before = self.change(place, None, &context);
        assert_eq!(removed, before);
        removed
    }

    /// A record at `time`, with a gap of 5.
    fn record(&mut self, number: u8, time: u8) {
        let (key, time) = (key(number), self.base + i64::from(time));
        if !self.is_known(&(time, time, key.clone())) {
            return;
        }
        let found = self.find(&key, time - 5, time + 5);
        let (mut merged, mut value) = ((time, time, key), String::from("r"));
        for place in found {
            merged.0 = merged.0.max(place.0);
            merged.1 = merged.1.min(place.1);
            value.push_str(&self.remove(&place).flatten().unwrap());
        }
        value.truncate(60);
        self.put(&merged, Some(Some(value)));
    }

    fn find(&mut self, key: &Key, from: Timestamp, to: Timestamp) -> Vec<Place> {
        let hit = |place: &&Place| place.2 == *key && place.0 >= from && place.1 <= to;
        let mut expected: Vec<Place> =
            self.rows.keys().filter(hit).filter(|place| self.live(place)).cloned().collect();
        if self.options.in_memory_order {
            expected.sort_by_key(|place| (place.0, Reverse(place.1)));
        }
        let mut found = Vec::new();
        let visit = &mut |window: Window, value: &Value| {
            found.push(((window.end, window.start, key.clone()), value.clone()));
        };
        self.store().find_sessions(key, from, to, visit).unwrap();
        found.retain(|(place, _)| self.is_known(place));
        assert!(found.iter().all(|(place, value)| self.rows.get(place) == Some(value)));
        let found: Vec<Place> = found.into_iter().map(|(place, _)| place).collect();
        assert_eq!(found, expected);
        let mut backward = Vec::new();
        let visit = &mut |window: Window, _: &Value| backward.push((window.end, window.start, key.clone()));
        self.store().backward_find_sessions(key, from, to, visit).unwrap();
        backward.reverse();
        backward.retain(|place| self.is_known(place));
        assert_eq!(backward, expected);
        found
    }

    fn find_ended(&mut self, from: Timestamp, to: Timestamp) {
        let hit = |(place, _): &(&Place, &Value)| {
            place.0 >= from && place.0 <= to && self.kept(place) && self.is_known(place)
        };
        let mut expected: Vec<(Place, Value)> =
            self.rows.iter().filter(hit).map(|(place, value)| (place.clone(), value.clone())).collect();
        if self.options.in_memory_order {
            expected.sort_by_key(|(place, _)| (place.0, place.2.clone(), Reverse(place.1)));
        }
        let mut found = Vec::new();
        let visit = &mut |key, window: Window, value: &Value| {
            found.push(((window.end, window.start, key), value.clone()));
        };
        self.store().find_sessions_ended(from, to, visit).unwrap();
        found.retain(|(place, _)| self.is_known(place));
        assert_eq!(found, expected);
    }

    fn all(&mut self) {
        let mut expected: Vec<(Place, Value)> =
            self.rows.clone().into_iter().filter(|(place, _)| self.live(place)).collect();
        expected.sort_by_key(|(place, _)| (place.2.clone(), place.0, place.1));
        let mut found = Vec::new();
        let visit = &mut |key, window: Window, value: &Value| {
            found.push(((window.end, window.start, key), value.clone()));
        };
        self.store().for_each(visit).unwrap();
        let seen = found.len() as u64;
        found.retain(|(place, _)| self.is_known(place));
        assert_eq!(found, expected);
        self.of_keys(&found);
        assert!(self.store().approximate_num_entries() <= seen);
    }

    /// The sessions of some keys are those of all keys without the others, in the order of Kafka Streams, in both directions.
    fn of_keys(&mut self, all: &[(Place, Value)]) {
        let (low, latest_start, earliest_end) = (key(1), self.base + 5, self.base - 5);
        let fits = |place: &Place| place.2 >= low && place.1 <= latest_start && place.0 >= earliest_end;
        let mut expected: Vec<(Place, Value)> =
            all.iter().filter(|(place, _)| fits(place)).cloned().collect();
        let interval = self.options.segment_interval;
        match self.options.in_memory_order {
            true => expected.sort_by_key(|(place, _)| (place.0, place.2.clone(), Reverse(place.1))),
            false => expected
                .sort_by_key(|(place, _)| (place.0.div_euclid(interval), place.2.clone(), place.0, place.1)),
        }
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let visit = &mut |key, window: Window, value: &Value| {
            forward.push(((window.end, window.start, key), value.clone()));
        };
        let keys = (Some(&low), None);
        self.store().find_sessions_of_keys(keys, earliest_end, latest_start, visit).unwrap();
        forward.retain(|(place, _)| self.is_known(place));
        assert_eq!(forward, expected);
        let visit = &mut |key, window: Window, value: &Value| {
            backward.push(((window.end, window.start, key), value.clone()));
        };
        self.store().backward_find_sessions_of_keys(keys, earliest_end, latest_start, visit).unwrap();
        backward.retain(|(place, _)| self.is_known(place));
        assert!(backward.iter().rev().eq(&expected));
    }

    fn drain(&mut self) {
        let mut drained: Vec<Logged> = Vec::new();
        let sink = &mut |entry: streams_state::store::ChangelogEntry<'_>| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert!(entry.headers.is_empty());
            drained.push((entry.key.to_vec(), entry.value.map(text), entry.timestamp));
            Ok(())
        };
        self.store().drain_changelog(sink).unwrap();
        assert_eq!(drained, self.logged);
        self.pending.append(&mut self.logged);
    }

    /// Pops up to `most` updates. Returns whether the cache is empty now.
    fn pop(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let popped = self.store().pop_cached().unwrap();
            let expected = loop {
                if self.dirty.is_empty() {
                    break None;
                }
                let mut dirty = self.dirty.remove(0);
                dirty.before = dirty.before.filter(|_| self.live(&dirty.place));
                if dirty.before.is_some() || self.rows.contains_key(&dirty.place) {
                    break Some(dirty);
                }
            };
            let (Some(popped), Some(expected)) = (&popped, &expected) else {
                assert!(popped.is_none() && expected.is_none(), "{popped:?}");
                return true;
            };
            let row = self.log_held(expected);
            assert_eq!((&popped.key.key, popped.key.window), (&expected.place.2, window(&expected.place)));
            assert_eq!((&popped.context, popped.timestamp), (&expected.context, expected.place.0));
            assert_eq!(popped.change.new, row);
            let wanted = self.options.send_old_values;
            assert_eq!(popped.change.old, expected.before.clone().filter(|_| wanted));
        }
        self.dirty.is_empty()
    }

    fn write_cached(&mut self) {
        self.store().write_cached().unwrap();
        for dirty in std::mem::take(&mut self.dirty) {
            self.log_held(&dirty);
        }
    }

    fn commit(&mut self) {
        if self.clock % 2 == 0 {
            while !self.pop(100) {}
        } else {
            self.write_cached();
        }
        self.store().prepare_commit().unwrap();
        self.drain();
        self.changelog.append(&mut self.pending);
        let offset = self.options.logging.then_some(self.changelog.len() as i64);
        self.store().committed(offset);
        self.uncommitted = false;
    }

    fn flush(&mut self) {
        let result = self.store().flush();
        assert_eq!(result.is_err(), self.uncommitted || !self.dirty.is_empty());
        if result.is_ok() {
            assert_eq!(self.store().unflushed(), Default::default());
            if self.durable {
                self.flushed = (self.rows.clone(), self.stream_time, self.store().offset());
                // And what it knows of evicted keys, at the least.
                let max = self.options.tier_max_bytes + 128;
                assert!(self.store().memory_bytes() <= max);
            }
        }
    }

    /// Reopens the store and restores the tail of the changelog.
    fn crash(&mut self) {
        self.open();
        let (rows, stream_time, offset) = self.flushed.clone();
        assert_eq!(self.store().offset(), offset);
        (self.rows, self.stream_time) = (rows, stream_time);
        self.dirty.clear();
        self.logged.clear();
        self.pending.clear();
        self.uncommitted = false;
        self.restore(offset);
    }

    fn restore(&mut self, offset: Option<i64>) {
        if !self.options.logging {
            return;
        }
        let changelog = self.changelog.clone();
        let from = offset.unwrap_or(0);
        let in_bulk =
            self.options.bulk.is_some_and(|max| restore_in_bulk(self.store(), &changelog, from, max));
        for (key, value, timestamp) in changelog.into_iter().skip(from as usize) {
            if !in_bulk {
                self.store().restore(&key, value.as_ref().map(String::as_bytes), timestamp).unwrap();
            }
            let (key, window) = session_key::decode(&key).unwrap();
            let place = (window.end, window.start, String::from_utf8(key.to_vec()).unwrap());
            self.stream_time = self.stream_time.max(place.0);
            match value {
                Some(value) if self.kept(&place) => self.rows.insert(place, Some(value)),
                _ => self.rows.remove(&place),
            };
        }
        let reached = Some(self.changelog.len() as i64);
        if in_bulk {
            self.flushed = (self.rows.clone(), self.stream_time, reached);
        }
        self.store().committed(reached);
    }

    fn wipe(&mut self) {
        self.store().wipe().unwrap();
        assert_eq!((self.store().offset(), self.store().cached_bytes()), (None, 0));
        self.rows.clear();
        self.stream_time = -1;
        self.flushed = (Rows::new(), -1, None);
        self.dirty.clear();
        self.logged.clear();
        self.pending.clear();
        self.uncommitted = false;
        self.all();
        self.restore(None);
    }

    pub(crate) fn step(&mut self, op: &Op) {
        match op {
            Op::Put(number, start, length, content) => {
                self.put(&self.place(*number, *start, *length), Some(value(*content)));
            }
            Op::Remove(number, start, length) => {
                self.remove(&self.place(*number, *start, *length));
            }
            Op::Record(number, time) => self.record(*number, *time),
            Op::Advance(by) => self.base += i64::from(*by),
            Op::Fetch(number, start, length) => {
                let place = self.place(*number, *start, *length);
                if !self.is_known(&place) {
                    return;
                }
                let expected = self.row(&place);
                assert_eq!(self.store().fetch_session(&place.2, window(&place)).unwrap().cloned(), expected);
            }
            Op::Find(number, time, width) => {
                let from = self.base + i64::from(*time);
                self.find(&key(*number), from, from + i64::from(*width) - 10);
            }
            Op::FindEnded(time, width) => {
                let from = self.base + i64::from(*time) - 15;
                self.find_ended(from, from + i64::from(*width));
            }
            Op::All => self.all(),
            Op::Pop(most) => drop(self.pop(usize::from(*most))),
            Op::WriteCached => self.write_cached(),
            Op::Commit => self.commit(),
            Op::Flush => self.flush(),
            Op::CommitAndFlush => {
                self.commit();
                self.flush();
            }
            Op::Crash => self.crash(),
            Op::ToggleIndex => self.options.time_index = !self.options.time_index,
            Op::Wipe => self.wipe(),
        }
    }
}
