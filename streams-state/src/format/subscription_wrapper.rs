//! What the left table of a foreign-key join tells the right one: subscribe to, or leave, a foreign key.
//!
//! ```text
//! | version, 0x80 set if there is no hash u8 | instruction u8 | hash 2 x i64, if any | primary key ... | partition i32 |
//! ```
//!
//! The partition of the primary key's record is the place that the answer must go to; version 0 lacks it.
//! Kafka Streams up to 3.3 knows version 0 only: while `upgrade.from` names such a version, version 0 is written.
//! The same bytes, behind a timestamp, are the value of the subscription store.

use super::FormatError;
use super::murmur3::Hash128;
use super::reader::Reader;

const LAYOUT: &str = "foreign-key subscription";
pub(super) const NO_HASH: u8 = 0x80;

/// What the right side does with a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instruction {
    /// Forget the subscription, answer nothing.
    DeleteKeyNoPropagate,
    /// Forget the subscription, answer null.
    DeleteKeyAndPropagate,
    /// Subscribe; answer the foreign value, or null if there is none.
    PropagateNullIfNoFkValAvailable,
    /// Subscribe; answer the foreign value only if there is one.
    PropagateOnlyIfFkValAvailable,
}

impl Instruction {
    /// All instructions, at the index that is their byte.
    pub const ALL: [Instruction; 4] = [
        Instruction::DeleteKeyNoPropagate,
        Instruction::DeleteKeyAndPropagate,
        Instruction::PropagateNullIfNoFkValAvailable,
        Instruction::PropagateOnlyIfFkValAvailable,
    ];

    /// The byte that stands for it.
    pub fn byte(self) -> u8 {
        self as u8
    }
}

/// A subscription of a primary key to a foreign key; the foreign key is the record's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionWrapper<'a> {
    /// Murmur3 of the left value's bytes; `None` if that value is null.
    pub hash: Option<Hash128>,
    /// What to do.
    pub instruction: Instruction,
    /// The primary key.
    pub primary_key: &'a [u8],
    /// Partition of the left record. `None` is version 0, as read from an older application.
    pub primary_partition: Option<i32>,
}

impl<'a> SubscriptionWrapper<'a> {
    /// Appends the subscription: version 1, or 0 where the partition is not known.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_common(u8::from(self.primary_partition.is_some()), out);
        if let Some(partition) = self.primary_partition {
            out.extend_from_slice(&partition.to_be_bytes());
        }
    }

    /// Appends the subscription so that Kafka Streams up to 3.3 reads it: version 0, without the partition.
    pub fn encode_for_3_3(&self, out: &mut Vec<u8>) {
        self.encode_common(0, out);
    }

    fn encode_common(&self, version: u8, out: &mut Vec<u8>) {
        out.push(version | if self.hash.is_none() { NO_HASH } else { 0 });
        out.push(self.instruction.byte());
        if let Some(hash) = self.hash {
            hash.encode(out);
        }
        out.extend_from_slice(self.primary_key);
    }

    /// Reads a subscription of version 0 or 1.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let first = reader.u8("version")?;
        let version = first & !NO_HASH;
        if version > 1 {
            return Err(reader.error(format!("version {version}, known are 0 and 1")));
        }
        let byte = reader.u8("instruction")?;
        let Some(instruction) = Instruction::ALL.get(usize::from(byte)).copied() else {
            return Err(reader.error(format!("instruction {byte}, known are 0 to 3")));
        };
        let hash = if first & NO_HASH == 0 { Some(Hash128::read(&mut reader)?) } else { None };
        let primary_partition = match version {
            0 => None,
            _ => {
                let tail = reader.take_last("partition", 4)?;
                Some(Reader::new(LAYOUT, tail).i32("partition")?)
            }
        };
        Ok(Self { hash, instruction, primary_key: reader.rest(), primary_partition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_with_and_without_hash() {
        let full = SubscriptionWrapper {
            hash: Some(Hash128(1, -1)),
            instruction: Instruction::PropagateOnlyIfFkValAvailable,
            primary_key: b"pk",
            primary_partition: Some(5),
        };
        let mut out = Vec::new();
        full.encode(&mut out);
        assert_eq!(out, [&[1, 3, 0, 0, 0, 0, 0, 0, 0, 1][..], &[255; 8], b"pk", &[0, 0, 0, 5]].concat());
        assert_eq!(SubscriptionWrapper::decode(&out).unwrap(), full);
        out.clear();
        let bare = SubscriptionWrapper { hash: None, primary_partition: None, ..full };
        SubscriptionWrapper { primary_partition: Some(5), ..bare }.encode_for_3_3(&mut out);
        assert_eq!(out, [0x80, 3, b'p', b'k']);
        assert_eq!(SubscriptionWrapper::decode(&out).unwrap(), bare);
    }

    #[test]
    fn refuses_nonsense() {
        let problem = |bytes| SubscriptionWrapper::decode(bytes).unwrap_err().problem;
        assert_eq!(problem(&[]), "version needs 1 bytes, 0 are left");
        assert_eq!(problem(&[2, 0]), "version 2, known are 0 and 1");
        assert_eq!(problem(&[0x80, 9]), "instruction 9, known are 0 to 3");
        assert_eq!(problem(&[0x81, 0]), "partition needs 4 bytes, 0 are left");
        assert_eq!(problem(&[1, 0, 1, 2]), "first half of the hash needs 8 bytes, 2 are left");
    }
}
