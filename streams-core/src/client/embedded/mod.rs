//! Kafka in this process: topics, transactions and groups without a broker.
//!
//! [`EmbeddedKafka`] keeps everything in memory and answers the traits of [`client`](super) as a one-node Kafka 4.3
//! does; the conformance suite runs the same cases on both. It is stricter in one point: offsets of a group that has
//! members can be committed by a member of the current generation only, in transactions too.
//!
//! The order of the files is the order from a byte to a client: a batch of records, the log of a partition,
//! compaction, topics, transactions, groups, the log that holds them all behind one lock, and the clients.
//! Nothing here reads a clock but through [`Clock`], starts a thread, or touches a network.

mod batch;
mod clock;
mod compaction;
mod errors;
mod partition;
mod topic;

mod markers;
mod transactions;

mod assignors;
mod group;
mod offsets;

mod log;

mod admin;
mod consumer;
mod kafka;
mod membership;
mod producer;

#[cfg(feature = "sim")]
mod late;

#[cfg(test)]
mod tests;

pub use clock::{Clock, VirtualClock};
pub use kafka::{EmbeddedKafka, StoredRecord};
#[cfg(feature = "sim")]
pub(crate) use {consumer::EmbeddedConsumer, late::Request, producer::EmbeddedProducer};
