//! Makes a table of a stream: each record is the new row of its key, null deletes it. The store is kept only
//! if somebody reads it.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::types::Change;

use super::{NullCheck, TableStore, Updates, update_context};
use crate::error::NodeResult;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// The node behind `table`, `global_table` and `to_table`. `In` is `V` or `Option<V>`.
pub(crate) struct TableSource<K, In, V> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) store: Option<TableStore<K, V>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, V>,
    pub(crate) input: PhantomData<fn(In)>,
}

impl<K, In, V> Push<K, In> for TableSource<K, In, V>
where
    K: 'static,
    In: Into<Option<V>>,
    V: Clone + 'static,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, In>) -> NodeResult {
        if self.keys.is_null(&record.key) {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        let update = update_context(context, &record);
        let Record { key, value, timestamp, headers } = record;
        let value: Option<V> = value.into();
        let wanted = self.updates.wanted();
        let change = match &self.store {
            None => Change::latest(None, value),
            Some(store) => {
                let new = if wanted { value.clone() } else { None };
                let want_old = wanted && self.send_old;
                let replaced = store.replace(&key, value, &update, want_old);
                let (old, put) = replaced.map_err(|error| context.state_error(&self.name, error))?;
                let Some(is_latest) = put.accepted(context, &self.name) else { return Ok(()) };
                Change { old, new, is_latest }
            }
        };
        if !wanted {
            return Ok(());
        }
        self.updates.forward(context, Record { key, value: change, timestamp, headers })
    }
}
