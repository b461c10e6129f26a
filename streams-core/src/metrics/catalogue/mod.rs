//! All metrics by scope: names, descriptions, levels, and which sensor shows them. Kafka Streams' names, in our words.

pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod node;
pub(crate) mod state_updater;
pub(crate) mod statistics;
pub(crate) mod store;
pub(crate) mod task;
pub(crate) mod thread;

use super::{RecordingLevel, Stat};

/// A sensor and the metrics that show it.
pub(crate) struct SensorSpec {
    /// From which level on it records.
    pub(crate) level: RecordingLevel,
    /// Name, description, how.
    pub(crate) shown: &'static [(&'static str, &'static str, Stat)],
}

/// Name and description.
pub(crate) type GaugeSpec = (&'static str, &'static str);
