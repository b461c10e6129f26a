//! A window store and its model, side by side: writes, cache, changelog, commit, crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::format::window_key::WindowKey;
use streams_state::serdes::Auto;
use streams_state::store::{CachedStore, ChangelogEntry, StateStore, WindowOptions, WindowStore};
use streams_state::types::{RecordContext, Timestamp, Window};

use crate::bulk::restore_in_bulk;
use crate::engines::Opener;
use crate::{At, Op};

pub(crate) type Key = String;
/// Null is a value of this type: writing it deletes.
pub(crate) type Value = Option<String>;
/// Start, key, sequence: the order in which rows are visited.
type Rows = BTreeMap<(Timestamp, Key, u32), (Value, Timestamp)>;
/// Key, value, timestamp, number of headers.
type Logged = (Vec<u8>, Option<String>, Timestamp, usize);

const RETENTION: i64 = 100;
const WINDOW_SIZE: i64 = 10;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub timestamped: bool,
    pub caching: bool,
    pub logging: bool,
    pub send_old_values: bool,
    pub persistent: bool,
    pub ordered_by_time: bool,
    pub retain_duplicates: bool,
    pub headers: bool,
    pub tier_max_bytes: u64,
    pub segment_interval: i64,
    /// Restores in bulk, with so many bytes.
    pub bulk: Option<usize>,
}

/// A row whose update the cache holds back.
struct Dirty {
    start: Timestamp,
    key: Key,
    before: Option<Value>,
    context: RecordContext,
}

/// What a row store has: rows, the largest start, the last sequence.
#[derive(Clone)]
pub(crate) struct State {
    pub rows: Rows,
    pub stream_time: Timestamp,
    sequence: u32,
}

pub(crate) struct Run {
    pub options: Options,
    opener: Opener,
    store: Option<WindowStore<Key, Value>>,
    clock: i64,
    pub now: State,
    dirty: Vec<Dirty>,
    /// Logged, not drained.
    logged: Vec<Logged>,
    /// Drained, not committed.
    pending: Vec<Logged>,
    /// Committed: the changelog topic.
    changelog: Vec<Logged>,
    uncommitted: bool,
    /// What the engine has.
    flushed: State,
    flushed_offset: Option<i64>,
    /// What is on its way to the engine.
    flying: Option<(State, Option<i64>)>,
    durable: bool,
}

/// Keys of different lengths, some of them the beginning of others.
pub(crate) fn key(number: u8) -> Key {
    let tail = if number.is_multiple_of(5) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("{}{tail}", "k".repeat(usize::from(number % 4)) + &number.to_string())
}

fn value(number: u8) -> Value {
    (!number.is_multiple_of(8)).then(|| "v".repeat(usize::from(number % 50)))
}

impl State {
    fn empty() -> Self {
        Self { rows: Rows::new(), stream_time: -1, sequence: 0 }
    }
}

impl Run {
    pub(crate) fn new(options: Options, opener: Opener) -> Self {
        let mut run = Self {
            options,
            opener,
            store: None,
            clock: 0,
            now: State::empty(),
            dirty: Vec::new(),
            logged: Vec::new(),
            pending: Vec::new(),
            changelog: Vec::new(),
            uncommitted: false,
            flushed: State::empty(),
            flushed_offset: None,
            flying: None,
            durable: true,
        };
        run.open();
        run
    }

    pub(crate) fn store(&mut self) -> &mut WindowStore<Key, Value> {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let engine = (self.opener)();
        self.durable = engine.is_durable();
        let options = WindowOptions {
            segment_interval: self.options.segment_interval,
            retain_duplicates: self.options.retain_duplicates,
            timestamped: self.options.timestamped,
            headers: self.options.headers,
            caching: self.options.caching,
            logging: self.options.logging,
            persistent: self.options.persistent,
            ordered_by_time: self.options.ordered_by_time,
            tier_max_bytes: self.options.tier_max_bytes,
            expired_max_bytes: 0,
            ..WindowOptions::new("s", RETENTION, WINDOW_SIZE)
        };
        let mut store = WindowStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
        if self.options.send_old_values {
            store.send_old_values();
        }
        self.store = Some(store);
    }

    fn context(&mut self) -> RecordContext {
        self.clock += 1;
        let mut context = RecordContext { offset: self.clock, ..RecordContext::none(1_000_000 + self.clock) };
        for _ in 0..self.clock % 3 {
            context.headers.add("h", None);
        }
        context
    }

    pub(crate) fn start(&self, distance: u8) -> Timestamp {
        (self.now.stream_time - 115 + i64::from(distance)).max(0)
    }

    /// The first start that is not expired.
    pub(crate) fn horizon(&self) -> Timestamp {
        let expired = self.now.stream_time - RETENTION;
        if self.options.persistent && self.options.ordered_by_time { expired } else { expired + 1 }
    }

    /// Whether the model knows what a change at `start` does: a cached store may still have rows that are too old.
    pub(crate) fn is_known(&self, start: Timestamp) -> bool {
        !self.options.caching || start >= self.horizon()
    }

    /// Whether the store counts a put at `start` as dropped.
    fn refuses(&self, start: Timestamp) -> bool {
        let (expired, interval) =
            (self.now.stream_time.max(start) - RETENTION, self.options.segment_interval);
        if self.options.persistent { start / interval < expired / interval } else { start <= expired }
    }

    /// The model of a change of a row that is not expired.
    fn change(
        &mut self,
        (key, start): (&Key, Timestamp),
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(Value, Timestamp)>),
    ) {
        let at = (start, key.clone(), 0);
        let mut row = self.now.rows.remove(&at);
        let before = row.clone().map(|(value, _)| value);
        change(&mut row);
        if let Some(row) = row.filter(|(value, _)| value.is_some()) {
            self.now.rows.insert(at, row);
        }
        if !self.options.caching {
            self.now.stream_time = self.now.stream_time.max(start);
            return self.log_row(key, start, context);
        }
        let position = self.dirty.iter().position(|dirty| dirty.key == *key && dirty.start == start);
        let before =
            position.map(|position| self.dirty.remove(position)).map_or(before, |dirty| dirty.before);
        self.dirty.push(Dirty { start, key: key.clone(), before, context: context.clone() });
    }

    fn log_row(&mut self, key: &Key, start: Timestamp, context: &RecordContext) {
        let row = self.now.rows.get(&(start, key.clone(), 0)).cloned();
        self.log((key, start, 0), row, context);
    }

    fn log(
        &mut self,
        (key, start, sequence): (&Key, Timestamp, u32),
        row: Option<(Value, Timestamp)>,
        context: &RecordContext,
    ) {
        self.uncommitted = true;
        if self.options.logging {
            let timestamp = match &row {
                Some((Some(_), timestamp)) if self.options.timestamped => *timestamp,
                _ => context.timestamp,
            };
            let headers = if self.options.headers { context.headers.iter().count() } else { 0 };
            let value = row.and_then(|(value, _)| value);
            self.logged.push((log_key(key, start, sequence), value, timestamp, headers));
        }
    }

    fn drain(&mut self) {
        let mut drained: Vec<Logged> = Vec::new();
        let sink = &mut |entry: ChangelogEntry<'_>| {
            let value = entry.value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            drained.push((entry.key.to_vec(), value, entry.timestamp, entry.headers.iter().count()));
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
                dirty.before = dirty.before.filter(|_| dirty.start >= self.horizon());
                if dirty.before.is_some() || self.now.rows.contains_key(&(dirty.start, dirty.key.clone(), 0))
                {
                    break Some(dirty);
                }
            };
            let (Some(popped), Some(expected)) = (&popped, &expected) else {
                assert!(popped.is_none() && expected.is_none(), "{popped:?}");
                return true;
            };
            self.now.stream_time = self.now.stream_time.max(expected.start);
            self.log_row(&expected.key, expected.start, &expected.context);
            let row = self.now.rows.get(&(expected.start, expected.key.clone(), 0));
            assert_eq!((&popped.key.key, &popped.context), (&expected.key, &expected.context));
            let window = Window { start: expected.start, end: expected.start + WINDOW_SIZE };
            assert_eq!(popped.key.window, window);
            assert_eq!(popped.change.new, row.map(|(value, _)| value.clone()));
            let timestamp = match row {
                Some((_, timestamp)) if self.options.timestamped => *timestamp,
                _ => expected.context.timestamp,
            };
            assert_eq!(popped.timestamp, timestamp);
            let wanted = self.options.send_old_values;
            assert_eq!(popped.change.old, expected.before.clone().filter(|_| wanted));
        }
        self.dirty.is_empty()
    }

    fn write_cached(&mut self) {
        self.store().write_cached().unwrap();
        for dirty in std::mem::take(&mut self.dirty) {
            self.now.stream_time = self.now.stream_time.max(dirty.start);
            self.log_row(&dirty.key, dirty.start, &dirty.context);
        }
    }

    fn commit(&mut self) {
        if self.clock % 2 == 0 {
            while !self.pop(100) {}
        } else {
            self.write_cached();
        }
        self.drain();
        self.changelog.append(&mut self.pending);
        let offset = self.options.logging.then_some(self.changelog.len() as i64);
        self.store().committed(offset);
        self.uncommitted = false;
    }

    /// Half of the flushes wait; the others may be on their way for a while.
    fn flush(&mut self) {
        let wait = self.clock % 2 == 0;
        if !self.store().finish_flush(wait).unwrap() {
            return;
        }
        self.arrived();
        let result = if wait { self.store().flush() } else { self.store().start_flush() };
        assert_eq!(result.is_err(), self.uncommitted || !self.dirty.is_empty());
        if result.is_ok() {
            assert_eq!(self.store().unflushed(), Default::default());
            if self.durable {
                self.flying = Some((self.now.clone(), self.store().offset()));
                if self.store().finish_flush(false).unwrap() {
                    self.arrived();
                    let max = self.options.tier_max_bytes;
                    assert!(self.store().memory_bytes() <= max);
                }
            }
        }
    }

    /// What was on its way to the engine has arrived.
    fn arrived(&mut self) {
        if let Some(arrived) = self.flying.take() {
            (self.flushed, self.flushed_offset) = arrived;
        }
    }

    /// Whether the engine of the store, just opened, has what was on its way when the store was closed. A store without changelog
    /// could not tell.
    fn found_what_flew(&mut self) -> bool {
        let offset = self.store().offset();
        self.flying.as_ref().is_some_and(|(_, flying)| self.options.logging && *flying == offset)
    }

    /// Reopens the store and restores the tail of the changelog.
    fn crash(&mut self) {
        self.open();
        if self.found_what_flew() {
            self.arrived();
        }
        self.flying = None;
        assert_eq!(self.store().offset(), self.flushed_offset);
        assert_eq!(self.store().stream_time(), self.flushed.stream_time);
        self.now = self.flushed.clone();
        self.dirty.clear();
        self.logged.clear();
        self.pending.clear();
        self.uncommitted = false;
        if !self.options.logging {
            return;
        }
        let from = self.flushed_offset.unwrap_or(0);
        let tail = self.changelog[from as usize..].to_vec();
        let changelog: Vec<_> =
            self.changelog.iter().map(|(k, v, at, _)| (k.clone(), v.clone(), *at)).collect();
        let in_bulk =
            self.options.bulk.is_some_and(|max| restore_in_bulk(self.store(), &changelog, from, max));
        for (key, value, timestamp, _) in &tail {
            let bytes = value.as_ref().map(String::as_bytes);
            if !in_bulk {
                self.store().restore(key, bytes, *timestamp).unwrap();
            }
            let at = WindowKey::decode(key).unwrap();
            self.now.stream_time = self.now.stream_time.max(at.start);
            if self.options.retain_duplicates {
                self.now.sequence = at.sequence as u32;
            }
            if at.start >= self.horizon() {
                let place = (at.start, String::from_utf8(at.key.to_vec()).unwrap(), at.sequence as u32);
                match value {
                    Some(_) => self.now.rows.insert(place, (value.clone(), *timestamp)),
                    None => self.now.rows.remove(&place),
                };
            }
        }
        let end = self.changelog.len() as i64;
        if in_bulk {
            (self.flushed, self.flushed_offset) = (self.now.clone(), Some(end));
        }
        self.store().committed(Some(end));
        assert_eq!(self.store().unflushed().records, if in_bulk { 0 } else { tail.len() as u64 });
        assert_eq!(self.store().offset(), Some(end));
    }

    pub(crate) fn step(&mut self, op: &Op) {
        match op {
            Op::Fetch(_) | Op::Range(..) | Op::All { .. } | Op::Everything => self.read(op),
            Op::Put(..) | Op::PutNone(_) | Op::Append(..) | Op::Take(_) | Op::Fail(_) => self.write(op),
            Op::Drain => self.drain(),
            Op::Pop(most) => drop(self.pop(usize::from(*most))),
            Op::WriteCached => self.write_cached(),
            Op::Commit => self.commit(),
            Op::Flush => self.flush(),
            Op::CommitAndFlush => {
                self.commit();
                self.flush();
            }
            Op::Crash => self.crash(),
            Op::Restore(records) if self.options.logging => self.others_wrote(records),
            Op::Restore(_) => {}
            Op::Wipe => {
                self.store().wipe().unwrap();
                self.flushed = State::empty();
                self.flushed_offset = None;
                self.crash();
            }
        }
        let (dirty, time) = (self.dirty.len(), self.now.stream_time);
        assert_eq!(self.store().cached_len(), dirty);
        assert_eq!(self.store().cached_bytes() == 0, dirty == 0);
        assert_eq!(self.store().stream_time(), time);
    }

    fn others_wrote(&mut self, records: &[(At, u8)]) {
        let newest = self.changelog.last().map_or(0, |last| WindowKey::decode(&last.0).unwrap().sequence);
        for (sequence, ((number, distance), text)) in (newest as u32 + 1..).zip(records) {
            let sequence = if self.options.retain_duplicates { sequence } else { 0 };
            let key = log_key(&key(*number), self.start(*distance), sequence);
            self.changelog.push((key, value(*text), 7, 0));
        }
        self.crash();
    }

    fn write(&mut self, op: &Op) {
        let context = self.context();
        match op {
            Op::Put((number, distance), text, ts) => {
                let (key, start) = (key(*number), self.start(*distance));
                self.put(&key, start, Some((value(*text), Timestamp::from(*ts))), &context);
            }
            Op::PutNone((number, distance)) => {
                let (key, start) = (key(*number), self.start(*distance));
                self.put(&key, start, None, &context);
            }
            Op::Append((number, distance), text, ts) => {
                let (text, ts) = (value(*text).unwrap_or_default(), Timestamp::from(*ts));
                self.update((*number, *distance), &context, |row: &mut Option<(Value, Timestamp)>| {
                    let (value, timestamp) = row.get_or_insert((Some(String::new()), ts));
                    value.get_or_insert_default().push_str(&text);
                    *timestamp = ts.max(*timestamp);
                });
            }
            Op::Take(at) => self.update(*at, &context, |row| *row = None),
            Op::Fail((number, distance)) => {
                let (key, start) = (key(*number), self.start(*distance));
                if !self.is_known(start) {
                    return;
                }
                let failed = self.store().try_update(&key, start, &context, |_| Err::<(), _>("no")).unwrap();
                assert_eq!(failed, (start >= self.horizon()).then_some(Err("no")));
            }
            other => unreachable!("{other:?} does not write"),
        }
    }

    fn put(&mut self, key: &Key, start: Timestamp, row: Option<(Value, Timestamp)>, context: &RecordContext) {
        if !self.is_known(start) {
            return;
        }
        let (new, timestamp) = row.clone().map_or((None, 5), |(value, timestamp)| (Some(value), timestamp));
        let accepted = self.store().put(key, start, new, timestamp, context).unwrap();
        if self.options.retain_duplicates {
            self.put_duplicate(key, start, row, accepted, context);
        } else if start < self.horizon() {
            assert_eq!(accepted, !self.refuses(start));
            self.log((key, start, 0), row, context);
        } else {
            assert!(accepted);
            self.change((key, start), context, |old| *old = row);
        }
    }

    fn put_duplicate(
        &mut self,
        key: &Key,
        start: Timestamp,
        row: Option<(Value, Timestamp)>,
        accepted: bool,
        context: &RecordContext,
    ) {
        self.now.sequence += 1;
        let at = (start, key.clone(), self.now.sequence);
        self.log((key, start, at.2), row.clone(), context);
        match row.filter(|(value, _)| value.is_some()) {
            None if self.options.persistent => assert!(accepted),
            row => {
                assert_eq!(accepted, !self.refuses(start));
                self.now.stream_time = self.now.stream_time.max(start);
                if let Some(row) = row.filter(|_| start >= self.horizon()) {
                    self.now.rows.insert(at, row);
                }
            }
        }
    }

    fn update(
        &mut self,
        (number, distance): At,
        context: &RecordContext,
        change: impl Fn(&mut Option<(Value, Timestamp)>),
    ) {
        let (key, start) = (key(number), self.start(distance));
        if !self.is_known(start) {
            return;
        }
        let mut before = None;
        let done = self.store().update(&key, start, context, |row| {
            before = row.clone();
            change(row);
        });
        let expired = start < self.horizon();
        assert_eq!(done.unwrap(), (!expired).then_some(()));
        if expired {
            return;
        }
        if self.options.retain_duplicates {
            let mut row = None;
            change(&mut row);
            return self.put_duplicate(&key, start, row, true, context);
        }
        assert_eq!(before.as_ref(), self.now.rows.get(&(start, key.clone(), 0)));
        self.change((&key, start), context, change);
    }
}

fn log_key(key: &Key, start: Timestamp, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    WindowKey { key: key.as_bytes(), start, sequence: sequence as i32 }.encode(&mut bytes);
    bytes
}
