//! Typed producers and consumers beside a topology: a service feeds its input topics and reads its results by the same
//! [`Topic`](crate::topic::Topic) constants, on Kafka and on the embedded log.
//!
//! ```
//! use std::time::Duration;
//! use streams_core::client::embedded::EmbeddedKafka;
//! use streams_core::clients::{ConsumerConfig, ProducerConfig, TopicConsumer, TopicProducer};
//! use streams_core::runtime::clock::SystemClock;
//! use streams_core::topic::Topic;
//! use streams_core::topology::OffsetReset;
//!
//! const ORDERS: Topic<String, i64> = Topic::new("orders");
//!
//! let kafka = EmbeddedKafka::new(SystemClock); // or RdKafka::new("localhost:9092", properties)
//! kafka.create_topic("orders", 2)?;
//!
//! let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
//! let sent = orders.send("ada", 500)?;
//! assert_eq!(sent.wait(Duration::from_secs(5))?.offset, Some(0)); // or `sent.await?`
//!
//! let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("shop") };
//! let mut reader = TopicConsumer::subscribe(&kafka, &[&ORDERS], config)?;
//! let batch = reader.poll(Duration::from_secs(5))?;
//! assert_eq!((batch[0].key.as_str(), batch[0].value), ("ada", 500));
//! reader.commit()?;
//! reader.close(Duration::from_secs(5))?;
//! orders.close(Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! |---|---|
//! | settings | `properties` (what both have in common), [`ProducerConfig`], [`ConsumerConfig`] |
//! | waiting | `promise`: an answer that comes later, for threads and for tasks |
//! | writing | [`TopicProducer`], [`NewRecord`], [`Sent`]; `queue` and `worker` are the thread between them and the client |
//! | transactions | `transaction`: [`TransactionError`] says what is known of the outcome |
//! | reading | [`TopicConsumer`], [`Partitions`] (positions, commits, rebalances), [`Batch`] |
//! | awaiting | [`BatchStream`], [`RecordStream`] |
//!
//! Nothing here knows librdkafka: all of it is made of the traits of [`client`](crate::client).

mod properties;

mod consumer_config;
mod producer_config;

mod promise;

mod send_error;

mod metadata;
mod queue;
mod transaction;
mod worker;

mod new_record;
mod producer;

mod consumer_error;

mod batch;
mod partitions;
mod rebalance;

mod consumer;
mod intake;
mod pattern;

mod stream;

pub use batch::{Batch, ConsumedOffsets, ConsumedRecord};
pub use consumer::TopicConsumer;
pub use consumer_config::{Assignor, ConsumerConfig, IsolationLevel};
pub use consumer_error::{BadRecord, ConsumerError};
pub use metadata::{RecordMetadata, Sent};
pub use new_record::NewRecord;
pub use partitions::{Partitions, SeekTo};
pub use producer::TopicProducer;
pub use producer_config::{Acks, Compression, ProducerConfig};
pub use promise::Promise;
pub use rebalance::RebalanceListener;
pub use send_error::SendError;
pub use stream::{BatchStream, RecordStream};
pub use transaction::TransactionError;

#[cfg(test)]
mod tests;
