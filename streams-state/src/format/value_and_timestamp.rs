//! Value of a timestamped store: the DSL's tables and windows.
//!
//! ```text
//! | timestamp i64 | value ... |
//! ```
//!
//! In the changelog the timestamp is the record's and the value stands alone.

use super::FormatError;
use super::reader::Reader;
use crate::types::Timestamp;

/// A value and the time from which on it is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueAndTimestamp<'a> {
    /// Timestamp, ms.
    pub timestamp: Timestamp,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> ValueAndTimestamp<'a> {
    /// Appends the row value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(self.value);
    }

    /// Reads a row value.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("value with timestamp", bytes);
        Ok(Self { timestamp: reader.i64("timestamp")?, value: reader.rest() })
    }

    /// Whether `new` in place of `self` says nothing new: the same value, later. Such a write is skipped, so that the
    /// timestamp stays the one from which on the value is valid.
    #[must_use]
    pub fn same_value_and_time_increasing(&self, new: &Self) -> bool {
        self.value == new.value && new.timestamp > self.timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_first() {
        let row = ValueAndTimestamp { timestamp: -1, value: b"v" };
        let mut out = Vec::new();
        row.encode(&mut out);
        assert_eq!(out, [&[255; 8][..], b"v"].concat());
        assert_eq!(ValueAndTimestamp::decode(&out).unwrap(), row);
        assert_eq!(
            ValueAndTimestamp::decode(&out[..7]).unwrap_err().problem,
            "timestamp needs 8 bytes, 7 are left"
        );
        assert!(row.same_value_and_time_increasing(&ValueAndTimestamp { timestamp: 3, ..row }));
        assert!(!ValueAndTimestamp { timestamp: 3, ..row }.same_value_and_time_increasing(&row));
        assert!(!row.same_value_and_time_increasing(&row));
        assert!(!row.same_value_and_time_increasing(&ValueAndTimestamp { timestamp: 3, value: b"w" }));
    }
}
