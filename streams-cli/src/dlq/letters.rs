//! A dead-letter topic, letter by letter: partition after partition, each in the order of its offsets.

use streams_core::client::{AdminTopic, RecordSink, Slot};
use streams_core::dead_letter::Failure;
use streams_core::record::RawRecord;
use streams_state::types::{Headers, Timestamp, TopicPartition};

use crate::Error;
use crate::cluster::Cluster;

/// Bytes of letters that are held at once, about.
const HELD_BYTES_MAX: usize = 8 << 20;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Partition of the dead-letter topic.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// Timestamp: that of the record that failed.
    pub timestamp: Timestamp,
    /// Key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
    /// What they say of the failure.
    pub failure: Failure,
}

impl Letter {
    /// Bytes that it holds, about.
    pub(super) fn bytes(&self) -> usize {
        let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|header| header.key.len() + size(&header.value)).sum();
        64 + size(&self.key) + size(&self.value) + headers
    }
}

/// Takes the letters of one poll.
struct Held {
    partition: i32,
    end: i64,
    letters: Vec<Letter>,
    bytes: usize,
}

impl RecordSink for Held {
    fn wants(&self, _: Slot) -> bool {
        self.bytes < HELD_BYTES_MAX
    }

    fn record(&mut self, _: Slot, record: RawRecord<'_>) {
        if record.offset >= self.end {
            return;
        }
        let letter = Letter {
            partition: self.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            failure: Failure::of(&record.headers),
            headers: record.headers,
        };
        self.bytes += letter.bytes();
        self.letters.push(letter);
    }
}

/// A partition, its first offset, and where what is decided ends.
pub(super) type Bounds = Vec<(TopicPartition, (i64, i64))>;

/// A dead-letter topic as it is now.
pub(super) struct Letters {
    pub(super) topic: AdminTopic,
    pub(super) bounds: Bounds,
}

impl Letters {
    pub(super) fn open(cluster: &mut Cluster, name: &str) -> Result<Self, Error> {
        let Some(topic) = cluster.topic(name)? else {
            return Err(format!("there is no topic `{name}`; name the dead-letter topic with --topic").into());
        };
        let bounds = bounds(cluster, &topic)?;
        Ok(Self { topic, bounds })
    }

    /// Offsets in it, markers of transactions included.
    pub(super) fn total(&self) -> u64 {
        self.bounds.iter().map(|(_, (start, end))| (end - start).max(0).unsigned_abs()).sum()
    }

    /// Shows all letters, until `see` says `false`.
    pub(super) fn each(
        &self,
        cluster: &mut Cluster,
        mut see: impl FnMut(Letter) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut goes_on = true;
        for (partition, (start, end)) in &self.bounds {
            let mut held = Held { partition: partition.partition, end: *end, letters: Vec::new(), bytes: 0 };
            cluster.read(partition, (*start, *end), &mut held, |held| {
                held.bytes = 0;
                for letter in held.letters.drain(..) {
                    goes_on = goes_on && see(letter)?;
                }
                Ok(goes_on)
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

/// All partitions of `topic`.
pub(super) fn bounds(cluster: &mut Cluster, topic: &AdminTopic) -> Result<Bounds, Error> {
    let partition = |partition| TopicPartition::new(topic.name.as_str(), partition);
    let partitions: Vec<TopicPartition> = (0..topic.partitions).map(partition).collect();
    let bounds = cluster.bounds(&partitions)?;
    Ok(partitions.into_iter().zip(bounds).collect())
}
