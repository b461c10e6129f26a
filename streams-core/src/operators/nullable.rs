//! The serde of `Option<T>` made from one of `T`: `None` is null.

use std::sync::Arc;

use streams_state::serdes::{Part, Serde, SerdeError, SerdeRef};
use streams_state::types::Headers;

/// Adds null to a serde.
pub(crate) struct Nullable<T>(pub(crate) SerdeRef<T>);

impl<T: 'static> Serde<Option<T>> for Nullable<T> {
    fn serialize(&self, value: &Option<T>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        match value {
            Some(value) => self.0.serialize(value, out),
            None => Ok(false),
        }
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<T>, SerdeError> {
        match bytes {
            Some(bytes) => self.0.deserialize(Some(bytes)).map(Some),
            None => Ok(None),
        }
    }

    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Option<T>>> {
        Some(Arc::new(Self(self.0.for_topic(topic, part)?)))
    }

    fn serialize_with_headers(
        &self,
        value: &Option<T>,
        headers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<bool, SerdeError> {
        value.as_ref().map_or(Ok(false), |value| self.0.serialize_with_headers(value, headers, out))
    }

    fn deserialize_with_headers(
        &self,
        bytes: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<Option<T>, SerdeError> {
        bytes.map(|bytes| self.0.deserialize_with_headers(Some(bytes), headers)).transpose()
    }

    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }
}
