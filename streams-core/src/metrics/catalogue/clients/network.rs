//! Requests and connections, of a client and of each node that it speaks to.

use crate::metrics::catalogue::SensorSpec;
use crate::metrics::{RecordingLevel, Stat};

/// Bytes of requests, of how many.
pub(crate) const SENT: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("outgoing-byte-rate", "Bytes sent per second", Stat::ValueRate),
        ("outgoing-byte-total", "Bytes sent", Stat::Total),
        ("request-rate", "Requests sent per second", Stat::Rate),
        ("request-size-avg", "Average size of requests, bytes", Stat::Avg),
        ("request-total", "Requests sent", Stat::Count),
    ],
};

/// Bytes of responses, of how many.
pub(crate) const RECEIVED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("incoming-byte-rate", "Bytes received per second", Stat::ValueRate),
        ("incoming-byte-total", "Bytes received", Stat::Total),
        ("response-rate", "Responses received per second", Stat::Rate),
        ("response-total", "Responses received", Stat::Count),
    ],
};

/// Ms from a request to its response.
pub(crate) const REQUEST_LATENCY: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("request-latency-avg", "Average time from a request to its response, ms", Stat::Avg),
        ("request-latency-max", "Longest time from a request to its response, ms", Stat::Max),
    ],
};

/// Connections that are open.
pub(crate) const CONNECTIONS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("connection-count", "Connections that are open", Stat::Value)],
};

/// One for each.
pub(crate) const CONNECTIONS_CREATED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("connection-creation-rate", "Connections established per second", Stat::Rate),
        ("connection-creation-total", "Connections established", Stat::Count),
    ],
};

/// One for each.
pub(crate) const CONNECTIONS_CLOSED: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[
        ("connection-close-rate", "Connections closed per second", Stat::Rate),
        ("connection-close-total", "Connections closed", Stat::Count),
    ],
};
