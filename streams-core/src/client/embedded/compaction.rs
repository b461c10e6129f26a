//! Compaction of a partition: of each key the last record stays, at its offset.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::Batch;
use super::partition::{Entry, Kind, PartitionLog};

/// Bytes of a batch that compaction fills up before it begins the next.
const BATCH_BYTES: usize = 256 * 1024;

impl PartitionLog {
    /// Compacts what is decided (before the last stable offset). Aborted records go; a tombstone stays for
    /// `delete_retention_ms` after the first compaction that met it.
    pub(super) fn compact(&mut self, now_ms: i64, delete_retention_ms: i64) {
        let stable = self.stable();
        let decided = self.entries.partition_point(|entry| entry.base < stable);
        let tail = self.entries.split_off(decided);
        let clean: Vec<Entry> = self.entries.drain(..).collect();
        let kept = survivors(&clean, self.start());
        let mut out = Compacted::default();
        for (number, entry) in clean.iter().enumerate() {
            let horizon_ms = entry.delete_horizon_ms.unwrap_or(now_ms.saturating_add(delete_retention_ms));
            for row in 0..entry.batch.len() {
                let Some(record) = entry.batch.record(entry.base, row) else { continue };
                let lives = match record.key {
                    Some(key) => kept.get(key) == Some(&(number, row)),
                    None => readable(entry) && record.offset >= self.start(),
                };
                if lives && (record.value.is_some() || horizon_ms > now_ms) {
                    let tombstone = record.value.is_none();
                    out.add(entry, tombstone.then_some(horizon_ms), record.offset, row);
                }
            }
        }
        self.entries = out.finish().into();
        self.entries.extend(tail);
    }
}

fn readable(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Plain | Kind::Transactional(_) => true,
        Kind::Aborted | Kind::Marker => false,
    }
}

/// Entry and row of the last record of each key.
fn survivors(entries: &[Entry], start: i64) -> HashMap<&[u8], (usize, usize)> {
    let mut last = HashMap::new();
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| readable(entry)) {
        for row in 0..entry.batch.len() {
            let Some(record) = entry.batch.record(entry.base, row) else { continue };
            if let Some(key) = record.key.filter(|_| record.offset >= start) {
                last.insert(key, (number, row));
            }
        }
    }
    last
}

/// The entries that compaction writes.
#[derive(Default)]
struct Compacted {
    entries: Vec<Entry>,
    base: i64,
    append_time: Option<i64>,
    horizon_ms: Option<i64>,
    batch: Batch,
}

impl Compacted {
    fn add(&mut self, from: &Entry, horizon_ms: Option<i64>, offset: i64, row: usize) {
        let Some(record) = from.batch.record(from.base, row) else { return };
        let same = self.append_time == from.append_time && self.horizon_ms == horizon_ms;
        if same && !self.batch.is_empty() && self.batch.size_bytes() < BATCH_BYTES {
            let delta = u32::try_from(offset - self.base);
            let push = |delta| {
                self.batch.push_at(delta, record.timestamp, record.key, record.value, &record.headers)
            };
            if delta.is_ok_and(push) {
                return;
            }
        }
        self.cut();
        self.base = offset;
        self.append_time = from.append_time;
        self.horizon_ms = horizon_ms;
        let fits = self.batch.push_at(0, record.timestamp, record.key, record.value, &record.headers);
        debug_assert!(fits, "a record that came out of a batch fits into an empty one");
    }

    fn cut(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = self.batch.take();
        self.entries.push(Entry {
            base: self.base,
            last: self.base + batch.last_delta(),
            kind: Kind::Plain,
            append_time: self.append_time,
            delete_horizon_ms: self.horizon_ms,
            batch: Arc::new(batch),
        });
    }

    fn finish(mut self) -> Vec<Entry> {
        self.cut();
        self.entries
    }
}
