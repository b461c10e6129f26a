//! The changes of a table as a stream: the new value, `None` where the row was deleted.

use streams_state::types::Change;

use crate::error::NodeResult;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Turns changes into records.
pub(crate) struct ToStream<K, V>(pub(crate) Outputs<K, Option<V>>);

impl<K: 'static, V: 'static> Push<K, Change<V>> for ToStream<K, V> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        self.0.forward(context, Record { key, value: value.new, timestamp, headers })
    }
}
