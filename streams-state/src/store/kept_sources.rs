//! The source records of rows that wait in a buffer, for error handlers that may be told of the row later.
//!
//! In memory only and up to a limit: after a restart, and beyond the limit, a handler sees no bytes.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::key_bytes::KeyBytes;
use crate::types::SourceBytes;

/// Source records by the key of the row that waits. Empty, and never hashed into, if nobody wants them.
pub(super) struct KeptSources {
    rows: HashMap<KeyBytes, SourceBytes, RandomState>,
    bytes: u64,
    max_bytes: u64,
}

impl KeptSources {
    /// Keeps up to `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { rows: HashMap::default(), bytes: 0, max_bytes }
    }

    /// The row at `key` came of `source`.
    pub(super) fn put(&mut self, key: &[u8], source: &SourceBytes) {
        self.take(key);
        if !source.is_kept() || self.bytes + source.len() > self.max_bytes {
            return;
        }
        self.bytes += source.len();
        self.rows.insert(KeyBytes::new(key), source.clone());
    }

    /// What the row at `key` came of.
    pub(super) fn get(&self, key: &[u8]) -> SourceBytes {
        if self.rows.is_empty() { SourceBytes::NONE } else { self.rows.get(key).cloned().unwrap_or_default() }
    }

    /// The row at `key` goes.
    pub(super) fn take(&mut self, key: &[u8]) -> SourceBytes {
        if self.rows.is_empty() {
            return SourceBytes::NONE;
        }
        let source = self.rows.remove(key).unwrap_or_default();
        self.bytes -= source.len();
        source
    }

    /// All rows go.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(value: &[u8]) -> SourceBytes {
        let mut source = SourceBytes::NONE;
        source.set(None, Some(value));
        source
    }

    #[test]
    fn keeps_up_to_its_limit() {
        let mut kept = KeptSources::new(5);
        kept.put(b"a", &source(b"123"));
        kept.put(b"b", &source(b"456"));
        assert_eq!((kept.get(b"a").value(), kept.get(b"b").value()), (Some(&b"123"[..]), None));
        kept.put(b"a", &source(b"1"));
        kept.put(b"b", &source(b"4567"));
        assert_eq!(kept.take(b"b").value(), Some(&b"4567"[..]));
        kept.put(b"a", &SourceBytes::NONE);
        assert!(kept.rows.is_empty() && kept.bytes == 0);
    }
}
