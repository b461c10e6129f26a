//! Reading: nulls, timestamps, several topics, one topic read twice.

use std::time::Duration;

use streams_core::config::TimestampPolicy;
use streams_core::dsl::{Consumed, StreamsBuilder};
use streams_core::record::ConsumerRecord;
use streams_core::serdes::Auto;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_core::types::Headers;

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

/// The extractor saw key, value, time and headers only.
#[test]
fn an_extractor_sees_where_the_record_is() {
    let builder = StreamsBuilder::new();
    let at = Consumed::new().timestamp_extractor(|record: &ConsumerRecord<'_, String, i64>, _| {
        assert_eq!((record.topic, record.partition, record.timestamp), ("in", 0, 5));
        100 + record.offset
    });
    builder.stream_with(&[&IN], at).to(&OUT);
    let driver = driver(&builder);
    (0..2).for_each(|value| driver.input(&IN).pipe_at("a", value, 5));
    assert_eq!(times(&driver), [100, 101]);
}

/// A deletion kept Kafka's timestamp, and a negative one dropped it.
#[test]
fn the_extractor_of_a_table_gives_deletions_their_time() {
    let time = || {
        Consumed::new().timestamp_extractor(|record: &ConsumerRecord<'_, String, Option<i64>>, _| {
            record.value.unwrap_or(50)
        })
    };
    const KEPT: Store<String, i64> = Store::new("kept");
    let builder = StreamsBuilder::new();
    builder.table_with(&IN, time(), &KEPT).to_stream().map_values(|row| row.unwrap_or(-1)).to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe_at("a", 40, 0);
    driver.pipe_raw("in", Some(b"a"), None, -1, Headers::EMPTY).unwrap();
    assert_eq!((times(&driver), driver.dropped()), (vec![40, 50], 0));
    assert_eq!(driver.store(&KEPT).get(&text("a")), None);
    const GLOBAL: Topic<String, i64> = Topic::new("global");
    let builder = StreamsBuilder::new();
    builder.global_table_with(&GLOBAL, time(), &KEPT);
    let driver = crate::driver(&builder);
    driver.input(&GLOBAL).pipe_at("a", 40, 0);
    driver.pipe_raw("global", Some(b"a"), None, -1, Headers::EMPTY).unwrap();
    assert_eq!((driver.dropped(), driver.store(&KEPT).get(&text("a"))), (0, None));
}

/// The driver said that no source reads the topic.
#[test]
fn topics_that_match_a_pattern_are_read() {
    let builder = StreamsBuilder::new();
    let topic_of = Consumed::new().timestamp_extractor(|record: &ConsumerRecord<'_, String, i64>, _| {
        assert_eq!(record.offset, 0);
        record.topic.len() as i64
    });
    let parts = builder.stream_pattern_with("in-.*|__mine", Auto, Auto, topic_of);
    parts.group_by_key().reduce(|one, two| one + two).to_stream().map_values(|sum| sum.unwrap_or(0)).to(&OUT);
    let driver = driver(&builder);
    for topic in ["in-1", "in-22", "__mine"] {
        driver.input(&Topic::<String, i64>::named(topic)).pipe("a", 1);
    }
    let expected = [(4, 1), (5, 2), (6, 3)];
    let found: Vec<(i64, i64)> =
        driver.output(&OUT).read_records().iter().map(|record| (record.timestamp, record.value)).collect();
    assert_eq!(found, expected);
    for topic in ["other", "__consumer_offsets"] {
        let error = driver_of_copy().pipe_raw(topic, Some(b"a"), None, 0, Headers::EMPTY).unwrap_err();
        assert!(error.to_string().contains("it reads `.*-copy|in.*`"), "{error}");
    }
}

/// A topology that reads what it writes, by pattern.
fn driver_of_copy() -> TopologyTestDriver {
    let builder = StreamsBuilder::new();
    let stream = builder.stream_pattern::<String, i64>(".*-copy|in.*");
    let copied = stream.filter(|_, value| *value > 0).map_values(|value| value - 1);
    copied.to_extractor(|_, value, context| format!("{}-{value}-copy", context.topic.unwrap()));
    driver(&builder)
}

#[test]
fn a_topic_that_is_written_and_matches_is_read() {
    let driver = driver_of_copy();
    driver.input(&IN).pipe("a", 2);
    let topics: Vec<String> = driver.produced_topics().iter().map(|topic| topic.to_string()).collect();
    assert_eq!(topics, ["in-1-copy", "in-1-copy-0-copy"]);
}
