//! How far a store has followed its input topics (interactive queries wait for it).
//!
//! ```text
//! | version 0 u8 | topics i32 | ( length i32 | topic UTF-8 ... | partitions i32 | ( partition i32 | offset i64 )* )* |
//! ```
//!
//! Kafka Streams sizes the array in bits by mistake, so that zeros follow wherever it takes the array as a whole
//! ([`Position::encode_as_array`]). Readers ignore them.

use super::FormatError;
use super::reader::Reader;

/// Offsets by topic and partition, in the order in which they are written.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Position(pub Vec<(String, Vec<(i32, i64)>)>);

impl Position {
    /// Appends the position without the zeros.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let number = |n: usize| (n as i32).to_be_bytes();
        out.push(0);
        out.extend_from_slice(&number(self.0.len()));
        for (topic, offsets) in &self.0 {
            out.extend_from_slice(&number(topic.len()));
            out.extend_from_slice(topic.as_bytes());
            out.extend_from_slice(&number(offsets.len()));
            for (partition, offset) in offsets {
                out.extend_from_slice(&partition.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
            }
        }
    }

    /// Appends the position with the zeros that Kafka Streams lets follow.
    pub fn encode_as_array(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.encode(out);
        let topics = self.0.iter().map(|(topic, offsets)| 32 + topic.len() + 32 + (32 + 64) * offsets.len());
        out.resize(start + 8 + 32 + topics.sum::<usize>(), 0);
    }

    /// Reads a position of version 0. What follows it is ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("position", bytes);
        let version = reader.u8("version")?;
        if version != 0 {
            return Err(reader.error(format!("version {version}, known is 0")));
        }
        // A topic takes eight bytes at least and a partition twelve, so a false count cannot ask for much.
        let count = reader.length("number of topics")?;
        let mut topics = Vec::with_capacity(count.min(reader.left() / 8));
        for _ in 0..count {
            let length = reader.length("length of a topic")?;
            let topic = String::from_utf8_lossy(reader.take("topic", length)?).into_owned();
            let count = reader.length("number of partitions")?;
            let mut offsets = Vec::with_capacity(count.min(reader.left() / 12));
            for _ in 0..count {
                offsets.push((reader.i32("partition")?, reader.i64("offset")?));
            }
            topics.push((topic, offsets));
        }
        Ok(Self(topics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_zeros() {
        let position = Position(vec![("t".to_owned(), vec![(0, 5)])]);
        let mut out = Vec::new();
        position.encode(&mut out);
        assert_eq!(out, b"\0\0\0\0\x01\0\0\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x05");
        let mut array = Vec::new();
        position.encode_as_array(&mut array);
        assert!(array.starts_with(&out) && array.len() == 8 + 32 + 32 + 1 + 32 + 96);
        assert_eq!(Position::decode(&array).unwrap(), position);
        assert_eq!(Position::decode(&[1]).unwrap_err().problem, "version 1, known is 0");
        assert_eq!(
            Position::decode(&[0, 127, 0, 0, 0]).unwrap_err().problem,
            "length of a topic needs 4 bytes, 0 are left"
        );
    }
}
