//! Keeps the rows of a table for which a predicate says yes; a row that no longer fits is deleted below.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::{BoxGetter, ReadResult, RowRef, TablePut, TableStore, Updates, ValueGetter, update_context};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// A filtered table, with a store of its own or without.
pub(crate) struct TableFilter<K, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) predicate: Arc<F>,
    pub(crate) store: Option<TableStore<K, V>>,
    pub(crate) send_old: bool,
    /// The table filtered is versioned: a row out of order must go on even if it is a deletion of nothing.
    pub(crate) versioned: bool,
    pub(crate) updates: Updates<K, V>,
}

impl<K, V, F> TableFilter<K, V, F>
where
    F: Fn(&K, &V) -> Result<bool, BoxError>,
{
    fn filter(&self, context: &TaskContext, key: &K, value: Option<V>) -> NodeResult<Option<V>> {
        let Some(value) = value else { return Ok(None) };
        let wanted = (self.predicate)(key, &value).map_err(|error| context.user_error(&self.name, error))?;
        Ok(wanted.then_some(value))
    }
}

impl<K, V, F> Push<K, Change<V>> for TableFilter<K, V, F>
where
    K: 'static,
    V: Clone + 'static,
    F: Fn(&K, &V) -> Result<bool, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let new = self.filter(context, &key, change.new)?;
        let old = match &self.store {
            _ if !self.send_old => None,
            None => self.filter(context, &key, change.old)?,
            Some(store) => {
                let row = store.get(&key).map_err(|error| context.state_error(&self.name, error))?;
                row.map(|(value, _)| value)
            }
        };
        if !self.versioned && self.send_old && old.is_none() && new.is_none() {
            return Ok(());
        }
        let put = match &self.store {
            Some(store) => store
                .put(&key, new.clone(), timestamp, &update)
                .map_err(|error| context.state_error(&self.name, error))?,
            None => TablePut::passed_on(change.is_latest),
        };
        let Some(is_latest) = put.accepted(context, &self.name) else { return Ok(()) };
        let change = Change { old, new, is_latest };
        self.updates.forward(context, Record { key, value: change, timestamp, headers })
    }
}

/// Reads a filtered table that has no store.
pub(crate) struct FilterGetter<K, V, F> {
    pub(crate) parent: BoxGetter<K, V>,
    pub(crate) predicate: Arc<F>,
}

impl<K, V, F: Fn(&K, &V) -> Result<bool, BoxError>> FilterGetter<K, V, F> {
    /// Shows the row to `visit` if the predicate wants it.
    fn filter(
        predicate: &F,
        key: &K,
        row: RowRef<'_, V>,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), BoxError> {
        let wanted = row.map_or(Ok(false), |(value, _)| predicate(key, value))?;
        visit(row.filter(|_| wanted));
        Ok(())
    }
}

impl<K, V, F: Fn(&K, &V) -> Result<bool, BoxError>> ValueGetter<K, V> for FilterGetter<K, V, F> {
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        let (predicate, mut shown) = (&*self.predicate, Ok(()));
        self.parent.read(context, key, &mut |row| shown = Self::filter(predicate, key, row, visit))?;
        shown.map_err(TaskErrorCause::Processing)
    }

    fn read_as_of(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        let (predicate, mut shown) = (&*self.predicate, Ok(()));
        let mut show = |row: RowRef<'_, V>| shown = Self::filter(predicate, key, row, visit);
        self.parent.read_as_of(context, key, timestamp, &mut show)?;
        shown.map_err(TaskErrorCause::Processing)
    }
}
