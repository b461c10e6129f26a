//! Foreign side: tells each change of a foreign row to all rows that are subscribed to its key.
//!
//! The subscribers are found by one prefix scan of the subscription store. Time and headers of the answers are those
//! of the change. An update that came out of order to a versioned table is dropped and counted.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::format::combined_key;
use streams_state::format::murmur3::Hash128;
use streams_state::format::subscription_wrapper::SubscriptionWrapper;
use streams_state::serdes::{SerdeError, SerdeRef};
use streams_state::types::Change;

use super::{Response, SubscriptionStore};
use crate::error::NodeResult;
use crate::operators::NullCheck;
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Tells changes of the foreign table of `KO, VO` to rows keyed by `K`.
pub(crate) struct ForeignTableJoin<K, KO, VO> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) foreign_keys: SerdeRef<KO>,
    pub(crate) foreign_null: NullCheck<KO>,
    /// The foreign table is versioned: what came out of order has not changed the row of today.
    pub(crate) versioned: bool,
    pub(crate) store: Rc<RefCell<SubscriptionStore>>,
    /// Subscribers of the key in work: found first, told then.
    pub(crate) subscribers: Vec<Subscriber<K>>,
    pub(crate) outputs: Outputs<K, Response<VO>>,
}

/// Who is told, and what must come with it.
pub(crate) struct Subscriber<K> {
    key: K,
    hash: Option<Hash128>,
    partition: Option<i32>,
}

impl<K: 'static, KO: 'static, VO> ForeignTableJoin<K, KO, VO> {
    /// Collects the subscribers of `foreign_key` into `self.subscribers`.
    fn find(&mut self, context: &mut TaskContext, foreign_key: &KO) -> NodeResult<Result<(), SerdeError>> {
        let mut bytes = Vec::new();
        if let Err(error) = self.foreign_keys.serialize(foreign_key, &mut bytes) {
            return Ok(Err(error));
        }
        let mut prefix = Vec::with_capacity(4 + bytes.len());
        combined_key::prefix(&bytes, &mut prefix);
        let (keys, subscribers) = (&self.keys, &mut self.subscribers);
        let mut found = Ok(());
        let scanned = self.store.borrow_mut().prefix_scan(&prefix, &mut |_, row, _| {
            match subscriber(keys, &row.value) {
                Ok(subscriber) => subscribers.push(subscriber),
                Err(error) => {
                    found = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        scanned.map_err(|error| context.state_error(&self.name, error))?;
        Ok(found)
    }
}

fn subscriber<K: 'static>(keys: &SerdeRef<K>, row: &[u8]) -> Result<Subscriber<K>, SerdeError> {
    let SubscriptionWrapper { hash, primary_key, primary_partition, .. } = SubscriptionWrapper::decode(row)?;
    Ok(Subscriber { key: keys.deserialize(Some(primary_key))?, hash, partition: primary_partition })
}

impl<K: 'static, KO: 'static, VO: 'static> Push<KO, Change<VO>> for ForeignTableJoin<K, KO, VO> {
    fn push(&mut self, context: &mut TaskContext, record: Record<KO, Change<VO>>) -> NodeResult {
        let Record { key: foreign_key, value: change, timestamp, headers } = record;
        if self.foreign_null.is_null(&foreign_key) {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        if self.versioned && !change.is_latest {
            context.drop_record(&self.name, DropReason::Late);
            return Ok(());
        }
        self.subscribers.clear();
        if let Err(error) = self.find(context, &foreign_key)? {
            return context.processing_failed(&self.name, error.into());
        }
        let foreign_value = change.new.map(Arc::new);
        for Subscriber { key, hash, partition } in self.subscribers.drain(..) {
            let value = Response { hash, foreign_value: foreign_value.clone(), primary_partition: partition };
            self.outputs.forward(context, Record { key, value, timestamp, headers: headers.clone() })?;
        }
        Ok(())
    }
}
