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
    /// Reads a key, and what it was at the last flush of the cache.
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

mod forgotten {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use streams_state::engine::Engine;
    use streams_state::serdes::{Auto, Serde, SerdeError};
    use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};
    use streams_state::types::RecordContext;

    use super::engines;

    type Store = KeyValueStore<u64, String>;

    fn open(engine: Box<dyn Engine>, tier_max_bytes: u64, values: Arc<dyn Serde<String>>) -> Store {
        let name = "s".into();
        let options =
            KeyValueOptions { name, timestamped: true, caching: false, logging: false, tier_max_bytes };
        KeyValueStore::new(options, engine, Arc::new(Auto), values).unwrap()
    }

    fn put(store: &mut Store, key: u64, value: &str) -> Option<String> {
        let row = (value.to_owned(), 0);
        store
            .update(&key, &RecordContext::none(0), |slot| slot.replace(row).map(|(before, _)| before))
            .unwrap()
    }

    fn commit_and_flush(store: &mut Store) {
        store.committed(None);
        store.flush().unwrap();
    }

    /// Rows that a tier has no room for were read from the engine each time.
    #[test]
    fn rows_come_back_without_the_engine() {
        let (engine, gets) = engines::counted_map();
        let mut store = open(engine, 128 << 10, Arc::new(Auto));
        let mut seen = [0; 1_024];
        let value = |key: usize, seen: u32| format!("{key} was seen {seen} times, {}", "-".repeat(key % 200));
        for step in 0..20_000_u64 {
            let key = (step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize % seen.len();
            seen[key] += 1;
            let before = put(&mut store, key as u64, &value(key, seen[key]));
            assert_eq!(before, (seen[key] > 1).then(|| value(key, seen[key] - 1)));
            if step % 100 == 99 {
                commit_and_flush(&mut store);
            }
        }
        let gets = gets.load(Relaxed);
        assert!(
            gets < 200,
            "asked {gets} times for 19,000 rows, of which the tier has less than half at a time"
        );
    }

    /// Reads nothing while it is broken.
    #[derive(Default)]
    struct Broken(AtomicBool);

    impl Serde<String> for Broken {
        fn serialize(&self, value: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
            Auto.serialize(value, out)
        }
        fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
            if self.0.load(Relaxed) { Err(SerdeError::new("broken")) } else { Auto.deserialize(bytes) }
        }
    }

    #[test]
    fn a_row_that_could_not_be_read_is_not_absent() {
        let (engine, _) = engines::counted_map();
        let values = Arc::new(Broken::default());
        let mut store = open(engine, 1 << 20, values.clone());
        put(&mut store, 1, "one");
        commit_and_flush(&mut store);
        store.shed(0);
        values.0.store(true, Relaxed);
        assert!(store.get(&1).is_err());
        values.0.store(false, Relaxed);
        assert_eq!(store.get(&1).unwrap(), Some((&"one".to_owned(), 0)));
    }

    /// Others wrote the changelog meanwhile: what was forgotten is not what there is now.
    #[test]
    fn a_row_that_is_restored_is_newer() {
        let (engine, _) = engines::counted_map();
        let mut store = open(engine, 1 << 20, Arc::new(Auto));
        put(&mut store, 1, "old");
        commit_and_flush(&mut store);
        store.shed(0);
        let mut key = Vec::new();
        Auto.serialize(&1_u64, &mut key).unwrap();
        store.restore(&key, Some(b"new"), 7).unwrap();
        commit_and_flush(&mut store);
        store.shed(0);
        assert_eq!(store.get(&1).unwrap(), Some((&"new".to_owned(), 7)));
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
