//! What an instance says about its threads and their tasks.

use streams_state::types::{TaskId, TopicPartition};

use super::ThreadState;

/// A stream thread of this instance. From
/// [`KafkaStreams::metadata_for_local_threads`](super::KafkaStreams::metadata_for_local_threads).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadMetadata {
    /// Name of the thread.
    pub thread_name: String,
    /// What it does at the moment.
    pub thread_state: ThreadState,
    /// The tasks that it owns, in order.
    pub active_tasks: Vec<TaskMetadata>,
}

/// A task of a thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskMetadata {
    /// The task.
    pub task_id: TaskId,
    /// What it reads.
    pub topic_partitions: Vec<TopicPartition>,
    /// Its stores are not full yet.
    pub restoring: bool,
}
