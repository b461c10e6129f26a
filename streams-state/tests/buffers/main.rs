//! Random operations on the stores that are read from the front (suppress buffer, grace buffer, outer join), each
//! against a model of maps: order, counts, what is logged, and what is there after a crash at any point, with all rows
//! in memory and with rows that are in the engine only.
#![allow(clippy::unwrap_used)]

#[path = "../model/engines.rs"]
mod engines;

mod change;
mod grace;
mod life;
mod outer;

use proptest::prelude::*;

/// What happens to a store between its operations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// Hands the changelog to the producer.
    Drain,
    /// Changelog and commit.
    Commit,
    /// Engine flush; refused while something is uncommitted.
    Flush,
    /// Commit and engine flush.
    CommitAndFlush,
    /// The process dies or the transaction aborts: a new store, and the tail of the changelog.
    Crash,
    /// Forget everything, restore everything.
    Wipe,
}

/// An operation on the store, or an event of its life.
#[derive(Debug, Clone)]
pub(crate) enum Step<Op> {
    Op(Op),
    Event(Event),
}

fn steps<Op: std::fmt::Debug + Clone + 'static>(
    op: impl Strategy<Value = Op> + 'static,
) -> impl Strategy<Value = Vec<Step<Op>>> {
    let event = prop_oneof![
        1 => Just(Event::Drain),
        4 => Just(Event::Commit),
        1 => Just(Event::Flush),
        4 => Just(Event::CommitAndFlush),
        2 => Just(Event::Crash),
        1 => Just(Event::Wipe),
    ];
    let step = prop_oneof![4 => op.prop_map(Step::Op), 1 => event.prop_map(Step::Event)];
    proptest::collection::vec(step, 1..150)
}

/// Bytes of memory for rows that the engine has, too.
fn memory() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), Just(Some(0)), Just(Some(10_000))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn change_buffer(logging in any::<bool>(), memory in memory(), steps in steps(change::op())) {
        change::check(logging, memory, &steps, engines::kept_map());
    }

    #[test]
    fn change_buffer_in_memory(logging in any::<bool>(), memory in memory(), steps in steps(change::op())) {
        change::check(logging, memory, &steps, engines::in_memory());
    }

    #[test]
    fn grace_buffer(logging in any::<bool>(), memory in memory(), grace in 0..40_i64, steps in steps(grace::op())) {
        grace::check(logging, memory, grace, &steps, engines::kept_map());
    }

    #[test]
    fn grace_buffer_in_memory(logging in any::<bool>(), grace in 0..40_i64, steps in steps(grace::op())) {
        grace::check(logging, None, grace, &steps, engines::in_memory());
    }

    #[test]
    fn outer_join(logging in any::<bool>(), memory in memory(), steps in steps(outer::op())) {
        outer::check(logging, memory, &steps, engines::kept_map());
    }

    #[test]
    fn outer_join_in_memory(logging in any::<bool>(), steps in steps(outer::op())) {
        outer::check(logging, None, &steps, engines::in_memory());
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn change_buffer_over_rocksdb(memory in memory(), steps in steps(change::op())) {
        change::check(true, memory, &steps, engines::rocksdb());
    }

    #[test]
    fn outer_join_over_rocksdb(memory in memory(), steps in steps(outer::op())) {
        outer::check(true, memory, &steps, engines::rocksdb());
    }
}
