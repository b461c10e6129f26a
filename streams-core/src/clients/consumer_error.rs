//! What a consumer says besides records, and what to do.

use std::fmt;

use streams_state::serdes::{Part, SerdeError};
use streams_state::types::{Headers, Timestamp, TopicPartition};

use crate::client::{ClientError, Fault};

/// A record whose bytes do not parse. The consumer hands out nothing more until somebody decides:
/// [`skip`](super::Partitions::skip) it, or [`seek`](super::Partitions::seek) elsewhere.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "record {partition}@{offset}: cannot deserialize the {part}: {source}; `skip` it, or `seek` elsewhere"
)]
pub struct BadRecord {
    /// Where it is.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since the epoch.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: Headers,
    /// Which part does not parse.
    pub part: Part,
    /// What the serde said.
    pub source: SerdeError,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
}

/// What a consumer says besides records.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// A record does not parse.
    #[error(transparent)]
    BadRecord(Box<BadRecord>),
    /// Partitions have no committed offset to begin at, and `auto.offset.reset` is `none`.
    #[error(
        "no committed offset for {}, and auto.offset.reset=none; `seek` to where they begin, or set auto.offset.reset",
        Listed(.partitions)
    )]
    NoOffset {
        /// The partitions, which stand still until somebody seeks.
        partitions: Vec<TopicPartition>,
    },
    /// The offset to read is not in the log, and `auto.offset.reset` is `none`.
    #[error(
        "offset {offset} of {partition} is not in the log, which has {first} to {end}, and auto.offset.reset=none; `seek` to \
         one that is, or set auto.offset.reset"
    )]
    OutOfRange {
        /// The partition, which stands still until somebody seeks.
        partition: TopicPartition,
        /// The offset to read.
        offset: i64,
        /// The first one in the log.
        first: i64,
        /// The one after the last.
        end: i64,
    },
    /// The partition is not this consumer's.
    #[error(
        "{call}: {partition} is not assigned to this consumer, which has {}; poll until it is, or wait for \
         `RebalanceListener::assigned`", Listed(.assigned)
    )]
    NotAssigned {
        /// What was asked for.
        call: &'static str,
        /// The partition.
        partition: TopicPartition,
        /// What it has.
        assigned: Vec<TopicPartition>,
    },
    /// Offsets were not committed, or nobody knows.
    #[error("offsets {offsets} of group `{group}` are not committed: {source}{}", commit_hint(.source.fault))]
    Commit {
        /// The group.
        group: String,
        /// The offsets, as `topic-partition@offset`.
        offsets: String,
        /// What the client said.
        source: ClientError,
    },
    /// The client failed.
    #[error("{0}{hint}", hint = hint(.0.fault))]
    Client(ClientError),
}

impl ConsumerError {
    /// Whether the same call may work later.
    pub fn is_retriable(&self) -> bool {
        let fault = match self {
            Self::Commit { source, .. } | Self::Client(source) => source.fault,
            Self::BadRecord(_)
            | Self::NoOffset { .. }
            | Self::OutOfRange { .. }
            | Self::NotAssigned { .. } => return false,
        };
        matches!(fault, Fault::Retriable | Fault::Unknown | Fault::Unreachable)
    }
}

impl From<ClientError> for ConsumerError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

fn commit_hint(fault: Fault) -> &'static str {
    match fault {
        Fault::NotInGroup => {
            "; the group gave the partitions to others, who read these records again: poll to join it anew"
        }
        Fault::Unknown => "; they may be committed all the same: commit again",
        other => hint(other),
    }
}

fn hint(fault: Fault) -> &'static str {
    match fault {
        Fault::Retriable | Fault::Unknown | Fault::Unreachable => "; try again",
        Fault::NotInGroup => "; poll to join the group anew",
        Fault::UnknownTopic => "; create the topic, or check its name",
        Fault::Denied => "; grant Read and Describe on topic and group, or check the credentials",
        Fault::ClientDead | Fault::ProducerFenced => "; make a new TopicConsumer",
        Fault::Invalid => "; check the settings of the consumer",
        Fault::AbortTransaction
        | Fault::QueueFull
        | Fault::OffsetOutOfRange
        | Fault::AlreadyExists
        | Fault::BadRecord => "",
    }
}

/// Partitions, one after the other.
struct Listed<'a>(&'a [TopicPartition]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, partition) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{partition}")?;
        }
        Ok(())
    }
}
