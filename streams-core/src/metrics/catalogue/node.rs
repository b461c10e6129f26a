//! What nodes do, and what they read and write: `stream-processor-node-metrics`, `stream-topic-metrics`.

use super::SensorSpec;
use crate::metrics::{RecordingLevel, Stat};

/// Group of nodes.
pub(crate) const GROUP: &str = "stream-processor-node-metrics";

/// Records of a batch, at source nodes.
pub(crate) const PROCESS: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("process-rate", "Per-second rate of processing calls", Stat::ValueRate),
        ("process-total", "Count of processing calls", Stat::Total),
    ],
};

/// Ms from the time of a record to the wall clock, at source and terminal nodes.
pub(crate) const E2E_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("record-e2e-latency-avg", "Average of record age when it arrives here", Stat::Avg),
        ("record-e2e-latency-max", "Maximum of record age when it arrives here", Stat::Max),
        ("record-e2e-latency-min", "Minimum of record age when it arrives here", Stat::Min),
    ],
};

/// Records that a suppression let go, of a batch.
pub(crate) const SUPPRESSION_EMIT: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("suppression-emit-rate", "Per-second rate of records emitted by suppression", Stat::ValueRate),
        ("suppression-emit-total", "Count of records emitted by suppression", Stat::Total),
    ],
};

/// Ms of a round of final results.
pub(crate) const FINAL_EMIT_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("window-aggregate-final-emit-latency-avg", "Average time of final window emissions", Stat::Avg),
        ("window-aggregate-final-emit-latency-max", "Longest time of final window emissions", Stat::Max),
    ],
};

/// Final results of a round.
pub(crate) const FINAL_EMIT: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("window-aggregate-final-emit-rate", "Per-second rate of final window emissions", Stat::ValueRate),
        ("window-aggregate-final-emit-total", "Count of final window emissions", Stat::Total),
    ],
};

/// Group of what sources read and sinks write.
pub(crate) const TOPIC_GROUP: &str = "stream-topic-metrics";

/// Amounts of a batch.
pub(crate) const BYTES_CONSUMED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("bytes-consumed-total", "Bytes read from the topic by this source", Stat::Total)],
};

/// Amounts of a batch.
pub(crate) const RECORDS_CONSUMED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-consumed-total", "Records read from the topic by this source", Stat::Total)],
};

/// Amounts of a batch.
pub(crate) const BYTES_PRODUCED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("bytes-produced-total", "Bytes sent to the topic by this sink", Stat::Total)],
};

/// Amounts of a batch.
pub(crate) const RECORDS_PRODUCED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-produced-total", "Records sent to the topic by this sink", Stat::Total)],
};
