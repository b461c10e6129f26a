//! What an access to state costs, per operation: `cargo bench -p streams-state --bench state`.
//!
//! Each figure that criterion prints is one operation of the store's typed face, key and value serialized and deserialized where the
//! store does so. Lines that say "RocksDB" meet a real one; the others are answered by the tier. Commits and flushes are
//! taken out of the lines that do not name them, and are per row where they are measured themselves. Time is CPU time of the thread:
//! other work on the machine disturbs it less, and the core never waits.
#![allow(missing_docs, clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use streams_state::engine::{Engine, EngineProvider, RocksDbProvider};
use streams_state::serdes::Auto;
use streams_state::store::{
    KeyValueOptions, KeyValueStore, SessionOptions, SessionStore, StateStore, WindowOptions, WindowStore,
};
use streams_state::types::{RecordContext, Window};
use tempfile::TempDir;

type Counts = KeyValueStore<String, i64>;

/// Operations between two commits.
const COMMIT: u64 = 10_000;
/// Rows that a scan visits.
const SCANNED: usize = 100;
const ROOMY: u64 = 1 << 30;

/// Measures `op`, one operation an iteration; what `commit` does after each `COMMIT` of them is not counted. `op` is given
/// a number that grows.
fn operation<S>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    state: &mut S,
    mut op: impl FnMut(&mut S, u64),
    mut commit: impl FnMut(&mut S),
) {
    let mut number = 0;
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|operations| {
            let (mut left, mut spent) = (operations, Duration::ZERO);
            while left > 0 {
                let batch = left.min(COMMIT);
                let began = ThreadTime::now();
                (0..batch).for_each(|done| op(state, number + done));
                spent += began.elapsed();
                (left, number) = (left - batch, number + batch);
                commit(state);
            }
            spent
        });
    });
}

/// Measures `work` after `prepare` of `rows` rows, which is not counted; the figure is that of one row.
fn per_row<S>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    rows: u64,
    state: &mut S,
    mut prepare: impl FnMut(&mut S),
    mut work: impl FnMut(&mut S),
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|wanted| {
            let (mut done, mut spent) = (0, Duration::ZERO);
            while done < wanted {
                prepare(state);
                let began = ThreadTime::now();
                work(state);
                spent += began.elapsed();
                done += rows;
            }
            spent.mul_f64(wanted as f64 / done as f64)
        });
    });
}

fn engine() -> (TempDir, Box<dyn Engine>) {
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksDbProvider::new(32 << 20).open(directory.path(), &["bench"]).unwrap().remove(0);
    (directory, engine)
}

/// A key-value store of `keys` rows, all of them flushed to RocksDB.
fn counts(keys: &[String], caching: bool, tier_max_bytes: u64) -> (TempDir, Counts) {
    let (directory, engine) = engine();
    let options =
        KeyValueOptions { name: "bench".into(), timestamped: true, caching, logging: true, tier_max_bytes };
    let mut store = KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    for chunk in keys.chunks(200_000) {
        chunk.iter().for_each(|key| count(&mut store, key));
        commit(&mut store);
        store.flush().unwrap();
    }
    (directory, store)
}

fn count(store: &mut Counts, key: &String) {
    let add = |row: &mut Option<(i64, i64)>| match row {
        Some((count, _)) => *count += 1,
        None => *row = Some((1, 1)),
    };
    store.update(key, &RecordContext::none(1), add).unwrap();
}

fn commit(store: &mut impl StateStore) {
    store.write_cached().unwrap();
    store.drain_changelog(&mut |_| Ok(())).unwrap();
    store.committed(Some(1));
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key-{number:07}")).collect()
}

/// The `number`th key to visit: all of them, in no order.
fn pick(keys: &[String], number: u64) -> &String {
    &keys[(number as usize).wrapping_mul(2_654_435_761) % keys.len()]
}

fn key_value(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key-value");
    for (size, keys) in [("100 k", keys(100_000)), ("1 M", keys(1_000_000))] {
        let (_directory, mut store) = counts(&keys, false, ROOMY);
        let get = |store: &mut Counts, number| assert!(store.get(pick(&keys, number)).unwrap().is_some());
        operation(&mut group, &format!("get, {size} keys"), &mut store, get, |_| ());
        let update = |store: &mut Counts, number| count(store, pick(&keys, number));
        operation(
            &mut group,
            &format!("update and its changelog entry, {size} keys"),
            &mut store,
            update,
            commit,
        );
        let (_directory, mut store) = counts(&keys, true, ROOMY);
        operation(&mut group, &format!("update under the cache, {size} keys"), &mut store, update, commit);
    }
    let keys = keys(1_000_000);
    let absent: Vec<String> = keys.iter().map(|key| format!("{key}-")).collect();
    let (_directory, mut store) = counts(&keys, false, ROOMY);
    let miss = |store: &mut Counts, number| assert!(store.get(pick(&absent, number)).unwrap().is_none());
    operation(&mut group, "get of an absent key, complete store", &mut store, miss, |_| ());
    let put = |store: &mut Counts, number| {
        store.put(pick(&keys, number), Some(1), 1, &RecordContext::none(1)).unwrap();
    };
    operation(&mut group, "put and its changelog entry, 1 M keys", &mut store, put, commit);
    operation(
        &mut group,
        "delete and its changelog entry, 1 M keys",
        &mut store,
        |store, number| assert!(store.delete(pick(&keys, number), &RecordContext::none(1)).is_ok()),
        commit,
    );
    group.finish();
}

fn engine_reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key-value over RocksDB");
    let keys = keys(1_000_000);
    let absent: Vec<String> = keys.iter().map(|key| format!("{key}-")).collect();
    // A tier of a fiftieth of the rows: nearly each read goes to the engine, and evicts another row.
    let (_directory, mut store) = counts(&keys, false, 2 << 20);
    let miss = |store: &mut Counts, number| assert!(store.get(pick(&absent, number)).unwrap().is_none());
    operation(&mut group, "get of an absent key, stopped by the filter", &mut store, miss, |_| ());
    let get = |store: &mut Counts, number| assert!(store.get(pick(&keys, number)).unwrap().is_some());
    operation(&mut group, "get of a row that is in RocksDB only", &mut store, get, |_| ());
    // Half of the rows, visited in turns: each read finds a row that was forgotten, and another is.
    let (_directory, mut store) = counts(&keys, false, 48 << 20);
    operation(&mut group, "get of a row that the tier forgot", &mut store, get, |_| ());
    group.finish();
}

fn scans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan of 100 rows");
    let keys = keys(100_000);
    for (place, tier_max_bytes) in [("tier only", ROOMY), ("RocksDB and overlay", 1 << 20)] {
        let (_directory, mut store) = counts(&keys, false, tier_max_bytes);
        keys.iter().step_by(100).for_each(|key| count(&mut store, key));
        commit(&mut store);
        let range = |store: &mut Counts, number: u64| {
            let first = (number as usize).wrapping_mul(7919) % (keys.len() - SCANNED);
            let mut seen = 0;
            let mut visit = |_, _: &i64, _| {
                seen += 1;
                ControlFlow::Continue(())
            };
            store.range(Some(&keys[first]), Some(&keys[first + SCANNED - 1]), &mut visit).unwrap();
            assert_eq!(seen, SCANNED);
        };
        operation(&mut group, &format!("range, {place}"), &mut store, range, |_| ());
        let prefix = |store: &mut Counts, number: u64| {
            let first = pick(&keys, number);
            let mut seen = 0;
            let mut visit = |_, _: &i64, _| {
                seen += 1;
                ControlFlow::Continue(())
            };
            store.prefix_scan(&first.as_bytes()[..first.len() - 2], &mut visit).unwrap();
            assert_eq!(seen, SCANNED);
        };
        operation(&mut group, &format!("prefix scan, {place}"), &mut store, prefix, |_| ());
    }
    group.finish();
}

fn window_store(change: impl FnOnce(&mut WindowOptions)) -> (TempDir, WindowStore<String, i64>) {
    let (directory, engine) = engine();
    let mut options = WindowOptions { tier_max_bytes: ROOMY, ..WindowOptions::new("bench", 600_000, 60_000) };
    change(&mut options);
    (directory, WindowStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap())
}

/// Windows of a minute, ten to each key.
fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window store, 100 k keys");
    let keys = keys(100_000);
    let (_directory, mut store) = window_store(|_| ());
    let context = RecordContext::none(1);
    let start = |number: u64| (number as i64 / 7 % 10) * 60_000;
    let update = |store: &mut WindowStore<String, i64>, number: u64| {
        let add = |row: &mut Option<(i64, i64)>| match row {
            Some((count, _)) => *count += 1,
            None => *row = Some((1, 1)),
        };
        store.update(pick(&keys, number), start(number), &context, add).unwrap();
    };
    for window in 0..10 {
        for key in &keys {
            store.update(key, window * 60_000, &context, |row| *row = Some((1, 1))).unwrap();
        }
        commit(&mut store);
    }
    operation(&mut group, "update in a window and its changelog entry", &mut store, update, commit);
    let fetch = |store: &mut WindowStore<String, i64>, number| {
        assert!(store.fetch(pick(&keys, number), start(number)).unwrap().is_some());
    };
    operation(&mut group, "fetch of a window", &mut store, fetch, |_| ());
    let range = |store: &mut WindowStore<String, i64>, number| {
        let mut seen = 0;
        let mut visit = |_, _: &i64, _| {
            seen += 1;
            ControlFlow::Continue(())
        };
        store.fetch_range(pick(&keys, number), 0, 540_000, &mut visit).unwrap();
        assert_eq!(seen, 10);
    };
    operation(&mut group, "fetch of the 10 windows of a key", &mut store, range, |_| ());
    group.finish();
}

/// Sessions that grow with each record: found, removed, put again.
fn sessions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session store, 100 k keys");
    let keys = keys(100_000);
    let (_directory, engine) = engine();
    let options = SessionOptions { tier_max_bytes: ROOMY, ..SessionOptions::new("bench", i64::MAX / 4) };
    let mut store: SessionStore<String, i64> =
        SessionStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    let merge = |store: &mut SessionStore<String, i64>, number: u64| {
        let (key, time, context) = (pick(&keys, number), number as i64, RecordContext::none(1));
        let gap = 1_000_000;
        let mut found = None;
        store
            .find_sessions(key, time - gap, time + gap, &mut |window, count| found = Some((window, *count)))
            .unwrap();
        let (merged, count) = match found {
            Some((window, count)) => {
                store.remove(key, window, &context).unwrap();
                (Window { start: window.start, end: time }, count + 1)
            }
            None => (Window { start: time, end: time }, 1),
        };
        store.put(key, merged, Some(count), &context).unwrap();
    };
    operation(&mut group, "find, merge, put, and two changelog entries", &mut store, merge, commit);
    group.finish();
}

/// A join within 10 s of stream time, a record a ms, 10 k keys: each side meets about one partner.
fn joins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream-stream join");
    let keys = keys(10_000);
    let side = |options: &mut WindowOptions| {
        (options.retain_duplicates, options.retention) = (true, 20_000);
        options.segment_interval = 60_000;
    };
    let (_left_directory, left) = window_store(side);
    let (_right_directory, right) = window_store(side);
    let context = RecordContext::none(1);
    let probe = |(left, right): &mut (WindowStore<String, i64>, WindowStore<String, i64>), number: u64| {
        let (time, key) = (number as i64, pick(&keys, number / 2));
        let (own, other) = if number.is_multiple_of(2) { (left, right) } else { (right, left) };
        own.put(key, time, Some(1), time, &context).unwrap();
        let mut visit = |_, _: &i64, _| ControlFlow::Continue(());
        other.fetch_range(key, time - 10_000, time + 10_000, &mut visit).unwrap();
    };
    let both = |(left, right): &mut (WindowStore<String, i64>, WindowStore<String, i64>)| {
        commit(left);
        commit(right);
    };
    operation(&mut group, "put on one side, probe of the other", &mut (left, right), probe, both);
    group.finish();
}

/// What a row that changed costs at the commit, and later at the flush.
fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit and flush, per row");
    let keys = keys(1_000_000);
    let (_directory, mut store) = counts(&keys, true, ROOMY);
    let mut next = 0;
    let mut touch = |store: &mut Counts, rows: u64| {
        (next..next + rows).for_each(|number| count(store, pick(&keys, number)));
        next += rows;
    };
    let write = |store: &mut Counts| while store.pop_cached().unwrap().is_some() {};
    per_row(
        &mut group,
        "commit of 10 k rows: forward from the cache, changelog",
        COMMIT,
        &mut store,
        |store| touch(store, COMMIT),
        |store| {
            write(store);
            commit(store);
        },
    );
    for rows in [20_000, 200_000] {
        per_row(
            &mut group,
            &format!("flush of {rows} rows to RocksDB"),
            rows,
            &mut store,
            |store| {
                store.flush().unwrap();
                touch(store, rows);
                commit(store);
            },
            |store| store.flush().unwrap(),
        );
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = key_value, engine_reads, scans, windows, sessions, joins, commits
}
criterion_main!(benches);
