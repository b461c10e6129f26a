//! Folds the changes of a table's rows into a row for their group: the old value is subtracted, then the new one is
//! added, in place, and the row's change is sent on.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::aggregate::change_row;
use super::{TableStore, Updates, update_context};
use crate::error::{BoxError, NodeResult};
use crate::outcome::Outcome;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// A row of the store: the aggregate and its timestamp.
type Row<A> = Option<(A, Timestamp)>;

/// One way to subtract and add. `apply` changes the row and returns the old aggregate (only if `want_old`) and the
/// timestamp of the change: that of the record, or the row's if that is later. After an error of user code the row may
/// be anything.
pub(crate) trait Adjust<K, V, A> {
    /// Whether user code may fail.
    const CAN_FAIL: bool;

    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError>;
}

/// `aggregate`: an initial value, then changes in place.
pub(crate) struct AddSubtract<I, F, S> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, A, I, F, S, RF, RS> Adjust<K, V, A> for AddSubtract<I, F, S>
where
    A: Clone,
    I: Fn() -> A,
    F: Fn(&K, V, &mut A) -> RF,
    S: Fn(&K, V, &mut A) -> RS,
    RF: Outcome<()>,
    RS: Outcome<()>,
{
    const CAN_FAIL: bool = RF::CAN_FAIL || RS::CAN_FAIL;

    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError> {
        let Some((aggregate, time)) = row else {
            // There is nothing to subtract from.
            if let Some(value) = change.new {
                let mut aggregate = (self.init)();
                (self.add)(key, value, &mut aggregate).into_result()?;
                *row = Some((aggregate, timestamp));
            }
            return Ok((None, timestamp));
        };
        let old = want_old.then(|| aggregate.clone());
        if let Some(value) = change.old {
            (self.subtract)(key, value, aggregate).into_result()?;
        }
        if let Some(value) = change.new {
            (self.add)(key, value, aggregate).into_result()?;
        }
        *time = timestamp.max(*time);
        Ok((old, *time))
    }
}

/// `aggregate_opt`: the initial value may be missing, and a missing result deletes the row.
pub(crate) struct AddSubtractOption<I, F, S> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, A, I, F, S, RF, RS> Adjust<K, V, A> for AddSubtractOption<I, F, S>
where
    A: Clone,
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> RF,
    S: Fn(&K, V, A) -> RS,
    RF: Outcome<Option<A>>,
    RS: Outcome<Option<A>>,
{
    const CAN_FAIL: bool = RF::CAN_FAIL || RS::CAN_FAIL;

    fn apply(
        &self,
        key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError> {
        let (aggregate, time) = match row.take() {
            Some((aggregate, time)) => (Some(aggregate), timestamp.max(time)),
            None => (None, timestamp),
        };
        let old = aggregate.clone().filter(|_| want_old);
        let aggregate = match (change.old, aggregate) {
            (Some(value), Some(aggregate)) => (self.subtract)(key, value, aggregate).into_result()?,
            (_, aggregate) => aggregate,
        };
        let aggregate = match change.new {
            Some(value) => (self.add)(key, value, aggregate.or_else(&self.init)).into_result()?,
            None => aggregate,
        };
        *row = aggregate.map(|aggregate| (aggregate, time));
        Ok((old, time))
    }
}

/// `reduce`: the first value is the row, later ones are merged into it; a missing result deletes the row.
pub(crate) struct MergeRemove<F, S> {
    pub(crate) add: F,
    pub(crate) subtract: S,
}

impl<K, V, F, S, RF, RS> Adjust<K, V, V> for MergeRemove<F, S>
where
    V: Clone,
    F: Fn(V, V) -> RF,
    S: Fn(V, V) -> RS,
    RF: Outcome<Option<V>>,
    RS: Outcome<Option<V>>,
{
    const CAN_FAIL: bool = RF::CAN_FAIL || RS::CAN_FAIL;

    fn apply(
        &self,
        _key: &K,
        change: Change<V>,
        timestamp: Timestamp,
        row: &mut Row<V>,
        want_old: bool,
    ) -> Result<(Option<V>, Timestamp), BoxError> {
        let (aggregate, time) = match row.take() {
            Some((aggregate, time)) => (Some(aggregate), timestamp.max(time)),
            None => (None, timestamp),
        };
        let old = aggregate.clone().filter(|_| want_old);
        let aggregate = match (change.old, aggregate) {
            (Some(value), Some(aggregate)) => (self.subtract)(aggregate, value).into_result()?,
            (_, aggregate) => aggregate,
        };
        let aggregate = match (change.new, aggregate) {
            (Some(value), Some(aggregate)) => (self.add)(aggregate, value).into_result()?,
            (Some(value), None) => Some(value),
            (None, aggregate) => aggregate,
        };
        *row = aggregate.map(|aggregate| (aggregate, time));
        Ok((old, time))
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
        let result = self.store.try_update(&key, &update, |row| {
            let applied =
                change_row(G::CAN_FAIL, row, |row| adjust.apply(&key, change, timestamp, row, want_old));
            let (old, time) = applied?;
            let new = if wanted { row.as_ref().map(|(new, _)| new.clone()) } else { None };
            Ok((old, new, time))
        });
        let updated = result.map_err(|error| context.state_error(&self.name, error))?;
        let ((old, new, time), put) = updated.map_err(|error| context.user_error(&self.name, error))?;
        let Some(is_latest) = put.accepted(context, &self.name) else { return Ok(()) };
        if !wanted {
            return Ok(());
        }
        let change = Change { old, new, is_latest };
        self.updates.forward(context, Record { key, value: change, timestamp: time, headers })
    }
}
