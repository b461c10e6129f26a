//! The words for Kafka's things that stores and everything above them share.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Event time: milliseconds since the Unix epoch. Negative means unknown, as in Kafka.
pub type Timestamp = i64;

/// The timestamp that means "unknown".
pub const NO_TIMESTAMP: Timestamp = -1;

/// One partition of one topic. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Identifies a task: the sub-topology it runs and the partition it owns. Prints as Kafka Streams does, `0_3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TaskId {
    /// Number of the sub-topology.
    pub subtopology: u32,
    /// Partition number.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

impl FromStr for TaskId {
    type Err = UnknownTask;

    /// Reads what [`TaskId`] prints, and nothing else.
    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        let unknown = || UnknownTask(name.to_owned());
        let (subtopology, partition) = name.split_once('_').ok_or_else(unknown)?;
        let parsed = (subtopology.parse(), partition.parse());
        let (Ok(subtopology), Ok(partition)) = parsed else { return Err(unknown()) };
        let task = TaskId { subtopology, partition };
        if task.to_string() == name { Ok(task) } else { Err(unknown()) }
    }
}

/// A text that names no task.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no name of a task, like `0_3`")]
pub struct UnknownTask(String);

/// One record header: a name and a value that may be null. Names may repeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Header name.
    pub key: String,
    /// Header bytes; `None` is a null header.
    pub value: Option<Vec<u8>>,
}

/// The headers of a record, in order. Empty headers cost nothing; clones share.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// No headers.
    pub const EMPTY: Headers = Headers(None);

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_deref().map_or([].iter(), |headers| headers.iter())
    }

    /// Adds a header at the end.
    pub fn add(&mut self, key: impl Into<String>, value: Option<Vec<u8>>) {
        let list = self.0.get_or_insert_with(Default::default);
        Arc::make_mut(list).push(Header { key: key.into(), value });
    }

    /// Removes every header of this name.
    pub fn remove(&mut self, key: &str) {
        if let Some(list) = &mut self.0 {
            Arc::make_mut(list).retain(|header| header.key != key);
            if list.is_empty() {
                self.0 = None;
            }
        }
    }

    /// The value of the last header of this name.
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.iter().rfind(|header| header.key == key)
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let list: Vec<Header> = headers.into_iter().collect();
        if list.is_empty() { Self(None) } else { Self(Some(Arc::new(list))) }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Key and value of a source record as it was read, for error handlers: they travel with everything that comes of
/// the record. None are kept if no handler wants them, which costs nothing; clones share.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SourceBytes(Option<Arc<KeyAndValue>>);

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct KeyAndValue {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl SourceBytes {
    /// Nothing is kept.
    pub const NONE: SourceBytes = SourceBytes(None);

    /// Whether a record is kept, be its key and value null.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps a copy of this record. Uses the memory of the one before again if nobody shares it.
    pub fn set(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let kept = self.0.get_or_insert_default();
        if Arc::get_mut(kept).is_none() {
            *kept = Arc::default();
        }
        if let Some(kept) = Arc::get_mut(kept) {
            copy(&mut kept.key, key);
            copy(&mut kept.value, value);
        }
    }

    /// Key bytes; `None` for a null key, or if nothing is kept.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.as_ref()?.key.as_deref()
    }

    /// Value bytes; `None` for a null value, or if nothing is kept.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.as_ref()?.value.as_deref()
    }

    /// Number of bytes of key and value.
    pub(crate) fn len(&self) -> u64 {
        (self.key().map_or(0, <[u8]>::len) + self.value().map_or(0, <[u8]>::len)) as u64
    }
}

/// Copies `bytes` into a buffer that is used again.
fn copy(buffer: &mut Option<Vec<u8>>, bytes: Option<&[u8]>) {
    match (bytes, buffer.as_mut()) {
        (None, _) => *buffer = None,
        (Some(bytes), Some(buffer)) => {
            buffer.clear();
            buffer.extend_from_slice(bytes);
        }
        (Some(bytes), None) => *buffer = Some(bytes.to_vec()),
    }
}

/// A row of a header-aware store: the value, and the headers of the record that made it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ValueAndHeaders<V> {
    /// The value.
    pub value: V,
    /// Headers of the record.
    pub headers: Headers,
}

/// A table's update: the value before and after. `None` says missing, never an empty value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change<V> {
    /// Value before the update, if known and wanted downstream.
    pub old: Option<V>,
    /// Value after the update; `None` deletes the row.
    pub new: Option<V>,
    /// Whether `new` is the row's latest version. `false` only for an update of a versioned table that came out of
    /// order: it changed the past, and the row of today stays.
    pub is_latest: bool,
}

impl<V> Change<V> {
    /// A change of the latest version of a row.
    #[inline]
    pub fn latest(old: Option<V>, new: Option<V>) -> Self {
        Self { old, new, is_latest: true }
    }
}

/// A stretch of event time. The end of a time window is exclusive, that of a session inclusive, as in Kafka Streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Window {
    /// First millisecond.
    pub start: Timestamp,
    /// First millisecond after a time window; last one of a session; `i64::MAX` for an unlimited window.
    pub end: Timestamp,
}

/// A key and the window in which its records were aggregated. Prints as in Kafka Streams, `[key@start/end]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

impl<K: fmt::Display> fmt::Display for Windowed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}@{}/{}]", self.key, self.window.start, self.window.end)
    }
}

/// Where the record that is being processed came from. Travels with cached updates, so that what a flush
/// forwards carries the context of the update, as in Kafka Streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordContext {
    /// Index of the source topic in the task's list; `u32::MAX` where there is none (punctuation).
    pub source: u32,
    /// Offset in the source partition; -1 where there is none.
    pub offset: i64,
    /// Timestamp of the record.
    pub timestamp: Timestamp,
    /// Headers of the record.
    pub headers: Headers,
    /// Bytes of the source record, if an error handler may want them.
    pub source_bytes: SourceBytes,
}

impl RecordContext {
    /// The context outside of any record, as in a punctuation at `timestamp`.
    pub fn none(timestamp: Timestamp) -> Self {
        let (headers, source_bytes) = (Headers::EMPTY, SourceBytes::NONE);
        Self { source: u32::MAX, offset: -1, timestamp, headers, source_bytes }
    }
}
