//! What Kafka's clients measure: names of Java's clients, in our words. What librdkafka cannot say is not here; see `tests/golden/metrics.rs`.

pub(crate) mod admin;
pub(crate) mod consumer;
pub(crate) mod network;
pub(crate) mod producer;

use super::GaugeSpec;

/// Group of what a client says of itself.
pub(crate) const APP_INFO: &str = "app-info";

pub(crate) const COMMIT_ID: GaugeSpec = ("commit-id", "Source revision of the library that has the client");

pub(crate) const START_TIME_MS: GaugeSpec = ("start-time-ms", "When the client was made, ms since the epoch");

pub(crate) const VERSION: GaugeSpec = ("version", "Version of the library that has the client");

/// Group of how many metrics there are.
pub(crate) const METRICS_COUNT: &str = "kafka-metrics-count";

/// Of a client with its tag, of everything without tags.
pub(crate) const COUNT: GaugeSpec = ("count", "How many metrics are registered");
