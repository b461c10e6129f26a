//! Stores whose rows carry headers against a map, in all three forms: what is read, which headers the changelog records
//! have, and that rows have their headers back after flush, crash and restore.
#![allow(clippy::unwrap_used)]

#[path = "../model/engines.rs"]
mod engines;
mod forms;

use std::collections::BTreeMap;

use proptest::prelude::*;
use streams_state::store::{ChangelogRecord, StateStore};
use streams_state::types::{Header, Headers, RecordContext, Timestamp, ValueAndHeaders};

use engines::Opener;
use forms::{Form, KeyValues, Place, Sessions, Windows};

/// One operation.
#[derive(Debug, Clone)]
enum Op {
    /// Writes a row: key, time, value (0 deletes), number of headers of the row and of the record in work.
    Put(u8, u8, u8, u8, u8),
    /// Cache, changelog, commit.
    Commit,
    /// Commit and engine flush.
    Flush,
    /// A new store over the engine, and the tail of the changelog.
    Crash,
    /// Forget everything, restore everything.
    Wipe,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..4_u8, 0..4_u8, 0..6_u8, 0..3_u8, 0..3_u8).prop_map(|(key, at, value, own, of_update)| Op::Put(
            key, at, value, own, of_update
        )),
        2 => Just(Op::Commit),
        2 => Just(Op::Flush),
        1 => Just(Op::Crash),
        1 => Just(Op::Wipe),
    ]
}

type Row = (ValueAndHeaders<i64>, Timestamp);
type Logged = (Vec<u8>, Option<i64>, Timestamp, Headers);

struct Run<F: Form> {
    opener: Opener,
    caching: bool,
    store: Option<F::Store>,
    rows: BTreeMap<Place, Row>,
    committed: BTreeMap<Place, Row>,
    /// Places that the cache holds back, in the order of their last updates, with the record in work.
    held: Vec<(Place, RecordContext)>,
    expected: Vec<Logged>,
    changelog: Vec<Logged>,
}

impl<F: Form> Run<F> {
    fn new(mut opener: Opener, caching: bool) -> Self {
        let store = Some(F::open(opener(), caching));
        let (rows, committed) = (BTreeMap::new(), BTreeMap::new());
        Self {
            opener,
            caching,
            store,
            rows,
            committed,
            held: Vec::new(),
            expected: Vec::new(),
            changelog: Vec::new(),
        }
    }

    fn store(&mut self) -> &mut F::Store {
        self.store.as_mut().unwrap()
    }

    fn put(&mut self, place: Place, value: i64, headers: Headers, update: RecordContext) {
        let row = (value != 0).then_some(ValueAndHeaders { value, headers });
        let time = if F::TIMESTAMPED { value } else { 0 };
        F::put(self.store(), &place, row.clone(), time, &update);
        match row {
            Some(row) => self.rows.insert(place.clone(), (row, time)),
            None => self.rows.remove(&place),
        };
        match self.caching {
            true => {
                self.held.retain(|(held, _)| *held != place);
                self.held.push((place, update));
            }
            false => self.log(&place, &update),
        }
    }

    /// A changelog record has the headers of its row; a deletion those of the record in work.
    fn log(&mut self, place: &Place, update: &RecordContext) {
        let logged = match self.rows.get(place) {
            Some((row, time)) => {
                let time = if F::TIMESTAMPED { *time } else { update.timestamp };
                (F::key(place), Some(row.value), time, row.headers.clone())
            }
            None => (F::key(place), None, update.timestamp, update.headers.clone()),
        };
        self.expected.push(logged);
    }

    fn commit(&mut self) {
        self.store().write_cached().unwrap();
        for (place, update) in std::mem::take(&mut self.held) {
            self.log(&place, &update);
        }
        let mut logged: Vec<Logged> = Vec::new();
        self.store()
            .drain_changelog(&mut |entry| {
                let value = entry.value.map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
                logged.push((entry.key.to_vec(), value, entry.timestamp, entry.headers.clone()));
                Ok(())
            })
            .unwrap();
        assert_eq!(logged, std::mem::take(&mut self.expected));
        self.changelog.extend(logged);
        let end = self.changelog.len() as i64;
        self.store().committed(Some(end));
        self.committed = self.rows.clone();
    }

    /// Opens the store again and restores what its engine does not have.
    fn open(&mut self) {
        self.store = None;
        self.store = Some(F::open((self.opener)(), self.caching));
        self.restore();
    }

    fn restore(&mut self) {
        self.held.clear();
        self.expected.clear();
        self.rows = self.committed.clone();
        let from = self.store().offset().unwrap_or(0);
        for (offset, (key, value, timestamp, headers)) in (0..).zip(self.changelog.clone()) {
            if offset >= from {
                let bytes = value.map(i64::to_be_bytes);
                let value = bytes.as_ref().map(<[u8; 8]>::as_slice);
                let record = ChangelogRecord { key: &key, value, timestamp, headers: &headers, offset };
                self.store().restore_record(&record).unwrap();
            }
        }
        let end = self.changelog.len() as i64;
        self.store().committed(Some(end));
    }

    fn apply(&mut self, op: Op, number: i64) {
        match op {
            Op::Put(key, at, value, own, of_update) => {
                let mut update = RecordContext::none(number);
                update.headers = headers(of_update, "update");
                let place = (format!("k{key}"), Timestamp::from(at) * 50);
                self.put(place, i64::from(value), headers(own, "row"), update);
            }
            Op::Commit => self.commit(),
            Op::Flush => {
                self.commit();
                self.store().flush().unwrap();
            }
            Op::Crash => self.open(),
            Op::Wipe => {
                self.store().wipe().unwrap();
                self.restore();
            }
        }
        let expected: Vec<(Place, Row)> =
            self.rows.iter().map(|(place, row)| (place.clone(), row.clone())).collect();
        assert_eq!(F::rows(self.store()), expected);
    }
}

fn headers(count: u8, value: &str) -> Headers {
    (0..count)
        .map(|number| Header {
            key: format!("h{number}"),
            value: (number > 0).then(|| value.as_bytes().to_vec()),
        })
        .collect()
}

fn run<F: Form>(opener: Opener, caching: bool, ops: Vec<Op>) {
    let mut run = Run::<F>::new(opener, caching);
    for (number, op) in (1..).zip(ops) {
        run.apply(op, number);
    }
    run.apply(Op::Flush, 0);
    run.apply(Op::Crash, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn key_values(caching: bool, ops in proptest::collection::vec(op(), 0..80)) {
        run::<KeyValues>(engines::in_memory(), caching, ops.clone());
        run::<KeyValues>(engines::kept_map(), caching, ops);
    }

    #[test]
    fn windows(caching: bool, ops in proptest::collection::vec(op(), 0..80)) {
        run::<Windows>(engines::in_memory(), caching, ops.clone());
        run::<Windows>(engines::kept_map(), caching, ops);
    }

    #[test]
    fn sessions(caching: bool, ops in proptest::collection::vec(op(), 0..80)) {
        run::<Sessions>(engines::in_memory(), caching, ops.clone());
        run::<Sessions>(engines::kept_map(), caching, ops);
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn on_disk(caching: bool, ops in proptest::collection::vec(op(), 0..60)) {
        run::<KeyValues>(engines::rocksdb(), caching, ops.clone());
        run::<Windows>(engines::rocksdb(), caching, ops.clone());
        run::<Sessions>(engines::rocksdb(), caching, ops);
    }
}
