//! The typed consumer: polls the client, serves its membership, hands out batches.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use streams_state::serdes::{Auto, Serde};
use streams_state::types::TopicPartition;

use super::batch::{Batch, ConsumedOffsets, ConsumedRecord};
use super::consumer_config::ConsumerConfig;
use super::consumer_error::ConsumerError;
use super::intake::{Intake, TopicSerdes};
use super::partitions::Partitions;
use super::pattern::Pattern;
use super::rebalance::RebalanceListener;
use super::worker::{deadline_after, remaining};
use crate::client::{ClientError, ClientSupplier, Consumer, Fault, RebalanceEvent};
use crate::topic::Topic;
use crate::topology::SourcePattern;

/// How long a consumer that is dropped may take to leave its group.
const DROP: Duration = Duration::from_secs(1);

/// Reads typed records: as a member of a group ([`subscribe`](Self::subscribe)) or of partitions that the program names
/// ([`assign`](Self::assign)); a pattern may say which topics ([`subscribe_pattern`](Self::subscribe_pattern)). Seeks, positions and commits are those of its [`Partitions`].
///
/// ```
/// use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// use streams_core::clients::{ConsumerConfig, ConsumerError, SeekTo, TopicConsumer};
/// # use streams_core::runtime::clock::SystemClock;
/// use streams_core::topic::Topic;
/// use streams_core::topology::OffsetReset;
///
/// const ORDERS: Topic<String, i64> = Topic::new("orders");
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 1)?;
/// # kafka.produce("orders", Some(0), Some(b"a"), Some(&5_i64.to_be_bytes()), 0)?;
/// # kafka.produce("orders", Some(0), Some(b"a"), Some(b"many"), 0)?;
/// # kafka.produce("orders", Some(0), Some(b"a"), Some(&7_i64.to_be_bytes()), 0)?;
/// let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("shop") };
/// let mut orders = TopicConsumer::subscribe(&kafka, &[&ORDERS], config)?;
/// let mut cents = 0;
/// while cents < 12 {
///     match orders.poll(Duration::from_millis(100)) {
///         Ok(batch) => cents += batch.iter().map(|order| order.value).sum::<i64>(),
///         Err(ConsumerError::BadRecord(bad)) => orders.skip(&bad)?, // its bytes are in it
///         Err(error) if error.is_retriable() => eprintln!("{error}"),
///         Err(error) => return Err(error.into()),
///     }
///     orders.commit()?;
/// }
/// orders.seek_all(SeekTo::Beginning)?;
/// assert_eq!(orders.poll(Duration::from_secs(5))?[0].value, 5);
/// orders.close(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TopicConsumer<K, V> {
    partitions: Partitions,
    serdes: Vec<TopicSerdes<K, V>>,
    listener: Option<Box<dyn RebalanceListener>>,
    /// A step of a rebalance that came with records, which go first.
    rebalance: Option<RebalanceEvent>,
    /// Rebalances so far.
    pub(super) rebalances: u64,
    /// Partitions that were given back or lost, for who still holds records of them.
    pub(super) gone: BTreeSet<TopicPartition>,
    /// What topics it reads, if a pattern says that.
    pattern: Option<Pattern<K, V>>,
    in_group: bool,
    closed: bool,
}

impl<K, V> Deref for TopicConsumer<K, V> {
    type Target = Partitions;

    fn deref(&self) -> &Partitions {
        &self.partitions
    }
}

impl<K, V> DerefMut for TopicConsumer<K, V> {
    fn deref_mut(&mut self) -> &mut Partitions {
        &mut self.partitions
    }
}

impl<K: 'static, V: 'static> TopicConsumer<K, V> {
    /// A member of the group in `config`, for topics of the same types. The group is joined while it is polled.
    ///
    /// # Errors
    /// A setting is wrong, or there is no group.
    pub fn subscribe<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        kafka: &dyn ClientSupplier,
        topics: &[&Topic<K, V, KS, VS>],
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        let call = "subscribe";
        if config.group_id.is_none() {
            return Err(invalid(call, "there is no group; set `group.id`, or use `assign`").into());
        }
        if topics.is_empty() {
            return Err(invalid(call, "there is no topic; name at least one").into());
        }
        let mut consumer = Self::new(kafka, topics, config)?;
        consumer.in_group = true;
        let names: Vec<String> = topics.iter().map(|topic| topic.name().to_owned()).collect();
        consumer.partitions.client.subscribe(&names)?;
        Ok(consumer)
    }

    /// A reader of exactly these partitions, outside of any rebalance. With a group in `config` they begin at its offsets, and can be
    /// committed as long as the group has no members.
    ///
    /// # Errors
    /// A setting is wrong, or the cluster does not answer within `default.api.timeout.ms`.
    pub fn assign<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        kafka: &dyn ClientSupplier,
        topic: &Topic<K, V, KS, VS>,
        partitions: impl IntoIterator<Item = i32>,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        let at = |partition| TopicPartition::new(topic.name(), partition);
        let partitions: Vec<TopicPartition> = partitions.into_iter().map(at).collect();
        let mut consumer = Self::new(kafka, &[topic], config)?;
        let deadline = deadline_after(consumer.config.default_api_timeout);
        consumer.partitions.begin(&partitions, deadline, |client, places| client.assign(places))?;
        Ok(consumer)
    }

    /// A reader of all partitions that the topic has now.
    ///
    /// # Errors
    /// As [`assign`](Self::assign), or the topic does not exist.
    pub fn assign_all<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        kafka: &dyn ClientSupplier,
        topic: &Topic<K, V, KS, VS>,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        let name = topic.name().to_owned();
        let found = kafka.admin()?.describe_topics(&[name], config.default_api_timeout)?;
        let Some(found) = found.into_iter().next().flatten() else {
            let message = format!("topic `{}` does not exist", topic.name());
            return Err(ClientError::new(Fault::UnknownTopic, "assign all partitions", message).into());
        };
        Self::assign(kafka, topic, 0..found.partitions, config)
    }

    /// A member of the group in `config`, for all topics whose whole names match the regular expression `pattern`, with the default
    /// serdes. As in Kafka it is held against the topics of the cluster every `metadata.max.age.ms` (5 minutes): one that appears is
    /// read from then on, one that is deleted is left, and what Kafka keeps for itself is never read. Without a topic that matches it
    /// waits for one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::client::embedded::EmbeddedKafka;
    /// # use streams_core::clients::{ConsumerConfig, TopicConsumer};
    /// # use streams_core::runtime::clock::SystemClock;
    /// # use streams_core::topology::OffsetReset;
    /// # let kafka = EmbeddedKafka::new(SystemClock);
    /// # for topic in ["orders-north", "orders-south", "returns"] {
    /// #     kafka.create_topic(topic, 1)?;
    /// #     kafka.produce(topic, Some(0), Some(b"ada"), Some(&5_i64.to_be_bytes()), 0)?;
    /// # }
    /// let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("shop") };
    /// let mut orders = TopicConsumer::<String, i64>::subscribe_pattern(&kafka, "orders-.*", config)?;
    /// let batch = orders.poll(Duration::from_secs(5))?;
    /// assert_eq!(batch.len(), 2, "of orders-north and orders-south");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A setting or the pattern is wrong, or there is no group.
    pub fn subscribe_pattern(
        kafka: &dyn ClientSupplier,
        pattern: &str,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError>
    where
        Auto: Serde<K> + Serde<V>,
    {
        Self::subscribe_pattern_with(kafka, pattern, Auto, Auto, config)
    }

    /// [`subscribe_pattern`](Self::subscribe_pattern) with these serdes.
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_pattern_with(
        kafka: &dyn ClientSupplier,
        pattern: &str,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        let call = "subscribe";
        if config.group_id.is_none() {
            return Err(invalid(call, "there is no group; set `group.id`").into());
        }
        let pattern = SourcePattern::new(pattern).map_err(|error| invalid(call, error.faults.join(" ")))?;
        let every = config.metadata_max_age();
        let mut consumer = Self::of(kafka, Vec::new(), config)?;
        consumer.in_group = true;
        consumer.pattern =
            Some(Pattern::new(pattern, every, kafka.admin()?, Arc::new(keys), Arc::new(values)));
        Ok(consumer)
    }

    fn new<KS: Serde<K> + Default, VS: Serde<V> + Default>(
        kafka: &dyn ClientSupplier,
        topics: &[&Topic<K, V, KS, VS>],
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        let serdes = topics
            .iter()
            .map(|topic| TopicSerdes::of(topic.name(), &topic.key_serde(), &topic.value_serde()));
        Self::of(kafka, serdes.collect(), config)
    }

    fn of(
        kafka: &dyn ClientSupplier,
        serdes: Vec<TopicSerdes<K, V>>,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumerError> {
        config.validate().map_err(|error| invalid("make a consumer", error.to_string()))?;
        let client = kafka.consumer(&config.settings())?;
        Ok(Self {
            serdes,
            partitions: Partitions::new(client, config),
            listener: None,
            rebalance: None,
            rebalances: 0,
            gone: BTreeSet::new(),
            pattern: None,
            in_group: false,
            closed: false,
        })
    }

    /// Tells `listener` of partitions that come and go.
    #[must_use]
    pub fn with_listener(mut self, listener: impl RebalanceListener + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// The next records, at most `max.poll.records`; waits for the first up to `timeout`. Serves the membership, too: who does not
    /// poll for `max.poll.interval.ms` loses the partitions. Newly assigned partitions may take 100 ms more.
    ///
    /// # Errors
    /// A partition cannot be read on ([`ConsumerError::BadRecord`] and the like): all records before were handed out, and nothing but this
    /// error comes until somebody decides. Or the client failed.
    pub fn poll(&mut self, timeout: Duration) -> Result<Batch<K, V>, ConsumerError> {
        let deadline = deadline_after(timeout);
        self.partitions.commit_automatically(false, deadline);
        self.poll_up_to(self.config.max_poll_records, deadline)
    }

    /// [`poll`](Self::poll) of at most `max` records, without automatic commit. With none it only serves the membership.
    pub(super) fn poll_up_to(&mut self, max: usize, deadline: Instant) -> Result<Batch<K, V>, ConsumerError> {
        loop {
            if let Some(event) = self.rebalance.take()
                && !self.take_up(event, deadline)?
            {
                return Ok(Batch::new());
            }
            if self.partitions.lost && !self.find_lost(deadline)? {
                return Ok(Batch::new());
            }
            if let Some(pattern) = &mut self.pattern {
                pattern.look(&mut *self.partitions.client, &mut self.serdes)?;
            }
            let mut batch = Batch::new();
            let halted = self.partitions.halted();
            let max = if halted.is_some() { 0 } else { max };
            let until_look = self.pattern.as_ref().map_or(Duration::MAX, Pattern::due_in);
            let wait = if max == 0 { Duration::ZERO } else { remaining(deadline).min(until_look) };
            let Partitions { client, places, .. } = &mut self.partitions;
            let mut intake = Intake { places, serdes: &self.serdes, batch: &mut batch, max };
            match client.poll(wait, &mut intake) {
                Ok(polled) => self.rebalance = polled.rebalance,
                Err(error) if error.fault == Fault::OffsetOutOfRange => {
                    self.partitions.lost = true;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if !batch.records.is_empty() {
                batch.offsets.group = self.partitions.client.group_metadata();
                return Ok(batch);
            }
            if self.rebalance.is_none() {
                // It waited until topics are looked for, not to its end.
                let goes_on = max > 0 && until_look != Duration::MAX && !remaining(deadline).is_zero();
                match self.partitions.halted() {
                    Some(error) => return Err(error),
                    None if goes_on => {}
                    None => return Ok(batch),
                }
            }
        }
    }

    /// Finds out where a partition goes on whose offset is not in the log: the client reports that once, and stands still. `false`: the
    /// cluster does not answer; the next poll asks again.
    fn find_lost(&mut self, deadline: Instant) -> Result<bool, ConsumerError> {
        match self.partitions.reset_lost_offsets(deadline) {
            Ok(()) => Ok(true),
            Err(error) if error.is_retriable() => {
                tracing::warn!(
                    "an offset is not in the log; where to read on is asked for by the next poll: {error}"
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Answers a step of a rebalance. `false`: the cluster does not answer; the step is taken up with the next poll.
    fn take_up(&mut self, event: RebalanceEvent, deadline: Instant) -> Result<bool, ConsumerError> {
        let mut listener = self.listener.take();
        let done = self.answer(&event, deadline, listener.as_deref_mut());
        self.listener = listener;
        match done {
            Ok(()) => {
                self.rebalances += 1;
                Ok(true)
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!("{event:?} is taken up with the next poll: {error}");
                self.rebalance = Some(event);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn answer(
        &mut self,
        event: &RebalanceEvent,
        deadline: Instant,
        mut listener: Option<&mut (dyn RebalanceListener + 'static)>,
    ) -> Result<(), ConsumerError> {
        let partitions = &mut self.partitions;
        match event {
            RebalanceEvent::Assigned(assigned) => {
                partitions.begin(assigned, deadline, |client, places| client.complete_assign(places))?;
                if let Some(listener) = &mut listener {
                    listener.assigned(assigned, partitions);
                }
                Ok(())
            }
            RebalanceEvent::Revoked(revoked) => {
                partitions.commit_automatically(true, deadline);
                if let Some(listener) = &mut listener {
                    listener.revoked(revoked, partitions);
                }
                self.gone.extend(revoked.iter().cloned());
                partitions.give_back(revoked)
            }
            RebalanceEvent::Lost(lost) => {
                if let Some(listener) = &mut listener {
                    listener.lost(lost);
                }
                self.gone.extend(lost.iter().cloned());
                partitions.give_back(lost)
            }
        }
    }

    /// Commits everything up to and with this record of its partition.
    ///
    /// # Errors
    /// It is not committed, or that is not known, within `default.api.timeout.ms`.
    pub fn commit_record(&mut self, record: &ConsumedRecord<K, V>) -> Result<(), ConsumerError> {
        let offsets = [(record.topic_partition(), record.offset + 1)].into();
        let group = self.partitions.client.group_metadata();
        self.partitions.commit_offsets(&ConsumedOffsets { offsets, group })
    }

    /// Closes within `timeout`: gives the partitions back, with automatic commit and listener, and leaves the group. A static member
    /// (`group.instance.id`) stays in it until its session times out, as in Kafka, and finds its partitions when it is back by then.
    ///
    /// # Errors
    /// The group was not left in time: it waits for the session to time out.
    pub fn close(mut self, timeout: Duration) -> Result<(), ConsumerError> {
        let stays = self.config.group_instance_id.is_some();
        self.end(timeout, stays)
    }

    /// [`close`](Self::close), and leaves the group as a static member, too.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn leave(mut self, timeout: Duration) -> Result<(), ConsumerError> {
        self.end(timeout, false)
    }

    fn end(&mut self, timeout: Duration, stays: bool) -> Result<(), ConsumerError> {
        let deadline = deadline_after(timeout);
        self.closed = true;
        let owned = self.assignment();
        if !owned.is_empty() {
            self.partitions.commit_automatically(true, deadline);
        }
        if let Some(listener) = self.listener.as_mut().filter(|_| self.in_group && !owned.is_empty()) {
            listener.revoked(&owned, &mut self.partitions);
        }
        self.partitions.places.clear();
        let client: &mut dyn Consumer = &mut *self.partitions.client;
        let left = remaining(deadline);
        let closed = if stays { client.close_and_remain(left) } else { client.close(left) };
        Ok(closed?)
    }
}

impl<K, V> Drop for TopicConsumer<K, V> {
    /// Leaves the group without committing anything: what was handed out may not be done.
    fn drop(&mut self) {
        if !self.closed {
            let stays = self.partitions.config.group_instance_id.is_some();
            let client = &mut self.partitions.client;
            let left = if stays { client.close_and_remain(DROP) } else { client.close(DROP) };
            if let Err(error) = left {
                tracing::warn!("a consumer is dropped: {error}");
            }
        }
    }
}

fn invalid(call: &str, why: impl Into<String>) -> ClientError {
    ClientError::new(Fault::Invalid, call, why)
}
