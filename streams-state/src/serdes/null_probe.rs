//! Finds out whether a value is null by asking its `Serialize` implementation, without writing anything.
//! For a type that is never `None` the answer folds to a constant.

use std::fmt;

use serde::ser::{Error, Impossible, Serialize, Serializer};

/// Whether `value` serializes as `None` or `()`.
pub(crate) fn is_null<T: Serialize + ?Sized>(value: &T) -> bool {
    matches!(value.serialize(NullProbe), Err(Answer::Null))
}

/// The probe's answer travels as the error, so that nothing is traversed.
#[derive(Debug)]
pub(crate) enum Answer {
    Null,
    Value,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer of the null probe")
    }
}

impl std::error::Error for Answer {}

impl Error for Answer {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Answer::Value
    }
}

struct NullProbe;

type Never = Impossible<(), Answer>;

macro_rules! value {
    ($($name:ident($($arg:ty),*) -> $out:ty;)*) => {
        $(#[inline] fn $name(self, $(_: $arg),*) -> Result<$out, Answer> { Err(Answer::Value) })*
    };
}

impl Serializer for NullProbe {
    type Ok = ();
    type Error = Answer;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    value! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> (); serialize_i16(i16) -> (); serialize_i32(i32) -> (); serialize_i64(i64) -> ();
        serialize_u8(u8) -> (); serialize_u16(u16) -> (); serialize_u32(u32) -> (); serialize_u64(u64) -> ();
        serialize_f32(f32) -> (); serialize_f64(f64) -> (); serialize_char(char) -> ();
        serialize_str(&str) -> (); serialize_bytes(&[u8]) -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn serialize_none(self) -> Result<(), Answer> {
        Err(Answer::Null)
    }
    fn serialize_unit(self) -> Result<(), Answer> {
        Err(Answer::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Answer> {
        Err(Answer::Value)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Answer> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Answer> {
        Err(Answer::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::is_null;

    #[test]
    fn tells_null_from_values() {
        assert!(is_null(&None::<String>));
        assert!(is_null(&()));
        assert!(!is_null(&Some("")));
        assert!(!is_null(&0_i64));
        assert!(!is_null(&Vec::<u8>::new()));
    }
}
