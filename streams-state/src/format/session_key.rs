//! Key of a session: in session stores, their changelogs, and topics with session-windowed keys.
//!
//! ```text
//! store key, changelog, topic   | key ... | end i64 | start i64 |
//! time first (emit on close)    | 0 | end i64 | start i64 | key ... |
//! key first (its index)         | 1 | key ... | end i64 | start i64 |
//! ```
//!
//! The end of a session is inclusive. It stands before the start, so that the sessions of a key are in order of
//! their ends.

use super::FormatError;
use super::reader::Reader;
use crate::types::Window;

/// Bytes behind the key.
pub const SUFFIX_LEN: usize = 16;

const LAYOUT: &str = "session key";
const TIME_FIRST: u8 = 0;
const KEY_FIRST: u8 = 1;

/// Appends what stands behind the key: end and start.
pub fn encode_suffix(window: Window, out: &mut Vec<u8>) {
    out.extend_from_slice(&window.end.to_be_bytes());
    out.extend_from_slice(&window.start.to_be_bytes());
}

/// Appends the store key of a session.
pub fn encode(key: &[u8], window: Window, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    encode_suffix(window, out);
}

/// Reads a store key: the key's bytes and the session.
pub fn decode(bytes: &[u8]) -> Result<(&[u8], Window), FormatError> {
    let mut reader = Reader::new(LAYOUT, bytes);
    let suffix = reader.take_last("end and start", SUFFIX_LEN)?;
    Ok((reader.rest(), window(suffix)?))
}

/// Appends the key under which stores that are read by time keep a session.
pub fn encode_time_first(key: &[u8], window: Window, out: &mut Vec<u8>) {
    out.push(TIME_FIRST);
    encode_suffix(window, out);
    out.extend_from_slice(key);
}

/// Reads a key of [`encode_time_first`]. The first byte is not looked at, as in Kafka Streams.
pub fn decode_time_first(bytes: &[u8]) -> Result<(&[u8], Window), FormatError> {
    let mut reader = Reader::new(LAYOUT, bytes);
    reader.u8("prefix")?;
    let window = window(reader.take("end and start", SUFFIX_LEN)?)?;
    Ok((reader.rest(), window))
}

/// Appends the key of the index that stores which are read by time have for reading by key.
pub fn encode_key_first(key: &[u8], window: Window, out: &mut Vec<u8>) {
    out.push(KEY_FIRST);
    encode(key, window, out);
}

/// Reads a key of [`encode_key_first`]. The first byte is not looked at, as in Kafka Streams.
pub fn decode_key_first(bytes: &[u8]) -> Result<(&[u8], Window), FormatError> {
    let mut reader = Reader::new(LAYOUT, bytes);
    reader.u8("prefix")?;
    decode(reader.rest())
}

fn window(suffix: &[u8]) -> Result<Window, FormatError> {
    let mut reader = Reader::new(LAYOUT, suffix);
    let end = reader.i64("end")?;
    Ok(Window { start: reader.i64("start")?, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_stands_before_the_start() {
        let window = Window { start: 1, end: 258 };
        let mut out = Vec::new();
        encode(b"k", window, &mut out);
        assert_eq!(out, b"k\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x01");
        assert_eq!(decode(&out).unwrap(), (&b"k"[..], window));
        assert!(decode(&out[2..]).is_err());
        out.clear();
        encode_time_first(b"k", window, &mut out);
        assert_eq!(out, b"\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x01k");
        assert_eq!(decode_time_first(&out).unwrap(), (&b"k"[..], window));
        out.clear();
        encode_key_first(b"k", window, &mut out);
        assert_eq!(out, b"\x01k\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x01");
        assert_eq!(decode_key_first(&out).unwrap(), (&b"k"[..], window));
    }
}
