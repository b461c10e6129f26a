//! What can stop an application, in one sentence each.

use streams_state::error::StateError;

use crate::client::ClientError;
use crate::error::TaskError;
use crate::topology::TopologyError;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamsError {
    /// The topology cannot run as it is, or not on these topics.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A source topic does not exist.
    #[error(
        "source topic `{topic}` does not exist at {at}; create it first (applications never create their source topics)"
    )]
    MissingSourceTopic {
        /// The topic.
        topic: String,
        /// Where it was looked for.
        at: String,
    },
    /// An internal topic exists with another number of partitions than the topology needs.
    #[error(
        "internal topic `{topic}` has {found} partitions, the topology needs {needed}; its data does not fit any more: \
         reset the application (delete its internal topics and state directory) or bring the source topics back to \
         the old partition count"
    )]
    InternalTopicMismatch {
        /// The topic.
        topic: String,
        /// Partitions found.
        found: i32,
        /// Partitions needed.
        needed: i32,
    },
    /// A source topic got more partitions while the application runs.
    #[error(
        "source topic `{topic}` had {planned} partitions when the application started, and has {found} now: records of the new ones \
         would not be read. Restart all instances; if there are stores or repartition topics, whose data fits the old number only, \
         move to a new topic or reset the application first"
    )]
    SourceTopicGrew {
        /// The topic.
        topic: String,
        /// Partitions at the start.
        planned: i32,
        /// Partitions by now, at least.
        found: i32,
    },
    /// A client call failed for good.
    #[error("{at}: {source}")]
    Client {
        /// The thread or step that called.
        at: String,
        /// What the client said.
        source: ClientError,
    },
    /// A task stopped on a record, node or store.
    #[error(transparent)]
    Task(#[from] Box<TaskError>),
    /// State on disk cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A thread panicked outside of a task: a listener, or a defect of this library. A panic of user code in a task is a
    /// [`TaskErrorCause::Panic`](crate::error::TaskErrorCause::Panic).
    #[error("stream thread `{thread}` panicked: {message}")]
    Panic {
        /// The thread.
        thread: String,
        /// The panic's text.
        message: String,
    },
    /// A call came in the wrong state.
    #[error("{0}")]
    IllegalState(String),
}

impl StreamsError {
    /// A client failure at `at`.
    pub fn client(at: impl Into<String>, source: ClientError) -> Self {
        Self::Client { at: at.into(), source }
    }
}
