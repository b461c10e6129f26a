//! Where records go: forks, branches, merges, repartitions.

use streams_core::dsl::{StreamsBuilder, TopologyConfig};
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::Topic;

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");

/// Keys and values may be of any type between topics.
struct Plain(i64);

#[test]
fn the_first_branch_that_wants_a_record_gets_it() {
    const SMALL: Topic<String, i64> = Topic::new("small");
    const EVEN: Topic<String, i64> = Topic::new("even");
    let builder = StreamsBuilder::new();
    let mut split = builder.stream(&IN).map_values(Plain).named("size-").split();
    split.branch_as("small", |_, value| value.0 < 10).map_values(|value| value.0).to(&SMALL);
    split.branch(|_, value| value.0 % 2 == 0).map_values(|value| value.0).to(&EVEN);
    split.default_branch_as("rest").map_values(|value| value.0).to(&OUT);
    let driver = driver(&builder);
    for value in [2, 20, 21] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.output(&SMALL).read_all(), [(text("a"), 2)]);
    assert_eq!(driver.output(&EVEN).read_all(), [(text("a"), 20)]);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 21)]);
    let topology = builder.build().unwrap();
    assert!(
        ["size-", "size-small", "size-2", "size-rest"].iter().all(|name| topology.find_node(name).is_some())
    );
}

#[test]
fn without_a_default_branch_the_rest_is_dropped_uncounted() {
    let builder = StreamsBuilder::new();
    let mut split = builder.stream(&IN).split();
    split.branch(|_, value| *value > 0).to(&OUT);
    split.no_default_branch();
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", -1);
    assert_eq!((driver.output(&OUT).len(), driver.dropped()), (0, 0));
}

#[test]
fn a_fork_sends_each_record_to_all_in_the_order_of_the_program() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    stream.clone().map_values(|value| value + 1).to(&OUT);
    stream.clone().map_values(|value| value + 2).to(&OUT);
    stream.to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 0);
    let values: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [1, 2, 0]);
}

#[test]
fn a_stream_merged_with_itself_gives_each_record_once_as_in_kafka_streams() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    stream.clone().merge(stream).to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 1);
    assert_eq!(driver.output(&OUT).len(), 1);
}

#[test]
fn merged_repartition_topics_carry_the_records_of_all() {
    const COUNTS: Topic<String, i64> = Topic::new("counts");
    const SUMS: Topic<String, i64> = Topic::new("sums");
    let builder = StreamsBuilder::new();
    let rekeyed =
        builder.stream(&IN).select_key(|_, value| if value % 2 == 0 { "even" } else { "odd" }.to_owned());
    rekeyed.clone().filter(|_, value| *value > 0).group_by_key().count().to_stream().to(&COUNTS);
    rekeyed.group_by_key().reduce(|one, two| one + two).to_stream().to(&SUMS);
    let topology = builder.build_with(TopologyConfig::optimized("all").unwrap()).unwrap();
    assert_eq!(
        (topology.repartition_topics.len(), builder.build().unwrap().repartition_topics.len()),
        (1, 2)
    );
    let driver = TopologyTestDriver::new(topology).unwrap();
    for value in [1, 2, 3] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.output(&COUNTS).read_key_values()["odd"], 2);
    assert_eq!(driver.output(&SUMS).read_key_values()["odd"], 4);
}

#[test]
fn only_a_left_join_lets_records_without_a_key_through_its_repartition() {
    const NULLABLE: Topic<Option<String>, i64> = Topic::new("nullable");
    const ROWS: Topic<Option<String>, i64> = Topic::new("rows");
    const INNER: Topic<Option<String>, i64> = Topic::new("inner");
    const LEFT: Topic<Option<String>, i64> = Topic::new("left");
    let builder = StreamsBuilder::new();
    let rows = builder.table(&ROWS);
    let rekeyed = builder.stream(&NULLABLE).select_key(|key, _| key.clone());
    rekeyed.clone().named("inner").join_table(&rows, |value, row| value + row).to(&INNER);
    rekeyed.named("left").left_join_table(&rows, |value, row| value + row.unwrap_or(&0)).to(&LEFT);
    let driver = driver(&builder);
    driver.input(&NULLABLE).pipe(None, 1);
    assert_eq!((driver.output(&INNER).len(), driver.dropped()), (0, 0));
    assert_eq!(driver.output(&LEFT).read_all(), [(None, 1)]);
}
