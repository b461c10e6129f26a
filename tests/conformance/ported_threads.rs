//! Kafka Streams' tests of whole applications that are about threads, handlers and topics, under their names:
//! `StreamsUncaughtExceptionHandlerIntegrationTest`, `HandlingSourceTopicDeletionIntegrationTest`, `PurgeRepartitionTopicIntegrationTest`,
//! `AtLeastOnceDeliveryMessageLossIntegrationTest` and the system test of a shutdown that must not hang. What there is beside them:
//! `streams-core/src/runtime/tests/ported`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kstreams::client::{ClientSupplier, OffsetSpec};
use kstreams::error::BoxError;
use kstreams::prelude::*;

use crate::harness::cases;
use crate::ported_eos::{await_per_key, config, per_key, texts};
use crate::support::*;

cases![
    should_shutdown_client,
    should_replace_threads,
    should_replace_single_thread,
    should_shut_down_client_if_global_stream_thread_wants_to_replace_thread,
    should_emit_same_record_after_failover,
    should_throw_error_after_source_topic_deleted,
    should_purge_repartition_topic,
    should_commit_offsets_and_produce_output_records_when_producer_fails_with_message_too_large,
    should_not_commit_offsets_when_the_broker_refuses_a_record,
    test_shutdown_wont_deadlock,
];

fn write(kafka: &dyn ClientSupplier, topic: &str, rows: &[(&str, &str)]) {
    let mut writer = Writer::plain(kafka);
    rows.iter().for_each(|(key, value)| writer.send(topic, 0, key, value));
    writer.flush();
}

fn at_least_once(names: &Names, folder: &tempfile::TempDir, commit_interval: Duration) -> StreamsConfig {
    let mut config = config(names, folder, "one");
    config.processing_guarantee = ProcessingGuarantee::AtLeastOnce;
    config.commit_interval = commit_interval;
    config
}

/// Keeps what it sees, and fails as long as it is told to.
#[derive(Clone, Default)]
struct Fails {
    works: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Processor<String, String, (), ()> for Fails {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        self.seen.lock().unwrap().push(record.value);
        if self.works.load(Ordering::SeqCst) { Ok(()) } else { Err("it fails".into()) }
    }
}

fn failing(names: &Names, fails: &Fails) -> Topology {
    let (builder, fails) = (StreamsBuilder::new(), fails.clone());
    builder.stream(&texts(names, "input")).process(move || fails.clone(), &[]);
    builder.build().unwrap()
}

fn should_shutdown_client(kafka: &dyn ClientSupplier, names: &Names) {
    let (input, fails, folder) = (names.topic("input"), Fails::default(), tempfile::tempdir().unwrap());
    create_with(kafka, &input, 1, &[]);
    let mut config = config(names, &folder, "one");
    config.num_stream_threads = 2;
    let mut streams = KafkaStreams::new(failing(names, &fails), config, names.supplier()).unwrap();
    streams.set_uncaught_exception_handler(|_| StreamThreadExceptionResponse::ShutdownClient);
    streams.start().unwrap();
    write(kafka, &input, &[("1", "A")]);
    assert!(streams.await_state(&[State::Error], WAIT));
    assert_eq!(*fails.seen.lock().unwrap(), ["A"]);
}

/// The record goes on failing until each thread has failed once; the thread in their place processes it.
fn replace_threads(kafka: &dyn ClientSupplier, names: &Names, threads: usize) {
    let (input, fails, folder) = (names.topic("input"), Fails::default(), tempfile::tempdir().unwrap());
    create_with(kafka, &input, 1, &[]);
    let mut config = config(names, &folder, "one");
    config.num_stream_threads = threads;
    let mut streams = KafkaStreams::new(failing(names, &fails), config, names.supplier()).unwrap();
    let (count, works) = (Arc::new(AtomicUsize::new(0)), fails.works.clone());
    let counted = count.clone();
    streams.set_uncaught_exception_handler(move |_| {
        works.store(counted.fetch_add(1, Ordering::SeqCst) + 1 >= threads, Ordering::SeqCst);
        StreamThreadExceptionResponse::ReplaceThread
    });
    streams.start().unwrap();
    write(kafka, &input, &[("1", "A")]);
    let place = at(&input, 0);
    let committed = || committed_of(kafka, &names.group(), &place).filter(|it| it.offset == 1);
    eventually("the record to be processed", committed);
    streams.close(WAIT).unwrap();
    assert_eq!(streams.state(), State::NotRunning);
    assert_eq!(count.load(Ordering::SeqCst), threads);
    assert_eq!(fails.seen.lock().unwrap().len(), threads + 1);
}

fn should_replace_threads(kafka: &dyn ClientSupplier, names: &Names) {
    replace_threads(kafka, names, 2);
}

fn should_replace_single_thread(kafka: &dyn ClientSupplier, names: &Names) {
    replace_threads(kafka, names, 1);
}

fn should_shut_down_client_if_global_stream_thread_wants_to_replace_thread(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    let [input, global] = ["input", "input2"].map(|topic| names.topic(topic));
    [&input, &global].into_iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let (builder, fails) = (StreamsBuilder::new(), Fails::default());
    let feeds = fails.clone();
    let store = Stores::key_value(&Store::<String, String>::new("globalStore"));
    builder.add_global_store(store, &texts(names, "input2"), Consumed::new(), move || feeds.clone());
    builder.stream(&texts(names, "input")).for_each(|_, _| {});
    let folder = tempfile::tempdir().unwrap();
    let config = config(names, &folder, "one");
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.set_uncaught_exception_handler(|_| StreamThreadExceptionResponse::ReplaceThread);
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], WAIT));
    write(kafka, &global, &[("1", "A")]);
    assert!(streams.await_state(&[State::Error], WAIT));
    assert_eq!(*fails.seen.lock().unwrap(), ["A"]);
}

/// A table that already has the row when its record comes again must send it on again (KAFKA-12508); at least once, no commit between.
fn should_emit_same_record_after_failover(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = ["input", "input2", "output", "output2"];
    topics.iter().for_each(|topic| create_with(kafka, &names.topic(topic), 1, &[]));
    let (builder, throws) = (StreamsBuilder::new(), AtomicBool::new(true));
    let kaboom = move |text: Option<String>| match throws.swap(false, Ordering::SeqCst) {
        true => Err("Kaboom"),
        false => Ok(text),
    };
    let table = builder.table_with(
        &texts(names, "input"),
        Consumed::new(),
        &Store::<String, String>::new("test-store"),
    );
    table.to_stream().try_map_values(kaboom).to(&texts(names, "output"));
    builder.stream(&texts(names, "input2")).to(&texts(names, "output2"));
    let folder = tempfile::tempdir().unwrap();
    let config = at_least_once(names, &folder, Duration::from_secs(300));
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.set_uncaught_exception_handler(|_| StreamThreadExceptionResponse::ReplaceThread);
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], WAIT));
    let rows = [("1", "A"), ("1", "B")];
    write(kafka, &names.topic("input"), &rows);
    write(kafka, &names.topic("input2"), &rows);
    let both = |topic: &str| {
        let found = per_key(kafka, &names.topic(topic), 1).remove("1").unwrap_or_default();
        // The other stream may have been sent twice.
        found.ends_with(&["A".to_owned(), "B".to_owned()]).then_some(())
    };
    ["output", "output2"].iter().for_each(|topic| eventually("A and B", || both(topic)));
    streams.close(WAIT).unwrap();
}

fn should_throw_error_after_source_topic_deleted(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, output] = ["input", "output"].map(|topic| names.topic(topic));
    create_with(kafka, &input, 2, &[]);
    create_with(kafka, &output, 1, &[]);
    let folder = tempfile::tempdir().unwrap();
    let called = [0, 1].map(|_| Arc::new(AtomicBool::new(false)));
    let start = |instance: usize| {
        let builder = StreamsBuilder::new();
        builder.stream(&texts(names, "input")).to(&texts(names, "output"));
        let mut config = config(names, &folder, &instance.to_string());
        config.num_stream_threads = 2;
        let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
        let called = called[instance].clone();
        streams.set_uncaught_exception_handler(move |_| {
            called.store(true, Ordering::SeqCst);
            StreamThreadExceptionResponse::ShutdownClient
        });
        streams.start().unwrap();
        streams
    };
    let instances = [start(0), start(1)];
    let tasks = || instances.iter().map(|instance| instance.metrics().tasks).sum::<u64>() == 2;
    let running = || instances.iter().all(|instance| instance.state() == State::Running) && tasks();
    eventually("both to run", || running().then_some(()));
    admin(kafka).delete_topics(std::slice::from_ref(&input), WAIT).unwrap();
    for (instance, called) in instances.iter().zip(&called) {
        assert!(instance.await_state(&[State::Error], WAIT), "{}", instance.state());
        assert!(called.load(Ordering::SeqCst));
        let error = instance.error().unwrap_or_default();
        assert!(error.contains(&input), "{error}");
    }
}

/// 1,000 records through a repartition topic, purged each 10 ms: in the end it holds none, as all are committed.
fn should_purge_repartition_topic(kafka: &dyn ClientSupplier, names: &Names) {
    let (input, output, folder) = (names.topic("input"), names.topic("output"), tempfile::tempdir().unwrap());
    [&input, &output].into_iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let builder = StreamsBuilder::new();
    let counts = builder.stream(&texts(names, "input")).group_by(|key, _| key.clone()).count();
    counts.to_stream().map_values(|count| count.unwrap_or_default().to_string()).to(&texts(names, "output"));
    let purge = Duration::from_millis(10);
    let mut config = at_least_once(names, &folder, purge);
    config.repartition_purge_interval = purge;
    // Brokers of today refuse `segment.bytes` below 1 MiB.
    config.topic_properties.insert("segment.ms".to_owned(), "10".to_owned());
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.start().unwrap();
    let mut writer = Writer::plain(kafka);
    (0..1_000).for_each(|number| writer.send(&input, 0, &number.to_string(), &number.to_string()));
    writer.flush();
    let topics = admin(kafka).list_topics(WAIT).unwrap();
    let mine = |topic: &String| topic.starts_with(&names.group()) && topic.ends_with("-repartition");
    let repartition = topics.into_iter().find(mine).unwrap();
    let left =
        || end(kafka, &repartition, 0, OffsetSpec::End) - end(kafka, &repartition, 0, OffsetSpec::Beginning);
    eventually("all records", || (end(kafka, &repartition, 0, OffsetSpec::End) == 1_000).then_some(()));
    eventually("the purge", || (left() == 0).then_some(()));
    let expected = (0..1_000).map(|number| (number.to_string(), vec!["1".to_owned()])).collect();
    await_per_key(kafka, (&output, 1), &expected);
    streams.close(WAIT).unwrap();
}

/// 50,000 records, a batch as large as it gets, sent by the commit only: all come out, all are committed (KAFKA-19479).
fn should_commit_offsets_and_produce_output_records_when_producer_fails_with_message_too_large(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    const RECORDS: i64 = 50_000;
    let (input, output, folder) = (names.topic("input"), names.topic("output"), tempfile::tempdir().unwrap());
    [&input, &output].into_iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let mut writer = Writer::plain(kafka);
    for number in 1..=RECORDS {
        writer.send(&input, 0, &number.to_string(), &format!("item-{number}"));
        if number % 10_000 == 0 {
            writer.flush();
        }
    }
    let builder = StreamsBuilder::new();
    builder.stream(&texts(names, "input")).to(&texts(names, "output"));
    let mut config = at_least_once(names, &folder, Duration::from_secs(2));
    // librdkafka asks for a delivery timeout above the linger time.
    for (key, value) in [
        ("producer.linger.ms", "300000"),
        ("producer.delivery.timeout.ms", "600000"),
        ("producer.batch.size", "33554432"),
    ] {
        config.client_properties.insert(key.to_owned(), value.to_owned());
    }
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.start().unwrap();
    let place = at(&input, 0);
    let committed = || {
        assert_ne!(streams.state(), State::Error, "{:?}", streams.error());
        committed_of(kafka, &names.group(), &place).filter(|it| it.offset == RECORDS)
    };
    eventually("all to be committed", committed);
    assert_eq!(read(kafka, &output, Committed).len() as i64, RECORDS);
    streams.close(WAIT).unwrap();
}

/// A record that only the broker finds too large: the application stops, and has not committed it.
fn should_not_commit_offsets_when_the_broker_refuses_a_record(kafka: &dyn ClientSupplier, names: &Names) {
    const LARGE: usize = 700;
    let (input, output, folder) = (names.topic("input"), names.topic("output"), tempfile::tempdir().unwrap());
    create_with(kafka, &input, 1, &[]);
    create_with(kafka, &output, 1, &[("max.message.bytes", "20000")]);
    let mut writer = Writer::plain(kafka);
    for number in 0..1_000 {
        let filler = if number == LARGE { "x".repeat(50_000) } else { String::new() };
        writer.send(&input, 0, &number.to_string(), &filler);
    }
    writer.flush();
    let builder = StreamsBuilder::new();
    builder.stream(&texts(names, "input")).to(&texts(names, "output"));
    let config = at_least_once(names, &folder, Duration::from_millis(100));
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Error], WAIT));
    let error = streams.close(WAIT).unwrap_err().to_string();
    assert!(
        error.contains(&output) || error.to_lowercase().contains("large") || error.contains("exceeds"),
        "{error}"
    );
    let committed = committed_of(kafka, &names.group(), &at(&input, 0)).map_or(0, |it| it.offset);
    assert!(committed <= LARGE as i64, "{committed}");
}

/// Who closes an application while one of its threads waits for that very close, in its exception handler, gets an answer.
fn test_shutdown_wont_deadlock(kafka: &dyn ClientSupplier, names: &Names) {
    let (input, fails, folder) = (names.topic("input"), Fails::default(), tempfile::tempdir().unwrap());
    create_with(kafka, &input, 1, &[]);
    let config = config(names, &folder, "one");
    let mut streams = KafkaStreams::new(failing(names, &fails), config, names.supplier()).unwrap();
    let [called, closed] = [0, 1].map(|_| Arc::new(AtomicBool::new(false)));
    let (calls, waits) = (called.clone(), closed.clone());
    streams.set_uncaught_exception_handler(move |_| {
        calls.store(true, Ordering::SeqCst);
        while !waits.load(Ordering::SeqCst) {
            std::thread::park_timeout(LOOK);
        }
        StreamThreadExceptionResponse::ShutdownClient
    });
    streams.start().unwrap();
    write(kafka, &input, &[("1", "A")]);
    eventually("the exception", || called.load(Ordering::SeqCst).then_some(()));
    let began = Instant::now();
    let answer = streams.close(Duration::from_secs(2)).unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(answer.contains("did not close within 2s"), "{answer}");
    closed.store(true, Ordering::SeqCst);
    assert!(streams.await_state(&[State::NotRunning, State::Error], WAIT));
}
