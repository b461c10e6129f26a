//! `store_metrics.json`: each store of an application, and the thread of its global stores, at DEBUG. Recorded by `StoreMetrics.java` beside
//! this file from Kafka Streams 4.3.1 on a broker; the same topology runs here on the embedded log. A store has just the names that it has
//! there, and each operation that was counted there is counted here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::dsl::{WindowRetention, WindowStoreSupplier};
use kstreams::metrics::{Metric, RecordingLevel};
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use serde_json::Value;

use crate::tally::{Tally, Verdict, equal};
use crate::vectors::{lists, unknown_list};

const IN: Topic<String, String> = Topic::new("app-in");
const IN_2: Topic<String, String> = Topic::new("app-in2");
const OUT: Topic<String, String> = Topic::new("app-out");
const GLOBAL: Topic<String, String> = Topic::new("app-g");
const GLOBAL_2: Topic<String, String> = Topic::new("app-g2");
const HISTORY: Topic<String, String> = Topic::new("app-vt");
const LEFT: Topic<String, String> = Topic::new("app-l");
const RIGHT: Topic<String, String> = Topic::new("app-r");
const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// A join by a foreign key finds subscribers by a scan of a prefix, which Java's does by a range, and puts a subscription without a look at
/// the one before.
const SUBSCRIPTIONS: (&str, [&str; 3]) =
    ("fk-subscription-store", ["commit-rate", "prefix-scan-rate", "put-rate"]);

/// The topology that the file was recorded from, step by step.
fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    let other = builder.stream(&IN_2);
    let store = |name| Materialized::from(&Store::<String, String>::named(name));
    let global = builder.global_table_with(&GLOBAL, Consumed::new(), store("global-disk"));
    let in_memory = builder.global_table_with(&GLOBAL_2, Consumed::new(), store("global-mem").in_memory());
    let found = stream.clone().join_global(&global, |key, _| key.clone(), |value, row| value + row);
    found.left_join_global(&in_memory, |key, _| key.clone(), |value, _| value).to(&OUT);
    let near = JoinWindows::of_time_difference_and_grace(SECOND, Duration::ZERO);
    let joined = StreamJoined::new().store_name("room-disk");
    let left = |_: &String, left: Option<&String>, _: Option<&String>| left.cloned().unwrap_or_default();
    let stream_1 = stream.clone().named("room-disk");
    stream_1.outer_join_stream_with(other.clone(), near, left, joined).for_each(|_, _| {});
    let kept = |name: &str| WindowStoreSupplier::new(name, WindowRetention::of_join(&near)).in_memory();
    let joined = StreamJoined::new().this_store_supplier(kept("m1")).other_store_supplier(kept("m2"));
    let left = |_: &String, left: &String, _: Option<&String>| left.clone();
    let stream_2 = stream.clone().named("room-mem");
    stream_2.left_join_stream_with(other, near, left, joined).for_each(|_, _| {});
    let history = store("versioned").versioned(Duration::from_secs(3600));
    let history = builder.table_with(&HISTORY, Consumed::new(), history);
    let waits = Joined::new().grace(SECOND);
    stream.clone().named("grace").join_table_with(&history, |_, value, _| value, waits).for_each(|_, _| {});
    let (lefts, rights) = (builder.table(&LEFT), builder.table(&RIGHT));
    let pair = |left: &String, right: &String| format!("{left}{right}");
    let joined = TableJoined::new();
    let pointing = |_: &String, value: &String| value.clone();
    let pairs =
        lefts.named("fk").join_foreign_key_with(&rights, pointing, pair, joined, Materialized::unnamed());
    pairs.to_stream().for_each(|_, _| {});
    let counts = stream.group_by_key().count_with(&Store::<String, i64>::named("cnt"));
    let slow = Suppressed::until_time_limit(SECOND, BufferConfig::max_records(10));
    counts.named("sup").suppress(slow).to_stream().for_each(|_, _| {});
    builder.build().unwrap()
}

fn running() -> (KafkaStreams, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let kafka = EmbeddedKafka::new(SystemClock);
    for (topic, partitions) in
        [("in", 1), ("in2", 1), ("out", 1), ("vt", 1), ("l", 1), ("r", 1), ("g", 2), ("g2", 2)]
    {
        kafka.create_topic(&format!("app-{topic}"), partitions).unwrap();
    }
    let produce = |topic: &str, partition, key: Option<&str>, value: &str, time| {
        let (topic, key) = (format!("app-{topic}"), key.map(str::as_bytes));
        kafka.produce(&topic, Some(partition), key, Some(value.as_bytes()), time).unwrap();
    };
    for (topic, number) in
        ["g", "g2", "vt", "r"].into_iter().flat_map(|topic| (0..4).map(move |n| (topic, n)))
    {
        produce(topic, 0, Some(&format!("k{number}")), "v", 0);
    }
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
    config.state_dir = folder.path().to_owned();
    config.commit_interval = Duration::from_millis(200);
    config.metrics.recording_level = RecordingLevel::Debug;
    let mut streams = KafkaStreams::new(topology(), config, Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], PATIENCE), "{:?}", streams.error());
    for number in 0..30 {
        let (key, value, time) = (format!("k{}", number % 4), format!("v{number}"), number * 500);
        produce("in", 0, Some(&key), &value, time);
        if number % 3 == 0 {
            produce("in2", 0, Some(&key), "w", time);
        }
        produce("l", 0, Some(&format!("l{number}")), &key, 0);
        produce("g", 1, Some(&key), "z", number);
        produce("g2", 1, Some(&key), "z", number);
    }
    produce("g", 1, None, "null key", 0);
    (streams, folder)
}

fn says(metric: &Metric) -> bool {
    metric.value.number().is_some_and(|number| number.is_finite() && number != 0.0)
}

fn texts(vector: &Value, field: &str) -> BTreeSet<String> {
    vector[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// One store: its names, and what has been counted. Without RocksDB all are in memory, and those on disk are not there.
fn store(vector: &Value, all: &[Metric]) -> Verdict {
    let text = |field: &str| vector[field].as_str().unwrap();
    if !cfg!(feature = "rocksdb") && text("tag").starts_with("rocksdb-") {
        return Ok(());
    }
    let of_store = |metric: &&Metric| {
        metric.name.group == "stream-state-metrics" && metric.name.tag(text("tag")) == Some(text("store"))
    };
    let ours: Vec<&Metric> = all.iter().filter(of_store).collect();
    let names = |metrics: &[&Metric]| -> BTreeSet<String> {
        metrics.iter().map(|metric| metric.name.name.clone().into_owned()).collect()
    };
    equal("names", texts(vector, "names"), names(&ours))?;
    let global = vector["global_thread"].as_bool().unwrap();
    for metric in &ours {
        equal("task", Some(text("task")), metric.name.tag("task-id"))?;
        let thread = metric.name.tag("thread-id").unwrap();
        equal("is of the global thread", global, thread.ends_with("-GlobalStreamThread"))?;
    }
    let at_work = match text("store") == SUBSCRIPTIONS.0 {
        true => SUBSCRIPTIONS.1.map(str::to_owned).into(),
        false => texts(vector, "at_work"),
    };
    let counted: Vec<&Metric> =
        ours.into_iter().filter(|metric| at_work.contains(&*metric.name.name) && says(metric)).collect();
    equal("counted", at_work, names(&counted))
}

/// One metric of the thread that feeds the global stores.
fn of_global_thread(vector: &Value, all: &[Metric]) -> Verdict {
    let text = |field: &str| vector[field].as_str();
    let same = |metric: &&Metric| {
        Some(&*metric.name.group) == text("group")
            && Some(&*metric.name.name) == text("name")
            && metric.name.tag("task-id") == text("task")
            && metric.name.tag("processor-node-id") == text("node")
            && metric.name.tag("thread-id").is_some_and(|thread| thread.ends_with("-GlobalStreamThread"))
    };
    let ours: Vec<&Metric> = all.iter().filter(same).collect();
    equal("how many", 1, ours.len())?;
    equal("says something", vector["at_work"].as_bool().unwrap(), ours.into_iter().all(says))
}

/// What the thread of the global stores has in these groups is in the file.
fn nothing_more(list: &Value, all: &[Metric]) -> Verdict {
    let name = |text: &Value| text.as_str().unwrap().to_owned();
    let theirs: BTreeSet<(String, String)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| (name(&vector["group"]), name(&vector["name"])))
        .collect();
    let ours = all.iter().filter(|metric| {
        metric.name.tag("task-id") == Some("-1_-1") && metric.name.group != "stream-state-metrics"
    });
    let ours =
        ours.map(|metric| (metric.name.group.clone().into_owned(), metric.name.name.clone().into_owned()));
    equal("groups and names of task -1_-1", theirs, ours.collect())
}

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    let (mut streams, _folder) = running();
    let deadline = Instant::now() + PATIENCE;
    let holds = |all: &[Metric]| {
        let stores = file["stores"].as_array().unwrap().iter().all(|vector| store(vector, all).is_ok());
        let mut thread = file["global_thread"].as_array().unwrap().iter();
        stores && thread.all(|vector| of_global_thread(vector, all).is_ok())
    };
    // Counts come when threads show their figures, and those of commits with the next commit.
    let mut all = streams.named_metrics();
    while !holds(&all) && Instant::now() < deadline {
        std::thread::yield_now();
        all = streams.named_metrics();
    }
    for (name, list) in lists(file) {
        let judge = match name {
            "stores" => store,
            "global_thread" => of_global_thread,
            other => {
                unknown_list(tally, other);
                continue;
            }
        };
        for (index, vector) in list.as_array().unwrap().iter().enumerate() {
            tally.vector(name, index, || judge(vector, &all));
        }
    }
    tally.vector("beyond the file", 0, || nothing_more(&file["global_thread"], &all));
    streams.close(PATIENCE).unwrap();
}
