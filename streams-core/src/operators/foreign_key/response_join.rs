//! Left side: joins an answer with the left row, if that is still the row that was asked for.
//!
//! The answer carries the hash of the left value for which it was made. If the left value has another hash by now,
//! the answer is stale: dropped and counted, as the subscription for the new value brings another one. Time and
//! headers of the result are those of the answer.

use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::format::murmur3::hash128;
use streams_state::serdes::{SerdeError, SerdeRef};

use super::Response;
use crate::error::NodeResult;
use crate::operators::{BoxGetter, RowRef};
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Joins answers with the left table of `K, V`; `None` is a deletion of the result.
pub(crate) struct ResponseJoin<K, V, VO, VR, J> {
    pub(crate) name: Arc<str>,
    pub(crate) left: BoxGetter<K, V>,
    pub(crate) values: SerdeRef<V>,
    /// The result for a left value and a foreign value, if there is one.
    pub(crate) join: Arc<J>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outputs: Outputs<K, Option<VR>>,
    pub(crate) response: std::marker::PhantomData<fn(VO)>,
}

/// What became of an answer.
enum Answer<VR> {
    Result(Option<VR>),
    Stale,
    Broken(SerdeError),
}

impl<K, V, VO, VR, J> ResponseJoin<K, V, VO, VR, J>
where
    V: 'static,
    J: Fn(&V, Option<&VO>) -> Option<VR>,
{
    fn answer(&mut self, key: &K, response: &Response<VO>) -> Result<Answer<VR>, StateError> {
        let (values, join, bytes) = (&self.values, &self.join, &mut self.bytes);
        let mut answer = Answer::Stale;
        self.left.read(key, &mut |row: RowRef<'_, V>| {
            let Some((value, _)) = row else {
                // Without a left row there is no result, whatever the answer says.
                if response.hash.is_none() {
                    answer = Answer::Result(None);
                }
                return;
            };
            bytes.clear();
            answer = match values.serialize(value, bytes) {
                Err(error) => Answer::Broken(error),
                Ok(present) if response.hash != present.then(|| hash128(bytes)) => Answer::Stale,
                Ok(_) => Answer::Result(join(value, response.foreign_value.as_deref())),
            };
        })?;
        Ok(answer)
    }
}

impl<K, V, VO, VR, J> Push<K, Response<VO>> for ResponseJoin<K, V, VO, VR, J>
where
    K: 'static,
    V: 'static,
    VR: 'static,
    J: Fn(&V, Option<&VO>) -> Option<VR>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Response<VO>>) -> NodeResult {
        let answer = self.answer(&record.key, &record.value);
        match answer.map_err(|error| context.state_error(&self.name, error))? {
            Answer::Result(result) => self.outputs.forward(context, record.with_value(result)),
            Answer::Stale => {
                context.drop_record(&self.name, DropReason::StaleAnswer);
                Ok(())
            }
            Answer::Broken(error) => context.processing_failed(&self.name, error.into()),
        }
    }
}
