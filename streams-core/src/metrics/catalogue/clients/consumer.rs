//! What consumers do: `consumer-metrics`, `consumer-coordinator-metrics`, `consumer-fetch-manager-metrics`.

use crate::metrics::catalogue::{GaugeSpec, SensorSpec};
use crate::metrics::{RecordingLevel, Stat};

/// Group of the consumer.
pub(crate) const GROUP: &str = "consumer-metrics";

/// Group of the nodes that it speaks to.
pub(crate) const NODE_GROUP: &str = "consumer-node-metrics";

pub(crate) const LAST_POLL_SECONDS_AGO: GaugeSpec =
    ("last-poll-seconds-ago", "Seconds since the last poll began, -1 before the first");

/// Ms.
pub(crate) const TIME_BETWEEN_POLL: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("time-between-poll-avg", "Average time from one poll to the next, ms", Stat::Avg),
        ("time-between-poll-max", "Longest time from one poll to the next, ms", Stat::Max),
    ],
};

/// Time of a poll, of the time since the one before.
pub(crate) const POLL_IDLE_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("poll-idle-ratio-avg", "Average share of time spent in a poll", Stat::Avg)],
};

/// Ns.
pub(crate) const COMMIT_SYNC_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("commit-sync-time-ns-total", "Time spent committing offsets, ns", Stat::Total)],
};

/// Ns.
pub(crate) const COMMITTED_TIME: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("committed-time-ns-total", "Time spent asking for committed offsets, ns", Stat::Total)],
};

/// Group of its membership.
pub(crate) const COORDINATOR_GROUP: &str = "consumer-coordinator-metrics";

pub(crate) const ASSIGNED_PARTITIONS: GaugeSpec = ("assigned-partitions", "Partitions that are assigned");

pub(crate) const LAST_REBALANCE_SECONDS_AGO: GaugeSpec =
    ("last-rebalance-seconds-ago", "Seconds since the last rebalance ended, -1 before the first");

/// Ms.
pub(crate) const COMMIT: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("commit-latency-avg", "Average time of commits of offsets, ms", Stat::Avg),
        ("commit-latency-max", "Longest time of commits of offsets, ms", Stat::Max),
        ("commit-rate", "Commits of offsets per second", Stat::Rate),
        ("commit-total", "Commits of offsets", Stat::Count),
    ],
};

/// One for each.
pub(crate) const REBALANCE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("rebalance-rate-per-hour", "Rebalances that ended with an assignment, per hour", Stat::RatePerHour),
        ("rebalance-total", "Rebalances that ended with an assignment", Stat::Count),
    ],
};

/// Ms from giving partitions back, or from subscribing, to the answered assignment.
pub(crate) const REBALANCE_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("rebalance-latency-avg", "Average time of rebalances, ms", Stat::Avg),
        ("rebalance-latency-max", "Longest time of rebalances, ms", Stat::Max),
        ("rebalance-latency-total", "Time of all rebalances, ms", Stat::Total),
    ],
};

/// Ms.
pub(crate) const PARTITION_ASSIGNED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("partition-assigned-latency-avg", "Average time to take up what was assigned, ms", Stat::Avg),
        ("partition-assigned-latency-max", "Longest time to take up what was assigned, ms", Stat::Max),
    ],
};

/// Ms.
pub(crate) const PARTITION_REVOKED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("partition-revoked-latency-avg", "Average time to give partitions back, ms", Stat::Avg),
        ("partition-revoked-latency-max", "Longest time to give partitions back, ms", Stat::Max),
    ],
};

/// Ms.
pub(crate) const PARTITION_LOST: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("partition-lost-latency-avg", "Average time to let go of lost partitions, ms", Stat::Avg),
        ("partition-lost-latency-max", "Longest time to let go of lost partitions, ms", Stat::Max),
    ],
};

/// One for each.
pub(crate) const HEARTBEAT: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("heartbeat-rate", "Heartbeats sent per second", Stat::Rate),
        ("heartbeat-total", "Heartbeats sent", Stat::Count),
    ],
};

/// Group of what it fetches: as a whole, of a topic, of a partition.
pub(crate) const FETCH_GROUP: &str = "consumer-fetch-manager-metrics";

/// Amounts since the last look; of a topic, too.
pub(crate) const BYTES_CONSUMED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("bytes-consumed-rate", "Bytes of keys and values that polls brought, per second", Stat::ValueRate),
        ("bytes-consumed-total", "Bytes of keys and values that polls brought", Stat::Total),
    ],
};

/// Amounts since the last look; of a topic, too.
pub(crate) const RECORDS_CONSUMED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("records-consumed-rate", "Records that polls brought, per second", Stat::ValueRate),
        ("records-consumed-total", "Records that polls brought", Stat::Total),
    ],
};

/// Bytes of fetches, of how many.
pub(crate) const FETCH: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("fetch-rate", "Fetches per second", Stat::Rate),
        ("fetch-size-avg", "Average of bytes of keys and values that a fetch brought", Stat::Avg),
        ("fetch-total", "Fetches", Stat::Count),
    ],
};

/// Records of fetches, of how many.
pub(crate) const FETCH_RECORDS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-per-request-avg", "Average of records that a fetch brought", Stat::Avg)],
};

/// Ms, of how many fetches.
pub(crate) const FETCH_THROTTLE: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("fetch-throttle-time-avg", "Average time that brokers held a fetch up for a quota, ms", Stat::Avg),
        ("fetch-throttle-time-max", "Longest time that brokers held a fetch up for a quota, ms", Stat::Max),
    ],
};

/// Of all partitions, at each look.
pub(crate) const LAG_MAX: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-lag-max", "Largest lag of a partition, records", Stat::Max)],
};

/// Of all partitions, at each look.
pub(crate) const LEAD_MIN: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("records-lead-min", "Smallest lead of a partition, records", Stat::Min)],
};

/// Of a partition, at each look.
pub(crate) const LAG: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("records-lag", "Records between the position and the end of the partition", Stat::Value),
        ("records-lag-avg", "Average lag, records", Stat::Avg),
        ("records-lag-max", "Largest lag of a partition, records", Stat::Max),
    ],
};

/// Of a partition, at each look.
pub(crate) const LEAD: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("records-lead", "Records between the beginning of the partition and the position", Stat::Value),
        ("records-lead-avg", "Average lead, records", Stat::Avg),
        ("records-lead-min", "Smallest lead of a partition, records", Stat::Min),
    ],
};

pub(crate) const PREFERRED_READ_REPLICA: GaugeSpec =
    ("preferred-read-replica", "The follower that the partition is read from, -1 for its leader");
