//! A record, typed (between nodes) and raw (at the edges).

use streams_state::store::ChangelogRecord;
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

/// A record as its topic has it: what a timestamp extractor sees.
#[derive(Debug)]
pub struct ConsumerRecord<'a, K, V> {
    /// Key.
    pub key: &'a K,
    /// Value; of a table's topic it is `None` where the record deletes a row.
    pub value: &'a V,
    /// Kafka's timestamp, ms since the epoch; negative if the record has none.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: &'a Headers,
    /// Topic, with the application's prefix if it is internal.
    pub topic: &'a str,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

/// What is known of a record that leaves the topology: what a topic extractor sees beside key and value. Kafka Streams'
/// `RecordContext`.
#[derive(Clone, Copy, Debug)]
pub struct SinkContext<'a> {
    /// Topic of the source record in work; `None` in a punctuation.
    pub topic: Option<&'a str>,
    /// Partition of the source record; -1 in a punctuation.
    pub partition: i32,
    /// Offset of the source record; -1 in a punctuation.
    pub offset: i64,
    /// Timestamp of the record that is written, ms since the epoch.
    pub timestamp: Timestamp,
    /// Headers of the record that is written.
    pub headers: &'a Headers,
}

/// Bytes that a record takes at most in a request of its own, as Kafka's producer counts them before it compares with
/// `max.request.size` (`DefaultRecordBatch.estimateBatchSizeUpperBound`).
pub fn size_upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    /// A batch without records.
    const BATCH_OVERHEAD: usize = 61;
    /// Length, attributes, timestamp and offset of a record, each as long as it can be.
    const RECORD_OVERHEAD: usize = 21;
    let part = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| varint_len(bytes.len()) + bytes.len());
    let header_bytes: usize =
        headers.iter().map(|header| part(Some(header.key.as_bytes())) + part(header.value.as_deref())).sum();
    BATCH_OVERHEAD
        + RECORD_OVERHEAD
        + part(key)
        + part(value)
        + varint_len(headers.iter().len())
        + header_bytes
}

/// Bytes of a length as a zigzag varint.
fn varint_len(length: usize) -> usize {
    let bits = u64::BITS - ((length as u64) << 1 | 1).leading_zeros();
    bits.div_ceil(7) as usize
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

impl RawRecord<'_> {
    /// Bytes of key and value.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)) as u64
    }

    /// The record as a store wants it. `None`: it has no key, as records of a source topic that serves as changelog may.
    pub(crate) fn changelog_record(&self) -> Option<ChangelogRecord<'_>> {
        Some(ChangelogRecord {
            key: self.key?,
            value: self.value,
            timestamp: self.timestamp,
            headers: &self.headers,
            offset: self.offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_large_as_kafka_counts_it() {
        assert_eq!(size_upper_bound(None, None, &Headers::EMPTY), 61 + 21 + 3);
        // Lengths up to 63 take one byte, up to 8191 two.
        assert_eq!(size_upper_bound(Some(&[0; 63]), Some(&[0; 64]), &Headers::EMPTY), 61 + 21 + 64 + 66 + 1);
        let mut headers = Headers::EMPTY;
        headers.add("name", Some(vec![0; 10]));
        headers.add("none", None);
        assert_eq!(size_upper_bound(None, None, &headers), 61 + 21 + 3 + (5 + 11) + (5 + 1));
    }
}
