//! What a task wants to send: filled by sinks and changelogs, emptied by the runtime into the producer.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};

use crate::record::size_upper_bound;

/// Handle of a topic that a task writes. Index into [`Outbox::topics`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutTopic(pub u32);

/// One record to send. Key and value are ranges of the outbox's buffer.
#[derive(Clone, Debug)]
pub struct OutRecord {
    /// Topic.
    pub topic: OutTopic,
    /// Partition, if somebody chose; else the default partitioner decides from the key.
    pub partition: Option<i32>,
    /// Key bytes; `None` is null.
    pub key: Option<Range<usize>>,
    /// Value bytes; `None` is null.
    pub value: Option<Range<usize>>,
    /// Timestamp; `None` leaves it to the producer's clock.
    pub timestamp: Option<Timestamp>,
    /// Headers.
    pub headers: Headers,
}

/// Records to send, in order, and one byte buffer for all their keys and values.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Names of the topics written, by handle. Internal topics carry the application's prefix.
    pub topics: Vec<Arc<str>>,
    index: HashMap<Arc<str>, OutTopic>,
    /// Bytes of all keys and values.
    pub bytes: Vec<u8>,
    /// Records in order.
    pub records: Vec<OutRecord>,
    /// `max.request.size` of the producer; `None` is no limit.
    pub record_max_bytes: Option<usize>,
}

impl Outbox {
    /// The handle of `topic`, made on first use.
    pub fn topic(&mut self, topic: &str) -> OutTopic {
        if let Some(handle) = self.index.get(topic) {
            return *handle;
        }
        let name: Arc<str> = topic.into();
        let handle = OutTopic(self.topics.len() as u32);
        self.topics.push(name.clone());
        self.index.insert(name, handle);
        handle
    }

    /// Appends a record whose bytes exist already.
    pub fn push(
        &mut self,
        topic: OutTopic,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<Timestamp>,
        headers: Headers,
    ) {
        let key = key.map(|key| self.append(key));
        let value = value.map(|value| self.append(value));
        self.records.push(OutRecord { topic, partition, key, value, timestamp, headers });
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// The bytes behind a range of this outbox.
    pub fn slice(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        range.as_ref().and_then(|range| self.bytes.get(range.clone()))
    }

    /// Size of a record whose parts lie in the buffer, if it is larger than the producer takes.
    pub fn too_large(
        &self,
        key: &Option<Range<usize>>,
        value: &Option<Range<usize>>,
        headers: &Headers,
    ) -> Option<usize> {
        let bytes = size_upper_bound(self.slice(key), self.slice(value), headers);
        self.record_max_bytes.is_some_and(|max| bytes > max).then_some(bytes)
    }

    /// Changes buffers with `other`, so that tasks which send much at once, one after the other, need one large buffer together. Only
    /// if both are empty.
    pub fn swap_buffers(&mut self, other: &mut Self) {
        if self.records.is_empty() && other.records.is_empty() {
            std::mem::swap(&mut self.bytes, &mut other.bytes);
            std::mem::swap(&mut self.records, &mut other.records);
        }
    }

    /// Forgets all records; topics and capacity stay.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}
