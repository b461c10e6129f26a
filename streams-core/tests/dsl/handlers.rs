//! What error handlers are told, and what follows from their answers: of which source record a failure is, wherever it
//! had waited; which functions may fail; what is left in the stores.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, Consumed, JoinWindows, Joined, KGroupedStream, KStream, KTable, Materialized, Produced,
    SessionWindows, SlidingWindows, StreamJoined, StreamsBuilder, Suppressed, TableJoined, TimeWindows,
    TopologyConfig,
};
use streams_core::error::TaskErrorCause;
use streams_core::handler::{
    DeadLetter, DeadLetterQueue, ErrorContext, ErrorStage, ExceptionHandler, LogAndContinue, Response,
};
use streams_core::processor::DropReason;
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::Topic;
use streams_core::types::{Headers, Windowed};

use crate::text;

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");
const DEAD: Topic<Option<String>, Option<String>> = Topic::new("dead");

/// A driver whose processing and production handlers are `handler`.
fn handled(builder: &StreamsBuilder, handler: impl ExceptionHandler + 'static) -> TopologyTestDriver {
    let handler = Arc::new(handler);
    let config = DriverConfig {
        processing_exception_handler: handler.clone(),
        production_exception_handler: handler,
        ..DriverConfig::default()
    };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

fn dead_letters(builder: &StreamsBuilder) -> TopologyTestDriver {
    handled(builder, DeadLetterQueue::new("dead"))
}

/// Key, value and offset of the dead letters.
fn dead(driver: &TopologyTestDriver) -> Vec<(Option<String>, Option<String>, String)> {
    let offset = |record: &Record<_, _>| {
        let header = record.headers.last("__streams.errors.offset").unwrap().value.clone();
        String::from_utf8(header.unwrap()).unwrap()
    };
    let records = driver.output(&DEAD).read_records().into_iter();
    records.map(|record| (record.key.clone(), record.value.clone(), offset(&record))).collect()
}

fn letter(key: &str, value: &str, offset: &str) -> (Option<String>, Option<String>, String) {
    (Some(text(key)), Some(text(value)), text(offset))
}

/// The cache is emptied while the next record of the repartition topic is at the head of its queue.
#[test]
fn what_a_cache_held_back_fails_with_its_own_source_record() {
    let builder = StreamsBuilder::new();
    let words = builder
        .stream(&IN)
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone());
    words
        .count()
        .to_stream()
        .map(|word, count| match word.as_str() {
            "bad" => Err("bad word"),
            _ => Ok((word.clone(), count.unwrap_or(0))),
        })
        .to(&OUT);
    let driver = dead_letters(&builder);
    driver.input(&IN).pipe("line", "good bad fine");
    assert_eq!(driver.output(&OUT).read_all(), [(text("good"), 1), (text("fine"), 1)]);
    assert_eq!(dead(&driver), [letter("bad", "bad", "1")]);
}

#[test]
fn what_suppress_held_back_fails_with_its_own_source_record() {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
    let counts = builder.stream(&IN).group_by_key().windowed_by(windows).count();
    let fail = |key: &Windowed<String>, _| match key.key.as_str() {
        "bad" => Err("bad key"),
        _ => Ok(()),
    };
    counts.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())).to_stream().for_each(fail);
    let driver = dead_letters(&builder);
    driver.input(&IN).pipe_at("bad", "first", 1);
    driver.input(&IN).pipe_at("bad", "second", 2);
    driver.input(&IN).pipe_at("good", "third", 3);
    driver.input(&IN).pipe_at("good", "closes", 20);
    assert_eq!(dead(&driver), [letter("bad", "second", "1")]);
}

#[test]
fn what_a_join_with_grace_held_back_fails_with_its_own_source_record() {
    let builder = StreamsBuilder::new();
    let second = Duration::from_secs(1);
    let history = Materialized::named("history").versioned(10 * second);
    let table = builder.table_with(&Topic::<String, String>::new("table"), Consumed::new(), history);
    let joined = Joined::new().grace(second);
    builder
        .stream(&IN)
        .left_join_table_with(&table, |_, value, _| value, joined)
        .for_each(|_, value| if value == "bad" { Err("bad value") } else { Ok(()) });
    let driver = dead_letters(&builder);
    driver.input(&IN).pipe_at("a", "bad", 1);
    driver.input(&IN).pipe_at("b", "releases", 5000);
    assert_eq!(dead(&driver), [letter("a", "bad", "0")]);
}

/// Notes what it is told, and sends two dead letters of its own.
#[derive(Default)]
struct Witness {
    told: Arc<Mutex<Vec<String>>>,
}

impl ExceptionHandler for Witness {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        let what = match error {
            TaskErrorCause::Processing(error) => match error.downcast_ref::<std::num::ParseIntError>() {
                Some(error) => format!("{:?}", error.kind()),
                None => error.to_string(),
            },
            TaskErrorCause::Serialization { topic, part, .. } => {
                let unsent = context.unsent.unwrap();
                assert_eq!(unsent.topic, topic);
                format!("{part} for {topic} under {:?} at {}", unsent.key, unsent.timestamp)
            }
            other => other.to_string(),
        };
        let topic = context.topic;
        self.told.lock().unwrap().push(format!("{topic:?} {}@{}: {what}", context.partition, context.offset));
        let mut own = DeadLetter::of_source("dead", context, error);
        own.value = Some(b"mine".to_vec());
        own.headers = Headers::EMPTY;
        let answer =
            if context.stage == ErrorStage::Production { Response::fail() } else { Response::resume() };
        answer.with_dead_letter(own.clone()).with_dead_letter(own)
    }
}

#[test]
fn a_handler_sees_what_failed_and_sends_records_of_its_own() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).try_map_values(|value| value.parse::<i64>()).to(&OUT);
    let witness = Witness::default();
    let told = witness.told.clone();
    let driver = handled(&builder, witness);
    driver.input(&IN).pipe("a", "");
    assert_eq!(*told.lock().unwrap(), ["\"in\" 0@0: Empty"]);
    let mine = Some(text("mine"));
    assert_eq!(driver.output(&DEAD).read_all(), [(Some(text("a")), mine.clone()), (Some(text("a")), mine)]);
    assert_eq!(driver.dropped_by_reason().get(DropReason::ProcessingFailed), 1);
}

#[test]
fn a_handler_sees_what_could_not_be_sent_and_may_fail_after_a_dead_letter() {
    let builder = StreamsBuilder::new();
    // JSON knows no such keys.
    let lengths = Topic::<String, BTreeMap<(i64, i64), i64>>::new("lengths");
    builder.stream(&IN).map_values(|value| BTreeMap::from([((1, 2), value.len() as i64)])).to(&lengths);
    let witness = Witness::default();
    let told = witness.told.clone();
    let driver = handled(&builder, witness);
    let failed = driver.input(&IN).try_pipe(Record::new(text("a"), text("b"), 7)).unwrap_err();
    assert!(failed.to_string().contains("cannot serialize the value for topic `lengths`"), "{failed}");
    assert_eq!(*told.lock().unwrap(), ["\"in\" 0@0: value for lengths under Some([97]) at 7"]);
    assert_eq!(driver.output(&DEAD).len(), 2, "sent, although the task failed");
}

#[test]
fn a_dead_letter_says_what_failed_and_where() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).try_map_values(|value| value.parse::<i64>()).to(&OUT);
    let driver = handled(&builder, DeadLetterQueue::new("dead").and_fail());
    let failed = driver.input(&IN).try_pipe(Record::new(text("a"), text("b"), 7)).unwrap_err();
    assert!(failed.to_string().contains("invalid digit"), "{failed}");
    let record = driver.output(&DEAD).read_record().unwrap();
    assert_eq!((record.key, record.value, record.timestamp), (Some(text("a")), Some(text("b")), 7));
    let header = |name: &str| {
        let header = record.headers.last(&format!("__streams.errors.{name}")).unwrap();
        String::from_utf8(header.value.clone().unwrap()).unwrap()
    };
    assert_eq!(header("exception"), "ProcessingError");
    assert_eq!(header("message"), "invalid digit found in string");
    assert!(header("stacktrace").starts_with("node KSTREAM-MAPVALUES-0000000001: processing failed"));
    assert_eq!((header("topic"), header("partition"), header("offset")), (text("in"), text("0"), text("0")));
}

/// Fails for the text `bad`.
fn checked(text: &str) -> Result<i64, String> {
    if text == "bad" { Err("it is bad".to_owned()) } else { Ok(text.len() as i64) }
}

/// Pipes `good`, `bad`, `fine` under the key `a` and returns how many records failed.
fn pipe_three(driver: &TopologyTestDriver) -> u64 {
    ["good", "bad", "fine"].iter().for_each(|value| driver.input(&IN).pipe("a", *value));
    driver.dropped_by_reason().get(DropReason::ProcessingFailed)
}

type Build = fn(KStream<String, String>, &StreamsBuilder);

/// Each function of an operator of `KStream`: the record for which it fails is dropped, the others are not.
#[test]
fn functions_of_streams_may_fail() {
    let side = Topic::<String, String>::new("side");
    let cases: &[(&str, Build)] = &[
        ("filter", |stream, _| stream.filter(|_, v| checked(v).map(|_| true)).for_each(|_, _| {})),
        ("filter_not", |stream, _| stream.filter_not(|_, v| checked(v).map(|_| false)).for_each(|_, _| {})),
        ("peek", |stream, _| stream.peek(|_, v| checked(v).map(drop)).for_each(|_, _| {})),
        ("for_each", |stream, _| stream.for_each(|_, v| checked(&v).map(drop))),
        ("map", |stream, _| stream.map(|k, v| checked(&v).map(|n| (k.clone(), n))).to(&OUT)),
        ("branch", |stream, _| drop(stream.split().branch(|_, v| checked(v).map(|n| n > 1)))),
        ("group_by", |stream, _| drop(stream.try_group_by(|_, v| checked(v)).count())),
        ("to_extractor", |stream, _| stream.to_extractor(|_, v, _| checked(v).map(|_| "out".to_owned()))),
        ("partitioner", |stream, _| {
            let produced = Produced::new().partitioner(|_, _, v: &String, _| checked(v).map(|_| 0));
            stream.to_with(&Topic::<String, String>::new("out"), produced);
        }),
        ("join_table", |stream, builder| {
            let table = builder.table(&Topic::<String, String>::new("side"));
            stream.try_left_join_table_with(&table, |_, v, _| checked(&v), Joined::new()).to(&OUT);
        }),
        ("join_global", |stream, builder| {
            let table = builder.global_table(&Topic::<String, String>::new("side"));
            stream.try_join_global_with_key(&table, |k, _| k.clone(), |_, v, _| checked(&v)).to(&OUT);
        }),
        ("global selector", |stream, builder| {
            let table = builder.global_table(&Topic::<String, String>::new("side"));
            stream.join_global(&table, |k, v| checked(v).map(|_| k.clone()), |v, _| v).for_each(|_, _| {});
        }),
        ("join_stream", |stream, builder| {
            let other = builder.stream(&Topic::<String, String>::new("side"));
            let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
            stream.try_join_stream_with(other, windows, |_, v, _| checked(v), StreamJoined::new()).to(&OUT);
        }),
        ("self join", |stream, _| {
            let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
            let two = |_: &String, one: &String, _: &String| checked(one);
            let (this, other) = (stream.clone(), stream);
            this.try_join_stream_with(other, windows, two, StreamJoined::new()).for_each(|_, _| {});
        }),
    ];
    for (case, build) in cases {
        let builder = StreamsBuilder::new();
        build(builder.stream(&IN), &builder);
        let topology = if *case == "self join" {
            builder.build_with(TopologyConfig::optimized("all").unwrap()).unwrap()
        } else {
            builder.build().unwrap()
        };
        let handler = Arc::new(LogAndContinue);
        let config = DriverConfig { processing_exception_handler: handler, ..DriverConfig::default() };
        let driver = TopologyTestDriver::with_config(topology, config).unwrap();
        if case.contains("join_") || case.contains("global") {
            let _ = driver.input(&side).try_pipe(Record::new(text("a"), text("row"), 0));
        }
        let failed = pipe_three(&driver);
        assert!(failed >= 1, "{case}: {failed}");
        if driver.produced_topics().iter().any(|topic| &**topic == "out") {
            assert_eq!(driver.produced("out").len(), 2, "{case}");
        }
    }
}

type Aggregate = fn(KGroupedStream<String, String>) -> KTable<String, i64>;

/// What a record that fails half-way did to a row is undone.
#[test]
fn adders_reducers_and_mergers_may_fail_and_leave_the_row_as_it_was() {
    fn add(_: &String, value: String, sum: &mut i64) -> Result<(), String> {
        *sum += 1000;
        *sum += checked(&value)? - 1000;
        Ok(())
    }
    fn add_opt(_: &String, value: String, sum: Option<i64>) -> Result<Option<i64>, String> {
        checked(&value).map(|more| Some(sum.unwrap_or(0) + more))
    }
    let cases: &[(&str, Aggregate)] = &[
        ("aggregate", |group| group.aggregate(|| 0, add)),
        ("aggregate_opt", |group| group.aggregate_opt(|| None, add_opt)),
        ("cogroup", |group| group.cogroup(add).aggregate(|| 0)),
        ("cogroup_opt", |group| group.cogroup_opt(add_opt).aggregate_opt(|| None)),
    ];
    for cache in [0, 1 << 20] {
        for (case, aggregate) in cases {
            let builder = StreamsBuilder::new();
            aggregate(builder.stream(&IN).group_by_key()).to_stream().to(&SUMS);
            let driver = continuing(&builder, cache);
            assert_eq!(pipe_three(&driver), 1, "{case}");
            assert_eq!(sums(&driver), [Some(4), Some(8)], "{case}");
        }
    }
    let windows: &[(&str, fn(KGroupedStream<String, String>) -> KTable<Windowed<String>, i64>)] = &[
        ("windows", |group| {
            group.windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(1))).aggregate(|| 0, add)
        }),
        ("sessions", |group| {
            let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(1));
            group.windowed_by(gap).aggregate(|| 0, add, |_, one, two| one + two)
        }),
    ];
    for (case, aggregate) in windows {
        let builder = StreamsBuilder::new();
        aggregate(builder.stream(&IN).group_by_key()).to_stream_keyed(|key, _| key.key.clone()).to(&SUMS);
        let driver = continuing(&builder, 0);
        assert_eq!(pipe_three(&driver), 1, "{case}");
        let last = sums(&driver).last().copied().flatten();
        assert_eq!(last, Some(8), "{case}");
    }
}

const SUMS: Topic<String, Option<i64>> = Topic::new("sums");

fn sums(driver: &TopologyTestDriver) -> Vec<Option<i64>> {
    driver.output(&SUMS).read_all().into_iter().map(|(_, sum)| sum).collect()
}

fn continuing(builder: &StreamsBuilder, cache: u64) -> TopologyTestDriver {
    let config = DriverConfig {
        processing_exception_handler: Arc::new(LogAndContinue),
        statestore_cache_max_bytes: cache,
        ..DriverConfig::default()
    };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

/// Each function of an operator of `KTable`: the update for which it fails is dropped, the others are not.
#[test]
fn functions_of_tables_may_fail() {
    type Derive = fn(KTable<String, String>, KTable<String, String>) -> KTable<String, i64>;
    let cases: &[(&str, Derive)] = &[
        ("filter", |table, _| table.filter(|_, v| checked(v).map(|_| true)).map_values(|v| v.len() as i64)),
        ("map_values", |table, _| table.map_values_opt(|_, v| checked(v).map(Some))),
        ("map_values_with", |table, _| {
            table.map_values_opt_with(|_, v| checked(v).map(Some), Materialized::named("rows"))
        }),
        ("join", |table, other| table.left_join_opt(&other, |_, v, _| checked(v).map(Some))),
        ("read through", |table, other| {
            let numbers = table.map_values_opt(|_, v| checked(v).map(Some));
            other.left_join(&numbers, |_, number| number.copied().unwrap_or(-1))
        }),
        ("foreign key", |table, other| {
            let key = |_: &String, v: &String| checked(v).map(|_| text("a"));
            let joined = TableJoined::new();
            table.left_join_foreign_key_with(&other, key, |v, _| checked(v), joined, Materialized::unnamed())
        }),
        ("group_by", |table, _| {
            table.group_by(|k, v| checked(v).map(|n| (k.clone(), n))).aggregate(
                || 0,
                |_, n, sum| *sum = n,
                |_, _, _| {},
            )
        }),
    ];
    for (case, derive) in cases {
        let builder = StreamsBuilder::new();
        let other = builder.table(&Topic::<String, String>::new("side"));
        derive(builder.table(&IN), other).to_stream().to(&SUMS);
        let driver = continuing(&builder, 0);
        let side = driver.input(&Topic::<String, String>::new("side"));
        if *case == "read through" {
            // The table's own node sends nothing on that could fail: the join reads it.
            driver.input(&IN).pipe("a", "bad");
            side.pipe("a", "row");
            assert_eq!(sums(&driver), [], "{case}");
            continue;
        }
        let failed = pipe_three(&driver);
        assert!(failed >= 1, "{case}");
        let sums: Vec<i64> = sums(&driver).into_iter().flatten().collect();
        assert_eq!((sums.first(), sums.last()), (Some(&4), Some(&4)), "{case}: {sums:?}");
    }
}

/// A key or value that does not fit a store's serde is a failed record, not a failed task, and leaves the row as it was.
#[test]
fn data_that_does_not_fit_a_store_goes_to_the_handler() {
    type Rows = BTreeMap<Option<i64>, i64>;
    // JSON knows no null key.
    let key = |value: &str| (value != "bad").then_some(1);
    let add = move |_: &String, value: String, rows: &mut Rows| {
        rows.insert(key(&value), value.len() as i64);
    };
    let millis = Duration::from_millis;
    type Make<'a> = &'a dyn Fn(KStream<String, String>) -> KStream<String, Option<Rows>>;
    let unkeyed = |table: KTable<Windowed<String>, Rows>| table.to_stream_keyed(|key, _| key.key.clone());
    let cases: &[(&str, Make<'_>)] = &[
        ("table", &|stream| {
            let rows = stream.map_values(move |value| Rows::from([(key(&value), value.len() as i64)]));
            rows.to_table_with(Materialized::named("store")).to_stream()
        }),
        ("aggregate", &|stream| stream.group_by_key().aggregate(Rows::new, add).to_stream()),
        ("windows", &|stream| {
            let windows = TimeWindows::of_size_with_no_grace(millis(10));
            unkeyed(stream.group_by_key().windowed_by(windows).aggregate(Rows::new, add))
        }),
        ("sliding windows", &|stream| {
            let windows = SlidingWindows::of_time_difference_with_no_grace(millis(10));
            unkeyed(stream.group_by_key().windowed_by(windows).aggregate(Rows::new, add))
        }),
        ("suppress", &|stream| {
            let table = stream.group_by_key().aggregate(Rows::new, add);
            table.suppress(Suppressed::until_time_limit(millis(0), BufferConfig::max_records(9))).to_stream()
        }),
    ];
    for (case, make) in cases {
        let builder = StreamsBuilder::new();
        make(builder.stream(&IN)).map_values(|rows| rows.map(|rows| rows.values().sum::<i64>())).to(&SUMS);
        let driver = continuing(&builder, 0);
        assert_eq!(pipe_three(&driver), 1, "{case}");
        assert_eq!(sums(&driver), [Some(4), Some(4)], "{case}");
    }
}

/// Kafka Streams throws there, and the handler decides.
#[test]
fn a_full_buffer_of_suppress_goes_to_the_handler() {
    let builder = StreamsBuilder::new();
    let limit = BufferConfig::max_records(1).shut_down_when_full();
    let table = builder.table(&Topic::<String, i64>::new("in"));
    let second = Duration::from_secs(1);
    table.suppress(Suppressed::until_time_limit(second, limit)).to_stream().to(&SUMS);
    let driver = continuing(&builder, 0);
    let input = driver.input(&Topic::<String, i64>::new("in"));
    input.pipe_at("a", 1, 0);
    assert_eq!(driver.dropped(), 0);
    input.pipe_at("b", 2, 0);
    assert_eq!(driver.dropped_by_reason().get(DropReason::ProcessingFailed), 1);
}

/// As in Kafka Streams: the pairs before the one that fails are joined, those after it are not.
#[test]
fn a_joiner_that_fails_ends_the_work_on_its_record() {
    let builder = StreamsBuilder::new();
    let right = builder.stream(&Topic::<String, String>::new("side"));
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
    let joiner = |_: &String, _: &String, right: Option<&String>| checked(right.map_or("", String::as_str));
    builder.stream(&IN).try_left_join_stream_with(right, windows, joiner, StreamJoined::new()).to(&OUT);
    let driver = continuing(&builder, 0);
    let side = driver.input(&Topic::<String, String>::new("side"));
    ["one", "bad", "three"].iter().for_each(|value| side.pipe("a", *value));
    driver.input(&IN).pipe("a", "left");
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 3)]);
    assert_eq!(driver.dropped(), 1);
}
