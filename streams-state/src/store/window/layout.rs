//! Rows of a window store in the engine: our own layout, a segment under one prefix, so that it is dropped as a
//! range. No Kafka Streams bytes here; those of the changelog are in [`crate::format::window_key`].
//!
//! ```text
//! state      | 0 |                                                            -> largest start i64, sequence u32
//! row        | segment u64 | 0 | length u32 | key ... | start u64 | sequence u32 | -> timestamp i64, value
//! by time    | segment u64 | 1 | start u64 | key ... | sequence u32 |          -> nothing
//! ```
//!
//! Segments and starts have their sign bit turned over, so that they sort as numbers do. The length keeps the rows
//! of a key together: without it the rows of `a` and of `ab` would mix.

use crate::types::Timestamp;

/// Where the largest start and the last sequence are.
pub(super) const STATE_KEY: &[u8] = &[0];

const ROW: u8 = 0;
const BY_TIME: u8 = 1;
const SEGMENT_BYTES: usize = 8;
const START_BYTES: usize = 8;
const SEQUENCE_BYTES: usize = 4;

/// A number as bytes that sort as the numbers do.
fn ordered(number: i64) -> [u8; 8] {
    ((number as u64) ^ (1 << 63)).to_be_bytes()
}

fn number(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// The prefix of all entries of a segment.
pub(super) fn segment_prefix(segment: i64) -> [u8; 8] {
    ordered(segment)
}

/// The segment of an entry that is not the state.
pub(super) fn segment_of(entry: &[u8]) -> Option<i64> {
    entry.first_chunk().map(|bytes| number(*bytes))
}

/// Appends the prefix of all rows of `key` in `segment`.
pub(super) fn key_prefix(segment: i64, key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&ordered(segment));
    out.push(ROW);
    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
    out.extend_from_slice(key);
}

/// Appends what follows [`key_prefix`] in the entry of a row.
pub(super) fn row_suffix(start: Timestamp, sequence: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&ordered(start));
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Start and sequence of a row.
pub(super) fn decode_row_suffix(entry: &[u8]) -> Option<(Timestamp, u32)> {
    let (rest, sequence) = entry.split_last_chunk::<SEQUENCE_BYTES>()?;
    let start = rest.last_chunk::<START_BYTES>()?;
    Some((number(*start), u32::from_be_bytes(*sequence)))
}

/// The key in the entry of a row.
pub(super) fn decode_row_key(entry: &[u8]) -> Option<&[u8]> {
    let (length, rest) = entry.get(SEGMENT_BYTES + 1..)?.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}

/// Appends the prefix of all rows of `segment`.
pub(super) fn rows_prefix(segment: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&ordered(segment));
    out.push(ROW);
}

/// Appends the prefix of the rows of `segment` that start at `start`, in the order of time.
pub(super) fn time_prefix(segment: i64, start: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(&ordered(segment));
    out.push(BY_TIME);
    out.extend_from_slice(&ordered(start));
}

/// Appends the entry of a row in the order of time.
pub(super) fn time_key(segment: i64, start: Timestamp, key: &[u8], sequence: u32, out: &mut Vec<u8>) {
    time_prefix(segment, start, out);
    out.extend_from_slice(key);
    out.extend_from_slice(&sequence.to_be_bytes());
}

/// Start and key of an entry in the order of time.
pub(super) fn decode_time_key(entry: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (start, rest) = entry.get(SEGMENT_BYTES + 1..)?.split_first_chunk::<START_BYTES>()?;
    let (key, _) = rest.split_last_chunk::<SEQUENCE_BYTES>()?;
    Some((number(*start), key))
}

/// Segment and key of an entry; `None` is the state.
pub(in crate::store) fn owner(entry: &[u8]) -> Option<(i64, &[u8])> {
    let key = match *entry.get(SEGMENT_BYTES)? {
        BY_TIME => decode_time_key(entry)?.1,
        _ => decode_row_key(entry)?,
    };
    Some((segment_of(entry)?, key))
}

/// The value of the state.
pub(super) fn encode_state(stream_time: Timestamp, sequence: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&stream_time.to_be_bytes());
    bytes[8..].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// Reads the value of the state.
pub(super) fn decode_state(bytes: &[u8]) -> Option<(Timestamp, u32)> {
    let (stream_time, rest) = bytes.split_first_chunk::<8>()?;
    let sequence = rest.try_into().ok()?;
    Some((Timestamp::from_be_bytes(*stream_time), u32::from_be_bytes(sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_sort_by_segment_and_keep_a_key_together() {
        let row = |segment, key: &[u8], start, sequence| {
            let mut out = Vec::new();
            key_prefix(segment, key, &mut out);
            row_suffix(start, sequence, &mut out);
            out
        };
        let rows = [
            row(-1, b"z", -5, 0),
            row(0, b"a", 1, 0),
            row(0, b"a", 1, 1),
            row(0, b"b", 0, 0),
            row(0, b"a\0", 0, 0),
            row(1, b"", 0, 0),
        ];
        assert!(rows.is_sorted());
        assert!(rows.iter().all(|row| row.as_slice() > STATE_KEY));
        assert_eq!(decode_row_suffix(&rows[2]), Some((1, 1)));
        assert_eq!(decode_row_key(&rows[4]), Some(&b"a\0"[..]));
        assert_eq!(segment_of(&rows[0]), Some(-1));
        let mut time = Vec::new();
        time_key(0, 7, b"key", 3, &mut time);
        assert!(time > rows[4] && time < rows[5]);
        assert_eq!(decode_time_key(&time), Some((7, &b"key"[..])));
        assert_eq!(decode_state(&encode_state(9, 2)), Some((9, 2)));
    }
}
