//! What is recorded, and how far rates and averages look back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// `metrics.recording.level`: from which level on a sensor records. Each level holds those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum RecordingLevel {
    /// What costs nothing for each record: the default.
    #[default]
    Info,
    /// Latencies of single records and store operations too, and what RocksDB counts: a clock is read for each.
    Debug,
    /// The age of records at each store, too.
    Trace,
}

impl RecordingLevel {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Debug, Self::Trace];

    /// Whether a sensor of this level records where `configured` is the level.
    #[must_use]
    pub fn records_at(self, configured: Self) -> bool {
        self <= configured
    }

    /// Its number in the metric `recording-level`, as in Kafka: 0 for INFO, 1 for DEBUG, 2 for TRACE.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Info => 0,
            Self::Debug => 1,
            Self::Trace => 2,
        }
    }
}

impl fmt::Display for RecordingLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        })
    }
}

impl FromStr for RecordingLevel {
    type Err = String;

    /// As in the setting, in capital letters.
    fn from_str(text: &str) -> Result<Self, String> {
        let level = Self::ALL.into_iter().find(|level| level.to_string() == text);
        level.ok_or_else(|| format!("one of INFO, DEBUG, TRACE, not {text:?}"))
    }
}

/// The settings of metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricConfig {
    /// `metrics.recording.level`; INFO.
    pub recording_level: RecordingLevel,
    /// `metrics.sample.window.ms`: how long numbers are gathered in one sample; 30 s.
    pub sample_window: Duration,
    /// `metrics.num.samples`: of how many samples rates, averages and maxima are made; 2, at least 1.
    pub num_samples: usize,
}

impl Default for MetricConfig {
    fn default() -> Self {
        Self { recording_level: RecordingLevel::Info, sample_window: Duration::from_secs(30), num_samples: 2 }
    }
}
