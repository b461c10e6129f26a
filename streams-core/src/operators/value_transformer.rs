//! What users implement for `KTable::transform_values`, and what it may do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use streams_state::types::{RecordContext, TaskId, Timestamp};

use crate::error::BoxError;
use crate::processor::{ProcessorContext, Punctuation, PunctuationType, StoreRef};
use crate::topic::Store;

/// Makes a value of a table's row, with stores and schedules if it likes. It sends nothing by itself.
///
/// One instance per task for the table, and one more for each operator below that looks rows up in a table without
/// a store: it must give the same answer for the same row, as far as its stores let it.
pub trait ValueTransformerWithKey<K, V, VOut> {
    /// Once, before the first record: take stores, make schedules.
    fn init(&mut self, _context: &mut ValueTransformerContext<'_, '_>) -> Result<(), BoxError> {
        Ok(())
    }

    /// The new value of the row `key`. `value` is `None` where the row was deleted (or, when a row is looked up, is
    /// missing); an answer of `None` deletes the row. An error goes to the processing exception handler.
    fn transform(
        &mut self,
        context: &mut ValueTransformerContext<'_, '_>,
        key: &K,
        value: Option<&V>,
    ) -> Result<Option<VOut>, BoxError>;

    /// A schedule of this transformer is due at `timestamp`.
    fn punctuate(
        &mut self,
        _context: &mut ValueTransformerContext<'_, '_>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Once, before the task goes away.
    fn close(&mut self) {}
}

/// What a [`ValueTransformerWithKey`] may do: everything that a processor may, but forward.
pub struct ValueTransformerContext<'c, 'a>(&'c mut ProcessorContext<'a, (), ()>);

impl<'c, 'a> ValueTransformerContext<'c, 'a> {
    pub(crate) fn new(context: &'c mut ProcessorContext<'a, (), ()>) -> Self {
        Self(context)
    }

    /// Calls [`ValueTransformerWithKey::punctuate`] every `interval`, by stream time or wall clock.
    ///
    /// # Errors
    /// As [`ProcessorContext::schedule`].
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationType) -> Result<Punctuation, BoxError> {
        self.0.schedule(interval, kind)
    }

    /// Stops a schedule.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.0.cancel(punctuation);
    }

    /// The connected key-value store `store`, plain or timestamped.
    ///
    /// # Errors
    /// The store is not connected, or has other types.
    pub fn store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> Result<StoreRef<K, V>, BoxError>
    where
        K: 'static,
        V: 'static,
    {
        self.0.store(store)
    }

    /// The connected store of this name, as the type `S` it was made with.
    ///
    /// # Errors
    /// If no store of this name is connected, or it has another type.
    pub fn store_as<S: 'static>(&self, name: &str) -> Result<Rc<RefCell<S>>, BoxError> {
        self.0.store_as(name)
    }

    /// Where the record in work came from: topic, partition and offset; none in a punctuation and where a row is
    /// looked up.
    pub fn record_metadata(&self) -> Option<(&str, i32, i64)> {
        self.0.record_metadata()
    }

    /// Context of the record in work, as stores keep it: its timestamp and headers.
    pub fn record_context(&self) -> &RecordContext {
        self.0.record_context()
    }

    /// Largest timestamp that the task has seen; -1 before the first record.
    pub fn current_stream_time(&self) -> Timestamp {
        self.0.current_stream_time()
    }

    /// Wall clock as the runtime last read it, ms since the epoch.
    pub fn current_system_time(&self) -> Timestamp {
        self.0.current_system_time()
    }

    /// The task.
    pub fn task_id(&self) -> TaskId {
        self.0.task_id()
    }

    /// `application.id`.
    pub fn application_id(&self) -> &str {
        self.0.application_id()
    }

    /// Asks for a commit soon after this record.
    pub fn commit(&mut self) {
        self.0.commit();
    }
}
