//! What was put back already: a compacted topic `TOPIC-replayed` beside the dead-letter topic, written in the transactions of the
//! copies. Offsets that a group commits would do the same for a week: a broker forgets those of a group that is not in use
//! (`offsets.retention.minutes`), and then everything would be put back twice. They also say one offset, while a filter takes some and
//! leaves others. Nothing but this tool reads these records, and there is one for each transaction, not for each letter.
//!
//! ```text
//! key: PARTITION:FIRST-LAST      value: {"topic_id": .., "partition": .., "offsets": "0-41,45"}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use streams_core::client::{AdminTopic, NewTopic, RecordSink, Slot};
use streams_core::record::RawRecord;
use uuid::Uuid;

use super::letters::bounds;
use super::offsets::Offsets;
use crate::Error;
use crate::cluster::{Cluster, TIMEOUT};

/// A record of the topic.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// The dead-letter topic: one that was deleted and created anew has other letters.
    topic_id: Option<Uuid>,
    /// Its partition.
    partition: i32,
    /// Letters that were put back.
    offsets: String,
}

/// Letters that were put back, by partition.
#[derive(Default)]
pub(super) struct Marks {
    partitions: BTreeMap<i32, Offsets>,
}

impl Marks {
    /// The topic that has those of `letters`.
    pub(super) fn topic(letters: &str) -> String {
        format!("{letters}-replayed")
    }

    /// Creates the topic if it is not there.
    pub(super) fn create_topic(cluster: &mut Cluster, letters: &AdminTopic) -> Result<(), Error> {
        let name = Self::topic(&letters.name);
        if cluster.topic(&name)?.is_some() {
            return Ok(());
        }
        let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let topic = NewTopic { name: name.clone(), partitions: 1, replication_factor: -1, config };
        let created = cluster.admin.create_topics(&[topic], TIMEOUT)?.pop();
        let told =
            |error| format!("the topic `{name}`, which remembers what was put back, cannot be made: {error}");
        match created {
            Some(Err(error)) if error.fault != streams_core::client::Fault::AlreadyExists => {
                Err(told(error).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads what there is.
    pub(super) fn read(cluster: &mut Cluster, letters: &AdminTopic) -> Result<Self, Error> {
        let mut marks = Self::default();
        let Some(topic) = cluster.topic(&Self::topic(&letters.name))? else { return Ok(marks) };
        for (partition, limits) in bounds(cluster, &topic)? {
            let mut values = Values(Vec::new());
            cluster.read(&partition, limits, &mut values, |values| {
                for (offset, value) in values.0.drain(..) {
                    let wrong =
                        |error| Error::from(format!("{partition}@{offset} is not of this tool: {error}"));
                    let mark: Mark =
                        serde_json::from_slice(&value).map_err(|error| wrong(error.to_string()))?;
                    let other = mark.topic_id.zip(letters.id).is_some_and(|(marked, now)| marked != now);
                    if !other {
                        let offsets = mark.offsets.parse().map_err(wrong)?;
                        marks.partitions.entry(mark.partition).or_default().extend(&offsets);
                    }
                }
                Ok(true)
            })?;
        }
        Ok(marks)
    }

    /// Whether the letter was put back.
    pub(super) fn has(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|offsets| offsets.contains(offset))
    }
}

/// Key and value of the record that marks these letters of one partition.
pub(super) fn mark(
    letters: &AdminTopic,
    partition: i32,
    replayed: &BTreeSet<i64>,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut offsets = Offsets::default();
    replayed.iter().for_each(|offset| offsets.insert(*offset));
    let ends = (replayed.first().copied().unwrap_or(-1), replayed.last().copied().unwrap_or(-1));
    let value = serde_json::to_vec(&Mark { topic_id: letters.id, partition, offsets: offsets.to_string() })?;
    Ok((format!("{partition}:{}-{}", ends.0, ends.1).into_bytes(), value))
}

/// Takes offsets and values of records.
struct Values(Vec<(i64, Vec<u8>)>);

impl RecordSink for Values {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, _: Slot, record: RawRecord<'_>) {
        self.0.extend(record.value.map(|value| (record.offset, value.to_vec())));
    }
}
