//! What `/status` tells, as JSON: the instance, its threads, their tasks.

use serde::Serialize;
use streams_core::runtime::{StreamsMonitor, ThreadState};

/// An instance at one moment.
#[derive(Serialize)]
pub(crate) struct Status {
    application_id: String,
    state: String,
    error: Option<String>,
    threads: Vec<Thread>,
    restore: Restore,
    records: Records,
    memory: Memory,
}

#[derive(Serialize)]
struct Thread {
    name: String,
    state: &'static str,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Task {
    id: String,
    partitions: Vec<String>,
    restoring: bool,
}

#[derive(Serialize)]
struct Restore {
    tasks: u64,
    records_restored: u64,
    records_left: u64,
    records_per_second: u64,
    seconds_left: u64,
}

#[derive(Serialize)]
struct Records {
    processed: u64,
    produced: u64,
    dropped: u64,
    lag: i64,
    commits: u64,
    rewinds: u64,
}

#[derive(Serialize)]
struct Memory {
    max_bytes: u64,
    state_bytes: u64,
    engine_bytes: u64,
    process_bytes: u64,
}

impl Status {
    /// What `monitor` sees now.
    pub(crate) fn of(monitor: &StreamsMonitor) -> Self {
        let metrics = monitor.metrics();
        let threads = monitor.metadata_for_local_threads().into_iter().map(|thread| Thread {
            name: thread.thread_name,
            state: word(thread.thread_state),
            tasks: thread
                .active_tasks
                .into_iter()
                .map(|task| Task {
                    id: task.task_id.to_string(),
                    partitions: task.topic_partitions.iter().map(ToString::to_string).collect(),
                    restoring: task.restoring,
                })
                .collect(),
        });
        Self {
            application_id: monitor.application_id().to_owned(),
            state: monitor.state().to_string(),
            error: monitor.error(),
            threads: threads.collect(),
            restore: Restore {
                tasks: metrics.tasks_restoring,
                records_restored: metrics.records_restored,
                records_left: metrics.restore_records_left,
                records_per_second: metrics.restore_records_per_second,
                seconds_left: metrics.restore_seconds_left,
            },
            records: Records {
                processed: metrics.records_processed,
                produced: metrics.records_produced,
                dropped: metrics.records_dropped,
                lag: metrics.lag,
                commits: metrics.commits,
                rewinds: metrics.rewinds,
            },
            memory: Memory {
                max_bytes: metrics.memory_max_bytes,
                state_bytes: metrics.state_memory_bytes,
                engine_bytes: metrics.state_engine_bytes,
                process_bytes: metrics.process_memory_bytes,
            },
        }
    }
}

/// Kafka Streams' word.
fn word(state: ThreadState) -> &'static str {
    match state {
        ThreadState::PartitionsRevoked => "PARTITIONS_REVOKED",
        ThreadState::PartitionsAssigned => "PARTITIONS_ASSIGNED",
        ThreadState::Running => "RUNNING",
        ThreadState::Dead => "DEAD",
    }
}
