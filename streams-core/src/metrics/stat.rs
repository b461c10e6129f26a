//! How a metric shows what its sensor saw.

use super::samples::Samples;
use super::{Batch, MetricValue};

/// How a metric shows what its sensor saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stat {
    /// Numbers recorded a second, over the last windows: `...-rate`.
    Rate,
    /// The same an hour: `...-rate-per-hour` of what is rare.
    RatePerHour,
    /// Their sum a second, over the last windows, for instance bytes a second.
    ValueRate,
    /// Average of the numbers in the last windows: `...-avg`; NaN if there are none.
    Avg,
    /// The smallest in the last windows: `...-min`; NaN if there are none.
    Min,
    /// The greatest in the last windows: `...-max`; NaN if there are none.
    Max,
    /// How many numbers were recorded since the sensor began: `...-total` of events.
    Count,
    /// Their sum since the sensor began: `...-total` of amounts.
    Total,
    /// The last number recorded.
    Value,
    /// The sum in the last windows over how many there were, 0 if there are none: a share of time, where each batch says how many of its ns
    /// were spent on it.
    Share,
}

/// All that a sensor saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) samples: Samples,
    pub(super) ever: Batch,
}

impl Stat {
    /// What it shows at `now`, ms.
    pub(super) fn of(self, seen: &Seen, now: i64) -> MetricValue {
        let (recent, elapsed_ms) = seen.samples.seen(now);
        let seconds = elapsed_ms as f64 / 1000.0;
        let some = |number: f64| if recent.count == 0 { f64::NAN } else { number };
        MetricValue::Number(match self {
            Self::Rate => recent.count as f64 / seconds,
            Self::RatePerHour => recent.count as f64 / seconds * 3600.0,
            Self::ValueRate => recent.sum / seconds,
            Self::Avg => some(recent.sum / recent.count as f64),
            Self::Min => some(recent.min),
            Self::Max => some(recent.max),
            Self::Count => seen.ever.count as f64,
            Self::Total => seen.ever.sum,
            Self::Value => seen.ever.last,
            Self::Share if recent.count == 0 => 0.0,
            Self::Share => recent.sum / recent.count as f64,
        })
    }
}
