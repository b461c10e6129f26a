//! Random operations on a versioned store against a plain model, one sorted map of versions a key: what a put says,
//! what is read as of any time, what is logged, and what is there after a crash at any point and a replay of the
//! changelog's tail. Catches versions that are lost, invented, valid at the wrong time, or kept or refused too long.
#![allow(clippy::unwrap_used)]

#[path = "../model/engines.rs"]
mod engines;
mod model;

use proptest::prelude::*;

use engines::Opener;
use model::{Options, Run};

/// One operation. Keys and times are small numbers, so that operations meet.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Writes a value (null if it is a multiple of 5) at a time.
    Put(u8, u8, u16),
    /// Writes a value at the time of the key's latest version.
    PutAgain(u8, u8),
    /// Deletes at a time, and looks at what was there.
    Delete(u8, u16),
    /// Reads the latest version.
    Get(u8),
    /// Reads as of a time.
    AsOf(u8, u16),
    /// Reads the versions between two times.
    Versions(u8, u16, u16),
    /// Reads all versions of all keys.
    All,
    /// Changelog and commit.
    Commit,
    /// Commit and engine flush.
    Flush,
    /// The process dies or the transaction aborts: a new store, and the tail of the changelog.
    Crash,
    /// Forget everything, restore everything.
    Wipe,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, time) = (0..12_u8, 0..600_u16);
    prop_oneof![
        14 => (key.clone(), any::<u8>(), time.clone()).prop_map(|(key, value, time)| Op::Put(key, value, time)),
        3 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Op::PutAgain(key, value)),
        2 => (key.clone(), time.clone()).prop_map(|(key, time)| Op::Delete(key, time)),
        2 => key.clone().prop_map(Op::Get),
        4 => (key.clone(), time.clone()).prop_map(|(key, time)| Op::AsOf(key, time)),
        3 => (key, time.clone(), time).prop_map(|(key, from, to)| Op::Versions(key, from.min(to), from.max(to))),
        1 => Just(Op::All),
        2 => Just(Op::Commit),
        3 => Just(Op::Flush),
        1 => Just(Op::Crash),
        1 => Just(Op::Wipe),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (
        prop_oneof![Just(0_i64), Just(50), Just(200), Just(10_000)],
        prop_oneof![Just(1_i64), Just(20), Just(70), Just(2_000)],
        prop_oneof![Just(0_u64), Just(900), Just(1 << 20)],
    )
        .prop_map(|(history, interval, tier_max_bytes)| Options { history, interval, tier_max_bytes })
}

fn check(options: Options, ops: &[Op], opener: Opener) {
    let mut run = Run::new(options, opener);
    for op in ops {
        run.step(op);
    }
    for op in [Op::All, Op::Flush, Op::Crash, Op::All] {
        run.step(&op);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

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
