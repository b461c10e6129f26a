//! When a windowed aggregation sends its rows on: at each update, or once when their window has closed.
//!
//! A window closes by event time alone. Kafka Streams looks for closed windows at most once a second of wall clock; here every
//! record may close some, so that results depend on the data only. How far windows were sent is kept beside the committed offset.

use std::ops::ControlFlow;
use std::sync::Arc;

use streams_state::types::{Change, Headers, Timestamp, Window, Windowed};

use super::session_aggregate::SessionStoreRef;
use super::window_aggregate::WindowStoreRef;
use super::{Updates, WindowRule};
use crate::error::NodeResult;
use crate::metrics::Meter;
use crate::metrics::catalogue::node::{FINAL_EMIT, FINAL_EMIT_LATENCY};
use crate::processor::{Outputs, TaskContext};
use crate::record::Record;

/// How far closed windows were sent on.
pub(crate) struct Closed {
    node: Arc<str>,
    /// Under this name it is kept beside the committed offset.
    store: Arc<str>,
    /// `None`: not asked yet.
    last: Option<Option<Timestamp>>,
    /// Results sent on, and ms of each round.
    emitted: [Meter; 2],
}

impl Closed {
    pub(crate) fn new(context: &mut TaskContext, node: Arc<str>, store: Arc<str>) -> Self {
        let emitted = context.metrics.node_meters(&node, [&FINAL_EMIT, &FINAL_EMIT_LATENCY]);
        Self { node, store, last: None, emitted }
    }

    /// The clock, if it is to be asked.
    fn began(&self, context: &TaskContext) -> u64 {
        if self.emitted.iter().any(Meter::records) { context.metrics.now_ns() } else { 0 }
    }

    /// `rows` were sent on in a round that began then.
    fn sent(&self, context: &TaskContext, rows: usize, began_ns: u64) {
        let [emitted, latency] = &self.emitted;
        if rows > 0 && emitted.records() {
            emitted.add(rows as f64);
            latency.add(context.metrics.now_ns().saturating_sub(began_ns) as f64 / 1e6);
        }
    }

    /// The close time at which windows were last sent, if they were.
    #[inline]
    fn last(&mut self, context: &TaskContext) -> Option<Timestamp> {
        *self.last.get_or_insert_with(|| context.processor_metadata.get(&self.store))
    }

    fn moved(&mut self, context: &mut TaskContext, close: Timestamp) {
        self.last = Some(Some(close));
        context.processor_metadata.put(&self.store, close);
    }
}

/// Which rows close between two close times; bounds of window starts, inclusive.
pub(crate) enum CloseRule {
    /// Windows with exclusive ends at places that a rule knows.
    Placed { rule: WindowRule, size: Timestamp, windows: (Vec<Window>, Vec<Window>) },
    /// Windows with inclusive ends.
    Sliding { difference: Timestamp },
}

impl CloseRule {
    fn size(&self) -> Timestamp {
        match self {
            Self::Placed { size, .. } => *size,
            Self::Sliding { difference } => *difference,
        }
    }

    /// Bounds of the starts of the windows that closed since `last`. `None`: surely none did.
    #[inline]
    fn starts(&mut self, last: Option<Timestamp>, close: Timestamp) -> Option<(Timestamp, Timestamp)> {
        if last.is_some_and(|last| last >= close) {
            return None;
        }
        match self {
            Self::Placed { rule, size, windows } => {
                let upper = close.saturating_sub(*size);
                if upper < 0 {
                    return None;
                }
                let Some(last) = last else { return Some((0, upper)) };
                let below = last.saturating_sub(*size).max(0);
                rule.windows_for(upper, &mut windows.0);
                rule.windows_for(below, &mut windows.1);
                (windows.0 != windows.1).then_some((below + 1, upper))
            }
            Self::Sliding { difference } => {
                let upper = close.saturating_sub(*difference) - 1;
                let lower = last.map_or(0, |last| last.saturating_sub(*difference).max(0));
                (upper >= 0).then_some((lower, upper))
            }
        }
    }
}

/// Sends closed windows of a window store on.
pub(crate) struct EmitOnClose<K, A> {
    pub(crate) closed: Closed,
    pub(crate) rule: CloseRule,
    pub(crate) outputs: Outputs<Windowed<K>, Change<A>>,
    /// Rows on their way.
    pub(crate) rows: Vec<(Windowed<K>, A, Timestamp)>,
}

/// When the rows of a window store are sent on.
pub(crate) enum WindowEmission<K, A> {
    /// At each update.
    OnUpdate(Updates<Windowed<K>, A>),
    /// When their window has closed.
    OnClose(Box<EmitOnClose<K, A>>),
}

impl<K: 'static, A: Clone + 'static> WindowEmission<K, A> {
    /// Whether [`forward`](Self::forward) has somebody to send to.
    #[inline]
    pub(crate) fn wants_updates(&self) -> bool {
        match self {
            Self::OnUpdate(updates) => updates.wanted(),
            Self::OnClose(_) => false,
        }
    }

    /// Sends an update on, if updates are.
    #[inline]
    pub(crate) fn forward(
        &mut self,
        context: &mut TaskContext,
        record: Record<Windowed<K>, Change<A>>,
    ) -> NodeResult {
        match self {
            Self::OnUpdate(updates) => updates.forward(context, record),
            Self::OnClose(_) => Ok(()),
        }
    }

    /// Windows that end before `close` have closed: sends them on, with the headers of the record that closed them.
    #[inline]
    pub(crate) fn close(
        &mut self,
        context: &mut TaskContext,
        store: &WindowStoreRef<K, A>,
        close: Timestamp,
        headers: &Headers,
    ) -> NodeResult {
        match self {
            Self::OnUpdate(_) => Ok(()),
            Self::OnClose(emit) => emit.close(context, store, close, headers),
        }
    }
}

impl<K: 'static, A: Clone + 'static> EmitOnClose<K, A> {
    fn close(
        &mut self,
        context: &mut TaskContext,
        store: &WindowStoreRef<K, A>,
        close: Timestamp,
        headers: &Headers,
    ) -> NodeResult {
        let last = self.closed.last(context);
        let Some((lower, upper)) = self.rule.starts(last, close) else { return Ok(()) };
        let size = self.rule.size();
        let began = self.closed.began(context);
        let mut rows = std::mem::take(&mut self.rows);
        let fetched = store.borrow_mut().fetch_all(lower, upper, &mut |key, start, value, timestamp| {
            let window = Window { start, end: start.saturating_add(size) };
            rows.push((Windowed { key, window }, value.clone(), timestamp));
            ControlFlow::Continue(())
        });
        fetched.map_err(|error| context.state_error(&self.closed.node, error))?;
        let sent = rows.len();
        for (key, value, timestamp) in rows.drain(..) {
            let change = Change::latest(None, Some(value));
            let record = Record { key, value: change, timestamp, headers: headers.clone() };
            self.outputs.forward(context, record)?;
        }
        self.rows = rows;
        self.closed.sent(context, sent, began);
        self.closed.moved(context, close);
        Ok(())
    }
}

/// When the rows of a session store are sent on.
pub(crate) enum SessionEmission<K, A> {
    /// At each update.
    OnUpdate(Updates<Windowed<K>, A>),
    /// When their session has closed.
    OnClose(Closed, Outputs<Windowed<K>, Change<A>>),
}

impl<K: 'static, A: Clone + 'static> SessionEmission<K, A> {
    /// Whether [`forward`](Self::forward) has somebody to send to.
    pub(crate) fn wants_updates(&self) -> bool {
        match self {
            Self::OnUpdate(updates) => updates.wanted(),
            Self::OnClose(_, _) => false,
        }
    }

    /// Sends an update on, if updates are. It has the time of the session's end and no headers, as in Kafka Streams.
    pub(crate) fn forward(
        &mut self,
        context: &mut TaskContext,
        key: Windowed<K>,
        change: Change<A>,
    ) -> NodeResult {
        match self {
            Self::OnUpdate(updates) => {
                let timestamp = key.window.end;
                updates.forward(context, Record::new(key, change, timestamp))
            }
            Self::OnClose(_, _) => Ok(()),
        }
    }

    /// Sessions that end before `close` have closed: sends them on, with the headers of the record that closed them.
    pub(crate) fn close(
        &mut self,
        context: &mut TaskContext,
        store: &SessionStoreRef<K, A>,
        close: Timestamp,
        headers: &Headers,
    ) -> NodeResult {
        let Self::OnClose(closed, outputs) = self else { return Ok(()) };
        let last = closed.last(context);
        let (lower, upper) = (last.unwrap_or(0).max(0), close - 1);
        if last.is_some_and(|last| last >= close) || upper < lower {
            return Ok(());
        }
        let began = closed.began(context);
        let mut rows = Vec::new();
        let found = store.borrow_mut().find_sessions_ended(lower, upper, &mut |key, window, value| {
            rows.push((Windowed { key, window }, value.clone()));
        });
        found.map_err(|error| context.state_error(&closed.node, error))?;
        let sent = rows.len();
        for (key, value) in rows {
            let timestamp = key.window.end;
            let change = Change::latest(None, Some(value));
            outputs.forward(context, Record { key, value: change, timestamp, headers: headers.clone() })?;
        }
        closed.sent(context, sent, began);
        closed.moved(context, close);
        Ok(())
    }
}
