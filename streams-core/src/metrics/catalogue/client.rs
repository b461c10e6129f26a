//! What an instance says of itself: `stream-metrics`.

use super::{GaugeSpec, SensorSpec};
use crate::metrics::{RecordingLevel, Stat};

/// Its group.
pub(crate) const GROUP: &str = "stream-metrics";

pub(crate) const ALIVE_STREAM_THREADS: GaugeSpec = ("alive-stream-threads", "Stream threads that are alive");

pub(crate) const APPLICATION_ID: GaugeSpec = ("application-id", "The application id");

pub(crate) const CLIENT_STATE: GaugeSpec = ("client-state", "Client state as a number");

pub(crate) const COMMIT_ID: GaugeSpec = ("commit-id", "Source revision of the library");

pub(crate) const RECORDING_LEVEL: GaugeSpec = ("recording-level", "Configured recording level as a number");

pub(crate) const STATE: GaugeSpec = ("state", "Current state as text");

pub(crate) const TOPOLOGY_DESCRIPTION: GaugeSpec = ("topology-description", "Text of the running topology");

pub(crate) const VERSION: GaugeSpec = ("version", "Library version");

/// One for each thread that died of an error.
pub(crate) const FAILED_STREAM_THREADS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("failed-stream-threads", "Stream threads that died of an error", Stat::Count)],
};
