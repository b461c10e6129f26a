//! Foreign side: answers a subscription at once, with the foreign row as it is now.
//!
//! Time of the answer: that of the subscription, or of the foreign row if that is later. What is answered, if at all,
//! the subscription says; the operator does not know whether the join is inner or left.

use std::sync::Arc;

use streams_state::format::subscription_wrapper::Instruction;
use streams_state::types::Timestamp;

use super::{Response, Subscription};
use crate::error::NodeResult;
use crate::operators::{BoxGetter, RowRef};
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// Answers subscriptions of rows keyed by `K` to the foreign table of `KO, VO`.
pub(crate) struct SubscriptionJoin<K, KO, VO> {
    pub(crate) name: Arc<str>,
    pub(crate) foreign: BoxGetter<KO, VO>,
    pub(crate) outputs: Outputs<K, Response<VO>>,
}

impl<K: 'static, KO: 'static, VO: Clone + 'static> Push<Option<KO>, Subscription<K>>
    for SubscriptionJoin<K, KO, VO>
{
    fn push(&mut self, context: &mut TaskContext, record: Record<Option<KO>, Subscription<K>>) -> NodeResult {
        let Record { key: foreign_key, value: subscription, timestamp, headers } = record;
        let Subscription { hash, instruction, primary_key, primary_partition } = subscription;
        let wants_value = match instruction {
            Instruction::DeleteKeyNoPropagate => return Ok(()),
            Instruction::DeleteKeyAndPropagate => false,
            Instruction::PropagateNullIfNoFkValAvailable | Instruction::PropagateOnlyIfFkValAvailable => true,
        };
        let mut found: Option<(Option<Arc<VO>>, Timestamp)> = None;
        if let Some(foreign_key) = &foreign_key {
            let read = self.foreign.read(context, foreign_key, &mut |row: RowRef<'_, VO>| {
                found = row.map(|(value, time)| (wants_value.then(|| Arc::new(value.clone())), time));
            });
            if let Err(cause) = read {
                return context.read_failed(&self.name, cause);
            }
        }
        if found.is_none() && instruction == Instruction::PropagateOnlyIfFkValAvailable {
            return Ok(());
        }
        let (foreign_value, timestamp) = match found {
            Some((value, time)) => (value, timestamp.max(time)),
            None => (None, timestamp),
        };
        let value = Response { hash, foreign_value, primary_partition };
        self.outputs.forward(context, Record { key: primary_key, value, timestamp, headers })
    }
}
