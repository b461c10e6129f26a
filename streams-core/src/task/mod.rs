//! A partition's share of a topology: queues, chains, stores, and the task that turns them.
//!
//! A task does no network I/O and never reads a clock. It is fed records and time, and leaves an outbox and commit
//! offsets. The runtime, the test driver and the simulation turn the same crank:
//! `add_record* -> process* -> punctuate* -> prepare_commit -> (the caller sends the outbox and commits) -> post_commit`.

// Bytes of waiting records.
mod arena;
// Step 2: a partition's queue and its typed head.
mod record_queue;
// Step 3: whose turn it is.
mod partition_group;
// The text beside a committed offset.
mod offset_metadata;
// What a task is made with.
mod options;
// Chains, built from the sinks back.
mod at_node;
mod chain;
// Step 5: the stores of a task.
mod state_manager;
// What it measures.
mod engine_meters;
mod meters;
mod store_meters;
// Step 4: the task, and what it tells stores beforehand.
mod look_ahead;
mod stream_task;
// The one that feeds the global stores.
mod global_task;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod toy;

pub use crate::processor::ProcessorMetadata;
pub use chain::{Chain, LifecycleNode, SourceEnd, topic_name};
pub use global_task::{GlobalTask, OpenedGlobalStores, open_global_stores};
pub use offset_metadata::OffsetMetadata;
pub use options::{GlobalFeed, TaskOptions};
pub use partition_group::{PartitionGroup, Turn};
pub use record_queue::RecordQueue;
pub use state_manager::{FlushPolicy, StateManager, TaskStore, stores_of};
pub use stream_task::StreamTask;
