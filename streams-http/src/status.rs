//! What `/status` tells, as JSON: the instance, its threads, their tasks, what these read and hold. All counts are totals: who asks twice
//! makes rates of them.

use serde::Serialize;
use streams_core::client::embedded::Clock;
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{StoreRestore, StreamsMonitor, TaskFigures, TaskMetadata, ThreadState};

/// An instance at one moment.
#[derive(Serialize)]
pub(crate) struct Status {
    /// When this was, by the wall clock of the instance, ms.
    at: i64,
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
    /// When the figures below were taken, ms; absent before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    /// CPU time of the thread until then, for all its tasks, ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_cpu_ns: Option<u64>,
    inputs: Vec<Input>,
    stores: Vec<Store>,
}

#[derive(Serialize)]
struct Input {
    topic: String,
    partition: i32,
    position: Option<i64>,
    end: Option<i64>,
    lag: Option<i64>,
}

#[derive(Serialize)]
struct Store {
    name: String,
    memory_bytes: u64,
    engine_bytes: Option<u64>,
    restore: Option<RestoreLeft>,
}

#[derive(Serialize)]
struct RestoreLeft {
    restored: u64,
    left: u64,
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
        let figures = monitor.tasks();
        let threads = monitor.metadata_for_local_threads().into_iter().map(|thread| Thread {
            name: thread.thread_name,
            state: word(thread.thread_state),
            tasks: thread
                .active_tasks
                .into_iter()
                .map(|task| Task::of(&task, figures.iter().find(|figures| figures.task_id == task.task_id)))
                .collect(),
        });
        Self {
            at: SystemClock.now_ms(),
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

impl Task {
    fn of(task: &TaskMetadata, figures: Option<&TaskFigures>) -> Self {
        let inputs = figures.iter().flat_map(|figures| &figures.inputs).map(|input| Input {
            topic: input.partition.topic.to_string(),
            partition: input.partition.partition,
            position: input.position,
            end: input.end,
            lag: input.lag(),
        });
        let stores = figures.iter().flat_map(|figures| &figures.stores).map(|store| Store {
            name: store.name.to_string(),
            memory_bytes: store.memory_bytes,
            engine_bytes: store.engine_bytes,
            restore: store.restore.map(|StoreRestore { restored, left }| RestoreLeft { restored, left }),
        });
        Self {
            id: task.task_id.to_string(),
            partitions: task.topic_partitions.iter().map(ToString::to_string).collect(),
            restoring: task.restoring,
            at: figures.map(|figures| figures.at),
            thread_cpu_ns: figures.and_then(|figures| figures.thread_cpu_ns),
            inputs: inputs.collect(),
            stores: stores.collect(),
        }
    }
}

/// Kafka Streams' word.
pub(crate) fn word(state: ThreadState) -> &'static str {
    match state {
        ThreadState::PartitionsRevoked => "PARTITIONS_REVOKED",
        ThreadState::PartitionsAssigned => "PARTITIONS_ASSIGNED",
        ThreadState::Running => "RUNNING",
        ThreadState::Dead => "DEAD",
    }
}
