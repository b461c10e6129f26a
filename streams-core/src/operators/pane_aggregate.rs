//! Folds the records of a key into panes, of which a window store combines hopping windows, and sends on what
//! [`WindowAggregate`] would: each window of the record, combined.

use std::borrow::Cow;

use streams_state::types::{Change, RecordContext, Timestamp, Window, Windowed};

use super::aggregate::change_row;
use super::{Aggregate, WindowAggregate, update_context};
use crate::error::NodeResult;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// Windows of the record in work: start, value, timestamp.
type Windows<A> = Vec<(Timestamp, A, Timestamp)>;

/// The aggregation of a grouped stream over hopping windows in panes.
pub(crate) struct PaneAggregate<K, V, A, G> {
    /// What it has in common with the aggregation that keeps windows.
    pub(crate) of_windows: WindowAggregate<K, V, A, G>,
    /// As they were before the record, if somebody asks for old values.
    pub(crate) before: Windows<A>,
    pub(crate) now: Windows<A>,
}

impl<K, V, A, G> PaneAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A>,
{
    pub(crate) fn new(of_windows: WindowAggregate<K, V, A, G>) -> Self {
        Self { of_windows, before: Vec::new(), now: Vec::new() }
    }

    /// Folds the record into its pane, or, if it is late for some of its windows, into rows that the others have of their own. Returns
    /// the old value of a window that was not there, if somebody asks for old values: in Kafka Streams the initial one.
    fn fold(
        &self,
        context: &mut TaskContext,
        update: &RecordContext,
        (key, value): (&K, V),
        (open, is_late, want_old): (&[Window], bool, bool),
    ) -> NodeResult<Option<A>> {
        let WindowAggregate { name, aggregate, store, .. } = &self.of_windows;
        let mut initial = None;
        let rows = if is_late { open } else { open.get(..1).unwrap_or_default() };
        let (mut left, mut value) = (rows.len(), Some(value));
        for window in rows {
            left -= 1;
            let next = match left {
                0 => value.take().map(Cow::Owned),
                _ => value.as_ref().map(Cow::Borrowed),
            };
            let Some(next) = next else { break };
            let change = |row: &mut Option<(A, Timestamp)>| {
                let is_new = row.is_none();
                let (old, _) = change_row(G::CAN_FAIL, row, |row| {
                    aggregate.apply(key, next, update.timestamp, row, want_old)
                })?;
                initial = old.filter(|_| is_new).or(initial.take());
                Ok(())
            };
            let mut store = store.borrow_mut();
            let updated = match is_late {
                true => store.try_update_window(key, window.start, update, change),
                false => store.try_update_pane(key, update.timestamp, update, change),
            };
            let changed = updated.map_err(|error| context.state_error(name, error))?;
            changed.transpose().map_err(|error| context.user_error(name, error))?;
        }
        Ok(initial)
    }

    /// The windows of `key` among `open`, into `windows`.
    fn read(&self, context: &TaskContext, key: &K, open: &[Window], windows: &mut Windows<A>) -> NodeResult {
        windows.clear();
        let (Some(first), Some(last)) = (open.first(), open.last()) else { return Ok(()) };
        let WindowAggregate { name, store, .. } = &self.of_windows;
        let mut store = store.borrow_mut();
        let read = store.fetch_windows(key, first.start, last.start, &mut |start, value, timestamp| {
            windows.push((start, value, timestamp));
        });
        read.map_err(|error| context.state_error(name, error))
    }

    /// Sends on what becomes of windows that the store has forgotten, as it can after a restart: as in Kafka Streams, nothing but
    /// this record.
    #[cold]
    fn forward_forgotten(
        &mut self,
        context: &mut TaskContext,
        record: &Record<K, V>,
        forgotten: &[Window],
        want_old: bool,
    ) -> NodeResult {
        let of_windows = &mut self.of_windows;
        for window in forgotten {
            let (mut row, value) = (None, Cow::Borrowed(&record.value));
            let applied =
                of_windows.aggregate.apply(&record.key, value, record.timestamp, &mut row, want_old);
            let (old, _) = applied.map_err(|error| context.user_error(&of_windows.name, error))?;
            if of_windows.store.borrow().refuses(window.start) {
                context.drop_record(&of_windows.name, DropReason::Late);
            }
            let key = Windowed { key: record.key.clone(), window: *window };
            let change = Change::latest(old, row.map(|(value, _)| value));
            let (timestamp, headers) = (record.timestamp, record.headers.clone());
            of_windows.emission.forward(context, Record { key, value: change, timestamp, headers })?;
        }
        Ok(())
    }

    /// Folds the record into the windows that are open, and sends them on.
    fn update(
        &mut self,
        context: &mut TaskContext,
        record: Record<K, V>,
        (open, is_late): (&[Window], bool),
    ) -> NodeResult {
        let wanted = self.of_windows.emission.wants_updates();
        let want_old = wanted && self.of_windows.send_old;
        let forgotten = {
            let store = self.of_windows.store.borrow();
            open.iter().take_while(|window| store.is_expired(window.start)).count()
        };
        let (forgotten, open) = open.split_at(forgotten);
        if !forgotten.is_empty() {
            self.forward_forgotten(context, &record, forgotten, want_old)?;
        }
        let update = update_context(context, &record);
        let Record { key, value, timestamp: _, headers } = record;
        let (mut before, mut now) = (std::mem::take(&mut self.before), std::mem::take(&mut self.now));
        before.clear();
        if want_old {
            self.read(context, &key, open, &mut before)?;
        }
        let initial = self.fold(context, &update, (&key, value), (open, is_late, want_old))?;
        if wanted {
            self.read(context, &key, open, &mut now)?;
            let (mut old, mut windows) = (before.drain(..).peekable(), open.iter());
            for (start, new, timestamp) in now.drain(..) {
                let Some(window) = windows.find(|window| window.start == start) else { continue };
                let old = old.next_if(|(at, ..)| *at == start).map(|(_, value, _)| value);
                let old = old.or_else(|| initial.clone());
                let key = Windowed { key: key.clone(), window: *window };
                let change = Change::latest(old, Some(new));
                let record = Record { key, value: change, timestamp, headers: headers.clone() };
                self.of_windows.emission.forward(context, record)?;
            }
        }
        (self.before, self.now) = (before, now);
        Ok(())
    }
}

impl<K, V, A, G> Push<K, V> for PaneAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let of_windows = &mut self.of_windows;
        if of_windows.keys.is_null(&record.key) {
            context.drop_record(&of_windows.name, DropReason::NullKey);
            return Ok(());
        }
        of_windows.stream_time = of_windows.stream_time.max(record.timestamp);
        let close = of_windows.stream_time.saturating_sub(of_windows.grace);
        let mut windows = std::mem::take(&mut of_windows.windows);
        of_windows.rule.windows_for(record.timestamp, &mut windows);
        let late = windows.iter().take_while(|window| window.end <= close).count();
        (0..late).for_each(|_| context.drop_record(&of_windows.name, DropReason::Late));
        let headers = record.headers.clone();
        let open = windows.get(late..).unwrap_or_default();
        if !open.is_empty() {
            self.update(context, record, (open, late > 0))?;
        }
        let of_windows = &mut self.of_windows;
        of_windows.windows = windows;
        of_windows.emission.close(context, &of_windows.store, close, &headers)
    }
}
