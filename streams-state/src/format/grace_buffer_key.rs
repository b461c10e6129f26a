//! Key of the buffer in which a stream-table join with a grace period keeps its stream's records.
//!
//! ```text
//! | 0 u8 | timestamp i64 | key ... | sequence number i32 |
//! ```
//!
//! Rows are in order of time; the number keeps apart records of the same key and time.

use super::FormatError;
use super::reader::Reader;
use crate::types::Timestamp;

/// A buffered record's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GraceBufferKey<'a> {
    /// Timestamp of the record, ms. Not negative: the order of bytes is the order of time only then.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: &'a [u8],
    /// Counts the records of the store, from 0.
    pub sequence: i32,
}

impl<'a> GraceBufferKey<'a> {
    /// Appends the row key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }

    /// Reads a row key.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        const LAYOUT: &str = "key of a grace period's buffer";
        let mut reader = Reader::new(LAYOUT, bytes);
        let prefix = reader.u8("prefix")?;
        if prefix != 0 {
            return Err(reader.error(format!("prefix {prefix}, not 0")));
        }
        let timestamp = reader.i64("timestamp")?;
        let sequence = reader.take_last("sequence number", 4)?;
        let sequence = Reader::new(LAYOUT, sequence).i32("sequence number")?;
        Ok(Self { timestamp, key: reader.rest(), sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first() {
        let key = GraceBufferKey { timestamp: 2, key: b"k", sequence: 3 };
        let mut out = Vec::new();
        key.encode(&mut out);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 0, 2, b'k', 0, 0, 0, 3]);
        assert_eq!(GraceBufferKey::decode(&out).unwrap(), key);
        let problem = |bytes| GraceBufferKey::decode(bytes).unwrap_err().problem;
        assert_eq!(problem(&out[..12]), "sequence number needs 4 bytes, 3 are left");
        assert_eq!(problem(&[1]), "prefix 1, not 0");
    }
}
