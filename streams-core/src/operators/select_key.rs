//! Gives each record a new key.

use std::sync::Arc;

use crate::error::{BoxError, NodeResult};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Changes the key; value, time and headers stay.
pub(crate) struct SelectKey<K2, V, F> {
    pub(crate) name: Arc<str>,
    pub(crate) selector: Arc<F>,
    pub(crate) outputs: Outputs<K2, V>,
}

impl<K, V: 'static, K2: 'static, F, E> Push<K, V> for SelectKey<K2, V, F>
where
    F: Fn(&K, &V) -> Result<K2, E>,
    E: Into<BoxError>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match (self.selector)(&record.key, &record.value) {
            Ok(key) => self.outputs.forward(context, record.with_key(key)),
            Err(error) => context.processing_failed(&self.name, error.into()),
        }
    }
}
