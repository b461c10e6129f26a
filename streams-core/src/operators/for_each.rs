//! Hands records to user code and ends there.

use std::sync::Arc;

use crate::error::NodeResult;
use crate::outcome::Outcome;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// The end of a stream.
pub(crate) struct ForEach<F> {
    pub(crate) name: Arc<str>,
    pub(crate) action: Arc<F>,
}

impl<K, V, F, R> Push<K, V> for ForEach<F>
where
    F: Fn(&K, V) -> R,
    R: Outcome<()>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match (self.action)(&record.key, record.value).into_result() {
            Ok(()) => Ok(()),
            Err(error) => context.processing_failed(&self.name, error),
        }
    }
}
