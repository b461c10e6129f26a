//! Value of a header-aware key-value or window store (KIP-1271).
//!
//! ```text
//! | length varint | headers blob ... | timestamp i64 | value ... |
//! ```
//!
//! In the changelog timestamp and headers are the record's and the value stands alone.

use super::FormatError;
use super::headers;
use crate::types::{Headers, Timestamp};

/// A value, its time, and the headers of the record that set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueTimestampHeaders<'a> {
    /// Timestamp, ms.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> ValueTimestampHeaders<'a> {
    /// Appends the row value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        headers::encode_sized(&self.headers, out);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(self.value);
    }

    /// Reads a row value.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (headers, mut reader) = headers::decode_sized("value with timestamp and headers", bytes)?;
        Ok(Self { headers, timestamp: reader.i64("timestamp")?, value: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_then_timestamp_then_value() {
        let row = ValueTimestampHeaders { timestamp: 1, headers: Headers::EMPTY, value: b"v" };
        let mut out = Vec::new();
        row.encode(&mut out);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 0, 1, b'v']);
        assert_eq!(ValueTimestampHeaders::decode(&out).unwrap(), row);
        assert_eq!(
            ValueTimestampHeaders::decode(&[4, 0]).unwrap_err().problem,
            "headers needs 2 bytes, 1 are left"
        );
    }
}
