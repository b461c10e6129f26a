//! Step 8, the acts: what `recover.rs` decided is done to producer, tasks and membership of a thread.
//!
//! In: what stopped a step. Out: a thread that goes on from the committed offsets, at the next step or after more
//! attempts; or the error that ends it.

use std::time::Duration;

use streams_state::error::StateError;
use streams_state::types::TaskId;

use super::commit::COMMIT_TIMEOUT;
use super::local_state::check_changelogs;
use super::metrics::ThreadMetrics;
use super::rebuilds::REBUILD_AGAIN;
use super::recover::{Phase, Recovery, may_answer_later, state_error};
use super::stream_thread::{StreamThread, Trouble};
use super::tasks::{OwnedTask, TaskPhase};
use super::{StreamsError, checkpoint};
use crate::client::{ClientError, Consumer};
use crate::error::{TaskError, TaskErrorCause};
use crate::metrics::Activity;

/// A consumer that is fenced for the third time within this time has a twin, which it fences in turn: seven heartbeats of the default
/// interval. Twice may be two coordinators that went away one after the other: librdkafka's session ends then, and it is fenced as it
/// comes back.
const TWIN_WITHIN_MS: i64 = 20_000;

impl StreamThread {
    /// Step 8: what happens after trouble. `Err` ends the thread.
    pub(crate) fn recover(&mut self, trouble: Trouble) -> Result<(), StreamsError> {
        self.sensors.at(Activity::Other);
        if self.going_back {
            return self.go_back_later(trouble);
        }
        let (recovery, error) = match trouble {
            Trouble::Client(phase, error) => {
                let recovery = Recovery::of(&error, phase, self.shared.config.exactly_once());
                self.lose_time(phase, &error)?;
                (recovery, StreamsError::client(format!("{}, {phase:?}", self.name), error))
            }
            Trouble::Task(error) => {
                self.send_dead_letters(&error);
                let error = StreamsError::Task(error);
                (Recovery::of_error(&error), error)
            }
            Trouble::Streams(error) => (Recovery::of_error(&error), error),
        };
        if recovery != Recovery::Retry {
            tracing::warn!(thread = %self.name, ?recovery, "{error}");
        }
        let healed = match recovery {
            Recovery::Retry => {
                self.uncommitted = true;
                Ok(())
            }
            Recovery::AbortAndRewind => self.abort_and_rewind(),
            Recovery::ReplaceProducer => self.replace_producer().and_then(|()| self.rewind()),
            Recovery::RebuildStores => self.rebuild_lost(),
            Recovery::RebuildTask => match self.discard_state(error) {
                Ok(()) => self.abort_and_rewind(),
                Err(error) => return Err(error),
            },
            Recovery::ResetOffsets => self.reset_lost_positions(),
            Recovery::Rejoin => self.rejoin(),
            Recovery::ReplaceConsumer => {
                self.replace_consumer(&error)?;
                self.rejoin()
            }
            Recovery::Fatal => return Err(error),
        };
        healed.or_else(|again| self.go_back_later(again))
    }

    /// What a handler had sent when it failed the task: a transaction would take it back.
    fn send_dead_letters(&mut self, error: &TaskError) {
        let failed = self.tasks.iter_mut().find(|owned| owned.task.id().to_string() == error.task);
        let Some(owned) = failed.filter(|_| !self.shared.config.exactly_once()) else { return };
        let sent = self.producer.send_all(owned.task.outbox(), &mut owned.outputs);
        if let Err(error) = sent.and_then(|()| self.producer.flush(COMMIT_TIMEOUT)) {
            tracing::warn!(thread = %self.name, "dead letters were not sent: {error}");
        }
    }

    /// The cluster gave no answer: an error if that goes on for longer than `task.timeout.ms`.
    fn lose_time(&mut self, phase: Phase, error: &ClientError) -> Result<(), StreamsError> {
        if !may_answer_later(error, phase) {
            return Ok(());
        }
        self.stuck_in = phase;
        let lost = self.timeout.attempt_failed(self.wall_time);
        lost.map_err(|text| StreamsError::client(format!("{}, {phase:?}, {text}", self.name), error.clone()))
    }

    /// The way back met trouble itself: the next step tries again, as long as `task.timeout.ms` allows.
    fn go_back_later(&mut self, trouble: Trouble) -> Result<(), StreamsError> {
        let (phase, error) = match trouble {
            Trouble::Client(phase, error) => (phase, error),
            Trouble::Task(error) => return self.join_anew_without(StreamsError::Task(error)),
            Trouble::Streams(error) => return self.join_anew_without(error),
        };
        self.lose_time(phase, &error)?;
        let attempt = match self.rewinds.add(self.wall_time) {
            Ok(attempt) => attempt,
            Err(text) => {
                return Err(StreamsError::client(format!("{}, {phase:?}, {text}", self.name), error));
            }
        };
        let recovery = Recovery::of(&error, phase, self.shared.config.exactly_once());
        let error = StreamsError::client(format!("{}, {phase:?}", self.name), error);
        tracing::warn!(thread = %self.name, attempt, "going back failed, joining anew: {error}");
        self.going_back = true;
        if recovery == Recovery::ReplaceConsumer {
            self.replace_consumer(&error)?;
        }
        Ok(())
    }

    /// The way back found damaged state: it is gone when the task is opened after joining anew. Any other error ends the thread.
    fn join_anew_without(&mut self, error: StreamsError) -> Result<(), StreamsError> {
        self.discard_state(error)?;
        self.going_back = true;
        Ok(())
    }

    /// After a way back that failed: new clients, no tasks.
    pub(super) fn join_anew(&mut self) -> Result<(), Trouble> {
        if self.going_back {
            self.replace_producer()?;
            self.rejoin()?;
            self.going_back = false;
        }
        Ok(())
    }

    pub(super) fn abort_and_rewind(&mut self) -> Result<(), Trouble> {
        self.take_back()?;
        self.rewind()
    }

    /// What dropped tasks have sent is void, and what of it has not gone out yet stays here.
    pub(super) fn take_back(&mut self) -> Result<(), Trouble> {
        self.producer.abort(COMMIT_TIMEOUT).or_else(|_| self.replace_producer())
    }

    /// The EndTxn rule: a new producer of the same transactional id settles what the old one left open.
    fn replace_producer(&mut self) -> Result<(), Trouble> {
        self.producer.close(Duration::ZERO);
        let commit = |error| Trouble::Client(Phase::Commit, error);
        let mut producer = self.shared.uninitialized_producer(self.index, self.wall_time).map_err(commit)?;
        producer.initialize(COMMIT_TIMEOUT).map_err(commit)?;
        self.producer = producer;
        // It numbers topics anew.
        self.tasks.iter_mut().chain(&mut self.kept).for_each(|owned| owned.outputs.clear());
        Ok(())
    }

    /// A new consumer in place of one that died of `cause`. A coordinator that was frozen may take the new id of a static member for
    /// another consumer, and fence it for good without anybody else being there. An error if the last two did not live long.
    fn replace_consumer(&mut self, cause: &StreamsError) -> Result<(), StreamsError> {
        let [before_last, last] = self.consumer_died;
        self.consumer_died = [last, Some(self.wall_time)];
        if before_last.is_some_and(|died| self.wall_time - died < TWIN_WITHIN_MS) {
            return Err(StreamsError::IllegalState(format!(
                "{}: the consumer died three times within {} s, and was replaced twice; if it was fenced, another process \
                 uses the same `group.instance.id`: by that setting, or from a copy of this state directory. {cause}",
                self.name,
                TWIN_WITHIN_MS / 1000
            )));
        }
        self.assigned = None;
        // It has no membership to give up.
        let _ = self.consumer.close_and_remain(Duration::ZERO);
        self.restore_consumer = None;
        let made = self.shared.main_consumer(self.index, self.wall_time);
        self.consumer =
            made.map_err(|error| StreamsError::client(format!("{}, new consumer", self.name), error))?;
        Ok(())
    }

    /// Back to the committed offsets: tasks are closed as they are and opened again over what is committed.
    fn rewind(&mut self) -> Result<(), Trouble> {
        ThreadMetrics::add(&self.metrics.rewinds, 1);
        if let Err(text) = self.rewinds.add(self.wall_time) {
            return Err(Trouble::Streams(StreamsError::IllegalState(format!("{}: {text}", self.name))));
        }
        self.restorer.clear(self.shared.restore_listener.as_deref());
        let mut ids =
            self.tasks.take().into_iter().map(|owned| owned.task.id()).collect::<Vec<_>>().into_iter();
        let mut reopened = Vec::new();
        while let Some(id) = ids.next() {
            match self.open_task(id) {
                Ok(owned) => reopened.push(owned),
                Err(trouble) => {
                    // Those that are open are closed with the way back; the others may be opened by anybody.
                    self.kept.extend(reopened);
                    std::iter::once(id).chain(ids).for_each(|id| self.shared.unlock_task(id));
                    return Err(trouble);
                }
            }
        }
        self.start_tasks(reopened, false)
    }

    /// Damaged state is deleted before its task is opened the next time. `Err`: it is not worth while.
    fn discard_state(&mut self, error: StreamsError) -> Result<(), StreamsError> {
        let path = match state_error(&error) {
            Some(StateError::Corrupt { path, .. }) => path,
            Some(_) | None => return Err(error),
        };
        match self.shared.directory.task_at(path) {
            Some(task) if self.rebuilds.request(task, self.wall_time) => {
                tracing::warn!(thread = %self.name, %task, "the state of the task is deleted and restored from its changelogs; stores without one begin empty");
                Ok(())
            }
            Some(task) => Err(StreamsError::IllegalState(format!(
                "task {task} was restored less than {} s ago and its state is damaged again, so that another restore \
                 would not help; look for faults of disk and memory, then delete the directory of the task. What was \
                 found: {error}",
                REBUILD_AGAIN.as_secs()
            ))),
            None => {
                // A global store: the next start does not believe what is on disk.
                checkpoint::delete(&self.shared.directory.global_dir());
                Err(error)
            }
        }
    }

    /// Opens a task over its directory, of which the caller has the lock. Damaged state is deleted; its stores restore all
    /// of their changelogs then.
    pub(crate) fn open_task(&mut self, id: TaskId) -> Result<OwnedTask, Trouble> {
        if self.rebuilds.take(id) {
            self.shared.directory.remove_task(id)?;
        }
        let damaged =
            |error: &TaskError| matches!(&error.cause, TaskErrorCause::State(StateError::Corrupt { .. }));
        let task = match self.shared.open_task(&self.planned, id, self.metrics_source()) {
            Err(error) if damaged(&error) => {
                tracing::warn!(thread = %self.name, "{error}");
                // Refused if it was rebuilt just now, so that this ends.
                self.discard_state(StreamsError::Task(error)).map_err(Trouble::Streams)?;
                return self.open_task(id);
            }
            opened => opened?,
        };
        self.sensors.task_created();
        let generation = self.consumer.group_metadata().generation;
        Ok(OwnedTask {
            task,
            phase: TaskPhase::Restoring,
            outputs: Vec::new(),
            initialized: false,
            generation,
        })
    }

    /// Stores whose offset their changelog lost start over from its beginning, if it is still the same topic.
    fn rebuild_lost(&mut self) -> Result<(), Trouble> {
        let owned = self.tasks.iter().chain(&self.kept);
        let stores: Vec<_> = owned
            .flat_map(|owned| owned.task.state().stores().iter().map(|store| (owned.task.id(), store)))
            .filter_map(|(task, store)| Some((task, store.name.clone(), store.changelog.clone()?)))
            .collect();
        let whose = (self.shared.config.application_id.as_str(), &self.shared.directory);
        check_changelogs(&mut **self.shared.admin(), &self.planned.topic_ids, &stores, whose)
            .map_err(|error| Trouble::Client(Phase::Restore, error))?
            .map_err(Trouble::Streams)?;
        self.restorer.rebuild_lost();
        self.abort_and_rewind()
    }

    /// Gives up all tasks and joins the group anew.
    pub(super) fn rejoin(&mut self) -> Result<(), Trouble> {
        let poll = |error| Trouble::Client(Phase::Poll, error);
        self.restorer.clear(self.shared.restore_listener.as_deref());
        self.drop_tasks();
        // One that was not taken up has to be answered, or nothing is heard from the group any more.
        if self.assigned.take().is_some() {
            self.consumer.complete_assign(&[]).map_err(poll)?;
        }
        self.take_back()?;
        self.consumer.unsubscribe().map_err(poll)?;
        self.planned = self.shared.planned();
        self.subscribe()
    }
}
