//! The end of a consumer: it leaves its group, or remains in it, and is closed, within a deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::assignment::{list_of, partitions_of};
use super::consumer::KafkaConsumer;
use super::ffi::{Event, EventKind};
use crate::client::{ClientError, Consumer, Fault};

/// Wait for the next step of leaving the group.
const LEAVE_WAIT: Duration = Duration::from_millis(10);

/// Longest wait for the coordinator to let a member go, and again for librdkafka to close the consumer: while brokers come and go that may take
/// as long as any deadline, and what is won is no more than that the group does not wait for a session to time out.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

impl KafkaConsumer {
    /// Leaves the group by unsubscribing: a close alone does not make a static member leave, and its partitions would
    /// wait for its session to time out. The member id goes with the request to leave.
    pub(super) fn leave_group(&mut self, deadline: Instant) {
        let native = Arc::clone(self.handle.native());
        if self.group.is_none() || native.consumer_closed() || native.unsubscribe().is_err() {
            return;
        }
        let deadline = deadline.min(Instant::now() + LEAVE_PATIENCE);
        while !self.group_metadata().member.is_empty() && Instant::now() < deadline {
            if let Some(event) = self.events.poll(LEAVE_WAIT)
                && event.kind() == EventKind::Rebalance
            {
                self.give_up(&event);
            }
        }
    }

    /// Answers a step of a rebalance that nobody is asked about: nothing is read from now on, of a cooperative step nothing of its
    /// partitions.
    pub(super) fn give_up(&self, event: &Event) {
        let native = self.handle.native();
        let comes = event.failure().is_some_and(|failure| failure.code == Code::AssignPartitions);
        // A client that is closing, or has failed for good, may refuse: there is nothing to do about it.
        let _ = match (self.cooperative, comes) {
            (false, _) => native.assign(None),
            (true, true) => native.assign_also(&list_of(&[])),
            (true, false) => native.unassign_some(&list_of(&partitions_of(event))),
        };
    }

    pub(super) fn close_native(&mut self, deadline: Instant, timeout: Duration) -> Result<(), ClientError> {
        let native = Arc::clone(self.handle.native());
        if !native.consumer_closed() {
            match native.close_consumer(&self.events) {
                Ok(()) => {}
                // One that was fenced has no membership to give up.
                Err(failure) if failure.fatal || native.fatal().is_some() => return Ok(()),
                Err(failure) => return Err(self.handle.error("close", failure)),
            }
        }
        let patient_until = Instant::now() + LEAVE_PATIENCE;
        while !native.consumer_closed() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("the group was not left within {timeout:?}");
                return Err(ClientError::new(Fault::Unknown, "close", message));
            }
            if Instant::now() > patient_until {
                tracing::warn!(
                    "the coordinator did not answer for {LEAVE_PATIENCE:?}: the group will give this member up by itself"
                );
                self.handle.set_patience(Duration::ZERO);
                return Ok(());
            }
            if let Some(event) = self.events.poll(left.min(Duration::from_millis(100)))
                && event.kind() == EventKind::Rebalance
            {
                self.give_up(&event);
            }
        }
        self.handle.set_patience(deadline.saturating_duration_since(Instant::now()));
        Ok(())
    }
}
