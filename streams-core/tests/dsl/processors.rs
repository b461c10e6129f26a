//! User code: context, children by name, schedules, errors.

use std::sync::Arc;
use std::time::Duration;

use streams_core::dsl::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Stores, StreamsBuilder};
use streams_core::error::BoxError;
use streams_core::handler::LogAndContinue;
use streams_core::processor::{Processor, ProcessorContext, Punctuation, PunctuationType};
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");
const OTHER: Topic<String, i64> = Topic::new("other");
const SUMS: Store<String, i64> = Store::new("sums");

/// Forwards even values to one child and fails on negative ones.
struct Route;

impl Processor<String, i64, String, i64> for Route {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        match record.value {
            value if value < 0 => Err("negative".into()),
            value if value % 2 == 0 => Ok(context.forward_to("even", record)?),
            _ => Ok(context.forward(record)?),
        }
    }
}

#[test]
fn a_processor_forwards_to_all_children_or_to_one_by_name() {
    let builder = StreamsBuilder::new();
    let routed = builder.stream(&IN).process(|| Route, &[]);
    routed.clone().named("even").filter(|_, _| true).to(&OUT);
    routed.to(&OTHER);
    let driver = driver(&builder);
    for value in [1, 2] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!((driver.output(&OUT).len(), driver.output(&OTHER).len()), (2, 1));
}

#[test]
fn errors_of_user_code_go_to_the_processing_handler() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).process(|| Route, &[]).named("checked").filter(|_, value| match value {
        9 => Err("nine"),
        _ => Ok(true),
    });
    let failed = driver(&builder).input(&IN).try_pipe(Record::new(text("a"), -1, 0)).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "task 0_0, node `KSTREAM-PROCESSOR-0000000001`, record in-0@0: processing failed: negative"
    );
    let config =
        DriverConfig { processing_exception_handler: Arc::new(LogAndContinue), ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    for value in [-1, 9, 1] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.dropped(), 2);
}

/// Sums up by key, and forwards a value's share of its key's sum. Cleans up by the clock.
struct Share;

impl FixedKeyProcessor<String, i64, i64> for Share {
    fn init(&mut self, context: &mut FixedKeyContext<'_, String, i64>) -> Result<(), BoxError> {
        context.schedule(Duration::from_secs(60), PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, i64>,
        record: FixedKeyRecord<String, i64>,
    ) -> Result<(), BoxError> {
        let sums = context.store(&SUMS)?;
        let before = sums.borrow_mut().get(record.key())?.map_or(0, |(sum, _)| *sum);
        let sum = before + record.value;
        sums.borrow_mut().put(record.key(), Some(sum), record.timestamp, context.record_context())?;
        let share = record.value * 100 / sum;
        Ok(context.forward(record.with_value(share))?)
    }

    fn punctuate(
        &mut self,
        context: &mut FixedKeyContext<'_, String, i64>,
        _: Punctuation,
        time: i64,
    ) -> Result<(), BoxError> {
        assert_eq!((context.record_metadata(), time), (None, 60_000));
        let sums = context.store(&SUMS)?;
        sums.borrow_mut().put(&text("a"), None, time, context.record_context())?;
        Ok(())
    }
}

#[test]
fn a_fixed_key_processor_brings_its_store_and_needs_no_repartition() {
    let builder = StreamsBuilder::new();
    let stores = vec![Stores::key_value(&SUMS)];
    builder.stream(&IN).process_values_with_stores(|| Share, stores).group_by_key().count();
    assert!(builder.build().unwrap().repartition_topics.is_empty());
    let driver = driver(&builder);
    for value in [30, 10] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.store(&SUMS).get(&text("a")), Some(40));
    driver.advance_wall_clock(Duration::from_secs(60));
    assert_eq!(driver.store(&SUMS).get(&text("a")), None);
}

#[test]
fn two_processors_that_bring_clones_of_a_store_share_it() {
    let builder = StreamsBuilder::new();
    let sums = Stores::key_value(&SUMS);
    let stream = builder.stream(&IN);
    stream.clone().process_values_with_stores(|| Share, vec![sums.clone()]).to(&OUT);
    stream.process_values_with_stores(|| Share, vec![sums]).to(&OTHER);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 10);
    assert_eq!(driver.store(&SUMS).get(&text("a")), Some(20));
}

/// Kafka takes no negative timestamps: it was the client that failed, and ended the thread.
#[test]
fn a_record_forwarded_with_a_negative_timestamp_is_a_failure_of_its_processor() {
    struct Before;
    impl Processor<String, i64, String, i64> for Before {
        fn process(
            &mut self,
            context: &mut ProcessorContext<'_, String, i64>,
            record: Record<String, i64>,
        ) -> Result<(), BoxError> {
            let timestamp = record.timestamp - record.value;
            Ok(context.forward(record.with_timestamp(timestamp))?)
        }
    }
    let builder = StreamsBuilder::new();
    builder.stream(&IN).process(|| Before, &[]).to(&OUT);
    let failed = driver(&builder).input(&IN).try_pipe(Record::new(text("a"), 5, 0)).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "task 0_0, node `KSTREAM-PROCESSOR-0000000001`, record in-0@0: processing failed: a record was forwarded with the \
         negative timestamp -5"
    );
    let config =
        DriverConfig { processing_exception_handler: Arc::new(LogAndContinue), ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    for value in [5, 0] {
        driver.input(&IN).pipe_at("a", value, 0);
    }
    assert_eq!((driver.dropped(), driver.output(&OUT).len()), (1, 1));
}
