//! Why a record was not written, and what to do.

use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{Part, SerdeError};

use crate::client::{ClientError, Fault};

/// Why a record was not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Key or value have no bytes.
    #[error("cannot serialize the {part} of a record for topic `{topic}`: {source}")]
    Serialization {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// Which part.
        part: Part,
        /// What the serde said.
        source: SerdeError,
    },
    /// The record is larger than the producer takes.
    #[error(
        "a record of {bytes} bytes for topic `{topic}` exceeds max.request.size={max}; raise it (and `max.message.bytes` of \
         the topic), or make the record smaller"
    )]
    TooLarge {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The topic has no such partition.
    #[error("topic `{topic}` has partitions 0 to {}, the record is for {partition}", .partitions - 1)]
    NoPartition {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// The partition that was asked for.
        partition: i32,
        /// How many there are.
        partitions: i32,
    },
    /// Records that wait for their acknowledgement fill `buffer.memory`.
    #[error(
        "no room for a record for topic `{topic}` within max.block.ms={}: {waiting} bytes wait to be acknowledged; check \
         that the cluster answers, send more slowly, or raise buffer.memory={limit}", .waited.as_millis()
    )]
    NoRoom {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// How long `send` waited.
        waited: Duration,
        /// Bytes that wait.
        waiting: u64,
        /// The limit.
        limit: u64,
    },
    /// The topic or the cluster could not be asked how many partitions there are.
    #[error("the partitions of topic `{topic}` cannot be looked up: {source}{}", hint(.source.fault))]
    NoMetadata {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// What the client said.
        source: ClientError,
    },
    /// The producer writes in transactions, and none is open.
    #[error("a record for topic `{topic}` outside of a transaction: begin one first")]
    NoTransaction {
        /// Topic that the record was for.
        topic: Arc<str>,
    },
    /// The record was sent, and not written, as far as is known.
    #[error("a record for {topic}-{partition} was not written: {source}{}", hint(.source.fault))]
    NotDelivered {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// Its partition.
        partition: i32,
        /// What the client said.
        source: ClientError,
    },
    /// It is not known yet what became of the record.
    #[error(
        "a record for topic `{topic}` was not acknowledged within {waited:?}; it is still on its way, until \
         delivery.timeout.ms is over"
    )]
    Pending {
        /// Topic that the record was for.
        topic: Arc<str>,
        /// How long was waited.
        waited: Duration,
    },
    /// The producer was closed. A record that was on its way may have been written.
    #[error(
        "the producer of topic `{topic}` is closed: {unacknowledged} records were not acknowledged before"
    )]
    Closed {
        /// Topic of the producer.
        topic: Arc<str>,
        /// Records that may or may not have been written.
        unacknowledged: usize,
    },
}

/// What to do about a fault of a record.
fn hint(fault: Fault) -> &'static str {
    match fault {
        Fault::Retriable | Fault::Unreachable => {
            "; it was not written within delivery.timeout.ms: send it again when the cluster answers"
        }
        Fault::Unknown => {
            "; it may have been written all the same: send it again if a second copy does no harm"
        }
        Fault::AbortTransaction => "; abort the transaction and do it again",
        Fault::ProducerFenced => {
            "; a newer producer has this transactional.id: close this one, or give each its own id"
        }
        Fault::UnknownTopic => "; create the topic, or check its name",
        Fault::Denied => "; grant Write and Describe on the topic, or check the credentials",
        Fault::BadRecord => "; the record itself is refused: change it, or leave it out",
        Fault::ClientDead => "; make a new TopicProducer",
        Fault::QueueFull | Fault::NotInGroup | Fault::OffsetOutOfRange | Fault::AlreadyExists => "",
        Fault::Invalid => "; check the settings of the producer",
    }
}
