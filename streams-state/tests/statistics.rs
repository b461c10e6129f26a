//! What RocksDB's engines count of their work. Can be caught: a count that is another store's, is taken twice or not at all, or is in another
//! unit; a ratio that has nothing to do with what is cached; counting where nobody asked for it.
#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::time::{Duration, Instant};

use streams_state::engine::{
    BackgroundProvider, Durations, Engine, EngineProvider, Lookups, RocksDbProvider, Run, Statistics,
};
use streams_state::serdes::Auto;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};
use streams_state::types::RecordContext;

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A ms passes between two looks of a thread.
fn ticking() -> u64 {
    LOOKS.set(LOOKS.get() + 1);
    LOOKS.get() * 1_000_000
}

fn provider() -> RocksDbProvider {
    RocksDbProvider::new(8 << 20).with_statistics(ticking)
}

/// `count` rows of 10 bytes and 90.
fn apply(engine: &mut dyn Engine, count: usize, value: u8) {
    let keys: Vec<String> = (0..count).map(|number| format!("key-{number:06}")).collect();
    let value = [value; 90];
    engine.apply(&mut keys.iter().map(|key| (key.as_bytes(), Some(&value[..]))), Some(1)).unwrap();
}

fn statistics(engine: &dyn Engine) -> Statistics {
    engine.statistics().unwrap()
}

#[test]
fn what_was_read_and_written_is_counted_for_the_store_that_did_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut engines = provider().open(directory.path(), &["busy", "idle"]).unwrap();
    // Opening looks for the format, in vain.
    let opened = Statistics { memtable: Lookups::default(), ..statistics(&*engines[0]) };
    assert_eq!(opened, Statistics::default());
    apply(&mut *engines[0], 1_000, 1);
    apply(&mut *engines[0], 500, 2);
    let mut out = Vec::new();
    assert!(engines[0].get(b"key-000007", &mut out).unwrap());
    assert!(!engines[0].get(b"key", &mut out).unwrap());
    let mut visited = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        visited += 1;
        if visited < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    engines[0].scan(Bound::Unbounded, Bound::Unbounded, &mut visit).unwrap();

    let busy = statistics(&*engines[0]);
    assert_eq!(busy.bytes_written, 1_500 * 100);
    // One value; ten rows, whose keys have a byte in front.
    assert_eq!(busy.bytes_read, 90 + 10 * (1 + 10 + 90));
    let on_disk: u64 = engines[0].size_bytes();
    assert_eq!((busy.bytes_flushed, busy.open_files), (on_disk, 2));
    // From one look at the clock to the next.
    assert_eq!(busy.flushes, Durations { count: 2, sum_us: 2_000, min_us: 1_000, max_us: 1_000 });
    assert_eq!((busy.file_errors, busy.stalls), (0, Durations::default()));

    let idle = statistics(&*engines[1]);
    assert_eq!((idle.bytes_read, idle.bytes_written, idle.bytes_flushed, idle.open_files), (0, 0, 0, 0));
    assert_eq!((idle.flushes, idle.data_blocks), (Durations::default(), busy.data_blocks));
}

#[test]
fn reads_that_miss_the_tier_find_some_blocks_in_the_cache_and_some_not() {
    let directory = tempfile::tempdir().unwrap();
    // A cache of a few blocks, and a tier of a few rows.
    let provider = RocksDbProvider::new(512 << 10).with_statistics(ticking);
    let engine = provider.open(directory.path(), &["counts"]).unwrap().remove(0);
    let options = KeyValueOptions {
        name: "counts".into(),
        timestamped: true,
        caching: false,
        logging: false,
        tier_max_bytes: 64 << 10,
    };
    let mut store: KeyValueStore<i64, String> =
        KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    // Values that do not compress.
    let value = |key: i64| {
        format!("{:032x}", (key as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    };
    for key in 0..40_000 {
        store.put(&key, Some(value(key)), 1, &RecordContext::none(1)).unwrap();
    }
    store.committed(Some(1));
    store.flush().unwrap();
    // What the tier forgot until now would be at hand.
    store.reopen().unwrap();
    let before = store.engine_statistics().unwrap();
    // A row, and the next one, which is in the same block nearly always.
    for number in 0..2_000_i64 {
        let key = number / 2 * 7_918 % 40_000 + number % 2;
        assert_eq!(store.get(&key).unwrap().unwrap().0, &value(key));
    }
    let after = store.engine_statistics().unwrap();
    assert!(after.bytes_read > before.bytes_read + 2_000 * 32, "{after:?}");
    let reads = |now: Lookups, before: Lookups| (now.hits - before.hits, now.misses - before.misses);
    let (hits, misses) = reads(after.data_blocks, before.data_blocks);
    assert!(hits >= 900 && misses >= 900, "{hits} {misses}");
    for (now, before) in
        [(after.filter_blocks, before.filter_blocks), (after.index_blocks, before.index_blocks)]
    {
        let (hits, misses) = reads(now, before);
        assert!(hits + misses >= 1_900, "{now:?} {before:?}");
    }
    // Runs pass by the memtable.
    assert!(after.memtable.hits == 0 && after.memtable.misses >= 1_900, "{:?}", after.memtable);
}

/// A review found that each deletion asked the engine for the value before it, which only forwarders of old values want.
#[test]
fn a_cached_deletion_asks_the_engine_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = provider().open(directory.path(), &["counts"]).unwrap().remove(0);
    let options = KeyValueOptions {
        name: "counts".into(),
        timestamped: true,
        caching: true,
        logging: false,
        tier_max_bytes: 1 << 20,
    };
    let mut store: KeyValueStore<i64, i64> =
        KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    let forwarded = |store: &mut KeyValueStore<i64, i64>| {
        let mut forwarded = 0;
        while let Some(update) = store.pop_cached().unwrap() {
            assert_eq!(update.change.old, None);
            forwarded += 1;
        }
        forwarded
    };
    for key in 0..100 {
        store.put(&key, Some(key), 1, &RecordContext::none(1)).unwrap();
    }
    assert_eq!(forwarded(&mut store), 100);
    store.committed(Some(1));
    store.flush().unwrap();
    let before = store.engine_statistics().unwrap();
    for key in 0..50 {
        store.put(&key, None, 1, &RecordContext::none(1)).unwrap();
        store.delete(&(key + 50), &RecordContext::none(1)).unwrap();
    }
    assert_eq!(forwarded(&mut store), 100);
    let after = store.engine_statistics().unwrap();
    assert_eq!((after.bytes_read, after.memtable), (before.bytes_read, before.memtable));
}

#[test]
fn stores_have_parts_of_a_compaction_that_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut engines = provider().open(directory.path(), &["large", "small"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut value = 0;
    loop {
        value += 1;
        apply(&mut *engines[0], 3_000, value);
        apply(&mut *engines[1], 30, value);
        let [large, small] = [&engines[0], &engines[1]].map(|engine| statistics(&**engine));
        // Looked at one after the other: a compaction may end between the looks.
        let again = statistics(&*engines[0]);
        if large.compactions.count > 0 && again.compactions == large.compactions {
            assert!(large.compactions.max_us >= large.compactions.min_us, "{large:?}");
            assert_eq!(small.compactions, large.compactions);
            let read = [large.compaction_bytes_read, small.compaction_bytes_read];
            let written = [large.compaction_bytes_written, small.compaction_bytes_written];
            // As they have flushed.
            assert!(read[0] > read[1] && written[0] > written[1], "{read:?} {written:?}");
            // Not more than all that was ever flushed: each compaction so far read files once.
            let flushed = large.bytes_flushed + small.bytes_flushed;
            let most = flushed * large.compactions.count;
            assert!(read[0] + read[1] <= most && read[0] > 0 && written[0] > 0, "{read:?} {most}");
            break;
        }
        assert!(Instant::now() < deadline, "no compaction in a minute: {large:?}");
    }
}

#[test]
fn a_run_that_waits_for_the_one_before_is_a_stall() {
    let directory = tempfile::tempdir().unwrap();
    let provider = BackgroundProvider::new(Arc::new(provider())).unwrap().with_statistics(ticking);
    let mut engine = provider.open(directory.path(), &["one"]).unwrap().remove(0);
    let run = |engine: &mut dyn Engine| {
        let mut run = Run::with_capacity(1, 8);
        run.push(b"key", Some(b"value"));
        engine.write(run, Some(1)).unwrap();
    };
    run(&mut *engine);
    assert_eq!(statistics(&*engine).stalls, Durations::default());
    run(&mut *engine);
    assert_eq!(statistics(&*engine).stalls.count, 1);
    assert!(engine.written(true).unwrap() && engine.written(true).unwrap());
    let stalls = statistics(&*engine).stalls;
    assert_eq!((stalls.count, stalls.sum_us), (2, 2_000));
    assert_eq!(statistics(&*engine).flushes.count, 2);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_of_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut engines = provider().open(directory.path(), &["one", "other"]).unwrap();
    // Where the run of the first store would be written.
    std::fs::create_dir(directory.path().join("rocksdb/0.run")).unwrap();
    engines[0].apply(&mut [(&b"key"[..], None)].into_iter(), Some(1)).unwrap_err();
    apply(&mut *engines[1], 1, 1);
    assert_eq!([&engines[0], &engines[1]].map(|engine| statistics(&**engine).file_errors), [1, 0]);
}

#[test]
fn nothing_is_counted_unless_it_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let provider = BackgroundProvider::new(Arc::new(RocksDbProvider::new(8 << 20))).unwrap();
    let mut engine = provider.open(directory.path(), &["one"]).unwrap().remove(0);
    apply(&mut *engine, 10, 1);
    assert_eq!(engine.statistics(), None);
}
