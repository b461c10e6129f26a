//! Settings of an application, under Kafka Streams' names.
//!
//! A program fills the fields of [`StreamsConfig`], or reads Kafka Streams' properties
//! ([`StreamsConfig::from_properties`]). Each Kafka client gets its share by its own method
//! ([`StreamsConfig::consumer_properties`] and so on).

pub(crate) mod client_keys;
mod clients;
mod error;
mod handlers;
mod keys;
mod parse;
mod providers;
mod timestamp_policy;
mod topology_optimization;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::handler::{DeadLetterQueue, ExceptionHandler, LogAndFail};
use crate::metrics::MetricConfig;
use crate::topic::Topic;

pub use error::ConfigError;
pub(crate) use parse::nearest;
pub use parse::read_properties_file;
pub use timestamp_policy::TimestampPolicy;
pub use topology_optimization::TopologyOptimization;

/// Kafka's default of `metadata.max.age.ms`: how long what is known of a topic holds.
pub(crate) const METADATA_MAX_AGE_MS: i64 = 300_000;

/// `processing.guarantee`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessingGuarantee {
    /// Every record is processed at least once; after a failure some results repeat.
    AtLeastOnce,
    /// Every record counts exactly once, through Kafka transactions.
    ExactlyOnceV2,
}

impl ProcessingGuarantee {
    /// What `commit.interval.ms` is if nobody says: 30 s, or 100 ms with exactly once.
    pub fn default_commit_interval(self) -> Duration {
        match self {
            ProcessingGuarantee::AtLeastOnce => Duration::from_secs(30),
            ProcessingGuarantee::ExactlyOnceV2 => Duration::from_millis(100),
        }
    }
}

/// Settings of an application.
#[derive(Clone)]
pub struct StreamsConfig {
    /// `application.id`: consumer group, and prefix of internal topics and transactional ids.
    pub application_id: String,
    /// `bootstrap.servers`.
    pub bootstrap_servers: String,
    /// `client.id`: prefix of the ids of all clients; empty for one made of the application id.
    pub client_id: String,
    /// `state.dir`.
    pub state_dir: PathBuf,
    /// `num.stream.threads`.
    pub num_stream_threads: usize,
    /// `processing.guarantee`.
    pub processing_guarantee: ProcessingGuarantee,
    /// `commit.interval.ms`: 30 s, or 100 ms with exactly once.
    pub commit_interval: Duration,
    /// `statestore.cache.max.bytes`, over all threads.
    pub statestore_cache_max_bytes: u64,
    /// `buffered.records.per.partition`.
    pub buffered_records_per_partition: usize,
    /// `metrics.recording.level`, `metrics.sample.window.ms`, `metrics.num.samples`.
    pub metrics: MetricConfig,
    /// `max.task.idle.ms`; `None` is -1: never wait for a partition.
    pub max_task_idle: Option<Duration>,
    /// `default.timestamp.extractor`: for sources that have none of their own.
    pub default_timestamp_extractor: TimestampPolicy,
    /// `poll.ms`.
    pub poll: Duration,
    /// `replication.factor` of internal topics; -1 is the broker's default.
    pub replication_factor: i16,
    /// `topology.optimization`: for [`build_with`](crate::dsl::StreamsBuilder::build_with).
    pub topology_optimization: TopologyOptimization,
    /// `repartition.purge.interval.ms`.
    pub repartition_purge_interval: Duration,
    /// `task.timeout.ms`: how long a thread tries again while the cluster does not answer.
    pub task_timeout: Duration,
    /// `state.cleanup.delay.ms`.
    pub state_cleanup_delay: Duration,
    /// `windowstore.changelog.additional.retention.ms`.
    pub window_store_additional_retention: Duration,
    /// `dsl.store.suppliers.class`: whether DSL stores are in memory only, unless they say otherwise.
    pub dsl_stores_in_memory: bool,
    /// `dsl.store.format`: whether DSL stores on disk have the form for rows with headers.
    pub dsl_store_headers: bool,
    /// `ensure.explicit.internal.resource.naming`: for [`build_with`](crate::dsl::StreamsBuilder::build_with).
    pub ensure_explicit_internal_resource_naming: bool,
    /// `deserialization.exception.handler`.
    pub deserialization_exception_handler: Arc<dyn ExceptionHandler>,
    /// `processing.exception.handler`.
    pub processing_exception_handler: Arc<dyn ExceptionHandler>,
    /// `production.exception.handler`.
    pub production_exception_handler: Arc<dyn ExceptionHandler>,
    /// Memory budget of this instance, ours: `memory.max.bytes`, 256 MiB. Stores, engines, and records that clients hold share it;
    /// code, the threads of clients and the application's own data come to it. How it is shared out:
    /// [`MemoryPlan`](streams_state::memory::MemoryPlan).
    pub memory_max_bytes: u64,
    /// A checkpoint ([`KafkaStreams::checkpoint`](crate::runtime::KafkaStreams::checkpoint)) whose state tasks without local state begin with,
    /// ours: `state.start.from`; none. One that cannot be used stops an application without state, and warns one that has some.
    pub state_start_from: Option<PathBuf>,
    /// Age from which such a checkpoint is refused, ours: `state.start.from.max.age.ms`, a day. A changelog may have forgotten older
    /// deletions: it should not be longer than the `delete.retention.ms` of the changelogs.
    pub state_start_from_max_age: Duration,
    /// `topic.*`: settings of internal topics.
    pub topic_properties: BTreeMap<String, String>,
    /// Settings that go to the Kafka clients as they are, prefixes (`consumer.`, `producer.`, ...) included.
    pub client_properties: BTreeMap<String, String>,
    /// Settings of the application's own, which mean nothing to this library: processors may ask for them. In properties these
    /// are the keys that begin with `app.` or with one of the prefixes listed in `app.config.prefixes`.
    pub app_configs: Arc<BTreeMap<String, String>>,
}

impl StreamsConfig {
    /// Kafka Streams' defaults, except `processing.guarantee`, which has to be chosen.
    pub fn new(application_id: impl Into<String>, guarantee: ProcessingGuarantee) -> Self {
        Self {
            application_id: application_id.into(),
            bootstrap_servers: String::new(),
            client_id: String::new(),
            state_dir: std::env::temp_dir().join("kafka-streams"),
            num_stream_threads: 1,
            processing_guarantee: guarantee,
            commit_interval: guarantee.default_commit_interval(),
            statestore_cache_max_bytes: 10 * 1024 * 1024,
            buffered_records_per_partition: 1000,
            metrics: MetricConfig::default(),
            max_task_idle: Some(Duration::ZERO),
            default_timestamp_extractor: TimestampPolicy::default(),
            poll: Duration::from_millis(100),
            replication_factor: -1,
            topology_optimization: TopologyOptimization::NONE,
            repartition_purge_interval: Duration::from_secs(30),
            task_timeout: Duration::from_secs(300),
            state_cleanup_delay: Duration::from_secs(600),
            window_store_additional_retention: Duration::from_secs(24 * 3600),
            dsl_stores_in_memory: false,
            dsl_store_headers: false,
            ensure_explicit_internal_resource_naming: false,
            deserialization_exception_handler: Arc::new(LogAndFail),
            processing_exception_handler: Arc::new(LogAndFail),
            production_exception_handler: Arc::new(LogAndFail),
            memory_max_bytes: 256 * 1024 * 1024,
            state_start_from: None,
            state_start_from_max_age: Duration::from_secs(24 * 3600),
            topic_properties: BTreeMap::new(),
            client_properties: BTreeMap::new(),
            app_configs: Arc::default(),
        }
    }

    /// Records that cannot be read, processed or written go to this topic, with headers that say why
    /// ([`dead_letter`](crate::dead_letter)), and the task goes on: all three handlers are [`DeadLetterQueue`]s. In properties:
    /// `errors.dead.letter.queue.topic.name`, and handlers that continue. The topic must exist.
    ///
    /// ```
    /// # use streams_core::{config::{ProcessingGuarantee, StreamsConfig}, topic::Topic};
    /// const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
    /// let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    /// config.dead_letters_to(&DEAD_LETTERS);
    /// assert!(config.processing_exception_handler.may_resume());
    /// ```
    pub fn dead_letters_to(&mut self, topic: &Topic<Option<Vec<u8>>, Option<Vec<u8>>>) {
        let handler = Arc::new(DeadLetterQueue::to(topic));
        self.deserialization_exception_handler = handler.clone();
        self.processing_exception_handler = handler.clone();
        self.production_exception_handler = handler;
    }

    /// The application's own settings whose keys begin with `prefix`, without it.
    pub fn app_configs_with_prefix(&self, prefix: &str) -> BTreeMap<String, String> {
        let own = self.app_configs.iter();
        own.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()))).collect()
    }

    /// Whether the guarantee is exactly once.
    pub fn exactly_once(&self) -> bool {
        self.processing_guarantee == ProcessingGuarantee::ExactlyOnceV2
    }
}

/// All settings, without passwords, keys and other secrets.
impl fmt::Debug for StreamsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamsConfig")
            .field("application_id", &self.application_id)
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("state_dir", &self.state_dir)
            .field("num_stream_threads", &self.num_stream_threads)
            .field("processing_guarantee", &self.processing_guarantee)
            .field("commit_interval", &self.commit_interval)
            .field("statestore_cache_max_bytes", &self.statestore_cache_max_bytes)
            .field("buffered_records_per_partition", &self.buffered_records_per_partition)
            .field("metrics", &self.metrics)
            .field("max_task_idle", &self.max_task_idle)
            .field("poll", &self.poll)
            .field("replication_factor", &self.replication_factor)
            .field("topology_optimization", &self.topology_optimization)
            .field("repartition_purge_interval", &self.repartition_purge_interval)
            .field("task_timeout", &self.task_timeout)
            .field("state_cleanup_delay", &self.state_cleanup_delay)
            .field("window_store_additional_retention", &self.window_store_additional_retention)
            .field("dsl_stores_in_memory", &self.dsl_stores_in_memory)
            .field("dsl_store_headers", &self.dsl_store_headers)
            .field("ensure_explicit_internal_resource_naming", &self.ensure_explicit_internal_resource_naming)
            .field("memory_max_bytes", &self.memory_max_bytes)
            .field("state_start_from", &self.state_start_from)
            .field("state_start_from_max_age", &self.state_start_from_max_age)
            .field("topic_properties", &self.topic_properties)
            .field("client_properties", &Redacted(&self.client_properties))
            .field("app_configs", &self.app_configs.keys())
            .finish_non_exhaustive()
    }
}

/// Properties with their secrets hidden.
struct Redacted<'a>(&'a BTreeMap<String, String>);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .0
            .iter()
            .map(|(key, value)| (key, if client_keys::is_secret(key) { "(hidden)" } else { value.as_str() }));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests;
