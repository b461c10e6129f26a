//! How a session store's rows are in the engine: ours, not Kafka Streams'.
//!
//! ```text
//! | 0 |                                        stream time i64 | index u8: 1 if there is one |
//! | 1 | end | start | key ... |                (nothing)                                      index by time
//! | 2 | segment | key ... |                    count x ( start i64 | end i64 | length u32 | aggregate ... )
//! ```
//!
//! A row has all sessions of a key that end in the segment; segment = end / segment interval. Numbers in keys have
//! their sign bit flipped, so that they sort as numbers. Old segments are dropped as ranges.

use crate::serdes::SerdeError;
use crate::types::{Timestamp, Window};

pub(super) const STATE: &[u8] = &[0];
pub(super) const INDEX: u8 = 1;
pub(super) const ROW: u8 = 2;

/// The first key after all rows.
pub(super) const ROWS_END: &[u8] = &[ROW + 1];

fn sortable(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn unsortable(bytes: &[u8; 8]) -> i64 {
    i64::from_be_bytes(*bytes) ^ i64::MIN
}

/// The value of the state: stream time, and whether there is an index.
pub(super) fn encode_state(stream_time: Timestamp, time_index: bool) -> Vec<u8> {
    let mut state = stream_time.to_be_bytes().to_vec();
    state.push(u8::from(time_index));
    state
}

/// Appends the key of the row of `key` in `segment`.
pub(super) fn row_key(segment: i64, key: &[u8], out: &mut Vec<u8>) {
    out.push(ROW);
    out.extend_from_slice(&sortable(segment));
    out.extend_from_slice(key);
}

/// Segment and key of a row.
pub(super) fn parse_row_key(row_key: &[u8]) -> Option<(i64, &[u8])> {
    let (segment, key) = row_key.get(1..)?.split_first_chunk()?;
    Some((unsortable(segment), key))
}

/// Appends the index entry of a session.
pub(super) fn index_key(window: Window, key: &[u8], out: &mut Vec<u8>) {
    out.push(INDEX);
    out.extend_from_slice(&sortable(window.end));
    out.extend_from_slice(&sortable(window.start));
    out.extend_from_slice(key);
}

/// The smallest index entry of sessions that end at `end`.
pub(super) fn index_from(end: Timestamp) -> Vec<u8> {
    let mut out = vec![INDEX];
    out.extend_from_slice(&sortable(end));
    out
}

/// Session and key of an index entry.
pub(super) fn parse_index_key(index_key: &[u8]) -> Option<(Window, &[u8])> {
    let (end, rest) = index_key.get(1..)?.split_first_chunk()?;
    let (start, key) = rest.split_first_chunk()?;
    Some((Window { start: unsortable(start), end: unsortable(end) }, key))
}

/// Segment and key of an entry; `None` is the state.
pub(in crate::store) fn owner(entry: &[u8], segment_interval: i64) -> Option<(i64, &[u8])> {
    match *entry.first()? {
        INDEX => {
            parse_index_key(entry).map(|(window, key)| (window.end.div_euclid(segment_interval.max(1)), key))
        }
        ROW => parse_row_key(entry),
        _ => None,
    }
}

/// Appends one session to a row. `write` appends the aggregate and says whether it is there; if not nothing is
/// appended.
pub(super) fn write_session(
    window: Window,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<bool, SerdeError>,
) -> Result<bool, SerdeError> {
    let start = out.len();
    out.extend_from_slice(&window.start.to_be_bytes());
    out.extend_from_slice(&window.end.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let value_start = out.len();
    if !write(out)? {
        out.truncate(start);
        return Ok(false);
    }
    let len = ((out.len() - value_start) as u32).to_be_bytes();
    out[value_start - 4..value_start].copy_from_slice(&len);
    Ok(true)
}

/// The sessions of a row. An error if the row is not one of ours.
pub(super) fn read_row<'a>(
    mut row: &'a [u8],
    visit: &mut dyn FnMut(Window, &'a [u8]) -> Result<(), SerdeError>,
) -> Result<(), SerdeError> {
    while !row.is_empty() {
        let (window, value, rest) =
            read_session(row).ok_or_else(|| SerdeError::new("a row of sessions ends too early"))?;
        visit(window, value)?;
        row = rest;
    }
    Ok(())
}

fn read_session(row: &[u8]) -> Option<(Window, &[u8], &[u8])> {
    let (start, rest) = row.split_first_chunk()?;
    let (end, rest) = rest.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((Window { start: i64::from_be_bytes(*start), end: i64::from_be_bytes(*end) }, value, rest))
}
