//! From a changelog record to the row of a store: what a restore puts in front of the value.
//!
//! ```text
//! plain            | value ... |
//! timestamped      | timestamp i64 | value ... |
//! headers          | length varint | headers ... | timestamp i64 | value ... |
//! session headers  | length varint | headers ... | value ... |
//! ```
//!
//! The changelog is the same for all of them, so a store can be rebuilt in another form.

use super::headers;
use crate::types::{Headers, Timestamp};

/// The form of a store's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowForm {
    /// The value alone.
    Plain,
    /// Timestamp and value.
    Timestamped,
    /// Headers, timestamp and value.
    Headers,
    /// Headers and the aggregate of a session.
    SessionHeaders,
}

/// The row value that the changelog record `(value, timestamp, headers)` restores; `None` deletes the row.
#[must_use]
pub fn to_row(
    form: RowForm,
    value: Option<&[u8]>,
    timestamp: Timestamp,
    record_headers: &Headers,
) -> Option<Vec<u8>> {
    let value = value?;
    let mut row = Vec::with_capacity(value.len() + size_of::<Timestamp>() + 1);
    match form {
        RowForm::Plain => {}
        RowForm::Timestamped => row.extend_from_slice(&timestamp.to_be_bytes()),
        RowForm::Headers => {
            headers::encode_sized(record_headers, &mut row);
            row.extend_from_slice(&timestamp.to_be_bytes());
        }
        RowForm::SessionHeaders => headers::encode_sized(record_headers, &mut row),
    }
    row.extend_from_slice(value);
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_forms() {
        let row = |form| to_row(form, Some(b"v"), 1, &Headers::EMPTY).unwrap();
        assert_eq!(row(RowForm::Plain), b"v");
        assert_eq!(row(RowForm::Timestamped), b"\0\0\0\0\0\0\0\x01v");
        assert_eq!(row(RowForm::Headers), b"\0\0\0\0\0\0\0\0\x01v");
        assert_eq!(row(RowForm::SessionHeaders), b"\0v");
        assert_eq!(to_row(RowForm::Headers, None, 1, &Headers::EMPTY), None);
    }
}
