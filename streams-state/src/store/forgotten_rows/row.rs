//! A row as it lies in the file, and in the tail before it.
//!
//! ```text
//! | check, 4 bytes | length of the key, 2 | length of the row, 2 | key | row, as the engine has it | up to its size |
//! ```

use std::hash::{BuildHasher, Hasher};
use std::io;

use foldhash::fast::RandomState;

use super::places::Size;

/// Check, and both lengths.
const HEAD: usize = 8;

/// Appends a row to the tail; `row` appends what the engine has. `None`: it cannot be had, or is too large, and the tail is to be cut back.
pub(super) fn append(
    tail: &mut Vec<u8>,
    key: &[u8],
    hasher: &RandomState,
    row: impl FnOnce(&mut Vec<u8>) -> bool,
) -> Option<Size> {
    let start = tail.len();
    tail.extend_from_slice(&[0; HEAD]);
    tail.extend_from_slice(key);
    let row_from = tail.len();
    if !row(tail) {
        return None;
    }
    let size = Size::of(tail.len() - start)?;
    let row_len = tail.len() - row_from;
    let head = &mut tail[start + 4..start + HEAD];
    // Both fit: a row with its key is shorter than the largest size.
    head[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
    head[2..].copy_from_slice(&(row_len as u16).to_le_bytes());
    tail.resize(start + size.bytes(), 0);
    let check = check(hasher, &tail[start + 4..]);
    tail[start..start + 4].copy_from_slice(&check);
    Some(size)
}

/// Makes of what was read, which must be what was written, the row alone. Returns whether it is that of `key`.
pub(super) fn take(key: &[u8], hasher: &RandomState, read: &mut Vec<u8>) -> io::Result<bool> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a row is not what was written");
    let (written, rest) = read.split_first_chunk::<4>().ok_or_else(damaged)?;
    if *written != check(hasher, rest) {
        return Err(damaged());
    }
    let (lengths, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let [key_len, row_len] = [[lengths[0], lengths[1]], [lengths[2], lengths[3]]].map(u16::from_le_bytes);
    let same = usize::from(key_len) == key.len() && rest.starts_with(key);
    if same {
        read.truncate(HEAD + key.len() + usize::from(row_len));
        read.drain(..HEAD + key.len());
    }
    Ok(same)
}

/// Four bytes that tell another row, or a damaged one.
fn check(hasher: &RandomState, row: &[u8]) -> [u8; 4] {
    let mut state = hasher.build_hasher();
    state.write(row);
    (state.finish() as u32).to_le_bytes()
}
