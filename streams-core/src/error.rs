//! What can go wrong while records are processed, and where it happened.

use std::fmt;

pub use streams_state::error::StateError;
use streams_state::serdes::{Part, SerdeError};

/// An error of user code, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a task stopped processing. Says which task, which record, which node.
#[derive(Debug)]
pub struct TaskError {
    /// The task, as `0_3`; empty while a topology is built.
    pub task: String,
    /// The node at which it happened; empty where it is not known (a panic).
    pub node: String,
    /// `topic-partition@offset` of the source record; empty in a punctuation.
    pub record: String,
    /// What happened.
    pub cause: TaskErrorCause,
    /// A handler may still say to go on.
    pub(crate) undecided: bool,
}

/// What failed at a node: what an exception handler is asked about, and what stopped a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskErrorCause {
    /// Bytes of a source record do not parse.
    #[error("cannot deserialize the {part}: {source}")]
    Deserialization {
        /// Which part.
        part: Part,
        /// What the serde said.
        source: SerdeError,
    },
    /// The timestamp extractor gave no usable timestamp.
    #[error("{0}")]
    Timestamp(String),
    /// User code failed.
    #[error("processing failed: {0}")]
    Processing(#[source] BoxError),
    /// User code panicked. No handler is asked: what the panic left half done must not be committed.
    #[error("user code panicked: {0}")]
    Panic(String),
    /// A record could not be serialized for its topic.
    #[error("cannot serialize the {part} for topic `{topic}`: {source}")]
    Serialization {
        /// Topic that the record was for.
        topic: String,
        /// Which part.
        part: Part,
        /// What the serde said.
        source: SerdeError,
    },
    /// A record is larger than the producer takes.
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
    /// A store failed. Bad data in it ([`StateError::Serde`]) is a case for the processing handler; the rest is not.
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

impl TaskError {
    /// The same of `node`, if nobody has said at which node it happened and a handler is still to be asked.
    pub(crate) fn at(mut self: Box<Self>, node: &str) -> Box<Self> {
        if self.undecided && self.node.is_empty() {
            node.clone_into(&mut self.node);
        }
        self
    }
}

impl TaskErrorCause {
    /// What a serde said, if it was a serde that failed.
    #[must_use]
    pub fn serde(&self) -> Option<&SerdeError> {
        match self {
            Self::Deserialization { source, .. } | Self::Serialization { source, .. } => Some(source),
            Self::Processing(error) => error.downcast_ref(),
            Self::State(error) => error.serde(),
            Self::Timestamp(_)
            | Self::Panic(_)
            | Self::TooLarge { .. }
            | Self::Unanswered { .. }
            | Self::Wiring(_) => None,
        }
    }

    /// What the failing code itself said.
    pub(crate) fn message(&self) -> String {
        if let Self::Processing(error) = self { error.to_string() } else { self.to_string() }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.task)?;
        if !self.node.is_empty() {
            write!(f, ", node `{}`", self.node)?;
        }
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

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What a node returns: boxed, so that the good case costs one word.
pub type NodeResult<T = ()> = Result<T, Box<TaskError>>;
