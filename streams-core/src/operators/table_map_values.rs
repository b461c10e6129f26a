//! Maps the rows of a table to other values; a deleted row stays deleted.

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

/// A mapped table, with a store of its own or without.
pub(crate) struct TableMapValues<K, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) store: Option<Rc<RefCell<KeyValueStore<K, V2>>>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, V2>,
}

impl<K, V, V2, F> Push<K, Change<V>> for TableMapValues<K, V2, F>
where
    K: 'static,
    V2: Clone + 'static,
    F: Fn(&K, &V) -> Option<V2>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let new = change.new.and_then(|value| (self.mapper)(&key, &value));
        let old = match &self.store {
            _ if !self.send_old => None,
            None => change.old.and_then(|value| (self.mapper)(&key, &value)),
            Some(store) => {
                let mut store = store.borrow_mut();
                let row = store.get(&key).map_err(|error| context.state_error(&self.name, error))?;
                row.map(|(value, _)| value.clone())
            }
        };
        if let Some(store) = &self.store {
            let put = store.borrow_mut().put(&key, new.clone(), timestamp, &update);
            put.map_err(|error| context.state_error(&self.name, error))?;
        }
        self.updates.forward(context, Record { key, value: Change { old, new }, timestamp, headers })
    }
}

/// Reads a mapped table that has no store: maps the parent's row each time.
pub(crate) struct MapValuesGetter<K, V, F> {
    pub(crate) parent: BoxGetter<K, V>,
    pub(crate) mapper: Arc<F>,
}

impl<K, V, V2, F: Fn(&K, &V) -> Option<V2>> ValueGetter<K, V2> for MapValuesGetter<K, V, F> {
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(Option<&V2>)) -> Result<(), StateError> {
        let mapper = &self.mapper;
        self.parent.read(key, &mut |row| visit(row.and_then(|value| mapper(key, value)).as_ref()))
    }
}
