//! What the ported scenarios are made of: typed records into topics and out of them, instances whose threads die one by one, what
//! stores hold and what disks say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use streams_state::engine::EngineProvider;
use streams_state::store::KeyValueStore;
use streams_state::types::{TaskId, TopicPartition};

use super::super::crashes::Kept;
use super::super::world::{APP, Instance, World};
use crate::client::{
    ClientSupplier, ConsumerSettings, OffsetSpec, ProduceRecord, Producer, ProducerSettings,
};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::Data;
use crate::partitioner::partition_for_key;
use crate::runtime::StreamsError;
use crate::topic::{Store, Topic};
use crate::topology::Topology;
use crate::types::Headers;

/// Turns after which a scenario must have come to its end: five minutes of virtual time.
const TURNS_MAX: usize = 30_000;

/// A world without topics but for those that were asked for, and a disk that outlives a process.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) disk: Arc<dyn EngineProvider>,
}

/// A record as it was read.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row<K, V> {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: K,
    pub(super) value: V,
}

/// The scene on each kind of disk: engines in memory that survive a crash, and RocksDB where it is compiled in.
pub(super) fn on_each_disk(topics: &[(&str, i32)], scenario: impl Fn(&Scene)) {
    scenario(&Scene::new(topics));
    #[cfg(feature = "rocksdb")]
    scenario(&Scene { disk: super::super::world::engines(), ..Scene::new(topics) });
}

impl Scene {
    pub(super) fn new(topics: &[(&str, i32)]) -> Self {
        let world = World::new(1);
        for (topic, partitions) in topics {
            world.kafka.create_topic(topic, *partitions).unwrap();
        }
        Self { world, disk: Arc::new(Kept::default()) }
    }

    /// Kafka Streams' settings of its tests: no record cache, unless they say otherwise.
    pub(super) fn config(&self, instance: &str) -> StreamsConfig {
        let mut config = self.world.config(instance);
        config.statestore_cache_max_bytes = 0;
        config
    }

    /// The same, for at least once.
    pub(super) fn at_least_once(&self, instance: &str, commit_interval_ms: u64) -> StreamsConfig {
        let mut config = self.config(instance);
        config.processing_guarantee = ProcessingGuarantee::AtLeastOnce;
        config.commit_interval = Duration::from_millis(commit_interval_ms);
        config
    }

    pub(super) fn start(&self, topology: Topology, config: StreamsConfig) -> Instance {
        self.world.instance_with(topology, config, self.disk.clone()).unwrap()
    }

    pub(super) fn turns(&self, instances: &mut [&mut Instance], count: usize) {
        (0..count).for_each(|_| self.world.turn(instances).unwrap());
    }

    /// Turns until `done`.
    #[track_caller]
    pub(super) fn turn_until(&self, instances: &mut [&mut Instance], mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.world.turn(instances).unwrap();
        }
        panic!("not done after {TURNS_MAX} turns; lag {:?}", self.lag());
    }

    /// Turns until everything runs and all input is committed.
    #[track_caller]
    pub(super) fn settle(&self, instances: &mut [&mut Instance]) {
        for _ in 0..TURNS_MAX {
            self.world.turn(instances).unwrap();
            let running = instances.iter().all(|instance| instance.is_running());
            if running && self.lag().values().all(|lag| *lag == 0) {
                return;
            }
        }
        panic!("not settled after {TURNS_MAX} turns; lag {:?}", self.lag());
    }

    /// Turns each thread for itself; those that fail end as the runtime ends them. Returns what they failed with.
    pub(super) fn turn_threads(&self, instances: &mut [&mut Instance]) -> Vec<StreamsError> {
        let mut failed = Vec::new();
        for instance in instances {
            instance.threads.retain_mut(|thread| match thread.step(self.world.now()) {
                Ok(()) => true,
                Err(error) => {
                    thread.abandon();
                    failed.push(error);
                    false
                }
            });
        }
        self.world.clock.advance(10);
        failed
    }

    /// End of each partition for which the group has committed something, less what it has committed.
    pub(super) fn lag(&self) -> BTreeMap<String, i64> {
        let mut lag = BTreeMap::new();
        for topic in self.world.kafka.topics() {
            let ends = self.world.kafka.end_offsets(&topic).unwrap();
            let committed = |partition| self.committed(&topic, partition);
            let reads = (0..).zip(&ends).any(|(partition, _)| committed(partition).is_some());
            if reads || topic.ends_with("-repartition") || topic.starts_with("in") {
                for (partition, end) in (0..).zip(&ends) {
                    lag.insert(format!("{topic}-{partition}"), end - committed(partition).unwrap_or(0));
                }
            }
        }
        lag
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let place = TopicPartition::new(topic, partition);
        self.world.kafka.committed_offset(APP, &place).map(|committed| committed.offset)
    }

    /// The end of a partition that readers of committed records see.
    pub(super) fn stable_end(&self, topic: &str, partition: i32) -> i64 {
        let settings = ConsumerSettings { read_committed: true, ..ConsumerSettings::default() };
        let mut consumer = self.world.kafka.consumer(&settings).unwrap();
        let place = [TopicPartition::new(topic, partition)];
        consumer.list_offsets(&place, OffsetSpec::Stable, Duration::ZERO).unwrap()[0]
    }

    /// Writes a record now, to the partition of its key.
    pub(super) fn put<K: Data, V: Data>(&self, topic: &Topic<K, V>, key: &K, value: &V) {
        let (key, value) = (bytes(&*topic.key_serde(), key), bytes(&*topic.value_serde(), value));
        self.world
            .kafka
            .produce(topic.name(), None, key.as_deref(), value.as_deref(), self.world.now())
            .unwrap();
    }

    /// Writes a record with a timestamp, to partition 0.
    pub(super) fn put_at<K: Data, V: Data>(&self, topic: &Topic<K, V>, row: (&K, &V), timestamp: i64) {
        let (key, value) = (bytes(&*topic.key_serde(), row.0), bytes(&*topic.value_serde(), row.1));
        self.world.kafka.produce(topic.name(), Some(0), key.as_deref(), value.as_deref(), timestamp).unwrap();
    }

    /// Writes rows in a transaction, which is committed or not.
    pub(super) fn put_in_transaction<K: Data, V: Data>(
        &self,
        topic: &Topic<K, V>,
        rows: &[(K, V)],
        commit: bool,
    ) {
        let id = Some("input-producer".to_owned());
        let settings = ProducerSettings { transactional_id: id, ..ProducerSettings::default() };
        let mut producer: Box<dyn Producer> = self.world.kafka.producer(&settings).unwrap();
        producer.init_transactions(Duration::ZERO).unwrap();
        producer.begin_transaction().unwrap();
        let handle = producer.topic(topic.name()).unwrap();
        let partitions = self.world.kafka.partition_count(topic.name()).unwrap();
        for (key, value) in rows {
            let (key, value) = (bytes(&*topic.key_serde(), key), bytes(&*topic.value_serde(), value));
            let (key, value, timestamp) = (key.as_deref(), value.as_deref(), Some(self.world.now()));
            let partition = partition_for_key(key.unwrap(), partitions);
            let record =
                ProduceRecord { topic: handle, partition, timestamp, key, value, headers: &Headers::EMPTY };
            producer.send(record).unwrap();
        }
        match commit {
            true => producer.commit_transaction(&mut Default::default(), Duration::ZERO).unwrap(),
            false => producer.abort_transaction(Duration::ZERO).unwrap(),
        }
    }

    /// The committed records of a topic, partition by partition.
    pub(super) fn rows<K: Data, V: Data>(&self, topic: &Topic<K, V>) -> Vec<Row<K, V>> {
        self.read(topic, true)
    }

    /// All records, those of open and aborted transactions as well.
    pub(super) fn uncommitted_rows<K: Data, V: Data>(&self, topic: &Topic<K, V>) -> Vec<Row<K, V>> {
        self.read(topic, false)
    }

    fn read<K: Data, V: Data>(&self, topic: &Topic<K, V>, committed: bool) -> Vec<Row<K, V>> {
        let (keys, values) = (topic.key_serde(), topic.value_serde());
        let records = self.world.kafka.read_all(topic.name(), committed).unwrap().into_iter();
        records
            .map(|record| Row {
                partition: record.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                key: keys.deserialize(record.key.as_deref()).unwrap(),
                value: values.deserialize(record.value.as_deref()).unwrap(),
            })
            .collect()
    }

    /// The committed values of each key, in their order.
    pub(super) fn per_key<K: Data + Ord, V: Data>(&self, topic: &Topic<K, V>) -> BTreeMap<K, Vec<V>> {
        by_key(self.rows(topic).into_iter().map(|row| (row.key, row.value)))
    }

    /// What the disk of an instance has of a store: the offset beside the rows, and how many there are.
    pub(super) fn on_disk(&self, instance: &str, task: &str, store: &str) -> (Option<i64>, usize) {
        let directory = self.world.root.path().join(instance).join(APP).join(task);
        let engine = self.disk.open(&directory, &[store]).unwrap().remove(0);
        let mut rows = 0;
        let mut count = |_: &[u8], _: &[u8]| {
            rows += 1;
            std::ops::ControlFlow::Continue(())
        };
        engine.scan(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded, &mut count).unwrap();
        (engine.offset().unwrap(), rows)
    }

    /// The records that each changelog partition gave back since the last call.
    pub(super) fn take_restored(&self) -> BTreeMap<String, u64> {
        let heard = std::mem::take(&mut *self.world.restores.0.lock().unwrap());
        let mut restored = BTreeMap::new();
        heard
            .into_iter()
            .for_each(|(changelog, _, records)| *restored.entry(changelog).or_default() += records);
        restored
    }
}

fn bytes<T: 'static>(serde: &dyn crate::serdes::Serde<T>, value: &T) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    serde.serialize(value, &mut out).unwrap().then_some(out)
}

/// Values of each key, in their order.
pub(super) fn by_key<K: Ord, V>(rows: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut map: BTreeMap<K, Vec<V>> = BTreeMap::new();
    rows.into_iter().for_each(|(key, value)| map.entry(key).or_default().push(value));
    map
}

/// The rows of a store over all tasks of the instances.
pub(in crate::runtime::tests) fn stored<K: Ord + Clone + 'static, V: Clone + 'static>(
    instances: &[&Instance],
    store: &Store<K, V>,
) -> BTreeMap<K, V> {
    let mut rows = BTreeMap::new();
    for owned in
        instances.iter().flat_map(|instance| &instance.threads).flat_map(|thread| thread.tasks.iter())
    {
        let Some(found) = owned.task.state().find(store.name()) else { continue };
        let cell = found.instance.typed.clone().downcast::<std::cell::RefCell<KeyValueStore<K, V>>>();
        let mut collect =
            |key: K, value: &V, _| assert!(rows.insert(key, value.clone()).is_none(), "a key in two tasks");
        cell.unwrap().borrow_mut().for_each(&mut collect).unwrap();
    }
    rows
}

/// The tasks of all threads of an instance.
pub(super) fn tasks(instance: &Instance) -> BTreeSet<TaskId> {
    let threads = instance.threads.iter();
    threads.flat_map(|thread| thread.tasks.iter().map(|owned| owned.task.id())).collect()
}
