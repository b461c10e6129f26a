//! What a task does: `stream-task-metrics`.

use super::SensorSpec;
use crate::metrics::{RecordingLevel, Stat};

/// Its group.
pub(crate) const GROUP: &str = "stream-task-metrics";

/// Records that wait.
pub(crate) const ACTIVE_BUFFER_COUNT: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[("active-buffer-count", "Records waiting in the input queues of the task", Stat::Value)],
};

/// Ns that the thread worked on it, of how many of the turn.
pub(crate) const ACTIVE_PROCESS_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("active-process-ratio", "Share of thread time spent processing this task", Stat::Share)],
};

/// Bytes that its record caches hold back.
pub(crate) const CACHE_SIZE_BYTES: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[("cache-size-bytes-total", "Record cache bytes held for the task", Stat::Value)],
};

/// Records of a batch.
pub(crate) const DROPPED_RECORDS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("dropped-records-rate", "Per-second rate of records dropped", Stat::ValueRate),
        ("dropped-records-total", "Count of records dropped", Stat::Total),
    ],
};

/// One for each time.
pub(crate) const ENFORCED_PROCESSING: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        (
            "enforced-processing-rate",
            "Per-second rate of records processed without waiting for all inputs",
            Stat::Rate,
        ),
        (
            "enforced-processing-total",
            "Count of records processed without waiting for all inputs",
            Stat::Count,
        ),
    ],
};

/// Ns of a record.
pub(crate) const PROCESS_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("process-latency-avg", "Average time of processing calls", Stat::Avg),
        ("process-latency-max", "Longest time of processing calls", Stat::Max),
    ],
};

/// Records of a batch.
pub(crate) const PROCESS_RATE: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("process-rate", "Per-second rate of processing calls", Stat::ValueRate),
        ("process-total", "Count of processing calls", Stat::Total),
    ],
};

/// Ns of a call.
pub(crate) const PUNCTUATE: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("punctuate-latency-avg", "Average time of punctuations", Stat::Avg),
        ("punctuate-latency-max", "Longest time of punctuations", Stat::Max),
        ("punctuate-rate", "Per-second rate of punctuations", Stat::Rate),
        ("punctuate-total", "Count of punctuations", Stat::Count),
    ],
};

/// Ms from a record to the stream time.
pub(crate) const RECORD_LATENESS: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("record-lateness-avg", "Average of how far records trail stream time", Stat::Avg),
        ("record-lateness-max", "Maximum of how far records trail stream time", Stat::Max),
    ],
};

/// Records of a round.
pub(crate) const RESTORE: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("restore-rate", "Per-second rate of restore calls or records", Stat::ValueRate),
        ("restore-total", "Count of restore calls or records", Stat::Total),
    ],
};

/// Records left.
pub(crate) const RESTORE_REMAINING: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("restore-remaining-records-total", "Records still to restore for the task", Stat::Value)],
};
