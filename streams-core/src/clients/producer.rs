//! The typed producer: records of a topic into the queue of its thread, and what can be asked of that thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use streams_state::serdes::{Part, Serde, SerdeRef, for_topic};

use super::batch::ConsumedOffsets;
use super::metadata::Sent;
use super::new_record::NewRecord;
use super::producer_config::ProducerConfig;
use super::queue::{Outgoing, Queue, Refusal};
use super::send_error::SendError;
use super::transaction::TransactionError;
use super::worker::{Worker, deadline_after, remaining};
use crate::client::{ClientError, ClientSupplier, Fault};
use crate::error::BoxError;
use crate::partitioner::Sticky;
use crate::topic::Topic;

/// How long the number of partitions of a topic is believed: Kafka's default of `metadata.max.age.ms`.
const METADATA_MAX_AGE: Duration = Duration::from_secs(300);

/// Chooses by key, value and the number of partitions.
type Partitioner<K, V> = Arc<dyn Fn(Option<&K>, Option<&V>, i32) -> i32 + Send + Sync>;

/// What all handles of a producer share. Its thread ends after the last of them.
struct Shared {
    queue: Arc<Queue>,
    config: ProducerConfig,
    /// Partitions of topics, and when they were looked up.
    partitions: Mutex<HashMap<Arc<str>, (i32, Instant)>>,
    /// Whether a transaction is open, as far as the callers know.
    in_transaction: Mutex<bool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Writes typed records to a topic, on a thread of its own. Clones, and producers of other topics made by
/// [`for_topic`](Self::for_topic), share the thread, the client and its transaction.
///
/// ```
/// use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// use streams_core::clients::{ProducerConfig, TopicProducer};
/// # use streams_core::runtime::clock::SystemClock;
/// use streams_core::topic::Topic;
///
/// const ORDERS: Topic<String, i64> = Topic::new("orders");
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 2)?;
/// let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
/// for cents in [500, 300] {
///     orders.send("ada", cents)?; // does not wait for the cluster
/// }
/// orders.flush(Duration::from_secs(5))?; // all are written, or this says which failure came first
/// orders.close(Duration::from_secs(5))?;
/// # assert_eq!(kafka.read_all("orders", true)?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In transactions: [`transaction`](Self::transaction).
pub struct TopicProducer<K, V> {
    shared: Arc<Shared>,
    pub(super) topic: Arc<str>,
    pub(super) keys: SerdeRef<K>,
    pub(super) values: SerdeRef<V>,
    pub(super) partitioner: Option<Partitioner<K, V>>,
    sticky: Arc<Mutex<Sticky>>,
}

impl<K, V> Clone for TopicProducer<K, V> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            topic: self.topic.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            partitioner: self.partitioner.clone(),
            sticky: self.sticky.clone(),
        }
    }
}

impl<K: 'static, V: 'static> TopicProducer<K, V> {
    /// A producer for `topic`. Nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// A setting is wrong: all faults, or what the client says of them.
    pub fn new<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        kafka: &(impl ClientSupplier + Clone + 'static),
        topic: &Topic<K, V, KS, VS>,
        config: ProducerConfig,
    ) -> Result<Self, ClientError> {
        let call = "make a producer";
        let invalid = |why: String| ClientError::new(Fault::Invalid, call, why);
        config.validate().map_err(|error| invalid(error.to_string()))?;
        let queue = Arc::new(Queue::new(config.buffer_memory));
        let supplier = Arc::new(kafka.clone());
        let worker = Worker::new(supplier, config.settings(), queue.clone(), config.delivery_timeout)?;
        let thread = thread::Builder::new().name("topic-producer".to_owned());
        thread.spawn(move || worker.run()).map_err(|error| invalid(format!("no thread: {error}")))?;
        let partitions = Mutex::default();
        let shared = Arc::new(Shared { queue, config, partitions, in_transaction: Mutex::new(false) });
        Ok(Self::on(shared, topic))
    }

    fn on<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        shared: Arc<Shared>,
        topic: &Topic<K, V, KS, VS>,
    ) -> Self {
        Self {
            shared,
            topic: topic.name().into(),
            keys: for_topic(&topic.key_serde(), topic.name(), Part::Key),
            values: for_topic(&topic.value_serde(), topic.name(), Part::Value),
            partitioner: None,
            sticky: Arc::default(),
        }
    }

    /// A producer for another topic, on the same thread and in the same transaction.
    pub fn for_topic<K2: 'static, V2: 'static, KS, VS>(
        &self,
        topic: &Topic<K2, V2, KS, VS>,
    ) -> TopicProducer<K2, V2>
    where
        KS: Serde<K2> + Default,
        VS: Serde<V2> + Default,
    {
        TopicProducer::on(self.shared.clone(), topic)
    }

    /// The same producer, with a function that chooses the partition by key, value and the number of partitions. Default: by
    /// the bytes of the key as Kafka's, the same for records without a key until a batch is full.
    #[must_use]
    pub fn partitioned_by(
        self,
        partitioner: impl Fn(Option<&K>, Option<&V>, i32) -> i32 + Send + Sync + 'static,
    ) -> Self {
        Self { partitioner: Some(Arc::new(partitioner)), ..self }
    }

    /// Sends a record; see [`NewRecord::send`].
    ///
    /// # Errors
    /// As [`NewRecord::send`].
    pub fn send(&self, key: impl Into<K>, value: impl Into<V>) -> Result<Sent, SendError> {
        self.record().key(key).value(value).send()
    }

    /// A record with headers, a timestamp, a partition, or without key or value.
    pub fn record(&self) -> NewRecord<'_, K, V> {
        NewRecord::new(self)
    }

    /// Waits until all records that were sent before, by all handles, are acknowledged.
    ///
    /// # Errors
    /// The first failure since the last flush, or [`SendError::Pending`] when `timeout` is over.
    pub fn flush(&self, timeout: Duration) -> Result<(), SendError> {
        let deadline = deadline_after(timeout);
        let flushed = self.shared.queue.call(timeout, move |worker| {
            let left = worker.flush(remaining(deadline));
            (left, worker.told_failure())
        });
        match flushed {
            Some((_, Some(failure))) => Err(failure),
            Some((Ok(0), None)) => Ok(()),
            Some((Err(source), None)) => Err(self.no_metadata(source)),
            Some((Ok(_), None)) | None => {
                Err(SendError::Pending { topic: self.topic.clone(), waited: timeout })
            }
        }
    }

    /// Waits until everything is acknowledged and closes the producer, for all handles. An open transaction is aborted.
    ///
    /// # Errors
    /// The first failure since the last flush; or records were not acknowledged within `timeout`, and may or may not have been
    /// written.
    pub fn close(&self, timeout: Duration) -> Result<(), SendError> {
        let deadline = deadline_after(timeout);
        let queue = self.shared.queue.clone();
        let closed = self.shared.queue.call(timeout, move |worker| {
            queue.close();
            let failure = worker.failure.take();
            (worker.finish(remaining(deadline)), failure)
        });
        self.shared.queue.close();
        match closed {
            Some((_, Some(failure))) => Err(failure),
            Some((0, None)) => Ok(()),
            Some((unacknowledged, None)) => {
                Err(SendError::Closed { topic: self.topic.clone(), unacknowledged })
            }
            None if self.shared.queue.has_ended() => Ok(()),
            None => Err(SendError::Pending { topic: self.topic.clone(), waited: timeout }),
        }
    }

    fn no_metadata(&self, source: ClientError) -> SendError {
        SendError::NoMetadata { topic: self.topic.clone(), source }
    }

    /// Settings.
    pub(super) fn config(&self) -> &ProducerConfig {
        &self.shared.config
    }

    /// The partition for a record without a key.
    pub(super) fn keyless(&self, bytes: u64, partitions: i32) -> i32 {
        let mut sticky = self.sticky.lock().unwrap_or_else(PoisonError::into_inner);
        sticky.next(bytes, self.config().batch_size, partitions)
    }

    /// How many partitions the topic has.
    pub(super) fn partitions(&self) -> Result<i32, SendError> {
        let known = || self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(&self.topic).copied();
        let now = Instant::now();
        if let Some((count, at)) = found
            && now.duration_since(at) < METADATA_MAX_AGE
        {
            return Ok(count);
        }
        let (topic, timeout) = (self.topic.clone(), self.config().max_block);
        let asked = self.shared.queue.call(timeout, move |worker| worker.partitions(&topic, timeout));
        let count = match (asked, found) {
            (Some(Ok(count)), _) => count,
            // What was known is still the best guess.
            (_, Some((count, _))) => count,
            (Some(Err(source)), None) => return Err(self.no_metadata(source)),
            (None, None) if self.shared.queue.has_ended() => {
                return Err(SendError::Closed { topic: self.topic.clone(), unacknowledged: 0 });
            }
            (None, None) => {
                let message = format!("no answer within max.block.ms={}", timeout.as_millis());
                let call = format!("describe topic `{}`", self.topic);
                return Err(self.no_metadata(ClientError::new(Fault::Unreachable, call, message)));
            }
        };
        known().insert(self.topic.clone(), (count, now));
        Ok(count)
    }

    /// Queues a record.
    pub(super) fn enqueue(&self, record: Outgoing) -> Result<(), SendError> {
        if self.config().transactional_id.is_some() && !*self.in_transaction() {
            return Err(SendError::NoTransaction { topic: self.topic.clone() });
        }
        let (topic, waited) = (self.topic.clone(), self.config().max_block);
        self.shared.queue.push(record, waited).map_err(|refusal| match refusal {
            Refusal::NoRoom(waiting) => {
                SendError::NoRoom { topic, waited, waiting, limit: self.shared.queue.limit }
            }
            Refusal::Closed => SendError::Closed { topic, unacknowledged: 0 },
        })
    }

    fn in_transaction(&self) -> std::sync::MutexGuard<'_, bool> {
        self.shared.in_transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Transactions.
impl<K: 'static, V: 'static> TopicProducer<K, V> {
    /// Does `work` in a transaction, and commits it; if `work` fails the transaction is aborted. Each step has `timeout`.
    ///
    /// What `work` sends through this producer, its clones and [`for_topic`](Self::for_topic) is visible to readers of committed
    /// records all at once, together with the offsets that it [sends](Self::send_offsets).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::client::embedded::EmbeddedKafka;
    /// # use streams_core::clients::{ConsumerConfig, ProducerConfig, TopicConsumer, TopicProducer, TransactionError};
    /// # use streams_core::runtime::clock::SystemClock;
    /// # use streams_core::topic::Topic;
    /// # use streams_core::topology::OffsetReset;
    /// # const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// # const INVOICES: Topic<String, i64> = Topic::new("invoices");
    /// # let kafka = EmbeddedKafka::new(SystemClock);
    /// # kafka.create_topic("orders", 1)?;
    /// # kafka.create_topic("invoices", 1)?;
    /// # let feeder = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    /// # feeder.send("ada", 500)?;
    /// # feeder.close(Duration::from_secs(5))?;
    /// # let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("billing") };
    /// # let soon = Duration::from_secs(10);
    /// let mut orders = TopicConsumer::subscribe(&kafka, &[&ORDERS], config)?;
    /// let invoices = TopicProducer::new(&kafka, &INVOICES, ProducerConfig::transactional("billing-1"))?;
    ///
    /// let batch = orders.poll(soon)?;
    /// let done = invoices.transaction(soon, |invoices| {
    ///     for order in batch.iter() {
    ///         invoices.send(order.key.as_str(), order.value * 2)?;
    ///     }
    ///     invoices.send_offsets(batch.offsets(), soon)?;
    ///     Ok(())
    /// });
    /// match done {
    ///     Ok(()) => {}
    ///     Err(error @ TransactionError::Fenced { .. }) => return Err(error.into()),
    ///     Err(_) => orders.rewind()?, // aborted, or not known: the committed offsets say what is done
    /// }
    /// # assert_eq!(kafka.read_all("invoices", true)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What is known of the outcome.
    pub fn transaction<T>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Self) -> Result<T, BoxError>,
    ) -> Result<T, TransactionError> {
        self.begin_transaction(timeout)?;
        match work(self) {
            Ok(done) => self.commit_transaction(timeout).map(|()| done),
            // What ended the transaction says more than that it has ended.
            Err(source) if !*self.in_transaction() => Err(match source.downcast::<TransactionError>() {
                Ok(error) => *error,
                Err(source) => TransactionError::Aborted { id: self.id(), source },
            }),
            Err(source) => {
                self.abort_transaction(timeout)?;
                Err(TransactionError::Aborted { id: self.id(), source })
            }
        }
    }

    /// Begins a transaction. The first one fences older producers of the same transactional id, and settles what they left open.
    ///
    /// # Errors
    /// Nothing was begun.
    pub fn begin_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        let begun = self.transaction_call("begin", timeout, |worker, deadline| worker.begin(deadline));
        *self.in_transaction() |= begun.is_ok();
        begun
    }

    /// Adds offsets that a consumer handed out to the transaction: they are committed with it, if the consumer still owns the
    /// partitions.
    ///
    /// # Errors
    /// The transaction is aborted, or this producer is fenced.
    pub fn send_offsets(&self, offsets: &ConsumedOffsets, timeout: Duration) -> Result<(), TransactionError> {
        let offsets = offsets.clone();
        let sent = self.transaction_call("send offsets", timeout, move |worker, deadline| {
            worker.send_offsets(&offsets, deadline)
        });
        *self.in_transaction() &= sent.is_ok();
        sent
    }

    /// Commits the transaction, after all its records are acknowledged.
    ///
    /// # Errors
    /// What is known of the outcome. In any case the transaction has ended.
    pub fn commit_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        *self.in_transaction() = false;
        self.transaction_call("commit", timeout, |worker, deadline| worker.commit(deadline))
    }

    /// Aborts the transaction.
    ///
    /// # Errors
    /// None is open, or this producer is fenced.
    pub fn abort_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        *self.in_transaction() = false;
        self.transaction_call("abort", timeout, |worker, deadline| worker.abort(deadline))
    }

    fn id(&self) -> String {
        self.config().transactional_id.clone().unwrap_or_default()
    }

    fn transaction_call(
        &self,
        call: &'static str,
        timeout: Duration,
        work: impl FnOnce(&mut Worker, Instant) -> Result<(), TransactionError> + Send + 'static,
    ) -> Result<(), TransactionError> {
        if self.config().transactional_id.is_none() {
            return Err(TransactionError::Misused(format!(
                "{call}: the producer of topic `{}` has no `transactional.id`; set it",
                self.topic
            )));
        }
        // The thread gives up a little earlier than the caller, who then hears more than that there was no answer.
        let deadline = deadline_after(timeout / 10 * 9);
        let answer = self.shared.queue.call(timeout, move |worker| work(worker, deadline));
        answer.unwrap_or_else(|| {
            if self.shared.queue.has_ended() {
                return Err(TransactionError::Misused(format!("{call}: the producer is closed")));
            }
            let id = self.id();
            let source = ClientError::new(Fault::Unknown, call, format!("no answer within {timeout:?}"));
            Err(match call {
                "begin" => TransactionError::NotBegun { id, source },
                _ => TransactionError::Unknown { id, source },
            })
        })
    }
}
