//! Typed keys and values to Kafka bytes and back.
//!
//! [`Serde`] is the trait, [`Auto`] the default: Java's layouts for the types that Java has, JSON for the rest.

mod auto;
mod null_probe;
mod primitives;

use std::sync::Arc;

use crate::format::FormatError;

pub use auto::Auto;
pub use primitives::{Json, Raw};

/// Why bytes could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SerdeError(pub String);

impl SerdeError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<FormatError> for SerdeError {
    fn from(error: FormatError) -> Self {
        SerdeError(error.to_string())
    }
}

/// Turns a `T` into the bytes of a Kafka key or value, and back.
///
/// `None` on the wire side is Kafka's null. A `T` that can be null (`Option<U>`, `()`) maps to it; all others
/// refuse null with an error, so that a null never turns into an empty value.
///
/// The bytes must be canonical: equal values give equal bytes. Stores and partitioning compare bytes.
pub trait Serde<T>: Send + Sync + 'static {
    /// Appends the bytes of `value` to `out`. Returns `false`, with nothing appended, if `value` is null.
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError>;

    /// Reads a value; `None` is null.
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError>;

    /// Whether `value` would be written as null.
    fn is_null(&self, _value: &T) -> bool {
        false
    }
}

/// A serde whose type is erased, shared by the nodes that use it.
pub type SerdeRef<T> = Arc<dyn Serde<T>>;
