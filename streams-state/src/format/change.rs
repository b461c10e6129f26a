//! A table's update in a repartition topic: the value before, after, or both.
//!
//! ```text
//! | old ...                       | 0 |      row removed
//! | new ...                       | 1 |      row appeared
//! | varint length | new ... | old ... | 2 |  row changed, key kept
//! the same with `is latest` u8 (0 or 1) before the flag, flags 3, 4, 5: read, never written
//! ```
//!
//! Kafka Streams up to 3.4 does not know flag 2. While `upgrade.from` names such a version an update with both
//! values must go out as two records, the old one first ([`Change::encode_for_3_4`] refuses both in one).

use super::FormatError;
use super::reader::Reader;
use super::varint;

const LAYOUT: &str = "change of a table";

/// The bytes of a value before and after an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    /// The value before, if there was one and it is told.
    pub old: Option<&'a [u8]>,
    /// The value after; `None` removes the row.
    pub new: Option<&'a [u8]>,
    /// False only for an update of a versioned table that came too late to be its latest value. Not written.
    pub is_latest: bool,
}

impl<'a> Change<'a> {
    /// Appends the update. At least one value must be there.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        match (self.old, self.new) {
            (Some(old), Some(new)) => {
                let length = i32::try_from(new.len())
                    .map_err(|_| FormatError::new(LAYOUT, format!("new value of {} bytes", new.len())))?;
                varint::write(length, out);
                out.extend_from_slice(new);
                out.extend_from_slice(old);
                out.push(2);
                Ok(())
            }
            (old, new) => Self { old, new, ..*self }.encode_for_3_4(out),
        }
    }

    /// Appends the update so that Kafka Streams up to 3.4 reads it: exactly one of the values.
    pub fn encode_for_3_4(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        match (self.old, self.new) {
            (Some(old), None) => {
                out.extend_from_slice(old);
                out.push(0);
                Ok(())
            }
            (None, Some(new)) => {
                out.extend_from_slice(new);
                out.push(1);
                Ok(())
            }
            (None, None) => Err(FormatError::new(LAYOUT, "both the old and the new value are null")),
            (Some(_), Some(_)) => Err(FormatError::new(
                LAYOUT,
                "both values in one record; versions up to 3.4 (upgrade.from) read one a record, the old one first",
            )),
        }
    }

    /// Reads an update, flags 0 to 5.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let flag = flag(&mut reader, "flag")?;
        let is_latest = match flag {
            0..=2 => true,
            3..=5 => match self::flag(&mut reader, "is latest")? {
                0 => false,
                1 => true,
                other => return Err(reader.error(format!("`is latest` is {other}, neither 0 nor 1"))),
            },
            other => return Err(reader.error(format!("flag {other}, known are 0 to 5"))),
        };
        let (old, new) = match flag {
            0 | 3 => (Some(reader.rest()), None),
            1 | 4 => (None, Some(reader.rest())),
            _ => {
                let length = reader.varint("length of the new value")?;
                let length = reader.not_negative("length of the new value", length)?;
                let new = reader.take("new value", length)?;
                (Some(reader.rest()), Some(new))
            }
        };
        Ok(Self { old, new, is_latest })
    }
}

fn flag(reader: &mut Reader<'_>, field: &str) -> Result<u8, FormatError> {
    Ok(reader.take_last(field, 1)?[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change<'a>(old: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Change<'a> {
        Change { old, new, is_latest: true }
    }

    #[test]
    fn three_shapes() {
        for (value, expected) in [
            (change(Some(b"o"), None), &b"o\0"[..]),
            (change(None, Some(b"n")), b"n\x01"),
            (change(Some(b"o"), Some(b"nn")), b"\x04nno\x02"),
            (change(Some(b""), Some(b"")), b"\0\x02"),
        ] {
            let mut out = Vec::new();
            value.encode(&mut out).unwrap();
            assert_eq!(out, expected);
            assert_eq!(Change::decode(&out).unwrap(), value);
        }
        assert!(change(None, None).encode(&mut Vec::new()).is_err());
        assert!(change(Some(b""), Some(b"")).encode_for_3_4(&mut Vec::new()).is_err());
    }

    #[test]
    fn reads_is_latest_and_refuses_nonsense() {
        let late = Change { old: Some(b"o"), new: Some(b"n"), is_latest: false };
        assert_eq!(Change::decode(b"\x02no\0\x05").unwrap(), late);
        let problem = |bytes| Change::decode(bytes).unwrap_err().problem;
        assert_eq!(problem(b""), "flag needs 1 bytes, 0 are left");
        assert_eq!(problem(b"\x03"), "is latest needs 1 bytes, 0 are left");
        assert_eq!(problem(b"\x07\x04"), "`is latest` is 7, neither 0 nor 1");
        assert_eq!(problem(b"\x06"), "flag 6, known are 0 to 5");
        assert_eq!(problem(b"\x01\x02"), "length of the new value is -1, below 0");
        assert_eq!(problem(b"\x14\x01\x02\x02"), "new value needs 10 bytes, 2 are left");
    }
}
