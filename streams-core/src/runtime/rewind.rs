//! Step 8, the acts: what `recover.rs` decided is done to producer, tasks and membership of a thread.
//!
//! In: what stopped a step. Out: a thread that goes on from the committed offsets, at the next step or after more
//! attempts; or the error that ends it.

use std::time::Duration;

use super::StreamsError;
use super::commit::COMMIT_TIMEOUT;
use super::metrics::ThreadMetrics;
use super::recover::{Phase, Recovery, may_answer_later};
use super::stream_thread::{StreamThread, Trouble};
use crate::client::ClientError;
use crate::error::TaskError;

/// Rewinds in a row, without a commit between, before the thread gives up.
const REWINDS_MAX: u32 = 20;

impl StreamThread {
    /// Step 8: what happens after trouble. `Err` ends the thread.
    pub(super) fn recover(&mut self, trouble: Trouble) -> Result<(), StreamsError> {
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
                (Recovery::Fatal, StreamsError::Task(error))
            }
            Trouble::Streams(error) => (Recovery::Fatal, error),
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
            Recovery::RebuildTask => self.rebuild(),
            Recovery::ResetOffsets => self.reset_lost_positions(),
            Recovery::Rejoin => self.rejoin(),
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

    /// The way back met trouble itself: the next step tries again, as long as `task.timeout.ms` allows if it was for want of
    /// an answer, else a bounded number of times.
    fn go_back_later(&mut self, trouble: Trouble) -> Result<(), StreamsError> {
        let (phase, error) = match trouble {
            Trouble::Client(phase, error) => (phase, error),
            Trouble::Task(error) => return Err(StreamsError::Task(error)),
            Trouble::Streams(error) => return Err(error),
        };
        self.lose_time(phase, &error)?;
        let error = StreamsError::client(format!("{}, {phase:?}", self.name), error);
        self.count_rewind();
        if self.rewinds > REWINDS_MAX {
            return Err(error);
        }
        tracing::warn!(thread = %self.name, attempt = self.rewinds, "going back failed, joining anew: {error}");
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

    /// Rewinds for want of an answer are limited by `task.timeout.ms` instead.
    fn count_rewind(&mut self) {
        self.rewinds += u32::from(!self.timeout.is_running());
    }

    pub(super) fn abort_and_rewind(&mut self) -> Result<(), Trouble> {
        if self.producer.abort(COMMIT_TIMEOUT).is_err() {
            self.replace_producer()?;
        }
        self.rewind()
    }

    /// The EndTxn rule: a new producer of the same transactional id settles what the old one left open.
    fn replace_producer(&mut self) -> Result<(), Trouble> {
        self.producer.close(Duration::ZERO);
        self.producer = self
            .shared
            .producer(self.index, COMMIT_TIMEOUT)
            .map_err(|error| Trouble::Client(Phase::Commit, error))?;
        Ok(())
    }

    /// Back to the committed offsets: tasks are closed as they are and opened again over what is committed.
    fn rewind(&mut self) -> Result<(), Trouble> {
        self.count_rewind();
        ThreadMetrics::add(&self.metrics.rewinds, 1);
        if self.rewinds > REWINDS_MAX {
            return Err(Trouble::Streams(StreamsError::IllegalState(format!(
                "{}: went back to the committed offsets {REWINDS_MAX} times without a commit in between",
                self.name
            ))));
        }
        self.restorer.clear(self.shared.restore_listener.as_deref());
        let mut reopened = Vec::new();
        for owned in self.tasks.take() {
            let id = owned.task.id();
            drop(owned);
            reopened.push(self.open_task(id)?);
        }
        self.start_tasks(reopened, false)
    }

    /// The stores that are being restored start over from the beginning of their changelogs.
    fn rebuild(&mut self) -> Result<(), Trouble> {
        let restoring = self.restorer.tasks();
        self.restorer.clear(self.shared.restore_listener.as_deref());
        for id in restoring {
            if let Some(owned) = self.tasks.get_mut(id) {
                owned.task.state_mut().wipe()?;
            }
        }
        self.rewind()
    }

    /// Gives up all tasks and joins the group anew.
    fn rejoin(&mut self) -> Result<(), Trouble> {
        let poll = |error| Trouble::Client(Phase::Poll, error);
        self.restorer.clear(self.shared.restore_listener.as_deref());
        self.assigned = None;
        self.drop_tasks();
        if self.producer.abort(COMMIT_TIMEOUT).is_err() {
            self.replace_producer()?;
        }
        self.consumer.unsubscribe().map_err(poll)?;
        self.planned = self.shared.planned();
        self.subscribe()
    }
}
