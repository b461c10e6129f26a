//! What every node of a task shares while a record passes: time, record context, outbox, counters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::types::{Headers, NO_TIMESTAMP, RecordContext, SourceBytes, TaskId, Timestamp};

use super::{
    Attempt, DropReason, Drops, GlobalStore, HandledFailures, OutTopic, Outbox, ProcessorMetadata,
    Punctuations,
};
use crate::config::{METADATA_MAX_AGE_MS, TimestampPolicy};
use crate::error::BoxError;
use crate::handler::{ExceptionHandler, LogAndFail};
use crate::metrics::{MetricsSource, TaskMetrics};

/// Says how many partitions a topic has, `None` if there is no such topic; asked for topics that a task writes. An error if
/// the cluster does not answer.
pub type PartitionCounts = Rc<dyn Fn(&str) -> Result<Option<i32>, BoxError>>;

/// How long a count that could not be looked up anew is believed before the cluster is asked again. A look-up may take as
/// long as its deadline, and records wait for it.
const LOOK_AGAIN_MS: Timestamp = 30_000;

/// The shared part of a task, handed from node to node with each record.
pub struct TaskContext {
    /// The task.
    pub task: TaskId,
    /// `application.id`: the prefix of internal topics.
    pub application_id: Arc<str>,
    /// The task's directory below `state.dir`; empty in tests that have none.
    pub state_dir: PathBuf,
    /// Source topics of the task, by [`RecordContext::source`].
    pub topics: Vec<Arc<str>>,
    /// Where the record in work came from.
    pub record: RecordContext,
    /// Largest timestamp seen by the task; -1 before the first record.
    pub stream_time: Timestamp,
    /// Wall clock, as the runtime last said.
    pub wall_time: Timestamp,
    /// What is to be sent.
    pub outbox: Outbox,
    /// Schedules.
    pub punctuations: Punctuations,
    /// Slot of the lifecycle node in work; schedules made now belong to it.
    pub node_slot: usize,
    /// Kept by operators beside committed offsets.
    pub processor_metadata: ProcessorMetadata,
    /// What the task and its nodes measure.
    pub metrics: TaskMetrics,
    /// Records dropped so far.
    pub drops: Drops,
    /// Failures that handlers were asked about, since they were last taken.
    pub handled: HandledFailures,
    /// A processor asked for a commit.
    pub commit_requested: bool,
    /// `default.timestamp.extractor`: for sources that have none of their own.
    pub timestamp_policy: TimestampPolicy,
    /// Settings of the application's own.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// Global stores, to read.
    pub globals: Vec<GlobalStore>,
    /// This task feeds the global stores; its processors schedule nothing.
    pub feeds_globals: bool,
    /// This task feeds the global stores: the partition of each of its sources; empty for all other tasks.
    pub global_partitions: Vec<i32>,
    /// Partition counts of topics written: may ask the cluster.
    pub partition_counts: PartitionCounts,
    /// What `partition_counts` said by topic handle, and until when that is believed.
    known_counts: Vec<Option<(i32, Timestamp)>>,
    /// The record in work is tried again if it fails.
    pub(super) attempt: Option<Attempt>,
    /// A node wants to know key and value of source records, whatever handlers want.
    pub(crate) keeps_source: bool,
    /// `processing.exception.handler`.
    pub processing_handler: Arc<dyn ExceptionHandler>,
    /// `production.exception.handler`.
    pub production_handler: Arc<dyn ExceptionHandler>,
    /// `deserialization.exception.handler`.
    pub deserialization_handler: Arc<dyn ExceptionHandler>,
}

impl TaskContext {
    /// A context before the first record.
    pub fn new(task: TaskId, application_id: Arc<str>, partition_counts: PartitionCounts) -> Self {
        Self {
            task,
            application_id,
            state_dir: PathBuf::new(),
            topics: Vec::new(),
            record: RecordContext::none(NO_TIMESTAMP),
            stream_time: NO_TIMESTAMP,
            wall_time: 0,
            outbox: Outbox::default(),
            punctuations: Punctuations::default(),
            node_slot: 0,
            metrics: TaskMetrics::new(MetricsSource::default(), task.to_string()),
            drops: Drops::default(),
            handled: HandledFailures::default(),
            processor_metadata: ProcessorMetadata::default(),
            commit_requested: false,
            timestamp_policy: TimestampPolicy::default(),
            app_configs: Arc::default(),
            globals: Vec::new(),
            feeds_globals: false,
            global_partitions: Vec::new(),
            partition_counts,
            known_counts: Vec::new(),
            attempt: None,
            keeps_source: false,
            processing_handler: Arc::new(LogAndFail),
            production_handler: Arc::new(LogAndFail),
            deserialization_handler: Arc::new(LogAndFail),
        }
    }

    /// Number of partitions of a topic that is written; `None` if it does not exist. Asked for each
    /// record, so the answer is remembered for as long as clients keep theirs by default, and, as by them, for longer
    /// while the cluster cannot be asked.
    ///
    /// # Errors
    /// The count is not known yet, and the cluster does not answer.
    pub fn partition_count(&mut self, topic: OutTopic) -> Result<Option<i32>, BoxError> {
        let (index, now) = (topic.0 as usize, self.wall_time);
        let known = self.known_counts.get(index).copied().flatten();
        if let Some((count, until)) = known
            && now < until
        {
            return Ok(Some(count));
        }
        let Some(name) = self.outbox.topics.get(index) else { return Ok(None) };
        let found = match ((self.partition_counts)(name), known) {
            (Ok(count), _) => count.map(|count| (count, now.saturating_add(METADATA_MAX_AGE_MS))),
            (Err(error), Some((count, _))) => {
                tracing::warn!(
                    task = %self.task, topic = %name, partitions = count,
                    "the partitions cannot be looked up anew, the last known number is used: {error}"
                );
                Some((count, now.saturating_add(LOOK_AGAIN_MS)))
            }
            (Err(error), None) => return Err(error),
        };
        if self.known_counts.len() <= index {
            self.known_counts.resize(index + 1, None);
        }
        if let Some(known) = self.known_counts.get_mut(index) {
            *known = found;
        }
        Ok(found.map(|(count, _)| count))
    }

    /// Name of the source topic of the record in work; empty outside of a record.
    pub fn source_topic(&self) -> &str {
        self.topics.get(self.record.source as usize).map_or("", |topic| topic)
    }

    /// Partition of the record in work.
    pub fn source_partition(&self) -> i32 {
        self.global_partitions.get(self.record.source as usize).copied().unwrap_or(self.task.partition)
    }

    /// Where the record in work came from: topic (none outside of a record), partition and offset.
    pub fn record_metadata(&self) -> Option<(&str, i32, i64)> {
        match self.source_topic() {
            "" => None,
            topic => Some((topic, self.source_partition(), self.record.offset)),
        }
    }

    /// Where the record in work came from, as a buffer keeps it.
    pub(crate) fn origin(&self, timestamp: Timestamp, headers: Headers) -> ProcessorRecordContext {
        ProcessorRecordContext {
            topic: self.source_topic().into(),
            partition: if self.record.offset < 0 { -1 } else { self.task.partition },
            offset: self.record.offset,
            timestamp,
            headers,
        }
    }

    /// Makes a record that came out of a buffer the one in work; returns the one that was.
    pub(crate) fn enter(
        &mut self,
        origin: &ProcessorRecordContext,
        source_bytes: SourceBytes,
    ) -> RecordContext {
        let source = self.topics.iter().position(|topic| *topic == origin.topic);
        let record = RecordContext {
            source: source.map_or(u32::MAX, |source| source as u32),
            offset: origin.offset,
            timestamp: origin.timestamp,
            headers: origin.headers.clone(),
            source_bytes,
        };
        std::mem::replace(&mut self.record, record)
    }

    /// Counts a dropped record, and warns of it now and then.
    pub fn drop_record(&mut self, node: &str, reason: DropReason) {
        if let Some(records) = self.drops.count(node, reason, self.wall_time) {
            tracing::warn!(
                task = %self.task, node, %reason, records, topic = self.source_topic(), offset = self.record.offset,
                timestamp = self.record.timestamp, "records dropped; the last one is named, the next are counted"
            );
        }
        tracing::trace!(task = %self.task, node, %reason, offset = self.record.offset, "record dropped");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What a cluster with the topic `out` answers, and how often it was asked.
    struct Cluster {
        /// Partitions of `out`; `None`: the broker is away.
        out: Rc<Cell<Option<i32>>>,
        asked: Rc<Cell<u32>>,
    }

    fn writing() -> (TaskContext, Cluster) {
        let cluster = Cluster { out: Rc::new(Cell::new(Some(4))), asked: Rc::default() };
        let (out, asked) = (cluster.out.clone(), cluster.asked.clone());
        let counts: PartitionCounts = Rc::new(move |topic| {
            asked.set(asked.get() + 1);
            match (topic, out.get()) {
                (_, None) => Err("the broker is away".into()),
                ("out", Some(count)) => Ok(Some(count).filter(|count| *count > 0)),
                (_, Some(_)) => Ok(None),
            }
        });
        (TaskContext::new(TaskId { subtopology: 0, partition: 0 }, "app".into(), counts), cluster)
    }

    /// Windowed keys made a sink ask the cluster for each record, a round trip every time.
    #[test]
    fn partition_counts_are_asked_for_once_in_five_minutes() {
        let (mut context, cluster) = writing();
        let (out, missing) = (context.outbox.topic("out"), context.outbox.topic("missing"));
        for _ in 0..2 {
            assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(4), 1));
        }
        assert_eq!((context.partition_count(missing).unwrap(), cluster.asked.get()), (None, 2));
        cluster.out.set(Some(8));
        context.wall_time = METADATA_MAX_AGE_MS - 1;
        assert_eq!(context.partition_count(out).unwrap(), Some(4));
        context.wall_time = METADATA_MAX_AGE_MS;
        assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(8), 3));
    }

    /// A broker that was away when five minutes were over made the record fail, and the thread with it, although the count
    /// was known: Kafka Streams' producer goes on with what it knows.
    #[test]
    fn a_known_partition_count_is_kept_while_the_broker_is_away() {
        let (mut context, cluster) = writing();
        let out = context.outbox.topic("out");
        cluster.out.set(None);
        assert_eq!(context.partition_count(out).unwrap_err().to_string(), "the broker is away");
        cluster.out.set(Some(4));
        assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(4), 2));

        cluster.out.set(None);
        context.wall_time = METADATA_MAX_AGE_MS;
        for _ in 0..2 {
            assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(4), 3));
        }
        context.wall_time += LOOK_AGAIN_MS - 1;
        cluster.out.set(Some(8));
        assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(4), 3));
        context.wall_time += 1;
        assert_eq!((context.partition_count(out).unwrap(), cluster.asked.get()), (Some(8), 4));

        // A topic that is gone is gone, whatever was known.
        cluster.out.set(Some(0));
        context.wall_time += METADATA_MAX_AGE_MS;
        assert_eq!(context.partition_count(out).unwrap(), None);
    }
}
