//! Passes the records for which a predicate says yes.

use std::sync::Arc;

use super::NullCheck;
use crate::error::{BoxError, NodeResult};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Passes or drops (uncounted) by a predicate.
pub(crate) struct Filter<K, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) predicate: Arc<F>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static, F, E> Push<K, V> for Filter<K, V, F>
where
    F: Fn(&K, &V) -> Result<bool, E>,
    E: Into<BoxError>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match (self.predicate)(&record.key, &record.value) {
            Ok(true) => self.outputs.forward(context, record),
            Ok(false) => Ok(()),
            Err(error) => context.processing_failed(&self.name, error.into()),
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
