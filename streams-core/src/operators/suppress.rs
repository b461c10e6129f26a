//! Holds the updates of a table back: for each key only the last one goes on, when its time has come or the buffer is full.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::ChangeBuffer;
use streams_state::types::{Change, Timestamp};

use super::{BoxGetter, ReadResult, RowRef, ValueGetter};
use crate::error::NodeResult;
use crate::metrics::Meter;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// A change buffer, shared by the node that fills it and those that read through it.
pub(crate) type ChangeBufferRef<K, V> = Rc<RefCell<ChangeBuffer<K, V>>>;

/// What happens when a buffer exceeds its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WhenFull {
    /// The oldest keys go on before their time.
    EmitEarly,
    /// The record fails: by default the task, too.
    ShutDown,
}

/// Limits of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BufferLimits {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) when_full: WhenFull,
}

/// The node of `suppress`.
pub(crate) struct Suppress<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) buffer: ChangeBufferRef<K, V>,
    /// End of a key's window, where updates wait for that; else they wait from their own time on.
    pub(crate) window_end: Option<fn(&K) -> Timestamp>,
    /// How long they wait after that, ms.
    pub(crate) wait: Timestamp,
    pub(crate) limits: BufferLimits,
    /// Deletions of rows that nobody saw need not be told: those of windows that are final.
    pub(crate) drops_tombstones: bool,
    pub(crate) send_old: bool,
    pub(crate) outputs: Outputs<K, Change<V>>,
    /// Largest timestamp that this node has seen.
    pub(crate) stream_time: Timestamp,
    pub(crate) meters: SuppressMeters,
}

/// What a suppression measures.
pub(crate) struct SuppressMeters {
    /// Records that it let go.
    pub(crate) emitted: Meter,
    /// Records and bytes in the buffer.
    pub(crate) held: [Meter; 2],
}

impl<K: 'static, V: Clone + 'static> Push<K, Change<V>> for Suppress<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        self.stream_time = self.stream_time.max(record.timestamp);
        let time = self.window_end.map_or(record.timestamp, |end| end(&record.key));
        let origin = context.origin(record.timestamp, record.headers);
        let put = self.buffer.borrow_mut().put(time, &record.key, &record.value, &origin);
        put.map_err(|error| context.state_error(&self.name, error))?;
        self.buffer.borrow_mut().keep_source(&context.record.source_bytes);
        let due = self.stream_time.saturating_sub(self.wait);
        while self.buffer.borrow().min_timestamp() <= due {
            if !self.emit_first(context)? {
                break;
            }
        }
        self.keep_limits(context)?;
        let [count, size] = &self.meters.held;
        if count.records() {
            let buffer = self.buffer.borrow();
            count.add(buffer.num_records() as f64);
            size.add(buffer.buffer_size() as f64);
        }
        Ok(())
    }
}

impl<K: 'static, V: Clone + 'static> Suppress<K, V> {
    /// Records and bytes in the buffer, if they exceed its limits.
    fn excess(&self) -> Option<(u64, u64)> {
        let buffer = self.buffer.borrow();
        let (records, bytes) = (buffer.num_records(), buffer.buffer_size());
        (records > self.limits.records || bytes > self.limits.bytes).then_some((records, bytes))
    }

    fn keep_limits(&mut self, context: &mut TaskContext) -> NodeResult {
        while let Some((records, bytes)) = self.excess() {
            match self.limits.when_full {
                WhenFull::EmitEarly => {
                    if !self.emit_first(context)? {
                        break;
                    }
                }
                WhenFull::ShutDown => {
                    let text = |limit: u64| match limit {
                        u64::MAX => "no limit".to_owned(),
                        limit => limit.to_string(),
                    };
                    let message = format!(
                        "suppress: buffer exceeded its max capacity: {records} records (limit: {}), {bytes} bytes (limit: {}); \
                         spill_to_disk_when_full() would neither fail nor emit early",
                        text(self.limits.records),
                        text(self.limits.bytes)
                    );
                    return Err(context.user_error(&self.name, message.into()));
                }
            }
        }
        Ok(())
    }

    /// Sends the oldest update on, with the context that it had, and forgets it. `false`: there is none.
    fn emit_first(&mut self, context: &mut TaskContext) -> NodeResult<bool> {
        let first = self.buffer.borrow().first();
        let Some(first) = first.map_err(|error| context.state_error(&self.name, error))? else {
            return Ok(false);
        };
        if first.change.new.is_some() || !self.drops_tombstones {
            let origin = first.context;
            let outer = context.enter(&origin, first.source_bytes);
            let change = Change { old: first.change.old.filter(|_| self.send_old), ..first.change };
            let (timestamp, headers) = (origin.timestamp, origin.headers);
            // It is still in the buffer: who reads this table now sees what went before.
            let result =
                self.outputs.forward(context, Record { key: first.key, value: change, timestamp, headers });
            context.record = outer;
            result?;
            self.meters.emitted.add(1.0);
        }
        let removed = self.buffer.borrow_mut().remove_first();
        removed.map_err(|error| context.state_error(&self.name, error))?;
        Ok(true)
    }
}

/// Reads a suppressed table: what was sent on last, if an update waits, else the row of the table above.
pub(crate) struct SuppressGetter<K, V> {
    pub(crate) buffer: ChangeBufferRef<K, V>,
    pub(crate) parent: BoxGetter<K, V>,
}

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for SuppressGetter<K, V> {
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        let prior: Result<Option<Option<V>>, StateError> =
            self.buffer.borrow_mut().prior_value_for_buffered(key);
        match prior? {
            // When it was sent on is not known.
            Some(prior) => visit(prior.as_ref().map(|value| (value, streams_state::types::NO_TIMESTAMP))),
            None => return self.parent.read(context, key, visit),
        }
        Ok(())
    }
}
