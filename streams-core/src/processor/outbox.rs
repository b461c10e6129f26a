//! What a task wants to send: filled by sinks and changelogs, emptied by the runtime into the producer.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};

use super::Amount;
use crate::record::size_upper_bound;

/// Handle of a topic that a task writes. Index into [`Outbox::topics`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutTopic(pub u32);

/// Who writes: a sink, or by default whoever is none, a changelog for instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Writer(u32);

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
    /// By writer: 0 is whoever is no sink.
    index: Vec<HashMap<Arc<str>, OutTopic>>,
    /// Names of the sinks.
    sinks: Vec<Arc<str>>,
    /// Who makes handles at the moment.
    making: Writer,
    /// By handle: its writer, and what was written since somebody looked.
    written: Vec<(Writer, Amount)>,
    /// Bytes of all keys and values.
    pub bytes: Vec<u8>,
    /// Records in order.
    pub records: Vec<OutRecord>,
    /// `max.request.size` of the producer; `None` is no limit.
    pub record_max_bytes: Option<usize>,
}

impl Outbox {
    /// The handle of `topic` for who is being made, made on first use.
    pub fn topic(&mut self, topic: &str) -> OutTopic {
        self.topic_of(self.making, topic)
    }

    /// The handle of `topic` for `writer`, made on first use. Each has one of its own.
    pub fn topic_of(&mut self, writer: Writer, topic: &str) -> OutTopic {
        let index = writer.0 as usize;
        if self.index.len() <= index {
            self.index.resize_with(index + 1, HashMap::new);
        }
        let known = self.index.get(index).and_then(|topics| topics.get(topic));
        if let Some(handle) = known {
            return *handle;
        }
        let name: Arc<str> = topic.into();
        let handle = OutTopic(self.topics.len() as u32);
        self.topics.push(name.clone());
        self.written.push((writer, Amount::default()));
        if let Some(topics) = self.index.get_mut(index) {
            topics.insert(name, handle);
        }
        handle
    }

    /// Handles that are made from now on are those of the sink `node`; `None`: of nobody in particular.
    pub fn make_for(&mut self, node: Option<&Arc<str>>) {
        self.making = match node {
            Some(node) => {
                self.sinks.push(node.clone());
                Writer(self.sinks.len() as u32)
            }
            None => Writer::default(),
        };
    }

    /// Who makes handles at the moment.
    pub fn writer(&self) -> Writer {
        self.making
    }

    /// Sink and topic of handle number `index`; `None` if no sink writes it.
    pub fn sink_of(&self, index: usize) -> Option<(&Arc<str>, &Arc<str>)> {
        let (writer, _) = self.written.get(index)?;
        Some((self.sinks.get((writer.0 as usize).checked_sub(1)?)?, self.topics.get(index)?))
    }

    /// Counts the records that sinks wrote and that are about to be sent.
    pub fn count_written(&mut self) {
        for record in &self.records {
            if let Some((writer, amount)) = self.written.get_mut(record.topic.0 as usize)
                && *writer != Writer::default()
            {
                let length = |part: &Option<Range<usize>>| part.as_ref().map_or(0, Range::len);
                let bytes = length(&record.key) + length(&record.value);
                amount.add(bytes, &record.headers, record.timestamp.unwrap_or_default());
            }
        }
    }

    /// What was counted for handle number `index` since the last call.
    pub fn take_written(&mut self, index: usize) -> Amount {
        self.written.get_mut(index).map(|(_, amount)| std::mem::take(amount)).unwrap_or_default()
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

    /// Forgets all records; topics and capacity stay.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}
