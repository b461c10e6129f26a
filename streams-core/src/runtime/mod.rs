//! Threads, assignment, commit, recovery: what turns the crank of the tasks on a real clock and real clients.

// The only place that reads the clock.
pub mod clock;
// States of an instance.
mod state;
// What can stop it.
mod error;
// What an application can watch.
mod close_options;
mod figures;
mod history;
mod listener;
mod metadata;
mod metrics;
// Before the first record.
mod internal_topics;
mod local_state;
mod shared;
mod tasks;
// Beside the path: what the cluster has, looked at again now and then.
mod topic_watch;
// Work that no record waits for.
mod housekeeping;
// The path: poll, (process), produce, commit, recover.
mod assignment;
mod commit;
mod poll;
mod produce;
mod rebuilds;
mod recover;
mod restore;
mod restore_job;
mod restore_progress;
mod restore_workers;
mod rewind;
mod rewinds;
mod stream_thread;
mod task_timeout;
mod thread_sensors;
// Beside it: copies of what the tasks hold.
mod checkpoint_request;
// What is asked of them.
mod queries;
// And the stores that all threads share.
mod checkpoint;
mod global_restore;
mod global_thread;
// In virtual time on the embedded log.
#[cfg(test)]
mod tests;
// The handle, and what it shares with the threads.
mod client_metrics;
mod instance;
mod kafka_streams;
mod monitor;
mod threads;

#[cfg(feature = "sim")]
pub(crate) use {
    global_thread::GlobalThread, housekeeping::Housekeeper, metrics::ThreadMetrics, shared::Shared,
    stream_thread::StreamThread,
};

pub use close_options::{CloseOptions, GroupMembershipOperation};
pub use error::StreamsError;
pub use figures::{InputFigures, StoreFigures, StoreRestore, TaskFigures};
pub use history::{Change, Event};
pub use kafka_streams::KafkaStreams;
pub use listener::{
    StateListener, StateRestoreListener, StreamThreadExceptionResponse, UncaughtExceptionHandler,
};
pub use metadata::{TaskMetadata, ThreadMetadata};
pub use metrics::MetricsSnapshot;
pub use monitor::StreamsMonitor;
pub use recover::{Phase, Recovery};
pub use state::{State, ThreadState};
pub use streams_state::checkpoint::{Checkpoint, CheckpointedFile, CheckpointedStore, CheckpointedTask};
