//! Rows of a versioned store: the latest value of a key, and its older versions, one row for a segment of time.
//!
//! ```text
//! latest   | valid from i64 | value ... |
//! segment  | next i64 | least i64 | ( valid from i64 | size i32, -1 deleted )+ newest first | values, oldest first |
//! ```
//!
//! `next` is the time at which the newest version of the row ends, `least` the time at which its oldest one begins,
//! where the list of versions stops. A row that once had versions and has none keeps one deleted version with
//! `next` = `least`: it is *degenerate*, and says only that nothing is known from `next` on.

use super::FormatError;
use super::reader::Reader;
use super::value_and_timestamp::ValueAndTimestamp;
use crate::types::Timestamp;

/// The latest value of a key: the layout of a value with timestamp, valid from there on.
pub type LatestValue<'a> = ValueAndTimestamp<'a>;

const DELETED: i32 = -1;

/// One version of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// From when on it is valid, ms. It ends where the next newer one begins.
    pub valid_from: Timestamp,
    /// The value; `None` says that the key was deleted then.
    pub value: Option<Vec<u8>>,
}

/// The versions of one key that ended in one segment of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRow {
    next: Timestamp,
    /// Newest first, never empty.
    versions: Vec<Version>,
}

/// A version that a search found, and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found<'a> {
    /// Place in the row, 0 is the newest.
    pub index: usize,
    /// First ms at which it is valid.
    pub valid_from: Timestamp,
    /// First ms at which it is no longer valid.
    pub valid_to: Timestamp,
    /// The value; `None` if the key was deleted.
    pub value: Option<&'a [u8]>,
}

impl SegmentRow {
    /// A row with one version, valid in `[valid_from, valid_to)`.
    #[must_use]
    pub fn new(value: Option<Vec<u8>>, valid_from: Timestamp, valid_to: Timestamp) -> Self {
        Self { next: valid_to, versions: vec![Version { valid_from, value }] }
    }

    /// When the newest version ends.
    #[must_use]
    pub fn next_timestamp(&self) -> Timestamp {
        self.next
    }

    /// When the oldest version begins.
    #[must_use]
    pub fn min_timestamp(&self) -> Timestamp {
        self.versions.last().map_or(self.next, |version| version.valid_from)
    }

    /// All versions, newest first.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    fn is_degenerate(&self) -> bool {
        self.next == self.min_timestamp()
    }

    /// The version that was valid at `timestamp`; `None` outside of the row's time.
    #[must_use]
    pub fn find(&self, timestamp: Timestamp) -> Option<Found<'_>> {
        if timestamp >= self.next {
            return None;
        }
        let index = self.versions.iter().position(|version| version.valid_from <= timestamp)?;
        let valid_to = index.checked_sub(1).map_or(self.next, |newer| self.versions[newer].valid_from);
        let Version { valid_from, value } = &self.versions[index];
        Some(Found { index, valid_from: *valid_from, valid_to, value: value.as_deref() })
    }

    /// Adds a version that is newer than all others, valid in `[valid_from, valid_to)`. A gap before it becomes a
    /// deleted version. Versions from `valid_from` on, the trace of a write that was cut off, are removed.
    pub fn insert_as_latest(&mut self, valid_from: Timestamp, valid_to: Timestamp, value: Option<Vec<u8>>) {
        if valid_from < self.next {
            self.truncate_to(valid_from);
        }
        if self.is_degenerate() {
            self.versions.clear();
        }
        if self.next != valid_from {
            self.versions.insert(0, Version { valid_from: self.next, value: None });
        }
        self.versions.insert(0, Version { valid_from, value });
        self.next = valid_to;
    }

    /// Adds a version that is older than all others; it is valid until the oldest one begins.
    pub fn insert_as_earliest(&mut self, valid_from: Timestamp, value: Option<Vec<u8>>) {
        if self.is_degenerate() {
            self.versions.clear();
        }
        self.versions.push(Version { valid_from, value });
    }

    /// Adds a version at `index`, between its neighbours in time.
    pub fn insert(&mut self, index: usize, valid_from: Timestamp, value: Option<Vec<u8>>) {
        self.versions.insert(index.min(self.versions.len()), Version { valid_from, value });
    }

    /// Replaces the version at `index`, if there is one.
    pub fn update(&mut self, index: usize, valid_from: Timestamp, value: Option<Vec<u8>>) {
        if let Some(version) = self.versions.get_mut(index) {
            *version = Version { valid_from, value };
        }
    }

    /// Forgets what is known from `timestamp` on.
    fn truncate_to(&mut self, timestamp: Timestamp) {
        self.versions.retain(|version| version.valid_from < timestamp);
        self.next = timestamp;
        if self.versions.is_empty() {
            self.versions.push(Version { valid_from: timestamp, value: None });
        }
    }

    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.next.to_be_bytes());
        out.extend_from_slice(&self.min_timestamp().to_be_bytes());
        for version in &self.versions {
            out.extend_from_slice(&version.valid_from.to_be_bytes());
            // A value comes from a Kafka record, whose sizes are i32.
            let size = version.value.as_ref().map_or(DELETED, |value| value.len() as i32);
            out.extend_from_slice(&size.to_be_bytes());
        }
        for value in self.versions.iter().rev().filter_map(|version| version.value.as_ref()) {
            out.extend_from_slice(value);
        }
    }

    /// Reads a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("row of old versions", bytes);
        let next = reader.i64("end of the newest version")?;
        let least = reader.i64("start of the oldest version")?;
        // How many there are says only where the list stops.
        let mut entries = reader;
        let mut count = 1;
        while read_entry(&mut reader)?.0 != least {
            count += 1;
        }
        let mut versions = Vec::with_capacity(count);
        for _ in 0..count {
            let (valid_from, size) = read_entry(&mut entries)?;
            // Newest first from the end of the row.
            let value = size.map(|size| reader.take_last("value", size)).transpose()?;
            versions.push(Version { valid_from, value: value.map(<[u8]>::to_vec) });
        }
        match reader.left() {
            0 => Ok(Self { next, versions }),
            left => Err(reader.error(format!("{left} bytes that belong to no version"))),
        }
    }
}

/// Start of a version, and how many bytes its value has; `None`: deleted.
fn read_entry(reader: &mut Reader<'_>) -> Result<(Timestamp, Option<usize>), FormatError> {
    let valid_from = reader.i64("start of a version")?;
    let size = match reader.i32("size of a version")? {
        DELETED => None,
        size => Some(reader.not_negative("size of a version", size)?),
    };
    Ok((valid_from, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn versions_newest_first_values_oldest_first() {
        let mut row = SegmentRow::new(value("b"), 20, 30);
        row.insert_as_earliest(10, value("aa"));
        row.insert_as_latest(35, 40, None);
        assert_eq!(row.find(29).unwrap().value, Some(&b"b"[..]));
        assert_eq!(row.find(31), Some(Found { index: 1, valid_from: 30, valid_to: 35, value: None }));
        assert_eq!((row.find(9), row.find(40)), (None, None));
        let mut out = Vec::new();
        row.encode(&mut out);
        assert!(
            out.ends_with(b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x0a\0\0\0\x02aab")
        );
        assert_eq!(SegmentRow::decode(&out).unwrap(), row);
        assert!(SegmentRow::decode(&out[..out.len() - 1]).is_err());
        out.push(0);
        assert!(SegmentRow::decode(&out).is_err());
    }

    #[test]
    fn a_degenerate_row_gives_way() {
        let mut row = SegmentRow::new(None, 10, 10);
        assert_eq!(row.find(10), None);
        row.insert_as_earliest(5, value("a"));
        assert_eq!(row, SegmentRow::new(value("a"), 5, 10));
        // A write that was cut off is repeated: the newer half goes.
        row.insert_as_latest(5, 7, value("b"));
        assert_eq!(row, SegmentRow::new(value("b"), 5, 7));
    }
}
