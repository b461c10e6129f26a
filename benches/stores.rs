//! What a key-value store costs: updates in place, with their share of commit (changelog) and flush (engine).
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kstreams::serdes::Auto;
use kstreams::types::RecordContext;
use streams_state::engine::InMemoryEngine;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};

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

fn commit(store: &mut KeyValueStore<String, i64>) -> usize {
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

criterion_group!(benches, stores);
criterion_main!(benches);
