//! `metrics.json`: the metrics of a small running application, the one that the file was recorded from, on the embedded log. Every group,
//! name and set of tag keys is there with its level and its words, and no other one; and what is recorded says something.
//!
//! What Kafka Streams has and this library has not is on one of the lists here, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::metrics::{Metric, MetricValue, RecordingLevel};
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use serde_json::Value;

use crate::client_metrics::{self, is_of_client};
use crate::tally::{Difference, Tally, Verdict, equal};
use crate::vectors::{lists, unknown_list};

const IN: Topic<String, String> = Topic::new("in");
const IN_2: Topic<String, String> = Topic::new("in2");
const TABLE: Topic<String, String> = Topic::new("tab");
const OUT: Topic<String, String> = Topic::new("out");
const TABLE_STORE: Store<String, String> = Store::new("table-store");
const WINDOW_STORE: Store<String, i64> = Store::new("win-store");
const SESSION_STORE: Store<String, i64> = Store::new("sess-store");
const EMIT_STORE: Store<String, i64> = Store::new("emit-store");
const MEMORY_STORE: Store<String, i64> = Store::new("mem-store");
const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

const STATE: &str = "stream-state-metrics";

/// What this version does not measure: without RocksDB what it says of itself.
fn is_missing((group, _, tags): &Key) -> bool {
    let on_disk = tags.iter().any(|tag| tag.starts_with("rocksdb-"));
    group == STATE && on_disk && !cfg!(feature = "rocksdb")
}

/// The topology that the file was recorded from, step by step.
fn topology() -> Topology {
    let windows = || TimeWindows::of_size_and_grace(SECOND, Duration::ZERO);
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    let other = builder.stream(&IN_2);
    let table = builder.table_with(&TABLE, Consumed::new(), Materialized::from(&TABLE_STORE));
    let same = stream.clone().filter(|_, _| true).map_values(|value| value).peek(|_, _| {});
    same.join_table(&table, |value, _| value).to(&OUT);
    let counts = stream.clone().group_by_key().windowed_by(windows()).count_with(&WINDOW_STORE);
    let closes = Suppressed::until_window_closes(BufferConfig::unbounded());
    let finals = counts.suppress(closes).to_stream_keyed(|windowed, _| windowed.key.clone());
    finals.map_values(|count| format!("{count:?}")).to(&OUT);
    let gap = SessionWindows::of_inactivity_gap_with_no_grace(SECOND);
    stream.clone().group_by_key().windowed_by(gap).count_with(&SESSION_STORE);
    let closed = stream.clone().group_by_key().windowed_by(windows());
    closed.emit_strategy(EmitStrategy::OnWindowClose).count_with(&EMIT_STORE);
    let by_value = stream.clone().select_key(|_, value| value.clone()).group_by_key();
    by_value.count_with(Materialized::from(&MEMORY_STORE).in_memory());
    let near = JoinWindows::of_time_difference_and_grace(SECOND, Duration::ZERO);
    stream.left_join_stream(other, near, |value, _| value.clone()).for_each(|_, _| {});
    builder.build().unwrap()
}

/// Group, name and keys of the tags.
pub(crate) type Key = (String, String, Vec<String>);

fn key(metric: &Metric) -> Key {
    let tags = metric.name.tags.keys().map(|tag| tag.clone().into_owned()).collect();
    (metric.name.group.clone().into_owned(), metric.name.name.clone().into_owned(), tags)
}

/// What the application shows after it has processed everything and closed windows, at this level. Several of a key: of several tasks,
/// nodes, topics.
fn recorded(level: RecordingLevel) -> BTreeMap<Key, Vec<Metric>> {
    let folder = tempfile::tempdir().unwrap();
    let kafka = EmbeddedKafka::new(SystemClock);
    for topic in ["in", "in2", "tab", "out"] {
        kafka.create_topic(topic, 1).unwrap();
    }
    let mut config = StreamsConfig::new("golden", ProcessingGuarantee::AtLeastOnce);
    config.state_dir = folder.path().to_owned();
    config.commit_interval = Duration::from_millis(200);
    config.metrics.recording_level = level;
    let produce = |topic: &str, value: &str, time| {
        kafka.produce(topic, Some(0), Some(b"k"), Some(value.as_bytes()), time).unwrap();
    };
    produce("tab", "v", 0);
    let mut streams = KafkaStreams::new(topology(), config, Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], PATIENCE), "{:?}", streams.error());
    for number in 0..30 {
        produce("in", &format!("v{number}"), number * 500);
        produce("in2", "w", number * 500);
    }
    await_figures(&streams);
    let all = streams.named_metrics();
    streams.close(PATIENCE).unwrap();
    let mut by_key: BTreeMap<Key, Vec<Metric>> = BTreeMap::new();
    for metric in all {
        by_key.entry(key(&metric)).or_default().push(metric);
    }
    by_key
}

/// Waits until what is shown is of all records. A thread shows its own figures, and then those of its tasks, twice a second: who looks
/// between the two sees the sums without what they came of. So all of it is there when a thread that has processed everything shows its
/// own figures once more.
fn await_figures(streams: &KafkaStreams) {
    let deadline = Instant::now() + PATIENCE;
    let mut polls_then = None;
    loop {
        let all = streams.named_metrics();
        let sum = |name: &str| {
            let metrics = all.iter().filter(|metric| metric.name.name == name);
            metrics.filter_map(|metric| metric.value.number()).sum::<f64>()
        };
        // 1 of the table, 60 of the inputs, 30 of the repartition topic.
        let processed = sum("records-consumed-total") >= 91.0 && sum("process-total") >= 91.0;
        let polls = sum("poll-total");
        match polls_then {
            None if processed && sum("commit-total") >= 1.0 => polls_then = Some(polls),
            Some(then) if polls > then => return,
            Some(_) | None => {}
        }
        assert!(Instant::now() < deadline, "not everything was processed: {all:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    let levels = [RecordingLevel::Info, RecordingLevel::Debug];
    let ours = levels.map(|level| (level, recorded(level)));
    for (name, list) in lists(file) {
        match name {
            "streams_metrics" => streams_metrics(tally, list, &ours),
            "client_metrics" => client_metrics::judge(tally, list, &ours),
            "source" => {}
            other => unknown_list(tally, other),
        }
    }
}

fn streams_metrics(
    tally: &mut Tally,
    list: &Value,
    ours: &[(RecordingLevel, BTreeMap<Key, Vec<Metric>>); 2],
) {
    let mut theirs = BTreeSet::new();
    for (index, vector) in list.as_array().unwrap().iter().enumerate() {
        let text = |field: &str| vector[field].as_str().unwrap().to_owned();
        let tags = vector["tag_keys"].as_array().unwrap();
        let tags = tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        let key: Key = (text("group"), text("name"), tags);
        theirs.insert(key.clone());
        if is_missing(&key) {
            continue;
        }
        tally.vector("streams_metrics", index, || {
            ours.iter().try_for_each(|(level, ours)| one(vector, &key, *level, ours))
        });
    }
    tally.vector("beyond the file", 0, || {
        let all = ours.iter().flat_map(|(_, ours)| ours.keys());
        // Without RocksDB all stores are in memory.
        let elsewhere = |key: &Key| key.0 == STATE && !cfg!(feature = "rocksdb");
        let all = all.filter(|key| !is_of_client(key));
        let more: BTreeSet<&Key> = all.filter(|key| !theirs.contains(key) && !elsewhere(key)).collect();
        equal("metrics that Kafka Streams has not", BTreeSet::new(), more)
    });
}

/// One vector against what runs at `level`.
fn one(vector: &Value, key: &Key, level: RecordingLevel, ours: &BTreeMap<Key, Vec<Metric>>) -> Verdict {
    let Some(metrics) = ours.get(key) else {
        let expected = format!("{key:?}");
        return Err(Difference { what: format!("at {level}"), expected, got: "nothing".to_owned() });
    };
    let from: Option<RecordingLevel> =
        vector["records_from_level"].as_str().map(|text| text.parse().unwrap());
    let mut names = BTreeSet::new();
    for metric in metrics {
        equal("level", from, metric.level)?;
        equal("recorded", from.is_none_or(|from| from <= level), metric.recorded)?;
        equal("description", vector["description"].as_str().unwrap(), &metric.name.description)?;
        equal("once", true, names.insert(&metric.name))?;
        if !metric.recorded {
            let unseen = match metric.value {
                MetricValue::Number(number) => number.is_nan() || number == 0.0,
                MetricValue::Text(_) => false,
            };
            equal("a value that says nothing", true, unseen)?;
        }
    }
    let says = |metric: &Metric| match &metric.value {
        MetricValue::Number(number) => number.is_finite() && *number != 0.0,
        MetricValue::Text(text) => !text.is_empty(),
    };
    let silent = if key.0 == STATE { !FULL.contains(&&*key.1) } else { SILENT.contains(&&*key.1) };
    if from.is_none_or(|from| from <= level) && !silent {
        equal(&format!("{key:?} says something at {level}"), true, metrics.iter().any(says))?;
    }
    Ok(())
}

/// What is more than 0 of stores that nobody has flushed, deleted from, scanned or restored.
const FULL: [&str; 13] = [
    "num-keys",
    "block-cache-capacity",
    "suppression-buffer-count-max",
    "suppression-buffer-size-max",
    "get-latency-avg",
    "get-latency-max",
    "get-rate",
    "put-latency-avg",
    "put-latency-max",
    "put-rate",
    "fetch-latency-max",
    "fetch-rate",
    "remove-rate",
];

/// What is 0 in this run, or always: nothing failed, dropped, was punctuated, restored, closed, waits or is late; there are no standby tasks,
/// nothing is paused, and engines keep their checkpoints with each row. `recording-level` is 0 at INFO.
const SILENT: [&str; 29] = [
    "failed-stream-threads",
    "recording-level",
    "punctuate-latency-avg",
    "punctuate-latency-max",
    "punctuate-rate",
    "punctuate-total",
    "punctuate-ratio",
    "task-closed-rate",
    "task-closed-total",
    "dropped-records-rate",
    "dropped-records-total",
    "active-buffer-count",
    "cache-size-bytes-total",
    "enforced-processing-rate",
    "enforced-processing-total",
    "record-lateness-avg",
    "record-lateness-max",
    "restore-rate",
    "restore-total",
    "restore-remaining-records-total",
    "active-restoring-tasks",
    "active-paused-tasks",
    "standby-paused-tasks",
    "standby-updating-tasks",
    "active-restore-ratio",
    "standby-update-ratio",
    "checkpoint-ratio",
    "restore-call-rate",
    "restore-records-rate",
];
