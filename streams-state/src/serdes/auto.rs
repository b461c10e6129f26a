//! The default serde: Java's layout where Java has the type, JSON through serde elsewhere.

use std::any::{Any, TypeId};

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::fixed::Fixed;
use super::{Json, Serde, SerdeError, null_probe};

/// The serde that is used where none is named.
///
/// | type | bytes | Java's serde |
/// |---|---|---|
/// | `String` | UTF-8 | `StringSerializer` |
/// | `Vec<u8>` | as they are | `ByteArraySerializer` |
/// | `i16`, `i32`, `i64` | big-endian | `Short`-, `Integer`-, `LongSerializer` |
/// | `f32`, `f64` | big-endian IEEE bits, one NaN for `f64` | `Float`-, `DoubleSerializer` |
/// | `bool` | one byte, 1 or 0 | `BooleanSerializer` |
/// | `Uuid` | its text, 36 characters | `UUIDSerializer` |
/// | `()` | null; anything is accepted and ignored | `VoidSerializer` |
/// | `Option<U>` of these | null or as `U` | null |
/// | everything else | JSON | - |
#[derive(Clone, Copy, Debug, Default)]
pub struct Auto;

/// `value` as an `A`, if that is what it is. Folds away once `T` is known.
#[inline]
fn cast<T: 'static, A: 'static>(value: &T) -> Option<&A> {
    (value as &dyn Any).downcast_ref::<A>()
}

/// `value`, which is an `A`, as the `T` that it is known to be.
#[inline]
fn back<A: 'static, T: 'static>(value: A) -> Result<T, SerdeError> {
    let mut slot = Some(value);
    (&mut slot as &mut dyn Any)
        .downcast_mut::<Option<T>>()
        .and_then(Option::take)
        .ok_or_else(|| SerdeError::new("types were compared before"))
}

macro_rules! fixed_layouts {
    ($($type:ty),*) => {
        #[inline]
        fn write_fixed<T: 'static>(value: &T, out: &mut Vec<u8>) -> Option<bool> {
            $(
                if let Some(value) = cast::<T, $type>(value) {
                    value.write(out);
                    return Some(true);
                }
                if let Some(value) = cast::<T, Option<$type>>(value) {
                    return Some(value.as_ref().map(|value| value.write(out)).is_some());
                }
            )*
            None
        }

        #[inline]
        fn read_fixed<T: 'static>(bytes: Option<&[u8]>) -> Option<Result<T, SerdeError>> {
            let wanted = TypeId::of::<T>();
            $(
                if wanted == TypeId::of::<$type>() {
                    return Some(match bytes {
                        Some(bytes) => <$type>::read(bytes).and_then(back),
                        None => Err(SerdeError::new(concat!("null where a ", stringify!($type), " was expected").to_owned())),
                    });
                }
                if wanted == TypeId::of::<Option<$type>>() {
                    return Some(bytes.map(<$type>::read).transpose().and_then(back));
                }
            )*
            None
        }

        fn fixed_size<T: 'static>() -> Option<usize> {
            let wanted = TypeId::of::<T>();
            $(
                if wanted == TypeId::of::<$type>() || wanted == TypeId::of::<Option<$type>>() {
                    return <$type>::SIZE;
                }
            )*
            None
        }
    };
}
fixed_layouts!(String, i64, Vec<u8>, i32, i16, f64, f32, bool, Uuid);

impl<T: Serialize + DeserializeOwned + 'static> Serde<T> for Auto {
    #[inline]
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        match write_fixed(value, out) {
            Some(present) => Ok(present),
            None => Json.serialize(value, out),
        }
    }

    #[inline]
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return back(());
        }
        match read_fixed(bytes) {
            Some(value) => value,
            None => Json.deserialize(bytes),
        }
    }

    #[inline]
    fn is_null(&self, value: &T) -> bool {
        null_probe::is_null(value)
    }

    fn constant_size(&self) -> Option<usize> {
        fixed_size::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(value: T, expected: Option<&[u8]>)
    where
        T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + 'static,
    {
        let mut out = Vec::new();
        let present = Auto.serialize(&value, &mut out).unwrap();
        assert_eq!(present.then_some(out.as_slice()), expected, "{value:?}");
        assert_eq!(Serde::<T>::is_null(&Auto, &value), expected.is_none());
        let read: T = Auto.deserialize(expected).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn writes_javas_layouts_and_json() {
        check("héllo".to_owned(), Some("héllo".as_bytes()));
        check(258_i64, Some(&[0, 0, 0, 0, 0, 0, 1, 2]));
        check(-2_i32, Some(&[0xff, 0xff, 0xff, 0xfe]));
        check(1.5_f64, Some(&1.5_f64.to_be_bytes()));
        check(true, Some(&[1]));
        check(vec![1_u8, 2], Some(&[1, 2]));
        check((), None);
        check(None::<String>, None);
        check(Some(String::new()), Some(b""));
        check(Some(7_i64), Some(&7_i64.to_be_bytes()));
        let uuid = Uuid::from_u128(0xa1b2);
        check(uuid, Some(b"00000000-0000-0000-0000-00000000a1b2"));
        check(vec!["a".to_owned()], Some(br#"["a"]"#));
        check(None::<Vec<i32>>, None);
    }

    /// Regression: serde_json read floats only about, so that an aggregate was another one after it came back from its changelog.
    #[test]
    fn floats_in_json_come_back_to_the_last_bit() {
        check(vec![123_456_789.123_456_79_f64], Some(b"[123456789.12345679]"));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let short: Result<i64, _> = Auto.deserialize(Some(&[1, 2]));
        assert_eq!(short.unwrap_err().to_string(), "2 bytes where i64 has 8");
        let null: Result<String, _> = Auto.deserialize(None);
        assert_eq!(null.unwrap_err().to_string(), "null where a String was expected");
        let text: Result<String, _> = Auto.deserialize(Some(&[0xff]));
        assert!(text.unwrap_err().to_string().starts_with("not UTF-8"));
    }
}
