//! Step 1 of a record's path, the Kafka side: fetched records out of librdkafka's queues into the caller's sink.
//!
//! Each assigned partition has its own queue, which is read only while the sink wants records of it: back-pressure
//! without `pause()`, which would throw fetched records away. Rebalances come out of `poll` as events and are answered
//! by the caller, so that nothing runs inside a callback.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use streams_state::types::TopicPartition;

use super::assignment::{Assigned, Assignment, partitions_of};
use super::classify::fault;
use super::ffi::{Event, EventKind, Failure, MessageFailure, Native, PartitionList, Queue, Signal, Wake};
use super::handle::Handle;
use super::offsets;
use super::refusal::Peer;
use super::statistics::Told;
use crate::client::{
    ClientError, CommittedOffset, Consumer, ConsumerStatistics, Fault, GroupMetadata, OffsetSpec,
    PartitionStatistics, Polled, RebalanceEvent, RecordSink, Slot, Waker,
};

/// How long nothing may be heard of a partition before it is looked up, and the longest pause between look-ups.
const LOOK_UP: Duration = Duration::from_secs(1);
const LOOK_UP_RARELY: Duration = Duration::from_secs(60);

/// How long a local request to librdkafka's main thread may take.
const LOCAL: Duration = Duration::from_secs(10);

/// A consumer on librdkafka.
pub(super) struct KafkaConsumer {
    pub(super) assignment: Assignment,
    // Failures that wait for the end of a poll that already handed out records.
    failures: VecDeque<ClientError>,
    // A rebalance step to hand out, and whether one that was handed out waits for its answer.
    rebalance: Option<RebalanceEvent>,
    answer_awaited: bool,
    // When partitions that nothing was heard of are looked up.
    look_up: Option<(Instant, Duration)>,
    // With a cooperative assignor partitions come and go one by one: those that the last event took away.
    pub(super) cooperative: bool,
    going: Vec<TopicPartition>,
    pub(super) group: Option<String>,
    read_committed: bool,
    // What librdkafka said of itself last.
    pub(super) told: Told,
    pub(super) events: Queue,
    wake: Arc<Wake>,
    pub(super) handle: Handle,
}

impl KafkaConsumer {
    /// A consumer on this client.
    pub(super) fn new(
        native: Native,
        group: Option<String>,
        read_committed: bool,
        cooperative: bool,
        peer: Peer,
    ) -> Result<Self, ClientError> {
        let native = Arc::new(native);
        let wake = Arc::new(Wake::default());
        let mut events = Queue::consumer(&native)
            .ok_or_else(|| ClientError::new(Fault::ClientDead, "make a consumer", "no consumer queue"))?;
        events.notify(Signal::new(&wake));
        Ok(Self {
            assignment: Assignment::default(),
            failures: VecDeque::new(),
            rebalance: None,
            answer_awaited: false,
            look_up: None,
            cooperative,
            going: Vec::new(),
            group,
            read_committed,
            told: Told::default(),
            events,
            wake,
            handle: Handle::new(native, peer),
        })
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
                EventKind::Error => self.note_error(&event, sink),
                EventKind::Fetch => polled.records += self.stray_record(&mut event, sink),
                EventKind::Statistics => self.told.hear(&event.statistics()),
                EventKind::Deliveries | EventKind::Other => {}
            }
        }
    }

    fn rebalance_step(&mut self, event: &Event) -> Option<RebalanceEvent> {
        let partitions = partitions_of(event);
        let failure = event.failure()?;
        if failure.code == Code::RevokePartitions {
            self.going.clone_from(&partitions);
        }
        match failure.code {
            Code::AssignPartitions => Some(RebalanceEvent::Assigned(partitions)),
            Code::RevokePartitions if self.is_lost() => Some(RebalanceEvent::Lost(partitions)),
            Code::RevokePartitions => Some(RebalanceEvent::Revoked(partitions)),
            _ => {
                // The group could not assign; librdkafka wants an answer all the same.
                self.failures.push_back(self.handle.error("rebalance", failure));
                self.give_up(event);
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

    /// An error on the consumer's queue: of the client, the group, or a partition whose queue was not yet separated.
    fn note_error(&mut self, event: &Event, sink: &mut dyn RecordSink) {
        let Some(failure) = event.failure() else { return };
        match event.place() {
            Some((topic, partition, offset)) => {
                let (partition, message) =
                    (TopicPartition::new(topic, partition), MessageFailure { failure, offset });
                let mut failures = Vec::new();
                self.assignment.stray(&partition, Err(message), sink, &mut failures);
                self.note_failures(failures);
            }
            None => self.note_failure("poll", failure),
        }
    }

    /// A record on the consumer's queue.
    fn stray_record(&mut self, event: &mut Event, sink: &mut dyn RecordSink) -> usize {
        let Some((topic, partition, message)) = event.message() else { return 0 };
        let mut failures = Vec::new();
        let records =
            self.assignment.stray(&TopicPartition::new(topic, partition), message, sink, &mut failures);
        self.note_failures(failures);
        records
    }

    fn note_failures(&mut self, failures: Vec<(String, Failure)>) {
        for (call, failure) in failures {
            self.note_failure(&call, failure);
        }
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

    /// Partitions that nothing is heard of may not exist, of which librdkafka would say nothing for long.
    fn look_up_silent(&mut self, now: Instant) {
        let Some((at, pause)) = self.look_up else { return };
        let topics = self.assignment.silent_topics();
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
        let missing = self.assignment.explain_silence(|TopicPartition { topic, partition }| {
            match counts.get(&**topic) {
                Some(Ok(found)) if *partition >= found.partitions => {
                    Some(format!("topic `{topic}` has {} partitions", found.partitions))
                }
                Some(Err(failure)) if fault(failure) == Fault::UnknownTopic => {
                    Some(format!("topic `{topic}` does not exist"))
                }
                _ => None,
            }
        });
        for (partition, why) in missing {
            self.failures.push_back(ClientError::new(Fault::UnknownTopic, format!("read {partition}"), why));
        }
    }

    fn read_from(
        &mut self,
        call: &str,
        partitions: &[(TopicPartition, i64, Slot)],
    ) -> Result<(), ClientError> {
        if self.in_steps() {
            self.hold_what_stays(call)?;
        }
        let native = self.handle.native();
        let list = match self.in_steps() {
            true => self.assignment.add(native, &self.wake, partitions),
            false => self.assignment.replace(native, &self.wake, partitions),
        };
        let list = list.map_err(|partition| {
            ClientError::new(Fault::ClientDead, call, format!("no queue for {partition}"))
        })?;
        let answer = if self.in_steps() { native.assign_also(&list) } else { native.assign(Some(&list)) };
        answer.map_err(|failure| self.handle.error(call, failure))?;
        self.rebalance = None;
        self.answer_awaited = false;
        self.look_up = Some((Instant::now() + LOOK_UP, LOOK_UP));
        Ok(())
    }

    /// Whether a step of a cooperative rebalance is being answered.
    fn in_steps(&self) -> bool {
        self.cooperative && self.answer_awaited
    }

    /// During a step librdkafka has the partitions that stay paused. After it, it would read them on from where it believes that we
    /// are, and where the end of a partition was handed out that is one too far: a record written meanwhile would be left out.
    fn hold_what_stays(&mut self, call: &str) -> Result<(), ClientError> {
        let list = self.assignment.hold(&self.going);
        if list.entries().next().is_none() {
            return Ok(());
        }
        let sought = self.handle.native().seek(&list, LOCAL);
        // One that is not read, because of a failure before, is not read on either; but it must not hide what failed for another.
        let each = list.entries().filter_map(|entry| entry.failure);
        let failure = each.chain(sought.err()).find(|failure| failure.code != Code::State);
        failure.map_or(Ok(()), |failure| Err(self.handle.error(call, failure)))
    }

    fn unassign(&mut self, call: &str) -> Result<(), ClientError> {
        self.assignment.clear();
        self.rebalance = None;
        self.answer_awaited = false;
        self.look_up = None;
        self.handle.native().assign(None).map_err(|failure| self.handle.error(call, failure))
    }

    fn assigned(&self, call: &str, partition: &TopicPartition) -> Result<&Assigned, ClientError> {
        self.assignment.get(partition).ok_or_else(|| {
            ClientError::new(Fault::Invalid, call, format!("{partition} is not assigned to this consumer"))
        })
    }
}

fn no_group(call: &str) -> ClientError {
    ClientError::new(Fault::Invalid, call, "this consumer has no group")
}

impl Consumer for KafkaConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        let call = "subscribe";
        if self.group.is_none() {
            return Err(no_group(call));
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
                let mut failures = Vec::new();
                polled.records += self.assignment.hand_out(sink, &mut failures);
                self.note_failures(failures);
            }
            if polled.records == 0
                && let Some(error) = self.failures.pop_front()
            {
                return Err(error);
            }
            polled.rebalance = self.rebalance.take();
            if polled.records > 0 || polled.rebalance.is_some() || self.wake.take_interrupt() {
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

    fn waker(&self) -> Option<Waker> {
        let wake = self.wake.clone();
        Some(Arc::new(move || wake.interrupt()))
    }

    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.read_from("complete assignment", partitions)
    }

    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        let call = "complete revocation";
        if !self.cooperative {
            return self.unassign(call);
        }
        self.hold_what_stays(call)?;
        let list = self.assignment.remove(&std::mem::take(&mut self.going));
        self.rebalance = None;
        self.answer_awaited = false;
        let native = self.handle.native();
        native.unassign_some(&list).map_err(|failure| self.handle.error(call, failure))
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
            // librdkafka refuses to have all partitions of a cooperative member assigned anew.
            Err(failure) if failure.code == Code::State && self.cooperative => {
                let native = self.handle.native();
                native.unassign_some(&list).and_then(|()| native.assign_also(&list))
            }
            Err(failure) if failure.code == Code::State => {
                let all = self.assignment.restart(partition, offset);
                self.handle.native().assign(Some(&all))
            }
            sought => sought,
        };
        sought.map_err(|failure| self.handle.error(&call, failure))?;
        if let Some(assigned) = self.assignment.get_mut(partition) {
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
        let group = self.group.as_deref().ok_or_else(|| no_group("read committed offsets"))?;
        offsets::committed(&self.handle, group, self.read_committed, partitions, timeout)
    }

    fn commit(
        &mut self,
        committed: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let call = "commit offsets";
        if self.group.is_none() {
            return Err(no_group(call));
        }
        if committed.is_empty() {
            return Ok(());
        }
        let native = self.handle.native();
        let mut list = PartitionList::with_capacity(committed.len());
        for (partition, next) in committed {
            list.add(&partition.topic, partition.partition, next.offset, &next.metadata);
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
        offsets::list(&self.handle, partitions, spec, timeout)
    }

    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        let assigned = self.assignment.get(partition)?;
        if assigned.is_at_end() {
            // With read committed this is the last stable offset, which librdkafka tells nowhere else.
            return Some(assigned.position);
        }
        let end = self.handle.native().known_end(&partition.topic, partition.partition)?;
        Some(end.max(assigned.position))
    }

    fn statistics(&mut self) -> ConsumerStatistics {
        let topics = self.assignment.handed_out();
        let places: Vec<(TopicPartition, i64)> =
            self.assignment.all().map(|assigned| (assigned.partition.clone(), assigned.position)).collect();
        let place = |(partition, position): (TopicPartition, i64)| PartitionStatistics {
            lag: self.known_end(&partition).map(|end| (end - position).max(0)),
            lead: self.told.beginning(&partition).map(|beginning| (position - beginning).max(0)),
            read_replica: self.told.read_replica(&partition),
            partition,
        };
        let partitions = places.into_iter().map(place).collect();
        ConsumerStatistics { topics, partitions, network: self.told.take_network() }
    }

    fn group_metadata(&self) -> GroupMetadata {
        let metadata = self.group.as_ref().and_then(|_| self.handle.native().group_metadata());
        metadata.unwrap_or(GroupMetadata { generation: -1, ..GroupMetadata::default() })
    }

    fn close(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        self.assignment.clear();
        self.leave_group(deadline);
        self.close_native(deadline, timeout)
    }

    /// librdkafka does not leave the group for a static member.
    fn close_and_remain(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.assignment.clear();
        self.close_native(Instant::now() + timeout, timeout)
    }
}
