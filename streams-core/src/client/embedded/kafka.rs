//! The handle of an embedded Kafka: makes clients, and does by one call what examples and tests need.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streams_state::types::{Headers, Timestamp, TopicPartition};

use super::admin::EmbeddedAdmin;
use super::clock::Clock;
use super::consumer::EmbeddedConsumer;
use super::errors::unknown_topic;
use super::log::{Log, Now};
use super::producer::EmbeddedProducer;
use crate::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, NewTopic, OffsetSpec,
    Producer, ProducerSettings,
};
use crate::partitioner::partition_for_key;

/// A Kafka in this process. Clones share it; it lives as long as one of them or one of its clients.
///
/// ```
/// use streams_core::client::embedded::{EmbeddedKafka, VirtualClock};
///
/// let kafka = EmbeddedKafka::new(VirtualClock::new(0));
/// kafka.create_topic("lines", 2)?;
/// kafka.produce("lines", Some(1), Some(b"k"), Some(b"hello"), 42)?;
/// let records = kafka.read_all("lines", true)?;
/// assert_eq!((records[0].offset, records[0].value.as_deref()), (0, Some(&b"hello"[..])));
/// assert_eq!(kafka.end_offsets("lines")?, [0, 1]);
/// # Ok::<(), streams_core::client::ClientError>(())
/// ```
#[derive(Clone)]
pub struct EmbeddedKafka(Arc<Shared>);

pub(super) struct Shared {
    log: Mutex<Log>,
    /// Signalled when a waiting call may find something new.
    changed: Condvar,
    /// Calls that wait. Written and read under the lock; nobody is signalled for nothing.
    waiting: AtomicUsize,
    clock: Box<dyn Clock>,
}

/// A record as [`EmbeddedKafka::read_all`] gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms since the epoch.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

impl EmbeddedKafka {
    /// An embedded Kafka without topics that lives by `clock`.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self(Arc::new(Shared {
            log: Mutex::default(),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            clock: Box::new(clock),
        }))
    }

    /// Creates a topic with Kafka's default settings.
    ///
    /// # Errors
    /// [`Fault::AlreadyExists`](crate::client::Fault::AlreadyExists), or
    /// [`Fault::Invalid`](crate::client::Fault::Invalid) for a name or number that Kafka does not accept.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), ClientError> {
        let name = name.to_owned();
        let new = NewTopic { name, partitions, replication_factor: -1, config: Default::default() };
        self.create_topic_with(&new)
    }

    /// Creates a topic with settings.
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub fn create_topic_with(&self, new: &NewTopic) -> Result<(), ClientError> {
        self.0.change(|log, now| log.create_topic(new, now.ms))
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// [`Fault::UnknownTopic`](crate::client::Fault::UnknownTopic) if it is not there.
    pub fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        self.0.change(|log, now| log.delete_topic(name, now.ms))
    }

    /// Names of all topics, sorted.
    pub fn topics(&self) -> Vec<String> {
        self.0.lock().0.topic_names()
    }

    /// Number of partitions of a topic; `None` if it does not exist.
    pub fn partition_count(&self, topic: &str) -> Option<i32> {
        self.0.lock().0.partition_count(topic)
    }

    /// Appends one record outside of transactions, visible at once; gives its partition and offset. Without a
    /// partition the key decides, as Kafka's default partitioner does; without a key it is partition 0.
    ///
    /// # Errors
    /// [`Fault::UnknownTopic`](crate::client::Fault::UnknownTopic), or
    /// [`Fault::BadRecord`](crate::client::Fault::BadRecord) if the topic does not take such a record.
    pub fn produce(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result<(i32, i64), ClientError> {
        self.produce_with_headers(topic, partition, (key, value, timestamp), &Headers::EMPTY)
    }

    /// [`produce`](Self::produce) with headers; the record is key, value and timestamp.
    ///
    /// # Errors
    /// As [`produce`](Self::produce).
    pub fn produce_with_headers(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: (Option<&[u8]>, Option<&[u8]>, Timestamp),
        headers: &Headers,
    ) -> Result<(i32, i64), ClientError> {
        self.0.change(|log, now| {
            let count = log.partition_count(topic).ok_or_else(|| unknown_topic("append", topic))?;
            let partition =
                partition.unwrap_or_else(|| record.0.map_or(0, |key| partition_for_key(key, count)));
            let offset = log.append_one(topic, partition, record, headers, now)?;
            Ok((partition, offset))
        })
    }

    /// All records of a topic, partition by partition in offset order.
    ///
    /// # Errors
    /// [`Fault::UnknownTopic`](crate::client::Fault::UnknownTopic) if it is not there.
    pub fn read_all(&self, topic: &str, read_committed: bool) -> Result<Vec<StoredRecord>, ClientError> {
        let (log, _) = self.0.lock();
        let count = log.partition_count(topic).ok_or_else(|| unknown_topic("read all", topic))?;
        let mut records = Vec::new();
        for partition in 0..count {
            let at = TopicPartition::new(topic, partition);
            let mut next = log.offset(&at, OffsetSpec::Beginning)?;
            loop {
                let fetch = log.fetch(&at, next, read_committed)?;
                for batch in &fetch.batches {
                    batch.records_from(next, |record| {
                        records.push(StoredRecord {
                            partition,
                            offset: record.offset,
                            timestamp: record.timestamp,
                            key: record.key.map(<[u8]>::to_vec),
                            value: record.value.map(<[u8]>::to_vec),
                            headers: record.headers,
                        });
                    });
                }
                next = fetch.next;
                if next >= fetch.end {
                    break;
                }
            }
        }
        Ok(records)
    }

    /// Offset after the last record or marker of each partition of a topic.
    ///
    /// # Errors
    /// [`Fault::UnknownTopic`](crate::client::Fault::UnknownTopic) if it is not there.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<i64>, ClientError> {
        let (log, _) = self.0.lock();
        let count = log.partition_count(topic).ok_or_else(|| unknown_topic("end offsets", topic))?;
        (0..count).map(|p| log.offset(&TopicPartition::new(topic, p), OffsetSpec::End)).collect()
    }

    /// What `group` has committed for a partition; `None` if nothing, or while a transaction that holds it is open.
    pub fn committed_offset(&self, group: &str, partition: &TopicPartition) -> Option<CommittedOffset> {
        let (log, _) = self.0.lock();
        log.committed(group, std::slice::from_ref(partition))?.into_iter().next().flatten()
    }

    /// Compacts a topic now, whatever its `cleanup.policy`: of each key the last decided record stays, offsets stay
    /// as they are, aborted records go, tombstones go `delete.retention.ms` after they were first compacted.
    ///
    /// # Errors
    /// [`Fault::UnknownTopic`](crate::client::Fault::UnknownTopic) if it is not there.
    pub fn compact(&self, topic: &str) -> Result<(), ClientError> {
        self.0.change(|log, now| {
            let topic = log.topic_mut("compact", topic)?;
            for partition in &mut topic.partitions {
                partition.compact(now.ms, topic.settings.delete_retention_ms);
            }
            Ok(())
        })
    }

    /// Ends the sessions of all members of a group now, as if none had answered for `session.timeout.ms`: each finds
    /// its partitions lost at its next poll.
    pub fn expire_members(&self, group: &str) {
        let expired = self.0.change(|log, now| {
            log.group(group).expire_members(now.ms);
            log.stir();
            log.advance(now.ms);
            Ok(())
        });
        debug_assert!(expired.is_ok(), "nothing in it fails");
    }
}

#[cfg(feature = "sim")]
impl EmbeddedKafka {
    /// What all clients share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Shared {
    /// The log, advanced to the clock's time.
    pub(super) fn lock(&self) -> (MutexGuard<'_, Log>, Now) {
        let now = Now { ms: self.clock.now_ms(), is_virtual: self.clock.is_virtual() };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.advance(now.ms) {
            self.changed.notify_all();
        }
        (log, now)
    }

    /// Wakes the calls that wait: the lock lets none of them be between its look and its wait.
    pub(super) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Changes the log, and wakes the calls that wait for a change.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Log, Now) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let (mut log, now) = self.lock();
        let answer = change(&mut log, now);
        let somebody_waits = self.waiting.load(Ordering::Relaxed) > 0;
        drop(log);
        if somebody_waits {
            self.changed.notify_all();
        }
        answer
    }

    /// Asks until `ask` has an answer or `timeout` is over; on a virtual clock asks once.
    pub(super) fn wait_for<T>(
        &self,
        timeout: Duration,
        mut ask: impl FnMut(&mut Log, Now) -> Option<T>,
    ) -> Option<T> {
        let mut deadline_ms =
            self.clock.now_ms().saturating_add(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
        let (mut log, mut now) = self.lock();
        loop {
            if let Some(answer) = ask(&mut log, now) {
                return Some(answer);
            }
            if now.is_virtual || now.ms >= deadline_ms {
                return None;
            }
            let wake_ms = log.next_deadline_ms().map_or(deadline_ms, |at| at.min(deadline_ms));
            let wait = Duration::from_millis(u64::try_from(wake_ms - now.ms).unwrap_or(0).max(1));
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let (guard, _) = self.changed.wait_timeout(log, wait).unwrap_or_else(PoisonError::into_inner);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            log = guard;
            let woken_ms = self.clock.now_ms();
            // A clock that was set back does not make anybody wait longer.
            deadline_ms -= (now.ms - woken_ms).max(0);
            now.ms = woken_ms;
            if log.advance(now.ms) {
                self.changed.notify_all();
            }
        }
    }
}

impl ClientSupplier for EmbeddedKafka {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        Ok(Box::new(EmbeddedConsumer::new(Arc::clone(&self.0), settings)?))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        Ok(Box::new(EmbeddedProducer::new(Arc::clone(&self.0), settings)?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        Ok(Box::new(EmbeddedAdmin::new(Arc::clone(&self.0))))
    }

    fn describe(&self) -> String {
        "embedded log".to_owned()
    }
}
