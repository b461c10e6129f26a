//! States of an instance and the legal moves between them, as in Kafka Streams.
//!
//! ```text
//! CREATED -> REBALANCING <-> RUNNING
//!               |               |
//!               v               v
//!         PENDING_SHUTDOWN -> NOT_RUNNING        PENDING_ERROR -> ERROR
//! ```

use std::fmt;

/// State of a `KafkaStreams` instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Made, not started.
    Created,
    /// Started; some thread has no assignment yet, or restores state.
    Rebalancing,
    /// All threads process records.
    Running,
    /// `close` was called.
    PendingShutdown,
    /// Closed.
    NotRunning,
    /// A thread failed and the instance stops.
    PendingError,
    /// Stopped by an error.
    Error,
}

impl State {
    /// Whether `next` may follow.
    #[must_use]
    pub fn may_become(self, next: State) -> bool {
        use State::{Created, Error, NotRunning, PendingError, PendingShutdown, Rebalancing, Running};
        match self {
            Created => matches!(next, Rebalancing | PendingShutdown | PendingError),
            Rebalancing => matches!(next, Running | PendingShutdown | PendingError),
            Running => matches!(next, Rebalancing | PendingShutdown | PendingError),
            PendingShutdown => matches!(next, NotRunning),
            PendingError => matches!(next, Error),
            NotRunning | Error => false,
        }
    }

    /// Whether records may be processed now or soon.
    #[must_use]
    pub fn is_running_or_rebalancing(self) -> bool {
        matches!(self, State::Running | State::Rebalancing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Created => "CREATED",
            State::Rebalancing => "REBALANCING",
            State::Running => "RUNNING",
            State::PendingShutdown => "PENDING_SHUTDOWN",
            State::NotRunning => "NOT_RUNNING",
            State::PendingError => "PENDING_ERROR",
            State::Error => "ERROR",
        })
    }
}

impl State {
    /// Its number in the metric `client-state`: Kafka Streams'.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Rebalancing => 1,
            Self::Running => 2,
            Self::PendingShutdown => 3,
            Self::NotRunning => 4,
            Self::PendingError => 5,
            Self::Error => 6,
        }
    }
}

/// State of one stream thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadState {
    /// Waits for its partitions.
    PartitionsRevoked,
    /// Has partitions; some tasks still restore.
    PartitionsAssigned,
    /// All tasks process.
    Running,
    /// Ended.
    Dead,
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartitionsRevoked => "PARTITIONS_REVOKED",
            Self::PartitionsAssigned => "PARTITIONS_ASSIGNED",
            Self::Running => "RUNNING",
            Self::Dead => "DEAD",
        })
    }
}

impl ThreadState {
    /// Its number in the metric `thread-state`: Kafka Streams', which has three more.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::PartitionsRevoked => 2,
            Self::PartitionsAssigned => 3,
            Self::Running => 4,
            Self::Dead => 6,
        }
    }

    /// The state of this number.
    pub(crate) fn of_number(number: u8) -> Self {
        let all = [Self::PartitionsRevoked, Self::PartitionsAssigned, Self::Running];
        all.into_iter().find(|state| state.number() == number).unwrap_or(Self::Dead)
    }
}
