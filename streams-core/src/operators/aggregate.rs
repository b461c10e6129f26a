//! Folds the records of a key into a row of a store, in place, and sends the row's changes on.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::{NullCheck, TableStore, Updates, update_context};
use crate::error::{BoxError, NodeResult};
use crate::outcome::Outcome;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// A row of the store: the aggregate and its timestamp.
type Row<A> = Option<(A, Timestamp)>;

/// One way to fold. `apply` changes the row and returns the old aggregate (only if `want_old`) and the
/// timestamp of the change: that of the record, or the row's if that is later. After an error of user code the row may
/// be anything.
pub(crate) trait Aggregate<K, V, A> {
    /// Whether user code may fail.
    const CAN_FAIL: bool;

    fn apply(
        &self,
        key: &K,
        value: V,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError>;
}

/// Changes a row by user code that may fail: then the row is as it was.
#[inline]
pub(crate) fn change_row<A: Clone, R>(
    can_fail: bool,
    row: &mut Row<A>,
    change: impl FnOnce(&mut Row<A>) -> Result<R, BoxError>,
) -> Result<R, BoxError> {
    let before = can_fail.then(|| row.clone());
    let result = change(row);
    if let (Err(_), Some(before)) = (&result, before) {
        *row = before;
    }
    result
}

/// `aggregate`: an initial value, then changes in place.
pub(crate) struct Fold<I, F> {
    pub(crate) init: I,
    pub(crate) add: F,
}

impl<K, V, A, I, F, R> Aggregate<K, V, A> for Fold<I, F>
where
    A: Clone,
    I: Fn() -> A,
    F: Fn(&K, V, &mut A) -> R,
    R: Outcome<()>,
{
    const CAN_FAIL: bool = R::CAN_FAIL;

    #[inline]
    fn apply(
        &self,
        key: &K,
        value: V,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError> {
        let (aggregate, time) = row.get_or_insert_with(|| ((self.init)(), timestamp));
        let old = want_old.then(|| aggregate.clone());
        *time = timestamp.max(*time);
        (self.add)(key, value, aggregate).into_result()?;
        Ok((old, *time))
    }
}

/// `aggregate_opt`: the initial value may be missing, and a missing result deletes the row.
pub(crate) struct FoldOption<I, F> {
    pub(crate) init: I,
    pub(crate) add: F,
}

impl<K, V, A: Clone, I, F, R> Aggregate<K, V, A> for FoldOption<I, F>
where
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> R,
    R: Outcome<Option<A>>,
{
    const CAN_FAIL: bool = R::CAN_FAIL;

    fn apply(
        &self,
        key: &K,
        value: V,
        timestamp: Timestamp,
        row: &mut Row<A>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError> {
        let (aggregate, time) = match row.take() {
            Some((aggregate, time)) => (Some(aggregate), timestamp.max(time)),
            None => ((self.init)(), timestamp),
        };
        let old = aggregate.clone().filter(|_| want_old);
        *row = (self.add)(key, value, aggregate).into_result()?.map(|aggregate| (aggregate, time));
        Ok((old, time))
    }
}

/// `reduce`: the first value is the row, later ones are merged into it.
pub(crate) struct Reduce<F>(pub(crate) F);

impl<K, V: Clone, F: Fn(V, V) -> R, R: Outcome<V>> Aggregate<K, V, V> for Reduce<F> {
    const CAN_FAIL: bool = R::CAN_FAIL;

    #[inline]
    fn apply(
        &self,
        _key: &K,
        value: V,
        timestamp: Timestamp,
        row: &mut Row<V>,
        want_old: bool,
    ) -> Result<(Option<V>, Timestamp), BoxError> {
        let Some((aggregate, time)) = row.take() else {
            *row = Some((value, timestamp));
            return Ok((None, timestamp));
        };
        let old = want_old.then(|| aggregate.clone());
        let time = timestamp.max(time);
        *row = Some(((self.0)(aggregate, value).into_result()?, time));
        Ok((old, time))
    }
}

/// `reduce_opt`: as [`Reduce`] over values that may be null, and a missing result deletes the row.
pub(crate) struct ReduceOption<F>(pub(crate) F);

impl<K, V, F, R> Aggregate<K, Option<V>, V> for ReduceOption<F>
where
    V: Clone,
    F: Fn(V, V) -> R,
    R: Outcome<Option<V>>,
{
    const CAN_FAIL: bool = R::CAN_FAIL;

    fn apply(
        &self,
        _key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        row: &mut Row<V>,
        want_old: bool,
    ) -> Result<(Option<V>, Timestamp), BoxError> {
        let Some((aggregate, time)) = row.take() else {
            *row = value.map(|value| (value, timestamp));
            return Ok((None, timestamp));
        };
        let old = want_old.then(|| aggregate.clone());
        let time = timestamp.max(time);
        // Null values were dropped before.
        let Some(value) = value else { return Ok((old, time)) };
        *row = (self.0)(aggregate, value).into_result()?.map(|value| (value, time));
        Ok((old, time))
    }
}

/// The aggregation of a grouped stream.
pub(crate) struct StreamAggregate<K, V, A, G> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<V>,
    pub(crate) aggregate: Arc<G>,
    pub(crate) store: TableStore<K, A>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, A>,
}

impl<K, V: 'static, A, G> Push<K, V> for StreamAggregate<K, V, A, G>
where
    K: 'static,
    A: Clone + 'static,
    G: Aggregate<K, V, A>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        if self.keys.is_null(&record.key) {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        if self.values.is_null(&record.value) {
            context.drop_record(&self.name, DropReason::NullValue);
            return Ok(());
        }
        let update = update_context(context, &record);
        let wanted = self.updates.wanted();
        let want_old = wanted && self.send_old;
        let Record { key, value, timestamp, headers } = record;
        let aggregate = &self.aggregate;
        let result = self.store.try_update(&key, &update, |row| {
            let applied =
                change_row(G::CAN_FAIL, row, |row| aggregate.apply(&key, value, timestamp, row, want_old));
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
