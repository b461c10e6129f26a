//! Key of the store that holds records of an outer or left join which found no partner yet.
//!
//! ```text
//! | timestamp i64 | side u8: 1 left, 0 right | key ... |
//! ```
//!
//! Sorted as bytes the rows are in order of time, right before left at the same time, then by key: the join relies
//! on it, it emits from the front.

use super::FormatError;
use super::reader::Reader;
use crate::types::Timestamp;

/// Which input of a join a record came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum JoinSide {
    /// The other stream. Sorts first, as in Kafka Streams.
    Right,
    /// The stream that `join` was called on.
    Left,
}

/// A record's time, its side of the join, and its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampedKeyAndJoinSide<'a> {
    /// Timestamp of the record, ms. Not negative in rows: the order of bytes is the order of time only then.
    pub timestamp: Timestamp,
    /// Which input it came from.
    pub side: JoinSide,
    /// Its key.
    pub key: &'a [u8],
}

impl<'a> TimestampedKeyAndJoinSide<'a> {
    /// Appends the row key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.push(u8::from(self.side == JoinSide::Left));
        out.extend_from_slice(self.key);
    }

    /// Reads a row key. As in Kafka Streams each side byte but 1 is the right side.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("key with timestamp and join side", bytes);
        let timestamp = reader.i64("timestamp")?;
        let side = if reader.u8("side")? == 1 { JoinSide::Left } else { JoinSide::Right };
        Ok(Self { timestamp, side, key: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_time_then_right_before_left() {
        let key = |timestamp, side, key| {
            let mut out = Vec::new();
            TimestampedKeyAndJoinSide { timestamp, side, key }.encode(&mut out);
            out
        };
        let sorted = [
            key(1, JoinSide::Right, b"b"),
            key(1, JoinSide::Left, b"a"),
            key(1, JoinSide::Left, b"b"),
            key(256, JoinSide::Right, b""),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(sorted[1], [0, 0, 0, 0, 0, 0, 0, 1, 1, b'a']);
        let read = TimestampedKeyAndJoinSide::decode(&sorted[2]).unwrap();
        assert_eq!(read, TimestampedKeyAndJoinSide { timestamp: 1, side: JoinSide::Left, key: b"b" });
        let error = TimestampedKeyAndJoinSide::decode(&sorted[2][..8]).unwrap_err();
        assert_eq!(error.problem, "side needs 1 bytes, 0 are left");
    }
}
