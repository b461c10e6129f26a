//! Keeps the rows of a table for which a predicate says yes; a row that no longer fits is deleted below.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::KeyValueStore;
use streams_state::types::Change;

use super::{BoxGetter, Updates, ValueGetter, update_context};
use crate::error::NodeResult;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// A filtered table, with a store of its own or without.
pub(crate) struct TableFilter<K, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) predicate: Arc<F>,
    pub(crate) store: Option<Rc<RefCell<KeyValueStore<K, V>>>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, V>,
}

impl<K, V, F> Push<K, Change<V>> for TableFilter<K, V, F>
where
    K: 'static,
    V: Clone + 'static,
    F: Fn(&K, &V) -> bool,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let new = change.new.filter(|value| (self.predicate)(&key, value));
        let old = match &self.store {
            _ if !self.send_old => None,
            None => change.old.filter(|value| (self.predicate)(&key, value)),
            Some(store) => {
                let mut store = store.borrow_mut();
                let row = store.get(&key).map_err(|error| context.state_error(&self.name, error))?;
                row.map(|(value, _)| value.clone())
            }
        };
        if self.send_old && old.is_none() && new.is_none() {
            return Ok(());
        }
        if let Some(store) = &self.store {
            let put = store.borrow_mut().put(&key, new.clone(), timestamp, &update);
            put.map_err(|error| context.state_error(&self.name, error))?;
        }
        self.updates.forward(context, Record { key, value: Change { old, new }, timestamp, headers })
    }
}

/// Reads a filtered table that has no store.
pub(crate) struct FilterGetter<K, V, F> {
    pub(crate) parent: BoxGetter<K, V>,
    pub(crate) predicate: Arc<F>,
}

impl<K, V, F: Fn(&K, &V) -> bool> ValueGetter<K, V> for FilterGetter<K, V, F> {
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(Option<&V>)) -> Result<(), StateError> {
        let predicate = &self.predicate;
        self.parent.read(key, &mut |row| visit(row.filter(|value| predicate(key, value))))
    }
}
