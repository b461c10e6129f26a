//! What the clients of an instance measure, on the embedded log, in virtual time. Can be caught: an amount counted twice, not at all, or
//! for another topic; a lag that is not the log's; a time in the wrong unit or metric; metrics that outlive their partition.

use std::cell::Cell;

use super::world::{APP, Instance, World};
use crate::config::ProcessingGuarantee;
use crate::metrics::{Metric, MetricValue};

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A ms passes between two looks.
fn ticking() -> u64 {
    LOOKS.set(LOOKS.get() + 1);
    LOOKS.get() * 1_000_000
}

struct Seen(Vec<Metric>);

impl Seen {
    fn of(world: &World, instance: &Instance) -> Self {
        Self(instance.threads[0].shared.registry.snapshot(world.now()))
    }

    /// The metrics of this group, name and set of tags, but for the tag of the client, which ends so.
    fn all(&self, client: &str, group: &str, name: &str, tags: &[(&str, &str)]) -> Vec<&Metric> {
        let matches = |metric: &&Metric| {
            let own =
                metric.name.tag("client-id").is_some_and(|id| id.starts_with(APP) && id.ends_with(client));
            let has = tags.iter().all(|(key, value)| metric.name.tag(key) == Some(value));
            let exact = metric.name.tags.len() == tags.len() + 1;
            metric.name.group == group && metric.name.name == name && own && has && exact
        };
        self.0.iter().filter(matches).collect()
    }

    fn number(&self, client: &str, group: &str, name: &str, tags: &[(&str, &str)]) -> f64 {
        match &self.all(client, group, name, tags)[..] {
            [one] => one.value.number().unwrap(),
            other => panic!("{group}:{name} of {client} {tags:?}: {other:?}"),
        }
    }
}

fn measured(world: &World, guarantee: ProcessingGuarantee) -> Instance {
    let mut config = world.config("one");
    config.processing_guarantee = guarantee;
    world.instance_of(super::world::word_count(), config).unwrap()
}

/// Clients look at a clock of a ms a look.
fn world(partitions: i32) -> World {
    let mut world = World::new(partitions);
    world.client_clock = ticking;
    world
}

/// Until figures were shown after everything was done.
fn settle(world: &World, instance: &mut Instance) {
    world.run_until_drained(&mut [instance]);
    for _ in 0..60 {
        world.turn(&mut [instance]).unwrap();
    }
}

/// Three lines of three words.
fn count_words(world: &World, instance: &mut Instance) {
    ["a b c", "a b c", "a b d"].into_iter().for_each(|line| world.line(line));
    settle(world, instance);
}

const FETCHES: &str = "consumer-fetch-manager-metrics";
const COORDINATOR: &str = "consumer-coordinator-metrics";
const CONSUMER: &str = "consumer-metrics";
const REPARTITION: &str = "wc-count-store-repartition";

#[test]
fn a_consumer_counts_what_it_hands_out() {
    let world = world(1);
    let mut instance = measured(&world, ProcessingGuarantee::ExactlyOnceV2);
    count_words(&world, &mut instance);
    let seen = Seen::of(&world, &instance);
    let fetches = |name: &str, tags: &[(&str, &str)]| seen.number("-1-consumer", FETCHES, name, tags);
    let of = |name: &str| {
        [&[("topic", "lines")][..], &[("topic", REPARTITION)], &[]].map(|tags| fetches(name, tags))
    };
    // Three lines of five bytes; nine words of one byte, which the repartition topic has as keys, and nothing as values but what grouping
    // leaves there: the lines' words.
    assert_eq!(of("records-consumed-total"), [3.0, 9.0, 12.0]);
    let bytes = of("bytes-consumed-total");
    assert_eq!((bytes[0], bytes[2]), (15.0, bytes[0] + bytes[1]));
    let in_log = |topic: &str| {
        let records = world.kafka.read_all(topic, true).unwrap();
        records
            .iter()
            .map(|it| it.key.as_ref().map_or(0, Vec::len) + it.value.as_ref().map_or(0, Vec::len))
            .sum::<usize>()
    };
    assert_eq!(bytes[1], in_log(REPARTITION) as f64);
    assert!(fetches("records-consumed-rate", &[]) > 0.0);
    // Everything is read.
    let lines = [("partition", "0"), ("topic", "lines")];
    let place = ["records-lag", "records-lead", "preferred-read-replica"].map(|name| fetches(name, &lines));
    assert_eq!(place, [0.0, 3.0, -1.0]);
    assert_eq!((fetches("records-lag-max", &[]), fetches("records-lead-min", &[])), (0.0, 0.0));
    assert_eq!(seen.number("-1-consumer", COORDINATOR, "assigned-partitions", &[]), 2.0);
}

#[test]
fn a_lag_is_that_of_the_log() {
    let world = World::new(1);
    let mut config = world.config("one");
    config.buffered_records_per_partition = 1;
    config.client_properties.insert("consumer.max.poll.records".to_owned(), "1".to_owned());
    let mut instance = world.instance_of(super::world::word_count(), config).unwrap();
    settle(&world, &mut instance);
    (0..200).for_each(|_| world.line("a"));
    let lags = || {
        let seen = Seen::of(&world, &instance);
        let tags = [("partition", "0"), ("topic", "lines")];
        ["records-lag", "records-lead"].map(|name| seen.number("-1-consumer", FETCHES, name, &tags))
    };
    assert_eq!(lags(), [0.0, 0.0]);
    let mut most = 0.0;
    for _ in 0..120 {
        world.turn(&mut [&mut instance]).unwrap();
        let seen = Seen::of(&world, &instance);
        let tags = [("partition", "0"), ("topic", "lines")];
        let [lag, lead, max] = ["records-lag", "records-lead", "records-lag-max"]
            .map(|name| seen.number("-1-consumer", FETCHES, name, &tags));
        assert!(lag == 0.0 || lag + lead == 200.0, "{lag} {lead}");
        most = f64::max(most, lag);
        assert_eq!(max, most);
    }
    assert!(most > 0.0 && most < 200.0, "{most}");
}

#[test]
fn a_consumer_measures_its_calls() {
    let world = world(1);
    let mut instance = measured(&world, ProcessingGuarantee::AtLeastOnce);
    count_words(&world, &mut instance);
    let seen = Seen::of(&world, &instance);
    let own = |name: &str| seen.number("-1-consumer", CONSUMER, name, &[]);
    let group = |name: &str| seen.number("-1-consumer", COORDINATOR, name, &[]);
    // Each call took one tick.
    let commits = group("commit-total");
    assert!(commits >= 1.0);
    assert_eq!((group("commit-latency-avg"), group("commit-latency-max")), (1.0, 1.0));
    assert_eq!(own("commit-sync-time-ns-total"), commits * 1e6);
    assert!(own("committed-time-ns-total") >= 1e6);
    assert_eq!((group("rebalance-total"), group("partition-revoked-latency-max").is_nan()), (1.0, true));
    let assigned = group("partition-assigned-latency-avg");
    assert!(assigned >= 1.0 && group("partition-assigned-latency-max") == assigned, "{assigned}");
    let (between, idle) = (own("time-between-poll-avg"), own("poll-idle-ratio-avg"));
    assert!(between >= 2.0 && own("time-between-poll-max") >= between, "{between}");
    assert!(idle > 0.0 && idle < 0.5, "{idle}");
    assert_eq!(
        (own("last-poll-seconds-ago"), own("request-total"), own("connection-count")),
        (0.0, 0.0, 0.0)
    );
    let rebalanced = group("last-rebalance-seconds-ago");
    let later = instance.threads[0].shared.registry.snapshot(world.now() + 7_000);
    let ago = Seen(later).number("-1-consumer", COORDINATOR, "last-rebalance-seconds-ago", &[]);
    assert!(rebalanced >= 0.0 && ago == rebalanced + 7.0, "{rebalanced} {ago}");
}

const PRODUCER: &str = "producer-metrics";

#[test]
fn a_producer_counts_what_it_sends() {
    let world = world(1);
    let mut instance = measured(&world, ProcessingGuarantee::ExactlyOnceV2);
    count_words(&world, &mut instance);
    let seen = Seen::of(&world, &instance);
    let own = |name: &str| seen.number("-1-producer", PRODUCER, name, &[]);
    let of = |name: &str, topic: &str| {
        seen.number("-1-producer", "producer-topic-metrics", name, &[("topic", topic)])
    };
    // Nine words through the repartition topic, four counts, each to the changelog and to the output.
    let topics = ["counts", REPARTITION, "wc-count-store-changelog"];
    assert_eq!(topics.map(|topic| of("record-send-total", topic)), [4.0, 9.0, 4.0]);
    for topic in topics {
        let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let records = world.kafka.read_all(topic, true).unwrap();
        let bytes: usize = records.iter().map(|record| size(&record.key) + size(&record.value)).sum();
        assert_eq!(of("byte-total", topic), bytes as f64, "{topic}");
        assert_eq!((of("record-error-total", topic), of("byte-rate", topic) > 0.0), (0.0, true));
    }
    let bytes: f64 = topics.map(|topic| of("byte-total", topic)).iter().sum();
    assert_eq!((own("record-send-total"), own("record-error-total")), (17.0, 0.0));
    assert!((own("record-size-avg") - bytes / 17.0).abs() < 1e-9);
    assert!(own("batch-size-max") >= own("batch-size-avg") && own("batch-size-avg") >= 9.0);

    // Each call took one tick.
    assert_eq!(own("txn-init-time-ns-total"), 1e6);
    let [begun, offsets, committed] =
        ["begin", "send-offsets", "commit"].map(|call| own(&format!("txn-{call}-time-ns-total")) / 1e6);
    assert!(
        begun >= 2.0 && begun == committed && offsets <= committed && offsets >= 1.0,
        "{begun} {offsets}"
    );
    assert_eq!((own("txn-abort-time-ns-total"), own("flush-time-ns-total")), (0.0, 0.0));
    assert_eq!(own("metadata-wait-time-ns-total"), 3e6);
}

#[test]
fn a_producer_without_transactions_flushes() {
    let world = world(1);
    let mut instance = measured(&world, ProcessingGuarantee::AtLeastOnce);
    count_words(&world, &mut instance);
    let seen = Seen::of(&world, &instance);
    let own = |name: &str| seen.number("-1-producer", PRODUCER, name, &[]);
    assert!(own("flush-time-ns-total") >= 1e6);
    assert_eq!((own("txn-begin-time-ns-total"), own("txn-commit-time-ns-total")), (0.0, 0.0));
}

#[test]
fn clients_say_who_they_are_and_go_with_their_thread() {
    let world = world(1);
    let mut instance = measured(&world, ProcessingGuarantee::ExactlyOnceV2);
    count_words(&world, &mut instance);
    let seen = Seen::of(&world, &instance);
    let version = seen.all("-1-consumer", "app-info", "version", &[]);
    assert_eq!(version[0].value, MetricValue::Text(env!("CARGO_PKG_VERSION").to_owned()));
    assert_eq!(seen.number("-1-consumer", "app-info", "start-time-ms", &[]), 1_000_000.0);
    let id = version[0].name.tag("client-id").unwrap();
    assert_eq!(id, format!("{}-consumer", instance.threads[0].shared.thread_id(0)));
    let admin = seen.all("-admin", "admin-client-metrics", "request-total", &[]);
    assert_eq!((admin.len(), admin[0].value.number()), (1, Some(0.0)));
    let own = seen.0.iter().filter(|metric| metric.name.tag("client-id") == Some(id)).count();
    assert_eq!(seen.number("-1-consumer", "kafka-metrics-count", "count", &[]), own as f64);
}

#[test]
fn partitions_go_where_they_are_read() {
    let world = world(2);
    let mut one = measured(&world, ProcessingGuarantee::ExactlyOnceV2);
    settle(&world, &mut one);
    let partitions = |world: &World, instance: &Instance| {
        let seen = Seen::of(world, instance);
        let of = |partition: &str, topic: &str| {
            seen.all("-1-consumer", FETCHES, "records-lag", &[("partition", partition), ("topic", topic)])
                .len()
        };
        of("0", "lines") + of("1", "lines") + of("0", REPARTITION) + of("1", REPARTITION)
    };
    assert_eq!(partitions(&world, &one), 4);
    let mut two = world.instance("two");
    for _ in 0..3000 {
        world.turn(&mut [&mut one, &mut two]).unwrap();
    }
    let both = [partitions(&world, &one), partitions(&world, &two)];
    assert!(both.iter().sum::<usize>() == 4 && both.iter().all(|own| *own > 0), "{both:?}");
    let registry = one.threads[0].shared.registry.clone();
    one.close();
    assert_eq!(registry.snapshot(0), []);
}
