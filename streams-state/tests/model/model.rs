//! A store and its model, side by side.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde};
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};
use streams_state::types::{RecordContext, Timestamp};

use crate::Op;
use crate::bulk::restore_in_bulk;
use crate::engines::Opener;

type Key = String;
/// Null is a value of this type: writing it deletes.
type Value = Option<String>;
type Rows = BTreeMap<Key, (Value, Timestamp)>;
/// Key, value, timestamp.
type Logged = (Key, Option<String>, Timestamp);

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub timestamped: bool,
    pub caching: bool,
    pub logging: bool,
    pub send_old_values: bool,
    pub tier_max_bytes: u64,
    /// Restores in bulk, with so many bytes.
    pub bulk: Option<usize>,
}

/// A key whose update the cache holds back.
struct Dirty {
    key: Key,
    before: Option<Value>,
    context: RecordContext,
}

pub(crate) struct Run {
    options: Options,
    opener: Opener,
    store: Option<KeyValueStore<Key, Value>>,
    clock: i64,
    rows: Rows,
    dirty: Vec<Dirty>,
    /// Logged, not drained.
    logged: Vec<Logged>,
    /// Drained, not committed.
    pending: Vec<Logged>,
    /// Committed: the changelog topic.
    changelog: Vec<Logged>,
    uncommitted: bool,
    /// What the engine has.
    flushed: Rows,
    flushed_offset: Option<i64>,
    /// What is on its way to the engine.
    flying: Option<(Rows, Option<i64>)>,
    durable: bool,
}

fn key(number: u8) -> Key {
    let tail = if number.is_multiple_of(5) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{}{}{tail}", number % 3, number)
}

fn value(number: u8) -> Value {
    (!number.is_multiple_of(8)).then(|| "v".repeat(usize::from(number % 50)))
}

impl Run {
    pub(crate) fn new(options: Options, opener: Opener) -> Self {
        let mut run = Self {
            options,
            opener,
            store: None,
            clock: 0,
            rows: Rows::new(),
            dirty: Vec::new(),
            logged: Vec::new(),
            pending: Vec::new(),
            changelog: Vec::new(),
            uncommitted: false,
            flushed: Rows::new(),
            flushed_offset: None,
            flying: None,
            durable: true,
        };
        run.open();
        run
    }

    fn store(&mut self) -> &mut KeyValueStore<Key, Value> {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let engine = (self.opener)();
        self.durable = engine.is_durable();
        let options = KeyValueOptions {
            name: "s".into(),
            timestamped: self.options.timestamped,
            caching: self.options.caching,
            logging: self.options.logging,
            tier_max_bytes: self.options.tier_max_bytes,
        };
        let mut store = KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
        if self.options.send_old_values {
            store.send_old_values();
        }
        self.store = Some(store);
    }

    fn context(&mut self) -> RecordContext {
        self.clock += 1;
        RecordContext { offset: self.clock, ..RecordContext::none(1_000_000 + self.clock) }
    }

    /// The model of a change of `key`.
    fn change(
        &mut self,
        key: &Key,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(Value, Timestamp)>),
    ) {
        let mut row = self.rows.remove(key);
        let before = row.clone().map(|(value, _)| value);
        change(&mut row);
        if let Some(row) = row.filter(|(value, _)| value.is_some()) {
            self.rows.insert(key.clone(), row);
        }
        if !self.options.caching {
            return self.log(key, context);
        }
        let position = self.dirty.iter().position(|dirty| dirty.key == *key);
        let before =
            position.map(|position| self.dirty.remove(position)).map_or(before, |dirty| dirty.before);
        self.dirty.push(Dirty { key: key.clone(), before, context: context.clone() });
    }

    fn log(&mut self, key: &Key, context: &RecordContext) {
        self.uncommitted = true;
        if self.options.logging {
            let entry = match self.rows.get(key) {
                Some((value, timestamp)) if self.options.timestamped => {
                    (key.clone(), value.clone(), *timestamp)
                }
                row => (key.clone(), row.and_then(|(value, _)| value.clone()), context.timestamp),
            };
            self.logged.push(entry);
        }
    }

    fn drain(&mut self) {
        let mut drained: Vec<Logged> = Vec::new();
        let sink = &mut |entry: streams_state::store::ChangelogEntry<'_>| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            drained.push((text(entry.key), entry.value.map(text), entry.timestamp));
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
                let dirty = self.dirty.remove(0);
                if dirty.before.is_some() || self.rows.contains_key(&dirty.key) {
                    break Some(dirty);
                }
            };
            let (Some(popped), Some(expected)) = (&popped, &expected) else {
                assert!(popped.is_none() && expected.is_none(), "{popped:?}");
                return true;
            };
            self.log(&expected.key, &expected.context);
            let row = self.rows.get(&expected.key);
            assert_eq!((&popped.key, &popped.context), (&expected.key, &expected.context));
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
            self.log(&dirty.key, &dirty.context);
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
                self.flying = Some((self.rows.clone(), self.store().offset()));
                if self.store().finish_flush(false).unwrap() {
                    self.arrived();
                    // And what it knows of evicted keys and rows, at the least.
                    let max = self.options.tier_max_bytes / 8 * 9 + 2048;
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

    /// Whether the engine of the store, just opened, has what was on its way when the store was closed.
    fn found_what_flew(&mut self) -> bool {
        if self.flying.is_none() {
            return false;
        }
        let mut rows = Rows::new();
        self.store()
            .for_each(&mut |key, value, timestamp| drop(rows.insert(key, (value.clone(), timestamp))))
            .unwrap();
        let offset = self.store().offset();
        self.flying.as_ref().is_some_and(|flying| *flying == (rows, offset))
    }

    /// Reopens the store and restores the tail of the changelog.
    fn crash(&mut self) {
        self.open();
        if self.found_what_flew() {
            self.arrived();
        }
        self.flying = None;
        assert_eq!(self.store().offset(), self.flushed_offset);
        self.rows = self.flushed.clone();
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
            self.changelog.iter().map(|(k, v, at)| (k.clone().into_bytes(), v.clone(), *at)).collect();
        let in_bulk =
            self.options.bulk.is_some_and(|max| restore_in_bulk(self.store(), &changelog, from, max));
        for (key, value, timestamp) in &tail {
            let bytes = value.as_ref().map(String::as_bytes);
            if !in_bulk {
                self.store().restore(key.as_bytes(), bytes, *timestamp).unwrap();
            }
            match value {
                Some(_) => self.rows.insert(key.clone(), (value.clone(), *timestamp)),
                None => self.rows.remove(key),
            };
        }
        let end = self.changelog.len() as i64;
        if in_bulk {
            (self.flushed, self.flushed_offset) = (self.rows.clone(), Some(end));
        }
        self.store().committed(Some(end));
        assert_eq!(self.store().unflushed().records, if in_bulk { 0 } else { tail.len() as u64 });
        assert_eq!(self.store().offset(), Some(end));
    }

    pub(crate) fn step(&mut self, op: &Op) {
        match op {
            Op::Get(_) | Op::Scan | Op::Range(..) | Op::Prefix(_) => self.read(op),
            Op::Put(..)
            | Op::PutNone(_)
            | Op::Delete(_)
            | Op::PutIfAbsent(..)
            | Op::Append(..)
            | Op::Take(_)
            | Op::Fail(_) => self.write(op),
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
            Op::Restore(records) if self.options.logging => {
                for (number, text) in records {
                    self.changelog.push((key(*number), value(*text), 7));
                }
                self.crash();
            }
            Op::Restore(_) => {}
            Op::Wipe => {
                self.store().wipe().unwrap();
                self.flushed = Rows::new();
                self.flushed_offset = None;
                self.crash();
            }
        }
        let dirty = self.dirty.len();
        assert_eq!(self.store().cached_len(), dirty);
        assert_eq!(self.store().cached_bytes() == 0, dirty == 0);
    }

    fn read(&mut self, op: &Op) {
        let mut seen = Vec::new();
        let rows = self.rows.clone();
        let expected: Vec<(Key, Value, Timestamp)> = match op {
            Op::Get(number) => {
                let row = self.store().get(&key(*number)).unwrap().map(|(value, ts)| (value.clone(), ts));
                assert_eq!(row.as_ref(), rows.get(&key(*number)));
                let flushed = match self.dirty.iter().find(|dirty| dirty.key == key(*number)) {
                    Some(dirty) => dirty.before.clone(),
                    None => row.map(|(value, _)| value),
                };
                assert_eq!(self.store().get_flushed(&key(*number)).unwrap(), flushed);
                return;
            }
            Op::Scan => {
                let visit = &mut |key, value: &Value, ts| seen.push((key, value.clone(), ts));
                self.store().for_each(visit).unwrap();
                rows.into_iter().map(|(key, (value, ts))| (key, value, ts)).collect()
            }
            Op::Range(from, to, most) => {
                let (from, to, most) = (from.map(key), to.map(key), usize::from(*most) + 1);
                let visit = &mut |key, value: &Value, ts| {
                    seen.push((key, value.clone(), ts));
                    if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                self.store().range(from.as_ref(), to.as_ref(), visit).unwrap();
                let within = |key: &Key| {
                    from.as_ref().is_none_or(|from| key >= from) && to.as_ref().is_none_or(|to| key <= to)
                };
                let rows: Vec<_> = rows.into_iter().filter(|(key, _)| within(key)).collect();
                let mut backward = Vec::new();
                let visit = &mut |key, value: &Value, ts| {
                    backward.push((key, (value.clone(), ts)));
                    if backward.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                self.store().range_backward(from.as_ref(), to.as_ref(), visit).unwrap();
                assert!(backward.iter().eq(rows.iter().rev().take(most)));
                rows.into_iter().take(most).map(|(key, (value, ts))| (key, value, ts)).collect()
            }
            Op::Prefix(number) => {
                let prefix = format!("k{}", number % 3);
                let visit = &mut |key, value: &Value, ts| {
                    seen.push((key, value.clone(), ts));
                    ControlFlow::Continue(())
                };
                self.store().prefix_scan(prefix.as_bytes(), visit).unwrap();
                rows.into_iter()
                    .filter(|(key, _)| key.starts_with(&prefix))
                    .map(|(key, (value, ts))| (key, value, ts))
                    .collect()
            }
            other => unreachable!("{other:?} does not read"),
        };
        assert_eq!(seen, expected);
    }

    fn write(&mut self, op: &Op) {
        let context = self.context();
        match op {
            Op::Put(number, text, ts) => {
                let (key, value, ts) = (key(*number), value(*text), Timestamp::from(*ts));
                self.store().put(&key, Some(value.clone()), ts, &context).unwrap();
                self.change(&key, &context, |row| *row = Some((value, ts)));
            }
            Op::PutNone(number) => {
                self.store().put(&key(*number), None, 5, &context).unwrap();
                self.change(&key(*number), &context, |row| *row = None);
            }
            Op::Delete(number) => {
                let before = self.store().delete(&key(*number), &context).unwrap();
                assert_eq!(before.as_ref(), self.rows.get(&key(*number)).map(|(value, _)| value));
                self.change(&key(*number), &context, |row| *row = None);
            }
            Op::PutIfAbsent(number, text, ts) => {
                let (key, value, ts) = (key(*number), value(*text), Timestamp::from(*ts));
                let there = self.store().put_if_absent(&key, Some(value.clone()), ts, &context).unwrap();
                assert_eq!(there.as_ref(), self.rows.get(&key).map(|(value, _)| value));
                if there.is_none() {
                    self.change(&key, &context, |row| *row = Some((value, ts)));
                }
            }
            Op::Append(number, text, ts) => {
                let (key, text) = (key(*number), value(*text).unwrap_or_default());
                let ts = Timestamp::from(*ts);
                let append = |row: &mut Option<(Value, Timestamp)>| {
                    let (value, timestamp) = row.get_or_insert((Some(String::new()), ts));
                    value.get_or_insert_default().push_str(&text);
                    *timestamp = ts.max(*timestamp);
                };
                self.store().update(&key, &context, append).unwrap();
                self.change(&key, &context, append);
            }
            Op::Take(number) => {
                let taken = self.store().update(&key(*number), &context, Option::take).unwrap();
                assert_eq!(taken.as_ref(), self.rows.get(&key(*number)));
                self.change(&key(*number), &context, |row| *row = None);
            }
            Op::Fail(number) => {
                let failed =
                    self.store().try_update(&key(*number), &context, |_| Err::<(), _>("no")).unwrap();
                assert_eq!(failed, Err("no"));
            }
            other => unreachable!("{other:?} does not write"),
        }
        let bytes: &dyn Serde<Value> = &Auto;
        assert!(self.rows.values().all(|(value, _)| !bytes.is_null(value)));
    }
}
