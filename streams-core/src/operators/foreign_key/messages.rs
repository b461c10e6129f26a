//! What travels between the two sides of a foreign-key join, typed, and the serdes of the two internal topics.
//!
//! The byte layouts are Kafka Streams': `streams_state::format`. Nothing here knows a store or a topic.

use std::sync::Arc;

use streams_state::format::murmur3::Hash128;
use streams_state::format::subscription_response::SubscriptionResponse;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::serdes::{Serde, SerdeError, SerdeRef};
use streams_state::store::KeyValueStore;
use streams_state::types::ValueAndHeaders;

/// The store of subscriptions: combined key -> subscription, both as bytes
/// (`format::combined_key`, `format::subscription_wrapper`).
pub(crate) type SubscriptionStore = KeyValueStore<Vec<u8>, ValueAndHeaders<Vec<u8>>>;

/// A left row's interest in the foreign key that is the record's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Subscription<K> {
    /// Hash of the left value; `None` if the row was deleted.
    pub(crate) hash: Option<Hash128>,
    /// What the foreign side does with it.
    pub(crate) instruction: Instruction,
    /// Key of the left row.
    pub(crate) primary_key: K,
    /// Partition of the left row: where the answer goes. `None` from Kafka Streams up to 3.3.
    pub(crate) primary_partition: Option<i32>,
}

/// Values of the registration topic.
pub(crate) struct SubscriptionSerde<K>(pub(crate) SerdeRef<K>);

impl<K: 'static> Serde<Subscription<K>> for SubscriptionSerde<K> {
    fn serialize(&self, value: &Subscription<K>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        let mut primary_key = Vec::new();
        if !self.0.serialize(&value.primary_key, &mut primary_key)? {
            return Err(SerdeError::new("the primary key is null; a subscription needs one"));
        }
        SubscriptionWrapper {
            hash: value.hash,
            instruction: value.instruction,
            primary_key: &primary_key,
            primary_partition: value.primary_partition,
        }
        .encode(out);
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Subscription<K>, SerdeError> {
        let bytes = bytes.ok_or_else(|| SerdeError::new("null where a subscription was expected"))?;
        let SubscriptionWrapper { hash, instruction, primary_key, primary_partition } =
            SubscriptionWrapper::decode(bytes)?;
        let primary_key = self.0.deserialize(Some(primary_key))?;
        Ok(Subscription { hash, instruction, primary_key, primary_partition })
    }
}

/// The foreign side's answer to the left row that is the record's key.
#[derive(Debug)]
pub(crate) struct Response<VO> {
    /// The hash that the subscription came with.
    pub(crate) hash: Option<Hash128>,
    /// The foreign value, shared by the answers to all subscribers of its key.
    pub(crate) foreign_value: Option<Arc<VO>>,
    /// Where the answer goes. Not part of the bytes.
    pub(crate) primary_partition: Option<i32>,
}

/// Values of the response topic.
pub(crate) struct ResponseSerde<VO>(pub(crate) SerdeRef<VO>);

impl<VO: 'static> Serde<Response<VO>> for ResponseSerde<VO> {
    fn serialize(&self, value: &Response<VO>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        SubscriptionResponse { hash: value.hash, foreign_value: None }.encode(out);
        if let Some(foreign_value) = &value.foreign_value {
            // The foreign value is the tail of the layout; null and an empty value look the same.
            self.0.serialize(foreign_value, out)?;
        }
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Response<VO>, SerdeError> {
        let bytes = bytes.ok_or_else(|| SerdeError::new("null where an answer was expected"))?;
        let SubscriptionResponse { hash, foreign_value } = SubscriptionResponse::decode(bytes)?;
        let foreign_value = match foreign_value {
            Some(bytes) => Some(Arc::new(self.0.deserialize(Some(bytes))?)),
            None => None,
        };
        Ok(Response { hash, foreign_value, primary_partition: None })
    }
}
