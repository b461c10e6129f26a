//! The crank of the global stores: reads all partitions of their topics, first to the ends, then on and on.
//!
//! In: records of every partition, read without a group (read committed with exactly once). Out: stores that all stream
//! threads read. Stream threads start when the first reading has reached the ends that the topics had. Nothing is written
//! to Kafka: the topics are the changelogs, and a file beside the stores says how far they reach (`checkpoint.rs`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streams_state::error::StateError;
use streams_state::store::{StateStore, StoreOperation, Unflushed};
use streams_state::types::{TaskId, Timestamp, TopicPartition};

use super::client_sensors::MeteredConsumer;
use super::commit::{FLUSH_BUSY, FLUSH_IDLE};
use super::global_restore::GlobalRestore;
use super::metrics::ThreadMetrics;
use super::shared::Shared;
use super::task_timeout::TaskTimeout;
use super::threads::global_thread_name;
use super::{StreamsError, checkpoint, figures};
use crate::client::{ClientError, Consumer, Fault, OffsetSpec, RecordSink, Slot};
use crate::error::NodeResult;
use crate::metrics::{Activity, Mark, MetricsSource, OwnWork};
use crate::processor::StoreInstance;
use crate::record::RawRecord;
use crate::task::{GlobalFeed, GlobalTask, StreamTask};
use crate::topology::NodeId;

/// Deadline for the offsets of the topics.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait of a poll while the stores are being filled.
const FILL_WAIT: Duration = Duration::from_millis(10);
/// Records in a row before readers have their turn.
const RUN: usize = 1000;

/// The thread that feeds the global stores.
pub(crate) struct GlobalThread {
    pub(crate) name: String,
    shared: Arc<Shared>,
    consumer: MeteredConsumer,
    task: GlobalTask,
    /// Next offset of each input.
    positions: Vec<i64>,
    /// Where the first reading ends.
    ends: Vec<i64>,
    ready: bool,
    restore: GlobalRestore,
    timeout: TaskTimeout,
    checkpointed: Vec<i64>,
    directory: PathBuf,
    metrics: Arc<ThreadMetrics>,
    at_work: OwnWork,
    idle: bool,
    /// When its figures were shown last.
    figures_at: Option<Timestamp>,
}

impl GlobalThread {
    /// Makes the consumer and goes to where the stores' checkpoint says. `clock`: ns, to measure with.
    pub(crate) fn new(
        shared: Arc<Shared>,
        metrics: Arc<ThreadMetrics>,
        (clock, now): (fn() -> u64, Timestamp),
    ) -> Result<Self, StreamsError> {
        let name = global_thread_name(&shared.config.application_id);
        let at = |error| StreamsError::client(format!("{name}, start"), error);
        let consumer = shared.global_consumer(now).map_err(at)?;
        let planned = shared.planned();
        let parts = planned.plan.subtopologies.iter().filter(|part| part.global.is_some());
        let mut nodes: Vec<NodeId> = parts.flat_map(|part| part.nodes.iter().copied()).collect();
        nodes.sort();
        let mut options = shared.task_options(&planned, TaskId { subtopology: 0, partition: -1 }, &nodes);
        let partitions = shared.global_inputs.clone();
        options.global_feed = Some(GlobalFeed { stores: Vec::new(), partitions });
        let at_work = OwnWork::new(metrics.at_work.clone());
        options.metrics = MetricsSource {
            metrics: shared.registry.clone(),
            thread_id: shared.global_thread_id().into(),
            ns: clock,
            at_work: at_work.place(),
        };
        let mut task = GlobalTask::new(options)?;
        task.turn(|task, _| task.init(now)).unwrap_or(Ok(()))?;
        let directory = shared.directory.global_dir();
        let mut thread = Self {
            name,
            consumer,
            task,
            positions: Vec::new(),
            ends: Vec::new(),
            ready: false,
            restore: GlobalRestore::new(None, &[], &[], &[], &[]),
            timeout: TaskTimeout::new(shared.config.task_timeout),
            checkpointed: Vec::new(),
            directory,
            metrics,
            at_work,
            idle: false,
            figures_at: None,
            shared,
        };
        thread.start()?;
        Ok(thread)
    }

    fn client(&self, error: ClientError) -> StreamsError {
        StreamsError::client(&self.name, error)
    }

    fn inputs(&self) -> &[TopicPartition] {
        self.task.task().partitions()
    }

    /// Finds out where each input starts and where the first reading ends.
    fn start(&mut self) -> Result<(), StreamsError> {
        let inputs = self.inputs().to_vec();
        let end = if self.shared.config.exactly_once() { OffsetSpec::Stable } else { OffsetSpec::End };
        let ends = self.consumer.list_offsets(&inputs, end, OFFSETS_TIMEOUT);
        self.ends = ends.map_err(|error| self.client(error))?;
        let starts = self.consumer.list_offsets(&inputs, OffsetSpec::Beginning, OFFSETS_TIMEOUT);
        let starts = starts.map_err(|error| self.client(error))?;
        let known = checkpoint::read(&self.directory);
        self.positions = inputs.iter().map(|input| known.get(input).copied().unwrap_or(0)).collect();
        let topics: Vec<(Arc<str>, Arc<str>)> = self.shared.global_topics();
        for (store, topic) in topics {
            let mine: Vec<usize> = (0..inputs.len())
                .filter(|index| inputs.get(*index).is_some_and(|tp| tp.topic == topic))
                .collect();
            let at = |offsets: &[i64], index: &usize| offsets.get(*index).copied().unwrap_or(0);
            let known_all =
                mine.iter().all(|index| inputs.get(*index).is_some_and(|tp| known.contains_key(tp)));
            let there = mine.iter().all(|index| {
                let position = at(&self.positions, index);
                (at(&starts, index)..=at(&self.ends, index).max(at(&starts, index))).contains(&position)
            });
            let reached = self.reached(&store);
            // Only of positions that are there: those of a damaged file may have no sum.
            let sum = || mine.iter().map(|index| at(&self.positions, index)).sum::<i64>();
            if known_all && there && reached.is_some_and(|reached| reached >= sum()) {
                continue;
            }
            if reached.is_some() {
                tracing::warn!(%store, %topic, "the global store does not fit its topic; rebuilding it");
            }
            self.wipe(&store)?;
            for index in mine {
                if let Some(position) = self.positions.get_mut(index) {
                    *position = at(&starts, &index);
                }
            }
        }
        let assigned: Vec<(TopicPartition, i64, Slot)> = inputs
            .into_iter()
            .zip(&self.positions)
            .zip(0..)
            .map(|((input, position), slot)| (input, *position, slot))
            .collect();
        tracing::info!(thread = %self.name, ?assigned, ends = ?self.ends, "global stores read their topics");
        self.consumer.assign(&assigned).map_err(|error| self.client(error))?;
        let (listener, topics) = (self.shared.restore_listener.clone(), self.shared.global_topics());
        self.restore = GlobalRestore::new(listener, &topics, self.inputs(), &self.positions, &self.ends);
        self.note_ends();
        Ok(())
    }

    fn reached(&mut self, store: &str) -> Option<i64> {
        let reached = |_: &mut StreamTask, stores: &[(Arc<str>, StoreInstance)]| {
            let found = stores.iter().find(|(name, _)| &**name == store)?;
            found.1.state.borrow().offset()
        };
        self.task.turn(reached).flatten()
    }

    fn wipe(&mut self, store: &str) -> Result<(), StreamsError> {
        let wiped = self.task.turn(|_, stores| {
            let mut mine = stores.iter().filter(|(name, _)| &**name == store);
            mine.try_for_each(|(_, store)| store.state.borrow_mut().wipe())
        });
        Ok(wiped.unwrap_or(Ok(()))?)
    }

    /// Whether the stores hold what the topics had when this thread started.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Records read before the stores were full.
    #[cfg(all(test, feature = "rocksdb"))]
    pub(crate) fn restored(&self) -> u64 {
        self.metrics.restored.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The stores are full once they have read to the ends.
    fn note_ends(&mut self) {
        if !self.ready && self.at_the_ends() {
            self.ready = true;
            self.task.task_mut().global_stores_restored();
        }
    }

    fn at_the_ends(&self) -> bool {
        self.positions.iter().zip(&self.ends).all(|(position, end)| position >= end)
    }

    /// One turn: a batch of records into the stores. An error ends the thread.
    pub(crate) fn step(&mut self, now: Timestamp) -> Result<(), StreamsError> {
        self.consumer.show(now);
        let wait = match (self.ready, self.idle) {
            (false, _) => FILL_WAIT,
            (true, false) => Duration::ZERO,
            (true, true) => self.shared.config.poll,
        };
        let buffered_max = self.shared.config.buffered_records_per_partition;
        let by_input = vec![0; if self.ready { 0 } else { self.ends.len() }];
        let mut intake = Intake { task: self.task.task_mut(), buffered_max, by_input };
        self.at_work.set(Mark::of(Activity::Polling));
        let polled = self.consumer.poll(wait, &mut intake);
        self.at_work.set(Mark::of(Activity::Other));
        let by_input = intake.by_input;
        let records = match polled {
            Ok(polled) => polled.records,
            Err(error) => {
                self.poll_failed(error)?;
                0
            }
        };
        self.idle = records == 0;
        self.process(now)?;
        if !self.ready {
            self.restore.advance(&self.positions, &by_input);
            self.await_progress(records, now)?;
        }
        self.publish(records, now);
        self.note_ends();
        self.flush_if_due()?;
        self.answer_checkpoint()
    }

    /// A checkpoint of the instance gets a copy of the stores, and of the file that says how far they have read.
    fn answer_checkpoint(&mut self) -> Result<(), StreamsError> {
        let shared = self.shared.clone();
        if !shared.checkpoints.wants(None) {
            return Ok(());
        }
        self.flush()?;
        let topics = shared.global_topics().into_iter().map(|(store, topic)| (store, Some(topic)));
        let source = &self.directory;
        shared.checkpoints.copy(None, topics.collect(), |directory| {
            let Some(files) = &shared.global_files else { return Ok(()) };
            files.checkpoint(directory)?;
            checkpoint::copy(source, directory).map_err(|error| StateError::Checkpoint {
                path: directory.to_owned(),
                message: format!("the offsets of the global stores cannot be written: {error}"),
            })
        });
        shared.checkpoints.answered(None);
        Ok(())
    }

    /// While the stores are being filled, `task.timeout.ms` is the longest time without a record.
    fn await_progress(&mut self, records: usize, now: Timestamp) -> Result<(), StreamsError> {
        if records > 0 || self.at_the_ends() {
            self.timeout.clear();
            return Ok(());
        }
        let lost = self.timeout.attempt_failed(now);
        lost.map_err(|text| {
            StreamsError::IllegalState(format!("{}: filling the global stores: {text}", self.name))
        })
    }

    /// A failed poll is tried again, unless nothing would come of it.
    fn poll_failed(&mut self, error: ClientError) -> Result<(), StreamsError> {
        match error.fault {
            Fault::Retriable | Fault::Unreachable | Fault::Unknown | Fault::QueueFull => {
                tracing::warn!(thread = %self.name, "reading the global topics failed, it is tried again: {error}");
                Ok(())
            }
            Fault::OffsetOutOfRange => {
                for (store, _) in self.shared.global_topics() {
                    self.wipe(&store)?;
                }
                checkpoint::delete(&self.directory);
                Err(StreamsError::IllegalState(format!(
                    "{}: a global topic lost records before they were read ({error}); the local copies were deleted, the \
                     next start reads the topics anew",
                    self.name
                )))
            }
            Fault::AbortTransaction
            | Fault::ProducerFenced
            | Fault::NotInGroup
            | Fault::UnknownTopic
            | Fault::AlreadyExists
            | Fault::Denied
            | Fault::BadRecord
            | Fault::ClientDead
            | Fault::Invalid => Err(self.client(error)),
        }
    }

    /// Everything that waits goes into the stores; readers may read between two runs.
    fn process(&mut self, now: Timestamp) -> Result<(), StreamsError> {
        let inputs = self.inputs().to_vec();
        let mut moved = false;
        for (position, input) in self.positions.iter_mut().zip(&inputs) {
            let reached = self.consumer.position(input);
            let reached = reached.map_err(|error| StreamsError::client(&self.name, error))?;
            moved |= reached > *position;
            *position = reached.max(*position);
        }
        let topics = self.shared.global_topics();
        let sums: Vec<(Arc<str>, i64)> = topics
            .into_iter()
            .map(|(store, topic)| {
                let mine = inputs.iter().zip(&self.positions).filter(|(input, _)| input.topic == topic);
                (store, mine.map(|(_, position)| position).sum())
            })
            .collect();
        self.task.task_mut().set_wall_time(now);
        while self.task.task().total_buffered() > 0 {
            let ran: Option<NodeResult> = self.task.turn(|task, _| task.process(RUN).map(drop));
            ran.unwrap_or(Ok(()))?;
        }
        self.drop_outbox();
        self.shared.queries.global_stores_are_at(&inputs, &self.positions);
        let settled = self.task.turn(|_, stores| settle(stores, &sums, moved));
        Ok(settled.unwrap_or(Ok(()))?)
    }

    /// A dead letter of a global topic would need a producer; Kafka Streams drops it, too.
    fn drop_outbox(&mut self) {
        let outbox = self.task.task_mut().outbox();
        if !outbox.records.is_empty() {
            tracing::warn!(thread = %self.name, records = outbox.records.len(),
                "global stores write no topic: records that their processors or handlers wanted to send were dropped");
            outbox.clear();
        }
    }

    fn flush_if_due(&mut self) -> Result<(), StreamsError> {
        let policy = if self.idle { FLUSH_IDLE } else { FLUSH_BUSY };
        let unflushed = self.task.turn(|_, stores| {
            stores.iter().fold(Unflushed::default(), |sum, (_, store)| {
                let one = store.state.borrow().unflushed();
                Unflushed { records: sum.records + one.records, bytes: sum.bytes + one.bytes }
            })
        });
        let unflushed = unflushed.unwrap_or_default();
        match unflushed.records >= policy.records_max || unflushed.bytes >= policy.bytes_max {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Rows to the engines, then the checkpoint.
    fn flush(&mut self) -> Result<(), StreamsError> {
        let flushed = self.task.turn(|_, stores| {
            let mut all = stores.iter();
            all.try_for_each(|(_, store)| store.measured(StoreOperation::Flush, |state| state.flush()))
        });
        flushed.unwrap_or(Ok(()))?;
        if self.checkpointed == self.positions {
            return Ok(());
        }
        let offsets: Vec<(TopicPartition, i64)> =
            self.inputs().iter().cloned().zip(self.positions.iter().copied()).collect();
        self.checkpointed.clone_from(&self.positions);
        checkpoint::write(&self.directory, &offsets).map_err(|error| {
            StreamsError::IllegalState(format!(
                "{}: the checkpoint in {} cannot be written: {error}",
                self.name,
                self.directory.display()
            ))
        })
    }

    /// Flushes and closes.
    pub(crate) fn close(mut self, timeout: Duration) -> Result<(), StreamsError> {
        self.restore.suspend();
        let flushed = self.flush();
        let name = self.name.clone();
        let closed = self.task.close();
        let left = self.consumer.close(timeout).map_err(|error| StreamsError::client(name, error));
        flushed.and(closed.map_err(StreamsError::from)).and(left)
    }

    fn publish(&mut self, records: usize, now: Timestamp) {
        use std::sync::atomic::Ordering::Relaxed;
        if !self.ready {
            ThreadMetrics::add(&self.metrics.restored, records as u64);
        }
        self.metrics.collect(self.task.task_mut());
        if self.figures_at.is_none_or(|at| (now - at).abs() >= figures::EVERY_MS) {
            self.figures_at = Some(now);
            let bytes = self.task.turn(|task, stores| {
                task.flush_metrics(now, 0);
                stores.iter().map(|(_, store)| store.state.borrow().memory_bytes()).sum()
            });
            self.metrics.state_bytes.store(bytes.unwrap_or(0), Relaxed);
        }
    }
}

/// What was applied is committed at once: the topics hold committed records only. It counts as a commit if the thread has `moved` on.
fn settle(
    stores: &[(Arc<str>, StoreInstance)],
    sums: &[(Arc<str>, i64)],
    moved: bool,
) -> Result<(), StateError> {
    for (name, store) in stores {
        let sum = sums.iter().find(|(known, _)| known == name).map(|(_, sum)| *sum);
        let commit = |state: &mut dyn StateStore| {
            state.prepare_commit()?;
            state.drain_changelog(&mut |_| Ok(()))?;
            state.committed(sum.max(state.offset()));
            Ok(())
        };
        match moved {
            true => store.measured(StoreOperation::Commit, commit)?,
            false => commit(&mut *store.state.borrow_mut())?,
        }
    }
    Ok(())
}

/// The sink of one poll.
struct Intake<'a> {
    task: &'a mut StreamTask,
    buffered_max: usize,
    /// Records of each input, counted until the first reading is done.
    by_input: Vec<u64>,
}

impl RecordSink for Intake<'_> {
    fn wants(&self, slot: Slot) -> bool {
        self.task.buffered(slot) < self.buffered_max
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        if let Some(records) = self.by_input.get_mut(slot as usize) {
            *records += 1;
        }
        self.task.add_record(slot, record);
    }
}
