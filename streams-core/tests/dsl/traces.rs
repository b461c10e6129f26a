//! Traces in the headers of records: spans of records, what carries them on, and whose context a record of several has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, EmitStrategy, JoinWindows, KStream, KTable, SessionWindows, StreamsBuilder, Suppressed,
    TimeWindows,
};
use streams_core::error::BoxError;
use streams_core::processor::{
    Processor, ProcessorContext, Punctuation, PunctuationType, RecordTracer, SpanIds,
};
use streams_core::record::Record;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::Topic;
use streams_core::topology::Topology;
use streams_core::trace_context::{SpanId, TraceContext, TraceId};
use streams_core::types::{Headers, Timestamp};
use tracing::level_filters::LevelFilter;

use super::recorder::Recorder;
use super::uncached;

const IN: Topic<String, i64> = Topic::new("in");
const OTHER: Topic<String, i64> = Topic::new("other");
const OUT: Topic<String, i64> = Topic::new("out");

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn caller(span: u64, sampled: bool) -> TraceContext {
    TraceContext::root(TraceId::new(TRACE).unwrap(), SpanId::new(span).unwrap(), sampled)
}

/// A record of span `span`.
fn traced(key: &str, value: i64, timestamp: Timestamp, span: u64) -> Record<String, i64> {
    let mut record = Record::new(key.to_owned(), value, timestamp);
    caller(span, true).write_to(&mut record.headers);
    record
}

/// The spans that the records of the output carry.
fn spans(driver: &TopologyTestDriver) -> Vec<Option<u64>> {
    let span = |headers: &Headers| Some(TraceContext::from_headers(headers)?.parent.span_id.get());
    driver.output(&OUT).read_records().iter().map(|record| span(&record.headers)).collect()
}

/// Numbers from `first`.
fn numbers(first: u64) -> impl Fn() -> Option<SpanId> + Send + Sync {
    let next = AtomicU64::new(first);
    move || SpanId::new(next.fetch_add(1, Ordering::Relaxed))
}

/// Two sub-topologies.
fn two_tasks(tracer: impl RecordTracer) -> TopologyTestDriver {
    let builder = StreamsBuilder::new();
    let numbered = builder.stream(&IN).select_key(|_, value| value.to_string());
    numbered.filter(|_, value| *value != 0).repartition().to(&OUT);
    let mut topology: Topology = builder.build().unwrap();
    topology.trace_records(tracer);
    TopologyTestDriver::new(topology).unwrap()
}

#[test]
fn a_record_that_brings_a_trace_gets_a_span_in_each_task() {
    let (recorder, _guard) = Recorder::start(LevelFilter::INFO);
    let driver = two_tasks(SpanIds::new(numbers(100)));
    let mut record = traced("a", 1, 5, 7);
    record.headers.add("tracestate", Some(b"congo=t61rcWkgMzE".to_vec()));
    driver.input(&IN).pipe_record(record);
    // Dropped, but looked at.
    driver.input(&IN).pipe_record(traced("a", 0, 6, 8));

    let written = driver.output(&OUT).read_records();
    let context = TraceContext::from_headers(&written[0].headers).unwrap();
    assert_eq!(context.parent.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000065-01");
    assert_eq!(context.state.as_str(), "congo=t61rcWkgMzE");
    assert_eq!(written.len(), 1);

    let ended = recorder.ended("record");
    let of =
        |fields: [&str; 7]| ended.iter().map(|span| fields.map(|field| span.fields[field].clone())).collect();
    let found: Vec<_> = of(["node", "topic", "partition", "offset", "trace_id", "parent_id", "span_id"]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let expected = [
        ["KSTREAM-SOURCE-0000000000", "in", "0", "0", trace, "0000000000000007", "0000000000000064"],
        [
            "KSTREAM-SOURCE-0000000006",
            &ended[1].fields["topic"],
            "0",
            "0",
            trace,
            "0000000000000064",
            "0000000000000065",
        ],
        ["KSTREAM-SOURCE-0000000000", "in", "0", "1", trace, "0000000000000008", "0000000000000066"],
    ];
    assert_eq!(found, expected.map(|fields| fields.map(str::to_owned)));
    assert!(ended[1].fields["topic"].ends_with("-repartition"), "{ended:?}");
    assert!(
        ended.iter().all(|span| span.parent.is_none() && span.fields["task"] == "0_0"),
        "the driver's one task"
    );
}

/// The caller did not record its span, or nobody here wants to: what comes of the record carries what it brought.
#[test]
fn a_trace_that_is_not_recorded_is_passed_on_as_it_came() {
    let (recorder, guard) = Recorder::start(LevelFilter::INFO);
    let driver = two_tasks(SpanIds::new(numbers(100)));
    let mut record = traced("a", 1, 5, 7);
    caller(7, false).write_to(&mut record.headers);
    let brought = record.headers.clone();
    driver.input(&IN).pipe_record(record);
    driver.input(&IN).pipe_at("a", 2, 6);
    drop(guard);
    driver.input(&IN).pipe_record(traced("a", 3, 7, 9));

    let written = driver.output(&OUT).read_records();
    assert_eq!(written[0].headers, brought);
    assert!(written[1].headers.is_empty());
    assert_eq!(TraceContext::from_headers(&written[2].headers), Some(caller(9, true)));
    assert!(recorder.ended("record").is_empty());
}

#[test]
fn a_record_without_a_trace_begins_one_if_the_application_says_so() {
    let (recorder, _guard) = Recorder::start(LevelFilter::INFO);
    let count = AtomicU64::new(0);
    let each_second = move || count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    let driver = two_tasks(SpanIds::new(numbers(1)).begin_traces(each_second, || TraceId::new(TRACE)));
    let mut bad = Record::new("a".to_owned(), 1, 5);
    bad.headers.add("traceparent", Some(b"00-no".to_vec()));
    bad.headers.add("tracestate", Some(b"congo=1".to_vec()));
    driver.input(&IN).pipe_record(bad);
    driver.input(&IN).pipe_at("a", 2, 6);
    let written = driver.output(&OUT).read_records();
    assert_eq!(TraceContext::from_headers(&written[0].headers), Some(caller(2, true)));
    // In neither of its two tasks.
    assert_eq!(written[0].headers.iter().len(), 1, "what was not understood is not passed on");
    assert_eq!(recorder.ended("record").len(), 3);
    assert!(!recorder.ended("record")[0].fields.contains_key("parent_id"));
}

/// Pipes records of `in` (true) and `other`, with time and span, and tells which spans the results carry.
fn results(
    build: impl FnOnce(KStream<String, i64>, KStream<String, i64>) -> KStream<String, i64>,
    records: &[(bool, &str, Timestamp, u64)],
) -> Vec<Option<u64>> {
    let builder = StreamsBuilder::new();
    build(builder.stream(&IN), builder.stream(&OTHER)).to(&OUT);
    let driver = uncached(&builder);
    for (input, key, timestamp, span) in records {
        let topic = if *input { &IN } else { &OTHER };
        driver.input(topic).pipe_record(traced(key, 1, *timestamp, *span));
    }
    spans(&driver)
}

fn counts<K: Clone + 'static>(table: KTable<K, i64>) -> KStream<String, i64> {
    table.to_stream().map(|_, count| ("count".to_owned(), count.unwrap_or_default()))
}

/// The table in the documentation of `trace_context`.
#[test]
fn a_record_made_of_several_has_the_context_of_one() {
    let ms = Duration::from_millis;
    let windows = || TimeWindows::of_size_and_grace(ms(10), ms(20));
    let twice = [(true, "a", 1, 1), (true, "a", 2, 2), (true, "b", 31, 3)];

    let count = results(|input, _| counts(input.group_by_key().count()), &twice);
    assert_eq!(count, [Some(1), Some(2), Some(3)], "of the record that caused the update");

    let closed = results(
        |input, _| {
            let windowed = input.group_by_key().windowed_by(windows());
            counts(windowed.emit_strategy(EmitStrategy::OnWindowClose).count())
        },
        &twice,
    );
    assert_eq!(closed, [Some(3)], "of the record that moved the time");

    let suppressed = results(
        |input, _| {
            let counted = input.group_by_key().windowed_by(windows()).count();
            counts(counted.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())))
        },
        &twice,
    );
    assert_eq!(suppressed, [Some(2)], "of the last record that changed the row");

    let sessions = results(
        |input, _| {
            let gap = SessionWindows::of_inactivity_gap_with_no_grace(ms(10));
            counts(input.group_by_key().windowed_by(gap).count())
        },
        &twice[..1],
    );
    assert_eq!(sessions, [None], "sessions have no headers, as in Kafka Streams");

    let within = || JoinWindows::of_time_difference_with_no_grace(ms(10));
    let both = [(true, "a", 1, 1), (false, "a", 2, 2)];
    let pair = results(|left, right| left.join_stream(right, within(), |left, right| left + right), &both);
    assert_eq!(pair, [Some(2)], "of the record that came later");

    let alone = results(
        |left, right| left.left_join_stream(right, within(), |left, right| left + right.unwrap_or(&0)),
        &[(true, "a", 1, 1), (true, "b", 50, 2)],
    );
    assert_eq!(alone, [Some(2)], "of the record that moved the time past its window");

    let table = results(
        |left, right| left.join_table(&right.to_table(), |left, right| left + right),
        &[(false, "a", 1, 1), (true, "a", 2, 2)],
    );
    assert_eq!(table, [Some(2)], "of the stream's record");
}

/// Forwards a record of its own when its schedule is due.
struct Scheduled;

impl Processor<String, i64, String, i64> for Scheduled {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        context.schedule(Duration::from_millis(10), PunctuationType::StreamTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        _context: &mut ProcessorContext<'_, String, i64>,
        _record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        _punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(context.forward(Record::new("due".to_owned(), 1, timestamp))?)
    }
}

#[test]
fn a_schedule_has_no_context() {
    let due = results(|input, _| input.process(|| Scheduled, &[]), &[(true, "a", 1, 1)]);
    assert_eq!(due, [None]);
}
