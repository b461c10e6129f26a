//! The edge to Kafka: what the runtime asks of a consumer, a producer and an admin client.
//!
//! Every call has a deadline and returns `Ok`, a definite error, or [`Fault::Unknown`]: it may have happened.
//! Implementations: [`embedded`] (in this process, for the demo, tests and simulation) and `rdkafka`. One
//! conformance suite runs on both.

mod acknowledged;
pub mod embedded;
mod error;
#[cfg(feature = "rdkafka")]
pub mod rdkafka;
mod shared;
mod statistics;
mod traits;

pub use acknowledged::Acknowledged;
pub use error::{ClientError, Fault};
pub use statistics::{
    Amount, BufferStatistics, ConsumerStatistics, NetworkStatistics, NodeStatistics, PartitionStatistics,
    ProducerStatistics, RequestKinds, STATISTICS_INTERVAL, SentStatistics,
};
pub use traits::{
    ASSIGNORS, Admin, AdminTopic, COOPERATIVE, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings,
    Deliveries, Delivery, GroupMember, GroupMetadata, NewTopic, OffsetSpec, Polled, ProduceRecord, Producer,
    ProducerSettings, RebalanceEvent, RecordSink, Slot, TopicHandle, TopicSetting, Waker,
};
