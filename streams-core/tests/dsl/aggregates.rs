//! Aggregations and tables: time of a row, nulls, what a cache holds back.

use streams_core::dsl::StreamsBuilder;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};

use crate::{driver, text, uncached};

const IN: Topic<String, Option<i64>> = Topic::new("in");
const OUT: Topic<String, Option<i64>> = Topic::new("out");
const STORE: Store<String, i64> = Store::new("store");

#[test]
fn the_time_of_a_row_is_the_largest_of_its_records() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).group_by_key().count_with(&STORE).to_stream().to(&OUT);
    let driver = uncached(&builder);
    for (value, time) in [(1, 50), (2, 20)] {
        driver.input(&IN).pipe_at("a", value, time);
    }
    let times: Vec<i64> = driver.output(&OUT).read_records().iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [50, 50]);
    assert_eq!(driver.store(&STORE).get_with_timestamp(&text("a")), Some((2, 50)));
}

#[test]
fn null_values_are_dropped_and_counted_and_null_results_delete() {
    let builder = StreamsBuilder::new();
    let sum = |one: i64, two: i64| Some(one + two).filter(|sum| *sum != 0);
    builder.stream(&IN).group_by_key().reduce_opt_with(sum, &STORE).to_stream().to(&OUT);
    let driver = driver(&builder);
    for value in [Some(1), None, Some(-1), Some(7)] {
        driver.input(&IN).pipe("a", value);
    }
    let values: Vec<_> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!((values, driver.dropped()), (vec![Some(1), None, Some(7)], 1));
}

#[test]
fn a_table_filter_spares_deletions_of_rows_that_never_passed() {
    // Uncached, the old value of the first update is the initial 0, as in Kafka Streams.
    type Driver = fn(&StreamsBuilder) -> TopologyTestDriver;
    let both: [(Driver, &[Option<i64>]); 2] =
        [(driver, &[Some(2), None]), (uncached, &[None, Some(2), None])];
    for (driver, expected) in both {
        let builder = StreamsBuilder::new();
        let counts = builder.stream(&IN).group_by_key().count_with(&STORE);
        counts.filter(|_, count| *count % 2 == 0).to_stream().to(&OUT);
        let driver = driver(&builder);
        for value in [1, 1, 1] {
            driver.input(&IN).pipe("a", value);
        }
        let values: Vec<_> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, expected);
    }
}

#[test]
fn a_table_without_readers_has_no_store_and_a_join_gives_it_one() {
    const ROWS: Topic<String, i64> = Topic::new("rows");
    const JOINED: Topic<String, i64> = Topic::new("joined");
    let builder = StreamsBuilder::new();
    let rows = builder.table(&ROWS);
    assert_eq!((builder.build().unwrap().stores.len(), rows.queryable_store_name()), (0, None));
    let doubled = rows.map_values(|row| row * 2).filter(|_, row| *row > 10);
    builder.stream(&OUT).map_values(|_| 1).join_table(&doubled, |value, row| value + row).to(&JOINED);
    let driver = driver(&builder);
    for (key, row) in [("a", 6), ("b", 4)] {
        driver.input(&ROWS).pipe(key, row);
    }
    for key in ["a", "b"] {
        driver.input(&OUT).pipe(key, Some(0));
    }
    assert_eq!(driver.output(&JOINED).read_all(), [(text("a"), 13)]);
    assert_eq!(driver.store_names().len(), 1);
}

#[test]
fn rows_of_a_stream_are_deleted_by_null() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to_table_opt_with(&STORE).to_stream().to(&OUT);
    let driver = driver(&builder);
    for value in [Some(1), None] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), Some(1)), (text("a"), None)]);
    assert_eq!(driver.store(&STORE).all(), []);
}

#[test]
fn a_grouped_stream_may_be_aggregated_several_times() {
    const SUMS: Store<String, i64> = Store::new("sums");
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).named("by-shop").group_by(|_, _| text("all"));
    grouped.clone().count_with(&STORE);
    grouped.fold(&SUMS, |_, value, sum| *sum += value.unwrap_or(0));
    assert_eq!(builder.build().unwrap().repartition_topics.len(), 1);
    let driver = driver(&builder);
    for (key, value) in [("a", 40), ("b", 2)] {
        driver.input(&IN).pipe(key, value);
    }
    assert_eq!(driver.store(&STORE).get(&text("all")), Some(2));
    assert_eq!(driver.store(&SUMS).get(&text("all")), Some(42));
}
