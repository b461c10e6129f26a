//! Folds the changes of a table's rows into a row for their group: the old value is subtracted, then the new one is
//! added, in place, and the row's change is sent on.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::{TableStore, Updates, update_context};
use crate::error::NodeResult;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// A row of the store: the aggregate and its timestamp.
type Row<A> = Option<(A, Timestamp)>;

/// One way to subtract and add. `apply` changes the row and returns the old aggregate (only if `want_old`) and the
/// timestamp of the change: that of the record, or the row's if that is later.
pub(crate) trait Adjust<K, V, A> {
    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> (Option<A>, Timestamp);
}

/// `aggregate`: an initial value, then changes in place.
pub(crate) struct AddSubtract<I, F, S> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, A, I, F, S> Adjust<K, V, A> for AddSubtract<I, F, S>
where
    A: Clone,
    I: Fn() -> A,
    F: Fn(&K, V, &mut A),
    S: Fn(&K, V, &mut A),
{
    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> (Option<A>, Timestamp) {
        let Some((aggregate, time)) = row else {
            // There is nothing to subtract from.
            if let Some(value) = change.new {
                let mut aggregate = (self.init)();
                (self.add)(key, value, &mut aggregate);
                *row = Some((aggregate, timestamp));
            }
            return (None, timestamp);
        };
        let old = want_old.then(|| aggregate.clone());
        if let Some(value) = change.old {
            (self.subtract)(key, value, aggregate);
        }
        if let Some(value) = change.new {
            (self.add)(key, value, aggregate);
        }
        *time = timestamp.max(*time);
        (old, *time)
    }
}

/// `aggregate_opt`: the initial value may be missing, and a missing result deletes the row.
pub(crate) struct AddSubtractOption<I, F, S> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, A, I, F, S> Adjust<K, V, A> for AddSubtractOption<I, F, S>
where
    A: Clone,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> Option<A>,
    S: Fn(&K, V, A) -> Option<A>,
{
    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> (Option<A>, Timestamp) {
        let (aggregate, time) = match row.take() {
            Some((aggregate, time)) => (Some(aggregate), timestamp.max(time)),
            None => (None, timestamp),
        };
        let old = aggregate.clone().filter(|_| want_old);
        let aggregate = match (change.old, aggregate) {
            (Some(value), Some(aggregate)) => (self.subtract)(key, value, aggregate),
            (_, aggregate) => aggregate,
        };
        let aggregate = match change.new {
            Some(value) => (self.add)(key, value, aggregate.or_else(&self.init)),
            None => aggregate,
        };
        *row = aggregate.map(|aggregate| (aggregate, time));
        (old, time)
    }
}

/// `reduce`: the first value is the row, later ones are merged into it; a missing result deletes the row.
pub(crate) struct MergeRemove<F, S> {
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, F, S> Adjust<K, V, V> for MergeRemove<F, S>
where
    V: Clone,
    F: Fn(V, V) -> Option<V>,
    S: Fn(V, V) -> Option<V>,
{
    fn apply(
        &self,
        _key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<V>,
        want_old: bool,
    ) -> (Option<V>, Timestamp) {
        let (aggregate, time) = match row.take() {
            Some((aggregate, time)) => (Some(aggregate), timestamp.max(time)),
            None => (None, timestamp),
        };
        let old = aggregate.clone().filter(|_| want_old);
        let aggregate = match (change.old, aggregate) {
            (Some(value), Some(aggregate)) => (self.subtract)(aggregate, value),
            (_, aggregate) => aggregate,
        };
        let aggregate = match (change.new, aggregate) {
            (Some(value), Some(aggregate)) => (self.add)(aggregate, value),
            (Some(value), None) => Some(value),
            (None, aggregate) => aggregate,
        };
        *row = aggregate.map(|aggregate| (aggregate, time));
        (old, time)
    }
}

/// The aggregation of a grouped table. Its keys are never null: those were left out before the repartition.
pub(crate) struct TableAggregate<K, A, G> {
    pub(crate) name: Arc<str>,
    pub(crate) adjust: Arc<G>,
    pub(crate) store: TableStore<K, A>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, A>,
}

impl<K, V, A, G> Push<K, Change<V>> for TableAggregate<K, A, G>
where
    K: 'static,
    A: Clone + 'static,
    G: Adjust<K, V, A>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let wanted = self.updates.wanted();
        let want_old = wanted && self.send_old;
        let Record { key, value: change, timestamp, headers } = record;
        let adjust = &self.adjust;
        let result = self.store.update(&key, &update, |row| {
            let (old, time) = adjust.apply(&key, change, timestamp, row, want_old);
            let new = if wanted { row.as_ref().map(|(new, _)| new.clone()) } else { None };
            (old, new, time)
        });
        let ((old, new, time), put) = result.map_err(|error| context.state_error(&self.name, error))?;
        let Some(is_latest) = put.accepted(context, &self.name) else { return Ok(()) };
        if !wanted {
            return Ok(());
        }
        let change = Change { old, new, is_latest };
        self.updates.forward(context, Record { key, value: change, timestamp: time, headers })
    }
}
