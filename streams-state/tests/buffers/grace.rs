//! The grace buffer of stream-table joins and its model.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use streams_state::format::buffer_value::BufferValue;
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::serdes::Auto;
use streams_state::store::{BufferedRecord, GraceBuffer, GraceBufferOptions};
use streams_state::types::{Headers, SourceBytes, Timestamp};

use crate::Step;
use crate::engines::Opener;
use crate::life::{Life, Logged, Model};

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Buffers a record: time before the clock, key, value.
    Put(u8, u8, u8),
    /// Takes up to this many of the records that are due.
    Pop(u8),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..60_u8, 0..5_u8, any::<u8>()).prop_map(|(t, k, v)| Op::Put(t, k, v)),
        1 => (0..9_u8).prop_map(Op::Pop),
    ]
}

#[derive(Clone)]
pub(crate) struct Buffer {
    rows: BTreeMap<Vec<u8>, (String, String, ProcessorRecordContext)>,
    logged: Vec<Logged>,
    stream_time: Timestamp,
    number: i32,
    clock: i64,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), logged: Vec::new(), stream_time: -1, number: 0, clock: 0 }
    }
}

fn row_key(timestamp: Timestamp, key: &str, number: i32) -> Vec<u8> {
    [&[0][..], &timestamp.to_be_bytes(), key.as_bytes(), &number.to_be_bytes()].concat()
}

impl Buffer {
    fn log(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.logged.push(Logged { key, value, timestamp: -1, headers: Headers::EMPTY });
    }
}

impl Model for Buffer {
    fn take_logged(&mut self, _commit: bool) -> Vec<Logged> {
        std::mem::take(&mut self.logged)
    }

    fn restore(&mut self, record: &Logged) {
        let (timestamp, rest) = record.key[1..].split_first_chunk().unwrap();
        let (key, number) = rest.split_last_chunk().unwrap();
        self.stream_time = self.stream_time.max(i64::from_be_bytes(*timestamp));
        self.number = self.number.max(i32::from_be_bytes(*number));
        match &record.value {
            Some(bytes) => {
                let value = BufferValue::decode(bytes).unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let row = (text(key), text(value.new.unwrap()), value.context);
                self.rows.insert(record.key.clone(), row);
            }
            None => drop(self.rows.remove(&record.key)),
        }
    }
}

type Run = Life<GraceBuffer<String, String>, Buffer>;

fn put(run: &mut Run, grace: i64, (back, number, content): (u8, u8, u8)) {
    let model = &mut run.model;
    model.clock += 3;
    let timestamp = (model.clock - i64::from(back)).max(0);
    let context = ProcessorRecordContext {
        topic: "topic".into(),
        partition: 0,
        offset: model.clock,
        timestamp,
        headers: Headers::EMPTY,
    };
    let (key, value) = ("k".repeat(usize::from(number)), "v".repeat(usize::from(content)));
    let expected = timestamp >= model.stream_time - grace;
    if expected {
        model.number += 1;
        model.stream_time = model.stream_time.max(timestamp);
        let row = row_key(timestamp, &key, model.number);
        let mut bytes = Vec::new();
        let stored =
            BufferValue { context: context.clone(), prior: None, old: None, new: Some(value.as_bytes()) };
        stored.encode_changelog(0, &mut bytes);
        model.rows.insert(row.clone(), (key.clone(), value.clone(), context.clone()));
        model.log(row, Some(bytes));
        run.uncommitted = true;
    }
    assert_eq!(run.store().put(&key, &value, &context).unwrap(), expected);
}

fn pop(run: &mut Run, grace: i64, most: u8) {
    for _ in 0..most {
        let model = &mut run.model;
        let due = model.stream_time - grace;
        let first = model.rows.first_key_value().filter(|(_, (_, _, context))| context.timestamp <= due);
        let expected = first.map(|(row, (key, value, context))| {
            let (key, value, context) = (key.clone(), value.clone(), context.clone());
            (row.clone(), BufferedRecord { key, value, context, source_bytes: SourceBytes::NONE })
        });
        let expected = expected.map(|(row, record)| {
            model.rows.remove(&row);
            model.log(row, None);
            record
        });
        run.uncommitted |= expected.is_some();
        assert_eq!(run.store().pop_due().unwrap(), expected);
    }
}

pub(crate) fn check(logging: bool, memory: Option<u64>, grace: i64, steps: &[Step<Op>], opener: Opener) {
    let make = move |engine| {
        let options = GraceBufferOptions {
            name: "s".into(),
            grace,
            logging,
            memory_max_bytes: memory.unwrap_or(u64::MAX),
        };
        GraceBuffer::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    };
    let mut run = Life::new(Box::new(make), opener, logging, memory);
    for step in steps {
        match step {
            Step::Op(Op::Put(back, key, value)) => put(&mut run, grace, (*back, *key, *value)),
            Step::Op(Op::Pop(most)) => pop(&mut run, grace, *most),
            Step::Event(event) => run.event(*event),
        }
        let expected = (run.model.rows.len() as u64, run.model.stream_time);
        assert_eq!((run.store().num_records(), run.store().stream_time()), expected);
    }
    pop(&mut run, grace, 200);
}
