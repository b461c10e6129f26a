//! What the right table of a foreign-key join answers to a subscriber: its value, for that state of the left row.
//!
//! ```text
//! | version 0, 0x80 set if there is no hash u8 | hash 2 x i64, if any | foreign value ... |
//! ```
//!
//! The hash is the subscription's: if the left row has changed since, the answer is stale and dropped. No value
//! bytes mean that there is no foreign value; an empty value cannot be told from null (so it is in Kafka Streams).

use super::FormatError;
use super::murmur3::Hash128;
use super::reader::Reader;
use super::subscription_wrapper::NO_HASH;

/// An answer; the record's key is the primary key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionResponse<'a> {
    /// The hash that the subscription came with.
    pub hash: Option<Hash128>,
    /// The foreign value; `None` if there is none, or if it is empty.
    pub foreign_value: Option<&'a [u8]>,
}

impl<'a> SubscriptionResponse<'a> {
    /// Appends the answer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self.hash {
            Some(hash) => {
                out.push(0);
                hash.encode(out);
            }
            None => out.push(NO_HASH),
        }
        out.extend_from_slice(self.foreign_value.unwrap_or_default());
    }

    /// Reads an answer of version 0, the only one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("foreign-key response", bytes);
        let first = reader.u8("version")?;
        let version = first & !NO_HASH;
        if version != 0 {
            return Err(reader.error(format!("version {version}, known is 0")));
        }
        let hash = if first & NO_HASH == 0 { Some(Hash128::read(&mut reader)?) } else { None };
        let foreign_value = Some(reader.rest()).filter(|value| !value.is_empty());
        Ok(Self { hash, foreign_value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_hash_and_value() {
        for (answer, expected) in [
            (SubscriptionResponse { hash: None, foreign_value: None }, vec![0x80]),
            (SubscriptionResponse { hash: None, foreign_value: Some(b"v") }, vec![0x80, b'v']),
            (SubscriptionResponse { hash: Some(Hash128(0, 0)), foreign_value: None }, vec![0; 17]),
        ] {
            let mut out = Vec::new();
            answer.encode(&mut out);
            assert_eq!(out, expected);
            assert_eq!(SubscriptionResponse::decode(&out).unwrap(), answer);
        }
        let problem = |bytes| SubscriptionResponse::decode(bytes).unwrap_err().problem;
        assert_eq!(problem(&[0x81, 0]), "version 1, known is 0");
        assert_eq!(problem(&[0, 1]), "first half of the hash needs 8 bytes, 1 are left");
    }
}
