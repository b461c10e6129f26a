//! Failures at a node: which of them a handler is asked about, and what follows from its answer.
//!
//! In: what failed, at which node; the record in work is in the context. Out: `Ok`, the record is dropped and work goes
//! on, or the error that stops the task. What one handler has decided no other is asked about.
//!
//! A node with simple work asks at once ([`TaskContext::processing_failed`]). One that fails deep inside its work returns an
//! undecided error ([`TaskContext::user_error`], [`TaskContext::state_error`]), and [`Handled`] around the node asks.
//! Below `with_retries` nobody is asked at first: the failure is kept in an [`Attempt`] for the node above that tries again.

use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::serdes::SerdeErrorKind;

use super::{DropReason, HandledFailure, OutRecord, Push, TaskContext};
use crate::error::{BoxError, NodeResult, TaskError, TaskErrorCause};
use crate::handler::{DeadLetter, ErrorContext, ErrorStage, ExceptionHandler, UnsentRecord};
use crate::record::{Record, size_upper_bound};

/// A record on its way through nodes from whose failures it is tried again: no handler is asked about them.
pub(crate) struct Attempt {
    /// The record: what a buffer or a cache releases meanwhile is another.
    source: u32,
    offset: i64,
    /// Its first failure.
    failed: Option<FailedAttempt>,
}

/// What failed, and where.
pub(crate) struct FailedAttempt {
    pub(crate) node: String,
    pub(crate) cause: TaskErrorCause,
}

/// A node around which the handler is asked about undecided errors.
pub(crate) struct Handled<P>(pub(crate) P);

impl<K, V, P: Push<K, V>> Push<K, V> for Handled<P> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let result = self.0.push(context, record);
        context.settle(result)
    }
}

impl TaskContext {
    /// An error at `node` for the record in work.
    pub fn error(&self, node: &str, cause: TaskErrorCause) -> Box<TaskError> {
        let record = match self.source_topic() {
            "" => String::new(),
            topic => format!("{topic}-{}@{}", self.source_partition(), self.record.offset),
        };
        Box::new(TaskError {
            task: self.task.to_string(),
            node: node.to_owned(),
            record,
            cause,
            undecided: false,
        })
    }

    /// A store of `node` failed. If that is because of data that does not fit its serdes, a handler is to decide.
    #[cold]
    pub fn state_error(&self, node: &str, error: StateError) -> Box<TaskError> {
        let undecided = matches!(error, StateError::Serde { .. });
        let error = self.error(node, TaskErrorCause::State(error));
        Box::new(TaskError { undecided, ..*error })
    }

    /// User code at `node` failed: a handler is to decide.
    #[cold]
    pub fn user_error(&self, node: &str, error: BoxError) -> Box<TaskError> {
        let error = self.error(node, TaskErrorCause::Processing(error));
        Box::new(TaskError { undecided: true, ..*error })
    }

    /// Asks the handler about an undecided error. `Ok` means that the record is dropped and work goes on.
    #[inline]
    pub fn settle(&mut self, result: NodeResult) -> NodeResult {
        match result {
            Ok(()) => Ok(()),
            Err(error) if !error.undecided => Err(error),
            Err(error) => self.failed(ErrorStage::Processing, &error.node, error.cause, None),
        }
    }

    /// From here on the record in work is tried again if it fails.
    pub(crate) fn begin_attempt(&mut self) {
        let (source, offset) = (self.record.source, self.record.offset);
        self.attempt = Some(Attempt { source, offset, failed: None });
    }

    /// Ends what [`begin_attempt`](Self::begin_attempt) began; how it failed, if it did.
    pub(crate) fn end_attempt(&mut self) -> Option<FailedAttempt> {
        self.attempt.take()?.failed
    }

    /// What follows is not part of the attempt, which is given back to [`resume_attempt`](Self::resume_attempt).
    pub(crate) fn suspend_attempt(&mut self) -> Option<Attempt> {
        self.attempt.take()
    }

    /// The attempt goes on.
    pub(crate) fn resume_attempt(&mut self, attempt: Option<Attempt>) {
        self.attempt = attempt;
    }

    /// The record in work failed for the last time at the node of `attempt`: asks `handler`, or that of processing. `Ok` means
    /// that it is dropped.
    #[cold]
    pub(crate) fn attempts_used_up(
        &mut self,
        attempt: FailedAttempt,
        handler: Option<&Arc<dyn ExceptionHandler>>,
    ) -> NodeResult {
        let FailedAttempt { node, cause } = attempt;
        match handler {
            Some(handler) => self.ask(&handler.clone(), ErrorStage::Processing, &node, cause, None),
            None => self.failed(ErrorStage::Processing, &node, cause, None),
        }
    }

    /// The topology asks for something that is not there.
    pub fn wiring_error(&self, message: &str) -> Box<TaskError> {
        self.error("", TaskErrorCause::Wiring(message.to_owned()))
    }

    /// User code at `node` failed: asks the handler. `Ok` means that the record is dropped and work goes on.
    #[cold]
    pub fn processing_failed(&mut self, node: &str, error: BoxError) -> NodeResult {
        self.failed(ErrorStage::Processing, node, TaskErrorCause::Processing(error), None)
    }

    /// A table could not be read for `node`. Asks the handler if data or user code on the way to the row is to blame;
    /// `Ok` means that the record is dropped and work goes on.
    #[cold]
    pub fn read_failed(&mut self, node: &str, cause: TaskErrorCause) -> NodeResult {
        match cause {
            TaskErrorCause::Processing(_) | TaskErrorCause::State(StateError::Serde { .. }) => {
                self.failed(ErrorStage::Processing, node, cause, None)
            }
            TaskErrorCause::Deserialization { .. }
            | TaskErrorCause::Timestamp(_)
            | TaskErrorCause::Panic(_)
            | TaskErrorCause::Serialization { .. }
            | TaskErrorCause::TooLarge { .. }
            | TaskErrorCause::State(_)
            | TaskErrorCause::Unanswered { .. }
            | TaskErrorCause::Wiring(_) => Err(self.error(node, cause)),
        }
    }

    /// A result of `node` could not be serialized, or is too large to be sent: asks the handler. `unsent` is the
    /// record as far as it was made. `Ok` means that it is dropped.
    #[cold]
    pub fn production_failed(
        &mut self,
        node: &str,
        cause: TaskErrorCause,
        unsent: Option<&OutRecord>,
    ) -> NodeResult {
        self.failed(ErrorStage::Production, node, cause, unsent)
    }

    /// A source record could not be read at `node`: asks the handler. `Ok` means that it is dropped.
    #[cold]
    pub fn deserialization_failed(&mut self, node: &str, cause: TaskErrorCause) -> NodeResult {
        self.failed(ErrorStage::Deserialization, node, cause, None)
    }

    /// Asks the handler of `stage`; but of a record that is tried again only the failure is kept.
    fn failed(
        &mut self,
        stage: ErrorStage,
        node: &str,
        cause: TaskErrorCause,
        unsent: Option<&OutRecord>,
    ) -> NodeResult {
        // Not the record's fault: none is skipped, whatever the handler would say.
        if cause.serde().is_some_and(|error| error.kind() != SerdeErrorKind::Record) {
            return Err(self.error(node, cause));
        }
        let handler = match stage {
            ErrorStage::Deserialization => &self.deserialization_handler,
            ErrorStage::Processing => &self.processing_handler,
            ErrorStage::Production => &self.production_handler,
        };
        let handler = handler.clone();
        let attempt = self.attempt.as_mut().filter(|_| stage == ErrorStage::Processing);
        match attempt.filter(|at| (at.source, at.offset) == (self.record.source, self.record.offset)) {
            Some(attempt) => {
                attempt.failed.get_or_insert_with(|| FailedAttempt { node: node.to_owned(), cause });
                Ok(())
            }
            None => self.ask(&handler, stage, node, cause, unsent),
        }
    }

    /// Asks `handler`, sends its dead letters, and does what it said.
    fn ask(
        &mut self,
        handler: &Arc<dyn ExceptionHandler>,
        stage: ErrorStage,
        node: &str,
        cause: TaskErrorCause,
        unsent: Option<&OutRecord>,
    ) -> NodeResult {
        let outbox = &self.outbox;
        let context = ErrorContext {
            stage,
            task: self.task,
            node,
            topic: self.source_topic(),
            partition: if self.record.offset < 0 { -1 } else { self.source_partition() },
            offset: self.record.offset,
            timestamp: self.record.timestamp,
            headers: &self.record.headers,
            key: self.record.source_bytes.key(),
            value: self.record.source_bytes.value(),
            source_kept: self.record.source_bytes.is_kept(),
            unsent: unsent.map(|record| UnsentRecord {
                topic: outbox.topics.get(record.topic.0 as usize).map_or("", |topic| topic),
                key: outbox.slice(&record.key),
                value: outbox.slice(&record.value),
                timestamp: record.timestamp.unwrap_or(self.record.timestamp),
                headers: &record.headers,
            }),
        };
        let response = handler.handle(&context, &cause);
        let source = Some(context.topic).filter(|topic| !topic.is_empty() && context.partition >= 0);
        let source = source.map(|topic| (topic.into(), context.partition, context.offset));
        let mut resumes = response.resumes;
        if !resumes {
            // Without a transaction the dead letters are sent nevertheless, and nothing else of what was not sent.
            self.outbox.clear();
        }
        let mut dead_letters = Vec::new();
        for letter in response.dead_letters {
            let topic = letter.topic.clone();
            match self.send_dead_letter(letter) {
                true => dead_letters.push(topic),
                false => resumes = false,
            }
        }
        self.handled.add(HandledFailure {
            at: self.wall_time,
            task: self.task,
            node: node.to_owned(),
            stage,
            source,
            message: cause.message(),
            dead_letters,
            resumed: resumes,
        });
        if !resumes {
            return Err(self.error(node, cause));
        }
        self.drop_record(node, DropReason::handled(stage));
        Ok(())
    }

    /// `false`: it is larger than the producer takes.
    fn send_dead_letter(&mut self, letter: DeadLetter) -> bool {
        let DeadLetter { topic, key, value, timestamp, headers } = letter;
        let (key, value) = (key.as_deref(), value.as_deref());
        let bytes = size_upper_bound(key, value, &headers);
        if self.outbox.record_max_bytes.is_some_and(|max| bytes > max) {
            tracing::error!(task = %self.task, topic, bytes, "the dead letter is too large as well");
            return false;
        }
        let topic = self.outbox.topic(&topic);
        let timestamp = Some(timestamp).filter(|timestamp| *timestamp >= 0);
        self.outbox.push(topic, None, key, value, timestamp, headers);
        true
    }
}
