//! Which windows an aggregation is made over. Durations count in whole milliseconds.
//!
//! Definitions never fail: what is wrong with one is noted where it is used, and `build` lists it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use streams_state::types::Timestamp;

use super::cogrouped::CogroupedKStream;
use super::grouped::KGroupedStream;
use super::session_windowed::SessionWindowedKStream;
use super::windowed::TimeWindowedKStream;
use super::windowed_cogroup::{SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream};
use crate::operators::{WindowRule, Windows};

/// A duration in ms; what does not fit is as long as can be.
pub(crate) fn millis(duration: Duration) -> Timestamp {
    Timestamp::try_from(duration.as_millis()).unwrap_or(Timestamp::MAX)
}

/// Windows of one size at fixed places: tumbling, or hopping if they advance by less than their size. Aligned to
/// the epoch; the start is inclusive, the end exclusive.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::TimeWindows;
///
/// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
/// let hopping = TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(5))
///     .advance_by(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeWindows {
    size: Timestamp,
    advance: Timestamp,
    grace: Timestamp,
}

impl TimeWindows {
    /// Tumbling windows that close at their end: later records are dropped, counted.
    pub fn of_size_with_no_grace(size: Duration) -> Self {
        Self::of_size_and_grace(size, Duration::ZERO)
    }

    /// Tumbling windows that take late records until `after_window_end`.
    pub fn of_size_and_grace(size: Duration, after_window_end: Duration) -> Self {
        Self { size: millis(size), advance: millis(size), grace: millis(after_window_end) }
    }

    /// Hopping windows: one starts every `advance`.
    pub fn advance_by(self, advance: Duration) -> Self {
        Self { advance: millis(advance), ..self }
    }
}

/// Windows around each record: two records are in one window if they are at most `time difference` apart. Start and
/// end are inclusive.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::SlidingWindows;
///
/// let windows = SlidingWindows::of_time_difference_and_grace(Duration::from_secs(10), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingWindows {
    pub(crate) difference: Timestamp,
    pub(crate) grace: Timestamp,
}

impl SlidingWindows {
    /// Windows that close at their end.
    pub fn of_time_difference_with_no_grace(time_difference: Duration) -> Self {
        Self::of_time_difference_and_grace(time_difference, Duration::ZERO)
    }

    /// Windows that take late records until `after_window_end`.
    pub fn of_time_difference_and_grace(time_difference: Duration, after_window_end: Duration) -> Self {
        Self { difference: millis(time_difference), grace: millis(after_window_end) }
    }
}

/// Sessions: the records of a key of which each is at most the gap away from the next. A record between two sessions joins them. Start
/// and end (those of the first and last record) are inclusive.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::SessionWindows;
///
/// let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionWindows {
    pub(crate) gap: Timestamp,
    pub(crate) grace: Timestamp,
}

impl SessionWindows {
    /// Sessions that close when the gap is over.
    pub fn of_inactivity_gap_with_no_grace(inactivity_gap: Duration) -> Self {
        Self::of_inactivity_gap_and_grace(inactivity_gap, Duration::ZERO)
    }

    /// Sessions that take late records until `after_window_end` after the gap.
    pub fn of_inactivity_gap_and_grace(inactivity_gap: Duration, after_window_end: Duration) -> Self {
        Self { gap: millis(inactivity_gap), grace: millis(after_window_end) }
    }

    /// What is wrong with the definition.
    pub(crate) fn fault(&self) -> Option<String> {
        endless(&[self.gap, self.grace]).then(|| ENDLESS.to_owned())
    }

    /// How long after its last record a session closes, ms.
    pub(crate) fn close_after(&self) -> Timestamp {
        self.gap.saturating_add(self.grace)
    }
}

/// One window without an end. Earlier records are in no window and go unnoticed.
///
/// ```
/// use streams_core::dsl::UnlimitedWindows;
/// let since_2020 = UnlimitedWindows::new().start_on_ms(1_577_836_800_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnlimitedWindows {
    start: Timestamp,
}

impl UnlimitedWindows {
    /// From the epoch on.
    pub fn new() -> Self {
        Self::default()
    }

    /// From `start` on, ms since the epoch.
    pub fn start_on_ms(self, start: Timestamp) -> Self {
        Self { start }
    }

    /// From `start` on.
    pub fn start_on(self, start: SystemTime) -> Self {
        match start.duration_since(UNIX_EPOCH) {
            Ok(since) => Self { start: millis(since) },
            Err(_) => Self { start: -1 },
        }
    }
}

/// When results of a windowed aggregation are sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EmitStrategy {
    /// At each update, or once for each commit if the store is cached.
    #[default]
    OnWindowUpdate,
    /// Once, when the window and its grace are over. Depends on event time only: nothing waits for a clock.
    OnWindowClose,
}

/// Windows with an entry in the store for each: what a time-windowed aggregation is made of.
#[derive(Clone)]
pub enum FixedWindows {
    /// At fixed places.
    Placed { rule: WindowRule, size: Timestamp, grace: Timestamp },
    /// Around each record.
    Sliding(SlidingWindows),
}

impl FixedWindows {
    /// Length of a window, as its store and serdes know it.
    pub(crate) fn size(&self) -> Timestamp {
        match self {
            Self::Placed { size, .. } => *size,
            Self::Sliding(windows) => windows.difference,
        }
    }

    /// How long after its end a window closes.
    pub(crate) fn grace(&self) -> Timestamp {
        match self {
            Self::Placed { grace, .. } => *grace,
            Self::Sliding(windows) => windows.grace,
        }
    }

    /// By how much they advance, ms, if they lie at even distances.
    pub(crate) fn advance(&self) -> Option<Timestamp> {
        match self {
            Self::Placed { rule: WindowRule::Hopping { advance, .. }, .. } => Some(*advance),
            Self::Placed { rule: WindowRule::Unlimited { .. } | WindowRule::Custom(_), .. }
            | Self::Sliding(_) => None,
        }
    }

    /// How long rows must be kept at least.
    pub(crate) fn least_retention(&self) -> Timestamp {
        match self {
            Self::Placed { size, grace, .. } => size.saturating_add(*grace),
            // A record may need windows that began two differences before it.
            Self::Sliding(windows) => windows.difference.saturating_mul(2).saturating_add(windows.grace),
        }
    }

    /// Why `strategy` does not go with these windows.
    pub(crate) fn refuses(&self, strategy: EmitStrategy) -> Option<&'static str> {
        match (self, strategy) {
            (Self::Sliding(_), EmitStrategy::OnWindowUpdate | EmitStrategy::OnWindowClose)
            | (Self::Placed { .. }, EmitStrategy::OnWindowUpdate)
            | (Self::Placed { rule: WindowRule::Hopping { .. }, .. }, EmitStrategy::OnWindowClose) => None,
            (Self::Placed { rule: WindowRule::Unlimited { .. }, .. }, EmitStrategy::OnWindowClose) => {
                Some("EmitStrategy::OnWindowClose: unlimited windows never close; emit on update")
            }
            (Self::Placed { rule: WindowRule::Custom(_), .. }, EmitStrategy::OnWindowClose) => Some(
                "EmitStrategy::OnWindowClose goes with TimeWindows, SlidingWindows and SessionWindows only; emit on update",
            ),
        }
    }
}

/// What `windowed_by` takes: [`TimeWindows`], [`SlidingWindows`], [`SessionWindows`], [`UnlimitedWindows`], or windows of
/// one's own ([`Windows`]).
pub trait Windowing: sealed::Sealed {
    /// The stream that comes of a grouped stream.
    type Stream<K, V>;
    /// The stream that comes of cogrouped streams.
    type Cogrouped<K, A>;

    /// Over `grouped`.
    #[doc(hidden)]
    fn over<K: 'static, V: 'static>(self, grouped: KGroupedStream<K, V>) -> Self::Stream<K, V>;

    /// Over `cogrouped`.
    #[doc(hidden)]
    fn over_cogrouped<K, A>(self, cogrouped: CogroupedKStream<K, A>) -> Self::Cogrouped<K, A>;
}

impl<W: sealed::Fixed> Windowing for W {
    type Stream<K, V> = TimeWindowedKStream<K, V>;
    type Cogrouped<K, A> = TimeWindowedCogroupedKStream<K, A>;

    fn over<K: 'static, V: 'static>(self, grouped: KGroupedStream<K, V>) -> TimeWindowedKStream<K, V> {
        let (windows, faults) = self.fixed();
        TimeWindowedKStream::new(grouped, windows, faults)
    }

    fn over_cogrouped<K, A>(self, cogrouped: CogroupedKStream<K, A>) -> TimeWindowedCogroupedKStream<K, A> {
        let (windows, faults) = self.fixed();
        TimeWindowedCogroupedKStream::new(cogrouped, windows, faults)
    }
}

impl Windowing for SessionWindows {
    type Stream<K, V> = SessionWindowedKStream<K, V>;
    type Cogrouped<K, A> = SessionWindowedCogroupedKStream<K, A>;

    fn over<K: 'static, V: 'static>(self, grouped: KGroupedStream<K, V>) -> SessionWindowedKStream<K, V> {
        SessionWindowedKStream::new(grouped, self)
    }

    fn over_cogrouped<K, A>(
        self,
        cogrouped: CogroupedKStream<K, A>,
    ) -> SessionWindowedCogroupedKStream<K, A> {
        SessionWindowedCogroupedKStream::new(cogrouped, self)
    }
}

/// Whether one of these times did not fit into milliseconds.
fn endless(times: &[Timestamp]) -> bool {
    times.contains(&Timestamp::MAX)
}

const ENDLESS: &str =
    "a time is longer than can be counted in milliseconds; give one below 292 million years";

mod sealed {
    use super::*;

    pub trait Sealed {}
    impl<W: Fixed> Sealed for W {}
    impl Sealed for SessionWindows {}

    /// Windows with an entry in the store for each, and what is wrong with their definition.
    pub trait Fixed {
        fn fixed(self) -> (FixedWindows, Option<String>);
    }

    impl Fixed for TimeWindows {
        fn fixed(self) -> (FixedWindows, Option<String>) {
            let Self { size, advance, grace } = self;
            let fault = match size {
                ..=0 => Some("TimeWindows: the size must be at least 1 ms".to_owned()),
                _ if endless(&[size, grace]) => Some(ENDLESS.to_owned()),
                _ if advance <= 0 || advance > size => Some(format!(
                    "TimeWindows: windows of {size} ms must advance by 1 to {size} ms, not by {advance} ms"
                )),
                _ => None,
            };
            // A faulty definition is never run, but it must not loop or divide by 0 before `build` says so.
            let rule = WindowRule::Hopping { size, advance: advance.max(1) };
            (FixedWindows::Placed { rule, size, grace }, fault)
        }
    }

    impl Fixed for UnlimitedWindows {
        fn fixed(self) -> (FixedWindows, Option<String>) {
            let fault = (self.start < 0).then(|| {
                "UnlimitedWindows: the start is before the epoch; start at 1970 or later".to_owned()
            });
            let rule = WindowRule::Unlimited { start: self.start };
            (FixedWindows::Placed { rule, size: Timestamp::MAX, grace: 0 }, fault)
        }
    }

    impl Fixed for SlidingWindows {
        fn fixed(self) -> (FixedWindows, Option<String>) {
            let fault = endless(&[self.difference, self.grace]).then(|| ENDLESS.to_owned());
            (FixedWindows::Sliding(self), fault)
        }
    }

    impl<W: Windows> Fixed for W {
        fn fixed(self) -> (FixedWindows, Option<String>) {
            let (size, grace) = (millis(self.size()), millis(self.grace()));
            let fault = (size <= 0).then(|| "Windows: the size must be at least 1 ms".to_owned());
            (FixedWindows::Placed { rule: WindowRule::Custom(Arc::new(self)), size, grace }, fault)
        }
    }
}
