//! The path of a record inside a task, deserialize to outbox, without any client: batches of records are added,
//! processed and committed.
#![allow(missing_docs, clippy::unwrap_used)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kstreams::prelude::*;
use kstreams::record::RawRecord;
use kstreams::serdes::{Auto, SizedTimeWindowedSerde};
use kstreams::topology::NodeId;
use kstreams::types::{TaskId, Windowed};
use streams_core::task::{StreamTask, TaskOptions};
use streams_state::engine::InMemoryProvider;

/// Records per batch and commit.
const BATCH: usize = 1_000;
/// Different keys.
const KEYS: usize = 10_000;
/// Different keys where windows are counted: a batch is a second of event time, ten records of each.
const WINDOWED_KEYS: usize = 100;

const INPUT: Topic<String, String> = Topic::new("input");
const TABLE: Topic<String, String> = Topic::new("table");
const OUTPUT: Topic<String, String> = Topic::new("output");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const WINDOWS: Topic<Windowed<String>, Option<i64>, SizedTimeWindowedSerde<60_000, Auto>> =
    Topic::new("windows");
const COUNT_STORE: Store<String, i64> = Store::new("count-store");

fn stateless() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream(&INPUT)
        .filter(|_, value| value.len() > 4)
        .map_values(|mut value| {
            value.make_ascii_uppercase();
            value
        })
        .to(&OUTPUT);
    builder.build().unwrap()
}

fn count() -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream(&INPUT).group_by_key().count_with(&COUNT_STORE).to_stream().to(&COUNTS);
    builder.build().unwrap()
}

/// Counts over a minute, by `advance` seconds.
fn hopping(advance: u64, in_panes: bool) -> Topology {
    let seconds = Duration::from_secs;
    let minutes = TimeWindows::of_size_and_grace(seconds(60), seconds(5)).advance_by(seconds(advance));
    let builder = StreamsBuilder::new();
    let windowed = builder.stream(&INPUT).group_by_key().windowed_by(minutes);
    let counts = match in_panes {
        true => windowed.in_panes().count_with(&COUNT_STORE),
        false => windowed.count_with(&COUNT_STORE),
    };
    counts.to_stream().to(&WINDOWS);
    builder.build().unwrap()
}

fn join() -> Topology {
    let builder = StreamsBuilder::new();
    let table = builder.table(&TABLE);
    builder
        .stream(&INPUT)
        .left_join_table(&table, |mut value, row: Option<&String>| {
            value.push_str(row.map_or("null", |row| row));
            value
        })
        .to(&OUTPUT);
    builder.build().unwrap()
}

fn task(topology: &Topology, caching: bool) -> StreamTask {
    let nodes: Vec<NodeId> = (0..topology.nodes.len() as u32).map(NodeId).collect();
    let mut task = StreamTask::new(TaskOptions {
        metrics: kstreams::metrics::MetricsSource::default(),
        task: TaskId { subtopology: 0, partition: 0 },
        application_id: "bench".into(),
        topology,
        nodes: &nodes,
        directory: Default::default(),
        engines: &InMemoryProvider,
        caching,
        memory: streams_state::memory::MemoryBudget::new(256 << 20),
        buffers_max_bytes: 256 << 20,
        max_task_idle: None,
        timestamp_policy: kstreams::config::TimestampPolicy::default(),
        app_configs: Arc::default(),
        global_stores: Vec::new(),
        global_feed: None,
        topic_ids: Default::default(),
        partition_counts: Rc::new(|_| Ok(Some(4))),
        deserialization_handler: Arc::new(LogAndFail),
        processing_handler: Arc::new(LogAndFail),
        record_max_bytes: None,
        production_handler: Arc::new(LogAndFail),
    })
    .unwrap();
    task.init(0).unwrap();
    task
}

/// Feeds batches to a task, each with a commit.
struct Feed {
    task: StreamTask,
    keys: Vec<String>,
    value: Vec<u8>,
    offset: usize,
}

impl Feed {
    fn new(topology: &Topology, caching: bool, keys: usize) -> Self {
        let keys = (0..keys).map(|number| format!("key-{number}")).collect();
        Self { task: task(topology, caching), keys, value: vec![b'v'; 97], offset: 0 }
    }

    fn batch(&mut self, topic: &str) -> usize {
        let slot = self.task.slot(topic).unwrap();
        for offset in self.offset..self.offset + BATCH {
            // 7919 is prime: visits the keys in no order.
            let key = self.keys[offset * 7919 % self.keys.len()].as_bytes();
            let (offset, timestamp, headers) = (offset as i64, offset as i64, Headers::EMPTY);
            let raw = RawRecord { offset, timestamp, key: Some(key), value: Some(&self.value), headers };
            self.task.add_record(slot, raw);
        }
        self.offset += BATCH;
        assert_eq!(self.task.process(BATCH).unwrap(), BATCH);
        self.task.prepare_commit(usize::MAX).unwrap();
        let offsets = self.task.committable_offsets();
        let end = self.offset as i64;
        self.task.post_commit(&offsets, &mut |_, _| Some(end));
        let produced = self.task.outbox().records.len();
        self.task.outbox().clear();
        produced
    }
}

fn record_path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record path");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, topology, caching) in [
        ("filter, map values", stateless(), true),
        ("count, every update forwarded", count(), false),
        ("count, under the record cache", count(), true),
        ("left join with a table", join(), true),
    ] {
        let mut feed = Feed::new(&topology, caching, KEYS);
        if feed.task.slot(TABLE.name()).is_some() {
            for _ in 0..KEYS / BATCH {
                feed.batch(TABLE.name());
            }
        }
        group.bench_function(name, |bencher| bencher.iter(|| feed.batch(INPUT.name())));
    }
    group.finish();
}

/// Each update changes 6 windows, or 60; panes are one row of the store and of its changelog.
fn hopping_windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a minute");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (advance, in_panes, caching) in [
        (10, false, true),
        (10, true, true),
        (1, false, true),
        (1, true, true),
        (10, false, false),
        (10, true, false),
    ] {
        let rows = if in_panes { "panes" } else { "windows" };
        let cache = if caching { "under the record cache" } else { "every update forwarded" };
        let mut feed = Feed::new(&hopping(advance, in_panes), caching, WINDOWED_KEYS);
        // All windows are there.
        for _ in 0..130 {
            feed.batch(INPUT.name());
        }
        let name = format!("by {advance} s, {rows}, {cache}");
        group.bench_function(name, |bencher| bencher.iter(|| feed.batch(INPUT.name())));
    }
    group.finish();
}

criterion_group!(benches, record_path, hopping_windows);
criterion_main!(benches);
