//! The serdes that Java's `Serdes` class has, under their names: for topics that are shared with Java, where the
//! layout should be named and not follow from the type.
//!
//! | here | Java | type | bytes |
//! |---|---|---|---|
//! | [`StringSerde`] | `Serdes.String()` | `String` | text in a [`Charset`]; what cannot be read is replaced |
//! | [`ShortSerde`], [`IntegerSerde`], [`LongSerde`] | `Short()`, `Integer()`, `Long()` | `i16`, `i32`, `i64` | big-endian |
//! | [`FloatSerde`], [`DoubleSerde`] | `Float()`, `Double()` | `f32`, `f64` | big-endian IEEE bits; one NaN for `f64` |
//! | [`BooleanSerde`] | `Boolean()` | `bool` | one byte, 1 or 0 |
//! | [`UuidSerde`] | `UUID()` | `Uuid` | its text |
//! | [`ByteArraySerde`] | `ByteArray()`, `Bytes()`, `ByteBuffer()` | `Vec<u8>` | as they are |
//! | [`VoidSerde`] | `Void()` | `()` | null, and nothing else |
//!
//! All but the last serve `Option<T>` as well; `None` is null.

use uuid::Uuid;

use super::fixed::Fixed;
use super::{Charset, Serde, SerdeError};

/// The error for null where the type has none.
pub(super) fn null_refused(expected: &str) -> SerdeError {
    SerdeError::new(format!("null where {expected} was expected"))
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident, $type:ty, $words:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Serde<$type> for $name {
            #[inline]
            fn serialize(&self, value: &$type, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
                value.write(out);
                Ok(true)
            }
            #[inline]
            fn deserialize(&self, bytes: Option<&[u8]>) -> Result<$type, SerdeError> {
                <$type>::read(bytes.ok_or_else(|| null_refused($words))?)
            }
            fn constant_size(&self) -> Option<usize> {
                <$type>::SIZE
            }
        }

        impl Serde<Option<$type>> for $name {
            #[inline]
            fn serialize(&self, value: &Option<$type>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
                if let Some(value) = value {
                    value.write(out);
                }
                Ok(value.is_some())
            }
            #[inline]
            fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<$type>, SerdeError> {
                bytes.map(<$type>::read).transpose()
            }
            fn is_null(&self, value: &Option<$type>) -> bool {
                value.is_none()
            }
            fn constant_size(&self) -> Option<usize> {
                <$type>::SIZE
            }
        }
    )*};
}

named! {
    /// Java's `Serdes.Short()`: two bytes, big-endian.
    ShortSerde, i16, "an i16";
    /// Java's `Serdes.Integer()`: four bytes, big-endian.
    IntegerSerde, i32, "an i32";
    /// Java's `Serdes.Long()`: eight bytes, big-endian.
    LongSerde, i64, "an i64";
    /// Java's `Serdes.Float()`: the IEEE bits as they are, four bytes.
    FloatSerde, f32, "an f32";
    /// Java's `Serdes.Double()`: the IEEE bits, eight bytes; every NaN is written as the same one.
    DoubleSerde, f64, "an f64";
    /// Java's `Serdes.Boolean()`: one byte, 1 or 0.
    BooleanSerde, bool, "a bool";
    /// Java's `Serdes.UUID()`: the text, lower case. What `UUID.fromString` reads is read (`1-2-3-4-5`).
    UuidSerde, Uuid, "a UUID";
    /// Java's `Serdes.ByteArray()`, `Bytes()` and `ByteBuffer()`: the bytes as they are.
    ByteArraySerde, Vec<u8>, "bytes";
}

/// Java's `Serdes.String()`: text in a charset, UTF-8 by default.
///
/// Reading never fails: bytes that are no text become U+FFFD, as in Java. ([`Auto`](super::Auto) refuses them.)
/// Writing replaces characters that the charset lacks by `?`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringSerde {
    charset: Charset,
}

impl StringSerde {
    /// Text in `charset`: Java's `serializer.encoding` and `deserializer.encoding`.
    #[must_use]
    pub fn with_charset(charset: Charset) -> Self {
        Self { charset }
    }
}

impl Serde<String> for StringSerde {
    fn serialize(&self, value: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        self.charset.encode(value, out);
        Ok(true)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
        bytes.map(|bytes| self.charset.decode(bytes)).ok_or_else(|| null_refused("a String"))
    }
}

impl Serde<Option<String>> for StringSerde {
    fn serialize(&self, value: &Option<String>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if let Some(value) = value {
            self.charset.encode(value, out);
        }
        Ok(value.is_some())
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<String>, SerdeError> {
        Ok(bytes.map(|bytes| self.charset.decode(bytes)))
    }
    fn is_null(&self, value: &Option<String>) -> bool {
        value.is_none()
    }
}

/// Java's `Serdes.Void()`: always null. Bytes are refused. ([`Auto`](super::Auto) ignores them.)
#[derive(Clone, Copy, Debug, Default)]
pub struct VoidSerde;

impl Serde<()> for VoidSerde {
    fn serialize(&self, (): &(), _: &mut Vec<u8>) -> Result<bool, SerdeError> {
        Ok(false)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<(), SerdeError> {
        match bytes {
            None => Ok(()),
            Some(bytes) => Err(SerdeError::new(format!("{} bytes where only null is expected", bytes.len()))),
        }
    }
    fn is_null(&self, (): &()) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_only_for_option() {
        let error = Serde::<i64>::deserialize(&LongSerde, None).unwrap_err();
        assert_eq!(error.to_string(), "null where an i64 was expected");
        assert_eq!(Serde::<Option<i64>>::deserialize(&LongSerde, None).unwrap(), None);
        assert!(Serde::<String>::deserialize(&StringSerde::default(), None).is_err());
        assert!(VoidSerde.deserialize(None).is_ok() && VoidSerde.deserialize(Some(b"")).is_err());
    }

    #[test]
    fn text_in_a_charset() {
        let latin = StringSerde::with_charset(Charset::Iso88591);
        let mut out = Vec::new();
        latin.serialize(&"ß".to_owned(), &mut out).unwrap();
        assert_eq!(out, [0xdf]);
        let read: String = latin.deserialize(Some(&out)).unwrap();
        assert_eq!(read, "ß");
    }
}
