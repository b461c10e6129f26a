//! The producer: fills a batch for each partition without any lock, and appends whole batches.

use std::sync::Arc;
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::batch::Batch;
use super::errors::{bad_record, fenced, invalid, unknown_topic};
use super::kafka::Shared;
#[cfg(feature = "sim")]
use super::late::{Request, What};
use super::partition::Stamp;
use super::transactions::ProducerIdentity;
use crate::client::{
    Acknowledged, Amount, ClientError, CommittedOffset, Deliveries, Delivery, Fault, GroupMetadata,
    ProduceRecord, Producer, ProducerSettings, ProducerStatistics, SentStatistics, TopicHandle,
};
use crate::metrics;

/// Bytes of a batch that is appended without being asked for.
const BATCH_BYTES: usize = 256 * 1024;
/// Records of a batch that is appended without being asked for.
const BATCH_RECORDS: usize = 8192;
/// `max.request.size` of Kafka's producer.
const MESSAGE_BYTES_MAX: i64 = 1_048_576;
/// `transaction.timeout.ms` of Kafka.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the producer stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Transactional, before `init_transactions`.
    Fresh,
    /// Between transactions; a producer without transactions is always here.
    Ready,
    /// In a transaction.
    Open,
    /// In a transaction that can only be aborted.
    Failed,
    /// Another producer took over.
    Fenced,
    Closed,
}

#[derive(Debug)]
struct PartitionBuffer {
    at: TopicPartition,
    batch: Batch,
    /// Numbers of the batch's records.
    numbers: Vec<u32>,
    next_sequence: i64,
}

#[derive(Debug)]
struct TopicBuffers {
    name: Arc<str>,
    partitions: Vec<PartitionBuffer>,
    sent: SentStatistics,
}

/// A producer of an embedded Kafka.
pub(crate) struct EmbeddedProducer {
    kafka: Arc<Shared>,
    transactional_id: Option<String>,
    timeout_ms: i64,
    message_bytes_max: usize,
    identity: ProducerIdentity,
    state: State,
    topics: Vec<TopicBuffers>,
    /// Buffers that hold records: topic and partition.
    filled: Vec<(u32, i32)>,
    acked: Vec<((TopicHandle, i32), Acknowledged)>,
    failure: Option<ClientError>,
    /// Records accepted so far (wraps).
    sent: u32,
    /// Batches that nobody was told of yet: numbers of their records, and the offset of the last one.
    unreported: Vec<(Vec<u32>, Result<i64, ClientError>)>,
    /// Bytes of each batch since somebody asked.
    batch_bytes: metrics::Batch,
}

impl EmbeddedProducer {
    /// The id under which the log knows it.
    #[cfg(feature = "sim")]
    pub(crate) fn producer_id(&self) -> i64 {
        self.identity.producer
    }

    pub(super) fn new(kafka: Arc<Shared>, settings: &ProducerSettings) -> Result<Self, ClientError> {
        let limit =
            settings.properties.get("message.max.bytes").or(settings.properties.get("max.request.size"));
        let limit = match limit {
            None => MESSAGE_BYTES_MAX,
            Some(text) => text.parse().map_err(|_| {
                invalid("make producer", format!("`{text}` is no value for `message.max.bytes`"))
            })?,
        };
        let timeout = settings.transaction_timeout.unwrap_or(TRANSACTION_TIMEOUT);
        let identity = kafka.change(|log, _| Ok(log.coordinator.new_producer()))?;
        Ok(Self {
            kafka,
            state: if settings.transactional_id.is_some() { State::Fresh } else { State::Ready },
            transactional_id: settings.transactional_id.clone(),
            timeout_ms: i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
            message_bytes_max: usize::try_from(limit).unwrap_or(0),
            identity,
            topics: Vec::new(),
            filled: Vec::new(),
            acked: Vec::new(),
            failure: None,
            sent: 0,
            unreported: Vec::new(),
            batch_bytes: metrics::Batch::default(),
        })
    }

    /// The transactional id, if the producer is in a state that `allowed` names.
    fn transactional(&self, call: &str, allowed: &[State]) -> Result<String, ClientError> {
        let Some(id) = &self.transactional_id else {
            return Err(invalid(call, "the producer has no transactional id"));
        };
        if allowed.contains(&self.state) {
            return Ok(id.clone());
        }
        Err(match self.state {
            State::Fenced => fenced(call, format!("a newer producer holds transactional id `{id}`")),
            State::Failed => {
                let message = "the transaction failed before and can only be aborted";
                ClientError::new(Fault::AbortTransaction, call, message)
            }
            State::Fresh => invalid(call, "init_transactions comes first"),
            State::Ready => invalid(call, "no transaction is open"),
            State::Open => invalid(call, "a transaction is open"),
            State::Closed => ClientError::new(Fault::ClientDead, call, "the producer is closed"),
        })
    }

    /// Remembers what an answer means for the transaction.
    fn settle<T>(&mut self, answer: Result<T, ClientError>) -> Result<T, ClientError> {
        if let Err(error) = &answer {
            if error.fault == Fault::ProducerFenced {
                self.state = State::Fenced;
            } else if self.state == State::Open {
                self.state = State::Failed;
            }
        }
        answer
    }

    /// Appends every buffered batch.
    fn push_all(&mut self) {
        if self.filled.is_empty() {
            return;
        }
        let filled = std::mem::take(&mut self.filled);
        for &(topic, partition) in &filled {
            self.push(topic, partition);
        }
        self.filled = filled;
        self.filled.clear();
    }

    fn push(&mut self, topic: u32, partition: i32) {
        let Self { kafka, transactional_id, identity, topics, .. } = self;
        let Some(buffer) = buffer(topics, topic, partition) else { return };
        if buffer.batch.is_empty() {
            return;
        }
        let (records, bytes) = (buffer.batch.len() as i64, buffer.batch.size_bytes() as u64);
        let batch = buffer.batch.take();
        let stamp = Stamp {
            producer: identity.producer,
            epoch: identity.epoch,
            sequence: buffer.next_sequence,
            transactional: transactional_id.is_some(),
        };
        let answer = kafka.change(|log, now| match transactional_id {
            Some(id) => log.append_in_transaction(id, &buffer.at, stamp, batch, now),
            None => log.append(&buffer.at, Some(stamp), batch, now),
        });
        if answer.is_ok() {
            buffer.next_sequence += records;
        }
        let numbers = std::mem::take(&mut buffer.numbers);
        if let Some(TopicBuffers { sent, .. }) = topics.get_mut(topic as usize) {
            match answer {
                Ok(_) => sent.amount.add(Amount { records: records as u64, bytes }),
                Err(_) => sent.errors += records as u64,
            }
        }
        self.batch_bytes.add(bytes as f64);
        let answer = self.settle(answer);
        self.unreported.push((numbers, answer.clone()));
        match answer {
            Ok(last) => {
                let acked = Acknowledged::batch(last, records as u64);
                self.acked.push(((TopicHandle(topic), partition), acked));
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn drop_buffers(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.filled) {
            if let Some(buffer) = buffer(&mut self.topics, topic, partition) {
                buffer.batch.clear();
                buffer.numbers.clear();
            }
        }
    }

    fn report(&mut self, deliveries: &mut Deliveries) {
        for (place, acked) in self.acked.drain(..) {
            deliveries.acknowledged(place, acked);
        }
        for (numbers, answer) in self.unreported.drain(..) {
            let Some(each) = &mut deliveries.each else { continue };
            let first = 1 - numbers.len() as i64;
            each.extend(
                (first..).zip(numbers).map(|(back, number)| Delivery {
                    number,
                    offset: answer.clone().map(|last| last + back),
                }),
            );
        }
        if let Some(failure) = self.failure.take() {
            deliveries.failure.get_or_insert(failure);
        }
        deliveries.in_flight = 0;
    }
}

fn buffer(topics: &mut [TopicBuffers], topic: u32, partition: i32) -> Option<&mut PartitionBuffer> {
    topics.get_mut(topic as usize)?.partitions.get_mut(usize::try_from(partition).ok()?)
}

impl Producer for EmbeddedProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        let known = self.topics.iter().position(|buffers| &*buffers.name == topic);
        let number = known.unwrap_or_else(|| {
            self.topics.push(TopicBuffers {
                name: Arc::from(topic),
                partitions: Vec::new(),
                sent: Default::default(),
            });
            self.topics.len() - 1
        });
        u32::try_from(number).map(TopicHandle).map_err(|_| invalid("topic handle", "too many topics"))
    }

    fn partitions(&mut self, topic: &str, _: Duration) -> Result<i32, ClientError> {
        self.kafka.lock().0.partition_count(topic).ok_or_else(|| unknown_topic("partitions", topic))
    }

    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        if self.transactional_id.is_some() && self.state != State::Open {
            return self.transactional("send", &[State::Open]).map(drop);
        }
        if self.state == State::Closed {
            return Err(ClientError::new(Fault::ClientDead, "send", "the producer is closed"));
        }
        let bytes = Batch::record_size_bytes(record.key, record.value, record.headers);
        if bytes > self.message_bytes_max {
            let limit = self.message_bytes_max;
            return Err(bad_record(
                "send",
                format!("a record of {bytes} bytes exceeds message.max.bytes={limit}"),
            ));
        }
        let TopicHandle(topic) = record.topic;
        let known = buffer(&mut self.topics, topic, record.partition).is_some();
        if !known {
            self.learn_partitions(record.topic, record.partition)?;
        }
        let timestamp = match record.timestamp {
            Some(timestamp) => timestamp,
            None => self.kafka.lock().1.ms,
        };
        let Some(buffer) = buffer(&mut self.topics, topic, record.partition) else {
            return Err(invalid("send", "the topic handle is not of this producer"));
        };
        let first = buffer.batch.is_empty();
        if !buffer.batch.push(timestamp, record.key, record.value, record.headers) {
            return Err(bad_record("send", "the record is too large"));
        }
        buffer.numbers.push(self.sent);
        self.sent = self.sent.wrapping_add(1);
        let full = buffer.batch.size_bytes() >= BATCH_BYTES || buffer.batch.len() >= BATCH_RECORDS;
        if first {
            self.filled.push((topic, record.partition));
        }
        if full {
            self.push(topic, record.partition);
            self.filled.retain(|place| *place != (topic, record.partition));
        }
        Ok(())
    }

    fn drain(&mut self, deliveries: &mut Deliveries, _: Duration) {
        self.push_all();
        self.report(deliveries);
    }

    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        self.drain(deliveries, timeout);
        Ok(())
    }

    fn init_transactions(&mut self, _: Duration) -> Result<(), ClientError> {
        let id = self.transactional("init transactions", &[State::Fresh, State::Ready])?;
        let timeout_ms = self.timeout_ms;
        self.identity = self.kafka.change(|log, _| log.init_transactions(&id, timeout_ms))?;
        for buffer in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            buffer.next_sequence = 0;
        }
        self.state = State::Ready;
        Ok(())
    }

    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.transactional("begin transaction", &[State::Ready])?;
        self.state = State::Open;
        Ok(())
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        _: Duration,
    ) -> Result<(), ClientError> {
        let id = self.transactional("send offsets to transaction", &[State::Open])?;
        if offsets.is_empty() {
            return Ok(());
        }
        let identity = self.identity;
        let answer = self.kafka.change(|log, now| log.send_offsets(&id, identity, offsets, group, now));
        self.settle(answer)
    }

    fn commit_transaction(&mut self, deliveries: &mut Deliveries, _: Duration) -> Result<(), ClientError> {
        let call = "commit transaction";
        let id = self.transactional(call, &[State::Open])?;
        self.push_all();
        self.report(deliveries);
        self.transactional(call, &[State::Open])?;
        let identity = self.identity;
        let answer = self.kafka.change(|log, now| log.end_transaction(&id, identity, true, now));
        self.settle(answer)?;
        self.state = State::Ready;
        Ok(())
    }

    fn abort_transaction(&mut self, _: Duration) -> Result<(), ClientError> {
        let id = self.transactional("abort transaction", &[State::Open, State::Failed])?;
        self.drop_buffers();
        self.acked.clear();
        self.unreported.clear();
        self.failure = None;
        let identity = self.identity;
        let answer = self.kafka.change(|log, now| log.end_transaction(&id, identity, false, now));
        self.settle(answer)?;
        self.state = State::Ready;
        Ok(())
    }

    fn statistics(&mut self) -> ProducerStatistics {
        ProducerStatistics {
            topics: self.topics.iter().map(|topic| (topic.name.clone(), topic.sent)).collect(),
            batch_bytes: std::mem::take(&mut self.batch_bytes),
            ..ProducerStatistics::default()
        }
    }

    fn close(&mut self, _: Duration) {
        self.drop_buffers();
        self.state = State::Closed;
    }
}

impl EmbeddedProducer {
    /// Makes the buffers of a topic's partitions.
    fn learn_partitions(&mut self, topic: TopicHandle, partition: i32) -> Result<(), ClientError> {
        let Some(buffers) = self.topics.get_mut(topic.0 as usize) else {
            return Err(invalid("send", "the topic handle is not of this producer"));
        };
        let name = &buffers.name;
        let count = self.kafka.lock().0.partition_count(name).ok_or_else(|| unknown_topic("send", name))?;
        if partition < 0 || partition >= count {
            return Err(unknown_topic("send", format!("{name}-{partition}")));
        }
        for number in buffers.partitions.len() as i32..count {
            let at = TopicPartition::new(Arc::clone(name), number);
            let (batch, numbers) = (Batch::default(), Vec::new());
            buffers.partitions.push(PartitionBuffer { at, batch, numbers, next_sequence: 0 });
        }
        Ok(())
    }
}

#[cfg(feature = "sim")]
impl EmbeddedProducer {
    /// The request that ends the open transaction.
    pub(crate) fn request_to_end(&self, commit: bool) -> Option<Request> {
        self.request(What::End { commit })
    }

    /// The request that adds offsets to the open transaction.
    pub(crate) fn request_for_offsets(
        &self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
    ) -> Option<Request> {
        self.request(What::Offsets { offsets: offsets.to_vec(), group: group.clone() })
    }

    fn request(&self, what: What) -> Option<Request> {
        let id = self.transactional_id.clone()?;
        let transaction = self.kafka.lock().0.coordinator.number(&id);
        Some(Request { id, identity: self.identity, transaction, what })
    }

    /// Records that wait to be sent are given up, as after `delivery.timeout.ms`; the next report says so.
    pub(crate) fn give_up(&mut self, error: ClientError) {
        self.drop_buffers();
        if self.transactional_id.is_some() && self.state == State::Open {
            self.state = State::Failed;
        }
        self.failure.get_or_insert(error);
    }
}
