//! The crank: one `step` polls, restores, processes, punctuates and commits. Time comes in as an argument.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{SerdeError, SerdeErrorKind};
use streams_state::types::{Timestamp, TopicPartition};

use super::client_sensors::MeteredConsumer;
use super::close_options::GroupMembershipOperation;
use super::commit::{COMMIT_TIMEOUT, FLUSH_IDLE};
use super::metrics::ThreadMetrics;
use super::poll::Intake;
use super::produce::StreamsProducer;
use super::rebuilds::Rebuilds;
use super::recover::{Phase, may_answer_later};
use super::restore::Restorer;
use super::restore_progress::RestoreProgress;
use super::rewinds::Rewinds;
use super::shared::{Planned, Shared};
use super::spans::Place;
use super::task_timeout::TaskTimeout;
use super::tasks::{OwnedTask, Tasks};
use super::thread_sensors::ThreadSensors;
use super::{StreamsError, ThreadState};
use crate::client::{ClientError, Consumer, Fault};
use crate::error::{TaskError, TaskErrorCause};
use crate::metrics::Activity;

/// Records of one task in a row before the next task has its turn.
const TASK_RUN: usize = 1000;
/// With exactly once, a commit this long after the last one if the input is drained: results become visible.
const DRAINED_COMMIT_MS: i64 = 25;
/// Wait of a restore poll while nothing else can run.
const RESTORE_WAIT: Duration = Duration::from_millis(5);
/// Wait before a task that another thread of this process still holds is tried again.
const LOCK_WAIT: Duration = Duration::from_millis(5);

/// Why a step ended early.
pub(crate) enum Trouble {
    /// A client call failed in this phase.
    Client(Phase, ClientError),
    /// A task stopped.
    Task(Box<TaskError>),
    /// Anything else.
    Streams(StreamsError),
}

impl From<Box<TaskError>> for Trouble {
    fn from(error: Box<TaskError>) -> Self {
        if let TaskErrorCause::Unanswered { source, .. } = &error.cause
            && let Some(client) = source.downcast_ref::<ClientError>()
        {
            let call = format!("task {}, node `{}`, {}", error.task, error.node, client.call);
            return Self::Client(
                Phase::Produce,
                ClientError::new(client.fault, call, client.message.clone()),
            );
        }
        match error.cause.serde().and_then(|serde| Self::unavailable(serde, &error)) {
            Some(trouble) => trouble,
            None => Self::Task(error),
        }
    }
}

impl Trouble {
    /// What a serde needs does not answer, as if it were the cluster: back to the committed offsets, and again.
    pub(super) fn unavailable(serde: &SerdeError, error: &dyn fmt::Display) -> Option<Self> {
        (serde.kind() == SerdeErrorKind::Unavailable).then(|| {
            let error = ClientError::new(Fault::Unreachable, "waiting for a serde", error.to_string());
            Self::Client(Phase::Produce, error)
        })
    }
}

impl From<streams_state::error::StateError> for Trouble {
    fn from(error: streams_state::error::StateError) -> Self {
        match error.serde().and_then(|serde| Self::unavailable(serde, &error)) {
            Some(trouble) => trouble,
            None => Self::Streams(StreamsError::State(error)),
        }
    }
}

/// One stream thread: clients, tasks, and the phases that work on them (`assignment.rs`, `commit.rs`).
pub(crate) struct StreamThread {
    pub(crate) name: String,
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// The plan with whose topics the thread subscribed last.
    pub(crate) planned: Arc<Planned>,
    pub(crate) consumer: MeteredConsumer,
    pub(crate) restore_consumer: Option<MeteredConsumer>,
    pub(crate) producer: StreamsProducer,
    pub(crate) tasks: Tasks,
    /// Tasks between a revocation and the next assignment.
    pub(crate) kept: Vec<OwnedTask>,
    /// An assignment whose tasks are not all open yet.
    pub(crate) assigned: Option<Vec<TopicPartition>>,
    /// When it came.
    pub(super) assigned_at: Timestamp,
    pub(crate) restorer: Restorer,
    restore_progress: RestoreProgress,
    pub(crate) metrics: Arc<ThreadMetrics>,
    pub(super) sensors: ThreadSensors,
    pub(crate) wall_time: Timestamp,
    pub(super) last_commit: Timestamp,
    /// The last step committed: the interval to the next commit begins now, as in Kafka Streams.
    commit_ended: bool,
    pub(super) uncommitted: bool,
    /// The last turn found nothing to do.
    idle: bool,
    /// And there is nothing left to do: all inputs are read to their ends.
    pub(crate) drained: bool,
    /// Ways back since the last commit.
    pub(super) rewinds: Rewinds,
    /// Attempts of `stuck_in` that the cluster did not answer.
    pub(super) timeout: TaskTimeout,
    pub(super) stuck_in: Phase,
    /// A way back met trouble: the next step joins anew.
    pub(crate) going_back: bool,
    pub(super) rebuilds: Rebuilds,
    /// When the last two consumers died.
    pub(super) consumer_died: [Option<Timestamp>; 2],
    /// When the figures of the tasks were shown last.
    pub(super) figures_at: Timestamp,
    /// How many tasks they were of, and how many of these restored.
    pub(super) figures_of: (usize, u64),
}

impl StreamThread {
    /// Makes the clients of the thread and joins the group.
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        metrics: Arc<ThreadMetrics>,
        now: Timestamp,
    ) -> Result<Self, StreamsError> {
        let name = format!("{}-StreamThread-{}", shared.config.application_id, index + 1);
        let at = |error| StreamsError::client(format!("{name}, start"), error);
        let mut consumer = shared.main_consumer(index, now).map_err(at)?;
        let mut producer = shared.uninitialized_producer(index, now).map_err(at)?;
        let going_back = match producer.initialize(COMMIT_TIMEOUT) {
            Ok(()) => false,
            // A coordinator that does not answer yet: asked again with the first step, as long as `task.timeout.ms` says.
            Err(error) if may_answer_later(&error, Phase::Assign) => {
                tracing::warn!(thread = %name, "{error}; trying again");
                true
            }
            Err(error) => return Err(at(error)),
        };
        let planned = shared.planned();
        let topics = shared.subscription(&planned);
        if !topics.is_empty() {
            consumer.subscribe(&topics).map_err(at)?;
        }
        let timeout = TaskTimeout::new(shared.config.task_timeout);
        let rewinds = Rewinds::new(shared.config.task_timeout);
        let restorer = shared.restorer();
        let ids = (&*shared.thread_id(index), &*shared.process_id);
        let sensors = ThreadSensors::new(&shared.registry, ids, &metrics, now);
        Ok(Self {
            name,
            index,
            shared,
            planned,
            consumer,
            restore_consumer: None,
            producer,
            tasks: Tasks::default(),
            kept: Vec::new(),
            assigned: None,
            assigned_at: now,
            restorer,
            restore_progress: RestoreProgress::default(),
            metrics,
            sensors,
            wall_time: now,
            last_commit: now,
            commit_ended: false,
            uncommitted: false,
            idle: false,
            drained: false,
            rewinds,
            timeout,
            stuck_in: Phase::Poll,
            going_back,
            rebuilds: Rebuilds::default(),
            consumer_died: [None; 2],
            figures_at: now,
            figures_of: (0, 0),
        })
    }

    /// What the thread does at the moment.
    pub(crate) fn state(&self) -> ThreadState {
        let restores = self.assigned.is_some() || !self.restorer.is_done();
        let state = match (restores, self.tasks.is_empty() && !self.joined()) {
            (true, _) => ThreadState::PartitionsAssigned,
            (false, true) => ThreadState::PartitionsRevoked,
            (false, false) => ThreadState::Running,
        };
        self.sensors.show_state(state);
        state
    }

    /// Whether the member has an assignment, be it an empty one.
    fn joined(&self) -> bool {
        let nothing = || self.shared.subscription(&self.planned).is_empty();
        self.kept.is_empty() && (self.consumer.group_metadata().generation >= 0 || nothing())
    }

    /// Whether it is not between two assignments.
    pub(super) fn has_its_tasks(&self) -> bool {
        self.assigned.is_none() && self.joined()
    }

    /// One turn of the crank at `now`. An error that the thread cannot heal ends it.
    pub(crate) fn step(&mut self, now: Timestamp) -> Result<(), StreamsError> {
        self.sensors.begin_turn();
        self.clock_set_back((self.wall_time - now).max(0));
        self.wall_time = now;
        if std::mem::take(&mut self.commit_ended) {
            self.last_commit = now;
        }
        let healed = match self.join_anew().and_then(|()| self.turn(now)) {
            Ok(()) => Ok(()),
            Err(trouble) => self.recover(trouble),
        };
        self.publish();
        if healed.is_ok() {
            self.answer_queries();
        }
        healed
    }

    fn turn(&mut self, now: Timestamp) -> Result<(), Trouble> {
        if let Some(gone) = self.shared.gone_source() {
            return Err(Trouble::Streams(gone));
        }
        self.follow_plan()?;
        let polled = self.poll(now)?;
        self.open_assigned()?;
        self.let_go_of_wanted()?;
        self.restore()?;
        let processed = self.process(now)?;
        // Tasks are started and restored by now; sending and committing must still show that they work.
        if !matches!(self.stuck_in, Phase::Produce | Phase::Commit) || self.tasks.is_empty() {
            self.timeout.clear();
        }
        self.idle = polled == 0 && processed == 0;
        self.drained = self.idle && self.at_the_end();
        self.commit_if_due(now)
    }

    /// Polls without waiting while there is work, else up to the next thing that is due.
    fn poll(&mut self, now: Timestamp) -> Result<usize, Trouble> {
        let timeout = self.poll_timeout(now);
        let buffered_max = self.shared.config.buffered_records_per_partition;
        let mut intake = Intake { tasks: &mut self.tasks, buffered_max };
        self.sensors.lap_to(Activity::Polling);
        let polled =
            self.consumer.poll(timeout, &mut intake).map_err(|error| Trouble::Client(Phase::Poll, error))?;
        self.sensors.polled(polled.records);
        if let Some(event) = polled.rebalance {
            self.rebalance(event)?;
        }
        Ok(polled.records)
    }

    fn poll_timeout(&self, now: Timestamp) -> Duration {
        if self.assigned.is_some() {
            return LOCK_WAIT;
        }
        if self.restorer.reads_here() || (!self.idle && !self.tasks.is_empty()) {
            return Duration::ZERO;
        }
        let mut due = now + self.shared.config.poll.as_millis() as i64;
        if !self.restorer.is_done() {
            due = due.min(now + RESTORE_WAIT.as_millis() as i64);
        }
        if self.uncommitted {
            due = due.min(self.next_commit());
        }
        for owned in self.tasks.iter() {
            due = owned.task.next_wall_clock().map_or(due, |at| due.min(at));
        }
        Duration::from_millis((due - now).max(0) as u64)
    }

    /// When the next commit is due, given that there is something to commit.
    fn next_commit(&self) -> Timestamp {
        let interval = self.shared.config.commit_interval.as_millis() as i64;
        let drained = self.drained && self.shared.config.exactly_once();
        self.last_commit + if drained { DRAINED_COMMIT_MS.min(interval) } else { interval }
    }

    /// Whether all inputs are read to their ends, as far as the last fetches saw them.
    fn at_the_end(&mut self) -> bool {
        let consumer = &mut self.consumer;
        self.tasks.iter().flat_map(|owned| owned.task.partitions()).all(|partition| {
            match (consumer.known_end(partition), consumer.position(partition)) {
                (Some(end), Ok(position)) => position >= end,
                (None, _) | (_, Err(_)) => false,
            }
        })
    }

    /// Restores a batch; tasks that are complete start to process.
    fn restore(&mut self) -> Result<(), Trouble> {
        if self.restorer.is_done() {
            return Ok(());
        }
        self.sensors.at(Activity::Restoring);
        if self.restore_consumer.is_none() && self.restorer.reads_here() {
            let made = self.shared.restore_consumer(self.index, self.wall_time);
            self.restore_consumer = Some(made.map_err(|error| Trouble::Client(Phase::Restore, error))?);
        }
        let wait = if self.tasks.iter().any(OwnedTask::is_running) { Duration::ZERO } else { RESTORE_WAIT };
        let listener = self.shared.restore_listener.clone();
        let consumer = self.restore_consumer.as_mut().map(|it| it as &mut dyn Consumer);
        let restored = self.restorer.step(&mut self.tasks, consumer, wait, listener.as_deref())?;
        ThreadMetrics::add(&self.metrics.restored, restored);
        self.sensors.restored(restored);
        let rate = self.restore_progress.advance(&self.name, self.wall_time, restored, self.restorer.left());
        self.metrics.restore_rate.store(rate, std::sync::atomic::Ordering::Relaxed);
        self.start_restored()
    }

    /// A run of each task, its due punctuations, and what came of it to the producer.
    fn process(&mut self, now: Timestamp) -> Result<usize, Trouble> {
        let mut processed = 0;
        let consumer = &mut self.consumer;
        let produce = |error| Trouble::Client(Phase::Produce, error);
        self.sensors.lap_to(Activity::Other);
        let place = Place { application: &self.shared.config.application_id, thread: &self.name };
        for owned in self.tasks.iter_mut().filter(|owned| owned.is_running()) {
            let span = place.process(&owned.task, now).entered();
            let ran = run_task(owned, consumer, now)?;
            let mut ns = self.sensors.lap();
            let punctuated = owned.task.has_schedules() && punctuate(owned, now)?;
            let punctuating = self.sensors.punctuated(punctuated);
            owned.task.state_mut().balance()?;
            owned.task.count_outbox();
            self.producer.send_all(owned.task.outbox(), &mut owned.outputs).map_err(produce)?;
            span.record("processed", ran);
            ns += self.sensors.lap_to(Activity::Other);
            self.sensors.processed(ns);
            owned.task.spend(ns + punctuating);
            self.uncommitted |= ran > 0 || punctuated;
            processed += ran + usize::from(punctuated);
        }
        self.producer.serve().map_err(produce)?;
        self.sensors.process_ended(processed);
        ThreadMetrics::add(&self.metrics.records, processed as u64);
        Ok(processed)
    }

    fn commit_if_due(&mut self, now: Timestamp) -> Result<(), Trouble> {
        let requested = self.tasks.iter().any(|owned| owned.task.commit_requested());
        let due = now >= self.next_commit() && !self.tasks.is_empty();
        let checkpoint = self.owes_checkpoint();
        let early = requested || checkpoint || self.cache_is_full() || self.memory_is_short();
        if !due && !early {
            return Ok(());
        }
        let uncommitted = std::mem::replace(&mut self.uncommitted, false);
        self.commit_ended = true;
        self.sensors.lap();
        let committed = self.commit()?;
        self.timeout.clear();
        if committed {
            self.rewinds.clear();
            self.sensors.committed(self.tasks.len());
            ThreadMetrics::add(&self.metrics.commits, 1);
        } else if self.drained && !uncommitted {
            self.flush_stores(FLUSH_IDLE)?;
        }
        if checkpoint { self.answer_checkpoint(committed || !uncommitted) } else { Ok(()) }
    }

    /// Whether there is too much that engines do not have yet, and a commit would let them have it.
    fn memory_is_short(&self) -> bool {
        self.uncommitted && self.tasks.iter().any(|owned| owned.task.state().should_flush())
    }

    /// Whether the caches of this thread hold back more than their share of `statestore.cache.max.bytes`. A commit empties
    /// them.
    fn cache_is_full(&self) -> bool {
        let config = &self.shared.config;
        let threads = self.shared.threads.load(std::sync::atomic::Ordering::Relaxed);
        let share = config.statestore_cache_max_bytes / threads.max(1) as u64;
        self.tasks.iter().map(|owned| owned.task.state().cached_bytes()).sum::<u64>() > share
    }

    /// Commits, flushes, and leaves the group or remains in it.
    pub(crate) fn close(
        &mut self,
        timeout: Duration,
        membership: GroupMembershipOperation,
    ) -> Result<(), StreamsError> {
        self.restorer.clear(self.shared.restore_listener.as_deref());
        let committed = self.commit();
        let tasks = match committed {
            Ok(_) => {
                let kept = std::mem::take(&mut self.kept);
                self.tasks.take().into_iter().chain(kept).collect()
            }
            Err(_) => {
                self.drop_tasks();
                // Readers of what it sent would wait until it times out. If that fails, they do.
                let _ = self.producer.abort(timeout);
                Vec::new()
            }
        };
        let closed = self.close_tasks(tasks);
        self.producer.close(timeout);
        let left = membership.close(&mut self.consumer, timeout);
        self.publish();
        match committed.map(|_| ()).and(closed) {
            Ok(()) => left.map_err(|error| StreamsError::client(format!("{}, close", self.name), error)),
            Err(Trouble::Client(phase, error)) => {
                Err(StreamsError::client(format!("{}, last commit, {phase:?}", self.name), error))
            }
            Err(Trouble::Task(error)) => Err(StreamsError::Task(error)),
            Err(Trouble::Streams(error)) => Err(error),
        }
    }

    /// Ends without committing: the transaction is left to be settled by the next producer of the same id.
    pub(crate) fn abandon(&mut self) {
        self.restorer.clear(self.shared.restore_listener.as_deref());
        let _ = self.producer.abort(Duration::from_secs(5));
        self.drop_tasks();
        self.show_figures(0);
        self.producer.close(Duration::from_secs(1));
        if let Err(error) = self.consumer.close(Duration::from_secs(5)) {
            tracing::warn!(thread = %self.name, "leaving the group failed: {error}");
        }
    }

    /// Figures to the outside, once a step.
    fn publish(&mut self) {
        use std::sync::atomic::Ordering::Relaxed;
        let metrics = &self.metrics;
        metrics.produced.store(self.producer.sent(), Relaxed);
        metrics.tasks.store(self.tasks.len() as u64, Relaxed);
        let (mut memory, mut restoring) = (0, 0);
        for owned in self.tasks.iter_mut() {
            metrics.collect(&mut owned.task);
            memory += owned.task.state().memory_bytes();
            restoring += u64::from(!owned.is_running());
        }
        metrics.state_bytes.store(memory, Relaxed);
        metrics.restoring.store(restoring, Relaxed);
        metrics.restore_left.store(self.restorer.left(), Relaxed);
        if self.restorer.is_done() {
            self.restore_progress.stop();
            metrics.restore_rate.store(0, Relaxed);
        }
        let turn_ns = self.sensors.end_turn(!self.restorer.is_done());
        self.tasks.iter_mut().for_each(|owned| owned.task.end_turn(turn_ns));
        self.show_figures(restoring);
    }
}

/// A run of one task. Returns how many records it processed.
fn run_task(owned: &mut OwnedTask, consumer: &mut dyn Consumer, now: Timestamp) -> Result<usize, Trouble> {
    let task = &mut owned.task;
    task.set_wall_time(now);
    let mut records = 0;
    while records < TASK_RUN {
        let partitions = task.partitions().to_vec();
        let ready = task.ready(now, &mut |queue| {
            let partition = partitions.get(queue as usize)?;
            let position = consumer.position(partition).ok()?;
            Some(consumer.known_end(partition)? - position)
        });
        if !ready {
            break;
        }
        let ran = task.process(TASK_RUN - records)?;
        records += ran;
        if ran == 0 || task.commit_requested() {
            break;
        }
    }
    Ok(records)
}

/// The due schedules of one task. Returns whether there were any.
fn punctuate(owned: &mut OwnedTask, now: Timestamp) -> Result<bool, Trouble> {
    Ok(owned.task.punctuate_stream_time()? | owned.task.punctuate_wall_clock(now)?)
}
