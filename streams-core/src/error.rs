//! What can go wrong while records are processed, and where it happened.

use std::fmt;

pub use streams_state::error::StateError;
use streams_state::serdes::SerdeError;

/// An error of user code, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a task stopped processing. Says which task, which record, which node.
#[derive(Debug)]
pub struct TaskError {
    /// The task, as `0_3`; empty while a topology is built.
    pub task: String,
    /// The node at which it happened.
    pub node: String,
    /// `topic-partition@offset` of the source record; empty in a punctuation.
    pub record: String,
    /// What happened.
    pub cause: TaskErrorCause,
}

/// What stopped a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskErrorCause {
    /// Bytes of a source record do not parse, and the handler said fail.
    #[error("cannot deserialize the {part}: {source}")]
    Deserialization {
        /// `key` or `value`.
        part: &'static str,
        /// What the serde said.
        source: SerdeError,
    },
    /// The timestamp extractor gave no usable timestamp.
    #[error("{0}")]
    Timestamp(String),
    /// User code failed, and the handler said fail.
    #[error("processing failed: {0}")]
    Processing(BoxError),
    /// A record could not be serialized for its topic, and the handler said fail.
    #[error("cannot serialize the {part} for topic `{topic}`: {source}")]
    Serialization {
        /// Topic that the record was for.
        topic: String,
        /// `key` or `value`.
        part: &'static str,
        /// What the serde said.
        source: SerdeError,
    },
    /// A record is larger than the producer takes, and the handler said fail.
    #[error(
        "a record of {bytes} bytes for topic `{topic}` exceeds max.request.size={max}; raise `producer.max.request.size` \
         (and `max.message.bytes` of the topic), or let `production.exception.handler` drop it"
    )]
    TooLarge {
        /// Topic that the record was for.
        topic: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// How many partitions a topic has that is written is not known, and the cluster does not answer. The runtime goes back
    /// to the committed offsets and tries again.
    #[error("the partitions of topic `{topic}` cannot be looked up: {source}")]
    Unanswered {
        /// Topic that the record was for.
        topic: String,
        /// What the client said.
        source: BoxError,
    },
    /// The topology asks for something that is not there. A defect of the topology or of this library.
    #[error("{0}")]
    Wiring(String),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}, node `{}`", self.task, self.node)?;
        if !self.record.is_empty() {
            write!(f, ", record {}", self.record)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// What a node returns: boxed, so that the good case costs one word.
pub type NodeResult<T = ()> = Result<T, Box<TaskError>>;
