//! Key of the subscription store of a foreign-key join: the foreign key, then the primary key.
//!
//! ```text
//! | length of the foreign key i32 | foreign key ... | primary key ... |
//! ```
//!
//! All subscribers of a foreign key are the rows that start with length and foreign key ([`prefix`]).

use super::FormatError;
use super::reader::Reader;

/// A foreign key and a primary key that is subscribed to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CombinedKey<'a> {
    /// Key of the right table.
    pub foreign_key: &'a [u8],
    /// Key of the left table.
    pub primary_key: &'a [u8],
}

/// Appends what the rows of all subscribers of `foreign_key` start with.
pub fn prefix(foreign_key: &[u8], out: &mut Vec<u8>) {
    // A record's key is far below 2 GiB: Kafka's own length of it is an i32.
    out.extend_from_slice(&(foreign_key.len() as i32).to_be_bytes());
    out.extend_from_slice(foreign_key);
}

impl<'a> CombinedKey<'a> {
    /// Appends the row key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        prefix(self.foreign_key, out);
        out.extend_from_slice(self.primary_key);
    }

    /// Reads a row key.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("foreign-key subscription key", bytes);
        let length = reader.length("length of the foreign key")?;
        let foreign_key = reader.take("foreign key", length)?;
        Ok(Self { foreign_key, primary_key: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_key_first() {
        let key = CombinedKey { foreign_key: b"fk", primary_key: b"p" };
        let mut out = Vec::new();
        key.encode(&mut out);
        assert_eq!(out, b"\0\0\0\x02fkp");
        assert_eq!(CombinedKey::decode(&out).unwrap(), key);
        assert_eq!(
            CombinedKey::decode(&out[..5]).unwrap_err().problem,
            "foreign key needs 2 bytes, 1 are left"
        );
    }
}
