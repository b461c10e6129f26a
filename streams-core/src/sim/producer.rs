//! A producer on the far side of a network whose requests are lost, late, or sent twice.
//!
//! What its client knows is what librdkafka lets ours know: of a request that went out twice it knows that the outcome is unclear
//! (`client/rdkafka/ffi/requests.rs`), and says so.

use std::time::Duration;

use streams_state::types::TopicPartition;

use super::consumer::{ms, refused};
use super::step::{CallFault, Step};
use super::world::{Link, this_thread};
use crate::client::embedded::{EmbeddedProducer, Request};
use crate::client::{
    ClientError, CommittedOffset, Deliveries, Fault, GroupMetadata, ProduceRecord, Producer, TopicHandle,
};

/// A simulated producer.
pub(super) struct SimProducer {
    inner: EmbeddedProducer,
    link: Link,
    /// Records were given to it since the last drain.
    filled: bool,
}

impl SimProducer {
    pub(super) fn new(inner: EmbeddedProducer, link: Link) -> Self {
        Self { inner, link, filled: false }
    }

    /// A transaction call: executed now, later, twice or never.
    fn transaction_call(
        &mut self,
        (step, call): (Step, &str),
        timeout: Duration,
        request: impl FnOnce(&EmbeddedProducer) -> Option<Request>,
        execute: impl FnOnce(&mut EmbeddedProducer) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let fault = self.link.call(step);
        self.link.reach(call, timeout)?;
        match fault {
            None | Some(CallFault::CrashBefore | CallFault::Stall(_) | CallFault::CrashAfter) => {
                let answer = execute(&mut self.inner);
                self.link.done(step, fault);
                answer
            }
            Some(CallFault::RequestLost) => {
                self.link.pause(ms(timeout));
                Err(unknown(call, "the request was lost"))
            }
            Some(CallFault::ReplyLost) => {
                execute(&mut self.inner)?;
                self.link.pause(ms(timeout));
                Err(unknown(call, "the answer was lost"))
            }
            Some(CallFault::Late(after_ms)) => {
                self.arrives_later(after_ms, request(&self.inner));
                Err(unknown(call, "the connection broke"))
            }
            Some(CallFault::Resent(after_ms)) => {
                let copy = request(&self.inner);
                let answer = execute(&mut self.inner);
                self.arrives_later(after_ms, copy);
                answer.and(Err(unknown(call, "it went out twice, and one answer is missing")))
            }
            Some(CallFault::Refused) => Err(refused(call)),
            Some(CallFault::Fenced) if step == Step::SendOffsets => {
                Err(ClientError::new(Fault::NotInGroup, call, "simulated: an old generation"))
            }
            Some(CallFault::Fenced) => Err(fenced(call)),
            Some(CallFault::DiskFull | CallFault::Damaged) => Ok(()),
        }
    }

    fn arrives_later(&self, after_ms: i64, request: Option<Request>) {
        if let Some(request) = request {
            let at = self.link.world.clock_ms() + after_ms;
            self.link.world.state().late.push((at, request));
        }
    }

    /// What was sent goes over the network.
    fn push(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        if !std::mem::take(&mut self.filled) {
            return self.inner.drain(deliveries, timeout);
        }
        self.link.world.state().writers.insert(self.inner.producer_id(), this_thread());
        let fault = self.link.call(Step::Produce);
        let lost =
            |text: &str| ClientError::new(Fault::AbortTransaction, "produce", format!("simulated: {text}"));
        let reached = self.link.reach("produce", timeout.max(DELIVERY_TIMEOUT));
        match (reached, fault) {
            (Err(_), _) | (_, Some(CallFault::RequestLost)) => {
                self.inner.give_up(lost("records were not delivered in time"));
                self.inner.drain(deliveries, timeout);
            }
            (_, Some(CallFault::ReplyLost)) => {
                self.inner.drain(deliveries, timeout);
                deliveries.failure.get_or_insert(lost("records were delivered, and nobody knows"));
            }
            (_, Some(CallFault::Fenced)) => {
                self.inner.give_up(fenced("produce"));
                self.inner.drain(deliveries, timeout);
            }
            (
                Ok(()),
                None
                | Some(
                    CallFault::CrashBefore
                    | CallFault::Stall(_)
                    | CallFault::CrashAfter
                    | CallFault::Late(_)
                    | CallFault::Resent(_)
                    | CallFault::Refused
                    | CallFault::DiskFull
                    | CallFault::Damaged,
                ),
            ) => self.inner.drain(deliveries, timeout),
        }
        self.link.done(Step::Produce, fault);
    }
}

/// `delivery.timeout.ms`, shorter than Kafka's two minutes.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

fn unknown(call: &str, text: &str) -> ClientError {
    ClientError::new(Fault::Unknown, call, format!("simulated: {text}"))
}

fn fenced(call: &str) -> ClientError {
    ClientError::new(Fault::ProducerFenced, call, "simulated: a newer producer holds this transactional id")
}

impl Producer for SimProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        self.inner.topic(topic)
    }

    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.inner.partitions(topic, timeout)
    }

    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        self.filled = true;
        self.inner.send(record)
    }

    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        self.push(deliveries, timeout);
    }

    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        let fault = self.link.call(Step::Flush);
        self.link.reach("flush", timeout)?;
        if fault == Some(CallFault::RequestLost) {
            self.link.pause(ms(timeout));
            return Err(unknown("flush", "not everything was acknowledged in time"));
        }
        self.push(deliveries, timeout);
        self.link.done(Step::Flush, fault);
        Ok(())
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let step = (Step::InitTransactions, "init transactions");
        self.transaction_call(step, timeout, |_| None, |inner| inner.init_transactions(timeout))
    }

    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.inner.begin_transaction()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.transaction_call(
            (Step::SendOffsets, "send offsets to transaction"),
            timeout,
            |inner| inner.request_for_offsets(offsets, group),
            |inner| inner.send_offsets(offsets, group, timeout),
        )
    }

    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.push(deliveries, timeout);
        if let Some(failure) = deliveries.failure.take() {
            return Err(failure);
        }
        self.transaction_call(
            (Step::EndTransaction, "commit transaction"),
            timeout,
            |inner| inner.request_to_end(true),
            |inner| inner.commit_transaction(deliveries, timeout),
        )
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.filled = false;
        self.transaction_call(
            (Step::AbortTransaction, "abort transaction"),
            timeout,
            |inner| inner.request_to_end(false),
            |inner| inner.abort_transaction(timeout),
        )
    }

    fn close(&mut self, timeout: Duration) {
        self.inner.close(timeout);
    }
}
