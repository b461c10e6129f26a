//! Passes the records for which a predicate says yes.

use std::sync::Arc;

use super::NullCheck;
use crate::error::NodeResult;
use crate::outcome::Outcome;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Passes or drops (uncounted) by a predicate.
pub(crate) struct Filter<K, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) predicate: Arc<F>,
    /// Passes the others.
    pub(crate) not: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static, F, R> Push<K, V> for Filter<K, V, F>
where
    F: Fn(&K, &V) -> R,
    R: Outcome<bool>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match (self.predicate)(&record.key, &record.value).into_result() {
            Ok(wanted) if wanted != self.not => self.outputs.forward(context, record),
            Ok(_) => Ok(()),
            Err(error) => context.processing_failed(&self.name, error),
        }
    }
}

/// In front of a repartition topic: drops (uncounted) records without a key, unless a join below needs them.
pub(crate) struct NullKeyFilter<K, V> {
    pub(crate) keys: Option<NullCheck<K>>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static> Push<K, V> for NullKeyFilter<K, V> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match &self.keys {
            Some(keys) if keys.is_null(&record.key) => Ok(()),
            Some(_) | None => self.outputs.forward(context, record),
        }
    }
}
