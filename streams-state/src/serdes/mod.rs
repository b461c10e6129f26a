//! Typed keys and values to Kafka bytes and back.
//!
//! [`Serde`] is the trait, [`Auto`] the default: Java's layouts for the types that Java has, JSON for the rest.
//! Java's serdes are there under their names too: [`StringSerde`], [`LongSerde`], ... (a table is [here](named)),
//! [`ListSerde`], [`TimeWindowedSerde`], [`SessionWindowedSerde`].

mod auto;
mod charset;
mod error;
mod fixed;
mod given;
mod headers_aside;
mod list;
pub mod named;
mod null_probe;
mod primitives;
mod windowed;

use std::sync::Arc;

use crate::types::Headers;

pub use auto::Auto;
pub use charset::Charset;
pub use error::{SerdeError, SerdeErrorKind};
pub use given::Given;
pub use headers_aside::HeadersAside;
pub use list::ListSerde;
pub use named::{
    BooleanSerde, ByteArraySerde, DoubleSerde, FloatSerde, IntegerSerde, LongSerde, ShortSerde, StringSerde,
    UuidSerde, VoidSerde,
};
pub use primitives::{Json, Raw};
pub use windowed::{
    SessionWindowed, SessionWindowedSerde, SizedTimeWindowedSerde, TimeWindowed, TimeWindowedSerde,
};

/// Which part of a record a serde writes and reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
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

    /// The serde for `part` of the records of `topic`, asked when a task is made for each topic that it reads or writes and for
    /// the changelogs of its stores. `None`, the default: this one. For serdes that find their schema by the name of the topic.
    fn for_topic(&self, _topic: &str, _part: Part) -> Option<SerdeRef<T>> {
        None
    }

    /// [`serialize`](Self::serialize) for a record to be sent, whose headers the serde sees and may change.
    fn serialize_with_headers(
        &self,
        value: &T,
        _headers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<bool, SerdeError> {
        self.serialize(value, out)
    }

    /// [`deserialize`](Self::deserialize) for a record that was read, whose headers the serde sees.
    fn deserialize_with_headers(&self, bytes: Option<&[u8]>, _headers: &Headers) -> Result<T, SerdeError> {
        self.deserialize(bytes)
    }

    /// Whether `value` would be written as null.
    fn is_null(&self, _value: &T) -> bool {
        false
    }

    /// How many bytes every value has, if they are always as many and Java's list serde knows it. Lists of such
    /// values are written without lengths.
    fn constant_size(&self) -> Option<usize> {
        None
    }

    /// The part of the written key `bytes` that a `to()` chooses the partition by: all of them, or without the
    /// window for a windowed key.
    fn base_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes
    }
}

/// A serde whose type is erased, shared by the nodes that use it.
pub type SerdeRef<T> = Arc<dyn Serde<T>>;

/// `serde` as it is for `part` of the records of `topic`.
pub fn for_topic<T: 'static>(serde: &SerdeRef<T>, topic: &str, part: Part) -> SerdeRef<T> {
    serde.for_topic(topic, part).unwrap_or_else(|| serde.clone())
}

impl<T: 'static> Serde<T> for SerdeRef<T> {
    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<T>> {
        (**self).for_topic(topic, part)
    }
    fn serialize_with_headers(
        &self,
        value: &T,
        headers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<bool, SerdeError> {
        (**self).serialize_with_headers(value, headers, out)
    }
    fn deserialize_with_headers(&self, bytes: Option<&[u8]>, headers: &Headers) -> Result<T, SerdeError> {
        (**self).deserialize_with_headers(bytes, headers)
    }
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        (**self).serialize(value, out)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        (**self).deserialize(bytes)
    }
    fn is_null(&self, value: &T) -> bool {
        (**self).is_null(value)
    }
    fn constant_size(&self) -> Option<usize> {
        (**self).constant_size()
    }
    fn base_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        (**self).base_key(bytes)
    }
}
