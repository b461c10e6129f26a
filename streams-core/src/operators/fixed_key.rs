//! The Processor API for values: what a processor sees and may do when the key must not change.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use streams_state::types::{Headers, RecordContext, TaskId, Timestamp};

use crate::error::BoxError;
use crate::processor::{
    Downstream, GlobalStoreRef, Processor, ProcessorContext, Punctuation, PunctuationType, SessionStoreRef,
    StoreRef, VersionedStoreRef, WindowStoreRef,
};
use crate::record::Record;
use crate::topic::Store;

/// A record whose key cannot be changed, so that what is forwarded stays in its partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FixedKeyRecord<K, V> {
    key: K,
    /// Value.
    pub value: V,
    /// Event time, ms since the epoch.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl<K, V> FixedKeyRecord<K, V> {
    /// Key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }
}

/// Processes records one by one like [`Processor`], but can forward only under the key that came in. A
/// punctuation has no record and therefore forwards nothing.
pub trait FixedKeyProcessor<K, VIn, VOut> {
    /// Once per task, before the first record: take stores, make schedules.
    fn init(&mut self, _context: &mut FixedKeyContext<'_, '_, K, VOut>) -> Result<(), BoxError> {
        Ok(())
    }

    /// One record. An error goes to the processing exception handler.
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, '_, K, VOut>,
        record: FixedKeyRecord<K, VIn>,
    ) -> Result<(), BoxError>;

    /// A schedule of this processor is due at `timestamp`.
    fn punctuate(
        &mut self,
        _context: &mut FixedKeyContext<'_, '_, K, VOut>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Once, before the task goes away.
    fn close(&mut self) {}
}

/// What a [`FixedKeyProcessor`] may do.
pub struct FixedKeyContext<'c, 'a, K, V>(&'c mut ProcessorContext<'a, K, V>);

impl<K: 'static, V: 'static> FixedKeyContext<'_, '_, K, V> {
    /// Sends a record to all children. When it returns, they have processed it.
    pub fn forward(&mut self, record: FixedKeyRecord<K, V>) -> Result<(), Downstream> {
        let FixedKeyRecord { key, value, timestamp, headers } = record;
        self.0.forward(Record { key, value, timestamp, headers })
    }

    /// Sends a record to the child node of this name.
    pub fn forward_to(&mut self, child: &str, record: FixedKeyRecord<K, V>) -> Result<(), Downstream> {
        let FixedKeyRecord { key, value, timestamp, headers } = record;
        self.0.forward_to(child, Record { key, value, timestamp, headers })
    }

    /// Calls [`FixedKeyProcessor::punctuate`] every `interval`, by stream time or wall clock.
    ///
    /// # Errors
    /// As [`ProcessorContext::schedule`].
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationType) -> Result<Punctuation, BoxError> {
        self.0.schedule(interval, kind)
    }

    /// As [`schedule`](Self::schedule), at `start` (ms since the epoch) and every `interval` after it only.
    ///
    /// # Errors
    /// As [`ProcessorContext::schedule_at`].
    pub fn schedule_at(
        &mut self,
        start: Timestamp,
        interval: Duration,
        kind: PunctuationType,
    ) -> Result<Punctuation, BoxError> {
        self.0.schedule_at(start, interval, kind)
    }

    /// Stops a schedule.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.0.cancel(punctuation);
    }

    /// The connected key-value store `store`, plain or timestamped.
    ///
    /// # Errors
    /// The store is not connected, or has other types.
    pub fn store<K2, V2, KS, VS>(&self, store: &Store<K2, V2, KS, VS>) -> Result<StoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.0.store(store)
    }

    /// The connected versioned store `store`.
    ///
    /// # Errors
    /// The store is not connected, or is no versioned store of these types.
    pub fn versioned_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<VersionedStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.0.versioned_store(store)
    }

    /// The connected window store `store`, plain or timestamped, or that of a windowed table.
    ///
    /// # Errors
    /// The store is not connected, or is no window store of these types.
    pub fn window_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<WindowStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.0.window_store(store)
    }

    /// The connected session store `store`, or that of a table of sessions.
    ///
    /// # Errors
    /// The store is not connected, or is no session store of these types.
    pub fn session_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<SessionStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.0.session_store(store)
    }

    /// The connected store of this name, as the type `S` it was made with.
    ///
    /// # Errors
    /// If no store of this name is connected, or it has another type.
    pub fn store_as<S: 'static>(&self, name: &str) -> Result<Rc<RefCell<S>>, BoxError> {
        self.0.store_as(name)
    }

    /// The global store `store`, to read.
    ///
    /// # Errors
    /// There is no such global store, or it is no key-value store of these types.
    pub fn global_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<GlobalStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.0.global_store(store)
    }

    /// Where the record in work came from: topic (none in a punctuation), partition and offset.
    pub fn record_metadata(&self) -> Option<(&str, i32, i64)> {
        self.0.record_metadata()
    }

    /// Context of the record in work, as stores keep it.
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

/// A [`FixedKeyProcessor`] as a [`Processor`].
pub(crate) struct FixedKeyAdapter<P>(pub(crate) P);

impl<P, K, VIn, VOut> Processor<K, VIn, K, VOut> for FixedKeyAdapter<P>
where
    P: FixedKeyProcessor<K, VIn, VOut>,
    K: 'static,
    VOut: 'static,
{
    fn init(&mut self, context: &mut ProcessorContext<'_, K, VOut>) -> Result<(), BoxError> {
        self.0.init(&mut FixedKeyContext(context))
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, K, VOut>,
        record: Record<K, VIn>,
    ) -> Result<(), BoxError> {
        let Record { key, value, timestamp, headers } = record;
        self.0.process(&mut FixedKeyContext(context), FixedKeyRecord { key, value, timestamp, headers })
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, K, VOut>,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        self.0.punctuate(&mut FixedKeyContext(context), punctuation, timestamp)
    }

    fn close(&mut self) {
        self.0.close();
    }
}
