//! What clients say of their work: plain figures, asked for now and then, never with a record.
//!
//! Counters count since the client was made, and a client that is new begins at 0 again. What happened in a period (a [`Batch`] of times or
//! sizes) is said once: in the first answer after that period. Who asks makes rates and averages of both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::TopicPartition;

use crate::metrics::Batch;

/// The key of [`ConsumerSettings::properties`](super::ConsumerSettings::properties) and
/// [`ProducerSettings::properties`](super::ProducerSettings::properties) that says how often a client has news of its network, ms, as
/// librdkafka calls it. Without it there are none.
pub const STATISTICS_INTERVAL: &str = "statistics.interval.ms";

/// Records and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// How many records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Amount {
    /// Adds another amount.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// What a consumer says: [`Consumer::statistics`](super::Consumer::statistics).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConsumerStatistics {
    /// What polls handed out, of each topic.
    pub topics: BTreeMap<Arc<str>, Amount>,
    /// The partitions that are read now.
    pub partitions: Vec<PartitionStatistics>,
    /// News of the network; `None` if there are none since the last answer, or no network.
    pub network: Option<NetworkStatistics>,
}

/// Where a consumer stands in a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionStatistics {
    /// Topic and partition.
    pub partition: TopicPartition,
    /// Records between its position and the end, as the last fetch saw it; `None` before that.
    pub lag: Option<i64>,
    /// Records between the beginning and its position; `None` if it does not know the beginning.
    pub lead: Option<i64>,
    /// The follower that it reads from; `None`: the leader.
    pub read_replica: Option<i32>,
}

/// What a producer says: [`Producer::statistics`](super::Producer::statistics).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProducerStatistics {
    /// What was sent to each topic.
    pub topics: BTreeMap<Arc<str>, SentStatistics>,
    /// Bytes of each batch of a partition, in a period.
    pub batch_bytes: Batch,
    /// Ms of each record in the producer's queue, in a period.
    pub queue_ms: Batch,
    /// Its queue; `None` if it has none, or does not know yet.
    pub buffer: Option<BufferStatistics>,
    /// Since brokers said last what they know of a topic that it writes; `None` if it does not know.
    pub metadata_age: Option<Duration>,
    /// News of the network; `None` if there are none since the last answer, or no network.
    pub network: Option<NetworkStatistics>,
}

/// What was sent to a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SentStatistics {
    /// Records that were sent; those that are sent again count again.
    pub amount: Amount,
    /// Records that were not written.
    pub errors: u64,
}

/// The queue of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BufferStatistics {
    /// Most bytes of records that may wait.
    pub total_bytes: u64,
    /// Bytes that wait now.
    pub used_bytes: u64,
}

/// What a client's library knows of its requests, by node. A node is called by its id, the connection to a group's coordinator by 2147483647
/// less its id, and nodes whose ids are not known yet by -1: as Java's clients have them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NetworkStatistics {
    /// Nodes that it sent a request to.
    pub nodes: BTreeMap<i32, NodeStatistics>,
    /// Of a consumer: what all fetches brought, handed out or not.
    pub fetched: Amount,
}

/// What a client's library knows of a node.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeStatistics {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were open and are closed.
    pub closed: u64,
    /// Requests sent.
    pub requests: u64,
    /// Their bytes.
    pub request_bytes: u64,
    /// Responses received.
    pub responses: u64,
    /// Their bytes.
    pub response_bytes: u64,
    /// Requests that wait for their response.
    pub in_flight: u64,
    /// Requests of these kinds among those sent.
    pub kinds: RequestKinds,
    /// Ms from requests to responses, in a period.
    pub latency_ms: Batch,
    /// Ms that brokers held responses up for a quota, in a period; those that were not held up do not count.
    pub throttle_ms: Batch,
}

/// How many requests of some kinds were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestKinds {
    /// Fetches.
    pub fetch: u64,
    /// Heartbeats.
    pub heartbeat: u64,
    /// Batches of records to write.
    pub produce: u64,
}

impl NodeStatistics {
    /// Adds those of another connection, or of another node.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.closed += other.closed;
        self.requests += other.requests;
        self.request_bytes += other.request_bytes;
        self.responses += other.responses;
        self.response_bytes += other.response_bytes;
        self.in_flight += other.in_flight;
        self.kinds.fetch += other.kinds.fetch;
        self.kinds.heartbeat += other.kinds.heartbeat;
        self.kinds.produce += other.kinds.produce;
        self.latency_ms.merge(other.latency_ms);
        self.throttle_ms.merge(other.throttle_ms);
    }
}

impl NetworkStatistics {
    /// All nodes together.
    #[must_use]
    pub fn sum(&self) -> NodeStatistics {
        let mut sum = NodeStatistics::default();
        self.nodes.values().for_each(|node| sum.add(node));
        sum
    }
}
