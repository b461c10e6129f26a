//! Between which row keys all rows of some keys and times lie, for the six orders of window and session rows.
//!
//! ```text
//! window              | key ... | start i64 | sequence i32 |
//! session             | key ... | end i64 | start i64 |
//! time-first window   | 0 u8 | start i64 | key ... | sequence i32 |
//! time-first session  | 0 u8 | end i64 | start i64 | key ... |
//! key-first           | 1 u8 | as window or session |
//! ```
//!
//! Bounds are inclusive, as bytes. They may enclose rows of other keys: keys have no fixed size, so who scans looks
//! at each row. With exactly one key ([`KeySchema::lower_range_fixed`]) they enclose little else.

use crate::types::Timestamp;

const TIME_FIRST: u8 = 0;
const KEY_FIRST: u8 = 1;

/// The order of a store's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySchema {
    /// Window rows by key, then time.
    Window,
    /// Session rows by key, then time.
    Session,
    /// Window rows by time, for stores that emit when windows close.
    TimeFirstWindow,
    /// The index by key that goes with them.
    KeyFirstWindow,
    /// Session rows by time, for stores that emit when windows close.
    TimeFirstSession,
    /// The index by key that goes with them.
    KeyFirstSession,
}

impl KeySchema {
    /// No row with a key from `key` on and a time from `from` on is below. `None`: there is no bound.
    #[must_use]
    pub fn lower_range(self, key: Option<&[u8]>, from: Timestamp) -> Option<Vec<u8>> {
        match (self, key) {
            (Self::Window, key) => Some([key?, &[0; 12]].concat()),
            (Self::Session, key) => Some([key?, &[0; 16]].concat()),
            (Self::KeyFirstWindow, key) => Some(indexed(Self::Window.lower_range(key, from), KEY_FIRST)),
            (Self::KeyFirstSession, key) => Some(indexed(Self::Session.lower_range(key, from), KEY_FIRST)),
            (Self::TimeFirstWindow | Self::TimeFirstSession, None) => {
                Some([&[TIME_FIRST][..], &from.to_be_bytes()].concat())
            }
            (Self::TimeFirstWindow, Some(key)) => {
                Some([&[TIME_FIRST][..], &from.to_be_bytes(), key].concat())
            }
            (Self::TimeFirstSession, Some(key)) => {
                Some([&[TIME_FIRST][..], &from.to_be_bytes(), &[0; 8], key].concat())
            }
        }
    }

    /// No row with a key up to `key` and a time up to `to` is above. `None`: there is no bound.
    #[must_use]
    pub fn upper_range(self, key: Option<&[u8]>, to: Timestamp) -> Option<Vec<u8>> {
        match (self, key) {
            (Self::Window, key) => {
                Some(upper(key?, &[&to.to_be_bytes()[..], &i32::MAX.to_be_bytes()].concat()))
            }
            (Self::Session, key) => Some(upper(key?, &[i64::MAX.to_be_bytes(), to.to_be_bytes()].concat())),
            (Self::KeyFirstWindow, key) => Some(indexed(Self::Window.upper_range(key, to), KEY_FIRST + 1)),
            (Self::KeyFirstSession, key) => Some(indexed(Self::Session.upper_range(key, to), KEY_FIRST + 1)),
            (Self::TimeFirstWindow | Self::TimeFirstSession, None) => Some(vec![TIME_FIRST + 1]),
            (Self::TimeFirstWindow, Some(key)) => {
                let largest = vec![0xff; key.len()];
                Some([&[TIME_FIRST][..], &to.to_be_bytes(), &largest, &i32::MAX.to_be_bytes()].concat())
            }
            (Self::TimeFirstSession, Some(key)) => {
                Some([&[TIME_FIRST][..], &i64::MAX.to_be_bytes(), &to.to_be_bytes(), key].concat())
            }
        }
    }

    /// The first row that exactly `key` can have from `from` on. `None`: this order needs a key.
    #[must_use]
    pub fn lower_range_fixed(self, key: Option<&[u8]>, from: Timestamp) -> Option<Vec<u8>> {
        self.row(key, from.max(0), 0, 0)
    }

    /// The last row that exactly `key` can have up to `to`: windows that start, sessions that start, by then.
    /// `None`: this order needs a key.
    #[must_use]
    pub fn upper_range_fixed(self, key: Option<&[u8]>, to: Timestamp) -> Option<Vec<u8>> {
        match self {
            Self::Window | Self::TimeFirstWindow | Self::KeyFirstWindow => self.row(key, to, 0, i32::MAX),
            Self::Session | Self::TimeFirstSession | Self::KeyFirstSession => self.row(key, i64::MAX, to, 0),
        }
    }

    /// A row key: `first` is the start of a window (with its sequence number) or the end of a session (with its
    /// `start`).
    fn row(self, key: Option<&[u8]>, first: Timestamp, start: Timestamp, sequence: i32) -> Option<Vec<u8>> {
        let (first, start, sequence) = (first.to_be_bytes(), start.to_be_bytes(), sequence.to_be_bytes());
        match self {
            Self::Window => Some([key?, &first, &sequence].concat()),
            Self::Session => Some([key?, &first, &start].concat()),
            Self::TimeFirstWindow => Some([&[TIME_FIRST][..], &first, key?, &sequence].concat()),
            Self::TimeFirstSession => {
                Some([&[TIME_FIRST][..], &first, &start, key.unwrap_or_default()].concat())
            }
            Self::KeyFirstWindow => Some([&[KEY_FIRST][..], key?, &first, &sequence].concat()),
            Self::KeyFirstSession => Some([&[KEY_FIRST][..], key?, &first, &start].concat()),
        }
    }
}

/// The smallest bytes that are above all that start with `prefix`. `None`: nothing is, all bytes are 0xff.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    // Kafka keeps the length; the zeros change nothing, because nothing lies between.
    end.resize(prefix.len(), 0);
    Some(end)
}

/// A bound of the index by key; without one, where the index begins or `end`s.
fn indexed(bound: Option<Vec<u8>>, end: u8) -> Vec<u8> {
    match bound {
        Some(bound) => [&[KEY_FIRST][..], &bound].concat(),
        None => vec![end],
    }
}

/// The last row of a key up to `key`. Behind the first byte of the key stands only what can precede the `suffix`:
/// a shorter key with a large timestamp may be above a longer one.
fn upper(key: &[u8], suffix: &[u8]) -> Vec<u8> {
    let kept = match suffix[0] {
        0 => key.len(),
        first => {
            let rest = key.iter().skip(1).take_while(|byte| **byte >= first).count();
            key.len().min(1) + rest
        }
    };
    [&key[..kept], suffix].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_enclose_the_rows_of_keys_of_all_lengths() {
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"ab", b"a\x7f\xff", b"b"];
        for schema in
            [KeySchema::Window, KeySchema::Session, KeySchema::KeyFirstWindow, KeySchema::KeyFirstSession]
        {
            for (low, high) in [(0, 5), (1, 4), (2, 2), (3, 5)] {
                let lower = schema.lower_range(Some(keys[low]), 7).unwrap();
                let upper = schema.upper_range(Some(keys[high]), 1 << 60).unwrap();
                for key in &keys[low..=high] {
                    for time in [7, 300, 1 << 60] {
                        let row = schema.row(Some(key), time, time, 1).unwrap();
                        assert!(lower <= row && row <= upper, "{schema:?} {key:?} {time}");
                    }
                }
            }
        }
    }

    #[test]
    fn end_of_a_prefix() {
        assert_eq!(prefix_end(b"a\xff").unwrap(), b"b\0");
        assert_eq!(prefix_end(b"ab").unwrap(), b"ac");
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
