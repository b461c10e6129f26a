//! One record in, any number out, with new values under the same key.

use std::sync::Arc;

use crate::error::{BoxError, NodeResult};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Changes the value, any number of times. The key is cloned for each result but the last.
pub(crate) struct FlatMapValues<K, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) outputs: Outputs<K, V2>,
}

impl<K: Clone + 'static, V, V2: 'static, F, I, E> Push<K, V> for FlatMapValues<K, V2, F>
where
    F: Fn(&K, V) -> Result<I, E>,
    I: IntoIterator<Item = V2>,
    E: Into<BoxError>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        let values = match (self.mapper)(&key, value) {
            Ok(values) => values,
            Err(error) => return context.processing_failed(&self.name, error.into()),
        };
        let mut values = values.into_iter();
        let Some(mut value) = values.next() else { return Ok(()) };
        for next in values {
            let value = std::mem::replace(&mut value, next);
            let record = Record { key: key.clone(), value, timestamp, headers: headers.clone() };
            self.outputs.forward(context, record)?;
        }
        self.outputs.forward(context, Record { key, value, timestamp, headers })
    }
}
