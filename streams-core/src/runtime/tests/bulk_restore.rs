//! Restores in bulk: equal to those record by record, taken back and gone on, while other tasks run, from where rows have not expired.

use std::sync::Arc;
use std::time::Duration;

use streams_state::engine::EngineProvider;
use streams_state::format::window_key::WindowKey;
use streams_state::serdes::Auto;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore, WindowOptions, WindowStore};
use streams_state::types::TopicPartition;

use super::crashes::Kept;
use super::world::{World, expected, lines, word_count};
use crate::client::{ClientSupplier, Consumer, ConsumerSettings, Fault};
use crate::runtime::metrics::ThreadMetrics;
use crate::runtime::restore::RestoreError;
use crate::runtime::restore_job::RestoreJob;
use crate::runtime::restore_workers::RestoreWorkers;

const CHANGELOG: &str = "log";

fn changelog(partition: i32) -> TopicPartition {
    TopicPartition::new(CHANGELOG, partition)
}

fn consumer(world: &World) -> Box<dyn Consumer> {
    world.kafka.consumer(&ConsumerSettings { read_committed: true, ..ConsumerSettings::default() }).unwrap()
}

fn key_values(world: &World, kept: &Kept, name: &str) -> KeyValueStore<String, String> {
    let options = KeyValueOptions {
        name: name.into(),
        timestamped: true,
        caching: false,
        logging: true,
        tier_max_bytes: 1 << 20,
    };
    let engine = kept.open(&world.root.path().join(name), &[name]).unwrap().remove(0);
    KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
}

/// Updates of few keys, some of them deletions.
fn world_with_updates(records: usize) -> World {
    let world = World::new(1);
    world.kafka.create_topic(CHANGELOG, 4).unwrap();
    for partition in 0..4 {
        for number in 0..records {
            let key = format!("key {}", (number * 7) % 97);
            let value = (number % 11 != 0).then(|| format!("{partition}/{number}"));
            let (key, value) = (Some(key.as_bytes()), value.as_ref().map(String::as_bytes));
            world.kafka.produce(CHANGELOG, Some(partition), key, value, number as i64).unwrap();
        }
    }
    world
}

fn job(store: &mut dyn StateStore, partition: i32, end: i64, memory_max: usize) -> RestoreJob {
    store.flush().unwrap();
    let mut restore = store.bulk_restore().unwrap().unwrap();
    restore.set_memory_max(memory_max);
    let from = restore.offset().unwrap_or(0);
    RestoreJob::new(changelog(partition), from, end, restore)
}

/// What the store must hold after `records` updates.
fn check_rows(store: &mut KeyValueStore<String, String>, partition: i32, records: usize) {
    let mut rows = std::collections::BTreeMap::new();
    for number in 0..records {
        let value = (number % 11 != 0).then(|| (format!("{partition}/{number}"), number as i64));
        rows.insert(format!("key {}", (number * 7) % 97), value);
    }
    for (key, row) in rows {
        let found = store.get(&key).unwrap().map(|(value, at)| (value.clone(), at));
        assert_eq!(found, row, "{key}");
    }
}

#[test]
fn workers_restore_several_partitions_and_a_job_that_was_taken_back_goes_on() {
    const RECORDS: usize = 5000;
    let world = world_with_updates(RECORDS);
    let kept = Kept::default();
    let supplier: Arc<dyn ClientSupplier> = Arc::new(world.kafka.clone());
    let workers = RestoreWorkers::new(supplier, ConsumerSettings::default(), 2);
    let mut stores: Vec<_> = (0..4).map(|number| key_values(&world, &kept, &format!("s{number}"))).collect();
    for last in [false, true] {
        let jobs: Vec<_> = (0..4)
            .zip(&mut stores)
            .map(|(number, store)| workers.submit(job(store, number, RECORDS as i64, 2000)).unwrap())
            .collect();
        for job in jobs {
            while last && !job.poll().unwrap() {
                std::thread::yield_now();
            }
        }
        stores.iter_mut().for_each(|store| store.reopen().unwrap());
    }
    for (partition, store) in (0..4).zip(&mut stores) {
        assert_eq!(store.offset(), Some(RECORDS as i64));
        check_rows(store, partition, RECORDS);
    }
}

#[test]
fn a_changelog_that_lost_the_offset_says_so() {
    let world = world_with_updates(100);
    let kept = Kept::default();
    let mut store = key_values(&world, &kept, "s");
    let mut admin = world.kafka.admin().unwrap();
    admin.delete_records(&[(changelog(0), 50)], Duration::ZERO).unwrap();
    let supplier: Arc<dyn ClientSupplier> = Arc::new(world.kafka.clone());
    let workers = RestoreWorkers::new(supplier, ConsumerSettings::default(), 1);
    let submitted = workers.submit(job(&mut store, 0, 100, 1000)).unwrap();
    let failed = loop {
        match submitted.poll() {
            Ok(done) => assert!(!done),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, RestoreError::Client(error) if error.fault == Fault::OffsetOutOfRange));
}

/// Records that come in disorder, and far more of them than have not expired: all that has not is there, and little else was read.
#[test]
fn window_stores_start_where_rows_have_not_expired() {
    const RECORDS: i64 = 20_000;
    let world = World::new(1);
    world.kafka.create_topic(CHANGELOG, 1).unwrap();
    let options = WindowOptions { segment_interval: 1000, ..WindowOptions::new("w", 10_000, 100) };
    let open = |kept: &Kept, name: &str| -> WindowStore<String, String> {
        let engine = kept.open(&world.root.path().join(name), &[name]).unwrap().remove(0);
        WindowStore::new(options.clone(), engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    };
    let kept = Kept::default();
    let (mut by_record, mut in_bulk) = (open(&kept, "one"), open(&kept, "two"));
    let mut rows = Vec::new();
    for number in 0..RECORDS {
        let timestamp = number * 10 - (number * 7919) % 3000;
        let (name, start) = (format!("key {}", number % 50), timestamp.max(0) / 100 * 100);
        let mut key = Vec::new();
        WindowKey { key: name.as_bytes(), start, sequence: 0 }.encode(&mut key);
        let value = format!("{number}");
        by_record.restore(&key, Some(value.as_bytes()), timestamp).unwrap();
        let (key, value) = (Some(&key[..]), Some(value.as_bytes()));
        world.kafka.produce(CHANGELOG, Some(0), key, value, timestamp).unwrap();
        rows.push((name, start));
    }
    let mut job = job(&mut in_bulk, 0, RECORDS, 20_000);
    let mut consumer = consumer(&world);
    while !job.step(&mut *consumer, Duration::ZERO).unwrap() {}
    let (_, read) = job.progress();
    job.finish().unwrap();
    in_bulk.reopen().unwrap();
    assert!((1000..2000).contains(&read), "{read} records were read");
    assert_eq!(in_bulk.stream_time(), by_record.stream_time());
    let mut live = 0;
    for (key, start) in rows {
        let expected = by_record.fetch(&key, start).unwrap().map(|(value, at)| (value.clone(), at));
        let found = in_bulk.fetch(&key, start).unwrap().map(|(value, at)| (value.clone(), at));
        live += usize::from(expected.is_some());
        assert_eq!(found, expected, "{key} at {start}");
    }
    assert!(live > 700, "{live}");
}

/// The task with the store restores over many turns; the tasks without process at once, and what they send is counted in the end.
#[test]
fn other_tasks_go_on_while_a_store_is_restored_in_bulk() {
    let world = World::new(1);
    let mut input = lines(7, 2000);
    input.iter().for_each(|line| world.line(line));
    let kept = Arc::new(Kept::default());
    let mut config = world.config("i1");
    config.statestore_cache_max_bytes = 0;
    let mut one = world.instance_with(word_count(), config.clone(), kept.clone()).unwrap();
    world.run_until_drained(&mut [&mut one]);
    one.close();
    kept.delete(&world.root.path().join("i1"));
    let more = lines(8, 100);
    more.iter().for_each(|line| world.line(line));
    input.extend(more);

    let mut one = world.instance_with(word_count(), config, kept).unwrap();
    one.threads[0].restorer.bulk_min_records = 1;
    let mut processed_meanwhile = 0;
    let records = |metrics: &ThreadMetrics| metrics.records.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..1000 {
        world.turn(&mut [&mut one]).unwrap();
        let thread = &one.threads[0];
        if !thread.restorer.is_done() {
            assert!(thread.restorer.left() > 0);
            assert!(thread.metrics.restore_left.load(std::sync::atomic::Ordering::Relaxed) > 0);
            processed_meanwhile = records(&thread.metrics);
        }
    }
    assert!(processed_meanwhile >= 100, "{processed_meanwhile}");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
    let restored: u64 = world.restores.0.lock().unwrap().iter().map(|(_, _, records)| records).sum();
    assert_eq!(restored, 3 * 2000, "each word was one record");
}
