//! What every node of a task shares while a record passes: time, record context, outbox, counters.

use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::types::{NO_TIMESTAMP, RecordContext, TaskId, Timestamp};

use super::{DropReason, Drops, GlobalStore, OutTopic, Outbox, ProcessorMetadata, Punctuations};
use crate::config::{METADATA_MAX_AGE_MS, TimestampPolicy};
use crate::error::{BoxError, NodeResult, TaskError, TaskErrorCause};
use crate::handler::{ErrorContext, ErrorStage, ExceptionHandler, LogAndFail, Response};
use crate::record::size_upper_bound;

/// Says how many partitions a topic has; asked for topics that a task writes.
pub type PartitionCounts = Rc<dyn Fn(&str) -> Option<i32>>;

/// The shared part of a task, handed from node to node with each record.
pub struct TaskContext {
    /// The task.
    pub task: TaskId,
    /// `application.id`: the prefix of internal topics.
    pub application_id: Arc<str>,
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
    /// Records dropped so far.
    pub drops: Drops,
    /// A processor asked for a commit.
    pub commit_requested: bool,
    /// `default.timestamp.extractor`: for sources that have none of their own.
    pub timestamp_policy: TimestampPolicy,
    /// Global stores, to read.
    pub globals: Vec<GlobalStore>,
    /// This task feeds the global stores; its processors schedule nothing.
    pub feeds_globals: bool,
    /// This task feeds the global stores: the partition of each of its sources; empty for all other tasks.
    pub global_partitions: Vec<i32>,
    /// Partition counts of topics written: may ask the cluster.
    pub partition_counts: PartitionCounts,
    /// What `partition_counts` said by topic handle, and when.
    known_counts: Vec<Option<(i32, Timestamp)>>,
    /// `processing.exception.handler`.
    pub processing_handler: Arc<dyn ExceptionHandler>,
    /// `production.exception.handler`.
    pub production_handler: Arc<dyn ExceptionHandler>,
    /// `deserialization.exception.handler`.
    pub deserialization_handler: Arc<dyn ExceptionHandler>,
    /// Key bytes of the source record, kept only if a handler may want them.
    pub raw_key: Option<Vec<u8>>,
    /// Value bytes of the source record, kept only if a handler may want them.
    pub raw_value: Option<Vec<u8>>,
}

impl TaskContext {
    /// A context before the first record.
    pub fn new(task: TaskId, application_id: Arc<str>, partition_counts: PartitionCounts) -> Self {
        Self {
            task,
            application_id,
            topics: Vec::new(),
            record: RecordContext::none(NO_TIMESTAMP),
            stream_time: NO_TIMESTAMP,
            wall_time: 0,
            outbox: Outbox::default(),
            punctuations: Punctuations::default(),
            node_slot: 0,
            drops: Drops::default(),
            processor_metadata: ProcessorMetadata::default(),
            commit_requested: false,
            timestamp_policy: TimestampPolicy::default(),
            globals: Vec::new(),
            feeds_globals: false,
            global_partitions: Vec::new(),
            partition_counts,
            known_counts: Vec::new(),
            processing_handler: Arc::new(LogAndFail),
            production_handler: Arc::new(LogAndFail),
            deserialization_handler: Arc::new(LogAndFail),
            raw_key: None,
            raw_value: None,
        }
    }

    /// Number of partitions of a topic that is written; `None` if it does not exist. Asked for each
    /// record, so the answer is remembered for as long as clients keep theirs by default.
    pub fn partition_count(&mut self, topic: OutTopic) -> Option<i32> {
        let (index, now) = (topic.0 as usize, self.wall_time);
        if let Some(Some((count, at))) = self.known_counts.get(index)
            && now.saturating_sub(*at) < METADATA_MAX_AGE_MS
        {
            return Some(*count);
        }
        let count = (self.partition_counts)(self.outbox.topics.get(index)?)?;
        if self.known_counts.len() <= index {
            self.known_counts.resize(index + 1, None);
        }
        if let Some(known) = self.known_counts.get_mut(index) {
            *known = Some((count, now));
        }
        Some(count)
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

    /// An error at `node` for the record in work.
    pub fn error(&self, node: &str, cause: TaskErrorCause) -> Box<TaskError> {
        let record = match self.source_topic() {
            "" => String::new(),
            topic => format!("{topic}-{}@{}", self.source_partition(), self.record.offset),
        };
        Box::new(TaskError { task: self.task.to_string(), node: node.to_owned(), record, cause })
    }

    /// A store of `node` failed.
    pub fn state_error(&self, node: &str, error: StateError) -> Box<TaskError> {
        self.error(node, TaskErrorCause::State(error))
    }

    /// The topology asks for something that is not there.
    pub fn wiring_error(&self, message: &str) -> Box<TaskError> {
        self.error("", TaskErrorCause::Wiring(message.to_owned()))
    }

    /// User code at `node` failed: asks the handler. `Ok` means that the record is dropped and work goes on.
    pub fn processing_failed(&mut self, node: &str, error: BoxError) -> NodeResult {
        let handler = self.processing_handler.clone();
        match self.ask(&*handler, ErrorStage::Processing, node, &error) {
            true => Ok(()),
            false => Err(self.error(node, TaskErrorCause::Processing(error))),
        }
    }

    /// A table could not be read for `node`. If user code on the way to the row failed, asks the handler; `Ok` means that
    /// the record is dropped and work goes on.
    pub fn read_failed(&mut self, node: &str, cause: TaskErrorCause) -> NodeResult {
        match cause {
            TaskErrorCause::Processing(error) => self.processing_failed(node, error),
            TaskErrorCause::Deserialization { .. }
            | TaskErrorCause::Timestamp(_)
            | TaskErrorCause::Serialization { .. }
            | TaskErrorCause::TooLarge { .. }
            | TaskErrorCause::State(_)
            | TaskErrorCause::Wiring(_) => Err(self.error(node, cause)),
        }
    }

    /// A result of `node` could not be serialized, or is too large to be sent: asks the handler. `Ok` means that it is dropped.
    pub fn production_failed(&mut self, node: &str, cause: TaskErrorCause) -> NodeResult {
        let handler = self.production_handler.clone();
        match self.ask(&*handler, ErrorStage::Production, node, &cause) {
            true => Ok(()),
            false => Err(self.error(node, cause)),
        }
    }

    /// A source record could not be read at `node`: asks the handler. `Ok` means that it is dropped.
    pub fn deserialization_failed(&mut self, node: &str, cause: TaskErrorCause) -> NodeResult {
        let handler = self.deserialization_handler.clone();
        match self.ask(&*handler, ErrorStage::Deserialization, node, &cause) {
            true => Ok(()),
            false => Err(self.error(node, cause)),
        }
    }

    /// Whether to go on without the record. Sends the dead letter if that was the answer.
    fn ask(
        &mut self,
        handler: &dyn ExceptionHandler,
        stage: ErrorStage,
        node: &str,
        error: &dyn std::fmt::Display,
    ) -> bool {
        let response = handler.handle(
            &ErrorContext {
                stage,
                task: self.task,
                node,
                topic: self.source_topic(),
                partition: if self.record.offset < 0 { -1 } else { self.source_partition() },
                offset: self.record.offset,
                timestamp: self.record.timestamp,
                headers: &self.record.headers,
                key: self.raw_key.as_deref(),
                value: self.raw_value.as_deref(),
            },
            error,
        );
        match response {
            Response::Fail => false,
            Response::Continue => {
                self.drop_record(node, DropReason::handled(stage));
                true
            }
            Response::DeadLetter(topic) => {
                let sent = self.dead_letter(&topic, stage, node, error);
                if sent {
                    self.drop_record(node, DropReason::handled(stage));
                }
                sent
            }
        }
    }

    /// The source record, as it came, with Kafka Streams' error headers (KIP-1034). `false`: it is larger than the
    /// producer takes.
    fn dead_letter(
        &mut self,
        topic: &str,
        stage: ErrorStage,
        node: &str,
        error: &dyn std::fmt::Display,
    ) -> bool {
        let mut headers = self.record.headers.clone();
        let mut add = |key: &str, text: String| headers.add(key, Some(text.into_bytes()));
        add("__streams.errors.exception", format!("{stage:?}Error"));
        add("__streams.errors.message", error.to_string());
        add("__streams.errors.stacktrace", format!("node {node}: {error}"));
        add("__streams.errors.topic", self.source_topic().to_owned());
        add("__streams.errors.partition", self.source_partition().to_string());
        add("__streams.errors.offset", self.record.offset.to_string());
        let (key, value) = (self.raw_key.as_deref(), self.raw_value.as_deref());
        let bytes = size_upper_bound(key, value, &headers);
        if self.outbox.record_max_bytes.is_some_and(|max| bytes > max) {
            tracing::error!(task = %self.task, node, topic, bytes, "the dead letter is too large as well");
            return false;
        }
        let handle = self.outbox.topic(topic);
        let timestamp = Some(self.record.timestamp).filter(|timestamp| *timestamp >= 0);
        self.outbox.push(handle, None, key, value, timestamp, headers);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Windowed keys made a sink ask the cluster for each record, a round trip every time.
    #[test]
    fn partition_counts_are_asked_for_once_in_five_minutes() {
        let asked = Rc::new(Cell::new(0));
        let (count, counted) = (Rc::new(Cell::new(4)), asked.clone());
        let answer = count.clone();
        let counts: PartitionCounts = Rc::new(move |topic| {
            counted.set(counted.get() + 1);
            (topic == "out").then(|| answer.get())
        });
        let mut context = TaskContext::new(TaskId { subtopology: 0, partition: 0 }, "app".into(), counts);
        let (out, missing) = (context.outbox.topic("out"), context.outbox.topic("missing"));
        assert_eq!(
            (context.partition_count(out), context.partition_count(out), asked.get()),
            (Some(4), Some(4), 1)
        );
        assert_eq!((context.partition_count(missing), asked.get()), (None, 2));
        count.set(8);
        context.wall_time = METADATA_MAX_AGE_MS - 1;
        assert_eq!(context.partition_count(out), Some(4));
        context.wall_time = METADATA_MAX_AGE_MS;
        assert_eq!((context.partition_count(out), asked.get()), (Some(8), 3));
    }
}
