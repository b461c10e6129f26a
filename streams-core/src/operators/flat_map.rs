//! One record in, any number out, with new keys and values.

use std::sync::Arc;

use crate::error::{BoxError, NodeResult};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Changes key and value, any number of times; each result has the time and headers of the record.
pub(crate) struct FlatMap<K2, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) outputs: Outputs<K2, V2>,
}

impl<K, V, K2: 'static, V2: 'static, F, I, E> Push<K, V> for FlatMap<K2, V2, F>
where
    F: Fn(&K, V) -> Result<I, E>,
    I: IntoIterator<Item = (K2, V2)>,
    E: Into<BoxError>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        match (self.mapper)(&key, value) {
            Ok(pairs) => pairs.into_iter().try_for_each(|(key, value)| {
                self.outputs.forward(context, Record { key, value, timestamp, headers: headers.clone() })
            }),
            Err(error) => context.processing_failed(&self.name, error.into()),
        }
    }
}
