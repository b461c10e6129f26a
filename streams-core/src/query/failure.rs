//! Why there is no result: for one partition under Kafka Streams' names, or for the whole query.

use std::fmt;
use std::time::Duration;

/// Why a partition has no result: Kafka Streams' `FailureReason`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum FailureReason {
    /// The store is of another kind or has other types than the query is for, or cannot answer this form of it.
    UnknownQueryType,
    /// The task of the partition does not run: it restores, or its partitions are on their way to another thread.
    NotActive,
    /// The store has not seen the inputs up to the bound yet.
    NotUpToBound,
    /// The partition is not on this instance at the moment.
    NotPresent,
    /// The store has no such partition.
    DoesNotExist,
    /// The store failed: a serde, its engine, or the query itself.
    StoreException,
}

impl FailureReason {
    /// Kafka Streams' word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownQueryType => "UNKNOWN_QUERY_TYPE",
            Self::NotActive => "NOT_ACTIVE",
            Self::NotUpToBound => "NOT_UP_TO_BOUND",
            Self::NotPresent => "NOT_PRESENT",
            Self::DoesNotExist => "DOES_NOT_EXIST",
            Self::StoreException => "STORE_EXCEPTION",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a partition has no result, and what to do about it.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{reason}: {message}")]
pub struct QueryFailure {
    /// Under Kafka Streams' names.
    pub reason: FailureReason,
    /// What happened and what to do.
    pub message: String,
}

impl QueryFailure {
    /// For a [`Query`](super::Query) of your own.
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Why a query has no result at all.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum QueryError {
    /// No node of the topology uses a store of this name.
    #[error("there is no store `{store}` in the topology; it has {}", names(known))]
    UnknownStore {
        /// The store that was asked for.
        store: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// `start` was not called, or has not returned.
    #[error("store `{store}` cannot be asked: the application has not been started; call `start` first")]
    NotStarted {
        /// The store.
        store: String,
    },
    /// The application is closed, closes, or was stopped by an error.
    #[error("store `{store}` cannot be asked: the application is {state}; it answers no more")]
    Stopped {
        /// The store.
        store: String,
        /// State of the application.
        state: String,
    },
    /// A thread was busy for longer than the query may take.
    #[error(
        "store `{store}`: {} did not come to the query within {timeout:?} (a record that takes long, a commit, or a cluster \
         that does not answer); try again, or give it more time",
        threads.join(", ")
    )]
    Timeout {
        /// The store.
        store: String,
        /// Those that did not answer.
        threads: Vec<String>,
        /// How long they had.
        timeout: Duration,
    },
    /// A thread ended, so that what it held is not known.
    #[error("store `{store}`: {} ended before answering; try again when its tasks have moved", threads.join(", "))]
    ThreadEnded {
        /// The store.
        store: String,
        /// Those that ended.
        threads: Vec<String>,
    },
    /// No partition has the answer, and one of them says why.
    #[error(transparent)]
    Failure(#[from] QueryFailure),
}

fn names(known: &[String]) -> String {
    match known {
        [] => "none".to_owned(),
        known => format!("`{}`", known.join("`, `")),
    }
}
