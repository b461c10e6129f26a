//! A record that is being put together.

use std::sync::Arc;

use streams_state::serdes::{Part, SerdeError};
use streams_state::types::{Headers, Timestamp};

use super::metadata::Sent;
use super::producer::TopicProducer;
use super::promise::promise;
use super::queue::Outgoing;
use super::send_error::SendError;
use crate::partitioner::partition_for_key;
use crate::record::size_upper_bound;

/// Where a record goes.
enum Place {
    /// Where the partitioner says.
    ByKey,
    /// Where a record with this key would go.
    ByOtherKey(Vec<u8>),
    Explicit(i32),
}

/// A record that is being put together. From [`TopicProducer::record`]; what is not said is null, or the default.
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// # use streams_core::clients::{ProducerConfig, TopicProducer};
/// # use streams_core::runtime::clock::SystemClock;
/// # use streams_core::topic::Topic;
/// # const ORDERS: Topic<String, i64> = Topic::new("orders");
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 4)?;
/// # let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
/// let sent = orders.record().key("ada").value(500).header("trace", "7f").timestamp(1_000).partition(3).send()?;
/// assert_eq!(sent.wait(Duration::from_secs(5))?.partition, 3);
/// orders.record().key("ada").send()?; // a null value: deletes the row of a table
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a record goes out with `send`"]
pub struct NewRecord<'a, K, V> {
    producer: &'a TopicProducer<K, V>,
    key: Option<K>,
    value: Option<V>,
    timestamp: Option<Timestamp>,
    headers: Headers,
    place: Place,
}

impl<'a, K: 'static, V: 'static> NewRecord<'a, K, V> {
    pub(super) fn new(producer: &'a TopicProducer<K, V>) -> Self {
        let (timestamp, headers) = (None, Headers::EMPTY);
        Self { producer, key: None, value: None, timestamp, headers, place: Place::ByKey }
    }

    /// Key.
    pub fn key(self, key: impl Into<K>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Value.
    pub fn value(self, value: impl Into<V>) -> Self {
        Self { value: Some(value.into()), ..self }
    }

    /// Timestamp, ms since the epoch. Default: now.
    pub fn timestamp(self, timestamp: Timestamp) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// Adds a header.
    pub fn header(mut self, key: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(key, Some(value.as_ref().to_vec()));
        self
    }

    /// These headers, in place of those before.
    pub fn headers(self, headers: Headers) -> Self {
        Self { headers, ..self }
    }

    /// To this partition.
    pub fn partition(self, partition: i32) -> Self {
        Self { place: Place::Explicit(partition), ..self }
    }

    /// To the partition where a record with these key bytes would go.
    pub fn partition_key(self, key: impl AsRef<[u8]>) -> Self {
        Self { place: Place::ByOtherKey(key.as_ref().to_vec()), ..self }
    }

    /// Sends it. Waits for room in `buffer.memory`, and the first time for the partitions of the topic, up to `max.block.ms`.
    ///
    /// # Errors
    /// It has no bytes, is too large, has no place to go, found no room, or the producer is closed.
    pub fn send(mut self) -> Result<Sent, SendError> {
        let producer = self.producer;
        let key = bytes(&producer.keys, self.key.as_ref(), &mut self.headers);
        let key = key.map_err(|source| self.serialization(Part::Key, source))?;
        let value = bytes(&producer.values, self.value.as_ref(), &mut self.headers);
        let value = value.map_err(|source| self.serialization(Part::Value, source))?;
        let size = size_upper_bound(key.as_deref(), value.as_deref(), &self.headers);
        let max = producer.config().max_request_size;
        if size > max {
            return Err(SendError::TooLarge { topic: producer.topic.clone(), bytes: size, max });
        }
        let partition = self.choose(key.as_deref(), size)?;
        let (fate, sent) = promise();
        let record = Outgoing {
            topic: Arc::clone(&producer.topic),
            partition,
            timestamp: self.timestamp,
            key,
            value,
            headers: self.headers,
            bytes: size as u64,
            fate,
        };
        producer.enqueue(record)?;
        Ok(Sent { topic: producer.topic.clone(), fate: sent })
    }

    fn serialization(&self, part: Part, source: SerdeError) -> SendError {
        SendError::Serialization { topic: self.producer.topic.clone(), part, source }
    }

    fn choose(&self, key: Option<&[u8]>, size: usize) -> Result<i32, SendError> {
        let producer = self.producer;
        let partitions = producer.partitions()?;
        let partition = match (&self.place, &producer.partitioner, key) {
            (Place::Explicit(partition), _, _) => *partition,
            (Place::ByOtherKey(key), _, _) => partition_for_key(key, partitions),
            (Place::ByKey, Some(choose), _) => choose(self.key.as_ref(), self.value.as_ref(), partitions),
            (Place::ByKey, None, Some(key)) => partition_for_key(producer.keys.base_key(key), partitions),
            (Place::ByKey, None, None) => producer.keyless(size as u64, partitions),
        };
        if (0..partitions).contains(&partition) {
            return Ok(partition);
        }
        Err(SendError::NoPartition { topic: producer.topic.clone(), partition, partitions })
    }
}

/// The bytes of a part; `None` is null.
fn bytes<T: 'static>(
    serde: &streams_state::serdes::SerdeRef<T>,
    part: Option<&T>,
    headers: &mut Headers,
) -> Result<Option<Vec<u8>>, SerdeError> {
    let Some(part) = part else { return Ok(None) };
    let mut bytes = Vec::new();
    let some = serde.serialize_with_headers(part, headers, &mut bytes)?;
    Ok(some.then_some(bytes))
}
