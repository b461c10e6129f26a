//! Step 5 to 6: changelog entries between the store that wrote them and the producer. One buffer of bytes, so
//! that logging an update is a copy and no allocation.

use super::ChangelogEntry;
use crate::error::StateError;
use crate::serdes::SerdeError;
use crate::types::{Headers, Timestamp};

/// Capacity that survives a drain.
const KEPT_BYTES: usize = 256 << 10;

/// Entries in order. Key and value lie one after the other in `bytes`.
#[derive(Default)]
pub(super) struct ChangelogBuffer {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Index of an entry and its headers, for those that have any, ascending.
    headers: Vec<(usize, Headers)>,
}

struct Entry {
    key_end: usize,
    value_end: usize,
    present: bool,
    timestamp: Timestamp,
}

impl ChangelogBuffer {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory that the entries need.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.bytes.len() + self.entries.len() * size_of::<Entry>()) as u64
    }

    /// Appends an entry whose value `write` appends, at `timestamps.0`; a tombstone, at `timestamps.1`, if
    /// `write` says null. Returns the bytes of the value.
    #[inline]
    pub(super) fn push(
        &mut self,
        key: &[u8],
        timestamps: (Timestamp, Timestamp),
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, SerdeError>,
    ) -> Result<Option<usize>, SerdeError> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        let present = match write(&mut self.bytes) {
            Ok(present) => present,
            Err(error) => {
                self.bytes.truncate(start);
                return Err(error);
            }
        };
        if !present {
            self.bytes.truncate(key_end);
        }
        let value_end = self.bytes.len();
        let timestamp = if present { timestamps.0 } else { timestamps.1 };
        self.entries.push(Entry { key_end, value_end, present, timestamp });
        Ok(present.then_some(value_end - key_end))
    }

    /// Appends an entry whose bytes exist already; `None` is a tombstone.
    pub(super) fn push_bytes(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let (value_end, present) = (self.bytes.len(), value.is_some());
        self.entries.push(Entry { key_end, value_end, present, timestamp });
    }

    /// Gives the entry that was pushed last these headers.
    pub(super) fn last_headers(&mut self, headers: &Headers) {
        if let Some(last) = self.entries.len().checked_sub(1)
            && !headers.is_empty()
        {
            self.headers.push((last, headers.clone()));
        }
    }

    /// Hands the entries over, in order, and forgets them.
    pub(super) fn drain(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.iter().try_for_each(sink)?;
        self.clear();
        Ok(())
    }

    /// The entries in order.
    fn iter(&self) -> impl Iterator<Item = ChangelogEntry<'_>> {
        let mut start = 0;
        let mut headers = self.headers.iter().peekable();
        self.entries.iter().enumerate().map(move |(index, entry)| {
            let key = &self.bytes[start..entry.key_end];
            let value = &self.bytes[entry.key_end..entry.value_end];
            start = entry.value_end;
            let headers =
                headers.next_if(|(owner, _)| *owner == index).map_or(&Headers::EMPTY, |(_, own)| own);
            ChangelogEntry { key, value: entry.present.then_some(value), timestamp: entry.timestamp, headers }
        })
    }

    /// Forgets all entries; capacity stays up to a limit.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.headers.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.entries.shrink_to(KEPT_BYTES / size_of::<Entry>());
    }
}
