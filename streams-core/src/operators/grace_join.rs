//! A stream-table join with grace: records of the stream wait in a buffer until stream time is past them, so that
//! the table can catch up, and are joined in the order of their timestamps, each with its own context.
//!
//! A record that is later than the grace is joined at once. So is one without a key, in a left join: it has no row to
//! wait for (Kafka Streams fails there).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::store::{BufferedRecord, GraceBuffer};

use super::{NullCheck, OwnKey, StreamTableJoin};
use crate::error::{BoxError, NodeResult};
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// Joins a stream of `K, V` with a versioned table of `K, VT`, `join` doing so record by record.
pub(crate) struct GraceJoin<K, V, VT, VO, J> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<V>,
    pub(crate) join: StreamTableJoin<K, V, K, VT, VO, OwnKey, J>,
    pub(crate) buffer: Rc<RefCell<GraceBuffer<K, V>>>,
}

impl<K, V, VT, VO, J> Push<K, V> for GraceJoin<K, V, VT, VO, J>
where
    K: 'static,
    V: 'static,
    VO: 'static,
    J: Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        if self.values.is_null(&record.value) {
            context.drop_record(&self.name, DropReason::NullValue);
            return Ok(());
        }
        if self.keys.is_null(&record.key) {
            return self.join.push(context, record);
        }
        let origin = context.origin(record.timestamp, record.headers.clone());
        let put = self.buffer.borrow_mut().put(&record.key, &record.value, &origin);
        if !put.map_err(|error| context.state_error(&self.name, error))? {
            return self.join.push(context, record);
        }
        self.buffer.borrow_mut().keep_source(&context.record.source_bytes);
        loop {
            let due = self.buffer.borrow_mut().pop_due();
            let Some(due) = due.map_err(|error| context.state_error(&self.name, error))? else {
                return Ok(());
            };
            self.release(context, due)?;
        }
    }
}

impl<K, V, VT, VO, J> GraceJoin<K, V, VT, VO, J>
where
    K: 'static,
    V: 'static,
    VO: 'static,
    J: Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError>,
{
    /// Joins a record that has waited, in the context in which it came.
    fn release(&mut self, context: &mut TaskContext, due: BufferedRecord<K, V>) -> NodeResult {
        let BufferedRecord { key, value, context: origin, source_bytes } = due;
        let outer = context.enter(&origin, source_bytes);
        let record = Record { key, value, timestamp: origin.timestamp, headers: origin.headers };
        let joined = self.join.push(context, record);
        let result = context.settle(joined);
        context.record = outer;
        result
    }
}
