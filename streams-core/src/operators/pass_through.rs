//! A node that only passes on: where streams meet (`merge`), and the head of a branch.

use crate::error::NodeResult;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Passes every record.
pub(crate) struct PassThrough<K, V>(pub(crate) Outputs<K, V>);

impl<K: 'static, V: 'static> Push<K, V> for PassThrough<K, V> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        self.0.forward(context, record)
    }
}
