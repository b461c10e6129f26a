//! Stores whose changelog is a topic that is read anyway: read-only stores, and tables under `reuse.ktable.source.topics`.
//! Restored from that topic up to what is committed, the rest is processed: nothing is lost, nothing is forwarded twice,
//! no changelog topic is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crashes::Kept;
use super::put_record;
use super::world::{APP, Instance, World, in_memory};
use crate::dsl::{Consumed, Stores, StreamsBuilder, TopologyConfig};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const LINES: Topic<String, String> = Topic::new("lines");
const ROWS: Topic<String, String> = Topic::new("left");
const OUT: Topic<String, String> = Topic::new("out");
const SEEN: Topic<String, String> = Topic::new("seen");
const COPY: Store<String, String> = Store::new("copy");

fn world() -> World {
    let world = World::new(2);
    for (topic, partitions) in [("left", 2), ("out", 1), ("seen", 1)] {
        world.kafka.create_topic(topic, partitions).unwrap();
    }
    world
}

fn write(world: &World, topic: &str, key: &str, value: &str) {
    let place = crate::partitioner::partition_for_key(key.as_bytes(), 2);
    world.kafka.produce(topic, Some(place), Some(key.as_bytes()), Some(value.as_bytes()), 5).unwrap();
}

fn results(world: &World, topic: &str) -> Vec<(String, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let records = world.kafka.read_all(topic, true).unwrap().into_iter();
    let mut results: Vec<_> = records.map(|record| (text(record.key), text(record.value))).collect();
    results.sort();
    results
}

/// Copies the topic into the store, as it is.
struct Copy;

impl Processor<String, String, (), ()> for Copy {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        put_record(context, &COPY, record)
    }
}

struct LookUp;

impl Processor<String, String, String, String> for LookUp {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let store = context.store(&COPY)?;
        let found = store.borrow_mut().get(&record.key)?.map_or("none".to_owned(), |(row, _)| row.clone());
        let found = format!("{}={found}", record.value);
        Ok(context.forward(record.with_value(found))?)
    }
}

fn read_only() -> Topology {
    let mut topology = Topology::new();
    let store = Stores::key_value(&COPY);
    topology.add_read_only_state_store(store, "rows", &ROWS, Consumed::new(), "copy-rows", || Copy);
    let lines = topology.add_source("lines", &[&LINES]);
    let found = topology.add_processor("look-up", || LookUp, &[&lines]);
    topology.connect_processor_and_state_stores("look-up", &["copy"]);
    topology.add_sink("out", &OUT, &[&found]);
    topology
}

fn reused() -> Topology {
    let builder = StreamsBuilder::new();
    let rows = builder.table_with(&ROWS, Consumed::new(), &COPY);
    let joined = builder.stream(&LINES).left_join_table(&rows, |line, row: Option<&String>| {
        format!("{line}={}", row.map_or("none", |row| row))
    });
    joined.to(&OUT);
    rows.to_stream().to(&SEEN);
    let config = TopologyConfig { reuse_ktable_source_topics: true, ..TopologyConfig::default() };
    builder.build_with(config).unwrap()
}

/// New rows and lines, killed after each number of turns, with and without state on disk. What a line found is what the table
/// had when the last run before it was drained, or newer.
fn killed_at_any_turn(topology: fn() -> Topology) -> World {
    let world = world();
    let mut lines = BTreeMap::new();
    for round in 1..40_usize {
        for key in 0..5 {
            write(&world, "left", &format!("k{key}"), &format!("{round:02}"));
        }
        let start = || match round % 2 {
            0 => world.instance_with(topology(), world.config("i1"), in_memory()).unwrap(),
            _ => world.instance_of(topology(), world.config("i1")).unwrap(),
        };
        let mut one: Instance = start();
        (0..round).for_each(|_| world.turn(&mut [&mut one]).unwrap());
        one.kill();
        let mut two = start();
        world.run_until_drained(&mut [&mut two]);
        for key in 0..5 {
            write(&world, "lines", &format!("k{key}"), &format!("line{round}"));
            lines.insert((format!("k{key}"), format!("line{round}")), format!("{round:02}"));
        }
        (0..round % 7).for_each(|_| world.turn(&mut [&mut two]).unwrap());
        two.kill();
    }
    let mut last = world.instance_of(topology(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut last]);
    last.close();
    let found = results(&world, "out");
    assert_eq!(found.len(), lines.len(), "each line once");
    for (key, value) in found {
        let (line, row) = value.split_once('=').unwrap();
        let at_least = lines.get(&(key.clone(), line.to_owned())).unwrap();
        assert!(row >= at_least.as_str() && row != "none", "{key}: {value}, not before {at_least}");
    }
    let changelog = format!("{APP}-copy-changelog");
    assert!(!world.kafka.topics().iter().any(|topic| **topic == *changelog), "no changelog is made");
    world
}

#[test]
fn a_read_only_store_is_restored_from_its_topic() {
    killed_at_any_turn(read_only);
}

#[test]
fn a_table_over_its_source_topic_is_restored_and_forwards_each_update_once() {
    let world = killed_at_any_turn(reused);
    let updates = results(&world, "seen");
    let expected: Vec<(String, String)> =
        (0..5).flat_map(|key| (1..40).map(move |round| (format!("k{key}"), format!("{round:02}")))).collect();
    // The cache of the table may keep an update back for a later one of the same key; nothing comes twice.
    let mut once = updates.clone();
    once.dedup();
    assert_eq!(once, updates, "no update twice");
    assert!(updates.iter().all(|update| expected.contains(update)));
    (0..5).for_each(|key| assert!(updates.contains(&(format!("k{key}"), "39".to_owned()))));
}

#[test]
fn a_restart_restores_it_before_the_first_record() {
    for topology in [read_only, reused] {
        let world = world();
        write(&world, "left", "a", "1");
        let mut one = world.instance_of(topology(), world.config("i1")).unwrap();
        world.run_until_drained(&mut [&mut one]);
        one.close();
        world.restores.0.lock().unwrap().clear();
        write(&world, "lines", "a", "l");
        let mut two = world.instance_with(topology(), world.config("i2"), in_memory()).unwrap();
        world.run_until_drained(&mut [&mut two]);
        assert_eq!(results(&world, "out"), [("a".to_owned(), "l=1".to_owned())]);
        let restored: Vec<_> =
            world.restores.0.lock().unwrap().iter().filter(|heard| heard.2 > 0).cloned().collect();
        assert_eq!(restored.iter().map(|(from, ..)| &**from).collect::<Vec<_>>(), ["left-0"]);
    }
}

/// One poll brings records on both sides of the committed offset. The later ones were once taken for restored: processed again, they
/// found themselves in the table as their own old value.
#[test]
fn a_restore_ends_at_the_committed_offset_within_a_batch() {
    for (topology, bulk_min_records) in
        [(read_only as fn() -> Topology, 50_000), (reused, 50_000), (reused, 1)]
    {
        let world = world();
        (0..5).for_each(|number| write(&world, "left", "a", &format!("{number}")));
        let mut one = world.instance_of(topology(), world.config("i1")).unwrap();
        world.run_until_drained(&mut [&mut one]);
        one.close();
        world.restores.0.lock().unwrap().clear();
        (5..9).for_each(|number| write(&world, "left", "a", &format!("{number}")));
        let mut two = world.instance_with(topology(), world.config("i2"), Arc::new(Kept::default())).unwrap();
        two.threads.iter_mut().for_each(|thread| thread.restorer.bulk_min_records = bulk_min_records);
        world.run_until_drained(&mut [&mut two]);
        let heard = world.restores.0.lock().unwrap().clone();
        let restored: Vec<_> =
            heard.iter().filter(|heard| heard.0 == "left-0").map(|heard| heard.2).collect();
        assert_eq!(restored, [5], "{bulk_min_records}: {heard:?}");
    }
}
