//! What a task measures: `stream-task-metrics`, and what its sources read and its sinks write.
//!
//! In: what queues and the outbox counted since the last look, a few additions for each record; and, from DEBUG on, laps of the clock for
//! each record. Out: meters, which go to the sensors when the runtime says so.

use std::sync::Arc;

use streams_state::types::Timestamp;

use super::PartitionGroup;
use crate::metrics::catalogue::{node, task};
use crate::metrics::{Meter, TaskMetrics};
use crate::processor::Outbox;

/// Bytes of a record beside key, value, headers and the name of its topic, as Kafka Streams counts them: time, offset, partition.
const RECORD_BYTES: u64 = 20;

/// What a source reads from one topic.
struct Input {
    bytes: Meter,
    records: Meter,
    process: Meter,
    age: Meter,
    record_bytes: u64,
}

/// What a sink writes to one topic.
struct Output {
    bytes: Meter,
    records: Meter,
    age: Meter,
    record_bytes: u64,
}

/// What a task measures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Measures {
    /// All there is.
    All,
    /// What Kafka Streams measures of the task that feeds global stores: records processed and dropped.
    Feed,
    /// Nothing, until its stores are full: a restore counts no records as processed.
    Restore,
}

/// The meters of a task.
pub(super) struct TaskMeters {
    /// What the task measures at the moment.
    of: Measures,
    pub(super) process_latency: Meter,
    pub(super) punctuate: Meter,
    pub(super) lateness: Meter,
    process: Meter,
    enforced: Meter,
    buffered: Meter,
    cached: Meter,
    dropped: Meter,
    ratio: Meter,
    restored: Meter,
    restore_left: Meter,
    inputs: Vec<Input>,
    /// By topic of the outbox; `None` for what no sink writes.
    outputs: Vec<Option<Output>>,
    /// Ns of this turn that went to the task.
    spent_ns: u64,
    dropped_before: u64,
}

impl TaskMeters {
    /// Those of a task whose sources are these: node and topic of each queue.
    pub(super) fn new(metrics: &mut TaskMetrics, of: Measures, sources: &[(Arc<str>, Arc<str>)]) -> Self {
        let mut scope = metrics.scope(task::GROUP, &[]);
        let mut always = |spec| metrics.meter(&mut scope, spec);
        let (process, dropped) = (always(&task::PROCESS_RATE), always(&task::DROPPED_RECORDS));
        let mut meter = |spec| if of == Measures::All { always(spec) } else { Meter::OFF };
        let mut meters = Self {
            of,
            process_latency: meter(&task::PROCESS_LATENCY),
            punctuate: meter(&task::PUNCTUATE),
            lateness: meter(&task::RECORD_LATENESS),
            process,
            enforced: meter(&task::ENFORCED_PROCESSING),
            buffered: meter(&task::ACTIVE_BUFFER_COUNT),
            cached: meter(&task::CACHE_SIZE_BYTES),
            dropped,
            ratio: meter(&task::ACTIVE_PROCESS_RATIO),
            restored: meter(&task::RESTORE),
            restore_left: meter(&task::RESTORE_REMAINING),
            inputs: Vec::new(),
            outputs: Vec::new(),
            spent_ns: 0,
            dropped_before: 0,
        };
        metrics.keep(scope);
        sources.iter().for_each(|(node, topic)| meters.add_input(metrics, node, topic));
        meters
    }

    /// One more source topic.
    pub(super) fn add_input(&mut self, metrics: &mut TaskMetrics, node: &str, topic: &str) {
        let [process] = metrics.node_meters(node, [&node::PROCESS]);
        let (mut age, mut bytes, mut records) = (Meter::OFF, Meter::OFF, Meter::OFF);
        if self.of == Measures::All {
            [age] = metrics.node_meters(node, [&node::E2E_LATENCY]);
            [bytes, records] =
                metrics.topic_meters((node, topic), [&node::BYTES_CONSUMED, &node::RECORDS_CONSUMED]);
        }
        self.inputs.push(Input {
            bytes,
            records,
            process,
            age,
            record_bytes: RECORD_BYTES + topic.len() as u64,
        });
    }

    /// The global stores are full: what comes now counts.
    pub(super) fn restored(&mut self) {
        if self.of == Measures::Restore {
            self.of = Measures::Feed;
        }
    }

    /// Whether a clock is to be asked for each record.
    pub(super) fn times_records(&self) -> bool {
        self.process_latency.records()
    }

    /// Takes what the queues counted, in a run whose wall clock is `now`.
    pub(super) fn take_inputs(&mut self, group: &mut PartitionGroup, now: Timestamp) {
        for (input, queue) in self.inputs.iter().zip(group.queues_mut()) {
            let amount = queue.take_processed();
            if amount.records == 0 || self.of == Measures::Restore {
                continue;
            }
            input.records.merge(amount.count());
            input.process.merge(amount.count());
            input.bytes.add((amount.bytes + amount.records * input.record_bytes) as f64);
            input.age.merge(amount.age(now));
            self.process.merge(amount.count());
        }
        for _ in 0..group.take_enforced() {
            self.enforced.add(1.0);
        }
    }

    /// Counts what is in the outbox, before it is sent.
    pub(super) fn take_outputs(&mut self, metrics: &mut TaskMetrics, outbox: &mut Outbox, now: Timestamp) {
        outbox.count_written();
        for index in self.outputs.len()..outbox.topics.len() {
            let output = outbox.sink_of(index).map(|(node, topic)| {
                let [age] = metrics.node_meters(node, [&node::E2E_LATENCY]);
                let [bytes, records] =
                    metrics.topic_meters((node, topic), [&node::BYTES_PRODUCED, &node::RECORDS_PRODUCED]);
                Output { bytes, records, age, record_bytes: RECORD_BYTES + topic.len() as u64 }
            });
            self.outputs.push(output);
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let Some(output) = output else { continue };
            let amount = outbox.take_written(index);
            if amount.records > 0 {
                output.records.merge(amount.count());
                output.bytes.add((amount.bytes + amount.records * output.record_bytes) as f64);
                output.age.merge(amount.age(now));
            }
        }
    }

    /// `ns` of the turn went to the task.
    pub(super) fn spend(&mut self, ns: u64) {
        self.spent_ns += ns;
    }

    /// The turn took `turn_ns`.
    pub(super) fn end_turn(&mut self, turn_ns: u64) {
        self.ratio.share(std::mem::take(&mut self.spent_ns), turn_ns);
    }

    /// `records` of its changelogs were restored.
    pub(super) fn restore(&mut self, records: u64) {
        self.restored.add(records as f64);
    }

    /// What is there at the moment: records that wait, bytes in caches, records dropped so far, records left to restore.
    pub(super) fn show(&mut self, buffered: usize, cached: u64, dropped: u64, restore_left: u64) {
        self.buffered.set(buffered as f64);
        self.cached.set(cached as f64);
        self.restore_left.set(restore_left as f64);
        let new = dropped - std::mem::replace(&mut self.dropped_before, dropped);
        if new > 0 {
            self.dropped.add(new as f64);
        }
    }
}
