//! The Processor API: contextual and fixed-key processors, stores, schedules, and the low-level topology.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kstreams::dsl::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord};
use kstreams::error::BoxError;
use kstreams::metrics::{RecordingLevel, Sensor};
use kstreams::prelude::*;
use kstreams::processor::{WrappedCall, WrappedProcessor};
use kstreams::testing::MockProcessorContext;
use kstreams::types::ValueAndHeaders;

use super::{CUSTOMERS, OUT, PAYMENTS, RATES, REFUNDS, TEXTS, TOTALS};

const HISTORY: Store<String, i64> = Store::new("history");
const RATE_ROWS: Store<String, i64> = Store::new("rate-rows");
const WINDOWS: Store<String, i64> = Store::new("windows");
const HOUR: Duration = Duration::from_secs(3600);

/// Adds up the payments of each customer, and has two schedules.
#[derive(Default)]
struct Sum {
    hour: Option<Punctuation>,
    sales: Option<Sensor>,
}

impl Processor<String, i64, String, i64> for Sum {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        self.sales =
            Some(context.metrics().add_rate_total_sensor("shop", "till", "sale", RecordingLevel::Info, &[]));
        context.schedule(Duration::from_secs(60), PunctuationType::StreamTime)?;
        self.hour =
            Some(context.schedule_at(0, Duration::from_secs(3600), PunctuationType::WallClockTime)?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        if let Some(sales) = &self.sales {
            sales.record(1.0, context.current_system_time());
        }
        let totals = context.store(&TOTALS)?;
        let old = totals.borrow_mut().get(&record.key)?.map_or(0, |(sum, _)| *sum);
        let sum = old + record.value;
        totals.borrow_mut().put(&record.key, Some(sum), record.timestamp, context.record_context())?;
        let history = context.versioned_store(&HISTORY)?;
        history.borrow_mut().put(&record.key, Some(sum), record.timestamp)?;
        let _rate = context.global_store(&RATE_ROWS)?.get(&record.key)?;
        assert!(context.global_window_store(&WINDOWS)?.fetch(&record.key, 0)?.is_none());
        if let Some((topic, partition, offset)) = context.record_metadata() {
            assert_eq!((topic, partition, offset), ("payments", 0, 0));
        }
        let _ = (context.current_stream_time(), context.current_system_time());
        let _ = (context.task_id(), context.application_id().len(), context.state_dir());
        context.commit();
        assert!(context.app_configs().is_empty());
        context.forward_to("all", record.clone())?;
        Ok(context.forward(record.with_value(sum))?)
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        if self.hour == Some(punctuation) {
            context.cancel(punctuation);
        }
        Ok(())
    }

    fn close(&mut self) {}
}

/// Keeps the key.
struct Double;

impl FixedKeyProcessor<String, i64, i64> for Double {
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, i64>,
        record: FixedKeyRecord<String, i64>,
    ) -> Result<(), BoxError> {
        let value = record.value * 2;
        Ok(context.forward(record.with_value(value))?)
    }
}

/// Copies a topic into a store.
struct Fill(Store<String, i64>);

impl Processor<String, i64, (), ()> for Fill {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let store = context.store(&self.0)?;
        let (time, at) = (record.timestamp, context.record_context());
        Ok(store.borrow_mut().put(&record.key, Some(record.value), time, at)?)
    }
}

/// Copies a topic into windows.
struct FillWindows;

impl Processor<String, i64, (), ()> for FillWindows {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let store = context.window_store(&WINDOWS)?;
        let (time, at) = (record.timestamp, context.record_context());
        store.borrow_mut().put(&record.key, time, Some(record.value), time, at)?;
        Ok(())
    }
}

#[test]
fn processors_in_the_dsl() {
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::key_value(&TOTALS).in_memory().caching(true));
    builder.add_state_store(Stores::versioned(&HISTORY, HOUR).logging(true));
    builder.add_global_store(Stores::key_value(&RATE_ROWS), &RATES, Consumed::new(), || Fill(RATE_ROWS));
    let windows = Stores::window(&WINDOWS, WindowRetention::new(HOUR, HOUR));
    builder.add_global_store(windows, &Topic::<String, i64>::new("windows"), Consumed::new(), || FillWindows);
    let sums = builder.stream(&PAYMENTS).named("sum").process(Sum::default, &["totals", "history"]);
    sums.clone().named("all").filter(|_, _| true).to(&OUT);
    sums.process_values(|| Double, &[]).to(&OUT);
    const SEEN: Store<String, i64> = Store::new("seen");
    builder
        .stream(&REFUNDS)
        .process_with_stores(|| Fill(SEEN), vec![Stores::key_value(&SEEN)])
        .for_each(|(), ()| ());
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe("ada", 120);
    assert_eq!(driver.store(&TOTALS).get(&"ada".to_owned()), Some(120));
    assert_eq!(driver.versioned_store(&HISTORY).get(&"ada".to_owned()), Some(120));
}

#[test]
fn forms_of_stores() {
    const WITH_HEADERS: Store<String, ValueAndHeaders<i64>> = Store::new("totals");
    let rows = WindowRetention::new(HOUR, Duration::from_secs(60)).segment_interval(HOUR).retain_duplicates();
    let builders = [
        Stores::key_value(&TOTALS),
        Stores::timestamped_key_value(&TOTALS),
        Stores::key_value(&TOTALS).in_memory(),
        Stores::lru_map(&TOTALS, 1_000),
        Stores::window(&TOTALS, rows),
        Stores::timestamped_window(&TOTALS, WindowRetention::new(HOUR, HOUR)),
        Stores::session(&TOTALS, HOUR),
        Stores::versioned(&TOTALS, HOUR),
        Stores::versioned_by_segments(&TOTALS, HOUR, HOUR),
        Stores::timestamped_key_value_with_headers(&WITH_HEADERS),
        Stores::key_value(&TOTALS).changelog_config("cleanup.policy", "compact,delete"),
    ];
    assert!(builders.iter().all(|store| store.name() == "totals"));
}

/// Counts what comes to all processors.
struct Count(Arc<AtomicU64>, String);

impl WrappedProcessor for Count {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        if self.1 == "large" {
            let totals = call.store(&TOTALS)?;
            assert_eq!(totals.borrow_mut().get(&"ada".to_owned())?, None);
        }
        Ok(call.proceed()?)
    }

    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        self.0.fetch_add(1, Relaxed);
        Ok(call.proceed()?)
    }
}

#[test]
fn a_wrapper_around_every_processor() {
    let builder = StreamsBuilder::new();
    let large = builder.stream(&PAYMENTS).named("large").filter(|_, cents| *cents > 0);
    large.map_values(|cents| cents * 2).to(&OUT);
    let mut topology = builder.build().unwrap();
    topology.add_state_store(Stores::key_value(&TOTALS), &["large"]);
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let wrapper = move |name: &str| {
        Some(Box::new(Count(counted.clone(), name.to_owned())) as Box<dyn WrappedProcessor>)
    };
    topology.wrap_processors(wrapper);
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&PAYMENTS).pipe("ada", 5);
    driver.input(&PAYMENTS).pipe("ada", -5);
    assert_eq!(count.load(Relaxed), 3);
}

#[test]
fn the_low_level_topology() {
    let mut topology = Topology::new();
    let payments = topology.add_source("payments-in", &[&PAYMENTS]);
    let latest = Consumed::new().latest();
    let refunds = topology.add_source_with("refunds-in", &[&REFUNDS], latest);
    topology.add_source_pattern::<String, i64>("many", "many-.*", Consumed::new());
    let sum = topology.add_processor("pass", || Pass, &[&payments, &refunds]);
    topology.add_state_store(Stores::key_value(&TOTALS), &[]);
    topology.connect_processor_and_state_stores("pass", &["totals"]);
    topology.add_sink("out", &OUT, &[&sum]);
    let fill = || Fill(RATE_ROWS);
    topology.add_global_store(
        Stores::key_value(&RATE_ROWS),
        "rates-in",
        &RATES,
        Consumed::new(),
        "fill",
        fill,
    );
    const COPY: Store<String, i64> = Store::new("copy");
    const COPIED: Topic<String, i64> = Topic::new("copied");
    topology.add_read_only_state_store(
        Stores::key_value(&COPY),
        "copy-in",
        &COPIED,
        Consumed::new(),
        "copier",
        || Fill(COPY),
    );
    assert_eq!(topology.validate(), Ok(()));
}

/// Passes everything on.
struct Pass;

impl Processor<String, i64, String, i64> for Pass {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(context.forward(record)?)
    }
}

/// What a processor makes of a line: two types, for two children.
#[derive(Clone)]
enum Parsed {
    Order(i64),
    Fault(String),
}

impl Parsed {
    fn order(self) -> Option<i64> {
        match self {
            Self::Order(cents) => Some(cents),
            Self::Fault(_) => None,
        }
    }

    fn fault(self) -> Option<String> {
        match self {
            Self::Order(_) => None,
            Self::Fault(line) => Some(line),
        }
    }
}

struct Parse;

impl Processor<String, String, String, Parsed> for Parse {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, Parsed>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let parsed = record.value.parse().map_or_else(|_| Parsed::Fault(record.value.clone()), Parsed::Order);
        Ok(context.forward(record.with_value(parsed))?)
    }
}

#[test]
fn a_processor_with_two_output_types() {
    let builder = StreamsBuilder::new();
    let parsed = builder.stream(&CUSTOMERS).process(|| Parse, &[]);
    parsed.clone().flat_map_values(|parsed: Parsed| parsed.order()).to(&OUT);
    parsed.flat_map_values(|parsed: Parsed| parsed.fault()).to(&TEXTS);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&CUSTOMERS).pipe("a", "7");
    driver.input(&CUSTOMERS).pipe("a", "seven");
    assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), 7)]);
    assert_eq!(driver.output(&TEXTS).read_all(), [("a".to_owned(), "seven".to_owned())]);
}

#[test]
fn a_processor_alone() {
    let mut context = MockProcessorContext::new().children(&["all"]);
    context.add_store(Stores::key_value(&TOTALS)).unwrap();
    context.add_store(Stores::versioned(&HISTORY, HOUR)).unwrap();
    let mut sum = Sum::default();
    sum.init(&mut context.context()).unwrap();
    // The global stores of the topology are not there.
    let failed = context.process(&mut sum, Record::new("ada".to_owned(), 1, 0));
    assert!(failed.unwrap_err().to_string().contains("no global store"));
    assert!(context.forwarded().is_empty());
}
