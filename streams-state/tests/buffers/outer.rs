//! The store of outer joins and its model.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use streams_state::format::list;
use streams_state::serdes::Auto;
use streams_state::store::{JoinSide, LeftOrRight, OuterJoinOptions, OuterJoinStore};
use streams_state::types::{Headers, RecordContext, Timestamp};

use crate::Step;
use crate::engines::Opener;
use crate::life::{Life, Logged, Model};

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Adds a value: time, side, key, value.
    Put(u8, bool, u8, u8),
    /// Removes a key, whether it is there or not.
    Remove(u8, bool, u8),
    /// Removes a key if it is there.
    RemoveIfPresent(u8, bool, u8),
    /// Emits what is not later than this: collects and removes.
    Emit(u8),
    /// Reads up to this many rows.
    Scan(u8),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let (time, key) = (0..20_u8, 0..4_u8);
    prop_oneof![
        8 => (time.clone(), any::<bool>(), key.clone(), any::<u8>()).prop_map(|(t, s, k, v)| Op::Put(t, s, k, v)),
        1 => (time.clone(), any::<bool>(), key.clone()).prop_map(|(t, s, k)| Op::Remove(t, s, k)),
        3 => (time.clone(), any::<bool>(), key).prop_map(|(t, s, k)| Op::RemoveIfPresent(t, s, k)),
        1 => time.prop_map(Op::Emit),
        2 => (0..50_u8).prop_map(Op::Scan),
    ]
}

type Value = LeftOrRight<String, i64>;
type Place = (Timestamp, JoinSide, String);
type Row = (Place, Vec<Value>);

#[derive(Clone, Default)]
pub(crate) struct Waiting {
    rows: BTreeMap<Place, Vec<Value>>,
    logged: Vec<Logged>,
    clock: i64,
}

fn key(number: u8) -> String {
    let tail = if number.is_multiple_of(3) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{number}{tail}")
}

fn place(time: u8, left: bool, number: u8) -> Place {
    let side = if left { JoinSide::Left } else { JoinSide::Right };
    (i64::from(time) * 100, side, key(number))
}

fn value(side: JoinSide, content: u8) -> Value {
    match side {
        JoinSide::Left => LeftOrRight::Left("v".repeat(usize::from(content))),
        JoinSide::Right => LeftOrRight::Right(i64::from(content)),
    }
}

fn element(value: &Value) -> Vec<u8> {
    match value {
        LeftOrRight::Left(text) => [&[1], text.as_bytes()].concat(),
        LeftOrRight::Right(number) => [&[0][..], &number.to_be_bytes()].concat(),
    }
}

impl Waiting {
    fn log(&mut self, place: &Place, timestamp: Timestamp) {
        let key =
            [&place.0.to_be_bytes(), &[u8::from(place.1 == JoinSide::Left)][..], place.2.as_bytes()].concat();
        let value = self.rows.get(place).map(|values| {
            let elements: Vec<Vec<u8>> = values.iter().map(element).collect();
            let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            list::encode_slices(&elements, &mut out);
            out
        });
        self.logged.push(Logged { key, value, timestamp, headers: Headers::EMPTY });
    }
}

impl Model for Waiting {
    fn take_logged(&mut self, _commit: bool) -> Vec<Logged> {
        std::mem::take(&mut self.logged)
    }

    fn restore(&mut self, record: &Logged) {
        let (timestamp, rest) = record.key.split_first_chunk().unwrap();
        let side = if rest[0] == 1 { JoinSide::Left } else { JoinSide::Right };
        let place = (i64::from_be_bytes(*timestamp), side, String::from_utf8(rest[1..].to_vec()).unwrap());
        let Some(bytes) = &record.value else {
            self.rows.remove(&place);
            return;
        };
        let elements = list::decode(bytes, None).unwrap();
        let read = |element: Option<Cow<'_, [u8]>>| match element.as_deref().unwrap() {
            [1, text @ ..] => LeftOrRight::Left(String::from_utf8(text.to_vec()).unwrap()),
            [_, number @ ..] => LeftOrRight::Right(i64::from_be_bytes(number.try_into().unwrap())),
            [] => unreachable!("an element has a side"),
        };
        self.rows.insert(place, elements.into_iter().map(read).collect());
    }
}

type Run = Life<OuterJoinStore<String, String, i64>, Waiting>;

fn context(run: &mut Run) -> RecordContext {
    run.model.clock += 1;
    RecordContext::none(run.model.clock)
}

fn remove(run: &mut Run, place: &Place, blind: bool) {
    let context = context(run);
    let there = run.model.rows.remove(place).is_some();
    if there || blind {
        run.model.log(place, context.timestamp);
        run.uncommitted = true;
    }
    let (timestamp, side, key) = place;
    if blind {
        run.store().remove(key, *side, *timestamp, &context).unwrap();
    } else {
        assert_eq!(run.store().remove_if_present(key, *side, *timestamp, &context).unwrap(), there);
    }
}

fn scan(run: &mut Run, most: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if most > 0 {
        let visit = &mut |row: &streams_state::store::WaitingRow<'_, String, String, i64>| {
            rows.push(((row.timestamp, row.side, row.key()?), row.values()?));
            Ok(if rows.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        run.store().scan(visit).unwrap();
    }
    let expected: Vec<Row> =
        run.model.rows.iter().take(most).map(|(place, values)| (place.clone(), values.clone())).collect();
    assert_eq!(rows, expected);
    rows
}

fn apply(run: &mut Run, op: &Op) {
    match op {
        Op::Put(time, left, number, content) => {
            let (place, context) = (place(*time, *left, *number), context(run));
            let value = value(place.1, *content);
            run.store().put(&place.2, place.0, &value, &context).unwrap();
            run.model.rows.entry(place.clone()).or_default().push(value);
            run.model.log(&place, context.timestamp);
            run.uncommitted = true;
        }
        Op::Remove(time, left, number) => remove(run, &place(*time, *left, *number), true),
        Op::RemoveIfPresent(time, left, number) => remove(run, &place(*time, *left, *number), false),
        Op::Emit(time) => {
            let due = i64::from(*time) * 100;
            let all = scan(run, usize::MAX);
            for (place, _) in all.iter().filter(|((timestamp, _, _), _)| *timestamp <= due) {
                remove(run, place, true);
            }
        }
        Op::Scan(most) => drop(scan(run, usize::from(*most))),
    }
}

pub(crate) fn check(logging: bool, memory: Option<u64>, steps: &[Step<Op>], opener: Opener) {
    let make = move |engine| {
        let options =
            OuterJoinOptions { name: "s".into(), logging, memory_max_bytes: memory.unwrap_or(u64::MAX) };
        OuterJoinStore::new(options, engine, Arc::new(Auto), Arc::new(Auto), Arc::new(Auto)).unwrap()
    };
    let mut run = Life::new(Box::new(make), opener, logging, memory);
    for step in steps {
        match step {
            Step::Op(op) => apply(&mut run, op),
            Step::Event(event) => run.event(*event),
        }
        let expected = run.model.rows.first_key_value().map(|((timestamp, _, _), _)| *timestamp);
        assert_eq!(run.store().min_timestamp(), expected);
    }
    scan(&mut run, usize::MAX);
}
