//! The serde of rows with headers where the headers are not part of the bytes: a changelog record carries them as its own.

use std::sync::Arc;

use super::{Part, Serde, SerdeError, SerdeRef};
use crate::types::{Headers, ValueAndHeaders};

/// Writes the value of a row only; what is read has no headers.
#[derive(Clone)]
pub struct HeadersAside<V>(pub SerdeRef<V>);

impl<V: 'static> Serde<ValueAndHeaders<V>> for HeadersAside<V> {
    fn serialize(&self, row: &ValueAndHeaders<V>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        self.0.serialize(&row.value, out)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<ValueAndHeaders<V>, SerdeError> {
        Ok(ValueAndHeaders { value: self.0.deserialize(bytes)?, headers: Headers::EMPTY })
    }

    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<ValueAndHeaders<V>>> {
        Some(Arc::new(Self(self.0.for_topic(topic, part)?)))
    }

    fn is_null(&self, row: &ValueAndHeaders<V>) -> bool {
        self.0.is_null(&row.value)
    }
}
