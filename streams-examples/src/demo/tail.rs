//! Reading an output topic as anybody else would: committed records only, from the beginning.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use kstreams::client::{Consumer, ConsumerSettings, RecordSink, Slot};
use kstreams::prelude::*;
use kstreams::record::RawRecord;
use kstreams::types::TopicPartition;

use super::{App, Failure};

/// The newest committed value of each key of a topic.
pub struct Tail<K, V> {
    consumer: Box<dyn Consumer>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    /// Newest value by key.
    pub latest: HashMap<K, V>,
    /// Committed records read so far.
    pub records: u64,
}

impl<K: Eq + Hash + 'static, V: 'static> Tail<K, V> {
    /// Reads `topic` from its beginning.
    pub fn new<KS, VS>(app: &App, topic: &Topic<K, V, KS, VS>) -> Result<Self, Failure>
    where
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let mut consumer = app.clients.consumer(&ConsumerSettings {
            client_id: format!("{}-tail", app.config.application_id),
            group: None,
            read_committed: true,
            properties: app.config.client_properties.clone(),
        })?;
        let assignment: Vec<(TopicPartition, i64, Slot)> = (0..app.partitions(topic.name())?)
            .map(|partition| (TopicPartition::new(topic.name(), partition), 0, partition as Slot))
            .collect();
        consumer.assign(&assignment)?;
        Ok(Self {
            consumer,
            keys: topic.key_serde(),
            values: topic.value_serde(),
            latest: HashMap::new(),
            records: 0,
        })
    }

    /// Takes in what has been committed since the last call; waits up to `timeout` for the first record.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), Failure> {
        let mut batch =
            Batch { tail_keys: &self.keys, tail_values: &self.values, latest: &mut self.latest, records: 0 };
        self.consumer.poll(timeout, &mut batch)?;
        self.records += batch.records;
        Ok(())
    }
}

/// Where a poll puts its records.
struct Batch<'a, K, V> {
    tail_keys: &'a SerdeRef<K>,
    tail_values: &'a SerdeRef<V>,
    latest: &'a mut HashMap<K, V>,
    records: u64,
}

impl<K: Eq + Hash, V> RecordSink for Batch<'_, K, V> {
    fn wants(&self, _slot: Slot) -> bool {
        true
    }

    fn record(&mut self, _slot: Slot, record: RawRecord<'_>) {
        self.records += 1;
        let key = self.tail_keys.deserialize(record.key);
        let value = self.tail_values.deserialize(record.value);
        if let (Ok(key), Ok(value)) = (key, value) {
            self.latest.insert(key, value);
        }
    }
}
