//! The world of a test: the embedded log, a virtual clock, a state directory, and instances whose crank the test turns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use streams_state::engine::{EngineProvider, InMemoryProvider};
use streams_state::types::TopicPartition;

use crate::client::ClientSupplier;
use crate::client::embedded::{Clock, EmbeddedKafka, VirtualClock};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::StreamsBuilder;
use crate::runtime::clock::ThreadClocks;
use crate::runtime::global_thread::GlobalThread;
use crate::runtime::listener::StateRestoreListener;
use crate::runtime::metrics::ThreadMetrics;
use crate::runtime::shared::Shared;
use crate::runtime::stream_thread::StreamThread;
use crate::runtime::topic_watch::TopicWatch;
use crate::runtime::{GroupMembershipOperation, StreamsError, ThreadState};
use crate::topic::{Store, Topic};
use crate::topology::Topology;

pub(super) const LINES: Topic<(), String> = Topic::new("lines");
pub(super) const COUNTS: Topic<String, i64> = Topic::new("counts");
pub(super) const STORE: Store<String, i64> = Store::new("count-store");
pub(super) const APP: &str = "wc";

/// The word count: two sub-topologies, a repartition topic, a store with its changelog.
pub(super) fn word_count() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream(&LINES)
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count_with(&STORE)
        .to_stream()
        .to(&COUNTS);
    builder.build().unwrap()
}

pub(super) struct World {
    pub(super) kafka: EmbeddedKafka,
    pub(super) clock: VirtualClock,
    pub(super) root: tempfile::TempDir,
    pub(super) restores: Arc<Restores>,
    /// What clients time their calls with, ns.
    pub(super) client_clock: fn() -> u64,
    next: Mutex<i64>,
}

/// What the restore listener heard: changelog, first offset and records of each restore; and those that were suspended.
#[derive(Default)]
pub(super) struct Restores(pub(super) Mutex<Vec<(String, i64, u64)>>, pub(super) Mutex<Vec<String>>);

impl StateRestoreListener for Restores {
    fn on_restore_start(&self, changelog: &TopicPartition, _store: &str, from: i64, _to: i64) {
        self.0.lock().unwrap().push((changelog.to_string(), from, 0));
    }

    fn on_restore_end(&self, changelog: &TopicPartition, _store: &str, records: u64) {
        let mut heard = self.0.lock().unwrap();
        let name = changelog.to_string();
        let entry = heard.iter_mut().rev().find(|entry| entry.0 == name).unwrap();
        entry.2 = records;
    }

    fn on_restore_suspended(&self, changelog: &TopicPartition, _store: &str, _records: u64) {
        self.1.lock().unwrap().push(changelog.to_string());
    }
}

impl World {
    pub(super) fn new(partitions: i32) -> Self {
        let clock = VirtualClock::new(1_000_000);
        let kafka = EmbeddedKafka::new(clock.clone());
        kafka.create_topic("lines", partitions).unwrap();
        kafka.create_topic("counts", partitions).unwrap();
        Self {
            kafka,
            clock,
            root: tempfile::tempdir().unwrap(),
            restores: Arc::default(),
            client_clock: || 0,
            next: Mutex::new(0),
        }
    }

    pub(super) fn config(&self, instance: &str) -> StreamsConfig {
        let mut config = StreamsConfig::new(APP, ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = self.root.path().join(instance);
        config
    }

    pub(super) fn line(&self, text: &str) {
        let mut next = self.next.lock().unwrap();
        let partitions = self.kafka.partition_count("lines").unwrap();
        let partition = (*next % i64::from(partitions)) as i32;
        self.kafka.produce("lines", Some(partition), None, Some(text.as_bytes()), *next).unwrap();
        *next += 1;
    }

    pub(super) fn instance(&self, name: &str) -> Instance {
        self.instance_of(word_count(), self.config(name)).unwrap()
    }

    pub(super) fn instance_of(
        &self,
        topology: Topology,
        config: StreamsConfig,
    ) -> Result<Instance, StreamsError> {
        self.instance_with(topology, config, engines())
    }

    pub(super) fn instance_with(
        &self,
        topology: Topology,
        config: StreamsConfig,
        engines: Arc<dyn EngineProvider>,
    ) -> Result<Instance, StreamsError> {
        self.instance_from(topology, config, engines, Arc::new(self.kafka.clone()))
    }

    pub(super) fn instance_from(
        &self,
        topology: Topology,
        config: StreamsConfig,
        engines: Arc<dyn EngineProvider>,
        supplier: Arc<dyn ClientSupplier>,
    ) -> Result<Instance, StreamsError> {
        let threads = config.num_stream_threads;
        let listener = Some(self.restores.clone() as Arc<dyn StateRestoreListener>);
        let shared = Shared::prepare(config, Arc::new(topology), supplier, engines, listener)?;
        let shared = Arc::new(shared.with_client_clock(self.client_clock));
        let global = match shared.global_stores.is_empty() {
            true => None,
            false => {
                Some(GlobalThread::new(shared.clone(), Arc::default(), (ThreadClocks::NONE.ns, self.now()))?)
            }
        };
        let threads = (0..threads)
            .map(|index| {
                StreamThread::new(index, shared.clone(), Arc::new(ThreadMetrics::default()), self.now())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let watch = TopicWatch::new(&shared, self.now());
        let mut instance = Instance { threads, global, watch };
        while let Some(global) = instance.global.as_mut().filter(|global| !global.is_ready()) {
            global.step(self.now())?;
            self.clock.advance(10);
        }
        Ok(instance)
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// One turn of every thread of all instances, then 10 ms pass.
    pub(super) fn turn(&self, instances: &mut [&mut Instance]) -> Result<(), StreamsError> {
        for instance in instances {
            if let Some(global) = &mut instance.global {
                global.step(self.now())?;
            }
            for thread in &mut instance.threads {
                thread.step(self.now())?;
            }
            instance.watch.round(&instance.threads[0].shared, self.now());
        }
        self.clock.advance(10);
        Ok(())
    }

    /// Turns until all input and repartition records are committed.
    pub(super) fn run_until_drained(&self, instances: &mut [&mut Instance]) {
        for _ in 0..3000 {
            self.turn(instances).unwrap();
            if instances.iter().all(|instance| instance.is_running()) && self.drained() {
                return;
            }
        }
        panic!("not drained after 30 s of virtual time: {:?}", self.lag());
    }

    fn drained(&self) -> bool {
        self.lag().values().all(|lag| *lag == 0)
    }

    /// End of each partition that the group reads, less its committed offset.
    pub(super) fn lag(&self) -> BTreeMap<String, i64> {
        let mut lag = BTreeMap::new();
        for topic in self.kafka.topics() {
            let internal = topic.ends_with("-repartition") || topic.ends_with("-topic");
            if !internal && !["lines", "left", "right", "in"].contains(&&*topic) {
                continue;
            }
            for (partition, end) in (0..).zip(self.kafka.end_offsets(&topic).unwrap()) {
                let tp = TopicPartition::new(topic.as_str(), partition);
                let committed = self.kafka.committed_offset(APP, &tp).map_or(0, |committed| committed.offset);
                lag.insert(tp.to_string(), end - committed);
            }
        }
        lag
    }

    /// The last committed count of each word.
    pub(super) fn counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for record in self.kafka.read_all("counts", true).unwrap() {
            let word = String::from_utf8(record.key.unwrap()).unwrap();
            let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
            let before = counts.insert(word.clone(), count);
            assert!(before.is_none_or(|before| before < count), "{word}: {before:?} then {count}");
        }
        counts
    }
}

pub(super) struct Instance {
    pub(super) threads: Vec<StreamThread>,
    pub(super) global: Option<GlobalThread>,
    watch: TopicWatch,
}

impl Instance {
    pub(super) fn is_running(&self) -> bool {
        self.threads.iter().all(|thread| thread.state() == ThreadState::Running)
    }

    /// kill -9: nothing is closed. What the operating system would do is done: files are closed.
    pub(super) fn kill(self) {
        drop(self);
    }

    pub(super) fn close(self) {
        self.close_with(GroupMembershipOperation::LeaveGroup);
    }

    pub(super) fn close_with(mut self, membership: GroupMembershipOperation) {
        for thread in &mut self.threads {
            thread.close(std::time::Duration::from_secs(1), membership).unwrap();
        }
        if let Some(global) = self.global.take() {
            global.close(std::time::Duration::from_secs(1)).unwrap();
        }
    }
}

/// RocksDB where it is compiled in.
pub(super) fn engines() -> Arc<dyn EngineProvider> {
    #[cfg(feature = "rocksdb")]
    return Arc::new(streams_state::engine::RocksDbProvider::new(16 << 20));
    #[cfg(not(feature = "rocksdb"))]
    return Arc::new(InMemoryProvider);
}

/// Nothing on disk.
pub(super) fn in_memory() -> Arc<dyn EngineProvider> {
    Arc::new(InMemoryProvider)
}

/// What the word count of `lines` must be.
pub(super) fn expected(lines: &[String]) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for word in lines.iter().flat_map(|line| line.split(' ')) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Lines over a small vocabulary, the same for the same seed.
pub(super) fn lines(seed: u64, count: usize) -> Vec<String> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..count).map(|_| format!("w{} w{} w{}", next() % 17, next() % 17, next() % 5)).collect()
}

#[allow(dead_code)]
pub(super) fn dir(world: &World, instance: &str) -> PathBuf {
    world.root.path().join(instance)
}
