//! What a task is made with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streams_state::engine::EngineProvider;
use streams_state::memory::MemoryBudget;
use streams_state::types::{TaskId, TopicPartition};
use uuid::Uuid;

use super::meters::Measures;
use crate::config::TimestampPolicy;
use crate::handler::ExceptionHandler;
use crate::metrics::MetricsSource;
use crate::processor::{GlobalStore, PartitionCounts, StoreInstance};
use crate::topology::{NodeId, Topology};

/// What a task is made with.
pub struct TaskOptions<'a> {
    /// The task. Its partition is the partition of all its source topics and changelogs.
    pub task: TaskId,
    /// `application.id`.
    pub application_id: Arc<str>,
    /// The topology.
    pub topology: &'a Topology,
    /// Nodes that the task runs, in the order in which they were added: those of one sub-topology, or of all.
    pub nodes: &'a [NodeId],
    /// Directory of the task's stores.
    pub directory: PathBuf,
    /// Opens the engines of stores. Those that are in memory only get the in-memory one whatever this is.
    pub engines: &'a dyn EngineProvider,
    /// Whether stores may hold updates back until a commit: `statestore.cache.max.bytes` is not 0.
    pub caching: bool,
    /// The memory that the tiers of all tasks share.
    pub memory: Arc<MemoryBudget>,
    /// Bytes of memory for what the task's stores do not share, all together: buffers that spill.
    pub buffers_max_bytes: u64,
    /// `max.task.idle.ms`; `None` is -1.
    pub max_task_idle: Option<Duration>,
    /// `default.timestamp.extractor`.
    pub timestamp_policy: TimestampPolicy,
    /// Settings of the application's own.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// Global stores, which the task may read.
    pub global_stores: Vec<GlobalStore>,
    /// The task is the one that feeds the global stores.
    pub global_feed: Option<GlobalFeed>,
    /// Ids of the topics that stores are restored from, where they are known.
    pub topic_ids: Arc<BTreeMap<String, Uuid>>,
    /// Partition counts of topics that the task writes.
    pub partition_counts: PartitionCounts,
    /// Size of the largest record that the producer takes (`max.request.size`); `None` is no limit.
    pub record_max_bytes: Option<usize>,
    /// `deserialization.exception.handler`.
    pub deserialization_handler: Arc<dyn ExceptionHandler>,
    /// `processing.exception.handler`.
    pub processing_handler: Arc<dyn ExceptionHandler>,
    /// `production.exception.handler`.
    pub production_handler: Arc<dyn ExceptionHandler>,
    /// Where the task registers what it measures.
    pub metrics: MetricsSource,
}

impl TaskOptions<'_> {
    /// Tag `task-id` of its metrics. The task that feeds the global stores has none in the plan, and is -1_-1 in Kafka Streams.
    pub(super) fn tag(&self) -> String {
        match self.global_feed {
            Some(_) => "-1_-1".to_owned(),
            None => self.task.to_string(),
        }
    }

    /// What the task measures.
    pub(super) fn measures(&self) -> Measures {
        match self.global_feed {
            Some(_) => Measures::Restore,
            None => Measures::All,
        }
    }
}

/// What the task that feeds the global stores has beside others.
#[derive(Clone, Default)]
pub struct GlobalFeed {
    /// The stand-ins of the global stores: they are not flushed, committed or closed by the task.
    pub stores: Vec<(Arc<str>, StoreInstance)>,
    /// The partitions that it reads: all of each topic. Empty: partition -1 of each.
    pub partitions: Vec<TopicPartition>,
}
