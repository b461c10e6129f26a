//! How much passed: what a queue gave, what a sink wrote, since somebody looked.

use streams_state::types::{Headers, Timestamp};

use crate::metrics::Batch;

/// Records, their bytes and their times.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// How many.
    pub records: u64,
    /// Bytes of keys, values and headers.
    pub bytes: u64,
    /// Sum of the timestamps: a float, since no timestamp is too large for it.
    times: f64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Default for Amount {
    fn default() -> Self {
        Self { records: 0, bytes: 0, times: 0.0, oldest: Timestamp::MAX, newest: Timestamp::MIN }
    }
}

impl Amount {
    /// Adds a record.
    #[inline]
    pub fn add(&mut self, bytes: usize, headers: &Headers, timestamp: Timestamp) {
        self.records += 1;
        self.bytes += bytes as u64;
        self.times += timestamp as f64;
        self.oldest = self.oldest.min(timestamp);
        self.newest = self.newest.max(timestamp);
        if !headers.is_empty() {
            self.bytes += header_bytes(headers);
        }
    }

    /// The records, as one number.
    pub(crate) fn count(&self) -> Batch {
        Batch::of(self.records as f64)
    }

    /// How old they were at `now`, ms.
    pub(crate) fn age(&self, now: Timestamp) -> Batch {
        let now = now as f64;
        Batch {
            count: self.records,
            sum: now * self.records as f64 - self.times,
            min: now - self.newest as f64,
            max: now - self.oldest as f64,
            last: now - self.newest as f64,
        }
    }
}

#[cold]
fn header_bytes(headers: &Headers) -> u64 {
    let bytes = headers.iter().map(|header| header.key.len() + header.value.as_ref().map_or(0, Vec::len));
    bytes.sum::<usize>() as u64
}
