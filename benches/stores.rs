//! What stores cost: updates in place, with their share of commit (changelog) and flush (engine); windows; joins.
#![allow(missing_docs, clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kstreams::serdes::Auto;
use kstreams::types::RecordContext;
use streams_state::engine::InMemoryEngine;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore, WindowOptions, WindowStore};

/// Keys of the store.
const KEYS: usize = 100_000;
/// Updates per commit.
const UPDATES: usize = 10_000;

fn store(caching: bool) -> KeyValueStore<String, i64> {
    let options = KeyValueOptions {
        name: "counts".into(),
        timestamped: true,
        caching,
        logging: true,
        tier_max_bytes: 256 << 20,
    };
    let engine = Box::new(InMemoryEngine::new());
    KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|number| format!("key-{number}")).collect()
}

/// Counts `UPDATES` records over the keys, starting at `from`.
fn count(store: &mut KeyValueStore<String, i64>, keys: &[String], from: usize) {
    let context = RecordContext::none(1);
    for number in from..from + UPDATES {
        // 7919 is prime: visits the keys in no order.
        let key = &keys[number * 7919 % KEYS];
        store
            .update(key, &context, |row| match row {
                Some((count, timestamp)) => {
                    *count += 1;
                    *timestamp = 1;
                }
                None => *row = Some((1, 1)),
            })
            .unwrap();
    }
}

fn commit(store: &mut impl StateStore) -> usize {
    let mut bytes = 0;
    store
        .drain_changelog(&mut |entry| {
            bytes += entry.key.len() + entry.value.map_or(0, <[u8]>::len);
            Ok(())
        })
        .unwrap();
    store.committed(Some(1));
    bytes
}

fn stores(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(UPDATES as u64));
    let mut logged = store(false);
    let mut from = 0;
    group.bench_function("update and commit", |bencher| {
        bencher.iter(|| {
            count(&mut logged, &keys, from);
            from += UPDATES;
            commit(&mut logged)
        });
    });
    let mut cached = store(true);
    group.bench_function("update under the cache, forward, commit", |bencher| {
        bencher.iter(|| {
            count(&mut cached, &keys, from);
            from += UPDATES;
            while cached.pop_cached().unwrap().is_some() {}
            commit(&mut cached)
        });
    });
    group.bench_function("flush to the in-memory engine", |bencher| {
        let prepare = || {
            let mut store = store(false);
            count(&mut store, &keys, 0);
            commit(&mut store);
            store
        };
        bencher.iter_batched_ref(prepare, |store| store.flush().unwrap(), BatchSize::LargeInput);
    });
    group.finish();
}

fn window_store(change: impl FnOnce(&mut WindowOptions)) -> WindowStore<String, i64> {
    let mut options =
        WindowOptions { tier_max_bytes: 1 << 30, ..WindowOptions::new("windows", 600_000, 60_000) };
    change(&mut options);
    WindowStore::new(options, Box::new(InMemoryEngine::new()), Arc::new(Auto), Arc::new(Auto)).unwrap()
}

/// Counts `UPDATES` records, 5 a ms, in windows of `size` ms. Each ms, visits the windows that closed.
fn count_windows(store: &mut WindowStore<String, i64>, keys: &[String], from: usize, size: i64) -> usize {
    let context = RecordContext::none(1);
    let mut closed = 0;
    for number in from..from + UPDATES {
        let time = number as i64 / 5;
        let key = &keys[number * 7919 % KEYS];
        store
            .update(key, time / size * size, &context, |row| match row {
                Some((count, _)) => *count += 1,
                None => *row = Some((1, time)),
            })
            .unwrap();
        if store.options().ordered_by_time && number % 5 == 0 {
            let mut visit = |_, _, _: &i64, _| {
                closed += 1;
                ControlFlow::Continue(())
            };
            store.fetch_all(time - size, time - size, &mut visit).unwrap();
        }
    }
    closed
}

fn windows(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group("window store");
    group.throughput(Throughput::Elements(UPDATES as u64));
    for (what, size, ordered_by_time) in [
        ("tumbling, 60 s: update and commit", 60_000, false),
        ("tumbling, 1 s: update, emit on close, commit", 1000, true),
    ] {
        let mut store = window_store(|options| options.ordered_by_time = ordered_by_time);
        let mut from = 0;
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                let closed = count_windows(&mut store, &keys, from, size);
                from += UPDATES;
                (closed, commit(&mut store))
            });
        });
    }
    let side = |options: &mut WindowOptions| {
        (options.retain_duplicates, options.retention) = (true, 20_000);
        options.segment_interval = 60_000;
    };
    let (mut left, mut right) = (window_store(side), window_store(side));
    let (context, mut from) = (RecordContext::none(1), 0);
    group.bench_function("join within 10 s: put, fetch the other side, commit", |bencher| {
        bencher.iter(|| {
            let mut found = 0;
            for number in from..from + UPDATES {
                let (time, key) = (number as i64, &keys[number / 2 * 7919 % 10_000]);
                let (own, other) =
                    if number % 2 == 0 { (&mut left, &mut right) } else { (&mut right, &mut left) };
                own.put(key, time, Some(1), time, &context).unwrap();
                let mut visit = |_, _: &i64, _| {
                    found += 1;
                    ControlFlow::Continue(())
                };
                other.fetch_range(key, time - 10_000, time + 10_000, &mut visit).unwrap();
            }
            from += UPDATES;
            (found, commit(&mut left), commit(&mut right))
        });
    });
    group.finish();
}

criterion_group!(benches, stores, windows);
criterion_main!(benches);
