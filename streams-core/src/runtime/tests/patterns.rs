//! Topics that match a pattern and appear or go while the application runs: no restart, no record twice, state kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{Instance, World};
use crate::config::StreamsConfig;
use crate::dsl::{Consumed, StreamsBuilder};
use crate::runtime::GroupMembershipOperation;
use crate::serdes::Auto;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("count-store");

/// Counts the records of each key over all topics that match.
fn counted() -> Topology {
    let builder = StreamsBuilder::new();
    let stream =
        builder.stream_pattern_with::<String, String>("in-.*", Auto, Auto, Consumed::new().earliest());
    stream.group_by_key().count_with(&STORE).to_stream().to(&COUNTS);
    builder.build().unwrap()
}

fn config(world: &World, name: &str, every_ms: i64) -> StreamsConfig {
    let mut config = world.config(name);
    config.client_properties.insert("metadata.max.age.ms".to_owned(), every_ms.to_string());
    config
}

fn records(world: &World, topic: &str, keys: &[&str]) {
    let partitions = world.kafka.partition_count(topic).unwrap();
    for key in keys {
        let place = crate::partitioner::partition_for_key(key.as_bytes(), partitions);
        world.kafka.produce(topic, Some(place), Some(key.as_bytes()), Some(b"v"), 1).unwrap();
    }
}

fn turn(world: &World, instances: &mut [&mut Instance], turns: usize) {
    (0..turns).for_each(|_| world.turn(instances).unwrap());
}

fn counts(expected: &[(&str, i64)]) -> BTreeMap<String, i64> {
    expected.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

#[test]
fn a_topic_that_appears_joins_and_the_state_stays() {
    let world = World::new(2);
    world.kafka.create_topic("in-1", 2).unwrap();
    records(&world, "in-1", &["a", "b", "a"]);
    let mut one = world.instance_of(counted(), config(&world, "i1", 1_000)).unwrap();
    turn(&world, &mut [&mut one], 60);
    assert_eq!(world.counts(), counts(&[("a", 2), ("b", 1)]));
    world.kafka.create_topic("in-2", 2).unwrap();
    records(&world, "in-2", &["a", "c"]);
    records(&world, "in-1", &["b"]);
    turn(&world, &mut [&mut one], 200);
    assert_eq!(world.counts(), counts(&[("a", 3), ("b", 2), ("c", 1)]));
    one.close();
    let mut again = world.instance_of(counted(), config(&world, "i1", 1_000)).unwrap();
    records(&world, "in-2", &["a"]);
    turn(&world, &mut [&mut again], 60);
    assert_eq!(world.counts(), counts(&[("a", 4), ("b", 2), ("c", 1)]));
}

#[test]
fn it_is_not_looked_for_before_its_time() {
    let world = World::new(1);
    world.kafka.create_topic("in-1", 1).unwrap();
    let mut one = world.instance_of(counted(), config(&world, "i1", 60_000)).unwrap();
    turn(&world, &mut [&mut one], 60);
    world.kafka.create_topic("in-2", 1).unwrap();
    records(&world, "in-2", &["a"]);
    turn(&world, &mut [&mut one], 200);
    assert_eq!(world.counts(), counts(&[]));
    world.clock.advance(60_000);
    turn(&world, &mut [&mut one], 100);
    assert_eq!(world.counts(), counts(&[("a", 1)]));
}

#[test]
fn without_any_topic_it_waits_for_the_first() {
    let world = World::new(1);
    let mut one = world.instance_of(counted(), config(&world, "i1", 500)).unwrap();
    turn(&world, &mut [&mut one], 20);
    assert!(one.is_running());
    world.kafka.create_topic("in-1", 1).unwrap();
    records(&world, "in-1", &["a"]);
    turn(&world, &mut [&mut one], 150);
    assert_eq!(world.counts(), counts(&[("a", 1)]));
    world.kafka.delete_topic("in-1").unwrap();
    turn(&world, &mut [&mut one], 150);
    assert!(one.is_running() && one.threads[0].tasks.is_empty(), "its tasks went with the topic");
}

#[test]
fn a_topic_that_does_not_fit_is_left_out() {
    let world = World::new(1);
    world.kafka.create_topic("in-1", 1).unwrap();
    let mut one = world.instance_of(counted(), config(&world, "i1", 500)).unwrap();
    turn(&world, &mut [&mut one], 50);
    // Its three partitions do not fit the changelog, which has one.
    world.kafka.create_topic("in-2", 3).unwrap();
    records(&world, "in-1", &["a"]);
    turn(&world, &mut [&mut one], 200);
    assert_eq!(world.counts(), counts(&[("a", 1)]));
}

/// Members learn of the topic one after the other, also while one of them is killed; all records count once.
#[test]
fn several_members_learn_of_it_one_after_the_other() {
    for kill_at in [0, 20, 45, 90] {
        let world = World::new(4);
        world.kafka.create_topic("in-1", 4).unwrap();
        let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        records(&world, "in-1", &keys);
        let mut one = world.instance_of(counted(), config(&world, "i1", 400)).unwrap();
        let mut two = world.instance_of(counted(), config(&world, "i2", 900)).unwrap();
        turn(&world, &mut [&mut one, &mut two], 100);
        world.kafka.create_topic("in-2", 4).unwrap();
        records(&world, "in-2", &keys);
        turn(&world, &mut [&mut one, &mut two], kill_at + 1);
        records(&world, "in-1", &keys);
        if kill_at > 0 {
            two.kill();
            two = world.instance_of(counted(), config(&world, "i2", 900)).unwrap();
        }
        turn(&world, &mut [&mut one, &mut two], 400);
        let expected: BTreeMap<String, i64> = keys.iter().map(|key| ((*key).to_owned(), 3)).collect();
        assert_eq!(world.counts(), expected, "killed at turn {kill_at}");
        assert_eq!((one.threads[0].tasks.len(), two.threads[0].tasks.len()), (2, 2));
        let closed = Duration::from_secs(1);
        one.threads[0].close(closed, GroupMembershipOperation::LeaveGroup).unwrap();
        turn(&world, &mut [&mut two], 100);
        assert_eq!(two.threads[0].tasks.len(), 4);
    }
}
