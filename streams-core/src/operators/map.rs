//! One record in, one out, with a new key and a new value.

use std::sync::Arc;

use crate::error::NodeResult;
use crate::outcome::Outcome;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Changes key and value; time and headers stay.
pub(crate) struct Map<K2, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) outputs: Outputs<K2, V2>,
}

impl<K, V, K2: 'static, V2: 'static, F, R> Push<K, V> for Map<K2, V2, F>
where
    F: Fn(&K, V) -> R,
    R: Outcome<(K2, V2)>,
{
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let Record { key, value, timestamp, headers } = record;
        match (self.mapper)(&key, value).into_result() {
            Ok((key, value)) => self.outputs.forward(context, Record { key, value, timestamp, headers }),
            Err(error) => context.processing_failed(&self.name, error),
        }
    }
}
