//! Tries records again: where a part of the topology begins whose failures are not final, and where it ends.
//!
//! In: records, and by wall clock those that have waited. Out: records, into that part. One that failed there is put into a buffer
//! of this task, in the order in which records are due, and leaves it when it is tried again: both are changes of one store, in the
//! transaction of the task. So nothing waits in memory alone, other records go on, and a restart finds what waits.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::format::retry_row::RetryRow;
use streams_state::serdes::{SerdeError, SerdeRef};
use streams_state::store::{GraceBuffer, StateStore};
use streams_state::types::{Headers, SourceBytes, Timestamp};

use crate::dead_letter::count_retry;
use crate::error::{NodeResult, TaskErrorCause};
use crate::handler::ExceptionHandler;
use crate::processor::{FailedAttempt, Lifecycle, Outputs, Punctuation, Push, TaskContext};
use crate::record::Record;

/// Records that wait, by the time at which they are due. A row is a [`RetryRow`]; the buffer's own keys are empty.
pub(crate) type RetryBuffer = GraceBuffer<Vec<u8>, Vec<u8>>;

/// Records that are tried again in one call; the next ones follow in the next, so that commits come in between.
const ROUND_MAX: usize = 1000;

/// Decides whether a failure may pass.
pub(crate) type RetryFilter = Arc<dyn Fn(&TaskErrorCause) -> bool + Send + Sync>;

/// How often and when.
#[derive(Clone)]
pub(crate) struct RetryPolicy {
    /// Waits before each further try, ms, at least 1.
    pub(crate) delays: Vec<Timestamp>,
    /// Failures worth a further try; `None`: all.
    pub(crate) filter: Option<RetryFilter>,
    /// Asked after the last one; `None`: the processing handler.
    pub(crate) handler: Option<Arc<dyn ExceptionHandler>>,
}

/// The node above the part whose failures are not final.
pub(crate) struct Retry<K, V> {
    pub(crate) name: Arc<str>,
    /// Of this node among those that are called by the clock.
    pub(crate) slot: usize,
    pub(crate) policy: RetryPolicy,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: SerdeRef<V>,
    pub(crate) buffer: Rc<RefCell<RetryBuffer>>,
    /// When this node is going to be called.
    pub(crate) calls: BTreeSet<Timestamp>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: Clone + 'static, V: Clone + 'static> Push<K, V> for Retry<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        self.attempt(context, record, 0)
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Lifecycle for Retry<K, V> {
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call_for_first(context);
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        _punctuation: Punctuation,
        now: Timestamp,
    ) -> NodeResult {
        self.calls = self.calls.split_off(&now.saturating_add(1));
        for _ in 0..ROUND_MAX {
            let due = self.buffer.borrow_mut().pop_until(now);
            let Some(due) = due.map_err(|error| context.state_error(&self.name, error))? else { break };
            self.again(context, &due.value)?;
        }
        self.call_for_first(context);
        Ok(())
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Retry<K, V> {
    /// Sends a record, which was tried again `tries` times so far, through the part below.
    fn attempt(&mut self, context: &mut TaskContext, record: Record<K, V>, tries: i32) -> NodeResult {
        let again = record.clone();
        context.begin_attempt();
        let result = self.outputs.forward(context, record);
        let failed = context.end_attempt();
        result?;
        match failed {
            None => Ok(()),
            Some(failed) => self.failed(context, again, tries, failed),
        }
    }

    /// Keeps a record that failed, or gives it up.
    #[cold]
    fn failed(
        &mut self,
        context: &mut TaskContext,
        record: Record<K, V>,
        tries: i32,
        failed: FailedAttempt,
    ) -> NodeResult {
        let RetryPolicy { delays, filter, handler } = &self.policy;
        let worth_it = filter.as_ref().is_none_or(|worth_it| worth_it(&failed.cause));
        let delay = delays.get(usize::try_from(tries).unwrap_or(usize::MAX)).filter(|_| worth_it);
        let Some(delay) = delay else { return context.attempts_used_up(failed, handler.as_ref()) };
        tracing::debug!(
            task = %context.task, node = failed.node, topic = context.source_topic(), offset = context.record.offset,
            tries, "tried again in {delay} ms: {}", failed.cause
        );
        let due = context.wall_time.max(0).saturating_add(*delay);
        let kept = self.keep(context, record, tries + 1, due);
        let kept = kept.map_err(|error| context.state_error(&self.name, error));
        context.settle(kept)?;
        self.call_for_first(context);
        Ok(())
    }

    fn keep(
        &mut self,
        context: &TaskContext,
        record: Record<K, V>,
        tries: i32,
        due: Timestamp,
    ) -> Result<(), StateError> {
        let Record { key, value, timestamp, mut headers } = record;
        let store = self.buffer.borrow().name().to_owned();
        let serde_error = |source| StateError::Serde { store: store.clone(), source };
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        let has_key =
            self.keys.serialize_with_headers(&key, &mut headers, &mut key_bytes).map_err(serde_error)?;
        let has_value = self
            .values
            .serialize_with_headers(&value, &mut headers, &mut value_bytes)
            .map_err(serde_error)?;
        count_retry(&mut headers);
        let source = &context.record.source_bytes;
        let row = RetryRow {
            context: context.origin(timestamp, headers),
            tries,
            key: has_key.then_some(&key_bytes),
            value: has_value.then_some(&value_bytes),
            source: source.is_kept().then(|| (source.key(), source.value())),
        };
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        let place = ProcessorRecordContext {
            topic: "".into(),
            partition: -1,
            offset: -1,
            timestamp: due,
            headers: Headers::EMPTY,
        };
        self.buffer.borrow_mut().put(&Vec::new(), &bytes, &place).map(drop)
    }

    /// A record has waited long enough: tries it again, as the one in work.
    fn again(&mut self, context: &mut TaskContext, row: &[u8]) -> NodeResult {
        let row = RetryRow::decode(row).map_err(|error| context.user_error(&self.name, error.into()))?;
        let mut source = SourceBytes::NONE;
        if let Some((key, value)) = row.source {
            source.set(key, value);
        }
        let outer = context.enter(&row.context, source);
        let result = match self.read(&row) {
            Ok(record) => self.attempt(context, record, row.tries),
            Err(error) => context.processing_failed(&self.name, error.into()),
        };
        context.record = outer;
        result
    }

    fn read(&self, row: &RetryRow<'_>) -> Result<Record<K, V>, SerdeError> {
        let headers = row.context.headers.clone();
        let key = self.keys.deserialize_with_headers(row.key, &headers)?;
        let value = self.values.deserialize_with_headers(row.value, &headers)?;
        Ok(Record { key, value, timestamp: row.context.timestamp, headers })
    }

    /// Sees to it that this node is called when the first record is due.
    fn call_for_first(&mut self, context: &mut TaskContext) {
        let Some(due) = self.buffer.borrow().first_timestamp() else { return };
        // Not in the round that is running.
        let due = due.max(context.wall_time.saturating_add(1));
        if self.calls.first().is_none_or(|call| *call > due) {
            self.calls.insert(due);
            context.punctuations.once(self.slot, due);
        }
    }
}

/// Where that part ends: what fails below it is not tried again.
pub(crate) struct RetryEnd<K, V>(pub(crate) Outputs<K, V>);

impl<K: 'static, V: 'static> Push<K, V> for RetryEnd<K, V> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let attempt = context.suspend_attempt();
        let result = self.0.forward(context, record);
        context.resume_attempt(attempt);
        result
    }
}
