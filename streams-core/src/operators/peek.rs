//! Shows records to user code and passes them on.

use std::sync::Arc;

use crate::error::NodeResult;
use crate::outcome::Outcome;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Looks at every record.
pub(crate) struct Peek<K, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) action: Arc<F>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static, F, R> Push<K, V> for Peek<K, V, F>
where
    F: Fn(&K, &V) -> R,
    R: Outcome<()>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match (self.action)(&record.key, &record.value).into_result() {
            Ok(()) => self.outputs.forward(context, record),
            Err(error) => context.processing_failed(&self.name, error),
        }
    }
}
