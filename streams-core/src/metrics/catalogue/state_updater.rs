//! What the restores of a thread do: `stream-state-updater-metrics`.

use super::{GaugeSpec, SensorSpec};
use crate::metrics::{RecordingLevel, Stat};

/// Its group.
pub(crate) const GROUP: &str = "stream-state-updater-metrics";

/// Ns of a turn that went to it, of how many.
pub(crate) const ACTIVE_RESTORE_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("active-restore-ratio", "Share of time spent restoring active tasks", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const STANDBY_UPDATE_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("standby-update-ratio", "Share of time spent updating standbys", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const CHECKPOINT_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("checkpoint-ratio", "Share of time spent writing checkpoints", Stat::Share)],
};

/// Ns of a turn that went to it, of how many.
pub(crate) const IDLE_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("idle-ratio", "Share of time the restorer had nothing to do", Stat::Share)],
};

/// One for each round of a restore.
pub(crate) const RESTORE_CALL: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("restore-call-rate", "Restore polls per second", Stat::Rate)],
};

/// Records of a round.
pub(crate) const RESTORE_RECORDS: SensorSpec = SensorSpec {
    level: RecordingLevel::Info,
    shown: &[("restore-records-rate", "Restored records per second", Stat::ValueRate)],
};

pub(crate) const ACTIVE_PAUSED_TASKS: GaugeSpec =
    ("active-paused-tasks", "Active tasks whose restore is paused");

pub(crate) const ACTIVE_RESTORING_TASKS: GaugeSpec =
    ("active-restoring-tasks", "Active tasks being restored now");

pub(crate) const STANDBY_PAUSED_TASKS: GaugeSpec = ("standby-paused-tasks", "Standby tasks paused now");

pub(crate) const STANDBY_UPDATING_TASKS: GaugeSpec =
    ("standby-updating-tasks", "Standby tasks being updated now");
