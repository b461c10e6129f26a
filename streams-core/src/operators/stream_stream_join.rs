//! One side of a stream-stream join: joins each record with the records of the other side in its window.
//!
//! ```text
//! left  ──► JoinWindow ──► StreamStreamJoin<LeftSide>  ─┐
//!             │ keeps              reads right store    ├─► merge
//! right ──► JoinWindow ──► StreamStreamJoin<RightSide> ─┘
//! ```
//! In a left or outer join a record without a partner waits in a store that both sides share, until stream time has passed its
//! window and the grace. Whether it is time is a question of the data alone: no clock is read.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::{JoinSide, LeftOrRight, OuterJoinStore, WaitingRow};
use streams_state::types::{NO_TIMESTAMP, RecordContext, Timestamp};

use super::{JoinStore, NullCheck, update_context};
use crate::error::{BoxError, NodeResult};
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Which side of a join a node is: whose records it takes, and how they stand to those of the other side.
pub(crate) trait JoinOf<L, R> {
    type This: Clone + 'static;
    type Other: Clone + 'static;
    const OTHER_SIDE: JoinSide;

    /// A record of this side on its way to the shared store.
    fn kept(value: Self::This) -> LeftOrRight<L, R>;

    /// The two values in the order of the joiner.
    fn sides<'a>(this: &'a Self::This, other: Option<&'a Self::Other>) -> (Option<&'a L>, Option<&'a R>);
}

/// The left side.
pub(crate) struct LeftSide;

impl<L: Clone + 'static, R: Clone + 'static> JoinOf<L, R> for LeftSide {
    type This = L;
    type Other = R;
    const OTHER_SIDE: JoinSide = JoinSide::Right;

    fn kept(value: L) -> LeftOrRight<L, R> {
        LeftOrRight::Left(value)
    }

    fn sides<'a>(this: &'a L, other: Option<&'a R>) -> (Option<&'a L>, Option<&'a R>) {
        (Some(this), other)
    }
}

/// The right side.
pub(crate) struct RightSide;

impl<L: Clone + 'static, R: Clone + 'static> JoinOf<L, R> for RightSide {
    type This = R;
    type Other = L;
    const OTHER_SIDE: JoinSide = JoinSide::Left;

    fn kept(value: R) -> LeftOrRight<L, R> {
        LeftOrRight::Right(value)
    }

    fn sides<'a>(this: &'a R, other: Option<&'a L>) -> (Option<&'a L>, Option<&'a R>) {
        (other, Some(this))
    }
}

/// Time as both sides of a join have seen it.
pub(crate) struct JoinTime {
    /// Largest timestamp.
    stream_time: Cell<Timestamp>,
    /// Timestamp of the oldest record that waits, or of a younger one; `MAX` if there is none, `MIN` before the first look.
    oldest: Cell<Timestamp>,
}

impl Default for JoinTime {
    fn default() -> Self {
        Self { stream_time: Cell::new(NO_TIMESTAMP), oldest: Cell::new(Timestamp::MIN) }
    }
}

/// Where records without a partner wait.
pub(crate) type Waiting<K, L, R> = Option<Rc<RefCell<OuterJoinStore<K, L, R>>>>;

/// Windows and kind of a join, as one side needs them.
#[derive(Clone, Copy)]
pub(crate) struct SideWindows {
    /// How much older the other record may be.
    pub(crate) before_ms: Timestamp,
    /// How much newer the other record may be.
    pub(crate) after_ms: Timestamp,
    pub(crate) grace_ms: Timestamp,
    /// How long after it a left record may find a partner.
    pub(crate) left_waits_ms: Timestamp,
    /// How long after it a right record may find a partner.
    pub(crate) right_waits_ms: Timestamp,
    /// Records of this side without a partner give a result.
    pub(crate) outer: bool,
}

/// One side of a join. `join` gives a result, or nothing where an inner join lacks a side.
pub(crate) struct StreamStreamJoin<K, L, R, S: JoinOf<L, R>, VO, J> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<S::This>,
    pub(crate) other: JoinStore<K, S::Other>,
    pub(crate) waiting: Waiting<K, L, R>,
    pub(crate) time: Rc<JoinTime>,
    pub(crate) windows: SideWindows,
    pub(crate) join: Arc<J>,
    /// Results of the record in work, with the timestamp of the other record.
    pub(crate) results: Vec<(Option<VO>, Timestamp)>,
    pub(crate) outputs: Outputs<K, VO>,
    pub(crate) side: PhantomData<fn(S)>,
}

impl<K, L, R, S, VO, J> Push<K, S::This> for StreamStreamJoin<K, L, R, S, VO, J>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    S: JoinOf<L, R> + 'static,
    VO: 'static,
    J: Fn(&K, Option<&L>, Option<&R>) -> Result<Option<VO>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, S::This>) -> NodeResult {
        let stream_time = self.time.stream_time.get().max(record.timestamp);
        self.time.stream_time.set(stream_time);
        if self.values.is_null(&record.value) {
            context.drop_record(&self.name, DropReason::NullValue);
            return Ok(());
        }
        if self.keys.is_null(&record.key) {
            if self.windows.outer {
                return self.forward_unmatched(context, record);
            }
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        let update = update_context(context, &record);
        if record.timestamp == stream_time {
            self.emit_waiting(context, &update)?;
        }
        let from = record.timestamp.saturating_sub(self.windows.before_ms).max(0);
        let to = record.timestamp.saturating_add(self.windows.after_ms).max(0);
        let found = self.join_window(context, &record, from, to, &update)?;
        if found || !self.windows.outer {
            return Ok(());
        }
        match &self.waiting {
            Some(waiting) if to >= stream_time => {
                let known = Some(self.time.oldest.get()).filter(|oldest| *oldest != Timestamp::MIN);
                self.time.oldest.set(known.unwrap_or(Timestamp::MAX).min(record.timestamp));
                let Record { key, value, timestamp, .. } = record;
                let put = waiting.borrow_mut().put(&key, timestamp, &S::kept(value), &update);
                put.map_err(|error| context.state_error(&self.name, error))
            }
            Some(_) | None => self.forward_unmatched(context, record),
        }
    }
}

impl<K, L, R, S, VO, J> StreamStreamJoin<K, L, R, S, VO, J>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    S: JoinOf<L, R> + 'static,
    VO: 'static,
    J: Fn(&K, Option<&L>, Option<&R>) -> Result<Option<VO>, BoxError>,
{
    fn forward_unmatched(&mut self, context: &mut TaskContext, record: Record<K, S::This>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        let (left, right) = S::sides(&value, None);
        match (self.join)(&key, left, right).map_err(|error| context.user_error(&self.name, error))? {
            Some(value) => self.outputs.forward(context, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }

    /// Joins `record` with the records of the other side in `from..=to`. Returns whether there was one.
    fn join_window(
        &mut self,
        context: &mut TaskContext,
        record: &Record<K, S::This>,
        from: Timestamp,
        to: Timestamp,
        update: &RecordContext,
    ) -> NodeResult<bool> {
        let mut results = std::mem::take(&mut self.results);
        let (join, mut failed) = (&*self.join, Ok(()));
        let fetched = self.other.fetch_range(&record.key, from, to, &mut |start, other, _| {
            let (left, right) = S::sides(&record.value, Some(other));
            match join(&record.key, left, right) {
                Ok(result) => {
                    results.push((result, start));
                    ControlFlow::Continue(())
                }
                // What was found before goes on, and this partner, too, waits no longer.
                Err(error) => {
                    results.push((None, start));
                    failed = Err(error);
                    ControlFlow::Break(())
                }
            }
        });
        fetched.map_err(|error| context.state_error(&self.name, error))?;
        let found = !results.is_empty();
        for (value, other_time) in results.drain(..) {
            if let Some(waiting) = &self.waiting {
                // The other record has found a partner: it waits no longer.
                let mut waiting = waiting.borrow_mut();
                let removed = waiting.remove_if_present(&record.key, S::OTHER_SIDE, other_time, update);
                removed.map_err(|error| context.state_error(&self.name, error))?;
            }
            if let Some(value) = value {
                let timestamp = record.timestamp.max(other_time);
                let (key, headers) = (record.key.clone(), record.headers.clone());
                self.outputs.forward(context, Record { key, value, timestamp, headers })?;
            }
        }
        self.results = results;
        failed.map_err(|error| context.user_error(&self.name, error))?;
        Ok(found)
    }

    /// Gives results for the waiting records whose windows have closed.
    fn emit_waiting(&mut self, context: &mut TaskContext, update: &RecordContext) -> NodeResult {
        let Some(waiting) = self.waiting.clone() else { return Ok(()) };
        let window_and_grace = self.windows.after_ms.saturating_add(self.windows.grace_ms);
        if self.time.oldest.get().saturating_add(window_and_grace) >= self.time.stream_time.get() {
            return Ok(());
        }
        let closed = self.take_closed(&waiting, update);
        let closed = closed.map_err(|error| context.state_error(&self.name, error))?;
        for result in closed {
            match result {
                Ok(result) => self.outputs.forward(context, result)?,
                Err(error) => context.processing_failed(&self.name, error)?,
            }
        }
        Ok(())
    }

    /// Takes the records whose windows have closed out of the store; gives their results, in order of time.
    fn take_closed(
        &self,
        waiting: &RefCell<OuterJoinStore<K, L, R>>,
        update: &RecordContext,
    ) -> Result<Vec<Result<Record<K, VO>, BoxError>>, StateError> {
        let mut waiting = waiting.borrow_mut();
        let (mut closed, mut taken) = (Vec::new(), Vec::new());
        let (mut left_open, mut right_open) = (false, false);
        self.time.oldest.set(Timestamp::MAX);
        waiting.scan(&mut |row: &WaitingRow<'_, K, L, R>| {
            self.time.oldest.set(row.timestamp);
            if left_open && right_open {
                return Ok(ControlFlow::Break(()));
            }
            if self.is_open(row.timestamp, row.side) {
                match row.side {
                    JoinSide::Left => left_open = true,
                    JoinSide::Right => right_open = true,
                }
                // Kafka Streams looks at one record more, and takes its time for the oldest: perhaps one of this row.
                let stops = left_open && right_open && row.values()?.len() > 1;
                return Ok(if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            }
            let key = row.key()?;
            for value in row.values()? {
                let value = match &value {
                    LeftOrRight::Left(left) => (self.join)(&key, Some(left), None),
                    LeftOrRight::Right(right) => (self.join)(&key, None, Some(right)),
                };
                // Kafka Streams gives these results the headers of the record that moved the time.
                let (key, timestamp, headers) = (key.clone(), row.timestamp, update.headers.clone());
                let record = |value| Record { key, value, timestamp, headers };
                closed.extend(value.map(|value| value.map(record)).transpose());
            }
            taken.push((key, row.side, row.timestamp));
            Ok(ControlFlow::Continue(()))
        })?;
        for (key, side, timestamp) in taken {
            waiting.remove(&key, side, timestamp, update)?;
        }
        Ok(closed)
    }

    fn is_open(&self, timestamp: Timestamp, side: JoinSide) -> bool {
        let waits = match side {
            JoinSide::Left => self.windows.left_waits_ms,
            JoinSide::Right => self.windows.right_waits_ms,
        };
        timestamp.saturating_add(waits).saturating_add(self.windows.grace_ms) >= self.time.stream_time.get()
    }
}
