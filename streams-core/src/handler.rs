//! What an application decides about records that cannot be read, processed or written.
//!
//! Three settings hold a handler: `deserialization.exception.handler`, `processing.exception.handler`,
//! `production.exception.handler`. The default of all three is [`LogAndFail`], as in Kafka Streams.

use streams_state::types::{Headers, TaskId, Timestamp};

use crate::dead_letter::{
    EXCEPTION, MESSAGE, OFFSET, ORIGINAL_OFFSET, ORIGINAL_PARTITION, ORIGINAL_TIMESTAMP, ORIGINAL_TOPIC,
    PARTITION, RETRIES, SOURCE_LOST, STACKTRACE, TOPIC,
};
use crate::error::TaskErrorCause;
use crate::topic::Topic;

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

/// The failed record and where it failed. Topic, offset and bytes are those of the source record from which it came,
/// be it long ago: a result that waited in a cache or buffer, or was grouped, still has them.
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
    /// Key bytes of the source record; `None` in a punctuation, for a null key, and where they were not kept: behind a
    /// restart, and beyond the memory of a buffer.
    pub key: Option<&'a [u8]>,
    /// Value bytes of the source record; `None` as for the key.
    pub value: Option<&'a [u8]>,
    /// Whether key and value were kept: if so, `None` is null.
    pub source_kept: bool,
    /// The record that could not be produced; `None` at the other stages.
    pub unsent: Option<UnsentRecord<'a>>,
}

/// A result as far as it was made when producing it failed.
#[derive(Clone, Copy, Debug)]
pub struct UnsentRecord<'a> {
    /// Topic that it was for.
    pub topic: &'a str,
    /// Key bytes; `None` for a null key, and if it is the key that cannot be serialized.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` for a null value, and if serializing failed.
    pub value: Option<&'a [u8]>,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: &'a Headers,
}

/// A record for a dead-letter topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The dead-letter topic. It must exist.
    pub topic: String,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Timestamp; a negative one leaves it to the producer's clock.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl DeadLetter {
    /// The source record, as it came, with Kafka Streams' headers (KIP-1034): `__streams.errors.exception` (the stage,
    /// as `ProcessingError`), `.message`, `.stacktrace` (the node, and what the error says came of what), `.topic`,
    /// `.partition`, `.offset`; and with ours, `__kstreams.original.*` and `__kstreams.retries`: see
    /// [`dead_letter`](crate::dead_letter).
    pub fn of_source(
        topic: impl Into<String>,
        context: &ErrorContext<'_>,
        error: &TaskErrorCause,
    ) -> DeadLetter {
        let mut headers = context.headers.clone();
        // What it failed of before it was put back.
        for key in [EXCEPTION, MESSAGE, STACKTRACE, TOPIC, PARTITION, OFFSET, SOURCE_LOST] {
            if headers.last(key).is_some() {
                headers.remove(key);
            }
        }
        let mut add = |key: &str, text: Option<String>| headers.add(key, text.map(String::into_bytes));
        add(EXCEPTION, Some(format!("{:?}Error", context.stage)));
        add(MESSAGE, Some(error.message()));
        add(STACKTRACE, Some(trace(context, error)));
        let source = Some(context.topic.to_owned()).filter(|topic| !topic.is_empty());
        add(TOPIC, source.clone());
        add(PARTITION, Some(context.partition.to_string()));
        add(OFFSET, Some(context.offset.to_string()));
        if !context.source_kept {
            add(SOURCE_LOST, Some("true".to_owned()));
        }
        if context.headers.last(ORIGINAL_TOPIC).is_none() && source.is_some() {
            add(ORIGINAL_TOPIC, source);
            add(ORIGINAL_PARTITION, Some(context.partition.to_string()));
            add(ORIGINAL_OFFSET, Some(context.offset.to_string()));
            add(ORIGINAL_TIMESTAMP, Some(context.timestamp.to_string()));
        }
        if context.headers.last(RETRIES).is_none() {
            add(RETRIES, Some("0".to_owned()));
        }
        DeadLetter {
            topic: topic.into(),
            key: context.key.map(<[u8]>::to_vec),
            value: context.value.map(<[u8]>::to_vec),
            timestamp: context.timestamp,
            headers,
        }
    }
}

/// The node, the error, and its causes.
fn trace(context: &ErrorContext<'_>, error: &TaskErrorCause) -> String {
    let mut text = format!("node {}: {error}", context.node);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!("\ncaused by: {error}"));
        cause = error.source();
    }
    text
}

/// What to do with the failed record, and records to send to dead-letter topics.
///
/// Dead letters go out with the results of the task: with exactly once in the same transaction, so those of a failure
/// are seen only without it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub(crate) resumes: bool,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

impl Response {
    /// Stop the task with an error; the record is processed again after a restart.
    pub fn fail() -> Response {
        Response { resumes: false, dead_letters: Vec::new() }
    }

    /// Drop the record, count it, go on.
    pub fn resume() -> Response {
        Response { resumes: true, dead_letters: Vec::new() }
    }

    /// And send this record.
    #[must_use]
    pub fn with_dead_letter(mut self, record: DeadLetter) -> Response {
        self.dead_letters.push(record);
        self
    }
}

/// Decides about failed records. Called on the stream thread: must be quick.
///
/// ```
/// # use streams_core::{error::TaskErrorCause, handler::{DeadLetter, ErrorContext, ExceptionHandler, Response}};
/// /// Numbers that do not parse are dropped, other failures get a dead letter and stop the task.
/// struct Numbers;
///
/// impl ExceptionHandler for Numbers {
///     fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
///         match error {
///             TaskErrorCause::Processing(error) if error.is::<std::num::ParseIntError>() => Response::resume(),
///             _ => Response::fail().with_dead_letter(DeadLetter::of_source("failed", context, error)),
///         }
///     }
/// }
/// ```
pub trait ExceptionHandler: Send + Sync {
    /// Says what to do about this record. `error` says what failed: an error of user code is in
    /// [`TaskErrorCause::Processing`], to be downcast.
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response;

    /// Whether [`handle`](Self::handle) looks at the key and value bytes of the source record, as
    /// [`DeadLetter::of_source`] does. If no handler does, the task does not keep them.
    fn wants_raw(&self) -> bool {
        true
    }

    /// Whether [`handle`](Self::handle) may say to go on. If the processing handler does not, no store copies a row to be
    /// able to take an update back.
    fn may_resume(&self) -> bool {
        true
    }
}

/// Logs the record at ERROR and stops the task. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndFail;

impl ExceptionHandler for LogAndFail {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        tracing::error!(
            task = %context.task, node = context.node, topic = context.topic, partition = context.partition,
            offset = context.offset, "{:?} failed: {error}", context.stage
        );
        Response::fail()
    }

    fn wants_raw(&self) -> bool {
        false
    }

    fn may_resume(&self) -> bool {
        false
    }
}

/// Logs the record at WARN and drops it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndContinue;

impl ExceptionHandler for LogAndContinue {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        tracing::warn!(
            task = %context.task, node = context.node, topic = context.topic, partition = context.partition,
            offset = context.offset, "{:?} failed, record dropped: {error}", context.stage
        );
        Response::resume()
    }

    fn wants_raw(&self) -> bool {
        false
    }
}

/// Sends the source record to a dead-letter topic, and goes on or [stops](Self::and_fail).
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    /// The dead-letter topic. It must exist.
    pub topic: String,
    /// Whether the task stops then.
    pub fails: bool,
}

impl DeadLetterQueue {
    /// Dead letters go to `topic`, and the task goes on.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), fails: false }
    }

    /// As [`new`](Self::new), with the constant of the topic.
    ///
    /// ```
    /// # use streams_core::{handler::DeadLetterQueue, topic::Topic};
    /// const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
    /// assert_eq!(DeadLetterQueue::to(&DEAD_LETTERS).topic, "dead-letters");
    /// ```
    pub fn to(topic: &Topic<Option<Vec<u8>>, Option<Vec<u8>>>) -> Self {
        Self::new(topic.name())
    }

    /// The task stops after a dead letter, as with Kafka Streams' `LogAndFail` handlers and
    /// `errors.dead.letter.queue.topic.name`.
    #[must_use]
    pub fn and_fail(self) -> Self {
        Self { fails: true, ..self }
    }
}

impl ExceptionHandler for DeadLetterQueue {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        let response = if self.fails {
            LogAndFail.handle(context, error)
        } else {
            LogAndContinue.handle(context, error)
        };
        response.with_dead_letter(DeadLetter::of_source(self.topic.as_str(), context, error))
    }

    fn may_resume(&self) -> bool {
        !self.fails
    }
}
