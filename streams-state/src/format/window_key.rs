//! Keys of windowed rows: in changelogs, in topics, and in Kafka Streams' time-ordered stores.
//!
//! ```text
//! store key    | key ... | start i64 | sequence i32 |         changelogs of window stores; sequence 0 without duplicates
//! topic key    | key ... | start i64 |                        TimeWindowedSerde: repartition and output topics
//! time first   | 0 | start i64 | key ... | sequence i32 |     time-ordered stores: the rows
//! key first    | 1 | key ... | start i64 | sequence i32 |     time-ordered stores: the index
//! ```
//!
//! No layout holds the end of the window: who reads must know the window's size ([`time_window`]).

use super::FormatError;
use super::reader::Reader;
use crate::types::{Timestamp, Window};

/// Bytes after the key of a store key: start and sequence.
pub const SUFFIX_BYTES: usize = 12;
/// Bytes of a start.
const START_BYTES: usize = 8;
/// Bytes of a sequence.
const SEQUENCE_BYTES: usize = 4;
/// First byte of a time-first key.
const TIME_FIRST: u8 = 0;
/// First byte of a key-first key.
const KEY_FIRST: u8 = 1;

/// A key, the start of its window, and its number among rows with the same key and start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowKey<'a> {
    /// Serialized key.
    pub key: &'a [u8],
    /// Start of the window.
    pub start: Timestamp,
    /// Tells duplicates apart; 0 in stores without.
    pub sequence: i32,
}

impl<'a> WindowKey<'a> {
    /// Appends the store key.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key);
        out.extend_from_slice(&self.start.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }

    /// Reads a store key.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("window store key", bytes);
        let key_len = key_bytes("window store key", bytes, SUFFIX_BYTES)?;
        Ok(Self {
            key: reader.take("key", key_len)?,
            start: reader.i64("start of the window")?,
            sequence: reader.i32("sequence")?,
        })
    }

    /// Appends the time-first key.
    pub fn encode_time_first(&self, out: &mut Vec<u8>) {
        out.push(TIME_FIRST);
        out.extend_from_slice(&self.start.to_be_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }

    /// Reads a time-first key. The first byte is not looked at, as in Java.
    pub fn decode_time_first(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("time-first window key", bytes);
        let key_len = key_bytes("time-first window key", bytes, 1 + SUFFIX_BYTES)?;
        reader.take("prefix", 1)?;
        let start = reader.i64("start of the window")?;
        Ok(Self { key: reader.take("key", key_len)?, start, sequence: reader.i32("sequence")? })
    }

    /// Appends the key-first key.
    pub fn encode_key_first(&self, out: &mut Vec<u8>) {
        out.push(KEY_FIRST);
        self.encode(out);
    }

    /// Reads a key-first key. The first byte is not looked at, as in Java.
    pub fn decode_key_first(bytes: &'a [u8]) -> Result<Self, FormatError> {
        key_bytes("key-first window key", bytes, 1 + SUFFIX_BYTES)?;
        Self::decode(&bytes[1..])
    }
}

/// Appends the topic key of `key` in the window that starts at `start`.
#[inline]
pub fn encode_topic_key(key: &[u8], start: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(&start.to_be_bytes());
}

/// Reads a topic key: the key's bytes and the start of its window.
pub fn decode_topic_key(bytes: &[u8]) -> Result<(&[u8], Timestamp), FormatError> {
    let mut reader = Reader::new("windowed key", bytes);
    let key = reader.take("key", key_bytes("windowed key", bytes, START_BYTES)?)?;
    Ok((key, reader.i64("start of the window")?))
}

/// The window of `size` ms that starts at `start`; its end is capped at `i64::MAX`. As in Java a window neither
/// starts before 0 nor is empty.
pub fn time_window(start: Timestamp, size: i64) -> Result<Window, FormatError> {
    let end = start.checked_add(size).unwrap_or(i64::MAX);
    if start < 0 || end <= start {
        return Err(FormatError::new("windowed key", format!("no window of {size} ms starts at {start}")));
    }
    Ok(Window { start, end })
}

/// How many bytes of `bytes` are the key if `others` are not.
fn key_bytes(layout: &'static str, bytes: &[u8], others: usize) -> Result<usize, FormatError> {
    let fault = || FormatError::new(layout, format!("{} bytes, at least {others} are needed", bytes.len()));
    bytes.len().checked_sub(others).ok_or_else(fault)
}

const _: () = assert!(SUFFIX_BYTES == START_BYTES + SEQUENCE_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_layouts_come_back() {
        let key = WindowKey { key: b"k", start: 0x0102, sequence: 3 };
        let mut out = Vec::new();
        key.encode(&mut out);
        assert_eq!(out, b"k\0\0\0\0\0\0\x01\x02\0\0\0\x03");
        assert_eq!(WindowKey::decode(&out).unwrap(), key);
        out.clear();
        key.encode_time_first(&mut out);
        assert_eq!(out, b"\0\0\0\0\0\0\0\x01\x02k\0\0\0\x03");
        assert_eq!(WindowKey::decode_time_first(&out).unwrap(), key);
        out.clear();
        key.encode_key_first(&mut out);
        assert_eq!(out, b"\x01k\0\0\0\0\0\0\x01\x02\0\0\0\x03");
        assert_eq!(WindowKey::decode_key_first(&out).unwrap(), key);
        out.clear();
        encode_topic_key(b"k", 0x0102, &mut out);
        assert_eq!(decode_topic_key(&out).unwrap(), (&b"k"[..], 0x0102));
    }

    #[test]
    fn refuses_what_is_too_short_and_windows_that_cannot_be() {
        let error = WindowKey::decode(&[0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "not a window store key: 11 bytes, at least 12 are needed");
        assert!(WindowKey::decode_key_first(&[1; 12]).is_err());
        assert!(WindowKey::decode_time_first(&[0; 12]).is_err());
        assert!(decode_topic_key(&[0; 7]).is_err());
        assert_eq!(time_window(5, i64::MAX).unwrap(), Window { start: 5, end: i64::MAX });
        assert!(time_window(i64::MAX, 1).is_err());
        assert!(time_window(-1, 10).is_err());
    }
}
