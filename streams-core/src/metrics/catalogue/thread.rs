//! What a stream thread does: `stream-thread-metrics`.

use super::{GaugeSpec, SensorSpec};
use crate::metrics::{RecordingLevel, Stat};

/// Its group.
pub(crate) const GROUP: &str = "stream-thread-metrics";

/// Ms of a commit, for each task of it.
pub(crate) const COMMIT: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("commit-latency-avg", "Average time of commits", Stat::Avg),
        ("commit-latency-max", "Longest time of commits", Stat::Max),
        ("commit-rate", "Per-second rate of commits", Stat::Rate),
        ("commit-total", "Count of commits", Stat::Count),
    ],
};

/// Ms of a poll of the main consumer.
pub(crate) const POLL: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("poll-latency-avg", "Average time of consumer polls", Stat::Avg),
        ("poll-latency-max", "Longest time of consumer polls", Stat::Max),
        ("poll-rate", "Per-second rate of consumer polls", Stat::Rate),
        ("poll-total", "Count of consumer polls", Stat::Count),
    ],
};

/// Records that a poll brought.
pub(crate) const POLL_RECORDS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("poll-records-avg", "Average of records returned by a poll", Stat::Avg),
        ("poll-records-max", "Maximum of records returned by a poll", Stat::Max),
    ],
};

/// Ms that a record took, on average of a turn.
pub(crate) const PROCESS_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("process-latency-avg", "Average time of processing calls", Stat::Avg),
        ("process-latency-max", "Longest time of processing calls", Stat::Max),
    ],
};

/// Records of a turn.
pub(crate) const PROCESS_RATE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("process-rate", "Per-second rate of processing calls", Stat::ValueRate),
        ("process-total", "Count of processing calls", Stat::Total),
    ],
};

/// Records of a turn.
pub(crate) const PROCESS_RECORDS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("process-records-avg", "Average of records processed per round", Stat::Avg),
        ("process-records-max", "Maximum of records processed per round", Stat::Max),
    ],
};

/// Ms of the punctuations of a task.
pub(crate) const PUNCTUATE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("punctuate-latency-avg", "Average time of punctuations", Stat::Avg),
        ("punctuate-latency-max", "Longest time of punctuations", Stat::Max),
        ("punctuate-rate", "Per-second rate of punctuations", Stat::Rate),
        ("punctuate-total", "Count of punctuations", Stat::Count),
    ],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const COMMIT_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("commit-ratio", "Share of thread time spent committing", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const POLL_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("poll-ratio", "Share of thread time spent polling", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const PROCESS_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("process-ratio", "Share of thread time spent processing", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const PUNCTUATE_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("punctuate-ratio", "Share of thread time spent punctuating", Stat::Share)],
};

/// One for each task.
pub(crate) const TASK_CREATED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("task-created-rate", "Per-second rate of tasks created", Stat::Rate),
        ("task-created-total", "Count of tasks created", Stat::Count),
    ],
};

/// One for each task.
pub(crate) const TASK_CLOSED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("task-closed-rate", "Per-second rate of tasks closed", Stat::Rate),
        ("task-closed-total", "Count of tasks closed", Stat::Count),
    ],
};

pub(crate) const BLOCKED_TIME_NS_TOTAL: GaugeSpec =
    ("blocked-time-ns-total", "Nanoseconds the thread was blocked on Kafka");

pub(crate) const STATE: GaugeSpec = ("state", "Current state as text");

pub(crate) const THREAD_START_TIME: GaugeSpec = ("thread-start-time", "When the thread was started");

pub(crate) const THREAD_STATE: GaugeSpec = ("thread-state", "Thread state as a number");
