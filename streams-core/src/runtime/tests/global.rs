//! Global tables and stores: full before the first record, followed after, restored from their checkpoint.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

#[cfg(feature = "rocksdb")]
use super::checkpoints::checkpoint;
use super::world::{Instance, LINES, World, engines};
use crate::config::StreamsConfig;
use crate::dsl::{Consumed, Stores, StreamsBuilder, WindowRetention};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::runtime::StreamsError;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const RATES: Topic<String, String> = Topic::new("rates");
const OUT: Topic<String, String> = Topic::new("out");
const LARGEST: Store<String, String> = Store::new("largest");

fn world() -> World {
    let world = World::new(2);
    world.kafka.create_topic("rates", 3).unwrap();
    world.kafka.create_topic("out", 1).unwrap();
    world
}

fn rate(world: &World, partition: i32, key: &str, value: &str) {
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    world.kafka.produce("rates", Some(partition), key, value, 5).unwrap();
}

/// Lines are keys into the global table.
fn joined() -> Topology {
    let builder = StreamsBuilder::new();
    let rates = builder.global_table(&RATES);
    builder
        .stream(&LINES)
        .left_join_global(
            &rates,
            |(), line| line.clone(),
            |line, rate: Option<&String>| (line, rate.map_or("none".to_owned(), String::clone)),
        )
        .map(|(), pair| pair)
        .to(&OUT);
    builder.build().unwrap()
}

/// Keeps the largest value of each key, by a processor; readers look it up without being connected.
struct Largest;

impl Processor<String, String, (), ()> for Largest {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let (topic, partition, _) = context.record_metadata().ok_or("a record comes from somewhere")?;
        assert_eq!((topic, partition), ("rates", if record.key == "a" { 0 } else { 2 }));
        let store = context.store(&LARGEST)?;
        let mut store = store.borrow_mut();
        if store.get(&record.key)?.is_none_or(|(known, _)| *known < record.value) {
            store.put(&record.key, Some(record.value), record.timestamp, context.record_context())?;
        }
        Ok(())
    }
}

struct LookUp;

impl Processor<(), String, String, String> for LookUp {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<(), String>,
    ) -> Result<(), BoxError> {
        let found = context.global_store(&LARGEST)?.get(&record.value)?.unwrap_or("none".to_owned());
        let refused = context.store(&LARGEST).err().ok_or("a global store is not to be written here")?;
        assert!(refused.to_string().contains("is global"), "{refused}");
        Ok(context.forward(Record::new(record.value, found, record.timestamp))?)
    }
}

fn looked_up() -> Topology {
    let builder = StreamsBuilder::new();
    builder.add_global_store(Stores::key_value(&LARGEST), &RATES, Consumed::new(), || Largest);
    builder.stream(&LINES).process(|| LookUp, &[]).to(&OUT);
    builder.build().unwrap()
}

fn results(world: &World) -> BTreeMap<String, String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let records = world.kafka.read_all("out", true).unwrap().into_iter();
    records.map(|record| (text(record.key), text(record.value))).collect()
}

fn start(world: &World, topology: Topology, config: StreamsConfig) -> Result<Instance, StreamsError> {
    world.instance_with(topology, config, engines())
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_table_is_full_before_the_first_record_and_followed_after() {
    let world = world();
    (0..3).for_each(|partition| rate(&world, partition, &format!("k{partition}"), "1"));
    ["k0", "k1", "k2", "k3"].iter().for_each(|line| world.line(line));
    let mut config = world.config("i1");
    config.num_stream_threads = 2;
    let mut one = start(&world, joined(), config).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(results(&world), pairs(&[("k0", "1"), ("k1", "1"), ("k2", "1"), ("k3", "none")]));
    rate(&world, 1, "k3", "7");
    for _ in 0..5 {
        world.turn(&mut [&mut one]).unwrap();
    }
    world.line("k3");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(results(&world).get("k3").map(String::as_str), Some("7"));
    one.close();
}

#[test]
fn a_processor_feeds_a_global_store_at_the_start_too() {
    let world = world();
    for (partition, key, value) in [(0, "a", "3"), (0, "a", "2"), (2, "b", "4")] {
        rate(&world, partition, key, value);
    }
    ["a", "b"].iter().for_each(|line| world.line(line));
    let mut one = start(&world, looked_up(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(results(&world), pairs(&[("a", "3"), ("b", "4")]));
}

/// Puts each rate into the window of its time, or (any other type) counts the windows that a key has.
struct Windows;

impl Processor<String, String, (), ()> for Windows {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        Record { key, value, timestamp, .. }: Record<String, String>,
    ) -> Result<(), BoxError> {
        let store = context.window_store(&LARGEST)?;
        store.borrow_mut().put(&key, timestamp, Some(value), timestamp, context.record_context())?;
        Ok(())
    }
}

impl Processor<(), String, String, String> for Windows {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        Record { value: key, timestamp, .. }: Record<(), String>,
    ) -> Result<(), BoxError> {
        let mut found = Vec::new();
        context.global_window_store(&LARGEST)?.fetch_range(&key, 0, 100, &mut |_, value, _| {
            found.push(value.clone());
            ControlFlow::Continue(())
        })?;
        Ok(context.forward(Record::new(key, found.join(" "), timestamp))?)
    }
}

#[test]
fn a_global_window_store_serves_all_threads_and_is_there_again_after_a_restart() {
    let windowed = || {
        let rows = WindowRetention::new(Duration::from_secs(1), Duration::from_millis(5));
        let builder = StreamsBuilder::new();
        let store = Stores::window(&LARGEST, rows.retain_duplicates());
        builder.add_global_store(store, &RATES, Consumed::new(), || Windows);
        builder.stream(&LINES).process::<Windows, String, String>(|| Windows, &[]).to(&OUT);
        builder.build().unwrap()
    };
    let world = world();
    for (partition, key, value) in [(0, "a", "3"), (0, "a", "2"), (2, "b", "4")] {
        rate(&world, partition, key, value);
    }
    ["a", "b"].iter().for_each(|line| world.line(line));
    let mut config = world.config("i1");
    config.num_stream_threads = 2;
    let mut one = start(&world, windowed(), config).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(results(&world), pairs(&[("a", "3 2"), ("b", "4")]));
    one.kill();
    rate(&world, 1, "b", "9");
    world.line("b");
    let mut two = start(&world, windowed(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut two]);
    assert_eq!(results(&world), pairs(&[("a", "3 2"), ("b", "4 9")]));
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_restart_reads_the_tail_only_and_a_kill_loses_nothing() {
    let world = world();
    (0..100).for_each(|number| rate(&world, number % 3, &format!("k{number}"), "1"));
    let one = start(&world, joined(), world.config("i1")).unwrap();
    one.close();
    rate(&world, 0, "k0", "2");
    let two = start(&world, joined(), world.config("i1")).unwrap();
    let read = two.global.as_ref().unwrap().restored();
    assert_eq!(read, 1, "the tail behind the checkpoint");
    two.kill();
    world.line("k0");
    world.line("k99");
    let mut three = start(&world, joined(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut three]);
    assert_eq!(results(&world), pairs(&[("k0", "2"), ("k99", "1")]));
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_start_from_a_checkpoint_reads_the_tail_only() {
    let world = world();
    (0..100).for_each(|number| rate(&world, number % 3, &format!("k{number}"), "1"));
    let mut one = start(&world, joined(), world.config("i1")).unwrap();
    let place = world.root.path().join("checkpoint");
    let taken = checkpoint(&world, &mut [&mut one], 0, &place).unwrap();
    let global = taken.tasks.last().unwrap();
    assert_eq!((&*global.task, global.stores[0].offset, global.stores[0].kept), ("global", Some(100), true));
    one.close();
    rate(&world, 0, "k0", "2");
    let mut config = world.config("i2");
    config.state_start_from = Some(place);
    let mut two = start(&world, joined(), config).unwrap();
    assert_eq!(two.global.as_ref().unwrap().restored(), 1, "the tail behind the checkpoint");
    world.line("k0");
    world.line("k99");
    world.run_until_drained(&mut [&mut two]);
    assert_eq!(results(&world), pairs(&[("k0", "2"), ("k99", "1")]));
}

#[test]
fn a_missing_global_topic_is_named() {
    let world = world();
    world.kafka.delete_topic("rates").unwrap();
    let error = start(&world, joined(), world.config("i1")).err().unwrap().to_string();
    assert!(error.contains("`rates` does not exist"), "{error}");
}

#[test]
fn a_record_that_does_not_parse_says_where() {
    let world = world();
    world.kafka.produce("rates", Some(1), Some(b"k"), Some(b"\xff\xfe"), 0).unwrap();
    let error = start(&world, joined(), world.config("i1")).err().unwrap().to_string();
    assert!(error.contains("rates-1@0"), "{error}");
}

/// Global stores were filled without a word.
#[test]
fn the_restore_listener_hears_of_global_stores() {
    let world = world();
    (0..2).for_each(|value| rate(&world, 0, "a", &value.to_string()));
    rate(&world, 2, "b", "7");
    let mut one = start(&world, looked_up(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    rate(&world, 0, "a", "later");
    (0..5).for_each(|_| world.turn(&mut [&mut one]).unwrap());
    let mut heard = world.restores.0.lock().unwrap().clone();
    heard.sort();
    let expected = [("rates-0", 0, 2), ("rates-1", 0, 0), ("rates-2", 0, 1)];
    assert_eq!(heard, expected.map(|(name, from, records)| (name.to_owned(), from, records)));
}
