//! Tables made of tables: groupings with subtraction, joins by key, transformers; and cogrouped streams.

use std::sync::Arc;
use std::time::Duration;

use streams_core::dsl::{KTable, Materialized, Stores, StreamsBuilder, ValueTransformerWithKey};
use streams_core::error::BoxError;
use streams_core::handler::LogAndContinue;
use streams_core::processor::{ProcessingContext, Punctuation, PunctuationType, StoreRef};
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};

use crate::{driver, text, uncached};

const LEFT: Topic<String, Option<i64>> = Topic::new("left");
const RIGHT: Topic<String, Option<i64>> = Topic::new("right");
const OUT: Topic<String, Option<i64>> = Topic::new("out");
const STORE: Store<String, i64> = Store::new("store");
const CALLS: Store<String, i64> = Store::new("calls");

fn left(builder: &StreamsBuilder) -> KTable<String, i64> {
    builder.table(&Topic::<String, i64>::new("left"))
}

fn right(builder: &StreamsBuilder) -> KTable<String, i64> {
    builder.table(&Topic::<String, i64>::new("right"))
}

/// Values and timestamps that came out.
fn results(driver: &TopologyTestDriver) -> Vec<(Option<i64>, i64)> {
    driver.output(&OUT).read_records().into_iter().map(|record| (record.value, record.timestamp)).collect()
}

#[test]
fn a_join_has_the_later_time_of_both_rows_and_deletes_what_loses_a_side() {
    let builder = StreamsBuilder::new();
    left(&builder).join(&right(&builder), |one, two| one * two).to_stream().to(&OUT);
    let driver = uncached(&builder);
    driver.input(&LEFT).pipe_at("a", 3, 50);
    driver.input(&RIGHT).pipe_at("a", 4, 20);
    driver.input(&RIGHT).pipe_at("a", None, 30);
    driver.input(&RIGHT).pipe_at("a", None, 90);
    assert_eq!(results(&driver), [(Some(12), 50), (None, 50), (None, 90)]);
}

#[test]
fn a_left_join_is_told_of_missing_rows_and_an_outer_join_on_both_sides() {
    let builder = StreamsBuilder::new();
    let (one, two) = (left(&builder), right(&builder));
    let sum = |one: &i64, two: Option<&i64>| one + two.unwrap_or(&100);
    one.clone().left_join(&two, sum).to_stream().to(&OUT);
    const OUTER: Topic<String, Option<i64>> = Topic::new("outer");
    let sum = |one: Option<&i64>, two: Option<&i64>| one.unwrap_or(&1000) + two.unwrap_or(&100);
    one.outer_join(&two, sum).to_stream().to(&OUTER);
    let driver = uncached(&builder);
    driver.input(&RIGHT).pipe_at("a", 1, 1);
    driver.input(&LEFT).pipe_at("a", 2, 2);
    driver.input(&RIGHT).pipe_at("a", None, 3);
    driver.input(&LEFT).pipe_at("a", None, 4);
    assert_eq!(results(&driver), [(Some(3), 2), (Some(102), 3), (None, 4)]);
    let outer: Vec<_> = driver.output(&OUTER).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(outer, [Some(1001), Some(3), Some(102), None]);
}

#[test]
fn a_table_joins_itself_and_the_result_is_read_through_to_both_stores() {
    const STREAM: Topic<String, i64> = Topic::new("stream");
    let builder = StreamsBuilder::new();
    let rows = left(&builder);
    let square = rows.clone().join(&rows, |one, two| one * two).map_values(|row| row + 1);
    builder.stream(&STREAM).join_table(&square, |value, row| Some(value + row)).to(&OUT);
    let driver = driver(&builder);
    driver.input(&LEFT).pipe("a", 5);
    driver.input(&STREAM).pipe("a", 100);
    driver.input(&STREAM).pipe("b", 100);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), Some(126))]);
    assert_eq!(driver.store_names().len(), 1);
}

#[test]
fn only_named_stores_can_be_queried_but_for_joins() {
    let builder = StreamsBuilder::new();
    let (one, two) = (left(&builder), right(&builder));
    let grouped = one.clone().group_by(|key, value| (key.clone(), *value));
    assert_eq!(grouped.clone().count().queryable_store_name(), None);
    assert_eq!(grouped.count_with(&STORE).queryable_store_name().as_deref(), Some("store"));
    assert_eq!(one.clone().join(&two, |one, _| *one).queryable_store_name(), None);
    let joined = one.join_with(&two, |one, _| *one, Materialized::unnamed());
    assert!(joined.queryable_store_name().unwrap().starts_with("KTABLE-MERGE-STATE-STORE-"));
}

#[test]
fn a_row_that_moves_is_subtracted_before_it_is_added() {
    let builder = StreamsBuilder::new();
    let grouped = left(&builder).group_by(|_, value| (format!("g{}", value % 2), *value));
    let subtract = |sum: i64, value: i64| Some(sum - value).filter(|sum| *sum != 0);
    grouped.reduce_opt_with(|sum, value| Some(sum + value), subtract, &STORE).to_stream().to(&OUT);
    let driver = uncached(&builder);
    driver.input(&LEFT).pipe_at("a", 2, 10);
    driver.input(&LEFT).pipe_at("a", 4, 5);
    driver.input(&LEFT).pipe_at("a", 3, 7);
    driver.input(&LEFT).pipe_at("a", None, 8);
    // 2 becomes 4 in one step: 2 - 2 leaves nothing, then 4 is the first value.
    assert_eq!(results(&driver), [(Some(2), 10), (Some(4), 10), (None, 10), (Some(3), 7), (None, 8)]);
    let bytes: Vec<_> =
        driver.produced("test-store-repartition").into_iter().filter_map(|record| record.value).collect();
    assert_eq!(bytes.iter().map(|bytes| bytes[bytes.len() - 1]).collect::<Vec<_>>(), [1, 2, 0, 1, 0]);
}

#[test]
fn rows_without_a_group_are_left_out_uncounted() {
    let builder = StreamsBuilder::new();
    let group = |key: &String, value: &i64| ((*value > 0).then(|| key.clone()), *value);
    left(&builder).group_by(group).count().to_stream().select_key(|_, _| text("n")).to(&OUT);
    let driver = uncached(&builder);
    for value in [-1, 1, -1] {
        driver.input(&LEFT).pipe("a", value);
    }
    let values: Vec<_> = results(&driver).into_iter().map(|(value, _)| value).collect();
    assert_eq!((values, driver.dropped()), (vec![Some(1), Some(0)], 0));
}

/// Adds the number of its calls to the value, and 1000 for each punctuation; refuses 13.
#[derive(Default)]
struct Count {
    calls: Option<StoreRef<String, i64>>,
    punctuated: i64,
}

impl ValueTransformerWithKey<String, i64, i64> for Count {
    fn init(&mut self, context: &mut ProcessingContext<'_>) -> Result<(), BoxError> {
        self.calls = Some(context.store(&CALLS)?);
        context.schedule(Duration::from_millis(100), PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn transform(
        &mut self,
        context: &mut ProcessingContext<'_>,
        _key: &String,
        value: Option<&i64>,
    ) -> Result<Option<i64>, BoxError> {
        if value == Some(&13) {
            return Err("thirteen".into());
        }
        let mut calls = self.calls.as_ref().ok_or("init came first")?.borrow_mut();
        let count = calls.get(&text("n"))?.map_or(1, |(count, _)| count + 1);
        let update = context.record_context();
        calls.put(&text("n"), Some(count), update.timestamp, update)?;
        Ok(value.map(|value| value + count + self.punctuated))
    }

    fn punctuate(
        &mut self,
        _context: &mut ProcessingContext<'_>,
        _punctuation: Punctuation,
        _timestamp: i64,
    ) -> Result<(), BoxError> {
        self.punctuated += 1000;
        Ok(())
    }
}

fn counted(builder: &StreamsBuilder) -> KTable<String, i64> {
    builder.add_state_store(Stores::key_value(&CALLS));
    left(builder).transform_values(Count::default, &[CALLS.name()])
}

#[test]
fn a_transformer_is_asked_again_for_old_values_only_without_a_store() {
    let builder = StreamsBuilder::new();
    let grouped = counted(&builder).group_by(|key, value| (key.clone(), *value));
    grouped.reduce(|sum, value| sum + value, |sum, value| sum - value);
    let driver = uncached(&builder);
    for value in [Some(1), Some(2), None] {
        driver.input(&LEFT).pipe("a", value);
    }
    assert_eq!(driver.store(&CALLS).get(&text("n")), Some(6));

    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::key_value(&CALLS));
    let kept = left(&builder).transform_values_with(Count::default, &[CALLS.name()], &STORE);
    kept.group_by(|key, value| (key.clone(), *value)).count();
    let driver = uncached(&builder);
    for value in [Some(1), Some(2), None] {
        driver.input(&LEFT).pipe("a", value);
    }
    assert_eq!(driver.store(&CALLS).get(&text("n")), Some(3));
}

#[test]
fn a_transformer_may_bring_its_stores() {
    for kept in [None, Some(Materialized::from(&STORE))] {
        let builder = StreamsBuilder::new();
        let calls = if kept.is_some() { 3 } else { 6 };
        let brought = vec![Stores::key_value(&CALLS)];
        let table = left(&builder).transform_values_with_stores(Count::default, brought, kept);
        let grouped = table.group_by(|key, value| (key.clone(), *value));
        grouped.reduce(|sum, value| sum + value, |sum, value| sum - value);
        let driver = uncached(&builder);
        for value in [Some(1), Some(2), None] {
            driver.input(&LEFT).pipe("a", value);
        }
        assert_eq!(driver.store(&CALLS).get(&text("n")), Some(calls));
    }
    // Two that bring one store share it.
    let builder = StreamsBuilder::new();
    let store = Stores::key_value(&CALLS);
    for table in [left(&builder), right(&builder)] {
        let counted = table.transform_values_with_stores(Count::default, vec![store.clone()], None);
        counted.to_stream().to(&OUT);
    }
    let driver = uncached(&builder);
    driver.input(&LEFT).pipe("a", 1);
    driver.input(&RIGHT).pipe("a", 1);
    assert_eq!(driver.store(&CALLS).get(&text("n")), Some(2));
}

#[test]
fn a_transformed_table_without_a_store_can_be_joined_with_its_stores_and_schedules() {
    // Kafka Streams refuses this at the start: its join cannot reach the transformer's store.
    let builder = StreamsBuilder::new();
    right(&builder).join(&counted(&builder), |one, two| one * two).to_stream().to(&OUT);
    let driver = uncached(&builder);
    driver.input(&LEFT).pipe_at("a", 1, 70);
    driver.input(&RIGHT).pipe_at("a", 10, 60);
    driver.advance_wall_clock(Duration::from_millis(100));
    driver.input(&RIGHT).pipe_at("a", 10, 60);
    assert_eq!(results(&driver), [(Some(30), 70), (Some(10_040), 70)]);
}

#[test]
fn what_fails_on_the_way_to_a_row_goes_to_the_processing_handler() {
    let builder = StreamsBuilder::new();
    right(&builder).join(&counted(&builder), |one, two| one * two).to_stream().to(&OUT);
    let config = DriverConfig {
        processing_exception_handler: Arc::new(LogAndContinue),
        statestore_cache_max_bytes: 0,
        ..DriverConfig::default()
    };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    driver.input(&LEFT).pipe("a", 13);
    driver.input(&RIGHT).pipe("a", 1);
    driver.input(&LEFT).pipe("a", 1);
    assert_eq!(driver.dropped(), 2);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), Some(2))]);

    let driver = uncached(&builder);
    driver.input(&LEFT).try_pipe(streams_core::record::Record::new(text("a"), Some(13), 0)).unwrap_err();
}

#[test]
fn cogrouped_streams_share_a_row() {
    let builder = StreamsBuilder::new();
    let (one, two) = (builder.stream(&LEFT).group_by_key(), builder.stream(&RIGHT).group_by_key());
    let cogrouped = one
        .cogroup(|_, value: Option<i64>, sum: &mut i64| *sum += value.unwrap_or(0))
        .cogroup(two, |_, value, sum| *sum -= value.unwrap_or(0));
    cogrouped.clone().fold(&STORE).to_stream().to(&OUT);
    let twice = cogrouped.named("twice").aggregate(|| 1000);
    assert_eq!(twice.queryable_store_name(), None);
    let driver = uncached(&builder);
    driver.input(&LEFT).pipe_at("a", 5, 9);
    driver.input(&RIGHT).pipe_at("a", 2, 3);
    driver.input(&RIGHT).pipe_at("a", None, 4);
    assert_eq!((results(&driver), driver.dropped()), (vec![(Some(5), 9), (Some(3), 9)], 2));
}

#[test]
fn cogroups_of_renamed_keys_need_names() {
    let build = |name: Option<&str>| {
        let builder = StreamsBuilder::new();
        let mut one = builder.stream(&LEFT);
        if let Some(name) = name {
            one = one.named(name);
        }
        let one = one.group_by(|key, _| key.clone());
        let two = builder.stream(&RIGHT).group_by(|key, _| key.clone());
        one.cogroup(|_, _, sum: &mut i64| *sum += 1).cogroup(two, |_, _, sum| *sum += 1).fold(&STORE);
        builder.build().map(|_| ()).map_err(|error| error.faults)
    };
    assert_eq!(build(Some("one")), Ok(()));
    let sentence = "two repartitions are called `store-repartition`; give their groupings or joins different names with \
                    named(..)";
    assert_eq!(build(None).unwrap_err(), [sentence]);
}

#[test]
fn tables_of_two_builders_do_not_join() {
    let (builder, other) = (StreamsBuilder::new(), StreamsBuilder::new());
    right(&other);
    left(&builder).outer_join(&right(&other), |one, _| *one.unwrap_or(&0));
    let faults = builder.build().map(|_| ()).unwrap_err().faults;
    let expected = "join of tables of `KTABLE-SOURCE-0000000002` and `KTABLE-SOURCE-0000000005`: both sides must come from the \
                    same StreamsBuilder; make them with one";
    assert_eq!(faults, [expected]);
}
