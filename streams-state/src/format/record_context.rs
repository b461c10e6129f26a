//! Where a buffered record came from, as buffers keep it beside the values.
//!
//! ```text
//! | timestamp i64 | offset i64 | length i32 | topic ... | partition i32 | headers i32 | headers x header |
//! header: | length i32 | name ... | length i32, -1 null | value ... |
//! ```
//!
//! `headers` of -1 is read as none: very old versions wrote it.

use std::sync::Arc;

use super::FormatError;
use super::reader::Reader;
use crate::types::{Header, Headers, Timestamp};

const LAYOUT: &str = "record context";
const NULL: i32 = -1;

/// Topic, partition, offset, timestamp and headers of a record. Kafka Streams' name for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessorRecordContext {
    /// Source topic; empty where there is none (a punctuation).
    pub topic: Arc<str>,
    /// Its partition; -1 where there is none.
    pub partition: i32,
    /// Offset in the partition; -1 where there is none.
    pub offset: i64,
    /// Timestamp, ms since the epoch.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl ProcessorRecordContext {
    /// Appends the context.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        write_sized(Some(self.topic.as_bytes()), out);
        out.extend_from_slice(&self.partition.to_be_bytes());
        // A record with 2^31 headers, or one of their size, does not fit into Kafka.
        out.extend_from_slice(&(self.headers.iter().len() as i32).to_be_bytes());
        for header in self.headers.iter() {
            write_sized(Some(header.key.as_bytes()), out);
            write_sized(header.value.as_deref(), out);
        }
    }

    /// Reads a context; nothing may stand behind it.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let context = Self::read(&mut reader)?;
        match reader.left() {
            0 => Ok(context),
            left => Err(reader.error(format!("{left} bytes behind the end"))),
        }
    }

    /// Reads a context and leaves what stands behind it.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let timestamp = reader.i64("timestamp")?;
        let offset = reader.i64("offset")?;
        let topic = text(reader, "topic")?.into();
        let partition = reader.i32("partition")?;
        let headers = match reader.i32("number of headers")? {
            NULL => Headers::EMPTY,
            count => {
                let count = reader.not_negative("number of headers", count)?;
                // A header takes eight bytes at least, so a false count cannot ask for much.
                let mut headers = Vec::with_capacity(count.min(reader.left() / 8));
                for _ in 0..count {
                    let key = text(reader, "header name")?;
                    headers
                        .push(Header { key, value: read_sized(reader, "header value")?.map(<[u8]>::to_vec) });
                }
                headers.into_iter().collect()
            }
        };
        Ok(Self { topic, partition, offset, timestamp, headers })
    }

    /// Bytes of memory as Kafka Streams counts them for the limits of a buffer: characters of names, not their bytes.
    pub fn resident_bytes(&self) -> u64 {
        let header = |header: &Header| utf16_len(&header.key) + header.value.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(header).sum();
        (8 + 8 + 4 + utf16_len(&self.topic) + headers) as u64
    }
}

/// Characters as Java counts them.
fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Java replaces what is not UTF-8, and so does this.
fn text(reader: &mut Reader<'_>, field: &str) -> Result<String, FormatError> {
    let length = reader.length(field)?;
    Ok(String::from_utf8_lossy(reader.take(field, length)?).into_owned())
}

/// Appends a length and the bytes; -1 for null.
pub(super) fn write_sized(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = bytes.map_or(NULL, |bytes| bytes.len() as i32);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Reads what [`write_sized`] wrote.
pub(super) fn read_sized<'a>(reader: &mut Reader<'a>, field: &str) -> Result<Option<&'a [u8]>, FormatError> {
    let length = reader.i32(field)?;
    read_length(reader, field, length)
}

/// The bytes behind a length that was read already.
pub(super) fn read_length<'a>(
    reader: &mut Reader<'a>,
    field: &str,
    length: i32,
) -> Result<Option<&'a [u8]>, FormatError> {
    if length == NULL {
        return Ok(None);
    }
    let length = reader.not_negative(field, length)?;
    reader.take(field, length).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_and_writes_bytes() {
        let mut headers = Headers::EMPTY;
        headers.add("h\u{f6}", Some(vec![1, 2]));
        headers.add("n", None);
        let context = ProcessorRecordContext {
            topic: "t\u{1f600}".into(),
            partition: 3,
            offset: 4,
            timestamp: 5,
            headers,
        };
        assert_eq!(context.resident_bytes(), 20 + 3 + 2 + 2 + 1);
        let mut out = Vec::new();
        context.encode(&mut out);
        assert_eq!(out.len(), 20 + 4 + 5 + 4 + (4 + 3 + 4 + 2) + (4 + 1 + 4));
        assert_eq!(ProcessorRecordContext::decode(&out).unwrap(), context);
        assert!(ProcessorRecordContext::decode(&out[..out.len() - 1]).is_err());
    }

    #[test]
    fn refuses_nonsense() {
        let problem = |bytes: &[u8]| ProcessorRecordContext::decode(bytes).unwrap_err().problem;
        assert_eq!(problem(&[0; 3]), "timestamp needs 8 bytes, 3 are left");
        let mut bytes = vec![0; 24];
        bytes.extend_from_slice(&(-2_i32).to_be_bytes());
        assert_eq!(problem(&bytes), "number of headers is -2, below 0");
        bytes.truncate(24);
        bytes.extend_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(problem(&bytes), "header name needs 4 bytes, 0 are left");
        bytes.truncate(24);
        bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        assert_eq!(ProcessorRecordContext::decode(&bytes).unwrap().headers, Headers::EMPTY);
    }
}
