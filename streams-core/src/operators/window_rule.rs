//! Which windows of fixed size a timestamp falls into.

use std::sync::Arc;
use std::time::Duration;

use streams_state::types::{Timestamp, Window};

/// Windows of one's own, for `windowed_by`: all that [`TimeWindows`](crate::dsl::TimeWindows) and
/// [`UnlimitedWindows`](crate::dsl::UnlimitedWindows) cannot say.
///
/// The answers must depend on the arguments only: the same timestamp falls into the same windows at each run.
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::{dsl::{StreamsBuilder, Windows}, testing::TopologyTestDriver, topic::Topic, types::Window};
/// /// Days that begin at six in the morning, UTC.
/// struct Shifts;
/// const DAY: i64 = 86_400_000;
/// const SIX: i64 = 6 * 3_600_000;
///
/// impl Windows for Shifts {
///     fn windows_for(&self, timestamp: i64, visit: &mut dyn FnMut(Window)) {
///         let start = (timestamp - SIX).div_euclid(DAY) * DAY + SIX;
///         visit(Window { start: start.max(0), end: start + DAY });
///     }
///     fn size(&self) -> Duration {
///         Duration::from_secs(86_400)
///     }
/// }
///
/// const IN: Topic<String, i64> = Topic::new("in");
/// const OUT: Topic<String, i64> = Topic::new("out");
/// let builder = StreamsBuilder::new();
/// let counts = builder.stream(&IN).group_by_key().windowed_by(Shifts).count();
/// counts.to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
///
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// driver.input(&IN).pipe_at("a", 1, DAY + SIX + 1);
/// assert_eq!(driver.output(&OUT).read_key_values()["[a@108000000/194400000]"], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Windows: Send + Sync + 'static {
    /// Shows each window that `timestamp` (ms) falls into, in the order in which they are to be updated. Starts must not be
    /// negative; two windows of different bounds must have different starts.
    fn windows_for(&self, timestamp: Timestamp, visit: &mut dyn FnMut(Window));

    /// Length of the longest window. With the grace it decides how long windows are kept.
    fn size(&self) -> Duration;

    /// For how long after its end a window takes late records. Default: not at all.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }
}

/// A rule, the built-in ones without a virtual call.
#[derive(Clone)]
pub enum WindowRule {
    /// Windows of `size` that start every `advance` ms.
    Hopping { size: Timestamp, advance: Timestamp },
    /// One window without an end.
    Unlimited { start: Timestamp },
    /// The user's.
    Custom(Arc<dyn Windows>),
}

impl WindowRule {
    /// The windows of `timestamp`, into `windows`.
    #[inline]
    pub(crate) fn windows_for(&self, timestamp: Timestamp, windows: &mut Vec<Window>) {
        windows.clear();
        match self {
            Self::Hopping { size, advance } => {
                let first = timestamp.saturating_sub(*size).saturating_add(*advance).max(0);
                let mut start = first / advance * advance;
                while start <= timestamp {
                    let end = start.saturating_add(*size);
                    windows.push(Window { start, end });
                    start = start.saturating_add(*advance);
                }
            }
            Self::Unlimited { start } if timestamp >= *start => {
                windows.push(Window { start: *start, end: Timestamp::MAX });
            }
            Self::Unlimited { .. } => {}
            Self::Custom(rule) => rule.windows_for(timestamp, &mut |window| windows.push(window)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(size: i64, advance: i64, timestamp: i64) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        WindowRule::Hopping { size, advance }.windows_for(timestamp, &mut windows);
        windows.iter().map(|window| (window.start, window.end)).collect()
    }

    #[test]
    fn hopping_windows_start_at_multiples_of_the_advance() {
        assert_eq!(windows(10, 10, 0), [(0, 10)]);
        assert_eq!(windows(10, 10, 9), [(0, 10)]);
        assert_eq!(windows(10, 10, 10), [(10, 20)]);
        assert_eq!(windows(12, 5, 21), [(10, 22), (15, 27), (20, 32)]);
        assert_eq!(windows(12, 5, 13), [(5, 17), (10, 22)]);
        assert_eq!(windows(12, 5, 4), [(0, 12)]);
        assert_eq!(windows(10, 5, i64::MAX).len(), 1);
    }
}
