//! What producers do: `producer-metrics`, `producer-topic-metrics`.

use crate::metrics::catalogue::SensorSpec;
use crate::metrics::{RecordingLevel, Stat};

/// Group of the producer.
pub(crate) const GROUP: &str = "producer-metrics";

/// Group of the nodes that it speaks to.
pub(crate) const NODE_GROUP: &str = "producer-node-metrics";

/// Group of what it sends to a topic.
pub(crate) const TOPIC_GROUP: &str = "producer-topic-metrics";

/// Records since the last look; of a topic, too.
pub(crate) const RECORD_SEND: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("record-send-rate", "Records sent per second", Stat::ValueRate),
        ("record-send-total", "Records sent", Stat::Total),
    ],
};

/// One for each; of a topic, too.
pub(crate) const RECORD_ERROR: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("record-error-rate", "Records that could not be sent, per second", Stat::Rate),
        ("record-error-total", "Records that could not be sent", Stat::Count),
    ],
};

/// Bytes since the last look, of a topic.
pub(crate) const BYTE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("byte-rate", "Bytes of keys and values sent per second", Stat::ValueRate),
        ("byte-total", "Bytes of keys and values sent", Stat::Total),
    ],
};

/// Bytes of records, of how many.
pub(crate) const RECORD_SIZE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("record-size-avg", "Average size of key and value of a record, bytes", Stat::Avg)],
};

/// Bytes of each batch.
pub(crate) const BATCH_SIZE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("batch-size-avg", "Average size of batches of a partition, bytes", Stat::Avg),
        ("batch-size-max", "Largest batch of a partition, bytes", Stat::Max),
    ],
};

/// Ms of each record.
pub(crate) const RECORD_QUEUE_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("record-queue-time-avg", "Average time of records in the producer's queue, ms", Stat::Avg),
        ("record-queue-time-max", "Longest time of records in the producer's queue, ms", Stat::Max),
    ],
};

/// Records of requests, of how many.
pub(crate) const RECORDS_PER_REQUEST: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-per-request-avg", "Average of records that a request took along", Stat::Avg)],
};

/// Ms, of how many requests.
pub(crate) const PRODUCE_THROTTLE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        (
            "produce-throttle-time-avg",
            "Average time that brokers held a request up for a quota, ms",
            Stat::Avg,
        ),
        (
            "produce-throttle-time-max",
            "Longest time that brokers held a request up for a quota, ms",
            Stat::Max,
        ),
    ],
};

/// At each look.
pub(crate) const REQUESTS_IN_FLIGHT: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("requests-in-flight", "Requests that wait for their response", Stat::Value)],
};

/// At each look.
pub(crate) const BUFFER_TOTAL: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("buffer-total-bytes", "Most bytes of records that may wait", Stat::Value)],
};

/// At each look.
pub(crate) const BUFFER_AVAILABLE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("buffer-available-bytes", "Bytes of records that may wait beside those that do", Stat::Value)],
};

/// Seconds, at each look.
pub(crate) const METADATA_AGE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("metadata-age", "Seconds since brokers said last what they know of a topic", Stat::Value)],
};

/// Ns.
pub(crate) const FLUSH_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("flush-time-ns-total", "Time spent in flushes, ns", Stat::Total)],
};

/// Ns.
pub(crate) const METADATA_WAIT_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("metadata-wait-time-ns-total", "Time spent waiting to know a topic, ns", Stat::Total)],
};

/// Ns.
pub(crate) const TXN_INIT_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("txn-init-time-ns-total", "Time spent preparing for transactions, ns", Stat::Total)],
};

/// Ns.
pub(crate) const TXN_BEGIN_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("txn-begin-time-ns-total", "Time spent beginning transactions, ns", Stat::Total)],
};

/// Ns.
pub(crate) const TXN_SEND_OFFSETS_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[(
        "txn-send-offsets-time-ns-total",
        "Time spent adding offsets to transactions, ns",
        Stat::Total,
    )],
};

/// Ns.
pub(crate) const TXN_COMMIT_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("txn-commit-time-ns-total", "Time spent committing transactions, ns", Stat::Total)],
};

/// Ns.
pub(crate) const TXN_ABORT_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("txn-abort-time-ns-total", "Time spent aborting transactions, ns", Stat::Total)],
};
