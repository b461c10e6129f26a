//! The Processor API for values: what a processor sees and may do when the key must not change.

use std::ops::{Deref, DerefMut};

use streams_state::types::{Headers, Timestamp};

use crate::error::BoxError;
use crate::processor::{Downstream, ProcessingContext, Processor, ProcessorContext, Punctuation};
use crate::record::Record;

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

    /// The record that a test gives to a processor.
    pub(crate) fn of(record: Record<K, V>) -> Self {
        let Record { key, value, timestamp, headers } = record;
        Self { key, value, timestamp, headers }
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
    fn init(&mut self, _context: &mut FixedKeyContext<'_, K, VOut>) -> Result<(), BoxError> {
        Ok(())
    }

    /// One record. An error goes to the processing exception handler.
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, K, VOut>,
        record: FixedKeyRecord<K, VIn>,
    ) -> Result<(), BoxError>;

    /// A schedule of this processor is due at `timestamp`.
    fn punctuate(
        &mut self,
        _context: &mut FixedKeyContext<'_, K, VOut>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Once, before the task goes away.
    fn close(&mut self) {}
}

/// What a [`FixedKeyProcessor`] may do: forward under the key that came in, and all that its [`ProcessingContext`] gives: stores,
/// schedules, metadata, commits.
///
/// ```compile_fail,E0308
/// # use streams_core::{dsl::FixedKeyContext, record::Record};
/// fn under_another_key(context: &mut FixedKeyContext<'_, String, i64>) {
///     let _ = context.forward(Record::new("another".to_owned(), 1, 0));
/// }
/// ```
pub struct FixedKeyContext<'a, K, V>(ProcessorContext<'a, K, V>);

impl<K: 'static, V: 'static> FixedKeyContext<'_, K, V> {
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
}

impl<'a, K, V> FixedKeyContext<'a, K, V> {
    /// What a processor of values may do of all that `context` may.
    pub(crate) fn of(context: ProcessorContext<'a, K, V>) -> Self {
        Self(context)
    }
}

impl<'a, K, V> Deref for FixedKeyContext<'a, K, V> {
    type Target = ProcessingContext<'a>;

    fn deref(&self) -> &ProcessingContext<'a> {
        &self.0
    }
}

impl<'a, K, V> DerefMut for FixedKeyContext<'a, K, V> {
    fn deref_mut(&mut self) -> &mut ProcessingContext<'a> {
        &mut self.0
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
        self.0.init(&mut FixedKeyContext(context.reborrow()))
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, K, VOut>,
        record: Record<K, VIn>,
    ) -> Result<(), BoxError> {
        self.0.process(&mut FixedKeyContext(context.reborrow()), FixedKeyRecord::of(record))
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, K, VOut>,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        self.0.punctuate(&mut FixedKeyContext(context.reborrow()), punctuation, timestamp)
    }

    fn close(&mut self) {
        self.0.close();
    }
}
