//! Joins a stream with itself on one store, with the results of a join on two in the same order.

use std::ops::ControlFlow;
use std::sync::Arc;

use streams_state::types::Timestamp;

use super::{JoinStore, NullCheck};
use crate::error::{BoxError, NodeResult};
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// The join of a stream with itself: with what was there before, from both sides, and with the record itself.
pub(crate) struct SelfJoin<K, V, VO, J> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) values: NullCheck<V>,
    pub(crate) store: JoinStore<K, V>,
    pub(crate) before_ms: Timestamp,
    pub(crate) after_ms: Timestamp,
    pub(crate) retention_ms: Timestamp,
    pub(crate) join: Arc<J>,
    /// Largest timestamp seen.
    pub(crate) stream_time: Timestamp,
    /// Results of the record in work, and their times.
    pub(crate) results: Vec<(Result<VO, BoxError>, Timestamp)>,
    pub(crate) outputs: Outputs<K, VO>,
}

impl<K, V, VO, J> Push<K, V> for SelfJoin<K, V, VO, J>
where
    K: Clone + 'static,
    V: Clone + 'static,
    VO: 'static,
    J: Fn(&K, Option<&V>, Option<&V>) -> Result<Option<VO>, BoxError>,
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
        let Record { key, value, timestamp, headers } = record;
        self.stream_time = self.stream_time.max(timestamp);
        let mut results = std::mem::take(&mut self.results);
        let joined = self.join_all(&key, &value, timestamp, &mut results);
        joined.map_err(|error| context.state_error(&self.name, error))?;
        for (value, timestamp) in results.drain(..) {
            let value = value.map_err(|error| context.user_error(&self.name, error))?;
            let record = Record { key: key.clone(), value, timestamp, headers: headers.clone() };
            self.outputs.forward(context, record)?;
        }
        self.results = results;
        Ok(())
    }
}

impl<K, V, VO, J> SelfJoin<K, V, VO, J>
where
    K: Clone + 'static,
    V: Clone + 'static,
    J: Fn(&K, Option<&V>, Option<&V>) -> Result<Option<VO>, BoxError>,
{
    /// All results of a record, in order: as the left side, then as the right side; with itself before the first result of
    /// the second kind that is newer, else last.
    fn join_all(
        &self,
        key: &K,
        value: &V,
        timestamp: Timestamp,
        results: &mut Vec<(Result<VO, BoxError>, Timestamp)>,
    ) -> Result<(), streams_state::error::StateError> {
        let store = &self.store;
        let join = |left: &V, right: &V| (self.join)(key, Some(left), Some(right)).transpose();
        let bounds = |before: Timestamp, after: Timestamp| {
            (timestamp.saturating_sub(before).max(0), timestamp.saturating_add(after).max(0))
        };
        let (from, to) = bounds(self.before_ms, self.after_ms);
        store.fetch_range(key, from, to, &mut |start, other, _| {
            results.extend(join(value, other).map(|result| (result, start.max(timestamp))));
            ControlFlow::Continue(())
        })?;
        // A record that came too late for its window is not joined with itself either.
        let in_time = timestamp > self.stream_time.saturating_sub(self.retention_ms).saturating_add(1);
        let mut own = if in_time { join(value, value) } else { None };
        let (from, to) = bounds(self.after_ms, self.before_ms);
        store.fetch_range(key, from, to, &mut |start, other, _| {
            if start > timestamp {
                results.extend(own.take().map(|own| (own, timestamp)));
            }
            results.extend(join(other, value).map(|result| (result, start.max(timestamp))));
            ControlFlow::Continue(())
        })?;
        results.extend(own.map(|own| (own, timestamp)));
        Ok(())
    }
}
