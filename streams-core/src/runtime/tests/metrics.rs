//! What threads and tasks measure, in virtual time, with a clock of a ms for each look at it. Can be caught: a number in the wrong metric,
//! task or unit; something counted twice or not at all; a clock that is asked below its level; metrics that outlive what they belong to.

use std::cell::Cell;

use super::put_record;
use super::world::{Instance, World};
use crate::dsl::{Consumed, Stores, StreamsBuilder};
use crate::error::BoxError;
use crate::metrics::{Metric, MetricValue, RecordingLevel, Sensor};
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::runtime::clock::ThreadClocks;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A ms passes between two looks.
fn ticking() -> u64 {
    LOOKS.set(LOOKS.get() + 1);
    LOOKS.get() * 1_000_000
}

fn measured(world: &World, level: RecordingLevel) -> Instance {
    measured_of(super::world::word_count(), world, level)
}

/// An instance of `topology` that keeps nothing on disk.
pub(super) fn measured_of(topology: Topology, world: &World, level: RecordingLevel) -> Instance {
    let mut config = world.config("one");
    config.metrics.recording_level = level;
    let mut instance = world.instance_with(topology, config, super::world::in_memory()).unwrap();
    for thread in &mut instance.threads {
        thread.sensors.measure_with(ThreadClocks { ns: ticking, cpu_ns: || None });
    }
    instance
}

pub(super) fn all(world: &World, instance: &Instance) -> Vec<Metric> {
    instance.threads[0].shared.registry.snapshot(world.now())
}

/// The metric of this name with these values of tags.
pub(super) fn metric(all: &[Metric], name: &str, tags: &[&str]) -> Metric {
    let has = |metric: &Metric, tag: &str| metric.name.tags.values().any(|value| value == tag);
    let mut found =
        all.iter().filter(|metric| metric.name.name == name && tags.iter().all(|tag| has(metric, tag)));
    // Those of clients have their own tests.
    let mut found = found.by_ref().filter(|metric| metric.name.group.starts_with("stream-"));
    let (one, other) = (found.next(), found.next());
    assert!(other.is_none(), "{one:?} and {other:?}");
    one.unwrap_or_else(|| panic!("no {name} {tags:?} in {all:#?}")).clone()
}

pub(super) fn number(all: &[Metric], name: &str, tags: &[&str]) -> f64 {
    metric(all, name, tags).value.number().unwrap()
}

/// Three lines of three words, and until figures were shown after the last one.
pub(super) fn count_words(world: &World, instance: &mut Instance) {
    ["a b c", "a b c", "a b d"].into_iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [instance]);
    for _ in 0..60 {
        world.turn(&mut [instance]).unwrap();
    }
}

#[test]
fn threads_and_tasks_measure_what_they_do() {
    let world = World::new(1);
    let mut instance = measured(&world, RecordingLevel::Debug);
    count_words(&world, &mut instance);
    let all = all(&world, &instance);
    let number = |name: &str, tags: &[&str]| number(&all, name, tags);
    let thread = &*instance.threads[0].shared.thread_id(0);

    // Three lines, nine words.
    assert_eq!(number("process-total", &["0_0", "KSTREAM-SOURCE-0000000000"]), 3.0);
    assert_eq!(
        (number("records-consumed-total", &["lines"]), number("records-produced-total", &["counts"])),
        (3.0, 4.0)
    );
    // Value, name of the topic, 20 bytes of time, offset and partition.
    assert_eq!(number("bytes-consumed-total", &["lines"]), 3.0 * (5.0 + 5.0 + 20.0));
    // Key, value, name of the topic, and those 20.
    assert_eq!(number("bytes-produced-total", &["counts"]), 4.0 * (1.0 + 8.0 + 6.0 + 20.0));
    let repartition = "wc-count-store-repartition";
    let words = [
        number("records-produced-total", &["0_0", repartition]),
        number("records-consumed-total", &["1_0", repartition]),
    ];
    assert_eq!(words, [9.0; 2]);
    // Lines are one ms apart, and were read together.
    let age = |kind: &str| number(&format!("record-e2e-latency-{kind}"), &["KSTREAM-SOURCE-0000000000"]);
    assert_eq!((age("max") - age("min"), age("max") - age("avg")), (2.0, 1.0));
    assert!(age("min") >= 999_998.0, "{}", age("min"));

    // Each record took one tick, in ns; so did each poll, in ms. The store looks twice when it reads, and twice when it writes.
    assert_eq!(
        [number("process-latency-avg", &["0_0"]), number("process-latency-max", &["1_0"])],
        [1e6, 5e6]
    );
    assert_eq!([number("poll-latency-avg", &[thread]), number("poll-latency-max", &[thread])], [1.0; 2]);
    assert_eq!(number("poll-records-max", &[thread]), 9.0);
    assert_eq!((number("task-created-total", &[thread]), number("task-closed-total", &[thread])), (2.0, 0.0));
    assert!(number("commit-total", &[thread]) >= 2.0);
    let shares = ["poll-ratio", "process-ratio", "commit-ratio"].map(|name| number(name, &[thread]));
    assert!(shares.iter().all(|share| *share > 0.0) && shares.iter().sum::<f64>() < 1.0, "{shares:?}");
    assert_eq!(metric(&all, "state", &[thread]).value, MetricValue::Text("RUNNING".to_owned()));
    assert_eq!(number("thread-state", &[thread]), 4.0);
}

#[test]
fn nothing_is_timed_for_each_record_at_info() {
    let world = World::new(1);
    let mut instance = measured(&world, RecordingLevel::Info);
    count_words(&world, &mut instance);
    let all = all(&world, &instance);
    let latency = metric(&all, "process-latency-avg", &["0_0"]);
    assert_eq!((latency.level, latency.recorded), (Some(RecordingLevel::Debug), false));
    assert!(latency.value.number().unwrap().is_nan());
    assert_eq!(number(&all, "process-total", &["KSTREAM-SOURCE-0000000000"]), 0.0);
    assert_eq!(number(&all, "records-consumed-total", &["lines"]), 3.0);
    // Stores have no clock, and do not look.
    for unseen in ["get-latency-avg", "put-latency-max", "hit-ratio-avg", "record-e2e-latency-max"] {
        let of_store = metric(&all, unseen, &["count-store"]);
        assert!(!of_store.recorded && of_store.value.number().unwrap().is_nan(), "{of_store:?}");
    }
    assert_eq!(
        ["get-rate", "put-rate", "commit-rate"].map(|name| number(&all, name, &["count-store"])),
        [0.0; 3]
    );

    // A look is for a turn, a task or a commit, never for a record: a hundred times the records are about as many looks.
    let looks = |world: &World, instance: &mut Instance, lines: usize| {
        let before = LOOKS.get();
        (0..lines).for_each(|_| world.line("a"));
        for _ in 0..50 {
            world.turn(&mut [&mut *instance]).unwrap();
        }
        LOOKS.get() - before
    };
    let few = looks(&world, &mut instance, 1);
    let many = looks(&world, &mut instance, 100);
    assert!(many < few + 50, "{few} looks for one record, {many} for a hundred");
}

#[test]
fn metrics_end_with_what_they_belong_to() {
    let world = World::new(1);
    let mut instance = measured(&world, RecordingLevel::Info);
    count_words(&world, &mut instance);
    let registry = instance.threads[0].shared.registry.clone();
    assert!(registry.snapshot(0).len() > 60);
    instance.close();
    assert_eq!(registry.snapshot(0), []);
}

const SALES: Topic<String, i64> = Topic::new("lines");

/// Measures what is sold, until it is closed or a sale of 0 comes.
#[derive(Default)]
struct Till(Option<Sensor>);

impl Processor<String, i64, String, i64> for Till {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        let entity = format!("till-{}", context.task_id());
        let tags = [("shop", "north")];
        let mut metrics = context.metrics();
        self.0 =
            Some(metrics.add_latency_rate_total_sensor("shop", &entity, "sale", RecordingLevel::Info, &tags));
        metrics.add_rate_total_sensor("shop", &entity, "refund", RecordingLevel::Trace, &tags);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        match (record.value, &self.0) {
            (0, Some(sensor)) => context.metrics().remove_sensor(sensor),
            (cents, Some(sensor)) => sensor.record(cents as f64, context.current_system_time()),
            (_, None) => {}
        }
        Ok(())
    }
}

#[test]
fn sensors_of_ones_own_are_seen_beside_the_others() {
    let world = World::new(1);
    let builder = StreamsBuilder::new();
    builder.stream(&SALES).process::<_, String, i64>(Till::default, &[]).for_each(|_, _| {});
    let mut instance = world.instance_of(builder.build().unwrap(), world.config("one")).unwrap();
    let sell = |cents: i64| {
        world.kafka.produce("lines", Some(0), Some(b"k"), Some(&cents.to_be_bytes()), 0).unwrap();
    };
    [300, 500].into_iter().for_each(sell);
    world.run_until_drained(&mut [&mut instance]);
    let seen = all(&world, &instance);
    let sales: Vec<&Metric> =
        seen.iter().filter(|metric| metric.name.group == "stream-shop-metrics").collect();
    let names: Vec<&str> = sales.iter().map(|metric| &*metric.name.name).collect();
    assert_eq!(
        names,
        ["refund-rate", "refund-total", "sale-latency-avg", "sale-latency-max", "sale-rate", "sale-total"]
    );
    let tag = |key| sales[2].name.tag(key);
    assert_eq!((tag("shop-id"), tag("shop")), (Some("till-0_0"), Some("north")));
    assert_eq!(tag("thread-id"), Some(&*instance.threads[0].shared.thread_id(0)));
    let [average, greatest, count] =
        ["sale-latency-avg", "sale-latency-max", "sale-total"].map(|name| number(&seen, name, &[]));
    assert_eq!((average, greatest, count), (400.0, 500.0, 2.0));
    assert!(!metric(&seen, "refund-total", &[]).recorded);
    sell(0);
    world.run_until_drained(&mut [&mut instance]);
    let left = all(&world, &instance);
    assert!(left.iter().all(|metric| !metric.name.name.starts_with("sale-")), "{left:?}");
    assert!(left.iter().any(|metric| metric.name.name == "refund-rate"));
}

/// Keeps rows of a global store, and measures them.
#[derive(Default)]
struct Rates(Option<Sensor>);

impl Processor<String, String, (), ()> for Rates {
    fn init(&mut self, context: &mut ProcessorContext<'_, (), ()>) -> Result<(), BoxError> {
        self.0 =
            Some(context.metrics().add_rate_total_sensor("bank", "rates", "row", RecordingLevel::Info, &[]));
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        if let Some(sensor) = &self.0 {
            sensor.record(1.0, context.current_system_time());
        }
        put_record(context, &RATES_STORE, record)
    }
}

const RATES_STORE: Store<String, String> = Store::new("rates");

/// The registry of the task that feeds global stores was one that nobody saw.
#[test]
fn the_task_of_the_global_stores_is_seen_and_its_restore_processes_nothing() {
    let world = World::new(1);
    world.kafka.create_topic("rates", 2).unwrap();
    let builder = StreamsBuilder::new();
    let store = Stores::key_value(&RATES_STORE).in_memory();
    let topic = Topic::<String, String>::new("rates");
    builder.add_global_store(store, &topic, Consumed::new(), Rates::default);
    builder.stream(&SALES).for_each(|_, _| {});
    let rate = |partition, value: &str| {
        world.kafka.produce("rates", Some(partition), Some(b"k"), Some(value.as_bytes()), 0).unwrap();
    };
    (0..2).for_each(|partition| rate(partition, "before"));
    let mut instance = measured_of(builder.build().unwrap(), &world, RecordingLevel::Debug);
    world.run_until_drained(&mut [&mut instance]);
    let shown = |instance: &mut Instance, name, tags: &[&str]| {
        // Longer than the pause between two looks.
        (0..100).for_each(|_| world.turn(&mut [instance]).unwrap());
        number(&all(&world, instance), name, tags)
    };
    let source = ["-1_-1", "KSTREAM-SOURCE-0000000000"];
    assert_eq!(shown(&mut instance, "process-total", &source), 0.0);
    assert_eq!(shown(&mut instance, "row-total", &["rates"]), 2.0);
    (0..2).for_each(|partition| rate(partition, "after"));
    assert_eq!(shown(&mut instance, "process-total", &source), 2.0);
    assert_eq!(shown(&mut instance, "row-total", &["rates"]), 4.0);
    assert_eq!(metric(&all(&world, &instance), "num-keys", &["rates"]).value.number(), Some(1.0));
}
