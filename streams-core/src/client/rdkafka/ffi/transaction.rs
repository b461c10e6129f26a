//! Transactions and flushing: calls that wait for brokers. Only `begin` returns at once.

use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;

use super::{Failure, Native, PartitionList, millis, name};
use crate::client::GroupMetadata;

/// Longest wait for the first answer of a broker.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Pause before the coordinator is asked for the producer id once more. librdkafka's own is half a second.
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Native {
    /// Fences older producers of the transactional id. May be called again after a retriable failure.
    ///
    /// A new client knows no broker yet. Asked then for the coordinator, librdkafka looks again after half a second, so the first answer of
    /// a broker is waited for here; without one within [`FIRST_ANSWER`] it is left to librdkafka, and its timeout.
    ///
    /// While the coordinator aborts what a killed producer left open it refuses with `CONCURRENT_TRANSACTIONS`, and librdkafka asks again
    /// only after half a second. A call that is resumed asks at once if no question is on its way, so that one call is made of short ones.
    pub(crate) fn init_transactions(&self, timeout: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        let _ = self.brokers(timeout.min(FIRST_ANSWER));
        let mut refusal = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // SAFETY: living client; the error object is ours.
            let answer = unsafe {
                Failure::take(sys::rd_kafka_init_transactions(self.rk(), millis(left.min(ASK_AGAIN))))
            };
            match answer {
                Err(failure) if failure.retriable => {
                    // The words of the coordinator, and not that nothing was heard of it in the last of these calls.
                    if failure.code != RDKafkaErrorCode::OperationTimedOut || refusal.is_none() {
                        refusal = Some(failure.clone());
                    }
                    if left <= ASK_AGAIN {
                        return Err(refusal.unwrap_or(failure));
                    }
                }
                ended => return ended,
            }
        }
    }

    /// Begins a transaction.
    pub(crate) fn begin_transaction(&self) -> Result<(), Failure> {
        // SAFETY: living client; the error object is ours.
        unsafe { Failure::take(sys::rd_kafka_begin_transaction(self.rk())) }
    }

    /// Adds offsets to the transaction. librdkafka does not keep to the timeout.
    pub(crate) fn send_offsets(
        &self,
        offsets: &PartitionList,
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let (id, member) = (name(&group.group), name(&group.member));
        // SAFETY: strings are copied into the metadata, which is ours and freed once, after the call that reads
        // it; the list lives as long; the error object is ours.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata_new_with_genid(
                id.as_ptr(),
                group.generation,
                member.as_ptr(),
                std::ptr::null(),
            );
            if metadata.is_null() {
                return Err(Failure::new(RDKafkaErrorCode::InvalidGroupId, "no such group"));
            }
            let error = sys::rd_kafka_send_offsets_to_transaction(
                self.rk(),
                offsets.as_ptr(),
                metadata,
                millis(timeout),
            );
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            Failure::take(error)
        }
    }

    /// Flushes and commits. Returns only while somebody takes the delivery reports.
    pub(crate) fn commit_transaction(&self) -> Result<(), Failure> {
        // SAFETY: living client; the error object is ours. -1: until the transaction times out.
        unsafe { Failure::take(sys::rd_kafka_commit_transaction(self.rk(), -1)) }
    }

    /// Drops what is in flight and aborts. Returns only while somebody takes the delivery reports.
    pub(crate) fn abort_transaction(&self) -> Result<(), Failure> {
        // SAFETY: living client; the error object is ours. -1: until the transaction times out.
        unsafe { Failure::take(sys::rd_kafka_abort_transaction(self.rk(), -1)) }
    }

    /// Sends now and waits. Returns only while somebody takes the delivery reports.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: living client.
        Failure::check(unsafe { sys::rd_kafka_flush(self.rk(), millis(timeout)) })
    }

    /// Drops records that are queued or in flight.
    pub(crate) fn purge(&self) {
        let flags =
            sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: living client. A failure means that it is no producer: nothing to drop.
        let _ = unsafe { sys::rd_kafka_purge(self.rk(), flags) };
    }
}
