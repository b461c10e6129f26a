//! Random operations on a session store against a model of maps and lists: what is found and in which order, what is
//! refused and hidden, what is logged, what the cache hands over, and what is there after a crash at any point.
#![allow(clippy::unwrap_used)]

#[path = "../model/bulk.rs"]
mod bulk;
#[path = "../model/engines.rs"]
mod engines;
mod model;

use proptest::prelude::*;

use engines::Opener;
use model::{Options, Run};

/// One operation. Keys, times and values are small numbers, so that operations meet.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Writes a session: key, start, length, value (null if it is a multiple of 8).
    Put(u8, u8, u8, u8),
    /// Deletes a session, and looks at what was there.
    Remove(u8, u8, u8),
    /// What the aggregation does: finds the sessions of a record, removes them, writes the merged one.
    Record(u8, u8),
    /// Time goes on.
    Advance(u8),
    /// Reads one session.
    Fetch(u8, u8, u8),
    /// Reads the sessions of a key around a time, in both directions.
    Find(u8, u8, u8),
    /// Reads the sessions that ended in a stretch of time.
    FindEnded(u8, u8),
    /// Reads everything.
    All,
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
    /// The index by time is switched on or off at the next start.
    ToggleIndex,
    /// Forget everything, restore everything.
    Wipe,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, byte, time) = (0..8_u8, any::<u8>(), 0..40_u8);
    prop_oneof![
        6 => (key.clone(), time.clone(), 0..12_u8, byte).prop_map(|(k, s, l, v)| Op::Put(k, s, l, v)),
        3 => (key.clone(), time.clone(), 0..12_u8).prop_map(|(k, s, l)| Op::Remove(k, s, l)),
        12 => (key.clone(), time.clone()).prop_map(|(k, t)| Op::Record(k, t)),
        4 => (0..20_u8).prop_map(Op::Advance),
        3 => (key.clone(), time.clone(), 0..12_u8).prop_map(|(k, s, l)| Op::Fetch(k, s, l)),
        4 => (key, time.clone(), 0..30_u8).prop_map(|(k, t, w)| Op::Find(k, t, w)),
        4 => (time, 0..30_u8).prop_map(|(t, w)| Op::FindEnded(t, w)),
        1 => Just(Op::All),
        3 => (0..4_u8).prop_map(Op::Pop),
        1 => Just(Op::WriteCached),
        4 => Just(Op::Commit),
        1 => Just(Op::Flush),
        4 => Just(Op::CommitAndFlush),
        2 => Just(Op::Crash),
        1 => Just(Op::ToggleIndex),
        1 => Just(Op::Wipe),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let tier = prop_oneof![Just(0), Just(1500), Just(1 << 20)];
    (any::<[bool; 5]>(), 1..80_i64, 1..60_i64, tier, bulk::bulk()).prop_map(
        |(
            [caching, logging, send_old_values, time_index, in_memory_order],
            retention,
            segment_interval,
            tier,
            bulk,
        )| {
            Options {
                caching,
                logging,
                send_old_values,
                time_index,
                in_memory_order,
                retention,
                segment_interval,
                tier_max_bytes: tier,
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
    run.step(&Op::All);
    run.step(&Op::CommitAndFlush);
    run.step(&Op::Crash);
    run.step(&Op::All);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn over_an_engine_that_keeps_its_rows(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::kept_map());
    }

    #[test]
    fn over_the_in_memory_engine(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::in_memory());
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn over_rocksdb(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::rocksdb());
    }
}
