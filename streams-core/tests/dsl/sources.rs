//! Reading: nulls, timestamps, several topics, one topic read twice.

use std::time::Duration;

use streams_core::config::TimestampPolicy;
use streams_core::dsl::{Consumed, StreamsBuilder};
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::Topic;

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");

#[test]
fn null_where_the_type_has_none_is_dropped_and_counted() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe_raw(None, Some(&1_i64.to_be_bytes())).unwrap();
    driver.input(&IN).pipe_raw(Some(b"a"), None).unwrap();
    driver.input(&IN).pipe("a", 1);
    assert_eq!((driver.output(&OUT).len(), driver.dropped()), (1, 2));
}

#[test]
fn bytes_that_do_not_parse_stop_the_task_with_the_place() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&OUT);
    let error = driver(&builder).input(&IN).pipe_raw(Some(b"a"), Some(b"abc")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "task 0_0, node `KSTREAM-SOURCE-0000000000`, record in-0@0: cannot deserialize the value: 3 bytes where i64 \
         has 8"
    );
}

#[test]
fn a_null_is_a_value_for_types_that_have_it() {
    const NULLABLE: Topic<Option<String>, Option<i64>> = Topic::new("in");
    const COPY: Topic<Option<String>, Option<i64>> = Topic::new("copy");
    let builder = StreamsBuilder::new();
    builder.stream(&NULLABLE).to(&COPY);
    let driver = driver(&builder);
    driver.input(&NULLABLE).pipe(None, None);
    assert_eq!(driver.output(&COPY).read_all(), [(None, None)]);
}

#[test]
fn the_extractor_gives_the_time_and_a_negative_one_drops() {
    let builder = StreamsBuilder::new();
    let by_value = Consumed::new().timestamp_extractor(|record, partition_time| match record.value {
        0 => partition_time,
        value => *value,
    });
    builder.stream_with(&[&IN], by_value).to(&OUT);
    let driver = driver(&builder);
    for value in [0, 70, 0] {
        driver.input(&IN).pipe("a", value);
    }
    let times: Vec<i64> = driver.output(&OUT).read_records().iter().map(|record| record.timestamp).collect();
    assert_eq!((times, driver.dropped()), (vec![70, 70], 1));
}

#[test]
fn one_source_reads_several_topics() {
    const OTHER: Topic<String, i64> = Topic::new("other");
    let builder = StreamsBuilder::new();
    builder.stream_with(&[&IN, &OTHER], Consumed::new()).to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 1);
    driver.input(&OTHER).pipe("b", 2);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 1), (text("b"), 2)]);
}

#[test]
fn one_topic_read_twice_is_one_source_even_as_two_types() {
    const RAW: Topic<String, Vec<u8>> = Topic::new("in");
    const LENGTHS: Topic<String, i64> = Topic::new("lengths");
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&OUT);
    builder.stream(&RAW).map_values(|bytes| bytes.len() as i64).to(&LENGTHS);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 7);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 7)]);
    assert_eq!(driver.output(&LENGTHS).read_all(), [(text("a"), 8)]);
    assert_eq!(builder.build().unwrap().subtopologies().len(), 1);
}

/// A driver at wall clock 500 whose sources take the wall clock for event time.
fn by_wall_clock(builder: &StreamsBuilder) -> TopologyTestDriver {
    let config = DriverConfig {
        wall_clock: 500,
        default_timestamp_extractor: TimestampPolicy::WallClock,
        ..DriverConfig::default()
    };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

fn times(driver: &TopologyTestDriver) -> Vec<i64> {
    driver.output(&OUT).read_records().iter().map(|record| record.timestamp).collect()
}

/// The driver knew no default extractor: topologies that rely on one could not be tested.
#[test]
fn the_default_extractor_holds_for_sources_without_their_own() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&OUT);
    let driver = by_wall_clock(&builder);
    driver.input(&IN).pipe_at("a", 1, 7);
    assert_eq!(times(&driver), [500]);
}

/// The default extractor ran again behind each repartition topic, and the time that a source had found was lost.
#[test]
fn behind_a_repartition_the_default_extractor_is_not_asked_again() {
    let own = || Consumed::new().timestamp_policy(TimestampPolicy::FailOnInvalid);
    let repartitioned = StreamsBuilder::new();
    repartitioned.stream_with(&[&IN], own()).repartition().to(&OUT);
    let grouped = StreamsBuilder::new();
    let other_key = grouped.stream_with(&[&IN], own()).group_by(|key, _| key.clone());
    other_key.reduce(|one, two| one + two).to_stream().map_values(|sum| sum.unwrap_or(0)).to(&OUT);
    let table = StreamsBuilder::new();
    let rows = table.table_consumed(&IN, Consumed::new().timestamp_policy(TimestampPolicy::FailOnInvalid));
    let sums =
        rows.group_by(|key, value| (key.clone(), *value)).reduce(|one, two| one + two, |one, two| one - two);
    sums.to_stream().map_values(|sum| sum.unwrap_or(0)).to(&OUT);
    for builder in [repartitioned, grouped, table] {
        let driver = by_wall_clock(&builder);
        driver.input(&IN).pipe_at("a", 1, 7);
        driver.advance_wall_clock(Duration::from_secs(1));
        driver.input(&IN).pipe_at("a", 2, 9);
        assert_eq!(times(&driver), [7, 9]);
    }
}
