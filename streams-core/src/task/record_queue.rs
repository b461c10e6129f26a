//! Step 2, deserialize: the queue of one source partition.
//!
//! In: raw records, whose bytes are copied once. Out: a typed head, held by the [`SourceNode`], with its timestamp. A record
//! that cannot be used (bad bytes, negative timestamp) is skipped here, and its offset still counts as consumed.
//! Never reads a clock, never allocates per record.

use std::collections::VecDeque;
use std::sync::Arc;

use streams_state::types::{Headers, NO_TIMESTAMP, RecordContext, Timestamp};

use super::arena::Arena;
use crate::error::NodeResult;
use crate::metrics::Mark;
use crate::processor::{Amount, DropReason, SourceNode, TaskContext};
use crate::record::RawRecord;

/// A length that means null.
const NULL: u32 = u32::MAX;

/// A waiting record; its key and value lie in the arena, one behind the other.
struct Waiting {
    offset: i64,
    timestamp: Timestamp,
    headers: Headers,
    start: usize,
    key_len: u32,
    value_len: u32,
}

impl Waiting {
    /// Bytes of key and value.
    #[inline]
    fn bytes(&self) -> usize {
        let length = |length: u32| if length == NULL { 0 } else { length as usize };
        length(self.key_len) + length(self.value_len)
    }

    fn key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        // No `get`: bytes that are not there must not look like null, which is a deletion.
        (self.key_len != NULL).then(|| &bytes[self.start..self.start + self.key_len as usize])
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.start + if self.key_len == NULL { 0 } else { self.key_len as usize };
        (self.value_len != NULL).then(|| &bytes[start..start + self.value_len as usize])
    }
}

/// What is at the head of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Head {
    /// Nothing is loaded.
    Empty,
    /// The first waiting record is loaded; this is its extracted timestamp.
    Record(Timestamp),
    /// All records up to this offset were skipped and none came after. Takes a turn like a record, as in Kafka
    /// Streams (KAFKA-6502).
    Skipped(i64),
}

/// The queue of one source partition.
pub struct RecordQueue {
    source: Box<dyn SourceNode>,
    node: Arc<str>,
    /// What the thread says while it is in the source node.
    pub(super) mark: Mark,
    slot: u32,
    waiting: VecDeque<Waiting>,
    arena: Arena,
    head: Head,
    partition_time: Timestamp,
    /// Offset after the last record that was processed or skipped, or the consumer's position behind it.
    next_offset: Option<i64>,
    committed: Option<i64>,
    keep_raw: bool,
    /// What was processed since somebody looked.
    processed: Amount,
}

impl RecordQueue {
    /// An empty queue in front of `source`, an end of the source node `node`, and what the thread says while it is in that node. `slot` is
    /// the queue's number in its task.
    /// `keep_raw`: leave key and value bytes of the record in work in the context, for handlers.
    pub fn new(
        source: Box<dyn SourceNode>,
        (node, mark): (Arc<str>, Mark),
        slot: u32,
        keep_raw: bool,
    ) -> Self {
        Self {
            source,
            node,
            mark,
            slot,
            waiting: VecDeque::new(),
            arena: Arena::default(),
            head: Head::Empty,
            partition_time: NO_TIMESTAMP,
            next_offset: None,
            committed: None,
            keep_raw,
            processed: Amount::default(),
        }
    }

    /// An empty queue, numbered `slot`, in front of the same node.
    pub fn fork(&self, slot: u32) -> Self {
        Self::new(self.source.fork(), (self.node.clone(), self.mark), slot, self.keep_raw)
    }

    /// Name of the source node.
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// Appends a record. Its bytes are copied. Returns whether the queue was empty before.
    #[inline]
    pub fn push(&mut self, raw: RawRecord<'_>) -> bool {
        let was_empty = self.is_empty();
        let length = |bytes: Option<&[u8]>| bytes.map_or(NULL, |bytes| bytes.len() as u32);
        let (key_len, value_len) = (length(raw.key), length(raw.value));
        let start = self.arena.push(raw.key.unwrap_or_default(), raw.value.unwrap_or_default());
        self.waiting.push_back(Waiting {
            offset: raw.offset,
            timestamp: raw.timestamp,
            headers: raw.headers,
            start,
            key_len,
            value_len,
        });
        was_empty
    }

    /// Number of records that wait, a skipped head included.
    #[inline]
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(matches!(self.head, Head::Skipped(_)))
    }

    /// Whether no record waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Timestamp of the head, by which the queue takes its turn; `None` if nothing is loaded.
    #[inline]
    pub fn head_timestamp(&self) -> Option<Timestamp> {
        match self.head {
            Head::Empty => None,
            Head::Record(timestamp) => Some(timestamp),
            Head::Skipped(_) => Some(NO_TIMESTAMP),
        }
    }

    /// Largest timestamp processed; -1 before the first.
    pub fn partition_time(&self) -> Timestamp {
        self.partition_time
    }

    /// Where the queue goes on after a restart: partition time and next offset, as committed.
    pub fn start_at(&mut self, committed: Option<i64>, partition_time: Timestamp) {
        self.committed = committed;
        self.partition_time = self.partition_time.max(partition_time);
    }

    /// The consumer's position: moves past transaction markers behind the last record. Ignored while records wait, and
    /// before anything was consumed or committed.
    pub fn update_position(&mut self, position: i64) {
        if self.is_empty() {
            let reached = self.next_offset.or(self.committed);
            self.next_offset = reached.map(|reached| reached.max(position));
        }
    }

    /// The next offset to commit: that of the first unprocessed record, else the one after the last. `None` if
    /// nothing was consumed yet.
    pub fn next_offset(&self) -> Option<i64> {
        match (self.head, self.waiting.front()) {
            (Head::Record(_) | Head::Empty, Some(first)) => Some(first.offset),
            (Head::Skipped(offset), _) => Some(offset + 1),
            (Head::Record(_) | Head::Empty, None) => self.next_offset,
        }
    }

    /// The offset of the first record that is not processed yet: also before anything was consumed, if something is committed.
    pub fn reached(&self) -> Option<i64> {
        self.next_offset().or(self.committed)
    }

    /// The offset to commit if it differs from the committed one.
    pub fn uncommitted_offset(&self) -> Option<i64> {
        self.next_offset().filter(|next| self.next_offset.is_some() && self.committed != Some(*next))
    }

    /// The offsets up to `offset` are committed.
    pub fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    /// What was processed since the last call.
    pub fn take_processed(&mut self) -> Amount {
        std::mem::take(&mut self.processed)
    }

    /// Deserializes waiting records until one is a head. Called when the queue gets its first record, and after each turn.
    #[inline]
    pub fn load(&mut self, context: &mut TaskContext) -> NodeResult {
        while self.head == Head::Empty || matches!(self.head, Head::Skipped(_)) {
            let Some(first) = self.waiting.front() else {
                break;
            };
            let bytes = self.arena.front();
            let raw = RawRecord {
                offset: first.offset,
                timestamp: first.timestamp,
                key: first.key(bytes),
                value: first.value(bytes),
                headers: first.headers.clone(),
            };
            let mut source_bytes = std::mem::take(&mut context.record.source_bytes);
            if self.keep_raw {
                source_bytes.set(raw.key, raw.value);
            }
            context.record = RecordContext {
                source: self.slot,
                offset: raw.offset,
                timestamp: raw.timestamp,
                headers: raw.headers.clone(),
                source_bytes,
            };
            match self.source.load(context, &raw, self.partition_time)? {
                Some(timestamp) if timestamp >= 0 => self.head = Head::Record(timestamp),
                negative => self.skip(context, negative.is_some()),
            }
        }
        Ok(())
    }

    /// Processes the head through the topology and loads the next one.
    #[inline]
    pub fn process(&mut self, context: &mut TaskContext) -> NodeResult {
        context.metrics.at_work().set(self.mark);
        match self.head {
            Head::Empty => {}
            Head::Skipped(_) => self.head = Head::Empty,
            Head::Record(timestamp) => self.process_record(context, timestamp)?,
        }
        self.load(context)
    }

    /// Keys of the records that come next, the head included: some of them, those that lie close together.
    pub(super) fn upcoming_keys(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.arena.front();
        self.waiting.iter().take(self.arena.in_front()).filter_map(|waiting| waiting.key(bytes))
    }

    /// Forgets all waiting records, and what was consumed of them.
    pub fn clear(&mut self) {
        if matches!(self.head, Head::Record(_)) {
            self.source.discard();
        }
        self.head = Head::Empty;
        while self.waiting.pop_front().is_some() {
            self.arena.release();
        }
        self.next_offset = None;
    }

    #[inline]
    fn process_record(&mut self, context: &mut TaskContext, timestamp: Timestamp) -> NodeResult {
        let Some(first) = self.waiting.front_mut() else {
            return Ok(());
        };
        let offset = first.offset;
        self.processed.add(first.bytes(), &first.headers, timestamp);
        let headers = std::mem::take(&mut first.headers);
        let mut source_bytes = std::mem::take(&mut context.record.source_bytes);
        if self.keep_raw {
            let bytes = self.arena.front();
            source_bytes.set(first.key(bytes), first.value(bytes));
        }
        context.record = RecordContext { source: self.slot, offset, timestamp, headers, source_bytes };
        self.partition_time = self.partition_time.max(timestamp);
        context.stream_time = context.stream_time.max(timestamp);
        self.source.process(context)?;
        self.head = Head::Empty;
        self.next_offset = Some(offset + 1);
        self.drop_first();
        Ok(())
    }

    #[cold]
    fn skip(&mut self, context: &mut TaskContext, negative_timestamp: bool) {
        if negative_timestamp {
            self.source.discard();
            context.drop_record(&self.node, DropReason::NegativeTimestamp);
        }
        self.head = Head::Skipped(context.record.offset);
        self.next_offset = Some(context.record.offset + 1);
        self.drop_first();
    }

    #[inline]
    fn drop_first(&mut self) {
        self.waiting.pop_front();
        self.arena.release();
    }
}
