//! The consumer: fetches batches under the lock, hands records out without it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::assignors::Assignor;
use super::errors::{invalid, unknown_topic};
use super::group::JoinRequest;
use super::kafka::Shared;
use super::log::Log;
use super::membership::{Membership, Revocation};
use super::partition::FetchedBatch;
use crate::client::{
    Amount, ClientError, CommittedOffset, Consumer, ConsumerSettings, ConsumerStatistics, Fault,
    GroupMetadata, OffsetSpec, PartitionStatistics, Polled, RecordSink, Slot, Waker,
};

/// Records of one poll at most, unless `max.poll.records` says otherwise.
const POLL_RECORDS_MAX: usize = 1000;
/// `max.poll.interval.ms` of Kafka.
const MAX_POLL_INTERVAL_MS: i64 = 300_000;
/// `session.timeout.ms` of Kafka.
const SESSION_TIMEOUT_MS: i64 = 45_000;

/// One assigned partition and what was fetched of it.
#[derive(Debug)]
struct Position {
    at: TopicPartition,
    slot: Slot,
    /// Fetched batches; the first is read up to row `row`.
    batches: VecDeque<FetchedBatch>,
    row: usize,
    /// Where the next fetch begins.
    next_fetch: i64,
    end: Option<i64>,
    /// Handed out, and not yet counted for the topic.
    handed_out: Amount,
    /// Why it cannot be read on; told once, then silent until a seek.
    broken: bool,
}

impl Position {
    fn new(at: TopicPartition, offset: i64, slot: Slot) -> Self {
        let (batches, handed_out) = (VecDeque::new(), Amount::default());
        Self { at, slot, batches, row: 0, next_fetch: offset, end: None, handed_out, broken: false }
    }

    fn seek(&mut self, offset: i64) {
        self.batches.clear();
        self.row = 0;
        self.next_fetch = offset;
        self.broken = false;
    }

    /// Next offset that a poll would return, as far as is known.
    fn offset(&self) -> i64 {
        self.batches
            .front()
            .and_then(|batch| batch.batch.offset(batch.base, self.row))
            .unwrap_or(self.next_fetch)
    }

    /// Reads the log on. Whether records came.
    fn fetch(&mut self, log: &Log, read_committed: bool) -> Result<bool, ClientError> {
        if self.broken || !self.batches.is_empty() {
            return Ok(!self.batches.is_empty());
        }
        let from = self.next_fetch;
        let fetch = log.fetch(&self.at, from, read_committed).inspect_err(|_| self.broken = true)?;
        self.row = fetch.batches.first().map_or(0, |batch| batch.batch.row_at(from - batch.base));
        self.batches.extend(fetch.batches);
        self.next_fetch = fetch.next;
        self.end = Some(fetch.end);
        Ok(!self.batches.is_empty())
    }

    /// Hands fetched records to `sink`, at most `max`; gives how many.
    fn deliver(&mut self, sink: &mut dyn RecordSink, max: usize) -> usize {
        let mut delivered = 0;
        while let Some(batch) = self.batches.front() {
            while delivered < max && sink.wants(self.slot) {
                let Some(record) = batch.record(self.row) else { break };
                self.row += 1;
                delivered += 1;
                self.handed_out.add(Amount { records: 1, bytes: record.size_bytes() });
                sink.record(self.slot, record);
            }
            if self.row < batch.batch.len() {
                break;
            }
            self.row = 0;
            self.batches.pop_front();
        }
        delivered
    }
}

/// A consumer of an embedded Kafka.
pub(crate) struct EmbeddedConsumer {
    kafka: Arc<Shared>,
    client_id: String,
    group: Option<String>,
    read_committed: bool,
    request: JoinRequest,
    poll_records_max: usize,
    membership: Option<Membership>,
    positions: Vec<Position>,
    by_partition: BTreeMap<TopicPartition, usize>,
    /// What was handed out of each topic, but for what positions have not counted yet.
    handed_out: BTreeMap<Arc<str>, Amount>,
    /// Position that the next poll serves first, so that all get their turn.
    turn: usize,
    /// Somebody wants the next poll to return.
    interrupted: Arc<AtomicBool>,
}

impl EmbeddedConsumer {
    pub(super) fn new(kafka: Arc<Shared>, settings: &ConsumerSettings) -> Result<Self, ClientError> {
        let number = |key: &str, default: i64| match settings.properties.get(key) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| invalid("make consumer", format!("`{text}` is no value for `{key}`"))),
        };
        let assignor = settings.properties.get("partition.assignment.strategy");
        let records = number("max.poll.records", POLL_RECORDS_MAX as i64)?;
        Ok(Self {
            kafka,
            client_id: settings.client_id.clone(),
            group: settings.group.clone(),
            read_committed: settings.read_committed,
            request: JoinRequest {
                topics: Vec::new(),
                assignor: assignor.map_or(Ok(Assignor::Range), |name| Assignor::of(name))?,
                owned: Vec::new(),
                instance: settings.group_instance.clone(),
                max_poll_interval_ms: number("max.poll.interval.ms", MAX_POLL_INTERVAL_MS)?,
                session_timeout_ms: number("session.timeout.ms", SESSION_TIMEOUT_MS)?,
            },
            poll_records_max: usize::try_from(records).unwrap_or(0).max(1),
            membership: None,
            positions: Vec::new(),
            by_partition: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            turn: 0,
            interrupted: Arc::default(),
        })
    }

    /// Counts what positions handed out for their topics.
    fn count_handed_out(&mut self) {
        for position in &mut self.positions {
            let topic = self.handed_out.entry(Arc::clone(&position.at.topic)).or_default();
            topic.add(std::mem::take(&mut position.handed_out));
        }
    }

    fn replace_positions(&mut self, partitions: &[(TopicPartition, i64, Slot)]) {
        self.count_handed_out();
        self.positions.clear();
        self.add_positions(partitions);
    }

    fn add_positions(&mut self, partitions: &[(TopicPartition, i64, Slot)]) {
        let new = partitions.iter().map(|(at, offset, slot)| Position::new(at.clone(), *offset, *slot));
        self.positions.extend(new);
        self.positions_changed();
    }

    fn positions_changed(&mut self) {
        let numbered = self.positions.iter().enumerate();
        self.by_partition = numbered.map(|(number, position)| (position.at.clone(), number)).collect();
        self.turn = 0;
    }

    fn position_of(&mut self, call: &str, at: &TopicPartition) -> Result<&mut Position, ClientError> {
        let number = self.by_partition.get(at).copied();
        let position = number.and_then(|number| self.positions.get_mut(number));
        position.ok_or_else(|| invalid(call, format!("{at} is not assigned to this consumer")))
    }

    fn require_group(&self, call: &str) -> Result<&str, ClientError> {
        self.group.as_deref().ok_or_else(|| invalid(call, "the consumer has no group"))
    }

    /// Hands out what was fetched before.
    fn deliver(&mut self, sink: &mut dyn RecordSink) -> usize {
        let (count, mut delivered) = (self.positions.len(), 0);
        for step in 0..count {
            if delivered >= self.poll_records_max {
                break;
            }
            if let Some(position) = self.positions.get_mut((self.turn + step) % count) {
                delivered += position.deliver(sink, self.poll_records_max - delivered);
            }
        }
        self.turn = if count == 0 { 0 } else { (self.turn + 1) % count };
        delivered
    }
}

/// What a waiting poll woke up for.
enum Woken {
    Step(Polled),
    Records,
    Failed(ClientError),
}

/// One look at the log: the membership first, then a fetch for every position that wants records.
fn look(
    membership: &mut Option<Membership>,
    positions: &mut [Position],
    read_committed: bool,
    sink: &dyn RecordSink,
    log: &mut Log,
    now: super::log::Now,
) -> Option<Woken> {
    if let Some(membership) = membership {
        if let Some(missing) = membership.missing_topics(log) {
            return Some(Woken::Failed(unknown_topic("subscribe", missing)));
        }
        if let Some(why) = membership.refused(log) {
            return Some(Woken::Failed(invalid("join the group", why)));
        }
        if let Some(event) = membership.poll(log, now) {
            return Some(Woken::Step(Polled { records: 0, rebalance: Some(event) }));
        }
        if membership.is_replaced() {
            let message = "another consumer of the same group.instance.id took its place";
            return Some(Woken::Failed(ClientError::new(Fault::ClientDead, "poll", message)));
        }
        if membership.awaits_answer() {
            return Some(Woken::Step(Polled::default()));
        }
    }
    let mut ready = false;
    for position in positions.iter_mut().filter(|position| sink.wants(position.slot)) {
        match position.fetch(log, read_committed) {
            Ok(records) => ready |= records,
            Err(error) => return Some(Woken::Failed(error)),
        }
    }
    ready.then_some(Woken::Records)
}

impl Consumer for EmbeddedConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        let group = self.require_group("subscribe")?.to_owned();
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        match &mut self.membership {
            Some(membership) => self.kafka.change(|log, now| {
                membership.resubscribe(topics, log, now);
                Ok(())
            }),
            None => {
                self.replace_positions(&[]);
                let request = JoinRequest { topics, ..self.request.clone() };
                self.membership = Some(Membership::new(&self.client_id, &group, request));
                Ok(())
            }
        }
    }

    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        let Self { kafka, membership, .. } = self;
        let Some(member) = membership else { return Ok(()) };
        if kafka.change(|log, now| Ok(member.unsubscribe(log, now)))? {
            self.membership = None;
            self.replace_positions(&[]);
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        let busy =
            !self.positions.is_empty() && !self.positions.iter().any(|position| sink.wants(position.slot));
        let timeout = if busy { Duration::ZERO } else { timeout };
        let Self { kafka, membership, positions, read_committed, interrupted, .. } = self;
        let woken = kafka.wait_for(timeout, |log, now| {
            let found = look(membership, positions, *read_committed, sink, log, now);
            let interrupted = interrupted.swap(false, Ordering::AcqRel);
            found.or_else(|| interrupted.then(|| Woken::Step(Polled::default())))
        });
        match woken {
            None => Ok(Polled::default()),
            Some(Woken::Step(polled)) => Ok(polled),
            Some(Woken::Failed(error)) => Err(error),
            Some(Woken::Records) => Ok(Polled { records: self.deliver(sink), rebalance: None }),
        }
    }

    fn waker(&self) -> Option<Waker> {
        let (kafka, interrupted) = (self.kafka.clone(), self.interrupted.clone());
        Some(Arc::new(move || {
            interrupted.store(true, Ordering::Release);
            kafka.wake();
        }))
    }

    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        if !self.membership.as_mut().is_some_and(Membership::complete_assign) {
            return Err(invalid("complete assign", "no assignment waits for an answer"));
        }
        match self.request.assignor.is_cooperative() {
            true => self.add_positions(partitions),
            false => self.replace_positions(partitions),
        }
        Ok(())
    }

    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        let Self { kafka, membership, .. } = self;
        let Some(member) = membership else {
            return Err(invalid("complete revoke", "the consumer is in no group"));
        };
        match kafka.change(|log, now| Ok(member.complete_revoke(log, now)))? {
            Revocation::Unasked => {
                return Err(invalid("complete revoke", "no revocation waits for an answer"));
            }
            Revocation::Done => {}
            Revocation::Left => self.membership = None,
        }
        self.count_handed_out();
        let owned = self.membership.as_ref().map_or(&[][..], Membership::owned);
        self.positions.retain(|position| owned.contains(&position.at));
        self.positions_changed();
        Ok(())
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        if self.membership.is_some() {
            return Err(invalid("assign", "the consumer has subscribed: unsubscribe first"));
        }
        self.replace_positions(partitions);
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError> {
        self.position_of("seek", partition).map(|position| position.seek(offset))
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError> {
        self.position_of("position", partition).map(|position| position.offset())
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
        let group = self.require_group("committed offsets")?;
        self.kafka.wait_for(timeout, |log, _| log.committed(group, partitions)).ok_or_else(|| {
            let message = "a transaction that commits these offsets is not decided yet";
            ClientError::new(Fault::Retriable, "committed offsets", message)
        })
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        _: Duration,
    ) -> Result<(), ClientError> {
        self.require_group("commit offsets")?;
        let proof = self.group_metadata();
        self.kafka.change(|log, _| log.commit_offsets(offsets, &proof))
    }

    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        _: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        let (log, _) = self.kafka.lock();
        partitions.iter().map(|partition| log.offset(partition, spec)).collect()
    }

    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.position_of("known end", partition).ok().and_then(|position| position.end)
    }

    fn statistics(&mut self) -> ConsumerStatistics {
        self.count_handed_out();
        let (log, _) = self.kafka.lock();
        let partition = |position: &Position| {
            let (at, offset) = (position.at.clone(), position.offset());
            let begin = log.offset(&at, OffsetSpec::Beginning).ok();
            PartitionStatistics {
                lag: position.end.map(|end| (end - offset).max(0)),
                lead: begin.map(|begin| (offset - begin).max(0)),
                partition: at,
                read_replica: None,
            }
        };
        let partitions = self.positions.iter().map(partition).collect();
        ConsumerStatistics { topics: self.handed_out.clone(), partitions, network: None }
    }

    fn group_metadata(&self) -> GroupMetadata {
        match &self.membership {
            Some(membership) => membership.proof(),
            None => GroupMetadata {
                group: self.group.clone().unwrap_or_default(),
                generation: -1,
                member: String::new(),
            },
        }
    }

    fn close(&mut self, _: Duration) -> Result<(), ClientError> {
        self.replace_positions(&[]);
        let Some(mut membership) = self.membership.take() else { return Ok(()) };
        self.kafka.change(|log, now| {
            membership.leave(log, now);
            Ok(())
        })
    }

    fn close_and_remain(&mut self, _: Duration) -> Result<(), ClientError> {
        self.replace_positions(&[]);
        let Some(mut membership) = self.membership.take() else { return Ok(()) };
        self.kafka.change(|log, now| {
            membership.vanish(log, now);
            Ok(())
        })
    }
}

impl Drop for EmbeddedConsumer {
    /// A consumer that was not closed is a crash: the group waits for its session to time out.
    fn drop(&mut self) {
        if let Some(membership) = &mut self.membership {
            let (mut log, now) = self.kafka.lock();
            membership.vanish(&mut log, now);
        }
    }
}
