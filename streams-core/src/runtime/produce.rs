//! Step 6: a task's outbox -> the producer; acknowledgements -> changelog offsets.
//!
//! In: records in an [`Outbox`]. Out: records in flight, and how far each store reaches with what was acknowledged.
//! Opens the transaction lazily, with the first record. Never commits: that is `commit.rs`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use streams_state::types::{Timestamp, TopicPartition};

use super::client_sensors::MeteredProducer;
use super::spans::commit_step;
use crate::client::{
    ClientError, CommittedOffset, Deliveries, Fault, GroupMetadata, ProduceRecord, Producer, TopicHandle,
};
use crate::partitioner::{Sticky, partition_for_key};
use crate::processor::{OutRecord, Outbox};

/// How long one wait for room in the producer's queue lasts before acknowledgements are looked at again.
const QUEUE_WAIT: Duration = Duration::from_millis(20);
/// How often that is repeated before the broker counts as unreachable.
const QUEUE_WAITS_MAX: u32 = 3000;
/// Deadline for the partition count of a topic.
const METADATA_TIMEOUT: Duration = Duration::from_secs(30);
/// Kafka's default of `batch.size`.
const BATCH_SIZE: u64 = 16_384;

/// About what a record takes in a batch beside value and headers: lengths, attributes, time, offset.
const RECORD_OVERHEAD: usize = 8;

/// A topic that this thread writes.
struct OutputTopic {
    name: std::sync::Arc<str>,
    handle: TopicHandle,
    partitions: i32,
    /// The partition for records without a key.
    sticky: Sticky,
}

/// The producer of a stream thread, with its transaction and the acknowledgements of it.
pub(crate) struct StreamsProducer {
    producer: MeteredProducer,
    transactional: bool,
    in_transaction: bool,
    topics: Vec<OutputTopic>,
    deliveries: Deliveries,
    sent: u64,
    batch_size: u64,
    /// Changelogs to which somebody else writes as well, as far as was seen.
    torn: BTreeSet<(TopicHandle, i32)>,
}

impl StreamsProducer {
    /// Takes a producer, with `batch.size` as its properties have it.
    pub(crate) fn new(producer: MeteredProducer, transactional: bool, batch_size: Option<&str>) -> Self {
        Self {
            producer,
            transactional,
            in_transaction: false,
            topics: Vec::new(),
            deliveries: Deliveries::default(),
            sent: 0,
            batch_size: batch_size.and_then(|text| text.trim().parse().ok()).unwrap_or(BATCH_SIZE),
            torn: BTreeSet::new(),
        }
    }

    /// It is `now`: shows what it did, if it is time to.
    pub(crate) fn show(&mut self, now: Timestamp) {
        self.producer.show(now);
    }

    /// A transactional one fences and settles its predecessor.
    pub(crate) fn initialize(&mut self, timeout: Duration) -> Result<(), ClientError> {
        if self.transactional { self.producer.init_transactions(timeout) } else { Ok(()) }
    }

    /// Whether a transaction is open: it has to be ended even if no offset moved.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Records sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends everything in `outbox`, in order, and empties it. `map` remembers the outbox's topics between calls.
    pub(crate) fn send_all(&mut self, outbox: &mut Outbox, map: &mut Vec<usize>) -> Result<(), ClientError> {
        if outbox.records.is_empty() {
            return Ok(());
        }
        self.begin_if_needed()?;
        while map.len() < outbox.topics.len() {
            let Some(name) = outbox.topics.get(map.len()) else { break };
            let index = self.output_topic(&name.clone())?;
            map.push(index);
        }
        for record in &outbox.records {
            self.send(outbox, record, map)?;
        }
        self.sent += outbox.records.len() as u64;
        outbox.clear();
        self.producer.drain(&mut self.deliveries, Duration::ZERO);
        self.check_deliveries()
    }

    fn output_topic(&mut self, name: &std::sync::Arc<str>) -> Result<usize, ClientError> {
        if let Some(index) = self.topics.iter().position(|topic| topic.name == *name) {
            return Ok(index);
        }
        let handle = self.producer.topic(name)?;
        let partitions = self.producer.partitions(name, METADATA_TIMEOUT)?;
        self.topics.push(OutputTopic { name: name.clone(), handle, partitions, sticky: Sticky::default() });
        Ok(self.topics.len() - 1)
    }

    fn send(&mut self, outbox: &Outbox, record: &OutRecord, map: &[usize]) -> Result<(), ClientError> {
        let topic = map.get(record.topic.0 as usize).and_then(|index| self.topics.get_mut(*index));
        let Some(topic) = topic else {
            return Err(ClientError::new(
                Fault::Invalid,
                "send",
                "a record for a topic that was never named",
            ));
        };
        let key = outbox.slice(&record.key);
        let partition = match (record.partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, topic.partitions),
            (None, None) => {
                let value = record.value.as_ref().map_or(0, Range::len);
                let headers = record
                    .headers
                    .iter()
                    .map(|header| header.key.len() + header.value.as_ref().map_or(0, Vec::len));
                let bytes = RECORD_OVERHEAD + value + headers.sum::<usize>();
                topic.sticky.next(bytes as u64, self.batch_size, topic.partitions)
            }
        };
        let handle = topic.handle;
        let out = ProduceRecord {
            topic: handle,
            partition,
            timestamp: record.timestamp,
            key,
            value: outbox.slice(&record.value),
            headers: &record.headers,
        };
        match self.producer.send(out.clone()) {
            Ok(()) => Ok(()),
            Err(error) if error.fault == Fault::QueueFull => self.send_when_room(&out),
            Err(error) if error.fault == Fault::AbortTransaction => Err(self.cause_of(error)),
            Err(error) => Err(error),
        }
    }

    /// What made the transaction fail: the report of an earlier record says it, `refused` only that the transaction cannot go on.
    #[cold]
    fn cause_of(&mut self, refused: ClientError) -> ClientError {
        self.serve().err().unwrap_or(refused)
    }

    /// Waits for acknowledgements to make room: this is the back-pressure of the broker on the task.
    fn send_when_room(&mut self, record: &ProduceRecord<'_>) -> Result<(), ClientError> {
        for _ in 0..QUEUE_WAITS_MAX {
            self.producer.drain(&mut self.deliveries, QUEUE_WAIT);
            self.check_deliveries()?;
            match self.producer.send(record.clone()) {
                Ok(()) => return Ok(()),
                Err(error) if error.fault == Fault::QueueFull => {}
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::new(Fault::Unreachable, "send", "the broker acknowledged nothing for a minute"))
    }

    fn begin_if_needed(&mut self) -> Result<(), ClientError> {
        if self.transactional && !self.in_transaction {
            self.producer.begin_transaction()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn check_deliveries(&mut self) -> Result<(), ClientError> {
        match self.deliveries.failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes acknowledgements without waiting.
    pub(crate) fn serve(&mut self) -> Result<(), ClientError> {
        self.producer.drain(&mut self.deliveries, Duration::ZERO);
        self.check_deliveries()
    }

    /// Commit step 4 without transactions: everything sent is acknowledged when this returns.
    pub(crate) fn flush(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.producer.flush(&mut self.deliveries, timeout)?;
        self.check_deliveries()
    }

    /// Commit steps 4-6: offsets into the transaction, acknowledgements of everything, end of the transaction.
    pub(crate) fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.begin_if_needed()?;
        let mut ended = match offsets.is_empty() {
            true => Ok(()),
            false => commit_step!("send_offsets", "4")
                .in_scope(|| self.producer.send_offsets(offsets, group, timeout)),
        };
        if ended.is_ok() {
            let _entered = commit_step!("commit_transaction", "5").entered();
            ended = self.producer.commit_transaction(&mut self.deliveries, timeout);
        }
        match ended {
            Err(error) if error.fault == Fault::AbortTransaction => return Err(self.cause_of(error)),
            ended => ended?,
        }
        self.check_deliveries()?;
        self.in_transaction = false;
        Ok(())
    }

    /// Aborts the open transaction, if any. Acknowledgements so far are void. An error says that the producer has to be replaced: it cannot
    /// go on, or has no transaction and holds records which would go out later, when others may have written after them.
    pub(crate) fn abort(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let mut result = match self.in_transaction {
            true => self.producer.abort_transaction(timeout),
            false => Ok(()),
        };
        self.in_transaction = false;
        self.producer.drain(&mut self.deliveries, Duration::ZERO);
        let void = std::mem::take(&mut self.deliveries);
        if !self.transactional && void.in_flight > 0 {
            let text = format!("{} records were not acknowledged yet", void.in_flight);
            result = Err(ClientError::new(Fault::ClientDead, "take back what was sent", text));
        }
        result
    }

    /// How far a store reaches that had reached offset `from` of its changelog, with what was acknowledged there since the last
    /// commit. `None`: no further.
    ///
    /// Transactions fence everybody else, and put markers between the records. Without them a process that was frozen, and has not
    /// heard yet that another has its task, may write between them what this store does not have: it keeps its offset, so that
    /// the next restore reads what the other wrote. (Kafka Streams takes the offset of its own last record all the same.)
    pub(crate) fn reached(&mut self, changelog: &TopicPartition, from: Option<i64>) -> Option<i64> {
        let handle = self.topics.iter().find(|out| out.name == changelog.topic)?.handle;
        let place = (handle, changelog.partition);
        let acked = self.deliveries.acked.get(&place)?;
        if self.transactional || acked.follow(from) {
            self.torn.remove(&place);
            return Some(acked.last + 1);
        }
        if self.torn.insert(place) {
            let (from, to) = (from.unwrap_or(acked.first), acked.last);
            tracing::warn!(%changelog, from, to, "another process writes to the changelog: one that was frozen or cut off, and had \
                the task before, or an application of the same id; the next restore of the store begins at offset {from}");
        }
        None
    }

    /// Forgets acknowledged offsets after they were handed to the stores.
    pub(crate) fn forget_acked(&mut self) {
        self.deliveries.acked.clear();
    }

    /// Closes within `timeout`.
    pub(crate) fn close(&mut self, timeout: Duration) {
        self.producer.close(timeout);
    }
}
