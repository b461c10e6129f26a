//! Threads, assignment, commit, recovery: what turns the crank of the tasks on a real clock and real clients.
//!
//! # Spans
//!
//! Subscribers of `tracing` see what a stream thread is at, below the target `kstreams`. Figures of Kafka Streams have no such thing;
//! names of steps are those of `commit.rs`.
//!
//! | span | level | fields | lasts for |
//! |---|---|---|---|
//! | `process` | DEBUG | `application`, `thread`, `task`, `buffered`, `processed` | a run of one task: up to 1000 records, due schedules, and handing the results to the producer |
//! | `commit` | DEBUG | `application`, `thread`, `offsets` | a commit of all tasks of a thread, if they did something |
//! | ├ `prepare_commit` | DEBUG | `step` 2, 3 | caches flush, stores hand over their changelog records |
//! | ├ `send_offsets`, `commit_transaction` | DEBUG | `step` 4, 5 | exactly once: offsets join the transaction, it is committed |
//! | ├ `flush_producer`, `commit_offsets` | DEBUG | `step` 4, 5 | at least once: wait for acknowledgements, then the offsets |
//! | ├ `post_commit` | DEBUG | `step` 6 | stores learn what is committed |
//! | └ `flush_stores` | DEBUG | `step` 7 | stores that gathered enough give it to their engine |
//! | `restore` | INFO | `application`, `thread`, `task`, `store`, `changelog`, `from`, `to`, `records` | a store that misses a part of its changelog, from the first batch to the last |
//!
//! `process`, `commit` and `restore` have no parent. Log lines that are written inside say where they come from: `RUST_LOG=info,kstreams=debug`.
//! There is no span for each record; [`Topology::trace_records`](crate::topology::Topology::trace_records) makes them for records that
//! bring a trace along. A span that no subscriber wants costs one comparison a batch.

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
// What subscribers of `tracing` see of the path.
mod spans;
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
// What their clients do.
mod client_sensors;
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
mod engines;
mod instance;
mod kafka_streams;
mod monitor;
mod threads;
mod work_profile;

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
pub use work_profile::{NodeShare, WorkProfile, WorkShares};
