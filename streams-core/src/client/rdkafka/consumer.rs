//! Step 1 of a record's path, the Kafka side: fetched records out of librdkafka's queues into the caller's sink.
//!
//! Each assigned partition has its own queue, which is read only while the sink wants records of it: back-pressure
//! without `pause()`, which would throw fetched records away. Rebalances come out of `poll` as events and are answered
//! by the caller, so that nothing runs inside a callback.
//!
//! Positions are counted here: librdkafka's own stop before transaction markers (and, in its batch call, step one too
//! far at the end of a partition). The end of a partition is an event that says where it is, markers included.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use streams_state::types::TopicPartition;

use super::classify::fault;
use super::ffi::{
    Batch, Event, EventKind, Failure, MessageFailure, Native, PartitionList, Queue, Signal, Wake,
};
use super::handle::Handle;
use crate::client::{
    ClientError, CommittedOffset, Consumer, Fault, GroupMetadata, OffsetSpec, Polled, RebalanceEvent,
    RecordSink, Slot,
};

/// Wait for the next step of leaving the group.
const LEAVE_WAIT: Duration = Duration::from_millis(10);
/// Records taken from a partition before the sink is asked again.
const BATCH: usize = 500;

/// Records handed out by one poll, at least: partitions that are not reached come first next time.
const ENOUGH: usize = 2000;

/// How long nothing may be heard of a partition before it is looked up, and the longest pause between look-ups.
const LOOK_UP: Duration = Duration::from_secs(1);
const LOOK_UP_RARELY: Duration = Duration::from_secs(60);

/// Pause before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How long a local request to librdkafka's main thread may take.
const LOCAL: Duration = Duration::from_secs(10);

/// A consumer on librdkafka.
pub(super) struct KafkaConsumer {
    assigned: Vec<Assigned>,
    places: HashMap<TopicPartition, usize>,
    next: usize,
    // Failures that wait for the end of a poll that already handed out records.
    failures: VecDeque<ClientError>,
    // A rebalance step to hand out, and whether one that was handed out waits for its answer.
    rebalance: Option<RebalanceEvent>,
    answer_awaited: bool,
    // When partitions that nothing was heard of are looked up.
    look_up: Option<(Instant, Duration)>,
    group: Option<String>,
    read_committed: bool,
    events: Queue,
    wake: Arc<Wake>,
    handle: Handle,
}

/// A partition that is read.
struct Assigned {
    partition: TopicPartition,
    slot: Slot,
    position: i64,
    // The position is the end as far as the last fetch saw.
    at_end: bool,
    // Whether a record or the end was seen: the partition exists.
    heard_of: bool,
    // Taken from the queue, not yet wanted by the sink.
    batch: Batch,
    queue: Queue,
    signal: Arc<Signal>,
}

impl Assigned {
    fn advance(&mut self, offset: i64) {
        self.position = offset + 1;
        self.at_end = false;
        self.heard_of = true;
    }

    fn move_to(&mut self, offset: i64) {
        self.batch.clear();
        self.position = offset;
        self.at_end = false;
    }

    /// Hands out records while the sink wants them: first what is left of the last batch, then one more batch.
    fn hand_out(&mut self, sink: &mut dyn RecordSink, failures: &mut Vec<(String, Failure)>) -> usize {
        let mut records = 0;
        let mut refilled = false;
        while sink.wants(self.slot) {
            let Some(message) = self.batch.next() else {
                if refilled || !self.signal.is_ready() {
                    break;
                }
                refilled = true;
                self.signal.set_ready(false);
                self.queue.consume(&mut self.batch);
                if self.batch.is_full() {
                    self.signal.set_ready(true);
                }
                continue;
            };
            match message.read() {
                Ok(record) => {
                    let offset = record.offset;
                    sink.record(self.slot, record);
                    records += 1;
                    self.advance(offset);
                }
                Err(message) => {
                    if !self.reached_end(&message) {
                        let call = format!("read {} at offset {}", self.partition, message.offset);
                        failures.push((call, message.failure));
                    }
                }
            }
        }
        records
    }

    /// Whether the failure was only the news that the end is reached.
    fn reached_end(&mut self, message: &MessageFailure) -> bool {
        let end = message.failure.code == Code::PartitionEOF;
        self.heard_of = true;
        if end && message.offset >= self.position {
            self.position = message.offset;
            self.at_end = true;
        }
        end
    }
}

impl KafkaConsumer {
    /// A consumer on this client.
    pub(super) fn new(
        native: Native,
        group: Option<String>,
        read_committed: bool,
        address: &Arc<str>,
    ) -> Result<Self, ClientError> {
        let native = Arc::new(native);
        let wake = Arc::new(Wake::default());
        let mut events = Queue::consumer(&native)
            .ok_or_else(|| ClientError::new(Fault::ClientDead, "make a consumer", "no consumer queue"))?;
        events.notify(Signal::new(&wake));
        Ok(Self {
            assigned: Vec::new(),
            places: HashMap::new(),
            next: 0,
            failures: VecDeque::new(),
            rebalance: None,
            answer_awaited: false,
            look_up: None,
            group,
            read_committed,
            events,
            wake,
            handle: Handle::new(native, address),
        })
    }

    /// Leaves the group by unsubscribing: a close alone does not make a static member leave, and its partitions would
    /// wait for its session to time out. The member id goes with the request to leave.
    fn leave_group(&mut self, deadline: Instant) {
        let native = Arc::clone(self.handle.native());
        if self.group.is_none() || native.consumer_closed() || native.unsubscribe().is_err() {
            return;
        }
        while !self.group_metadata().member.is_empty() && Instant::now() < deadline {
            if let Some(event) = self.events.poll(LEAVE_WAIT)
                && event.kind() == EventKind::Rebalance
            {
                let _ = native.assign(None);
            }
        }
    }

    /// Serves membership and errors. A rebalance step ends it.
    fn serve_events(&mut self, sink: &mut dyn RecordSink, polled: &mut Polled) {
        while let Some(mut event) = self.events.poll(Duration::ZERO) {
            match event.kind() {
                EventKind::Rebalance => {
                    self.rebalance = self.rebalance_step(&event);
                    if self.rebalance.is_some() {
                        self.answer_awaited = true;
                        return;
                    }
                }
                EventKind::Error => self.note_error(&event),
                EventKind::Fetch => polled.records += self.stray_record(&mut event, sink),
                EventKind::Deliveries | EventKind::Other => {}
            }
        }
    }

    fn rebalance_step(&mut self, event: &Event) -> Option<RebalanceEvent> {
        let partitions: Vec<_> =
            event.partitions().map(|entry| TopicPartition::new(entry.topic, entry.partition)).collect();
        let failure = event.failure()?;
        match failure.code {
            Code::AssignPartitions => Some(RebalanceEvent::Assigned(partitions)),
            Code::RevokePartitions if self.is_lost() => Some(RebalanceEvent::Lost(partitions)),
            Code::RevokePartitions => Some(RebalanceEvent::Revoked(partitions)),
            _ => {
                // The group could not assign; librdkafka wants an answer all the same.
                self.failures.push_back(self.handle.error("rebalance", failure));
                let _ = self.handle.native().assign(None);
                None
            }
        }
    }

    /// Whether the group went on without us. librdkafka's own mark is not set when that happens while a revocation
    /// waits for its answer; but it forgets its member id then.
    fn is_lost(&self) -> bool {
        let native = self.handle.native();
        native.assignment_lost() || native.group_metadata().is_some_and(|member| member.member.is_empty())
    }

    fn note_error(&mut self, event: &Event) {
        let Some(failure) = event.failure() else { return };
        let place = event.place();
        if failure.code == Code::PartitionEOF {
            if let Some((topic, partition, offset)) = place
                && let Some(assigned) = self.find(&topic, partition)
            {
                assigned.reached_end(&MessageFailure { failure, offset });
            }
            return;
        }
        self.note_failure("poll", failure);
    }

    /// Keeps a failure for the caller, unless librdkafka goes on by itself.
    fn note_failure(&mut self, call: &str, failure: Failure) {
        if let Some(fatal) = self.handle.native().fatal() {
            self.failures.push_back(self.handle.error(call, fatal));
            return;
        }
        let code = failure.code;
        // Without a group there is nobody to ask for it: what its coordinator says is of no interest.
        let of_group = matches!(code, Code::GroupAuthorizationFailed | Code::InvalidGroupId);
        // A Lost event follows, which says all.
        let exceeded = code == Code::PollExceeded;
        let error = self.handle.error(call, failure);
        match error.fault {
            Fault::Retriable | Fault::Unknown | Fault::Unreachable => tracing::debug!("consumer: {error}"),
            _ if exceeded || (of_group && self.group.is_none()) => tracing::debug!("consumer: {error}"),
            _ => self.failures.push_back(error),
        }
    }

    fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Assigned> {
        let place = *self.places.get(&TopicPartition::new(topic, partition))?;
        self.assigned.get_mut(place)
    }

    /// A record on the consumer's queue: it left librdkafka before its partition's queue was separated.
    fn stray_record(&mut self, event: &mut Event, sink: &mut dyn RecordSink) -> usize {
        let Some((topic, partition, message)) = event.message() else { return 0 };
        let Some(place) = self.places.get(&TopicPartition::new(topic.as_str(), partition)) else { return 0 };
        let assigned = &mut self.assigned[*place];
        match message {
            Ok(record) => {
                assigned.advance(record.offset);
                sink.record(assigned.slot, record);
                1
            }
            Err(message) => {
                if !assigned.reached_end(&message) {
                    let call = format!("read {} at offset {}", assigned.partition, message.offset);
                    self.note_failure(&call, message.failure);
                }
                0
            }
        }
    }

    /// Hands out records of partitions that have some and are wanted, a batch each.
    fn fetch(&mut self, sink: &mut dyn RecordSink) -> usize {
        let mut records = 0;
        let mut failures = Vec::new();
        for _ in 0..self.assigned.len() {
            if records >= ENOUGH {
                break;
            }
            self.next = (self.next + 1) % self.assigned.len();
            records += self.assigned[self.next].hand_out(sink, &mut failures);
        }
        for (call, failure) in failures {
            self.note_failure(&call, failure);
        }
        records
    }

    /// Partitions that nothing is heard of may not exist, of which librdkafka would say nothing for long.
    fn look_up_silent(&mut self, now: Instant) {
        let Some((at, pause)) = self.look_up else { return };
        let silent = |assigned: &&mut Assigned| !assigned.heard_of && !assigned.signal.is_ready();
        let mut topics: Vec<String> = self
            .assigned
            .iter_mut()
            .filter(silent)
            .map(|assigned| assigned.partition.topic.to_string())
            .collect();
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            self.look_up = None;
            return;
        }
        if now < at {
            return;
        }
        self.look_up = Some((now + pause, (pause * 2).min(LOOK_UP_RARELY)));
        let Ok(answer) = self.handle.native().describe_topics(&topics, LOOK_UP) else { return };
        let counts: HashMap<_, _> = answer.into_iter().collect();
        for assigned in self.assigned.iter_mut().filter(silent) {
            let TopicPartition { topic, partition } = &assigned.partition;
            let missing = match counts.get(&**topic) {
                Some(Ok(count)) => {
                    (partition >= count).then(|| format!("topic `{topic}` has {count} partitions"))
                }
                Some(Err(failure)) => {
                    (fault(failure) == Fault::UnknownTopic).then(|| format!("topic `{topic}` does not exist"))
                }
                None => None,
            };
            if let Some(missing) = missing {
                assigned.heard_of = true;
                let call = format!("read {}", assigned.partition);
                self.failures.push_back(ClientError::new(Fault::UnknownTopic, call, missing));
            }
        }
    }

    /// Assigns all again from where they are, `moved` from `offset`.
    fn assign_again(&mut self, moved: &TopicPartition, offset: i64) -> Result<(), Failure> {
        let mut list = PartitionList::with_capacity(self.assigned.len());
        for assigned in &mut self.assigned {
            let offset = if assigned.partition == *moved { offset } else { assigned.position };
            assigned.move_to(offset);
            list.add(&assigned.partition.topic, assigned.partition.partition, offset, "");
        }
        self.handle.native().assign(Some(&list))
    }

    /// Forgets the assignment here: queues first, so that a new queue of the same partition is not disturbed.
    fn forget(&mut self) {
        self.assigned.clear();
        self.places.clear();
        self.next = 0;
    }

    fn read_from(
        &mut self,
        call: &str,
        partitions: &[(TopicPartition, i64, Slot)],
    ) -> Result<(), ClientError> {
        self.forget();
        let native = self.handle.native();
        let mut list = PartitionList::with_capacity(partitions.len());
        for (partition, offset, slot) in partitions {
            list.add(&partition.topic, partition.partition, *offset, "");
            let no_queue = || ClientError::new(Fault::ClientDead, call, format!("no queue for {partition}"));
            let mut queue =
                Queue::partition(native, &partition.topic, partition.partition).ok_or_else(no_queue)?;
            let signal = Signal::new(&self.wake);
            queue.notify(Arc::clone(&signal));
            self.places.insert(partition.clone(), self.assigned.len());
            self.assigned.push(Assigned {
                partition: partition.clone(),
                slot: *slot,
                position: *offset,
                at_end: false,
                heard_of: false,
                batch: Batch::with_capacity(BATCH),
                queue,
                signal,
            });
        }
        native.assign(Some(&list)).map_err(|failure| self.handle.error(call, failure))?;
        self.rebalance = None;
        self.answer_awaited = false;
        self.look_up = Some((Instant::now() + LOOK_UP, LOOK_UP));
        Ok(())
    }

    fn unassign(&mut self, call: &str) -> Result<(), ClientError> {
        self.forget();
        self.rebalance = None;
        self.answer_awaited = false;
        self.look_up = None;
        self.handle.native().assign(None).map_err(|failure| self.handle.error(call, failure))
    }

    /// Offsets in the order of `partitions`.
    fn in_order(
        &self,
        call: &str,
        partitions: &[TopicPartition],
        answer: Vec<(String, i32, Result<i64, Failure>)>,
    ) -> Result<Vec<i64>, ClientError> {
        let mut found = HashMap::with_capacity(answer.len());
        for (topic, partition, offset) in answer {
            let partition = TopicPartition::new(topic, partition);
            let call = || format!("list offsets of {partition}");
            let offset = offset.map_err(|failure| self.handle.read_error(call(), failure))?;
            found.insert(partition, offset);
        }
        let missing =
            |partition| ClientError::new(Fault::Retriable, call, format!("no answer for {partition}"));
        partitions
            .iter()
            .map(|partition| found.get(partition).copied().ok_or_else(|| missing(partition)))
            .collect()
    }

    /// Before a question is asked again.
    fn pause(&self, at_most: Duration) {
        self.wake.reset();
        self.wake.wait(at_most.min(ASK_AGAIN));
    }

    fn assigned(&self, call: &str, partition: &TopicPartition) -> Result<&Assigned, ClientError> {
        let place = self.places.get(partition).copied();
        place.and_then(|place| self.assigned.get(place)).ok_or_else(|| {
            ClientError::new(Fault::Invalid, call, format!("{partition} is not assigned to this consumer"))
        })
    }
}

fn list_of(partitions: &[TopicPartition]) -> PartitionList {
    let mut list = PartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add(&partition.topic, partition.partition, -1001, "");
    }
    list
}

impl Consumer for KafkaConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        let call = "subscribe";
        if self.group.is_none() {
            return Err(ClientError::new(Fault::Invalid, call, "this consumer has no group"));
        }
        self.handle.native().subscribe(topics).map_err(|failure| self.handle.error(call, failure))
    }

    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        let left = self.handle.native().unsubscribe();
        left.map_err(|failure| self.handle.error("unsubscribe", failure))
    }

    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut polled = Polled::default();
        loop {
            self.wake.reset();
            self.serve_events(sink, &mut polled);
            if !self.answer_awaited {
                polled.records += self.fetch(sink);
            }
            if polled.records == 0
                && let Some(error) = self.failures.pop_front()
            {
                return Err(error);
            }
            polled.rebalance = self.rebalance.take();
            if polled.records > 0 || polled.rebalance.is_some() {
                return Ok(polled);
            }
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(polled);
            }
            self.look_up_silent(now);
            self.wake.wait(self.look_up.map_or(left, |(at, _)| left.min(at.saturating_duration_since(now))));
        }
    }

    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.read_from("complete assignment", partitions)
    }

    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        self.unassign("complete revocation")
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        if partitions.is_empty() {
            return self.unassign("assign nothing");
        }
        self.read_from("assign", partitions)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError> {
        let call = format!("seek {partition} to {offset}");
        self.assigned(&call, partition)?;
        let mut list = PartitionList::with_capacity(1);
        list.add(&partition.topic, partition.partition, offset, "");
        let sought = match self.handle.native().seek(&list, LOCAL) {
            // It does not read the partition, because of a failure before.
            Err(failure) if failure.code == Code::State => self.assign_again(partition, offset),
            sought => sought,
        };
        sought.map_err(|failure| self.handle.error(&call, failure))?;
        if let Some(assigned) = self.find(&partition.topic, partition.partition) {
            assigned.move_to(offset);
        }
        Ok(())
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError> {
        Ok(self.assigned("position", partition)?.position)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
        let call = "read committed offsets";
        let Some(group) = self.group.clone() else {
            return Err(ClientError::new(Fault::Invalid, call, "this consumer has no group"));
        };
        let native = self.handle.native();
        let list = list_of(partitions);
        let mut found = HashMap::with_capacity(partitions.len());
        let mut keep = |topic: &str, partition, offset, metadata: &[u8]| {
            if offset >= 0 {
                let metadata = String::from_utf8_lossy(metadata).into_owned();
                found.insert(TopicPartition::new(topic, partition), CommittedOffset { offset, metadata });
            }
        };
        let answer = if self.read_committed {
            // This call asks for stable offsets only with this isolation level.
            native.committed(&list, timeout).map(|()| {
                for entry in list.entries() {
                    keep(entry.topic, entry.partition, entry.offset, entry.metadata);
                }
            })
        } else {
            let deadline = Instant::now() + timeout;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let answer = native.stable_group_offsets(&group, &list, left, |entry| {
                    entry.failure.map_or(Ok(()), Err)?;
                    keep(entry.topic, entry.partition, entry.offset, entry.metadata);
                    Ok(())
                });
                match answer {
                    Err(failure) if failure.code == Code::UnstableOffsetCommit && !left.is_zero() => {
                        // The transaction that holds them ends soon or times out.
                        self.pause(left);
                    }
                    other => break other.map(|_| ()),
                }
            }
        };
        self.handle.check(answer).map_err(|failure| self.handle.read_error(call, failure))?;
        Ok(partitions.iter().map(|partition| found.remove(partition)).collect())
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let call = "commit offsets";
        if self.group.is_none() {
            return Err(ClientError::new(Fault::Invalid, call, "this consumer has no group"));
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let native = self.handle.native();
        let mut list = PartitionList::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            list.add(&partition.topic, partition.partition, committed.offset, &committed.metadata);
        }
        let answers = Queue::new(native)
            .ok_or_else(|| ClientError::new(Fault::ClientDead, call, "no queue for the answer"))?;
        native.commit(&list, &answers).map_err(|failure| self.handle.error(call, failure))?;
        let Some(event) = answers.poll(timeout) else {
            return Err(ClientError::new(Fault::Unknown, call, format!("no answer within {timeout:?}")));
        };
        let failure = event.failure().or_else(|| event.partitions().find_map(|entry| entry.failure));
        let answer = self.handle.check(failure.map_or(Ok(()), Err));
        answer.map_err(|failure| self.handle.error(call, failure))
    }

    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        let call = "list offsets";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> =
            partitions.iter().map(|partition| (&*partition.topic, partition.partition)).collect();
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.handle.native().list_offsets(&asked, spec, left);
            let answer = self.handle.check(answer).map_err(|failure| self.handle.read_error(call, failure));
            match answer.and_then(|answer| self.in_order(call, partitions, answer)) {
                // Leaders move, and of a new topic they become known after a moment.
                Err(error) if error.fault == Fault::Retriable && !left.is_zero() => self.pause(left),
                other => return other,
            }
        }
    }

    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        let assigned = self.places.get(partition).and_then(|place| self.assigned.get(*place))?;
        if assigned.at_end && assigned.batch.is_empty() && !assigned.signal.is_ready() {
            // With read committed this is the last stable offset, which librdkafka tells nowhere else.
            return Some(assigned.position);
        }
        let end = self.handle.native().known_end(&partition.topic, partition.partition)?;
        Some(end.max(assigned.position))
    }

    fn group_metadata(&self) -> GroupMetadata {
        let metadata = self.group.as_ref().and_then(|_| self.handle.native().group_metadata());
        metadata.unwrap_or(GroupMetadata { generation: -1, ..GroupMetadata::default() })
    }

    fn close(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        let native = Arc::clone(self.handle.native());
        self.forget();
        self.leave_group(deadline);
        if !native.consumer_closed() {
            native.close_consumer(&self.events).map_err(|failure| self.handle.error("close", failure))?;
        }
        while !native.consumer_closed() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("the group was not left within {timeout:?}");
                return Err(ClientError::new(Fault::Unknown, "close", message));
            }
            if let Some(event) = self.events.poll(left.min(Duration::from_millis(100)))
                && event.kind() == EventKind::Rebalance
            {
                let _ = native.assign(None);
            }
        }
        self.handle.set_patience(deadline.saturating_duration_since(Instant::now()));
        Ok(())
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.forget();
    }
}
