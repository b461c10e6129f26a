//! A record, typed (between nodes) and raw (at the edges).

use streams_state::types::{Headers, Timestamp};

/// A typed record on its way through the topology.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record<K, V> {
    /// Key.
    pub key: K,
    /// Value.
    pub value: V,
    /// Event time, ms since the epoch.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    pub fn new(key: K, value: V, timestamp: Timestamp) -> Self {
        Self { key, value, timestamp, headers: Headers::EMPTY }
    }

    /// The same record with another key.
    pub fn with_key<K2>(self, key: K2) -> Record<K2, V> {
        Record { key, value: self.value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> Record<K, V2> {
        Record { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another timestamp.
    pub fn with_timestamp(self, timestamp: Timestamp) -> Self {
        Self { timestamp, ..self }
    }
}

/// A record as a consumer hands it over: bytes borrowed from the fetch buffer.
#[derive(Clone, Debug)]
pub struct RawRecord<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Timestamp, ms since the epoch; -1 if the topic has none.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: Headers,
}
