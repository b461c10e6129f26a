//! The log of one partition: batches and transaction markers at their offsets, what is stable, what is aborted.
//!
//! In: batches with the stamp of their producer. Out: batches from an offset on, filtered by isolation. Offsets are
//! given once and never again, whatever is deleted or compacted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};

use super::batch::Batch;
use super::errors::fenced;
use crate::client::{ClientError, Fault};
use crate::record::RawRecord;

/// Batches handed out by one read at most.
const READ_BATCHES_MAX: usize = 64;
/// Largest batch that single records are added to.
const TAIL_BYTES_MAX: usize = 64 * 1024;
/// Largest number of records of a batch that single records are added to.
const TAIL_RECORDS_MAX: usize = 4096;

/// Who wrote a batch: proof against zombies and repeated requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    /// Producer id.
    pub(super) producer: i64,
    /// Its epoch.
    pub(super) epoch: i16,
    /// Number of the first record of the batch in this partition, counted by the producer from 0 in each epoch.
    pub(super) sequence: i64,
    /// Whether it belongs to a transaction.
    pub(super) transactional: bool,
}

/// What an entry is to readers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Records outside of transactions.
    Plain,
    /// Records of a transaction of this producer, open or committed.
    Transactional(i64),
    /// Records of an aborted transaction.
    Aborted,
    /// A transaction marker: occupies one offset, has no record.
    Marker,
}

/// A batch or marker in the log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) base: i64,
    pub(super) last: i64,
    pub(super) kind: Kind,
    /// Timestamp of all records if the topic stamps them when they are appended.
    pub(super) append_time: Option<Timestamp>,
    /// When compaction may drop the tombstones.
    pub(super) delete_horizon_ms: Option<i64>,
    pub(super) batch: Arc<Batch>,
}

/// A batch handed to a reader.
#[derive(Clone, Debug)]
pub(super) struct FetchedBatch {
    pub(super) base: i64,
    pub(super) append_time: Option<Timestamp>,
    pub(super) batch: Arc<Batch>,
}

/// What a read brought.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) batches: Vec<FetchedBatch>,
    /// Where the next read begins: after the last batch, markers and hidden records skipped.
    pub(super) next: i64,
    /// End of what this reader may see.
    pub(super) end: i64,
}

#[derive(Clone, Copy, Debug)]
struct ProducerEntry {
    epoch: i16,
    next_sequence: i64,
    last_sequence: i64,
    last_offset: i64,
}

/// The log of one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    pub(super) entries: VecDeque<Entry>,
    start: i64,
    end: i64,
    /// First offset of the open transaction of each producer.
    open: BTreeMap<i64, i64>,
    producers: BTreeMap<i64, ProducerEntry>,
}

impl PartitionLog {
    /// First offset still in the log.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Offset after the last record or marker.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Offset up to which every transaction is decided.
    pub(super) fn stable(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// The open transactions: producer and first offset.
    #[cfg(feature = "sim")]
    pub(super) fn open(&self) -> Vec<(i64, i64)> {
        self.open.iter().map(|(producer, first)| (*producer, *first)).collect()
    }

    /// Appends a batch, and gives the offset of its last record.
    ///
    /// # Errors
    /// [`Fault::ProducerFenced`] if a newer epoch wrote here, [`Fault::AbortTransaction`] if batches of the producer
    /// are missing. A repeated batch is not an error and not appended twice.
    pub(super) fn append(
        &mut self,
        stamp: Option<Stamp>,
        append_time: Option<Timestamp>,
        batch: Batch,
    ) -> Result<i64, ClientError> {
        let records = batch.len() as i64;
        if let Some(last) = stamp.map_or(Ok(None), |stamp| self.check_sequence(stamp))? {
            return Ok(last);
        }
        let (base, last) = (self.end, self.end + batch.last_delta());
        let kind = match stamp {
            Some(stamp) if stamp.transactional => {
                self.open.entry(stamp.producer).or_insert(base);
                Kind::Transactional(stamp.producer)
            }
            _ => Kind::Plain,
        };
        if let Some(stamp) = stamp {
            self.producers.insert(
                stamp.producer,
                ProducerEntry {
                    epoch: stamp.epoch,
                    next_sequence: stamp.sequence + records,
                    last_sequence: stamp.sequence,
                    last_offset: last,
                },
            );
        }
        self.push(base, last, kind, append_time, batch);
        Ok(last)
    }

    /// Appends one record outside of transactions and producers, and gives its offset.
    pub(super) fn append_one(
        &mut self,
        timestamp: Timestamp,
        append_time: Option<Timestamp>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Option<i64> {
        let offset = self.end;
        if let Some(batch) = self.open_tail(append_time)
            && batch.push(timestamp, key, value, headers)
        {
            if let Some(tail) = self.entries.back_mut() {
                tail.last = offset;
            }
            self.end = offset + 1;
            return Some(offset);
        }
        let mut batch = Batch::default();
        if !batch.push(timestamp, key, value, headers) {
            return None;
        }
        self.push(offset, offset, Kind::Plain, append_time, batch);
        Some(offset)
    }

    /// The last batch, if nobody holds it and records may be added to it.
    fn open_tail(&mut self, append_time: Option<Timestamp>) -> Option<&mut Batch> {
        let tail = self.entries.back_mut()?;
        let batch = Arc::get_mut(&mut tail.batch)?;
        let plain = tail.kind == Kind::Plain && tail.append_time == append_time;
        let dense = tail.last + 1 == self.end && tail.base + batch.len() as i64 == self.end;
        let room = batch.len() < TAIL_RECORDS_MAX && batch.size_bytes() < TAIL_BYTES_MAX;
        (plain && dense && room).then_some(batch)
    }

    fn push(&mut self, base: i64, last: i64, kind: Kind, append_time: Option<Timestamp>, batch: Batch) {
        let batch = Arc::new(batch);
        self.entries.push_back(Entry { base, last, kind, append_time, delete_horizon_ms: None, batch });
        self.end = last + 1;
    }

    /// `Some(last offset)` if this batch was appended before.
    fn check_sequence(&self, stamp: Stamp) -> Result<Option<i64>, ClientError> {
        let known = self.producers.get(&stamp.producer);
        let expected = match known {
            Some(known) if known.epoch > stamp.epoch => {
                return Err(fenced("append", "a producer with a newer epoch wrote to this partition"));
            }
            Some(known) if known.epoch == stamp.epoch => {
                if stamp.sequence == known.last_sequence {
                    return Ok(Some(known.last_offset));
                }
                known.next_sequence
            }
            _ => 0,
        };
        if stamp.sequence == expected {
            return Ok(None);
        }
        let message = format!("batch {} of the producer came where {expected} was expected", stamp.sequence);
        Err(ClientError::new(Fault::AbortTransaction, "append", message))
    }

    /// Ends the transaction of `producer`: writes its marker, and hides its records if it was aborted.
    pub(super) fn end_transaction(&mut self, producer: i64, commit: bool) {
        let first = self.open.remove(&producer).filter(|_| !commit).unwrap_or(i64::MAX);
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.base >= first) {
            if entry.kind == Kind::Transactional(producer) {
                entry.kind = Kind::Aborted;
            }
        }
        self.push(self.end, self.end, Kind::Marker, None, Batch::default());
    }

    /// Reads from offset `from` on; `None` if it is not in the log.
    pub(super) fn read(&self, from: i64, read_committed: bool) -> Option<Fetch> {
        if from < self.start || from > self.end {
            return None;
        }
        let end = if read_committed { self.stable() } else { self.end };
        let first = self.entries.partition_point(|entry| entry.last < from);
        let mut fetch = Fetch { batches: Vec::new(), next: from, end };
        for entry in self.entries.range(first..) {
            if entry.base >= end {
                break;
            }
            if fetch.batches.len() == READ_BATCHES_MAX {
                return Some(fetch);
            }
            fetch.next = entry.last + 1;
            let hidden = match entry.kind {
                Kind::Plain | Kind::Transactional(_) => entry.batch.is_empty(),
                Kind::Aborted => read_committed || entry.batch.is_empty(),
                Kind::Marker => true,
            };
            if !hidden {
                let batch = Arc::clone(&entry.batch);
                fetch.batches.push(FetchedBatch { base: entry.base, append_time: entry.append_time, batch });
            }
        }
        fetch.next = fetch.next.max(end);
        Some(fetch)
    }

    /// Deletes the records before `before`, or all for -1. `None` if the log does not reach that far.
    pub(super) fn delete_before(&mut self, before: i64) -> Option<i64> {
        let before = if before == -1 { self.end } else { before };
        if before < 0 || before > self.end {
            return None;
        }
        self.start = self.start.max(before);
        while self.entries.front().is_some_and(|entry| entry.last < self.start) {
            self.entries.pop_front();
        }
        Some(self.start)
    }
}

impl FetchedBatch {
    /// Row `row`, as a reader sees it.
    pub(super) fn record(&self, row: usize) -> Option<RawRecord<'_>> {
        let mut record = self.batch.record(self.base, row)?;
        if let Some(timestamp) = self.append_time {
            record.timestamp = timestamp;
        }
        Some(record)
    }

    /// Gives the records from offset `from` on to `take`.
    pub(super) fn records_from(&self, from: i64, mut take: impl FnMut(RawRecord<'_>)) {
        let first = self.batch.row_at(from - self.base);
        for record in (first..self.batch.len()).filter_map(|row| self.record(row)) {
            take(record);
        }
    }
}
