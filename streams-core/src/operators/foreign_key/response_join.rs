//! Left side: joins an answer with the left row, if that is still the row that was asked for.
//!
//! The answer carries the hash of the left value for which it was made. If the left value has another hash by now,
//! the answer is stale: dropped and counted, as the subscription for the new value brings another one. Time and
//! headers of the result are those of the answer.
//!
//! One stale answer matters: "there is no foreign row" in an inner join. The subscription for the new value is
//! answered only if there is a foreign row, as its sender counts on the answer that just went stale to delete the
//! result. Kafka Streams keeps the old result then, and so does this operator, unless it is to ask again: such an
//! answer then deletes the result if the left row is gone or points nowhere; else the foreign side is asked again, this
//! time for an answer in any case.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::format::murmur3::{Hash128, hash128};
use streams_state::format::subscription_wrapper::Instruction;
use streams_state::serdes::SerdeRef;
use streams_state::types::Timestamp;

use super::{Response, Subscription};
use crate::error::{BoxError, NodeResult};
use crate::operators::{BoxGetter, NullCheck, RowRef};
use crate::processor::{BoxPush, DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Joins answers with the left table of `K, V`; `None` is a deletion of the result.
pub(crate) struct ResponseJoin<K, V, KO, VO, VR, F, J> {
    pub(crate) name: Arc<str>,
    pub(crate) left: BoxGetter<K, V>,
    pub(crate) values: SerdeRef<V>,
    /// The result for a left value and a foreign value, if there is one.
    pub(crate) join: Arc<J>,
    /// Only in an inner join, and only if wanted: in a left join every change of a row is answered.
    pub(crate) ask_again: Option<AskAgain<K, KO, F>>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outputs: Outputs<K, Option<VR>>,
    pub(crate) response: PhantomData<fn(VO)>,
}

/// How a lost deletion is asked for again.
pub(crate) struct AskAgain<K, KO, F> {
    pub(crate) foreign_key: Arc<F>,
    pub(crate) foreign_null: NullCheck<KO>,
    /// The registration topic.
    pub(crate) registration: BoxPush<Option<KO>, Subscription<K>>,
}

/// What became of an answer.
enum Answer<KO, VR> {
    Result(Option<VR>),
    Stale,
    /// Stale, and a deletion may be lost: the left row as it is now.
    Unsure {
        foreign_key: KO,
        hash: Option<Hash128>,
        timestamp: Timestamp,
    },
    Broken(BoxError),
}

impl<K, V, KO, VO, VR, F, J> ResponseJoin<K, V, KO, VO, VR, F, J>
where
    V: 'static,
    KO: 'static,
    F: Fn(&K, &V) -> Result<Option<KO>, BoxError>,
    J: Fn(&V, Option<&VO>) -> Result<Option<VR>, BoxError>,
{
    /// What to do with an answer to the left row `key`, which is `row` now.
    fn answer(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        response: &Response<VO>,
    ) -> NodeResult<Option<Answer<KO, VR>>> {
        let (values, join, bytes) = (&self.values, &self.join, &mut self.bytes);
        let says_none = self.ask_again.as_ref().filter(|_| response.foreign_value.is_none());
        let mut answer = Answer::Stale;
        let read = self.left.read(context, key, &mut |row: RowRef<'_, V>| {
            let Some((value, timestamp)) = row else {
                // Without a left row there is no result, whatever the answer says.
                if response.hash.is_none() || says_none.is_some() {
                    answer = Answer::Result(None);
                }
                return;
            };
            bytes.clear();
            let hash = match values.serialize(value, bytes) {
                Ok(present) => present.then(|| hash128(bytes)),
                Err(error) => return answer = Answer::Broken(error.into()),
            };
            if response.hash == hash {
                answer = join(value, response.foreign_value.as_deref())
                    .map_or_else(Answer::Broken, Answer::Result);
            } else if let Some(says_none) = says_none {
                answer = match says_none.foreign_key(key, value) {
                    Ok(Some(foreign_key)) => Answer::Unsure { foreign_key, hash, timestamp },
                    Ok(None) => Answer::Result(None),
                    Err(error) => Answer::Broken(error),
                };
            }
        });
        match read {
            Ok(()) => Ok(Some(answer)),
            Err(cause) => context.read_failed(&self.name, cause).map(|()| None),
        }
    }
}

impl<K, KO: 'static, F> AskAgain<K, KO, F> {
    fn foreign_key<V>(&self, key: &K, value: &V) -> Result<Option<KO>, BoxError>
    where
        F: Fn(&K, &V) -> Result<Option<KO>, BoxError>,
    {
        let foreign_key = (self.foreign_key)(key, value)?;
        Ok(foreign_key.filter(|foreign_key| !self.foreign_null.is_null(foreign_key)))
    }
}

impl<K, V, KO, VO, VR, F, J> Push<K, Response<VO>> for ResponseJoin<K, V, KO, VO, VR, F, J>
where
    K: 'static,
    V: 'static,
    KO: 'static,
    VR: 'static,
    F: Fn(&K, &V) -> Result<Option<KO>, BoxError>,
    J: Fn(&V, Option<&VO>) -> Result<Option<VR>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Response<VO>>) -> NodeResult {
        let Some(answer) = self.answer(context, &record.key, &record.value)? else { return Ok(()) };
        match (answer, &mut self.ask_again) {
            (Answer::Result(result), _) => self.outputs.forward(context, record.with_value(result)),
            (Answer::Unsure { foreign_key, hash, timestamp }, Some(ask_again)) => {
                context.drop_record(&self.name, DropReason::StaleAnswer);
                let value = Subscription {
                    hash,
                    instruction: Instruction::PropagateNullIfNoFkValAvailable,
                    primary_key: record.key,
                    primary_partition: Some(context.task.partition),
                };
                let record = Record { key: Some(foreign_key), value, timestamp, headers: record.headers };
                ask_again.registration.push(context, record)
            }
            (Answer::Stale | Answer::Unsure { .. }, _) => {
                context.drop_record(&self.name, DropReason::StaleAnswer);
                Ok(())
            }
            (Answer::Broken(error), _) => context.processing_failed(&self.name, error),
        }
    }
}
