//! One waiting record of an outer or left join: which side, and its value.
//!
//! ```text
//! | side u8: 1 left, 0 right | value ... |
//! ```
//!
//! A null value has no such row: the whole element is null then, as in Kafka Streams.

use super::FormatError;
use super::reader::Reader;
use super::timestamped_key_and_join_side::JoinSide;

/// A value and the side of the join it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeftOrRightValue<'a> {
    /// Which input it came from.
    pub side: JoinSide,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> LeftOrRightValue<'a> {
    /// Appends the element.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.side == JoinSide::Left));
        out.extend_from_slice(self.value);
    }

    /// Reads an element. As in Kafka Streams each side byte but 1 is the right side; no bytes at all are null there,
    /// and refused here.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("value with join side", bytes);
        let side = if reader.u8("side")? == 1 { JoinSide::Left } else { JoinSide::Right };
        Ok(Self { side, value: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_is_the_first_byte() {
        let mut out = Vec::new();
        LeftOrRightValue { side: JoinSide::Left, value: b"v" }.encode(&mut out);
        assert_eq!(out, [1, b'v']);
        assert_eq!(
            LeftOrRightValue::decode(&[0]).unwrap(),
            LeftOrRightValue { side: JoinSide::Right, value: b"" }
        );
        assert!(LeftOrRightValue::decode(&[]).is_err());
    }
}
