//! Keeps the records of one side of a stream-stream join for those of the other side, after it passed them on.

use std::sync::Arc;

use super::{JoinStore, NullCheck, update_context};
use crate::error::NodeResult;
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// The node in front of each side of a join.
pub(crate) struct JoinWindow<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<V>,
    pub(crate) store: JoinStore<K, V>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: Clone + 'static, V: Clone + 'static> Push<K, V> for JoinWindow<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        // A record is joined with what was there before it: first on, then into the store.
        if self.keys.is_null(&record.key) {
            return self.outputs.forward(context, record);
        }
        self.outputs.forward(context, record.clone())?;
        let update = update_context(context, &record);
        let Record { key, value, timestamp, .. } = record;
        // A null value is kept nowhere, but it has its record in the changelog.
        let value = (!self.values.is_null(&value)).then_some(value);
        let put = self.store.put(&key, value, timestamp, &update);
        if !put.map_err(|error| context.state_error(&self.name, error))? {
            context.drop_record(&self.name, DropReason::Late);
        }
        Ok(())
    }
}
