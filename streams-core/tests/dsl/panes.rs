//! Hopping windows in panes: everything that can be seen but the changelog is what it is without them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use streams_core::dsl::{
    EmitStrategy, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Materialized, SlidingWindows,
    StreamsBuilder, TimeWindowedKStream, TimeWindows,
};
use streams_core::error::BoxError;
use streams_core::handler::LogAndContinue;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, ProducedRecord, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;

use super::{driver, text, uncached};

/// Time and value: what one input record becomes, so that caches have more than one record to hold back.
type Batch = Vec<(i64, Option<i64>)>;

const IN: Topic<String, Batch> = Topic::new("in");
const NUMBERS: Topic<String, i64> = Topic::new("numbers");
const OUT: Topic<String, Option<i64>> = Topic::new("out");
const NEAR: Topic<String, Option<i64>> = Topic::new("near");
const BY_KEY: Topic<String, Option<i64>> = Topic::new("by-key");
const ROWS: Store<String, i64> = Store::new("rows");

struct Unpack;

impl FixedKeyProcessor<String, Batch, Option<i64>> for Unpack {
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, Option<i64>>,
        record: FixedKeyRecord<String, Batch>,
    ) -> Result<(), BoxError> {
        for (timestamp, value) in &record.value {
            let mut one = record.clone().with_value(*value);
            one.timestamp = *timestamp;
            context.forward(one)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Fold {
    Count,
    Largest,
    Sum,
}

#[derive(Debug, Clone, Copy)]
struct Form {
    windows: TimeWindows,
    fold: Fold,
    emit: EmitStrategy,
    in_memory: bool,
    in_panes: bool,
}

/// A windowed table, sent on as it is, joined with itself, and regrouped: so old values are sent, too, and rows are read.
fn topology(form: Form) -> Topology {
    let builder = StreamsBuilder::new();
    let unpacked = builder.stream(&IN).process_values(|| Unpack, &[]);
    let numbers = unpacked.map_values(|value| value.unwrap_or(-1)).group_by_key();
    let windowed = numbers.windowed_by(form.windows).emit_strategy(form.emit);
    let kept = Materialized::from(&ROWS);
    let kept = if form.in_memory { kept.in_memory() } else { kept };
    let table = aggregate(windowed, form, kept);
    table.clone().to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
    let near = table.clone().join(&table, |one, two| one * 1000 + two);
    near.to_stream_keyed(|windowed, _| windowed.to_string()).to(&NEAR);
    let by_key = table.group_by(|windowed, number| (windowed.key.clone(), *number));
    by_key.reduce(|one, two| one + two, |one, two| one - two).to_stream().to(&BY_KEY);
    builder.build().unwrap()
}

fn aggregate(
    windowed: TimeWindowedKStream<String, i64>,
    form: Form,
    kept: Materialized<String, i64>,
) -> streams_core::dsl::KTable<streams_core::types::Windowed<String>, i64> {
    let add = |_: &String, number: i64, sum: &mut i64| *sum += number;
    match (form.fold, form.in_panes) {
        (Fold::Count, false) => windowed.count_with(kept),
        (Fold::Count, true) => windowed.in_panes().count_with(kept),
        (Fold::Largest, false) => windowed.reduce_with(i64::max, kept),
        (Fold::Largest, true) => windowed.in_panes().reduce_with(i64::max, kept),
        (Fold::Sum, false) => windowed.aggregate_with(|| 0, add, kept),
        (Fold::Sum, true) => windowed.in_panes().aggregate_with(|| 0, add, |_, one, two| one + two, kept),
    }
}

/// All that a run shows.
#[derive(Debug, PartialEq)]
struct Seen {
    described: String,
    produced: Vec<Vec<ProducedRecord>>,
    dropped: String,
    rows: Vec<(String, i64, i64, i64)>,
}

fn run(form: Form, caching: bool, input: &[(u8, Batch)]) -> Seen {
    let cache = if caching { 10 << 20 } else { 0 };
    let config = DriverConfig { statestore_cache_max_bytes: cache, ..DriverConfig::default() };
    let topology = topology(form);
    let described = topology.describe().to_string();
    let driver = TopologyTestDriver::with_config(topology, config).unwrap();
    for (key, batch) in input {
        driver.input(&IN).pipe(format!("k{key}"), batch.clone());
    }
    let topics = driver.produced_topics();
    let shown = topics.iter().filter(|topic| !topic.ends_with("rows-changelog"));
    Seen {
        described,
        produced: shown.map(|topic| driver.produced(topic)).collect(),
        dropped: format!("{:?}", driver.dropped_by_reason()),
        rows: driver.window_store(&ROWS).rows(),
    }
}

fn windows() -> impl Strategy<Value = TimeWindows> {
    let ms = Duration::from_millis;
    (2..60_u64).prop_flat_map(|size| (Just(size), 1..size, 0..30_u64)).prop_map(
        move |(size, advance, grace)| {
            TimeWindows::of_size_and_grace(ms(size), ms(grace)).advance_by(ms(advance))
        },
    )
}

fn form() -> impl Strategy<Value = Form> {
    let fold = prop_oneof![Just(Fold::Count), Just(Fold::Largest), Just(Fold::Sum)];
    let emit = prop_oneof![3 => Just(EmitStrategy::OnWindowUpdate), 1 => Just(EmitStrategy::OnWindowClose)];
    (windows(), fold, emit, any::<bool>()).prop_map(|(windows, fold, emit, in_memory)| Form {
        windows,
        fold,
        emit,
        in_memory,
        in_panes: false,
    })
}

/// Batches of keys, whose times go forward, back, and sometimes far ahead.
fn input() -> impl Strategy<Value = Vec<(u8, Batch)>> {
    let step = prop_oneof![8 => -20..30_i64, 1 => -200..0_i64, 1 => 50..400_i64];
    let record = (step, proptest::option::weighted(0.8, 0..100_i64));
    let batch = (0..3_u8, proptest::collection::vec(record, 1..8));
    proptest::collection::vec(batch, 1..20).prop_map(|mut batches| {
        let mut time = 50_i64;
        for record in batches.iter_mut().flat_map(|(_, batch)| batch) {
            time = (time + record.0).max(0);
            record.0 = time;
        }
        batches
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changes_but_the_changelog(form in form(), caching in any::<bool>(), input in input()) {
        let expected = run(form, caching, &input);
        let found = run(Form { in_panes: true, ..form }, caching, &input);
        for (found, expected) in found.produced.iter().flatten().zip(expected.produced.iter().flatten()) {
            assert_eq!(found, expected);
        }
        assert_eq!(found, expected);
    }
}

/// A minute by a second: a record is one row of the changelog, not sixty.
#[test]
fn a_record_is_one_row() {
    let seconds = |count| Duration::from_secs(count);
    let windows = TimeWindows::of_size_with_no_grace(seconds(60)).advance_by(seconds(1));
    let logged = |in_panes| {
        let builder = StreamsBuilder::new();
        let windowed = builder.stream(&NUMBERS).group_by_key().windowed_by(windows);
        match in_panes {
            true => windowed.in_panes().count_with(&ROWS),
            false => windowed.count_with(&ROWS),
        };
        let driver = driver(&builder);
        driver.input(&NUMBERS).pipe_at("a", 1, 100_000);
        driver.produced("test-rows-changelog").len()
    };
    assert_eq!((logged(false), logged(true)), (60, 1));
}

/// Reads a window of the table that it follows.
struct Look;

impl Processor<String, i64, String, Option<i64>> for Look {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, Option<i64>>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let rows = context.window_store(&ROWS)?;
        let mut sum = 0;
        rows.borrow_mut().fetch_range(&record.key, 0, record.timestamp, &mut |_, count, _| {
            sum += count;
            ControlFlow::Continue(())
        })?;
        Ok(context.forward(record.with_value(Some(sum)))?)
    }
}

#[test]
fn processors_read_windows() {
    let tens =
        TimeWindows::of_size_with_no_grace(Duration::from_millis(10)).advance_by(Duration::from_millis(5));
    let builder = StreamsBuilder::new();
    let numbers = builder.stream(&NUMBERS);
    numbers.clone().group_by_key().windowed_by(tens).in_panes().count_with(&ROWS);
    numbers.process(|| Look, &["rows"]).to(&OUT);
    let driver = uncached(&builder);
    [3, 7, 8].into_iter().for_each(|time| driver.input(&NUMBERS).pipe_at("a", 1, time));
    let sums: Vec<Option<i64>> = driver.output(&OUT).read_all().into_iter().map(|(_, sum)| sum).collect();
    assert_eq!(sums, [Some(1), Some(3), Some(5)]);
}

#[test]
fn records_that_fail_leave_their_pane_as_it_was() {
    let tens =
        TimeWindows::of_size_with_no_grace(Duration::from_millis(10)).advance_by(Duration::from_millis(5));
    let builder = StreamsBuilder::new();
    let add = |_: &String, number: i64, sum: &mut i64| {
        *sum += number;
        if number < 0 { Err("negative") } else { Ok(()) }
    };
    let windowed = builder.stream(&NUMBERS).group_by_key().windowed_by(tens).in_panes();
    windowed.aggregate_with(|| 0, add, |_, one, two| one + two, &ROWS);
    let config = DriverConfig {
        processing_exception_handler: Arc::new(LogAndContinue),
        statestore_cache_max_bytes: 0,
        ..DriverConfig::default()
    };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    [(1, 7), (-5, 8), (2, 9)]
        .into_iter()
        .for_each(|(number, time)| driver.input(&NUMBERS).pipe_at("a", number, time));
    assert_eq!(driver.window_store(&ROWS).fetch(&text("a"), 5), Some(3));
}

#[test]
fn windows_that_do_not_overlap_stay_rows_and_others_are_refused() {
    let ten = Duration::from_millis(10);
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&NUMBERS).group_by_key();
    grouped.clone().windowed_by(TimeWindows::of_size_with_no_grace(ten)).in_panes().count_with(&ROWS);
    let driver = driver(&builder);
    driver.input(&NUMBERS).pipe_at("a", 1, 13);
    let key = driver.produced("test-rows-changelog")[0].key.clone().unwrap();
    // Key, start, sequence 0: Kafka Streams' row.
    assert_eq!(key, [b"a".as_slice(), &10_i64.to_be_bytes(), &[0; 4]].concat());

    grouped.windowed_by(SlidingWindows::of_time_difference_with_no_grace(ten)).in_panes().count();
    let faults = builder.build().map(|_| ()).unwrap_err().faults;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("only TimeWindows can be cut into panes"), "{faults:?}");
}
