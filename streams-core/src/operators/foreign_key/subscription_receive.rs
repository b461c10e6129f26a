//! Foreign side: keeps who is subscribed to which foreign key, and passes each subscription on to be answered.
//!
//! The store's rows are ordered by foreign key, then primary key, so that all subscribers of a foreign key are found
//! by one prefix scan. A subscription without a foreign key is passed on if it wants an answer, but never kept; if it
//! wants none it is dropped and counted.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::format::combined_key::CombinedKey;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::serdes::{SerdeError, SerdeRef};
use streams_state::types::{Headers, ValueAndHeaders};

use super::{Subscription, SubscriptionStore};
use crate::error::NodeResult;
use crate::operators::update_context;
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Keeps subscriptions of rows keyed by `K` to rows keyed by `KO`.
pub(crate) struct SubscriptionReceive<K, KO> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) foreign_keys: SerdeRef<KO>,
    pub(crate) store: Rc<RefCell<SubscriptionStore>>,
    pub(crate) combined: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outputs: Outputs<Option<KO>, Subscription<K>>,
}

impl<K: 'static, KO: 'static> SubscriptionReceive<K, KO> {
    /// Key and value of the row in `combined` and the result; no value: the row is deleted.
    fn encode(
        &mut self,
        foreign_key: &KO,
        subscription: &Subscription<K>,
    ) -> Result<Option<Vec<u8>>, SerdeError> {
        self.bytes.clear();
        self.foreign_keys.serialize(foreign_key, &mut self.bytes)?;
        let end = self.bytes.len();
        self.keys.serialize(&subscription.primary_key, &mut self.bytes)?;
        let (foreign_key, primary_key) = self.bytes.split_at(end);
        self.combined.clear();
        CombinedKey { foreign_key, primary_key }.encode(&mut self.combined);
        let Subscription { hash, instruction, primary_partition, .. } = *subscription;
        Ok(match instruction {
            Instruction::DeleteKeyNoPropagate | Instruction::DeleteKeyAndPropagate => None,
            Instruction::PropagateNullIfNoFkValAvailable | Instruction::PropagateOnlyIfFkValAvailable => {
                let mut value = Vec::with_capacity(22 + primary_key.len());
                SubscriptionWrapper { hash, instruction, primary_key, primary_partition }.encode(&mut value);
                Some(value)
            }
        })
    }
}

impl<K: 'static, KO: 'static> Push<Option<KO>, Subscription<K>> for SubscriptionReceive<K, KO> {
    fn push(&mut self, context: &mut TaskContext, record: Record<Option<KO>, Subscription<K>>) -> NodeResult {
        let Some(foreign_key) = &record.key else {
            if record.value.instruction != Instruction::PropagateNullIfNoFkValAvailable {
                context.drop_record(&self.name, DropReason::NullForeignKey);
                return Ok(());
            }
            return self.outputs.forward(context, record);
        };
        let row = match self.encode(foreign_key, &record.value) {
            Ok(row) => row,
            Err(error) => return context.processing_failed(&self.name, error.into()),
        };
        let update = update_context(context, &record);
        let mut store = self.store.borrow_mut();
        let headers = if store.keeps_headers() { record.headers.clone() } else { Headers::EMPTY };
        let row = row.map(|value| ValueAndHeaders { value, headers });
        let put = store.put(&self.combined, row, record.timestamp, &update);
        drop(store);
        put.map_err(|error| context.state_error(&self.name, error))?;
        self.outputs.forward(context, record)
    }
}
