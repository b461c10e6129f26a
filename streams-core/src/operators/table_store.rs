//! Step 5: the store of a materialized table, whatever its kind, as the operators of tables see it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::KeyValueStore;
use streams_state::types::{RecordContext, Timestamp};

use super::Updates;
use super::value_getter::RowRef;
use crate::error::NodeResult;
use crate::processor::{Outputs, TaskBuilder};
use streams_state::types::Change;

/// What became of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TablePut {
    /// It is the row's latest version.
    Latest,
}

impl TablePut {
    /// Whether the update is the row's latest version.
    pub(crate) fn is_latest(self) -> bool {
        match self {
            Self::Latest => true,
        }
    }
}

/// The store of a table, shared by the node that writes it and those that read it.
pub(crate) enum TableStore<K, V> {
    /// Latest value and timestamp of each key.
    KeyValue(Rc<RefCell<KeyValueStore<K, V>>>),
}

impl<K, V> Clone for TableStore<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::KeyValue(store) => Self::KeyValue(store.clone()),
        }
    }
}

impl<K: 'static, V: Clone + 'static> TableStore<K, V> {
    /// The store `name` of the task, for `node`.
    pub(crate) fn open(builder: &TaskBuilder<'_>, node: &str, name: &str) -> NodeResult<Self> {
        builder.store(node, name).map(Self::KeyValue)
    }

    /// Where the updates of the table go: into the store's cache, or at once to `outputs`.
    pub(crate) fn updates(
        &self,
        builder: &mut TaskBuilder<'_>,
        node: &Arc<str>,
        name: &str,
        outputs: Outputs<K, Change<V>>,
        send_old: bool,
    ) -> Updates<K, V> {
        match self {
            Self::KeyValue(store) => Updates::new(builder, node, store, name, outputs, send_old),
        }
    }

    /// Shows the latest row of `key` to `visit`, once.
    pub(crate) fn read(&self, key: &K, visit: &mut dyn FnMut(RowRef<'_, V>)) -> Result<(), StateError> {
        match self {
            Self::KeyValue(store) => {
                visit(store.borrow_mut().get(key)?);
                Ok(())
            }
        }
    }

    /// The latest row of `key`.
    pub(crate) fn get(&self, key: &K) -> Result<Option<(V, Timestamp)>, StateError> {
        match self {
            Self::KeyValue(store) => {
                Ok(store.borrow_mut().get(key)?.map(|(value, timestamp)| (value.clone(), timestamp)))
            }
        }
    }

    /// Sets or (`None`) deletes the row of `key`.
    pub(crate) fn put(
        &self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<TablePut, StateError> {
        match self {
            Self::KeyValue(store) => {
                store.borrow_mut().put(key, value, timestamp, context).map(|()| TablePut::Latest)
            }
        }
    }

    /// Changes the row of `key` in place.
    #[inline]
    pub(crate) fn update<R>(
        &self,
        key: &K,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> R,
    ) -> Result<(R, TablePut), StateError> {
        match self {
            Self::KeyValue(store) => Ok((store.borrow_mut().update(key, context, change)?, TablePut::Latest)),
        }
    }
}
