//! The Processor API: what users implement when the DSL has no word for it.

use std::ops::{Deref, DerefMut};

use streams_state::types::Timestamp;

use super::{Outputs, ProcessingContext, Punctuation};
use crate::error::{BoxError, NodeResult};
use crate::record::Record;

/// Processes records one by one, with stores, schedules and full control over what is forwarded.
///
/// One instance per task, on one thread: plain fields are fine for scratch space, but only stores survive.
pub trait Processor<KIn, VIn, KOut, VOut> {
    /// Once per task, before the first record: take stores, make schedules.
    fn init(&mut self, _context: &mut ProcessorContext<'_, KOut, VOut>) -> Result<(), BoxError> {
        Ok(())
    }

    /// One record. An error goes to the processing exception handler.
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, KOut, VOut>,
        record: Record<KIn, VIn>,
    ) -> Result<(), BoxError>;

    /// A schedule of this processor is due at `timestamp`.
    fn punctuate(
        &mut self,
        _context: &mut ProcessorContext<'_, KOut, VOut>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Once, before the task goes away.
    fn close(&mut self) {}
}

/// Makes a processor for each task. Any `Fn() -> P` is one.
pub trait ProcessorSupplier<P>: Send + Sync + 'static {
    /// A new processor.
    fn get(&self) -> P;
}

impl<P, F: Fn() -> P + Send + Sync + 'static> ProcessorSupplier<P> for F {
    fn get(&self) -> P {
        self()
    }
}

/// What a processor may do: forward, and all that its [`ProcessingContext`] gives: stores, schedules, metadata, commits.
pub struct ProcessorContext<'a, K, V> {
    pub(crate) processing: ProcessingContext<'a>,
    pub(crate) outputs: &'a mut Outputs<K, V>,
    /// An error of a child: kept here, because user code may swallow what `forward` returns.
    pub(crate) failed: &'a mut NodeResult,
}

/// A child node failed; the task stops. Pass it on with `?`.
#[derive(Debug, thiserror::Error)]
#[error("a node below failed; see the task's error")]
pub struct Downstream;

impl<K: 'static, V: 'static> ProcessorContext<'_, K, V> {
    /// Sends a record to all children. When it returns, they have processed it. A record with a negative timestamp is
    /// refused: the processor has failed.
    pub fn forward(&mut self, record: Record<K, V>) -> Result<(), Downstream> {
        let checked = self.check(&record);
        let result = checked.and_then(|()| self.outputs.forward(self.processing.task, record));
        self.remember(result)
    }

    /// Sends a record to the child node of this name. Else as [`forward`](Self::forward).
    pub fn forward_to(&mut self, child: &str, record: Record<K, V>) -> Result<(), Downstream> {
        let checked = self.check(&record);
        let result = checked.and_then(|()| self.outputs.forward_to(self.processing.task, child, record));
        self.remember(result)
    }

    /// Kafka takes no negative timestamps. The node fills in its name.
    fn check(&self, record: &Record<K, V>) -> NodeResult {
        if record.timestamp >= 0 {
            return Ok(());
        }
        let message = format!("a record was forwarded with the negative timestamp {}", record.timestamp);
        Err(self.processing.task.user_error("", message.into()))
    }

    fn remember(&mut self, result: NodeResult) -> Result<(), Downstream> {
        if let Err(error) = result {
            *self.failed = Err(error);
            return Err(Downstream);
        }
        Ok(())
    }

    /// The same, for a shorter time.
    pub(crate) fn reborrow(&mut self) -> ProcessorContext<'_, K, V> {
        ProcessorContext {
            processing: ProcessingContext { task: self.processing.task, stores: self.processing.stores },
            outputs: self.outputs,
            failed: self.failed,
        }
    }
}

impl<'a, K, V> Deref for ProcessorContext<'a, K, V> {
    type Target = ProcessingContext<'a>;

    fn deref(&self) -> &ProcessingContext<'a> {
        &self.processing
    }
}

impl<'a, K, V> DerefMut for ProcessorContext<'a, K, V> {
    fn deref_mut(&mut self) -> &mut ProcessingContext<'a> {
        &mut self.processing
    }
}
