//! Reading an output topic as anybody else would: committed records only, from the beginning.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use kstreams::client::{Consumer, ConsumerSettings, RecordSink, Slot};
use kstreams::prelude::*;
use kstreams::record::RawRecord;
use kstreams::types::TopicPartition;

use super::{App, Failure};

/// How long one poll may go on.
const READ_ON: Duration = Duration::from_millis(100);

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
            read_committed: true,
            ..ConsumerSettings::default()
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

    /// Takes in what has been committed since the last call; waits up to `timeout` for the first record, and reads on
    /// for a while if there is more.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        let mut wait = timeout;
        loop {
            let mut batch =
                Batch { keys: &self.keys, values: &self.values, latest: &mut self.latest, records: 0 };
            self.consumer.poll(wait, &mut batch)?;
            let records = batch.records;
            self.records += records;
            if records == 0 || began.elapsed() > READ_ON {
                return Ok(());
            }
            wait = Duration::ZERO;
        }
    }
}

/// Where a poll puts its records.
struct Batch<'a, K, V> {
    keys: &'a SerdeRef<K>,
    values: &'a SerdeRef<V>,
    latest: &'a mut HashMap<K, V>,
    records: u64,
}

impl<K: Eq + Hash + 'static, V: 'static> RecordSink for Batch<'_, K, V> {
    fn wants(&self, _slot: Slot) -> bool {
        true
    }

    fn record(&mut self, _slot: Slot, record: RawRecord<'_>) {
        self.records += 1;
        let key = self.keys.deserialize(record.key);
        let value = self.values.deserialize(record.value);
        if let (Ok(key), Ok(value)) = (key, value) {
            self.latest.insert(key, value);
        }
    }
}
