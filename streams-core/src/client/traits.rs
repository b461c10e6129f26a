//! The traits and the plain data that cross them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::{Headers, Timestamp, TopicPartition};
use uuid::Uuid;

use super::{Acknowledged, ClientError, ConsumerStatistics, NetworkStatistics, ProducerStatistics};
use crate::record::RawRecord;

/// A number for a partition in a consumer's assignment, given by the caller in [`Consumer::complete_assign`] or
/// [`Consumer::assign`], so that records need no topic strings.
pub type Slot = u32;

/// Takes records out of a poll, one call each, bytes borrowed from the fetch buffer.
pub trait RecordSink {
    /// Whether the partition in `slot` may get more records now. A consumer leaves records of a partition that
    /// may not in its own bounded queue; it never pauses.
    fn wants(&self, slot: Slot) -> bool;

    /// One record. Records of a slot come in offset order.
    fn record(&mut self, slot: Slot, record: RawRecord<'_>);
}

/// A step of a rebalance. With an eager assignor all partitions are revoked, then assigned anew; with a cooperative one an event has
/// the partitions that come or go, and all others are read on meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RebalanceEvent {
    /// These partitions are ours now; with a cooperative assignor beside those that we have, and maybe none. The caller prepares tasks,
    /// then calls [`Consumer::complete_assign`].
    Assigned(Vec<TopicPartition>),
    /// These partitions must be given back. The caller commits, then calls [`Consumer::complete_revoke`].
    Revoked(Vec<TopicPartition>),
    /// The membership is lost: others may own these partitions already; nothing can be committed. Answered with
    /// [`Consumer::complete_revoke`].
    Lost(Vec<TopicPartition>),
}

/// What a poll brought besides records.
#[derive(Debug, Default)]
pub struct Polled {
    /// Number of records given to the sink.
    pub records: usize,
    /// A rebalance step that waits for its answer. Until then no records come.
    pub rebalance: Option<RebalanceEvent>,
}

/// Proof of membership, for fenced offset commits in transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupMetadata {
    /// The group.
    pub group: String,
    /// Generation of the group that the member joined; -1 outside of a group.
    pub generation: i32,
    /// Member id; empty outside of a group.
    pub member: String,
}

/// An offset as the group keeps it: the next one to read, and text beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// Next offset to read.
    pub offset: i64,
    /// Metadata; empty if none.
    pub metadata: String,
}

/// Which end of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    /// First offset still in the log.
    Beginning,
    /// Offset after the last record, open transactions and markers included (read uncommitted).
    End,
    /// Offset after the last record that is not behind an open transaction (last stable offset).
    Stable,
    /// Offset of the first record whose timestamp is this or later; -1 if there is none.
    AtTime(Timestamp),
}

/// Values of `partition.assignment.strategy`: two assignors of the eager protocol, and the [`COOPERATIVE`] one.
pub const ASSIGNORS: [&str; 3] = ["range", "roundrobin", COOPERATIVE];

/// The assignor of the cooperative protocol: members keep what they have as far as all get as many.
pub const COOPERATIVE: &str = "cooperative-sticky";

/// How a consumer is made. Offsets are never stored or committed on its own.
#[derive(Clone, Default)]
pub struct ConsumerSettings {
    /// Client id, for logs and quotas.
    pub client_id: String,
    /// Group; `None` for a consumer that only assigns.
    pub group: Option<String>,
    /// Identity of the member over restarts (static membership, KIP-345): a new consumer of the same instance takes the
    /// place of the old one at once, instead of waiting for its session to time out.
    pub group_instance: Option<String>,
    /// Hide records of open and aborted transactions.
    pub read_committed: bool,
    /// Bytes of fetched records that may wait for each partition; `None` leaves it to the client.
    pub partition_buffer_bytes: Option<u64>,
    /// Settings passed through under librdkafka's or Java's names. `partition.assignment.strategy` is [`ASSIGNORS`]' first
    /// unless it says otherwise.
    pub properties: BTreeMap<String, String>,
}

/// Without the values of properties, some of which are secrets.
impl fmt::Debug for ConsumerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerSettings")
            .field("client_id", &self.client_id)
            .field("group", &self.group)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

/// Without the values of properties, some of which are secrets.
impl fmt::Debug for ProducerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerSettings")
            .field("client_id", &self.client_id)
            .field("transactional_id", &self.transactional_id)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

/// How a producer is made. Idempotent, unless `enable.idempotence` of its properties is `false`.
#[derive(Clone, Default)]
pub struct ProducerSettings {
    /// Client id, for logs and quotas.
    pub client_id: String,
    /// Transactional id; `None` for a producer without transactions.
    pub transactional_id: Option<String>,
    /// Transaction timeout.
    pub transaction_timeout: Option<Duration>,
    /// Bytes of records that may wait for their acknowledgement; `None` leaves it to the client.
    pub buffer_bytes: Option<u64>,
    /// Settings passed through under librdkafka's or Java's names.
    pub properties: BTreeMap<String, String>,
}

/// Makes the [`poll`](Consumer::poll) of a consumer that waits return, or else the next one that would: from any thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Reads topics, as a member of a group or with partitions assigned by hand.
pub trait Consumer: Send {
    /// Joins the group for these topics.
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError>;

    /// Leaves the group's assignment without leaving the consumer; a later `subscribe` joins anew.
    fn unsubscribe(&mut self) -> Result<(), ClientError>;

    /// Serves membership, and hands records to `sink`; waits up to `timeout` for the first.
    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError>;

    /// What ends a poll of this consumer early; `None` if its polls never wait.
    fn waker(&self) -> Option<Waker> {
        None
    }

    /// Answers [`RebalanceEvent::Assigned`]: read these partitions from these offsets, under these slots. With a cooperative assignor
    /// beside what is read, so in slots that are free.
    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError>;

    /// Answers [`RebalanceEvent::Revoked`] and [`RebalanceEvent::Lost`]: the partitions of the event are given back, which are all
    /// that there are unless the assignor is cooperative.
    fn complete_revoke(&mut self) -> Result<(), ClientError>;

    /// Reads exactly these partitions from these offsets, without a group. Replaces what was assigned before.
    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError>;

    /// Moves the read position of an assigned partition; records fetched before are dropped.
    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError>;

    /// The next offset that `poll` would return for an assigned partition, markers and gaps skipped as far as the
    /// consumer knows. Reaches the end of the log when everything was read, also behind transaction markers.
    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError>;

    /// What the group has committed; waits for pending transactions to be decided (require stable).
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError>;

    /// Commits offsets outside of a transaction, fenced by the current generation.
    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// First or last offsets of partitions (which need not be assigned).
    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError>;

    /// The cached end of an assigned partition as the last fetch saw it; `None` if unknown. No network.
    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64>;

    /// What the consumer did so far, and where it stands. No network. One that says nothing of itself answers so.
    fn statistics(&mut self) -> ConsumerStatistics {
        ConsumerStatistics::default()
    }

    /// Proof of the current membership.
    fn group_metadata(&self) -> GroupMetadata;

    /// Leaves the group, with static membership too, and closes, within `timeout`.
    fn close(&mut self, timeout: Duration) -> Result<(), ClientError>;

    /// Closes within `timeout` and stays a member until its session times out: a static member that comes back before finds
    /// its partitions as they were.
    fn close_and_remain(&mut self, timeout: Duration) -> Result<(), ClientError>;
}

/// A producer's own handle of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicHandle(pub u32);

/// A record to send. Bytes are copied by the call.
#[derive(Clone, Debug)]
pub struct ProduceRecord<'a> {
    /// Topic.
    pub topic: TopicHandle,
    /// Partition, always chosen by the caller.
    pub partition: i32,
    /// Timestamp; `None` is the producer's clock.
    pub timestamp: Option<Timestamp>,
    /// Key bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a Headers,
}

/// What has been acknowledged since the last drain.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// What each partition written has acknowledged.
    pub acked: BTreeMap<(TopicHandle, i32), Acknowledged>,
    /// The first failure, with topic and partition in its text.
    pub failure: Option<ClientError>,
    /// Records still in flight.
    pub in_flight: usize,
    /// What became of each record, for those who ask by putting a list here. In the order in which it became known.
    pub each: Option<Vec<Delivery>>,
}

impl Deliveries {
    /// Adds what a partition has acknowledged.
    pub fn acknowledged(&mut self, place: (TopicHandle, i32), records: Acknowledged) {
        self.acked.entry(place).and_modify(|acked| acked.add(records)).or_insert(records);
    }
}

/// What became of one record.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How many records this producer's [`Producer::send`] had accepted before it, since the producer was made (wraps).
    pub number: u32,
    /// Its offset, negative if the broker did not say (`acks=0`); or why it was not written.
    pub offset: Result<i64, ClientError>,
}

/// Writes topics, in transactions or without.
///
/// Transaction calls wait for their answer up to `timeout`; when that passes the answer is
/// [`Fault::Unknown`](super::Fault::Unknown) and the producer must be replaced.
pub trait Producer: Send {
    /// A handle for `topic`.
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError>;

    /// Number of partitions of `topic`, asked of the broker on first use.
    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError>;

    /// Queues a record. [`Fault::QueueFull`](super::Fault::QueueFull): nothing was queued; drain and try again.
    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError>;

    /// Takes acknowledgements that have arrived; waits up to `timeout` for the first if something is in flight.
    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration);

    /// Sends everything now and waits for all acknowledgements. Drains into `deliveries`.
    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError>;

    /// Fences older producers of the transactional id and settles what they left open.
    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError>;

    /// Begins a transaction; no network.
    fn begin_transaction(&mut self) -> Result<(), ClientError>;

    /// Adds consumed offsets to the transaction, fenced by the generation in `group`.
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// Flushes, and commits the transaction. Drains into `deliveries`.
    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// Aborts the transaction; records in flight are dropped.
    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError>;

    /// What the producer did so far. No network. One that says nothing of itself answers so.
    fn statistics(&mut self) -> ProducerStatistics {
        ProducerStatistics::default()
    }

    /// Closes within `timeout`; what is in flight is lost.
    fn close(&mut self, timeout: Duration);
}

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas; -1 is the broker's default.
    pub replication_factor: i16,
    /// Settings.
    pub config: BTreeMap<String, String>,
}

/// What the cluster says of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of a partition, or of the one that has most.
    pub replication_factor: i16,
    /// Its id, which a topic that is deleted and created anew under the same name does not get again. `None`: the cluster
    /// does not say.
    pub id: Option<Uuid>,
}

/// The value of a setting of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSetting {
    /// The value.
    pub value: String,
    /// It was given to this topic; else it is what the brokers give to all.
    pub own: bool,
}

/// A member of a consumer group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    /// Its id.
    pub id: String,
    /// `group.instance.id`, if it is a static member.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it is; empty if the cluster does not say.
    pub host: String,
}

/// Creates and inspects topics, and looks at groups. Threads of an application share one.
pub trait Admin: Send {
    /// The topics of these names; `None` for one that does not exist.
    fn describe_topics(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<AdminTopic>>, ClientError>;

    /// Names of all topics of the cluster, Kafka's own included.
    fn list_topics(&mut self, timeout: Duration) -> Result<Vec<String>, ClientError>;

    /// Creates topics; one answer each ([`Fault::AlreadyExists`](super::Fault::AlreadyExists) if it is there).
    fn create_topics(
        &mut self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Vec<Result<(), ClientError>>, ClientError>;

    /// All settings of the topics of these names; `None` for one that does not exist.
    fn describe_configs(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<BTreeMap<String, TopicSetting>>>, ClientError>;

    /// Gives `topic` these settings, and leaves all others as they are.
    fn alter_configs(
        &mut self,
        topic: &str,
        settings: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// Adds partitions, so that `topic` has `total`.
    fn create_partitions(&mut self, topic: &str, total: i32, timeout: Duration) -> Result<(), ClientError>;

    /// Who is in a group now. Nobody is in a group that does not exist.
    fn group_members(&mut self, group: &str, timeout: Duration) -> Result<Vec<GroupMember>, ClientError>;

    /// Deletes topics that exist.
    fn delete_topics(&mut self, topics: &[String], timeout: Duration) -> Result<(), ClientError>;

    /// Deletes the records before these offsets.
    fn delete_records(
        &mut self,
        before: &[(TopicPartition, i64)],
        timeout: Duration,
    ) -> Result<(), ClientError>;

    /// News of the network; `None` if there are none since the last answer, or no network.
    fn statistics(&mut self) -> Option<NetworkStatistics> {
        None
    }
}

/// Makes clients: one for the embedded log, one for Kafka.
pub trait ClientSupplier: Send + Sync {
    /// A consumer.
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError>;

    /// A producer.
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError>;

    /// An admin client.
    fn admin(&self) -> Result<Box<dyn Admin>, ClientError>;

    /// An admin client of an application, for logs and quotas called `client_id`, which has news of its network every now and then: as
    /// often as `statistics.interval.ms` says, ms. Without a network it is [`admin`](Self::admin).
    fn named_admin(
        &self,
        client_id: &str,
        statistics_interval_ms: &str,
    ) -> Result<Box<dyn Admin>, ClientError> {
        let _ = (client_id, statistics_interval_ms);
        self.admin()
    }

    /// What it is connected to, for logs: `embedded log`, `Kafka at host:port`.
    fn describe(&self) -> String;
}
