//! Random operations on a window store against a model of maps and lists: point reads and ranges in both directions,
//! duplicates, expiry as time goes on, what is logged, what the cache hands over and in which order, and what is there
//! after a crash at any point and a replay of the changelog's tail. Catches lost, invented and misplaced rows, rows
//! that outlive their time or go before it, wrong changelog entries, and memory that is not given back.
#![allow(clippy::unwrap_used)]

#[path = "../model/bulk.rs"]
mod bulk;
#[path = "../model/engines.rs"]
mod engines;
mod model;
mod panes;
mod reads;

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use proptest::prelude::*;
use streams_state::serdes::Auto;
use streams_state::store::{StateStore, WindowOptions, WindowStore};
use streams_state::types::RecordContext;

use engines::Opener;
use model::{Options, Run};

/// Where a row is: key, and distance of its start from a point behind stream time.
pub(crate) type At = (u8, u8);

/// One operation. Keys and values are small numbers, starts lie around stream time, so that operations meet.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Reads a row.
    Fetch(At),
    /// Writes a value (null if it is a multiple of 8) with a timestamp.
    Put(At, u8, u8),
    /// Writes `None`.
    PutNone(At),
    /// Appends to the value in place.
    Append(At, u8, u8),
    /// Takes the value out in place.
    Take(At),
    /// Fails in place.
    Fail(At),
    /// Reads the rows of a key from start to start, some of them, forward or backward.
    Range(At, u8, u8, bool),
    /// Reads rows from start to start, of all keys or of those between two.
    All { from: u8, len: u8, low: Option<u8>, high: Option<u8>, most: u8, backward: bool },
    /// Reads all rows.
    Everything,
    /// Hands the changelog to the producer.
    Drain,
    /// Takes some updates out of the cache.
    Pop(u8),
    /// Moves all updates of the cache to the changelog.
    WriteCached,
    /// Cache, changelog, commit.
    Commit,
    /// Engine flush; refused while something is uncommitted.
    Flush,
    /// Commit and engine flush.
    CommitAndFlush,
    /// The process dies or the transaction aborts: a new store, and the tail of the changelog.
    Crash,
    /// Others wrote these records while the store was away: crash, and restore them as well.
    Restore(Vec<(At, u8)>),
    /// Forget everything, restore everything.
    Wipe,
}

fn at() -> impl Strategy<Value = At> {
    // The last of the range leaps ahead of everything.
    (0..12_u8, prop_oneof![20 => 0..120_u8, 20 => 90..125_u8, 1 => 200..255_u8])
}

fn op() -> impl Strategy<Value = Op> {
    let byte = any::<u8>();
    let limit = || proptest::option::of(0..12_u8);
    prop_oneof![
        6 => at().prop_map(Op::Fetch),
        12 => (at(), byte, byte).prop_map(|(at, value, ts)| Op::Put(at, value, ts)),
        2 => at().prop_map(Op::PutNone),
        12 => (at(), byte, byte).prop_map(|(at, value, ts)| Op::Append(at, value, ts)),
        3 => at().prop_map(Op::Take),
        1 => at().prop_map(Op::Fail),
        6 => (at(), byte, 0..6_u8, any::<bool>()).prop_map(|(at, len, most, back)| Op::Range(at, len, most, back)),
        4 => (byte, byte, limit(), limit(), 0..9_u8, any::<bool>()).prop_map(
            |(from, len, low, high, most, backward)| Op::All { from, len, low, high, most, backward }
        ),
        2 => Just(Op::Everything),
        1 => Just(Op::Drain),
        3 => (0..6_u8).prop_map(Op::Pop),
        1 => Just(Op::WriteCached),
        4 => Just(Op::Commit),
        1 => Just(Op::Flush),
        4 => Just(Op::CommitAndFlush),
        2 => Just(Op::Crash),
        1 => proptest::collection::vec((at(), byte), 1..8).prop_map(Op::Restore),
        1 => Just(Op::Wipe),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let form = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.3), any::<bool>());
    let tier = prop_oneof![Just(0), Just(2500), Just(1 << 20)];
    let interval = prop_oneof![Just(1), Just(30), Just(60), Just(1000)];
    (kinds, form, tier, interval, bulk::bulk()).prop_map(
        |(kinds, form, tier_max_bytes, segment_interval, bulk)| {
            let (timestamped, caching, logging, send_old_values) = kinds;
            let (persistent, ordered_by_time, retain_duplicates, headers) = form;
            Options {
                timestamped,
                caching: caching && !retain_duplicates,
                logging,
                send_old_values,
                persistent,
                ordered_by_time,
                retain_duplicates,
                headers,
                tier_max_bytes,
                segment_interval,
                bulk,
            }
        },
    )
}

fn check(options: Options, ops: &[Op], opener: Opener) {
    let mut run = Run::new(options, opener);
    for op in ops {
        run.step(op);
    }
    run.step(&Op::Everything);
    run.step(&Op::CommitAndFlush);
    run.step(&Op::Crash);
    run.step(&Op::Everything);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn over_an_engine_that_keeps_its_rows(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::kept_map());
    }

    #[test]
    fn over_an_engine_that_gets_its_rows_late(
        options in options(),
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        check(Options { logging: true, ..options }, &ops, engines::late_map());
    }

    #[test]
    fn over_the_in_memory_engine(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::in_memory());
    }
}

/// What has expired takes no memory, and no room in the engine after the next flush.
fn give_back_what_has_expired(mut opener: Opener) {
    let options = WindowOptions { segment_interval: 1000, ..WindowOptions::new("s", 3000, 10) };
    let engine = (opener)();
    let mut store: WindowStore<i64, String> =
        WindowStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    let mut most = 0;
    for round in 0..200_i64 {
        for number in 0..50 {
            let start = round * 100 + number;
            let value = Some("a value of some length".to_owned());
            store.put(&number, start, value, start, &RecordContext::none(start)).unwrap();
        }
        store.drain_changelog(&mut |_| Ok(())).unwrap();
        store.committed(Some(round));
        if round % 5 == 0 {
            store.flush().unwrap();
        }
        most = most.max(store.memory_bytes());
    }
    let mut rows = 0;
    store.all(&mut |_, _, _, _| rows += 1).unwrap();
    assert!(most < 1_500_000 && rows == 50 * 30, "{most} bytes, {rows} rows");
    store.flush().unwrap();
    drop(store);
    let mut entries = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        entries += 1;
        ControlFlow::Continue(())
    };
    opener().scan(Bound::Unbounded, Bound::Unbounded, &mut count).unwrap();
    assert!((50 * 30..50 * 41).contains(&entries), "{entries} entries");
}

#[test]
fn expired_segments_go_from_an_engine_that_keeps_its_rows() {
    give_back_what_has_expired(engines::kept_map());
}

#[cfg(feature = "rocksdb")]
#[test]
fn expired_segments_go_from_rocksdb() {
    give_back_what_has_expired(engines::rocksdb());
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn over_rocksdb(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        // Runs are written by another thread: only a changelog offset tells whether one has arrived.
        check(Options { logging: true, ..options }, &ops, engines::rocksdb());
    }
}
