//! The output end of a topic: typed records come out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use streams_state::serdes::{Part, Serde, SerdeError, SerdeRef, for_topic};
use streams_state::types::NO_TIMESTAMP;

use super::ProducedRecord;
use super::crank::Crank;
use crate::record::Record;
use crate::topic::Topic;

/// Reads what a topology wrote to a topic. From [`TopologyTestDriver::output`](super::TopologyTestDriver::output).
///
/// A topic with deletions is read as `Topic<K, Option<V>>`.
pub struct TestOutputTopic<K, V> {
    crank: Rc<RefCell<Crank>>,
    name: String,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
}

impl<K: 'static, V: 'static> TestOutputTopic<K, V> {
    pub(super) fn new<KS, VS>(crank: Rc<RefCell<Crank>>, topic: &Topic<K, V, KS, VS>) -> Self
    where
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let keys = for_topic(&topic.key_serde(), topic.name(), Part::Key);
        let values = for_topic(&topic.value_serde(), topic.name(), Part::Value);
        Self { crank, name: topic.name().to_owned(), keys, values }
    }

    /// Whether nothing is unread.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of unread records.
    pub fn len(&self) -> usize {
        self.crank.borrow().unread(&self.name)
    }

    /// The next record. A record whose timestamp is left to the producer has -1.
    ///
    /// # Panics
    /// The record does not parse as `K` and `V`.
    #[track_caller]
    pub fn read_record(&self) -> Option<Record<K, V>> {
        let record = self.crank.borrow_mut().read(&self.name)?;
        match self.parse(&record) {
            Ok(parsed) => Some(parsed),
            Err(error) => panic!("topic `{}`: {record:?} does not parse: {error}", self.name),
        }
    }

    /// All unread records.
    ///
    /// # Panics
    /// As [`read_record`](Self::read_record).
    #[track_caller]
    pub fn read_records(&self) -> Vec<Record<K, V>> {
        let mut records = Vec::new();
        while let Some(record) = self.read_record() {
            records.push(record);
        }
        records
    }

    /// Keys and values of all unread records.
    ///
    /// # Panics
    /// As [`read_record`](Self::read_record).
    #[track_caller]
    pub fn read_all(&self) -> Vec<(K, V)> {
        self.read_records().into_iter().map(|record| (record.key, record.value)).collect()
    }

    /// The last unread value of each key.
    ///
    /// # Panics
    /// As [`read_record`](Self::read_record).
    #[track_caller]
    pub fn read_key_values(&self) -> BTreeMap<K, V>
    where
        K: Ord,
    {
        self.read_all().into_iter().collect()
    }

    fn parse(&self, record: &ProducedRecord) -> Result<Record<K, V>, SerdeError> {
        Ok(Record {
            key: self.keys.deserialize_with_headers(record.key.as_deref(), &record.headers)?,
            value: self.values.deserialize_with_headers(record.value.as_deref(), &record.headers)?,
            timestamp: record.timestamp.unwrap_or(NO_TIMESTAMP),
            headers: record.headers.clone(),
        })
    }
}
