//! Kafka Streams' `EosIntegrationTest` as whole applications, under its names. The same scenarios in virtual time, step by step, are in
//! `streams-core/src/runtime/tests/ported`, which also lists all that were ported, and why some were not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kstreams::client::{ClientSupplier, OffsetSpec};
use kstreams::error::BoxError;
use kstreams::prelude::*;

use crate::harness::cases;
use crate::support::*;

cases![
    should_be_able_to_run_with_eos_enabled,
    should_commit_correct_offset_if_input_topic_is_transactional,
    should_be_able_to_restart_after_close,
    should_be_able_to_commit_to_multiple_partitions,
    should_be_able_to_commit_multiple_partition_offsets,
    should_be_able_to_run_with_two_subtopologies,
    should_be_able_to_run_with_two_subtopologies_and_multiple_partitions,
    should_be_able_to_perform_multiple_transactions,
    should_not_violate_eos_if_one_task_fails,
    should_not_violate_eos_if_one_task_fails_with_state,
    should_not_violate_eos_if_one_task_gets_fenced_using_isolated_app_instances,
];

/// Settings of Kafka Streams' tests: no record cache, quick to see what changes.
pub(crate) fn config(names: &Names, folder: &tempfile::TempDir, instance: &str) -> StreamsConfig {
    let mut config = StreamsConfig::new(names.group(), ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().join(instance);
    config.statestore_cache_max_bytes = 0;
    config.client_properties.insert("metadata.max.age.ms".to_owned(), "500".to_owned());
    config
}

pub(crate) fn texts(names: &Names, suffix: &str) -> Topic<String, String> {
    Topic::named(names.topic(suffix))
}

/// Values `range` for each of `keys`; each key has a partition of its own, as far as there are some.
fn write(
    kafka: &dyn ClientSupplier,
    topic: &str,
    partitions: i32,
    keys: i32,
    range: std::ops::Range<i64>,
    id: Option<&str>,
) {
    let mut writer = id.map_or_else(|| Writer::plain(kafka), |id| Writer::transactional(kafka, id));
    id.iter().for_each(|_| writer.begin());
    for key in 0..keys {
        range
            .clone()
            .for_each(|value| writer.send(topic, key % partitions, &key.to_string(), &value.to_string()));
    }
    match id {
        Some(_) => writer.commit(),
        None => writer.flush(),
    }
}

/// The committed values of each key, in their order.
pub(crate) fn per_key(
    kafka: &dyn ClientSupplier,
    topic: &str,
    partitions: i32,
) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in 0..partitions {
        for record in read_from(kafka, topic, partition, 0, Committed) {
            let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
            found.entry(key).or_default().push(record.text());
        }
    }
    found
}

/// Waits until `count` records are committed; then there are these, and no more.
#[track_caller]
pub(crate) fn await_per_key(
    kafka: &dyn ClientSupplier,
    (topic, partitions): (&str, i32),
    expected: &BTreeMap<String, Vec<String>>,
) {
    let count = expected.values().map(Vec::len).sum::<usize>();
    let enough = || per_key(kafka, topic, partitions).values().map(Vec::len).sum::<usize>() >= count;
    eventually("the committed records", || enough().then_some(()));
    assert_eq!(per_key(kafka, topic, partitions), *expected);
}

/// The values `0..to` for each of `keys`, or their sums.
fn expected(keys: i32, to: i64, sums: bool) -> BTreeMap<String, Vec<String>> {
    let value = |value: i64| if sums { value * (value + 1) / 2 } else { value };
    (0..keys).map(|key| (key.to_string(), (0..to).map(|it| value(it).to_string()).collect())).collect()
}

struct Copies {
    restarts: i64,
    input: i32,
    through: Option<i32>,
    output: i32,
    transactional: bool,
}

const COPIES: Copies = Copies { restarts: 1, input: 1, through: None, output: 1, transactional: false };

/// 10 records of two keys each time, polled one by one: all of them in order, and offsets committed behind the last marker.
fn run_simple_copy(kafka: &dyn ClientSupplier, names: &Names, copies: &Copies) {
    let [input, through, output] = ["input", "through", "output"].map(|topic| names.topic(topic));
    create_with(kafka, &input, copies.input, &[]);
    create_with(kafka, &through, copies.through.unwrap_or(1), &[]);
    create_with(kafka, &output, copies.output, &[]);
    let folder = tempfile::tempdir().unwrap();
    for restart in 0..copies.restarts {
        let id = copies.transactional.then(|| names.transactional_id("input"));
        write(kafka, &input, copies.input, 2, restart * 10..restart * 10 + 10, id.as_deref());
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&texts(names, "input"));
        match copies.through {
            None => stream.to(&texts(names, "output")),
            Some(_) => {
                stream.to(&texts(names, "through"));
                builder.stream(&texts(names, "through")).to(&texts(names, "output"));
            }
        }
        let mut config = config(names, &folder, "one");
        config.client_properties.insert("consumer.max.poll.records".to_owned(), "1".to_owned());
        let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
        streams.start().unwrap();
        await_per_key(kafka, (&output, copies.output), &expected(2, restart * 10 + 10, false));
        streams.close(WAIT).unwrap();
    }
    for partition in 0..copies.input {
        let end = end(kafka, &input, partition, OffsetSpec::End);
        let committed = committed_of(kafka, &names.group(), &at(&input, partition)).map(|it| it.offset);
        assert_eq!(committed, Some(end), "{input}-{partition}");
        assert_eq!(end % 10 == 1, copies.transactional, "the end is a marker");
    }
}

fn should_be_able_to_run_with_eos_enabled(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &COPIES);
}

fn should_commit_correct_offset_if_input_topic_is_transactional(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &Copies { transactional: true, ..COPIES });
}

fn should_be_able_to_restart_after_close(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &Copies { restarts: 2, ..COPIES });
}

fn should_be_able_to_commit_to_multiple_partitions(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &Copies { output: 2, ..COPIES });
}

fn should_be_able_to_commit_multiple_partition_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &Copies { input: 2, ..COPIES });
}

fn should_be_able_to_run_with_two_subtopologies(kafka: &dyn ClientSupplier, names: &Names) {
    run_simple_copy(kafka, names, &Copies { through: Some(1), ..COPIES });
}

fn should_be_able_to_run_with_two_subtopologies_and_multiple_partitions(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    run_simple_copy(kafka, names, &Copies { input: 2, through: Some(2), output: 2, ..COPIES });
}

fn should_be_able_to_perform_multiple_transactions(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, output] = ["input", "output"].map(|topic| names.topic(topic));
    [&input, &output].into_iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let builder = StreamsBuilder::new();
    builder.stream(&texts(names, "input")).to(&texts(names, "output"));
    let folder = tempfile::tempdir().unwrap();
    let mut streams =
        KafkaStreams::new(builder.build().unwrap(), config(names, &folder, "one"), names.supplier()).unwrap();
    streams.start().unwrap();
    for (from, to) in [(0, 5), (5, 8)] {
        write(kafka, &input, 1, 1, from..to, None);
        await_per_key(kafka, (&output, 1), &expected(1, to, false));
    }
    streams.close(WAIT).unwrap();
}

/// What the processor does beside copying, or adding up. It asks for a commit at each tenth value.
#[derive(Clone)]
struct Trouble {
    sums: Option<Arc<Store<String, i64>>>,
    /// Fails at a value from 12 on, once.
    fails: Arc<AtomicBool>,
    /// Stalls there, once, until it is told to go on.
    stalls: Arc<AtomicBool>,
    stalled: Arc<AtomicUsize>,
    goes_on: Arc<AtomicBool>,
    instance: usize,
}

impl Trouble {
    fn new(sums: bool) -> Self {
        let (fails, stalls, goes_on) = Default::default();
        let sums = sums.then(|| Arc::new(Store::new("store")));
        Self { sums, fails, stalls, stalled: Arc::default(), goes_on, instance: 0 }
    }
}

impl Processor<String, String, String, String> for Trouble {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let mut value: i64 = record.value.parse()?;
        if value > 12 && self.stalls.swap(false, Ordering::SeqCst) {
            self.stalled.store(self.instance, Ordering::SeqCst);
            while !self.goes_on.load(Ordering::SeqCst) {
                std::thread::park_timeout(LOOK);
            }
        }
        if (value + 1) % 10 == 0 {
            context.commit();
        }
        let late = value >= 12;
        if let Some(store) = &self.sums {
            let store = context.store(store)?;
            value += store.borrow_mut().get(&record.key)?.map_or(0, |(sum, _)| *sum);
            store.borrow_mut().put(&record.key, Some(value), record.timestamp, context.record_context())?;
        }
        if late && self.fails.swap(false, Ordering::SeqCst) {
            return Err("Injected test exception.".into());
        }
        Ok(context.forward(record.with_value(value.to_string()))?)
    }
}

fn troubled(names: &Names, trouble: &Trouble) -> Topology {
    let (builder, trouble) = (StreamsBuilder::new(), trouble.clone());
    let stores = trouble.sums.as_deref().map(Stores::key_value).into_iter().collect();
    let stream = builder.stream(&texts(names, "input"));
    stream.process_with_stores(move || trouble.clone(), stores).to(&texts(names, "output"));
    builder.build().unwrap()
}

/// Two partitions, two threads; 20 records are committed when a task fails, and 40 in the end.
fn one_task_fails(kafka: &dyn ClientSupplier, names: &Names, sums: bool) {
    let [input, output] = ["input", "output"].map(|topic| names.topic(topic));
    create_with(kafka, &input, 2, &[]);
    create_with(kafka, &output, 1, &[]);
    let (folder, trouble) = (tempfile::tempdir().unwrap(), Trouble::new(sums));
    let mut config = config(names, &folder, "one");
    config.num_stream_threads = 2;
    let mut streams = KafkaStreams::new(troubled(names, &trouble), config, names.supplier()).unwrap();
    let failures = Arc::new(AtomicUsize::new(0));
    let seen = failures.clone();
    streams.set_uncaught_exception_handler(move |error| {
        assert!(error.to_string().contains("Injected test exception."), "{error}");
        seen.fetch_add(1, Ordering::SeqCst);
        StreamThreadExceptionResponse::ReplaceThread
    });
    streams.start().unwrap();
    write(kafka, &input, 2, 2, 0..10, None);
    await_per_key(kafka, (&output, 1), &expected(2, 10, sums));
    trouble.fails.store(true, Ordering::SeqCst);
    write(kafka, &input, 2, 2, 10..15, None);
    eventually("the exception", || (failures.load(Ordering::SeqCst) == 1).then_some(()));
    write(kafka, &input, 2, 2, 15..20, None);
    await_per_key(kafka, (&output, 1), &expected(2, 20, sums));
    streams.close(WAIT).unwrap();
    assert_eq!(per_key(kafka, &output, 1), expected(2, 20, sums));
    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

fn should_not_violate_eos_if_one_task_fails(kafka: &dyn ClientSupplier, names: &Names) {
    one_task_fails(kafka, names, false);
}

fn should_not_violate_eos_if_one_task_fails_with_state(kafka: &dyn ClientSupplier, names: &Names) {
    one_task_fails(kafka, names, true);
}

/// One of two instances stalls in a record until the group has given its partition away; then it goes on, is fenced, and comes back.
fn should_not_violate_eos_if_one_task_gets_fenced_using_isolated_app_instances(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    let [input, output] = ["input", "output"].map(|topic| names.topic(topic));
    create_with(kafka, &input, 2, &[]);
    create_with(kafka, &output, 1, &[]);
    let (folder, trouble) = (tempfile::tempdir().unwrap(), Trouble::new(false));
    let start = |instance: usize| {
        let mut config = config(names, &folder, &format!("appDir{instance}"));
        for (key, value) in [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "7000")] {
            config.client_properties.insert(format!("consumer.{key}"), value.to_owned());
        }
        let topology = troubled(names, &Trouble { instance, ..trouble.clone() });
        let mut streams = KafkaStreams::new(topology, config, names.supplier()).unwrap();
        streams.start().unwrap();
        streams
    };
    let mut instances = [start(1), start(2)];
    let tasks = |instances: &[KafkaStreams; 2]| [0, 1].map(|it| instances[it].metrics().tasks);
    let shared = |instances: &_| eventually("a task each", || (tasks(instances) == [1, 1]).then_some(()));
    shared(&instances);
    write(kafka, &input, 2, 2, 0..10, None);
    await_per_key(kafka, (&output, 1), &expected(2, 10, false));
    trouble.stalls.store(true, Ordering::SeqCst);
    write(kafka, &input, 2, 2, 10..20, None);
    let stalled = || Some(trouble.stalled.load(Ordering::SeqCst)).filter(|instance| *instance > 0);
    let remaining = 2 - eventually("the stall", stalled);
    eventually("the other to have both", || (tasks(&instances)[remaining] == 2).then_some(()));
    await_per_key(kafka, (&output, 1), &expected(2, 20, false));
    trouble.goes_on.store(true, Ordering::SeqCst);
    shared(&instances);
    write(kafka, &input, 2, 2, 20..30, None);
    await_per_key(kafka, (&output, 1), &expected(2, 30, false));
    instances.iter_mut().for_each(|instance| instance.close(WAIT).unwrap());
}
