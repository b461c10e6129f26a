//! Folds the records of a key and a window into a row of a window store, in place, and sends the row's changes on.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::store::WindowStore;
use streams_state::types::{Change, RecordContext, Timestamp, Window, Windowed};

use super::aggregate::change_row;
use super::{
    Aggregate, NullCheck, ReadResult, RowRef, ValueGetter, WindowEmission, WindowRule, update_context,
};
use crate::error::{BoxError, NodeResult};
use crate::outcome::Outcome;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// A window store, shared by the node that writes it and those that read it.
pub(crate) type WindowStoreRef<K, A> = Rc<RefCell<WindowStore<K, A>>>;

/// Counts: the one aggregation that does not look at values, so that it copies none for a record of several windows.
pub(crate) struct Count;

impl<K, V> Aggregate<K, V, i64> for Count {
    const CAN_FAIL: bool = false;

    #[inline]
    fn apply(
        &self,
        _key: &K,
        _value: V,
        timestamp: Timestamp,
        row: &mut Option<(i64, Timestamp)>,
        want_old: bool,
    ) -> Result<(Option<i64>, Timestamp), BoxError> {
        let (count, time) = row.get_or_insert((0, timestamp));
        let old = want_old.then_some(*count);
        *count += 1;
        *time = timestamp.max(*time);
        Ok((old, *time))
    }
}

/// An aggregation of values, for a record that may fall into several windows: copies the value for all but the last.
pub(crate) struct EachWindow<G>(pub(crate) G);

impl<K, V: Clone, A, G: Aggregate<K, V, A>> Aggregate<K, Cow<'_, V>, A> for EachWindow<G> {
    const CAN_FAIL: bool = G::CAN_FAIL;

    #[inline]
    fn apply(
        &self,
        key: &K,
        value: Cow<'_, V>,
        timestamp: Timestamp,
        row: &mut Option<(A, Timestamp)>,
        want_old: bool,
    ) -> Result<(Option<A>, Timestamp), BoxError> {
        self.0.apply(key, value.into_owned(), timestamp, row, want_old)
    }
}

/// `reduce_opt` over windows: unlike without windows, null values reach the reducer, as in Kafka Streams. A first null
/// leaves no row.
pub(crate) struct WindowReduceOption<F>(pub(crate) F);

impl<K, T, F, R> Aggregate<K, Option<T>, T> for WindowReduceOption<F>
where
    T: Clone,
    F: Fn(T, Option<T>) -> R,
    R: Outcome<Option<T>>,
{
    const CAN_FAIL: bool = R::CAN_FAIL;

    fn apply(
        &self,
        _key: &K,
        value: Option<T>,
        timestamp: Timestamp,
        row: &mut Option<(T, Timestamp)>,
        want_old: bool,
    ) -> Result<(Option<T>, Timestamp), BoxError> {
        let Some((aggregate, time)) = row.take() else {
            *row = value.map(|value| (value, timestamp));
            return Ok((None, timestamp));
        };
        let old = want_old.then(|| aggregate.clone());
        let time = timestamp.max(time);
        *row = (self.0)(aggregate, value).into_result()?.map(|aggregate| (aggregate, time));
        Ok((old, time))
    }
}

/// The aggregation of a grouped stream over windows at fixed places.
pub(crate) struct WindowAggregate<K, V, A, G> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) aggregate: Arc<G>,
    pub(crate) rule: WindowRule,
    pub(crate) grace: Timestamp,
    pub(crate) store: WindowStoreRef<K, A>,
    pub(crate) send_old: bool,
    pub(crate) emission: WindowEmission<K, A>,
    /// Largest timestamp that this node has seen.
    pub(crate) stream_time: Timestamp,
    /// The windows of the record in work.
    pub(crate) windows: Vec<Window>,
    pub(crate) input: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, G> WindowAggregate<K, V, A, G>
where
    K: 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A>,
{
    /// Changes the row of one window. What is to be forwarded, if somebody listens.
    #[inline]
    fn update(
        &self,
        context: &mut TaskContext,
        update: &RecordContext,
        key: &K,
        value: Cow<'_, V>,
        start: Timestamp,
    ) -> NodeResult<Option<(Change<A>, Timestamp)>> {
        let wanted = self.emission.wants_updates();
        let want_old = wanted && self.send_old;
        let mut value = Some(value);
        let mut apply = |row: &mut Option<(A, Timestamp)>| {
            let Some(value) = value.take() else { return Ok(None) };
            let (old, time) = change_row(G::CAN_FAIL, row, |row| {
                self.aggregate.apply(key, value, update.timestamp, row, want_old)
            })?;
            let new = if wanted { row.as_ref().map(|(new, _)| new.clone()) } else { None };
            Ok(Some((Change::latest(old, new), time)))
        };
        let updated = self.store.borrow_mut().try_update(key, start, update, &mut apply);
        let change = match updated.map_err(|error| context.state_error(&self.name, error))? {
            Some(change) => change,
            // The store forgets sooner than the windows close, as only windows of one's own can make it: Kafka Streams
            // starts from nothing, logs and sends on what comes of it.
            None => {
                let mut row = None;
                let change = apply(&mut row);
                if change.is_ok() {
                    let (value, time) =
                        row.map_or((None, update.timestamp), |(value, time)| (Some(value), time));
                    let put = self.store.borrow_mut().put(key, start, value, time, update);
                    if !put.map_err(|error| context.state_error(&self.name, error))? {
                        context.drop_record(&self.name, DropReason::Late);
                    }
                }
                change
            }
        };
        let change = change.map_err(|error| context.user_error(&self.name, error))?;
        Ok(change.filter(|_| wanted))
    }
}

impl<K, V, A, G> Push<K, V> for WindowAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        if self.keys.is_null(&record.key) {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        let close = self.stream_time.saturating_sub(self.grace);
        let mut windows = std::mem::take(&mut self.windows);
        self.rule.windows_for(record.timestamp, &mut windows);
        let update = update_context(context, &record);
        let Record { key, value, timestamp: _, headers } = record;
        let mut left = windows.len();
        // The last window takes key and value, those before it get copies.
        let (mut key, mut value) = (Some(key), Some(value));
        for window in windows.drain(..) {
            left -= 1;
            if window.end <= close {
                context.drop_record(&self.name, DropReason::Late);
                continue;
            }
            let next = match left {
                0 => value.take().map(Cow::Owned),
                _ => value.as_ref().map(Cow::Borrowed),
            };
            let (Some(known), Some(next)) = (&key, next) else { break };
            let Some((change, timestamp)) = self.update(context, &update, known, next, window.start)? else {
                continue;
            };
            let owned = if left == 0 { key.take() } else { key.clone() };
            let Some(key) = owned else { break };
            let record =
                Record { key: Windowed { key, window }, value: change, timestamp, headers: headers.clone() };
            self.emission.forward(context, record)?;
        }
        self.windows = windows;
        self.emission.close(context, &self.store, close, &headers)
    }
}

/// Reads a windowed table from its store.
pub(crate) struct WindowGetter<K, A>(pub(crate) WindowStoreRef<K, A>);

impl<K: 'static, A: Clone + 'static> ValueGetter<Windowed<K>, A> for WindowGetter<K, A> {
    fn read(
        &mut self,
        _context: &mut TaskContext,
        key: &Windowed<K>,
        visit: &mut dyn FnMut(RowRef<'_, A>),
    ) -> ReadResult {
        let mut store = self.0.borrow_mut();
        visit(store.fetch(&key.key, key.window.start)?);
        Ok(())
    }
}
