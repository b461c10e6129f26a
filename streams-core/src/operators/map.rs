//! One record in, one out, with a new key and a new value.

use std::sync::Arc;

use crate::error::{BoxError, NodeResult};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Changes key and value; time and headers stay.
pub(crate) struct Map<K2, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) outputs: Outputs<K2, V2>,
}

impl<K, V, K2: 'static, V2: 'static, F, E> Push<K, V> for Map<K2, V2, F>
where
    F: Fn(&K, V) -> Result<(K2, V2), E>,
    E: Into<BoxError>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        match (self.mapper)(&key, value) {
            Ok((key, value)) => self.outputs.forward(context, Record { key, value, timestamp, headers }),
            Err(error) => context.processing_failed(&self.name, error.into()),
        }
    }
}
