//! The serde of `Option<T>` made from one of `T`: `None` is null.

use streams_state::serdes::{Serde, SerdeError, SerdeRef};

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

    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }
}
