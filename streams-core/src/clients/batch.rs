//! Records that a consumer hands out together, and the offsets to commit after them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp, TopicPartition};

use crate::client::GroupMetadata;

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumedRecord<K, V> {
    /// Key.
    pub key: K,
    /// Value.
    pub value: V,
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Kafka's timestamp, ms since the epoch; negative if the record has none.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl<K, V> ConsumedRecord<K, V> {
    /// The partition that it came from.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}

/// Offsets up to which records were consumed: of each partition the next one to read, and who read it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ConsumedOffsets {
    pub(super) offsets: BTreeMap<TopicPartition, i64>,
    /// Proof of membership, so that offsets of partitions that others have by now are refused.
    pub(super) group: GroupMetadata,
}

impl ConsumedOffsets {
    /// The next offset to read of each partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.offsets.iter().map(|(partition, offset)| (partition, *offset))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Takes over what `later` says.
    pub fn merge(&mut self, later: &Self) {
        self.offsets.extend(later.offsets.iter().map(|(partition, offset)| (partition.clone(), *offset)));
        self.group = later.group.clone();
    }
}

impl fmt::Display for ConsumedOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (partition, offset)) in self.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{partition}@{offset}")?;
        }
        Ok(())
    }
}

/// Records that were handed out together: of each partition in offset order. Reads like a slice.
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// # use streams_core::clients::{ConsumerConfig, ProducerConfig, SeekTo, TopicConsumer, TopicProducer};
/// # use streams_core::runtime::clock::SystemClock;
/// # use streams_core::topic::Topic;
/// # const ORDERS: Topic<String, i64> = Topic::new("orders");
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 1)?;
/// # let producer = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
/// # for cents in 0..5 { producer.record().key("ada").value(cents).timestamp(cents * 1_000).send()?; }
/// # producer.close(Duration::from_secs(5))?;
/// let mut orders = TopicConsumer::assign(&kafka, &ORDERS, [0], ConsumerConfig::group("shop"))?;
/// orders.seek_all(SeekTo::Beginning)?;
/// let batch = orders.poll(Duration::from_secs(5))?;
/// assert_eq!(batch.iter().map(|order| order.value).sum::<i64>(), 10);
/// assert_eq!(batch.offsets().to_string(), "orders-0@5");
/// orders.commit_offsets(batch.offsets())?;
/// let partitions = orders.assignment();
/// assert_eq!(orders.committed(&partitions)?, [Some(5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<K, V> {
    pub(super) records: Vec<ConsumedRecord<K, V>>,
    pub(super) offsets: ConsumedOffsets,
}

impl<K, V> Batch<K, V> {
    pub(super) fn new() -> Self {
        Self { records: Vec::new(), offsets: ConsumedOffsets::default() }
    }

    /// Leaves out what came from these partitions.
    pub(super) fn forget(&mut self, gone: &BTreeSet<TopicPartition>) {
        self.records.retain(|record| !gone.contains(&record.topic_partition()));
        self.offsets.offsets.retain(|partition, _| !gone.contains(partition));
    }

    /// What is consumed when all of its records are: to commit, or to send to a transaction.
    pub fn offsets(&self) -> &ConsumedOffsets {
        &self.offsets
    }

    /// Its records.
    pub fn into_records(self) -> Vec<ConsumedRecord<K, V>> {
        self.records
    }
}

impl<K, V> Deref for Batch<K, V> {
    type Target = [ConsumedRecord<K, V>];

    fn deref(&self) -> &Self::Target {
        &self.records
    }
}

impl<K, V> IntoIterator for Batch<K, V> {
    type Item = ConsumedRecord<K, V>;
    type IntoIter = std::vec::IntoIter<ConsumedRecord<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Batch<K, V> {
    type Item = &'a ConsumedRecord<K, V>;
    type IntoIter = std::slice::Iter<'a, ConsumedRecord<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}
