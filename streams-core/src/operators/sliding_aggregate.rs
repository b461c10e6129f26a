//! Folds the records of a key into sliding windows: one that ends at each record, and one that starts just after each record that
//! has others behind it, so that each set of records at most a time difference apart has exactly one row.
//!
//! ```text
//! difference 10; records at 20 and 25:   [10, 20] {20}   [15, 25] {20, 25}   [21, 31] {25}
//! ```

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use streams_state::types::{Change, RecordContext, Timestamp, Window, Windowed};

use super::window_aggregate::WindowStoreRef;
use super::{Aggregate, NullCheck, WindowEmission, update_context};
use crate::error::NodeResult;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// The row of a window: aggregate and largest timestamp of its records.
type Row<A> = Option<(A, Timestamp)>;

/// The aggregation of a grouped stream over sliding windows.
pub(crate) struct SlidingAggregate<K, V, A, G> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<V>,
    pub(crate) aggregate: Arc<G>,
    pub(crate) difference: Timestamp,
    pub(crate) grace: Timestamp,
    pub(crate) store: WindowStoreRef<K, A>,
    pub(crate) send_old: bool,
    pub(crate) emission: WindowEmission<K, A>,
    /// Largest timestamp that this node has seen.
    pub(crate) stream_time: Timestamp,
}

/// What the windows around a record tell about it.
struct Around<A> {
    /// Starts of all windows found.
    starts: Vec<Timestamp>,
    /// What the window to the record's right starts from.
    right: Row<A>,
    /// The window to its right is there.
    right_exists: bool,
    /// Timestamp of the record before it.
    previous: Option<Timestamp>,
}

impl<A> Default for Around<A> {
    fn default() -> Self {
        Self { starts: Vec::new(), right: None, right_exists: false, previous: None }
    }
}

/// A record in work.
struct InWork<'a, K, V> {
    key: &'a K,
    value: &'a V,
    update: RecordContext,
    close: Timestamp,
}

impl<K, V, A, G> SlidingAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A>,
{
    fn window(&self, start: Timestamp) -> Window {
        Window { start, end: start.saturating_add(self.difference) }
    }

    /// Rows of `key` whose windows start in the range, from the last back, until `stop` is true for one (which is kept).
    fn rows_back(
        &self,
        context: &TaskContext,
        key: &K,
        starts: (Timestamp, Timestamp),
        stop: impl Fn(Timestamp) -> bool,
    ) -> NodeResult<Vec<(Timestamp, A, Timestamp)>> {
        let mut rows = Vec::new();
        let mut visit = |start, value: &A, time| {
            rows.push((start, value.clone(), time));
            if stop(start) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let fetched = self.store.borrow_mut().fetch_range_backward(key, starts.0, starts.1, &mut visit);
        fetched.map_err(|error| context.state_error(&self.name, error))?;
        Ok(rows)
    }

    /// Sets the row of a window and sends the change on.
    fn put(
        &mut self,
        context: &mut TaskContext,
        record: &InWork<'_, K, V>,
        start: Timestamp,
        (row, old, time): (Row<A>, Option<A>, Timestamp),
    ) -> NodeResult {
        let new = row.map(|(value, _)| value);
        let wanted = self.emission.wants_updates();
        let forwarded = if wanted { new.clone() } else { None };
        let put = self.store.borrow_mut().put(record.key, start, new, time, &record.update);
        if !put.map_err(|error| context.state_error(&self.name, error))? {
            context.drop_record(&self.name, DropReason::Late);
        }
        if !wanted {
            return Ok(());
        }
        let key = Windowed { key: record.key.clone(), window: self.window(start) };
        let value = Change::latest(old, forwarded);
        let headers = record.update.headers.clone();
        self.emission.forward(context, Record { key, value, timestamp: time, headers })
    }

    /// Adds the record to the window that starts at `start` and has the row `row`, unless the window has closed.
    fn add(
        &mut self,
        context: &mut TaskContext,
        record: &InWork<'_, K, V>,
        start: Timestamp,
        mut row: Row<A>,
    ) -> NodeResult {
        if self.window(start).end < record.close {
            context.drop_record(&self.name, DropReason::Late);
            return Ok(());
        }
        let want_old = self.send_old && self.emission.wants_updates();
        let value = Cow::Borrowed(record.value);
        let applied = self.aggregate.apply(record.key, value, record.update.timestamp, &mut row, want_old);
        let (old, time) = applied.map_err(|error| context.user_error(&self.name, error))?;
        self.put(context, record, start, (row, old, time))
    }

    /// Makes the window that starts just after the record, of what lies behind it.
    fn make_right(
        &mut self,
        context: &mut TaskContext,
        record: &InWork<'_, K, V>,
        around: &mut Around<A>,
    ) -> NodeResult {
        let timestamp = record.update.timestamp;
        match around.right.take() {
            Some((value, time)) if !around.right_exists && time > timestamp => {
                self.put(context, record, timestamp + 1, (Some((value, time)), None, time))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A record at or after the time difference: its own window does not start before 0.
    fn regular(&mut self, context: &mut TaskContext, record: &InWork<'_, K, V>) -> NodeResult {
        let timestamp = record.update.timestamp;
        let difference = self.difference;
        let first = timestamp.saturating_sub(difference.saturating_mul(2)).max(0);
        let rows = self.rows_back(context, record.key, (first, timestamp + 1), |start| {
            start.saturating_add(difference) < timestamp
        })?;
        let mut around = Around::default();
        let (mut left, mut left_exists) = (None, false);
        for (start, value, time) in rows {
            around.starts.push(start);
            let end = start.saturating_add(difference);
            if start == timestamp + 1 {
                around.right_exists = true;
            } else if end > timestamp {
                around.right.get_or_insert_with(|| (value.clone(), time));
                self.add(context, record, start, Some((value, time)))?;
            } else if end == timestamp {
                left_exists = true;
                self.add(context, record, start, Some((value, time)))?;
                if time >= timestamp {
                    // A record of this very timestamp has made all windows.
                    return Ok(());
                }
                around.previous = Some(time);
            } else {
                left = Some(value);
                around.previous = Some(time);
            }
        }
        if let Some(previous) = around.previous {
            let start = previous + 1;
            if !around.starts.contains(&start) && start.saturating_add(difference) >= timestamp {
                self.add(context, record, start, None)?;
            }
        }
        if !left_exists {
            let reaches = around.previous.is_some_and(|previous| timestamp - difference <= previous);
            let row = left.filter(|_| reaches).map(|value| (value, timestamp));
            self.add(context, record, timestamp - difference, row)?;
        }
        self.make_right(context, record, &mut around)
    }

    /// A record before the time difference: its own window would start before 0. The window [0, difference] stands for those of
    /// all such records.
    fn early(&mut self, context: &mut TaskContext, record: &InWork<'_, K, V>) -> NodeResult {
        let timestamp = record.update.timestamp;
        let mut rows = self.rows_back(context, record.key, (0, timestamp + 1), |_| false)?;
        rows.reverse();
        let mut around = Around::default();
        let mut combined = None;
        for (start, value, time) in rows {
            around.starts.push(start);
            if start == 0 {
                if time < timestamp {
                    around.previous = Some(time);
                }
                combined = Some((value, time));
            } else if start <= timestamp {
                around.right = Some((value.clone(), time));
                self.add(context, record, start, Some((value, time)))?;
            } else {
                around.right_exists = true;
            }
        }
        if around.right.is_none() {
            around.right = combined.clone().filter(|(_, time)| *time > timestamp);
        }
        self.make_right(context, record, &mut around)?;
        if let Some(previous) = around.previous
            && !around.starts.contains(&(previous + 1))
        {
            self.add(context, record, previous + 1, None)?;
        }
        self.add(context, record, 0, combined)
    }
}

impl<K, V, A, G> Push<K, V> for SlidingAggregate<K, V, A, G>
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
        if self.values.is_null(&record.value) {
            context.drop_record(&self.name, DropReason::NullValue);
            return Ok(());
        }
        let timestamp = record.timestamp;
        self.stream_time = self.stream_time.max(timestamp);
        let close = self.stream_time.saturating_sub(self.grace);
        if timestamp.saturating_add(self.difference) < close {
            context.drop_record(&self.name, DropReason::Late);
            return Ok(());
        }
        let update = update_context(context, &record);
        let in_work = InWork { key: &record.key, value: &record.value, update, close };
        if timestamp < self.difference {
            // As in Kafka Streams, such a record closes no windows: the next one does.
            return self.early(context, &in_work);
        }
        self.regular(context, &in_work)?;
        self.emission.close(context, &self.store, close, &record.headers)
    }
}
