//! Records of one poll: bytes in, typed records of a batch out. A partition whose record does not parse is halted there.

use std::sync::Arc;

use streams_state::serdes::{Part, SerdeError, SerdeRef, for_topic};
use streams_state::types::TopicPartition;

use super::batch::{Batch, ConsumedRecord};
use super::consumer_error::BadRecord;
use super::partitions::{Halt, Place};
use crate::client::{RecordSink, Slot};
use crate::record::RawRecord;

/// The serdes of a topic.
pub(super) struct TopicSerdes<K, V> {
    pub(super) topic: Arc<str>,
    pub(super) keys: SerdeRef<K>,
    pub(super) values: SerdeRef<V>,
}

impl<K: 'static, V: 'static> TopicSerdes<K, V> {
    pub(super) fn of(topic: &str, keys: &SerdeRef<K>, values: &SerdeRef<V>) -> Self {
        let (keys, values) = (for_topic(keys, topic, Part::Key), for_topic(values, topic, Part::Value));
        Self { topic: topic.into(), keys, values }
    }
}

/// The sink of one poll.
pub(super) struct Intake<'a, K, V> {
    pub(super) places: &'a mut [Place],
    pub(super) serdes: &'a [TopicSerdes<K, V>],
    pub(super) batch: &'a mut Batch<K, V>,
    /// Records that it takes at most.
    pub(super) max: usize,
}

impl<K: 'static, V: 'static> Intake<'_, K, V> {
    fn read(
        serdes: &[TopicSerdes<K, V>],
        at: &TopicPartition,
        record: &RawRecord<'_>,
    ) -> Result<(K, V), (Part, SerdeError)> {
        let Some(serdes) = serdes.iter().find(|serdes| serdes.topic == at.topic) else {
            return Err((Part::Key, SerdeError::new("the topic was not asked for")));
        };
        let headers = &record.headers;
        let key = serdes.keys.deserialize_with_headers(record.key, headers);
        let key = key.map_err(|error| (Part::Key, error))?;
        let value = serdes.values.deserialize_with_headers(record.value, headers);
        Ok((key, value.map_err(|error| (Part::Value, error))?))
    }
}

impl<K: 'static, V: 'static> RecordSink for Intake<'_, K, V> {
    fn wants(&self, slot: Slot) -> bool {
        let place = self.places.get(slot as usize);
        self.batch.records.len() < self.max && place.is_some_and(|place| place.halt.is_none())
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        if let Some(halt) = &mut place.halt {
            // It came unasked, out of a queue that was not its partition's yet.
            if let Halt::Bad { fetched_past, .. } = halt {
                *fetched_past = true;
            }
            return;
        }
        let RawRecord { offset, timestamp, .. } = record;
        match Self::read(self.serdes, &place.at, &record) {
            Ok((key, value)) => {
                self.batch.offsets.offsets.insert(place.at.clone(), offset + 1);
                self.batch.records.push(ConsumedRecord {
                    key,
                    value,
                    topic: place.at.topic.clone(),
                    partition: place.at.partition,
                    offset,
                    timestamp,
                    headers: record.headers,
                });
            }
            Err((part, source)) => {
                let bad = BadRecord {
                    partition: place.at.clone(),
                    offset,
                    timestamp,
                    part,
                    source,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record.headers,
                };
                place.halt = Some(Halt::Bad { record: Box::new(bad), fetched_past: false });
            }
        }
    }
}
