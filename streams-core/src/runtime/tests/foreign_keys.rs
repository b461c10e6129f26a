//! A foreign-key join over several partitions: both hops find the right task, whatever the numbers of partitions, and
//! the result is that of a join made at once, also after kills, and while both tables change. Input is random; seeds
//! are fixed.

use std::collections::BTreeMap;

use super::world::{APP, World, in_memory};
use crate::dsl::{KTable, Materialized, StreamsBuilder, TableJoined};
use crate::partitioner::partition_for_key;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const LEFT: Topic<String, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const JOINED: Topic<String, Option<String>> = Topic::new("joined");
const RESULT: Store<String, String> = Store::new("result");

/// A left value is `foreign key:number`; no foreign key is `:number`.
fn foreign_key(value: &str) -> Option<String> {
    value.split(':').next().filter(|key| !key.is_empty()).map(str::to_owned)
}

fn text(left: &str, right: Option<&String>) -> String {
    format!("{left}/{}", right.map_or("-", |right| right))
}

fn topology(left_join: bool, joined: TableJoined<String, String>) -> Topology {
    let builder = StreamsBuilder::new();
    let (left, right) = (builder.table(&LEFT), builder.table(&RIGHT));
    let kept = Materialized::from(&RESULT);
    let foreign_key = |_: &String, value: &String| foreign_key(value);
    let result: KTable<String, String> = match left_join {
        true => left.left_join_foreign_key_with(&right, foreign_key, |l, r| text(l, r), joined, kept),
        false => left.join_foreign_key_with(&right, foreign_key, |l, r| text(l, Some(r)), joined, kept),
    };
    result.to_stream().to(&JOINED);
    builder.build().unwrap()
}

/// Two tables in Kafka, and what they are to be in the end.
struct Tables {
    world: World,
    random: u64,
    time: i64,
    left: BTreeMap<String, String>,
    right: BTreeMap<String, String>,
    /// The partition of a key of the right topic.
    place: fn(&str, i32) -> i32,
}

impl Tables {
    fn new(seed: u64, left_partitions: i32, right_partitions: i32) -> Self {
        let world = World::new(1);
        world.kafka.create_topic("left", left_partitions).unwrap();
        world.kafka.create_topic("right", right_partitions).unwrap();
        world.kafka.create_topic("joined", 1).unwrap();
        let place = |key: &str, count: i32| partition_for_key(key.as_bytes(), count);
        Self { world, random: seed * 2 + 1, time: 0, left: BTreeMap::new(), right: BTreeMap::new(), place }
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// Some random updates and deletions of both tables.
    fn change(&mut self, count: usize) {
        for number in 0..count {
            self.time += 1;
            let is_left = self.next(3) > 0;
            let (topic, key) = match is_left {
                true => ("left", format!("l{}", self.next(20))),
                false => ("right", format!("r{}", self.next(6))),
            };
            let value = match (self.next(5), is_left) {
                (0, _) => None,
                (1, true) => Some(format!(":{number}")),
                (_, true) => Some(format!("r{}:{number}", self.next(6))),
                (_, false) => Some(format!("v{number}")),
            };
            let partitions = self.world.kafka.partition_count(topic).unwrap();
            let place = if is_left {
                partition_for_key(key.as_bytes(), partitions)
            } else {
                (self.place)(&key, partitions)
            };
            let bytes = value.as_ref().map(|value| value.as_bytes());
            self.world.kafka.produce(topic, Some(place), Some(key.as_bytes()), bytes, self.time).unwrap();
            let table = if is_left { &mut self.left } else { &mut self.right };
            match value {
                Some(value) => table.insert(key, value),
                None => table.remove(&key),
            };
        }
    }

    fn expected(&self, left_join: bool) -> BTreeMap<String, String> {
        let join = |(key, value): (&String, &String)| {
            let right = foreign_key(value).and_then(|key| self.right.get(&key));
            (left_join || right.is_some()).then(|| (key.clone(), text(value, right)))
        };
        self.left.iter().filter_map(join).collect()
    }

    fn results(&self) -> BTreeMap<String, String> {
        let mut results = BTreeMap::new();
        for record in self.world.kafka.read_all("joined", true).unwrap() {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            match record.value {
                Some(value) => results.insert(key, String::from_utf8(value).unwrap()),
                None => results.remove(&key),
            };
        }
        results
    }
}

#[test]
fn equals_a_join_made_at_once_over_any_number_of_partitions() {
    for (seed, left, right, left_join) in
        [(1, 3, 5, false), (2, 4, 1, true), (3, 1, 4, false), (4, 2, 2, true)]
    {
        let mut tables = Tables::new(seed, left, right);
        let topology = topology(left_join, TableJoined::new().confirm_deletions());
        let config = tables.world.config("i1");
        let mut one = tables.world.instance_of(topology, config).unwrap();
        for _ in 0..4 {
            tables.change(60);
            tables.world.run_until_drained(&mut [&mut one]);
            assert_eq!(tables.results(), tables.expected(left_join), "seed {seed}");
        }
    }
}

#[test]
fn kills_lose_no_subscription() {
    for left_join in [false, true] {
        let mut tables = Tables::new(7, 2, 3);
        for turns in 1..30 {
            tables.change(9);
            let config = tables.world.config("i1");
            let topology = topology(left_join, TableJoined::new().confirm_deletions());
            let mut one = match turns % 3 {
                0 => tables.world.instance_with(topology, config, in_memory()).unwrap(),
                _ => tables.world.instance_of(topology, config).unwrap(),
            };
            for _ in 0..turns {
                tables.world.turn(&mut [&mut one]).unwrap();
            }
            one.kill();
        }
        let config = tables.world.config("i1");
        let mut one = tables
            .world
            .instance_of(topology(left_join, TableJoined::new().confirm_deletions()), config)
            .unwrap();
        tables.change(30);
        tables.world.run_until_drained(&mut [&mut one]);
        assert_eq!(tables.results(), tables.expected(left_join));
    }
}

/// The right topic is partitioned by the last byte of the key: subscriptions must go the same way.
#[test]
fn partitioners_follow_those_of_the_tables() {
    fn last_byte(key: &str, count: i32) -> i32 {
        i32::from(key.as_bytes()[key.len() - 1]) % count
    }
    let mut tables = Tables::new(11, 3, 4);
    tables.place = last_byte;
    let joined = TableJoined::new()
        .other_partitioner(|topic: &str, key: &String, count| {
            assert!(topic.starts_with(APP) && topic.ends_with("-topic"), "{topic}");
            last_byte(key, count)
        })
        .partitioner(|_: &str, key: &String, count| partition_for_key(key.as_bytes(), count));
    let config = tables.world.config("i1");
    let mut one = tables.world.instance_of(topology(true, joined), config).unwrap();
    tables.change(200);
    tables.world.run_until_drained(&mut [&mut one]);
    assert_eq!(tables.results(), tables.expected(true));
}
