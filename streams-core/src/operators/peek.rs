//! Shows records to user code and passes them on.

use std::sync::Arc;

use crate::error::NodeResult;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Looks at every record.
pub(crate) struct Peek<K, V, F> {
    pub(crate) action: Arc<F>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static, F: Fn(&K, &V)> Push<K, V> for Peek<K, V, F> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        (self.action)(&record.key, &record.value);
        self.outputs.forward(context, record)
    }
}
