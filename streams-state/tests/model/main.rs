//! Random operations on a store against a model of maps and lists: what is read, what is logged, what the cache
//! hands over and in which order, and what is there after a crash at any point and a replay of the changelog's
//! tail. Catches lost or invented rows, wrong changelog entries, rows evicted too early, offsets that do not fit
//! their data.
#![allow(clippy::unwrap_used)]

mod bulk;
mod engines;
mod model;

use proptest::prelude::*;

use engines::Opener;
use model::{Options, Run};

/// One operation. Keys and values are small numbers, so that operations meet.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Reads a key.
    Get(u8),
    /// Writes a value (null if it is a multiple of 8) with a timestamp.
    Put(u8, u8, u8),
    /// Writes `None`.
    PutNone(u8),
    /// Deletes, and looks at what was there.
    Delete(u8),
    /// Writes if nothing is there.
    PutIfAbsent(u8, u8, u8),
    /// Appends to the value in place.
    Append(u8, u8, u8),
    /// Takes the value out in place.
    Take(u8),
    /// Fails in place.
    Fail(u8),
    /// Reads all rows.
    Scan,
    /// Reads from key to key.
    Range(Option<u8>, Option<u8>, u8),
    /// Reads the keys with a prefix.
    Prefix(u8),
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
    Restore(Vec<(u8, u8)>),
    /// Forget everything, restore everything.
    Wipe,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, byte) = (0..40_u8, any::<u8>());
    prop_oneof![
        6 => key.clone().prop_map(Op::Get),
        8 => (key.clone(), byte, byte).prop_map(|(key, value, ts)| Op::Put(key, value, ts)),
        2 => key.clone().prop_map(Op::PutNone),
        3 => key.clone().prop_map(Op::Delete),
        3 => (key.clone(), byte, byte).prop_map(|(key, value, ts)| Op::PutIfAbsent(key, value, ts)),
        10 => (key.clone(), byte, byte).prop_map(|(key, value, ts)| Op::Append(key, value, ts)),
        3 => key.clone().prop_map(Op::Take),
        1 => key.clone().prop_map(Op::Fail),
        2 => Just(Op::Scan),
        2 => (proptest::option::of(key.clone()), proptest::option::of(key.clone()), 0..5_u8)
            .prop_map(|(from, to, most)| Op::Range(from, to, most)),
        1 => key.clone().prop_map(Op::Prefix),
        1 => Just(Op::Drain),
        3 => (0..6_u8).prop_map(Op::Pop),
        1 => Just(Op::WriteCached),
        4 => Just(Op::Commit),
        1 => Just(Op::Flush),
        4 => Just(Op::CommitAndFlush),
        2 => Just(Op::Crash),
        1 => proptest::collection::vec((key, byte), 1..8).prop_map(Op::Restore),
        1 => Just(Op::Wipe),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(0), Just(1500), Just(1 << 20)],
        bulk::bulk(),
    )
        .prop_map(|(timestamped, caching, logging, send_old_values, tier_max_bytes, bulk)| Options {
            timestamped,
            caching,
            logging,
            send_old_values,
            tier_max_bytes,
            bulk,
        })
}

fn check(options: Options, ops: &[Op], opener: Opener) {
    let mut run = Run::new(options, opener);
    for op in ops {
        run.step(op);
    }
    run.step(&Op::Scan);
    run.step(&Op::CommitAndFlush);
    run.step(&Op::Crash);
    run.step(&Op::Scan);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn over_an_engine_that_keeps_its_rows(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::kept_map());
    }

    #[test]
    fn over_an_engine_that_gets_its_rows_late(
        options in options(),
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        check(options, &ops, engines::late_map());
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
