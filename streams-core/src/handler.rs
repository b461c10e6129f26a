//! What an application decides about records that cannot be read, processed or written.
//!
//! Three settings hold a handler: `deserialization.exception.handler`, `processing.exception.handler`,
//! `production.exception.handler`. The default of all three is [`LogAndFail`], as in Kafka Streams.

use streams_state::types::{Headers, TaskId, Timestamp};

/// At which of the three places a record failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorStage {
    /// Source bytes do not parse.
    Deserialization,
    /// A node failed.
    Processing,
    /// A result could not be serialized, or is larger than the producer takes.
    Production,
}

/// The failed record and where it failed.
#[derive(Clone, Debug)]
pub struct ErrorContext<'a> {
    /// Where it failed.
    pub stage: ErrorStage,
    /// The task.
    pub task: TaskId,
    /// The node.
    pub node: &'a str,
    /// Source topic; empty in a punctuation.
    pub topic: &'a str,
    /// Source partition; -1 in a punctuation.
    pub partition: i32,
    /// Source offset; -1 in a punctuation.
    pub offset: i64,
    /// Record timestamp.
    pub timestamp: Timestamp,
    /// Record headers.
    pub headers: &'a Headers,
    /// Key bytes of the source record.
    pub key: Option<&'a [u8]>,
    /// Value bytes of the source record.
    pub value: Option<&'a [u8]>,
}

/// What to do with the failed record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// Stop the task with an error; the record is processed again after a restart.
    Fail,
    /// Drop the record, count it, go on.
    Continue,
    /// Send the source record to this topic with `__streams.errors.*` headers, in the same transaction, and go on.
    DeadLetter(String),
}

/// Decides about failed records. Called on the stream thread: must be quick.
pub trait ExceptionHandler: Send + Sync {
    /// Says what to do about this record.
    fn handle(&self, context: &ErrorContext<'_>, error: &dyn std::fmt::Display) -> Response;

    /// Whether [`handle`](Self::handle) looks at the key and value bytes of the source record, or may answer
    /// [`Response::DeadLetter`]. If no handler does, the task does not keep them.
    fn wants_raw(&self) -> bool {
        true
    }
}

/// Logs the record at ERROR and stops the task. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndFail;

impl ExceptionHandler for LogAndFail {
    fn handle(&self, context: &ErrorContext<'_>, error: &dyn std::fmt::Display) -> Response {
        tracing::error!(
            task = %context.task, node = context.node, topic = context.topic, partition = context.partition,
            offset = context.offset, "{:?} failed: {error}", context.stage
        );
        Response::Fail
    }

    fn wants_raw(&self) -> bool {
        false
    }
}

/// Logs the record at WARN and drops it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndContinue;

impl ExceptionHandler for LogAndContinue {
    fn handle(&self, context: &ErrorContext<'_>, error: &dyn std::fmt::Display) -> Response {
        tracing::warn!(
            task = %context.task, node = context.node, topic = context.topic, partition = context.partition,
            offset = context.offset, "{:?} failed, record dropped: {error}", context.stage
        );
        Response::Continue
    }

    fn wants_raw(&self) -> bool {
        false
    }
}

/// Sends the source record to a dead-letter topic and goes on.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    /// The dead-letter topic. It must exist.
    pub topic: String,
}

impl DeadLetterQueue {
    /// Dead letters go to `topic`.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into() }
    }
}

impl ExceptionHandler for DeadLetterQueue {
    fn handle(&self, context: &ErrorContext<'_>, error: &dyn std::fmt::Display) -> Response {
        tracing::warn!(
            task = %context.task, node = context.node, topic = context.topic, partition = context.partition,
            offset = context.offset, "{:?} failed, record goes to `{}`: {error}", context.stage, self.topic
        );
        Response::DeadLetter(self.topic.clone())
    }
}
