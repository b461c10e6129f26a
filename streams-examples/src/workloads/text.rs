//! Types that are text in Kafka: their `Display` form.

use std::fmt::{self, Display, Write};
use std::str::FromStr;

use kstreams::prelude::*;

/// Serde of types with a text form: `Display` writes it, `FromStr` reads it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text;

impl<T: Display + FromStr<Err = String> + 'static> Serde<T> for Text {
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        write!(Utf8(out), "{value}").map_err(|error| SerdeError::new(error.to_string()))?;
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        let bytes = bytes.ok_or_else(|| SerdeError::new("null where text was expected"))?;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| SerdeError::new(format!("not UTF-8 text: {error}")))?;
        text.parse().map_err(SerdeError::new)
    }
}

/// Text that is appended to bytes.
struct Utf8<'a>(&'a mut Vec<u8>);

impl Write for Utf8<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The `N` fields of a comma-separated text.
pub(super) fn fields<const N: usize>(text: &str) -> Result<[&str; N], String> {
    let fields: Vec<&str> = text.split(',').collect();
    fields.try_into().map_err(|_| format!("`{text}` does not have {N} fields"))
}

/// A decimal number; nothing at all is 0.
pub(super) fn number(text: &str) -> Result<i64, String> {
    match text {
        "" => Ok(0),
        text => text.parse().map_err(|_| format!("`{text}` is not a number")),
    }
}
