//! What an instance says of itself to whoever looks: a handle for health checks, pages and tests, beside the one that starts and stops it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::State;
use super::clock::SystemClock;
use super::figures::TaskFigures;
use super::history::Event;
use super::instance::{Instance, Member, lock};
use super::metadata::ThreadMetadata;
use super::metrics::MetricsSnapshot;
use super::queries;
use super::threads::thread_name;
use super::work_profile::WorkProfile;
use crate::client::embedded::Clock;
use crate::config::StreamsConfig;
use crate::metrics::Metric;
use crate::processor::HandledFailures;
use crate::query::{QueryError, StateQueryRequest, StateQueryResult};
use crate::topology::Topology;

/// Looks at a [`KafkaStreams`](super::KafkaStreams) from anywhere: cheap to clone, and sent to other threads. It keeps nothing running, and
/// goes on to answer when the instance is closed.
///
/// ```
/// # use std::sync::Arc;
/// # use streams_core::{client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::Topic};
/// # use streams_core::runtime::{KafkaStreams, State, clock::SystemClock};
/// # let config = StreamsConfig::new("word-count", ProcessingGuarantee::ExactlyOnceV2);
/// # let builder = StreamsBuilder::new();
/// # builder.stream(&Topic::<String, String>::new("words")).to(&Topic::<String, String>::new("out"));
/// # let streams = KafkaStreams::new(builder.build()?, config, Arc::new(EmbeddedKafka::new(SystemClock)))?;
/// let monitor = streams.monitor();
/// let watcher = std::thread::spawn(move || monitor.state());
/// assert!(matches!(watcher.join(), Ok(State::Created)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StreamsMonitor {
    pub(super) instance: Arc<Instance>,
    topology: Arc<Topology>,
    application_id: String,
    memory_max_bytes: u64,
}

impl StreamsMonitor {
    pub(super) fn new(instance: Arc<Instance>, topology: Arc<Topology>, config: &StreamsConfig) -> Self {
        let application_id = config.application_id.as_str().to_owned();
        Self { instance, topology, application_id, memory_max_bytes: config.memory_max_bytes }
    }

    /// `application.id`.
    #[must_use]
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// What runs.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// State of the instance.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.instance.status).state
    }

    /// The text of the error that stopped the instance, if one did and `close` did not return it.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        lock(&self.instance.status).error.as_ref().map(ToString::to_string)
    }

    /// Figures at this moment.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        MetricsSnapshot {
            memory_max_bytes: self.memory_max_bytes,
            process_memory_bytes: memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem as u64),
            ..self.instance.metrics.snapshot()
        }
    }

    /// All metrics at this moment, under Kafka Streams' names. See [`KafkaStreams::named_metrics`](super::KafkaStreams::named_metrics).
    #[must_use]
    pub fn named_metrics(&self) -> Vec<Metric> {
        self.instance.registry.snapshot(SystemClock.now_ms())
    }

    /// What each task has read and holds, in task order: at most about half a second old.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskFigures> {
        self.instance.metrics.tasks()
    }

    /// Where the time of its threads goes, node by node: looks at them when it is told to, and keeps the last `looks`. The threads say all
    /// the time what they are at, so nothing is to be switched on.
    #[must_use]
    pub fn work_profile(&self, looks: u32) -> WorkProfile {
        WorkProfile::new(self, looks)
    }

    /// The last records whose failures a handler was asked about, and how many there were.
    #[must_use]
    pub fn handled_failures(&self) -> HandledFailures {
        self.instance.metrics.handled()
    }

    /// What happened to the instance, oldest first: the last 200 changes of states and tasks.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        lock(&self.instance.status).history.events()
    }

    /// The stream threads of this instance that live, and their tasks.
    #[must_use]
    pub fn metadata_for_local_threads(&self) -> Vec<ThreadMetadata> {
        let status = lock(&self.instance.status);
        let living = status.threads.iter().filter(|member| member.is_alive());
        let metadata = |member: &Member| {
            Some(ThreadMetadata {
                thread_name: thread_name(&self.application_id, member.index?),
                thread_state: member.state,
                active_tasks: member.tasks.clone(),
            })
        };
        living.filter_map(metadata).collect()
    }

    /// As [`KafkaStreams::query`](super::KafkaStreams::query).
    ///
    /// # Errors
    /// As there.
    pub fn query<R: Send + 'static>(
        &self,
        request: &StateQueryRequest<R>,
    ) -> Result<StateQueryResult<R>, QueryError> {
        queries::query(&self.instance, (&self.application_id, &self.topology), request)
    }

    /// Waits up to `timeout` for one of `states`. Returns whether it came.
    pub fn await_state(&self, states: &[State], timeout: Duration) -> bool {
        let status = lock(&self.instance.status);
        let waited = self
            .instance
            .changed
            .wait_timeout_while(status, timeout, |status| !states.contains(&status.state))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }
}
