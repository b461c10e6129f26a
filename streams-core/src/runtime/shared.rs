//! What the threads of an instance share: settings, plan, state directory, and how clients are made.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use streams_state::directory::StateDirectory;
use streams_state::engine::{EngineFiles, EngineProvider};
use streams_state::error::Cure;
use streams_state::memory::{MemoryBudget, MemoryPlan};
use streams_state::types::{TaskId, Timestamp, TopicPartition};

use super::checkpoint_request::{self, Checkpoints};
use super::client_sensors::{AdminSensors, MeteredConsumer, MeteredProducer};
use super::clock::ThreadClocks;
use super::housekeeping::Purgeable;
use super::internal_topics::GoneSource;
use super::listener::StateRestoreListener;
use super::local_state::{LocalState, TopicIds};
use super::produce::StreamsProducer;
use super::queries::Queries;
use super::restore::Restorer;
use super::restore_workers::RestoreWorkers;
use super::{StreamsError, internal_topics};
use crate::client::{
    Admin, ClientError, ClientSupplier, Consumer, ConsumerSettings, ProducerSettings, STATISTICS_INTERVAL,
};
use crate::config::StreamsConfig;
use crate::error::TaskError;
use crate::metrics::{Metrics, MetricsSource};
use crate::processor::GlobalStore;
use crate::task::{StreamTask, TaskOptions, open_global_stores};
use crate::topology::{NodeId, OffsetReset, TopicKind, TopicPlan, Topology};

/// Kafka Streams' transaction timeout with exactly once.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How often clients have news of their network, ms, unless `statistics.interval.ms` says otherwise. Three clients with 8 partitions that had them
/// every 20 ms cost 0.4 ms of CPU each time, in a debug build; every 5 s no more than without, 0.13 s in 20 s.
const STATISTICS_EVERY_MS: &str = "5000";

/// Deadline of the look-up of a topic.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a record waits for others of its batch, unless `linger.ms` says otherwise; a commit does not wait. While a batch is on its way
/// librdkafka spins for the next one once that has waited this long: with its own 5 ms `kvstate` of the benchmark cost 7.0 us of CPU a
/// record, with 20 or Kafka Streams' 100 ms 6.0 (medians of two rounds on a busy machine). A quiet stream waits as long at each repartition
/// topic, so the smaller one.
const LINGER_MS: &str = "20";

/// The topology with the topics that its patterns match, and what follows of them. Replaced as a whole when these change.
pub(crate) struct Planned {
    pub(crate) topology: Arc<Topology>,
    pub(crate) plan: Arc<TopicPlan>,
    /// Ids of the topics that stores are restored from.
    pub(crate) topic_ids: Arc<TopicIds>,
}

/// Shared by all threads of an instance; only the plan may change after the start.
pub(crate) struct Shared {
    pub(crate) config: StreamsConfig,
    planned: Mutex<Arc<Planned>>,
    /// A thread wants to know soon which topics there are.
    look: AtomicBool,
    /// Tasks that a thread has got from the group while another still holds them.
    wanted: Mutex<BTreeSet<TaskId>>,
    /// A source topic that is gone: each thread ends with it.
    gone: Mutex<Option<GoneSource>>,
    /// How many stream threads there are: they share the memory of record caches.
    pub(crate) threads: AtomicUsize,
    pub(crate) supplier: Arc<dyn ClientSupplier>,
    pub(crate) directory: StateDirectory,
    pub(crate) process_id: String,
    pub(crate) engines: Arc<dyn EngineProvider>,
    /// The memory that the tiers of all tasks share.
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) restore_listener: Option<Arc<dyn StateRestoreListener>>,
    /// Where threads register what they measure.
    pub(crate) registry: Arc<Metrics>,
    /// Threads that restore; without them stream threads do it themselves.
    restore_workers: Option<Arc<RestoreWorkers>>,
    pub(crate) purgeable: Purgeable,
    /// Where threads are asked for copies of their tasks.
    pub(crate) checkpoints: Checkpoints,
    /// Where threads are asked what their stores hold.
    pub(crate) queries: Queries,
    /// The global stores, which every task may read.
    pub(crate) global_stores: Vec<GlobalStore>,
    /// Their files.
    pub(crate) global_files: Option<Arc<dyn EngineFiles>>,
    /// All partitions of the topics of the global stores.
    pub(crate) global_inputs: Vec<TopicPartition>,
    /// The one admin client of the instance: housekeeping, and what tasks ask about the topics that they write.
    admin: Arc<Mutex<Box<dyn Admin>>>,
    /// What the time of clients' calls is measured with, ns.
    client_clock: fn() -> u64,
    /// What the admin client measures, once a thread has looked.
    admin_sensors: Mutex<Option<AdminSensors>>,
}

impl Shared {
    /// Locks the state directory, looks at the topics, and creates the internal ones.
    pub(crate) fn prepare(
        config: StreamsConfig,
        topology: Arc<Topology>,
        supplier: Arc<dyn ClientSupplier>,
        engines: Arc<dyn EngineProvider>,
        restore_listener: Option<Arc<dyn StateRestoreListener>>,
    ) -> Result<Self, StreamsError> {
        let directory = StateDirectory::open(&config.state_dir, &config.application_id)?;
        checkpoint_request::start_from(&config, &directory, engines.name())?;
        let process_id = directory.process_id().to_string();
        let at = supplier.describe();
        let (client_id, every) =
            (admin_id(&config, &process_id), statistics_interval(&config.admin_properties()));
        let mut admin = supplier
            .named_admin(&client_id, &every)
            .map_err(|error| StreamsError::client(format!("connecting to {at}"), error))?;
        let topology = internal_topics::resolve(&mut *admin, topology, &config)?;
        let local = LocalState { directory: &directory, engines: &*engines };
        let (plan, topic_ids) = internal_topics::prepare(&mut *admin, &topology, &config, &at, &local)?;
        let global_inputs = internal_topics::global_inputs(&mut *admin, &plan, &at)?;
        let tiers = MemoryPlan::of(config.memory_max_bytes).tiers;
        let for_global = tiers / (plan.tasks.len() as u64 + 1);
        let open_global = || {
            let id = &config.application_id;
            open_global_stores(&topology, id, &directory.global_dir(), &*engines, for_global)
        };
        let (global_stores, global_files) = match open_global() {
            Err(error) if error.cure() == Cure::Rebuild => {
                tracing::warn!(
                    "the state of the global stores is deleted and restored from their topics: {error}"
                );
                directory.remove_global()?;
                open_global()?
            }
            opened => opened?,
        };
        let memory = MemoryBudget::new(tiers - if global_stores.is_empty() { 0 } else { for_global });
        let purgeable = Purgeable::default();
        Ok(Self {
            threads: AtomicUsize::new(config.num_stream_threads),
            registry: Arc::new(Metrics::new(config.metrics)),
            config,
            planned: Mutex::new(Arc::new(Planned {
                topology,
                plan: Arc::new(plan),
                topic_ids: Arc::new(topic_ids),
            })),
            look: AtomicBool::new(false),
            wanted: Mutex::default(),
            gone: Mutex::default(),
            supplier,
            directory,
            process_id,
            engines,
            memory,
            restore_listener,
            restore_workers: None,
            purgeable,
            checkpoints: Checkpoints::default(),
            queries: Queries::default(),
            global_stores,
            global_files,
            global_inputs,
            admin: Arc::new(Mutex::new(admin)),
            client_clock: ThreadClocks::NONE.ns,
            admin_sensors: Mutex::default(),
        })
    }

    /// Registers metrics there from now on.
    pub(crate) fn with_registry(mut self, registry: Arc<Metrics>) -> Self {
        self.registry = registry;
        self
    }

    /// Measures calls of clients with `clock`, ns, from now on; without it they take no time.
    pub(crate) fn with_client_clock(mut self, clock: fn() -> u64) -> Self {
        self.client_clock = clock;
        self
    }

    /// Restores on threads of their own from now on, as many as there are cores.
    pub(crate) fn with_restore_workers(mut self) -> Self {
        let settings = ConsumerSettings {
            client_id: format!("{}-{}-RestoreWorker", self.config.application_id, self.process_id),
            group: None,
            group_instance: None,
            read_committed: self.config.exactly_once(),
            partition_buffer_bytes: None,
            properties: self.config.bulk_restore_consumer_properties(),
        };
        let workers_max = self.config.restore_workers_max();
        self.restore_workers = Some(RestoreWorkers::new(self.supplier.clone(), settings, workers_max));
        self
    }

    /// What restores the stores of a stream thread.
    pub(crate) fn restorer(&self) -> Restorer {
        Restorer::new(self.restore_workers.clone(), self.config.bulk_restore_memory_max())
    }

    /// The admin client, for one call or a few: other threads wait for it.
    pub(crate) fn admin(&self) -> MutexGuard<'_, Box<dyn Admin>> {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is `now`: shows what the admin client did, unless somebody uses it at this moment.
    pub(crate) fn show_admin(&self, now: Timestamp) {
        if let (Ok(mut admin), Ok(mut sensors)) = (self.admin.try_lock(), self.admin_sensors.try_lock()) {
            let new = || AdminSensors::new(&self.registry, &admin_id(&self.config, &self.process_id), now);
            sensors.get_or_insert_with(new).show(&mut **admin, now);
        }
    }

    /// The plan as it is now. Threads keep the one that they subscribed with.
    pub(crate) fn planned(&self) -> Arc<Planned> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another plan in place; threads take it over at their next turn.
    pub(crate) fn replace_plan(&self, next: Planned) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// Asks for a look at the topics: what members subscribe to may have changed.
    pub(crate) fn request_look(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    /// Whether a look was asked for since the last time.
    pub(crate) fn take_look_request(&self) -> bool {
        self.look.swap(false, Ordering::Relaxed)
    }

    /// Locks a task for a thread. If another holds it, that one is to let go of it.
    pub(crate) fn try_lock_task(&self, id: TaskId) -> bool {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let locked = self.directory.try_lock_task(id);
        if locked {
            wanted.remove(&id)
        } else {
            wanted.insert(id)
        };
        locked
    }

    /// Whether another thread waits for a task.
    pub(crate) fn is_wanted(&self, id: TaskId) -> bool {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// A source topic is gone, or none is any more.
    pub(crate) fn source_is_gone(&self, gone: Option<GoneSource>) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = gone;
    }

    /// The error that ends a thread, if a source topic is gone.
    pub(crate) fn gone_source(&self) -> Option<StreamsError> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.as_ref().map(|gone| gone.error(self.supplier.describe()))
    }

    fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan::of(self.config.memory_max_bytes)
    }

    /// Bytes of fetched records that may wait for each partition: all of them may be this instance's.
    fn partition_buffer_bytes(&self) -> u64 {
        let planned = self.planned();
        let plan = &planned.plan;
        let inputs = plan.tasks.iter().map(|task| plan.partitions_of_task(*task).len()).sum::<usize>();
        self.memory_plan().fetched / (inputs + self.global_inputs.len()).max(1) as u64
    }

    /// The consumer of thread `index`, a member of the group.
    pub(crate) fn main_consumer(&self, index: usize, now: Timestamp) -> Result<MeteredConsumer, ClientError> {
        let consumer = self.consumer(
            ConsumerSettings {
                client_id: self.client_id(index, "consumer"),
                group: Some(self.config.application_id.clone()),
                group_instance: Some(self.group_instance(index)),
                properties: self.config.consumer_properties(),
                ..ConsumerSettings::default()
            },
            now,
        )?;
        self.queries.wake_with(index, consumer.waker());
        Ok(consumer)
    }

    /// A consumer for changelogs.
    pub(crate) fn restore_consumer(
        &self,
        index: usize,
        now: Timestamp,
    ) -> Result<MeteredConsumer, ClientError> {
        let (client_id, properties) =
            (self.client_id(index, "restore-consumer"), self.config.restore_consumer_properties());
        self.consumer(ConsumerSettings { client_id, properties, ..ConsumerSettings::default() }, now)
    }

    /// The consumer of the global topics.
    pub(crate) fn global_consumer(&self, now: Timestamp) -> Result<MeteredConsumer, ClientError> {
        let client_id = format!("{}-{}-global-consumer", self.config.application_id, self.process_id);
        let properties = self.config.global_consumer_properties();
        self.consumer(ConsumerSettings { client_id, properties, ..ConsumerSettings::default() }, now)
    }

    fn consumer(
        &self,
        mut settings: ConsumerSettings,
        now: Timestamp,
    ) -> Result<MeteredConsumer, ClientError> {
        settings.read_committed = self.config.exactly_once();
        settings.partition_buffer_bytes = Some(self.partition_buffer_bytes());
        with_statistics(&mut settings.properties);
        let consumer = self.supplier.consumer(&settings)?;
        Ok(MeteredConsumer::new(consumer, &self.registry, &settings.client_id, (now, self.client_clock)))
    }

    /// Each global store and the topic that feeds it.
    pub(crate) fn global_topics(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let planned = self.planned();
        let parts = planned.plan.subtopologies.iter().filter_map(|part| Some((part, part.global.clone()?)));
        let stores = parts.flat_map(|(part, topic)| {
            let global = part.stores.iter().map(|id| planned.topology.store(*id)).filter(|spec| spec.global);
            global.map(move |spec| (spec.name.clone(), topic.clone()))
        });
        stores.collect()
    }

    /// The producer of thread `index`, which may not send anything yet.
    pub(crate) fn uninitialized_producer(
        &self,
        index: usize,
        now: Timestamp,
    ) -> Result<StreamsProducer, ClientError> {
        let transactional = self.config.exactly_once();
        let mut properties = self.config.producer_properties();
        if !properties.contains_key("queue.buffering.max.ms") {
            properties.entry("linger.ms".to_owned()).or_insert_with(|| LINGER_MS.to_owned());
        }
        with_statistics(&mut properties);
        let batch_size = properties.get("batch.size").cloned();
        let client_id = self.client_id(index, "producer");
        let producer = self.supplier.producer(&ProducerSettings {
            client_id: client_id.clone(),
            transactional_id: transactional.then(|| self.instance_id(index)),
            transaction_timeout: Some(self.transaction_timeout()),
            buffer_bytes: Some(
                self.memory_plan().produced / self.threads.load(Ordering::Relaxed).max(1) as u64,
            ),
            properties,
        })?;
        let producer = MeteredProducer::new(producer, &self.registry, &client_id, (now, self.client_clock));
        Ok(StreamsProducer::new(producer, transactional, batch_size.as_deref()))
    }

    fn transaction_timeout(&self) -> Duration {
        let properties: BTreeMap<String, String> = self.config.producer_properties();
        let given = properties.get("transaction.timeout.ms").and_then(|text| text.parse().ok());
        given.map_or(TRANSACTION_TIMEOUT, Duration::from_millis)
    }

    /// Who thread `index` is over restarts: stable in the state directory. The group gives a restarted thread its
    /// partitions back at once, and its producer settles at once what a killed one left open.
    fn instance_id(&self, index: usize) -> String {
        format!("{}-{}-{}", self.config.application_id, self.process_id, index + 1)
    }

    /// `group.instance.id` of thread `index`: the user's, numbered by thread, or our own.
    fn group_instance(&self, index: usize) -> String {
        match self.config.group_instance_id() {
            Some(given) => format!("{given}-{}", index + 1),
            None => self.instance_id(index),
        }
    }

    fn client_id(&self, index: usize, role: &str) -> String {
        format!("{}-{role}", self.thread_id(index))
    }

    /// The tag `thread-id` of the metrics of thread `index`.
    pub(crate) fn thread_id(&self, index: usize) -> String {
        format!("{}-{}-StreamThread-{}", self.config.application_id, self.process_id, index + 1)
    }

    /// Tag `thread-id` of what the thread of the global stores measures.
    pub(crate) fn global_thread_id(&self) -> String {
        format!("{}-{}-GlobalStreamThread", self.config.application_id, self.process_id)
    }

    /// What the group subscribes to.
    pub(crate) fn subscription(&self, planned: &Planned) -> Vec<String> {
        planned.topology.source_topic_names(&self.config.application_id)
    }

    /// Where a partition without committed offset starts.
    pub(crate) fn reset_policy(&self, planned: &Planned, topic: &str) -> OffsetReset {
        let by_source = planned.topology.offset_reset(&self.config.application_id, topic);
        by_source.unwrap_or_else(|| {
            let configured = self.config.consumer_properties();
            configured
                .get("auto.offset.reset")
                .and_then(|text| OffsetReset::parse(text))
                .unwrap_or(OffsetReset::Earliest)
        })
    }

    /// Whether `topic` is a repartition topic of this application.
    pub(crate) fn is_repartition(&self, topic: &str) -> bool {
        let planned = self.planned();
        planned
            .plan
            .internal_topics
            .iter()
            .any(|planned| planned.kind == TopicKind::Repartition && &*planned.name == topic)
    }

    /// Gives the directory of a closed task back.
    pub(crate) fn unlock_task(&self, id: TaskId) {
        self.directory.unlock_task(id, SystemTime::now());
    }

    /// Opens a task over its directory. The caller holds the lock of the task.
    pub(crate) fn open_task(
        &self,
        planned: &Planned,
        id: TaskId,
        metrics: MetricsSource,
    ) -> Result<StreamTask, Box<TaskError>> {
        let nodes =
            planned.plan.subtopologies.get(id.subtopology as usize).map_or(&[][..], |part| &part.nodes);
        StreamTask::new(TaskOptions { metrics, ..self.task_options(planned, id, nodes) })
    }

    /// What a task over `nodes` is made with.
    pub(crate) fn task_options<'a>(
        &'a self,
        planned: &'a Planned,
        id: TaskId,
        nodes: &'a [NodeId],
    ) -> TaskOptions<'a> {
        let admin = self.admin.clone();
        TaskOptions {
            task: id,
            application_id: planned.plan.application_id.clone(),
            topology: &planned.topology,
            nodes,
            directory: self.directory.task_dir(id),
            engines: &*self.engines,
            caching: self.config.statestore_cache_max_bytes > 0,
            memory: self.memory.clone(),
            buffers_max_bytes: self.memory.tiers_max() / (planned.plan.tasks.len() as u64 + 1),
            max_task_idle: self.config.max_task_idle,
            timestamp_policy: self.config.default_timestamp_extractor,
            app_configs: self.config.app_configs.clone(),
            global_stores: self.global_stores.clone(),
            global_feed: None,
            topic_ids: planned.topic_ids.clone(),
            record_max_bytes: Some(self.config.producer_record_max_bytes()),
            partition_counts: Rc::new(move |topic| Ok(partition_count(&admin, topic)?)),
            deserialization_handler: self.config.deserialization_exception_handler.clone(),
            processing_handler: self.config.processing_exception_handler.clone(),
            production_handler: self.config.production_exception_handler.clone(),
            metrics: MetricsSource::default(),
        }
    }
}

/// Lets a client have news of its network, unless the user says how often.
fn with_statistics(properties: &mut BTreeMap<String, String>) {
    let every = statistics_interval(properties);
    properties.insert(STATISTICS_INTERVAL.to_owned(), every);
}

fn statistics_interval(properties: &BTreeMap<String, String>) -> String {
    properties.get(STATISTICS_INTERVAL).map_or(STATISTICS_EVERY_MS, String::as_str).to_owned()
}

fn admin_id(config: &StreamsConfig, process_id: &str) -> String {
    format!("{}-{process_id}-admin", config.application_id)
}

/// Looks up a topic that a task writes and whose partition count its own partitioner wants to know.
fn partition_count(admin: &Mutex<Box<dyn Admin>>, topic: &str) -> Result<Option<i32>, ClientError> {
    let mut admin = admin.lock().unwrap_or_else(PoisonError::into_inner);
    let topics = admin.describe_topics(&[topic.to_owned()], LOOKUP_TIMEOUT)?;
    Ok(topics.into_iter().next().flatten().map(|topic| topic.partitions))
}
