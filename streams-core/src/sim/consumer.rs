//! A consumer on the far side of a network that loses, delays and stalls.

use std::time::Duration;

use streams_state::types::TopicPartition;

use super::step::{CallFault, Step};
use super::world::Link;
use crate::client::embedded::EmbeddedConsumer;
use crate::client::{
    ClientError, CommittedOffset, Consumer, Fault, GroupMetadata, OffsetSpec, Polled, RecordSink, Slot,
};

/// How long a poll that found nothing waits before it looks again.
const LOOK_AGAIN_MS: i64 = 25;

/// A simulated consumer.
pub(super) struct SimConsumer {
    inner: EmbeddedConsumer,
    link: Link,
    /// Reads input as a member of the group, or else changelogs.
    step: Step,
}

impl SimConsumer {
    pub(super) fn new(inner: EmbeddedConsumer, link: Link, in_group: bool) -> Self {
        Self { inner, link, step: if in_group { Step::Poll } else { Step::Restore } }
    }

    /// A question to the cluster, which may get no answer.
    fn ask<T>(
        &mut self,
        step: Step,
        call: &str,
        timeout: Duration,
        question: impl Fn(&mut EmbeddedConsumer) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let fault = self.link.call(step);
        self.link.reach(call, timeout)?;
        match fault {
            Some(CallFault::RequestLost) => {
                self.link.pause(ms(timeout));
                return Err(ClientError::new(Fault::Retriable, call, "simulated: the request was lost"));
            }
            Some(CallFault::Refused) => return Err(refused(call)),
            None
            | Some(
                CallFault::CrashBefore
                | CallFault::Stall(_)
                | CallFault::CrashAfter
                | CallFault::ReplyLost
                | CallFault::Late(_)
                | CallFault::Resent(_)
                | CallFault::Fenced
                | CallFault::DiskFull
                | CallFault::Damaged,
            ) => {}
        }
        let deadline = self.link.world.clock_ms() + ms(timeout);
        let answer = loop {
            match question(&mut self.inner) {
                // A transaction that is not decided yet: the broker lets the client ask again.
                Err(error) if error.fault == Fault::Retriable && self.link.world.clock_ms() < deadline => {
                    self.link.pause(LOOK_AGAIN_MS);
                    if !super::world::may_pause() {
                        break Err(error);
                    }
                }
                answer => break answer,
            }
        };
        self.link.done(step, fault);
        answer
    }

    /// Who is silent when the instance is stopped.
    fn remember_member(&self) {
        let proof = self.inner.group_metadata();
        if !proof.member.is_empty() {
            let mut state = self.link.world.state();
            state.members.entry(self.link.instance).or_default().insert((proof.group, proof.member));
        }
    }
}

pub(super) fn ms(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn refused(call: &str) -> ClientError {
    ClientError::new(Fault::Retriable, call, "simulated: this broker is not the coordinator")
}

impl Consumer for SimConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        self.inner.subscribe(topics)
    }

    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        self.inner.unsubscribe()
    }

    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        let fault = self.link.call(self.step);
        if self.link.reach("poll", timeout).is_err() {
            return Ok(Polled::default());
        }
        if fault == Some(CallFault::RequestLost) {
            self.link.pause(ms(timeout));
            return Ok(Polled::default());
        }
        let deadline = self.link.world.clock_ms() + ms(timeout);
        let polled = loop {
            let polled = self.inner.poll(Duration::ZERO, sink)?;
            let left = deadline - self.link.world.clock_ms();
            let nothing = polled.records == 0 && polled.rebalance.is_none();
            if !nothing || left <= 0 || !super::world::may_pause() {
                break polled;
            }
            self.link.pause(left.min(LOOK_AGAIN_MS));
        };
        if self.step == Step::Poll {
            self.remember_member();
        }
        if let Some(event) = &polled.rebalance {
            self.link.world.note(format_args!("i{} {event:?}", self.link.instance));
        }
        if polled.records > 0 {
            let (instance, records) = (self.link.instance, polled.records);
            self.link.world.note(format_args!("i{instance} {:?}: {records} records", self.step));
        }
        self.link.done(self.step, fault);
        Ok(polled)
    }

    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        let inner = &mut self.inner;
        self.link.around(Step::Rebalance, || inner.complete_assign(partitions))
    }

    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        let inner = &mut self.inner;
        self.link.around(Step::Rebalance, || inner.complete_revoke())
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.inner.assign(partitions)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError> {
        self.inner.seek(partition, offset)
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError> {
        self.inner.position(partition)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
        self.ask(Step::Committed, "committed offsets", timeout, |inner| inner.committed(partitions, timeout))
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let (call, step) = ("commit offsets", Step::CommitOffsets);
        let fault = self.link.call(step);
        self.link.reach(call, timeout)?;
        match fault {
            Some(CallFault::RequestLost) => {
                self.link.pause(ms(timeout));
                return Err(ClientError::new(Fault::Unknown, call, "simulated: the request was lost"));
            }
            Some(CallFault::ReplyLost) => {
                self.inner.commit(offsets, timeout)?;
                self.link.pause(ms(timeout));
                return Err(ClientError::new(Fault::Unknown, call, "simulated: the answer was lost"));
            }
            Some(CallFault::Refused) => return Err(refused(call)),
            Some(CallFault::Fenced) => {
                return Err(ClientError::new(Fault::NotInGroup, call, "simulated: an old generation"));
            }
            None
            | Some(
                CallFault::CrashBefore
                | CallFault::Stall(_)
                | CallFault::CrashAfter
                | CallFault::Late(_)
                | CallFault::Resent(_)
                | CallFault::DiskFull
                | CallFault::Damaged,
            ) => {}
        }
        let answer = self.inner.commit(offsets, timeout);
        self.link.done(step, fault);
        answer
    }

    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        self.ask(Step::ListOffsets, "list offsets", timeout, |inner| {
            inner.list_offsets(partitions, spec, timeout)
        })
    }

    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.inner.known_end(partition)
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.inner.group_metadata()
    }

    fn close(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let Self { inner, link, step } = self;
        match step {
            Step::Poll => link.around(Step::Close, || inner.close(timeout)),
            _ => inner.close(timeout),
        }
    }

    fn close_and_remain(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let Self { inner, link, .. } = self;
        link.around(Step::Close, || inner.close_and_remain(timeout))
    }
}
