//! Versioned stores on the engine. In come histories, out go the rows that an engine keeps, and back.
//!
//! ```text
//! engine key                       engine value
//! 00 | key                         from i64 | value                          the latest version
//! 01 | segment u64 | key           (from i64 | to i64 | len u32 | value)*    older versions that end in the segment;
//!                                                                           len ff ff ff ff: no value
//! 02                               i64                                       stream time of the store
//! ```
//! Numbers are big-endian, segment numbers with the sign bit flipped: so all rows of a segment, and all segments
//! before another, are one range.

use super::history::{Older, Sized};
use crate::serdes::{Serde, SerdeError};
use crate::types::Timestamp;

const LATEST: u8 = 0;
const SEGMENT: u8 = 1;
/// The row that holds the stream time.
pub(super) const STREAM_TIME: [u8; 1] = [2];
const NO_VALUE: u32 = u32::MAX;

/// Key of the row with the latest version of `key`.
pub(super) fn latest_key(key: &[u8], out: &mut Vec<u8>) {
    out.push(LATEST);
    out.extend_from_slice(key);
}

/// Key of the row with the versions of `key` in `segment`; with an empty key the start of the segment.
pub(super) fn segment_key(segment: i64, key: &[u8], out: &mut Vec<u8>) {
    out.push(SEGMENT);
    out.extend_from_slice(&((segment as u64) ^ (1 << 63)).to_be_bytes());
    out.extend_from_slice(key);
}

/// The segment and the store's key in the key of an engine row; segment `None` is the latest version. `None`: the
/// row is neither.
pub(in crate::store) fn parse_key(row: &[u8]) -> Option<(Option<i64>, &[u8])> {
    match row.split_first()? {
        (&LATEST, key) => Some((None, key)),
        (&SEGMENT, rest) => {
            let (segment, key) = rest.split_first_chunk::<8>()?;
            Some((Some((u64::from_be_bytes(*segment) ^ (1 << 63)) as i64), key))
        }
        _ => None,
    }
}

/// Appends the latest version.
pub(super) fn write_latest<V: 'static>(
    value: &V,
    from: Timestamp,
    values: &dyn Serde<V>,
    out: &mut Vec<u8>,
) -> Result<(), SerdeError> {
    out.extend_from_slice(&from.to_be_bytes());
    values.serialize(value, out).map(drop)
}

/// Reads what [`write_latest`] wrote.
pub(super) fn read_latest<V: 'static>(
    bytes: &[u8],
    values: &dyn Serde<V>,
) -> Result<(Sized<V>, Timestamp), SerdeError> {
    let Some((from, value)) = bytes.split_first_chunk::<8>() else {
        return Err(SerdeError::new(format!("a row of {} bytes has no timestamp", bytes.len())));
    };
    let sized = Sized { value: values.deserialize(Some(value))?, len: value.len() as u32 };
    Ok((sized, Timestamp::from_be_bytes(*from)))
}

/// Appends an older version.
pub(super) fn write_older<V: 'static>(
    version: &Older<V>,
    values: &dyn Serde<V>,
    out: &mut Vec<u8>,
) -> Result<(), SerdeError> {
    out.extend_from_slice(&version.from.to_be_bytes());
    out.extend_from_slice(&version.to.to_be_bytes());
    let len_at = out.len();
    out.extend_from_slice(&NO_VALUE.to_be_bytes());
    if let Some(sized) = &version.value
        && values.serialize(&sized.value, out)?
    {
        let len = (out.len() - len_at - 4) as u32;
        out[len_at..len_at + 4].copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

/// Appends all versions of a segment's row to `older`.
pub(super) fn read_segment<V: 'static>(
    mut bytes: &[u8],
    values: &dyn Serde<V>,
    older: &mut Vec<Older<V>>,
) -> Result<(), SerdeError> {
    while !bytes.is_empty() {
        let (version, rest) = read_older(bytes, values)?;
        older.push(version);
        bytes = rest;
    }
    Ok(())
}

fn read_older<'a, V: 'static>(
    bytes: &'a [u8],
    values: &dyn Serde<V>,
) -> Result<(Older<V>, &'a [u8]), SerdeError> {
    let short = || SerdeError::new("a row of versions ends too early");
    let (from, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let (to, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (value, rest) = match u32::from_be_bytes(*len) {
        NO_VALUE => (None, rest),
        len => {
            let (value, rest) = rest.split_at_checked(len as usize).ok_or_else(short)?;
            (Some(Sized { value: values.deserialize(Some(value))?, len }), rest)
        }
    };
    let (from, to) = (Timestamp::from_be_bytes(*from), Timestamp::from_be_bytes(*to));
    Ok((Older { from, to, value }, rest))
}
