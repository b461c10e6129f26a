//! The suppress buffer and its model.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use streams_state::format::buffer_value::BufferValue;
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::serdes::Auto;
use streams_state::store::{BufferedChange, ChangeBuffer, ChangeBufferOptions};
use streams_state::types::{Change, Headers, SourceBytes, Timestamp};

use crate::Step;
use crate::engines::Opener;
use crate::life::{Life, Logged, Model};

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Buffers a change: time, key, old and new value.
    Put(i8, u8, u8, u8),
    /// Evicts while there are more records than this.
    EvictRecords(u8),
    /// Evicts while there are more bytes than this times 100.
    EvictBytes(u8),
    /// Evicts what is not later than this.
    EvictTime(i8),
    /// Evicts the first row.
    EvictOne,
    /// Asks for the value before.
    Prior(u8),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (any::<i8>(), 0..60_u8, any::<u8>(), any::<u8>()).prop_map(|(t, k, o, n)| Op::Put(t, k, o, n)),
        1 => (0..60_u8).prop_map(Op::EvictRecords),
        1 => any::<u8>().prop_map(Op::EvictBytes),
        1 => any::<i8>().prop_map(Op::EvictTime),
        2 => Just(Op::EvictOne),
        3 => (0..60_u8).prop_map(Op::Prior),
    ]
}

type Value = Option<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    prior: Value,
    old: Value,
    new: Value,
    context: ProcessorRecordContext,
}

#[derive(Clone, Default)]
pub(crate) struct Buffer {
    rows: BTreeMap<(Timestamp, String), Row>,
    dirty: Vec<String>,
    clock: i64,
}

fn key(number: u8) -> String {
    let tail = if number.is_multiple_of(4) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{number}{tail}")
}

fn value(number: u8) -> Value {
    (!number.is_multiple_of(5)).then(|| "v".repeat(usize::from(number % 7) * 20))
}

impl Buffer {
    fn place(&self, key: &str) -> Option<(Timestamp, String)> {
        self.rows.keys().find(|(_, other)| other == key).cloned()
    }

    fn touch(&mut self, key: &str) {
        if !self.dirty.iter().any(|other| other == key) {
            self.dirty.push(key.to_owned());
        }
    }

    fn put(&mut self, time: Timestamp, key: &str, change: &Change<String>, context: &ProcessorRecordContext) {
        let place = self.place(key).unwrap_or((time, key.to_owned()));
        let prior = self.rows.get(&place).map_or(change.old.clone(), |row| row.prior.clone());
        let (old, new, context) = (change.old.clone(), change.new.clone(), context.clone());
        self.rows.insert(place, Row { prior, old, new, context });
        self.touch(key);
    }

    fn bytes(&self) -> u64 {
        let len = |value: &Value| value.as_ref().map_or(0, String::len);
        let row = |((_, key), row): (&(Timestamp, String), &Row)| {
            let old = if row.old == row.prior { 0 } else { len(&row.old) };
            let headers: usize = row.context.headers.iter().map(|header| header.key.len() + 2).sum();
            8 + key.len() + len(&row.prior) + old + len(&row.new) + 20 + row.context.topic.len() + headers
        };
        self.rows.iter().map(row).sum::<usize>() as u64
    }

    fn min(&self) -> Timestamp {
        self.rows.first_key_value().map_or(i64::MAX, |((time, _), _)| *time)
    }

    fn pop(&mut self) -> Option<BufferedChange<String, String>> {
        let ((time, key), row) = self.rows.pop_first()?;
        self.touch(&key);
        let (change, source_bytes) = (Change::latest(row.old, row.new), SourceBytes::NONE);
        Some(BufferedChange { key, change, time, context: row.context, source_bytes })
    }

    fn evict_while(
        &mut self,
        wanted: impl Fn(u64, u64, Timestamp) -> bool,
    ) -> Vec<BufferedChange<String, String>> {
        let mut evicted = Vec::new();
        while !self.rows.is_empty() && wanted(self.rows.len() as u64, self.bytes(), self.min()) {
            evicted.extend(self.pop());
        }
        evicted
    }
}

/// Buckets of a hash set as Java grows them are the business of a unit test: here the order is that of the keys.
fn sorted(mut logged: Vec<Logged>) -> Vec<Logged> {
    logged.sort_by(|left, right| left.key.cmp(&right.key));
    logged
}

impl Model for Buffer {
    fn take_logged(&mut self, commit: bool) -> Vec<Logged> {
        if !commit {
            return Vec::new();
        }
        let dirty = std::mem::take(&mut self.dirty);
        let logged = dirty.into_iter().map(|key| {
            let row = self.place(&key).map(|place| (place.0, &self.rows[&place]));
            let mut headers = Headers::EMPTY;
            let value = row.map(|(time, row)| {
                headers.add("v", Some(vec![3]));
                let mut out = Vec::new();
                let value = BufferValue {
                    context: row.context.clone(),
                    prior: row.prior.as_ref().map(String::as_bytes),
                    old: row.old.as_ref().map(String::as_bytes),
                    new: row.new.as_ref().map(String::as_bytes),
                };
                value.encode_changelog(time, &mut out);
                out
            });
            Logged { key: key.into_bytes(), value, timestamp: -1, headers }
        });
        sorted(logged.collect())
    }

    fn restore(&mut self, record: &Logged) {
        let key = String::from_utf8(record.key.clone()).unwrap();
        let place = self.place(&key);
        let Some(bytes) = &record.value else {
            place.map(|place| self.rows.remove(&place));
            return;
        };
        let (time, value) = BufferValue::decode_changelog(bytes).unwrap();
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let (prior, old, new) = (text(value.prior), text(value.old), text(value.new));
        // What the record says is all, its place, too: the key may have gone out and come again since the last commit.
        place.map(|place| self.rows.remove(&place));
        self.rows.insert((time, key), Row { prior, old, new, context: value.context });
    }

    fn arrange(drained: Vec<Logged>) -> Vec<Logged> {
        sorted(drained)
    }
}

type Run = Life<ChangeBuffer<String, String>, Buffer>;

fn agree(run: &mut Run) {
    let expected = (run.model.rows.len() as u64, run.model.bytes(), run.model.min());
    let store = run.store();
    assert_eq!((store.num_records(), store.buffer_size(), store.min_timestamp()), expected);
}

fn evict(run: &mut Run, wanted: impl Fn(u64, u64, Timestamp) -> bool) {
    let expected = run.model.evict_while(&wanted);
    let mut evicted = Vec::new();
    run.store().evict_while(&wanted, |change| evicted.push(change)).unwrap();
    assert_eq!(evicted, expected);
    run.uncommitted |= !evicted.is_empty();
}

fn apply(run: &mut Run, op: &Op) {
    match op {
        Op::Put(time, number, old, new) => {
            run.model.clock += 1;
            let clock = run.model.clock;
            let mut headers = Headers::EMPTY;
            if clock % 3 == 0 {
                headers.add("header", Some(vec![1, 2]));
            }
            let topic = if clock % 2 == 0 { "topic" } else { "other-topic" };
            let context = ProcessorRecordContext {
                topic: topic.into(),
                partition: 1,
                offset: clock,
                timestamp: clock,
                headers,
            };
            let change = Change::latest(value(*old), value(*new));
            run.store().put(i64::from(*time), &key(*number), &change, &context).unwrap();
            run.model.put(i64::from(*time), &key(*number), &change, &context);
            run.uncommitted = true;
        }
        Op::EvictRecords(most) => evict(run, |records, _, _| records > u64::from(*most)),
        Op::EvictBytes(most) => evict(run, |_, bytes, _| bytes > u64::from(*most) * 100),
        Op::EvictTime(time) => evict(run, |_, _, min| min <= i64::from(*time)),
        Op::EvictOne => {
            let expected = run.model.pop();
            assert_eq!(run.store().first().unwrap(), expected);
            run.store().remove_first().unwrap();
            run.uncommitted |= expected.is_some();
        }
        Op::Prior(number) => {
            let place = run.model.place(&key(*number));
            let expected = place.map(|place| run.model.rows[&place].prior.clone());
            assert_eq!(run.store().prior_value_for_buffered(&key(*number)).unwrap(), expected);
        }
    }
}

pub(crate) fn check(logging: bool, memory: Option<u64>, steps: &[Step<Op>], opener: Opener) {
    let make = move |engine| {
        let options = ChangeBufferOptions { name: "s".into(), logging, spill: memory };
        ChangeBuffer::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    };
    let mut run = Life::new(Box::new(make), opener, logging, memory);
    for step in steps {
        match step {
            Step::Op(op) => apply(&mut run, op),
            Step::Event(event) => run.event(*event),
        }
        agree(&mut run);
    }
    evict(&mut run, |_, _, _| true);
    agree(&mut run);
}
