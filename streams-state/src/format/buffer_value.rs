//! What a suppress buffer keeps for a key, and its changelog record. Stream-table joins with grace keep their
//! waiting records in the same layout.
//!
//! ```text
//! value      | record context | prior | old: -2 means "as prior" | new |       prior, old, new: length i32, -1 null, bytes
//! changelog  | value | buffer time i64 |                                 header `v` = 3; 2.4 and 2.5 wrote 2 over it
//!
//! read only, older versions:
//!   v = 2    | record context | change | prior | buffer time i64 |
//!   v = 1    | buffer time i64 | record context | change |
//!   none     | buffer time i64 | old | new |
//!   change   | length i32 | old | new |
//! ```
//!
//! `prior` is the value downstream has seen last: `old` of the first update that was buffered for the key.

use super::FormatError;
use super::reader::Reader;
use super::record_context::{ProcessorRecordContext, read_length, read_sized, write_sized};
use crate::types::{Headers, Timestamp};

const LAYOUT: &str = "buffer value";
const SAME_AS_PRIOR: i32 = -2;

/// Name of the header that tells the layout of a changelog record.
pub const VERSION_HEADER: &str = "v";

/// The version that is written.
pub const VERSION: u8 = 3;

/// Serialized values of a buffered update, and where its record came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BufferValue<'a> {
    /// Context of the last update.
    pub context: ProcessorRecordContext,
    /// The value that downstream saw last.
    pub prior: Option<&'a [u8]>,
    /// The value before the last update.
    pub old: Option<&'a [u8]>,
    /// The value now.
    pub new: Option<&'a [u8]>,
}

impl<'a> BufferValue<'a> {
    /// Appends the value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.context.encode(out);
        write_sized(self.prior, out);
        if self.old.is_some() && self.old == self.prior {
            out.extend_from_slice(&SAME_AS_PRIOR.to_be_bytes());
        } else {
            write_sized(self.old, out);
        }
        write_sized(self.new, out);
    }

    /// Appends the value of the changelog record of a row that waits since `time`.
    pub fn encode_changelog(&self, time: Timestamp, out: &mut Vec<u8>) {
        self.encode(out);
        out.extend_from_slice(&time.to_be_bytes());
    }

    /// Reads a value. What stands behind it is ignored, as in Kafka Streams.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        Self::read(&mut Reader::new(LAYOUT, bytes))
    }

    /// Reads what [`encode_changelog`](Self::encode_changelog) wrote: buffer time and value.
    pub fn decode_changelog(bytes: &'a [u8]) -> Result<(Timestamp, Self), FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let value = Self::read(&mut reader)?;
        Ok((reader.i64("buffer time")?, value))
    }

    /// Reads a changelog record of any version since 2.1. The first version had no context: `record` is that of
    /// the changelog record itself. The first two had no prior value: `previous` is the prior value of the row that
    /// is in the buffer, if there is one, else the old value is it.
    pub fn decode_any_changelog(
        headers: &Headers,
        bytes: &'a [u8],
        record: impl FnOnce() -> ProcessorRecordContext,
        previous: Option<&'a [u8]>,
    ) -> Result<(Timestamp, Self), FormatError> {
        match headers.last(VERSION_HEADER).map(|header| header.value.as_deref()) {
            Some(Some([VERSION])) => Self::decode_changelog(bytes),
            // 2.4.0, 2.4.1 and 2.5.0 wrote version 3 and called it 2.
            Some(Some([2])) => {
                Self::decode_v2(bytes).or_else(|error| Self::decode_changelog(bytes).map_err(|_| error))
            }
            Some(Some([1])) => Self::decode_v1(bytes, previous),
            None => Self::decode_v0(bytes, record(), previous),
            Some(other) => Err(FormatError::new(LAYOUT, format!("version {other:?}, known are 1 to 3"))),
        }
    }

    fn decode_v0(
        bytes: &'a [u8],
        context: ProcessorRecordContext,
        previous: Option<&'a [u8]>,
    ) -> Result<(Timestamp, Self), FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let time = reader.i64("buffer time")?;
        let (old, new) = read_change(&mut reader)?;
        Ok((time, Self { context, prior: previous.or(old), old, new }))
    }

    fn decode_v1(bytes: &'a [u8], previous: Option<&'a [u8]>) -> Result<(Timestamp, Self), FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let time = reader.i64("buffer time")?;
        let (context, old, new) = read_contextual_change(&mut reader)?;
        Ok((time, Self { context, prior: previous.or(old), old, new }))
    }

    fn decode_v2(bytes: &'a [u8]) -> Result<(Timestamp, Self), FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let (context, old, new) = read_contextual_change(&mut reader)?;
        let prior = read_sized(&mut reader, "prior value")?;
        Ok((reader.i64("buffer time")?, Self { context, prior, old, new }))
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let context = ProcessorRecordContext::read(reader)?;
        let prior = read_sized(reader, "prior value")?;
        let old = match reader.i32("old value")? {
            SAME_AS_PRIOR => prior,
            length => read_length(reader, "old value", length)?,
        };
        Ok(Self { context, prior, old, new: read_sized(reader, "new value")? })
    }

    /// Bytes of memory as Kafka Streams counts them for the limits of a buffer.
    pub fn resident_bytes(&self) -> u64 {
        let len = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len) as u64;
        let old = if self.old == self.prior { 0 } else { len(self.old) };
        len(self.prior) + old + len(self.new) + self.context.resident_bytes()
    }
}

type Values<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

fn read_change<'a>(reader: &mut Reader<'a>) -> Result<Values<'a>, FormatError> {
    Ok((read_sized(reader, "old value")?, read_sized(reader, "new value")?))
}

fn read_contextual_change<'a>(
    reader: &mut Reader<'a>,
) -> Result<(ProcessorRecordContext, Option<&'a [u8]>, Option<&'a [u8]>), FormatError> {
    let context = ProcessorRecordContext::read(reader)?;
    let change =
        read_sized(reader, "change")?.ok_or_else(|| reader.error("the change is null, and must not be"))?;
    let (old, new) = read_change(&mut Reader::new(LAYOUT, change))?;
    Ok((context, old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> ProcessorRecordContext {
        ProcessorRecordContext {
            topic: "t".into(),
            partition: 0,
            offset: 1,
            timestamp: 2,
            headers: Headers::EMPTY,
        }
    }

    #[test]
    fn an_old_value_like_the_prior_is_written_and_counted_once() {
        let value = BufferValue { context: context(), prior: Some(b"pp"), old: Some(b"pp"), new: Some(b"n") };
        let mut out = Vec::new();
        value.encode_changelog(9, &mut out);
        assert_eq!(out.len(), 29 + 4 + 2 + 4 + 4 + 1 + 8);
        assert_eq!(BufferValue::decode_changelog(&out).unwrap(), (9, value.clone()));
        assert_eq!(value.resident_bytes(), 21 + 2 + 1);
        let other = BufferValue { old: Some(b"o"), ..value };
        assert_eq!(other.resident_bytes(), 21 + 2 + 1 + 1);
        assert_eq!(BufferValue { prior: None, old: None, ..other }.resident_bytes(), 21 + 1);
    }

    #[test]
    fn refuses_unknown_versions() {
        let mut headers = Headers::EMPTY;
        headers.add(VERSION_HEADER, Some(vec![4]));
        let error = BufferValue::decode_any_changelog(&headers, b"", context, None).unwrap_err();
        assert_eq!(error.problem, "version Some([4]), known are 1 to 3");
    }
}
