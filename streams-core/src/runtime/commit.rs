//! Step 7: the numbered order of a commit, for both guarantees. All tasks of a thread commit together.
//!
//! 1. Nothing is processed while this runs: the thread has one crank.
//! 2. Caches flush, some updates at a time; what they forward is processed to its end and may produce.
//! 3. Stores hand over their changelog entries; everything goes to the producer, before the next updates.
//! 4. Exactly once: the consumed offsets join the transaction, fenced by the current generation, even if none has moved, and
//! 5. the transaction is committed, which waits for every acknowledgement: one failure aborts it.
//!    At least once: wait for every acknowledgement, then commit the offsets.
//! 6. Stores learn that what they logged is committed, and the changelog offset that it reaches.
//! 7. Stores that gathered enough give it to their engine, with that offset.
//!
//! A crash before 5 leaves the previous commit; after 5 the next owner replays the tail of the changelog that
//! the engine does not have. Steps are spans (`spans.rs`) with these numbers. An outcome of 4 or 5 that is not known is settled by a new producer
//! (`recover.rs`); so is one that went well but whose requests went out twice, because a late copy could end the next transaction.

use std::time::Duration;

use streams_state::types::TopicPartition;
use tracing::Span;

use super::recover::Phase;
use super::spans::{Place, commit_step};
use super::stream_thread::{StreamThread, Trouble};
use crate::client::{CommittedOffset, Consumer};
use crate::metrics::Activity;
use crate::task::FlushPolicy;

/// Deadline of the calls of one commit; past it the outcome counts as unknown.
pub(crate) const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// Updates of record caches that are sent at once: few, so that what they become stays in the processor's cache until it is sent, and
/// needs little memory.
const PART: usize = 256;

/// Under load: large, so that a flush pays for many updates of a row.
pub(crate) const FLUSH_BUSY: FlushPolicy =
    FlushPolicy { records_max: 100_000, bytes_max: 32 << 20, waits: true };
/// With nothing else to do: small, so that a crash replays little, and one task after the other, so that not all runs are in memory.
pub(crate) const FLUSH_IDLE: FlushPolicy =
    FlushPolicy { records_max: 1_000, bytes_max: 1 << 20, waits: false };

impl StreamThread {
    /// Commits what all tasks did since the last commit. Returns whether there was anything.
    pub(crate) fn commit(&mut self) -> Result<bool, Trouble> {
        self.sensors.at(Activity::Committing);
        let committed = self.commit_all();
        self.sensors.at(Activity::Other);
        committed
    }

    fn commit_all(&mut self) -> Result<bool, Trouble> {
        let span = self.commit_span().entered();
        self.flush_caches()?;
        let offsets = self.committable()?;
        span.record("offsets", offsets.len());
        if offsets.is_empty() && !self.wrote() {
            return Ok(false);
        }
        let phase = |error| Trouble::Client(Phase::Commit, error);
        let began = self.sensors.now_ns();
        if self.shared.config.exactly_once() {
            let group = self.consumer.group_metadata();
            self.producer.commit(&offsets, &group, COMMIT_TIMEOUT).map_err(phase)?;
        } else {
            let acknowledged =
                commit_step!("flush_producer", "4").in_scope(|| self.producer.flush(COMMIT_TIMEOUT));
            acknowledged.map_err(phase)?;
            if !offsets.is_empty() {
                let _entered = commit_step!("commit_offsets", "5").entered();
                self.consumer.commit(&offsets, COMMIT_TIMEOUT).map_err(phase)?;
            }
        }
        self.sensors.waited(began);
        self.committed(&offsets);
        self.flush_stores(if self.drained { FLUSH_IDLE } else { FLUSH_BUSY })?;
        Ok(true)
    }

    /// None if nothing happened since the last commit: one that at most moves offsets past markers.
    fn commit_span(&self) -> Span {
        let needed = self.tasks.iter().any(|owned| owned.is_running() && owned.task.commit_needed());
        match needed || self.producer.in_transaction() {
            true => Place { application: &self.shared.config.application_id, thread: &self.name }.commit(),
            false => Span::none(),
        }
    }

    /// Whether something was written, though no offset moved: by schedules alone.
    fn wrote(&self) -> bool {
        let mut running = self.tasks.iter().filter(|owned| owned.is_running());
        match self.shared.config.exactly_once() {
            true => self.producer.in_transaction(),
            false => running.any(|owned| owned.task.commit_needed()),
        }
    }

    /// Steps 2 and 3.
    fn flush_caches(&mut self) -> Result<(), Trouble> {
        let _entered = commit_step!("prepare_commit", "2, 3").entered();
        for owned in self.tasks.iter_mut().filter(|owned| owned.is_running()) {
            let mut all = false;
            while !all {
                all = owned.task.prepare_commit(PART)?;
                owned.task.count_outbox();
                self.producer
                    .send_all(owned.task.outbox(), &mut owned.outputs)
                    .map_err(|error| Trouble::Client(Phase::Produce, error))?;
            }
        }
        Ok(())
    }

    /// The offsets that moved since the last commit: the head of each queue or, where a queue is empty, the
    /// consumer's position, which lies behind transaction markers too, so that lag reaches 0.
    fn committable(&mut self) -> Result<Vec<(TopicPartition, CommittedOffset)>, Trouble> {
        let mut offsets = Vec::new();
        for owned in self.tasks.iter_mut().filter(|owned| owned.is_running()) {
            let partitions = owned.task.partitions().to_vec();
            for (queue, partition) in (0_u32..).zip(&partitions) {
                if owned.task.buffered(queue) == 0 {
                    let position = self.consumer.position(partition);
                    let position = position.map_err(|error| Trouble::Client(Phase::Poll, error))?;
                    owned.task.update_position(queue, position);
                }
            }
            offsets.extend(owned.task.committable_offsets());
        }
        if offsets.is_empty() && self.producer.in_transaction() {
            return self.unmoved();
        }
        Ok(offsets)
    }

    /// What schedules alone wrote moves no offset. Offsets go along all the same: they are what tells the cluster the generation of the
    /// group, so a thread that has lost its tasks without knowing it cannot commit. (Kafka Streams sends none then.)
    fn unmoved(&mut self) -> Result<Vec<(TopicPartition, CommittedOffset)>, Trouble> {
        let mut offsets = Vec::new();
        for owned in self.tasks.iter().filter(|owned| owned.is_running()) {
            let unmoved = owned.task.unmoved_offsets(&mut |partition| self.consumer.position(partition));
            offsets.extend(unmoved.map_err(|error| Trouble::Client(Phase::Poll, error))?);
        }
        Ok(offsets)
    }

    /// Step 6.
    fn committed(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) {
        let _entered = commit_step!("post_commit", "6").entered();
        let producer = &mut self.producer;
        for owned in self.tasks.iter_mut().filter(|owned| owned.is_running()) {
            owned.task.post_commit(offsets, &mut |changelog, from| producer.reached(changelog, from));
        }
        self.producer.forget_acked();
        for (partition, committed) in offsets {
            if self.shared.is_repartition(&partition.topic) {
                self.shared.purgeable.committed(partition, committed.offset);
            }
        }
    }

    /// Step 7: stores beyond `policy` give their committed rows to the engine.
    pub(crate) fn flush_stores(&mut self, policy: FlushPolicy) -> Result<(), Trouble> {
        let _entered = commit_step!("flush_stores", "7").entered();
        for owned in self.tasks.iter_mut().filter(|owned| owned.is_running()) {
            owned.task.flush_if_due(policy)?;
        }
        Ok(())
    }
}
