//! Step 5: the store of a materialized table, whatever its kind, as the operators of tables see it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::{KeyValueStore, VersionedPut, VersionedStore};
use streams_state::types::{Change, RecordContext, Timestamp};

use super::Updates;
use super::value_getter::RowRef;
use crate::error::NodeResult;
use crate::processor::{DropReason, Outputs, StoreInstance, TaskBuilder, TaskContext};

/// What became of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a refused update must not be sent on"]
pub(crate) enum TablePut {
    /// It is the row's latest version.
    Latest,
    /// The row has a later version: only in versioned tables.
    Older,
    /// It came later than the history retention admits, and changed nothing: only in versioned tables.
    Refused,
}

impl TablePut {
    /// What a node without a store makes of the update that it got.
    pub(crate) fn passed_on(is_latest: bool) -> Self {
        if is_latest { Self::Latest } else { Self::Older }
    }

    /// Whether the update is the row's latest version. `None`: it was refused, which is counted here, and must not
    /// be sent on.
    #[inline]
    pub(crate) fn accepted(self, context: &mut TaskContext, node: &str) -> Option<bool> {
        match self {
            Self::Latest => Some(true),
            Self::Older => Some(false),
            Self::Refused => {
                context.drop_record(node, DropReason::Late);
                None
            }
        }
    }
}

impl From<VersionedPut> for TablePut {
    fn from(put: VersionedPut) -> Self {
        match put {
            VersionedPut::Latest => Self::Latest,
            VersionedPut::Older { .. } => Self::Older,
            VersionedPut::Refused => Self::Refused,
        }
    }
}

/// The store of a table, shared by the node that writes it and those that read it.
pub(crate) enum TableStore<K, V> {
    /// Latest value and timestamp of each key.
    KeyValue(Rc<RefCell<KeyValueStore<K, V>>>),
    /// All versions of each key, for a time.
    Versioned(Rc<dyn Versions<K, V>>),
}

/// A versioned store as its table sees it. Behind `dyn`, so that only tables that keep a history have the code for it.
pub(crate) trait Versions<K, V> {
    /// Shows the row that `key` had at `timestamp` to `visit`, once; the latest one without a time.
    fn read(
        &self,
        key: &K,
        timestamp: Option<Timestamp>,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), StateError>;

    /// Adds a version; `None` deletes.
    fn put(&self, key: &K, value: Option<V>, timestamp: Timestamp) -> Result<TablePut, StateError>;
}

impl<K: 'static, V: Clone + 'static> Versions<K, V> for RefCell<VersionedStore<K, V>> {
    fn read(
        &self,
        key: &K,
        timestamp: Option<Timestamp>,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), StateError> {
        let mut store = self.borrow_mut();
        visit(match timestamp {
            None => store.get(key)?,
            Some(timestamp) => store.get_as_of(key, timestamp)?,
        });
        Ok(())
    }

    fn put(&self, key: &K, value: Option<V>, timestamp: Timestamp) -> Result<TablePut, StateError> {
        self.borrow_mut().put(key, value, timestamp).map(TablePut::from)
    }
}

/// A versioned store of a task, for the operators of its table, too.
pub(crate) fn versioned_instance<K: 'static, V: Clone + 'static>(
    store: VersionedStore<K, V>,
) -> StoreInstance {
    StoreInstance::with_face(store, |cell| Rc::new(cell as Rc<dyn Versions<K, V>>))
}

impl<K, V> Clone for TableStore<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::KeyValue(store) => Self::KeyValue(store.clone()),
            Self::Versioned(store) => Self::Versioned(store.clone()),
        }
    }
}

impl<K: 'static, V: Clone + 'static> TableStore<K, V> {
    /// The store `name` of the task, for `node`.
    pub(crate) fn open(builder: &TaskBuilder<'_>, node: &str, name: &str) -> NodeResult<Self> {
        match builder.face::<Rc<dyn Versions<K, V>>>(name) {
            Some(versions) => Ok(Self::Versioned((*versions).clone())),
            None => {
                let store: Rc<RefCell<KeyValueStore<K, V>>> = builder.store(node, name)?;
                if builder.may_go_on() {
                    store.borrow_mut().undo_failed_updates();
                }
                Ok(Self::KeyValue(store))
            }
        }
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
            Self::Versioned(_) => Updates::AtOnce(outputs),
        }
    }

    /// Shows the latest row of `key` to `visit`, once.
    pub(crate) fn read(&self, key: &K, visit: &mut dyn FnMut(RowRef<'_, V>)) -> Result<(), StateError> {
        match self {
            Self::KeyValue(store) => {
                visit(store.borrow_mut().get(key)?);
                Ok(())
            }
            Self::Versioned(store) => store.read(key, None, visit),
        }
    }

    /// Shows the row that `key` had at `timestamp` to `visit`, once; that of today if the table keeps no history.
    pub(crate) fn read_as_of(
        &self,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), StateError> {
        match self {
            Self::KeyValue(_) => self.read(key, visit),
            Self::Versioned(store) => store.read(key, Some(timestamp), visit),
        }
    }

    /// The latest row of `key`.
    pub(crate) fn get(&self, key: &K) -> Result<Option<(V, Timestamp)>, StateError> {
        let mut row = None;
        self.read(key, &mut |found| row = found.map(|(value, timestamp)| (value.clone(), timestamp)))?;
        Ok(row)
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
            Self::Versioned(store) => store.put(key, value, timestamp),
        }
    }

    /// As [`put`](Self::put), at the time of the record; returns the latest row before, if it is wanted.
    #[inline]
    pub(crate) fn replace(
        &self,
        key: &K,
        value: Option<V>,
        context: &RecordContext,
        want_old: bool,
    ) -> Result<(Option<V>, TablePut), StateError> {
        match self {
            Self::KeyValue(store) => {
                let old = store.borrow_mut().update(key, context, |row| {
                    let old = std::mem::replace(row, value.map(|value| (value, context.timestamp)));
                    old.filter(|_| want_old).map(|(old, _)| old)
                })?;
                Ok((old, TablePut::Latest))
            }
            Self::Versioned(store) => {
                let old = if want_old { self.get(key)?.map(|(old, _)| old) } else { None };
                Ok((old, store.put(key, value, context.timestamp)?))
            }
        }
    }

    /// Changes the latest row of `key`, in place where there is no history. A deletion has the time of the record, or
    /// that of the row if it is later. If `change` fails it must have left the row as it was.
    #[inline]
    pub(crate) fn try_update<R, E>(
        &self,
        key: &K,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Result<(R, TablePut), E>, StateError> {
        match self {
            Self::KeyValue(store) => {
                let changed = store.borrow_mut().try_update(key, context, change)?;
                Ok(changed.map(|result| (result, TablePut::Latest)))
            }
            Self::Versioned(store) => {
                let mut row = self.get(key)?;
                let deleted_at =
                    row.as_ref().map_or(context.timestamp, |(_, time)| context.timestamp.max(*time));
                let result = match change(&mut row) {
                    Ok(result) => result,
                    Err(error) => return Ok(Err(error)),
                };
                let (value, timestamp) = match row {
                    Some((value, timestamp)) => (Some(value), timestamp),
                    None => (None, deleted_at),
                };
                Ok(Ok((result, store.put(key, value, timestamp)?)))
            }
        }
    }
}
