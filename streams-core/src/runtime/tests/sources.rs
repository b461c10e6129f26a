//! Where sources start, and which topics a pattern reads.

use std::time::Duration;

use super::world::World;
use crate::config::TimestampPolicy;
use crate::dsl::{Consumed, StreamsBuilder};
use crate::topic::Topic;
use crate::topology::{OffsetReset, Topology};

const LINES: Topic<String, String> = Topic::new("lines");
const OUT: Topic<String, String> = Topic::new("counts");

fn copy(consumed: Consumed<String, String>) -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream_with(&[&LINES], consumed).to(&OUT);
    builder.build().unwrap()
}

fn line(world: &World, topic: &str, text: &str, timestamp: i64) {
    world.kafka.produce(topic, Some(0), Some(b"k"), Some(text.as_bytes()), timestamp).unwrap();
}

fn values(world: &World) -> Vec<String> {
    let records = world.kafka.read_all("counts", true).unwrap().into_iter();
    records.map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

fn run(world: &World, topology: Topology) -> Result<Vec<String>, crate::runtime::StreamsError> {
    let mut one = world.instance_of(topology, world.config("i1"))?;
    for _ in 0..50 {
        world.turn(&mut [&mut one])?;
    }
    line(world, "lines", "new", world.now());
    for _ in 0..50 {
        world.turn(&mut [&mut one])?;
    }
    Ok(values(world))
}

fn started() -> World {
    let world = World::new(1);
    // The clock of the world stands at 1_000_000.
    line(&world, "lines", "old", 100_000);
    line(&world, "lines", "young", 990_000);
    world
}

#[test]
fn each_reset_policy_starts_where_it_says() {
    let by_duration = |ms| copy(Consumed::new().by_duration(Duration::from_millis(ms)));
    assert_eq!(run(&started(), copy(Consumed::new())).unwrap(), ["old", "young", "new"]);
    assert_eq!(run(&started(), copy(Consumed::new().latest())).unwrap(), ["new"]);
    assert_eq!(run(&started(), by_duration(50_000)).unwrap(), ["young", "new"]);
    assert_eq!(run(&started(), by_duration(5)).unwrap(), ["new"]);
    let error = run(&started(), copy(Consumed::new().reset(OffsetReset::None))).unwrap_err().to_string();
    assert!(error.contains("no committed offset for lines-0"), "{error}");
}

#[test]
fn an_input_that_lost_its_records_goes_on_by_its_policy() {
    let world = started();
    let mut one = world.instance_of(copy(Consumed::new()), world.config("i1")).unwrap();
    for _ in 0..50 {
        world.turn(&mut [&mut one]).unwrap();
    }
    one.close();
    ["lost", "kept"].iter().for_each(|text| line(&world, "lines", text, 1_000_000));
    let lost = [(streams_state::types::TopicPartition::new("lines", 0), 3)];
    let mut admin = crate::client::ClientSupplier::admin(&world.kafka).unwrap();
    admin.delete_records(&lost, Duration::from_secs(1)).unwrap();
    assert_eq!(run(&world, copy(Consumed::new())).unwrap(), ["old", "young", "kept", "new"]);
}

#[test]
fn a_pattern_reads_the_topics_that_match_and_no_internal_ones() {
    let world = World::new(1);
    for topic in ["in-1", "in-2", "other"] {
        world.kafka.create_topic(topic, 1).unwrap();
        line(&world, topic, topic, 1);
    }
    let builder = StreamsBuilder::new();
    builder.stream_pattern::<String, String>("in-[0-9]").to(&OUT);
    let mut one = world.instance_of(builder.build().unwrap(), world.config("i1")).unwrap();
    for _ in 0..50 {
        world.turn(&mut [&mut one]).unwrap();
    }
    let mut found = values(&world);
    found.sort();
    assert_eq!(found, ["in-1", "in-2"]);
}

/// The time that each record got, by the policy of the source or else of the application.
fn times(
    own: Option<TimestampPolicy>,
    default: TimestampPolicy,
) -> Result<Vec<i64>, crate::runtime::StreamsError> {
    let world = World::new(1);
    for timestamp in [5, -1, 7] {
        line(&world, "lines", "text", timestamp);
    }
    let consumed = own.into_iter().fold(Consumed::new(), Consumed::timestamp_policy);
    let mut config = world.config("i1");
    config.default_timestamp_extractor = default;
    let mut one = world.instance_of(copy(consumed), config)?;
    for _ in 0..50 {
        world.turn(&mut [&mut one])?;
    }
    let records = world.kafka.read_all("counts", true).unwrap();
    Ok(records.into_iter().map(|record| record.timestamp).collect())
}

#[test]
fn records_without_a_time_are_treated_by_policy() {
    use TimestampPolicy::{FailOnInvalid, LogAndSkipOnInvalid, UsePartitionTimeOnInvalid, WallClock};
    assert_eq!(times(None, LogAndSkipOnInvalid).unwrap(), [5, 7]);
    assert_eq!(times(Some(UsePartitionTimeOnInvalid), FailOnInvalid).unwrap(), [5, 5, 7]);
    assert!(times(Some(WallClock), FailOnInvalid).unwrap().iter().all(|time| *time >= 1_000_000));
    let error = times(None, FailOnInvalid).unwrap_err().to_string();
    assert!(error.contains("lines-0@1") && error.contains("negative timestamp -1"), "{error}");
}
