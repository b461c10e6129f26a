//! `JoinWindows`: how far apart in event time two records may be to be joined.

use std::time::Duration;

use streams_state::types::Timestamp;

use super::windows::millis;

/// Grace of the deprecated form, together with the window.
const LEGACY_GRACE_MS: Timestamp = 24 * 60 * 60 * 1000;

/// Two records of the same key are joined if the right one is at most `before` older and at most `after` newer than
/// the left one. Times are whole milliseconds. A window may also start after its record, or end before it.
///
/// `grace` is how long after its end a window still takes records that come out of order; a left or outer join says that a
/// record has no partner once stream time has passed its window and the grace.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::JoinWindows;
///
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
/// // A payment within ten minutes after its order, waiting two minutes for late ones.
/// let windows = JoinWindows::of_time_difference_and_grace(minutes(10), minutes(2)).before(Duration::ZERO);
/// assert_eq!(windows.size(), minutes(10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinWindows {
    pub(crate) before_ms: Timestamp,
    pub(crate) after_ms: Timestamp,
    pub(crate) grace_ms: Timestamp,
    /// Unmatched records wait for the end of their window. Off only in the deprecated form.
    pub(crate) waits_for_close: bool,
}

impl JoinWindows {
    /// At most `difference` apart, in both directions, with `grace` for records out of order.
    pub fn of_time_difference_and_grace(difference: Duration, grace: Duration) -> Self {
        let difference = millis(difference);
        Self { before_ms: difference, after_ms: difference, grace_ms: millis(grace), waits_for_close: true }
    }

    /// At most `difference` apart, in both directions. Records out of order are joined as long as the window is open.
    pub fn of_time_difference_with_no_grace(difference: Duration) -> Self {
        Self::of_time_difference_and_grace(difference, Duration::ZERO)
    }

    /// Kafka Streams' deprecated `JoinWindows.of`, for applications that still have it: 24 hours of grace (window included),
    /// and left and outer joins give an unmatched result at once, perhaps followed by a joined one.
    pub fn of(difference: Duration) -> Self {
        let windows = Self::of_time_difference_with_no_grace(difference);
        let grace_ms = LEGACY_GRACE_MS.saturating_sub(windows.before_ms.saturating_mul(2)).max(0);
        Self { grace_ms, waits_for_close: false, ..windows }
    }

    /// The right record may be at most `difference` older than the left one.
    pub fn before(mut self, difference: Duration) -> Self {
        self.before_ms = millis(difference);
        self
    }

    /// The right record may be at most `difference` newer than the left one.
    pub fn after(mut self, difference: Duration) -> Self {
        self.after_ms = millis(difference);
        self
    }

    /// The right record must be at least `difference` newer than the left one: Kafka Streams' `before` with a negative duration.
    ///
    /// Each side's store keeps its records for the size of the window and the grace, counted from its own newest record, as in
    /// Kafka Streams. A window far from its record needs so much more grace, or left records are gone before their time comes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use streams_core::dsl::JoinWindows;
    ///
    /// // A reminder one to two minutes after its order.
    /// let minute = Duration::from_secs(60);
    /// let windows = JoinWindows::of_time_difference_with_no_grace(2 * minute).starts_after(minute);
    /// assert_eq!(windows.size(), minute);
    /// ```
    pub fn starts_after(mut self, difference: Duration) -> Self {
        self.before_ms = -millis(difference);
        self
    }

    /// The right record must be at least `difference` older than the left one: Kafka Streams' `after` with a negative duration.
    pub fn ends_before(mut self, difference: Duration) -> Self {
        self.after_ms = -millis(difference);
        self
    }

    /// What is wrong with them.
    pub(super) fn fault(&self) -> Option<String> {
        (self.size_ms() < 0).then(|| {
            format!(
                "JoinWindows: the window of a record would start {} ms after it and end {} ms after it; it must not end before \
                 it starts",
                -self.before_ms, self.after_ms
            )
        })
    }

    /// `before` and `after` together.
    pub fn size(&self) -> Duration {
        Duration::from_millis(self.size_ms().unsigned_abs())
    }

    pub(crate) fn size_ms(&self) -> Timestamp {
        self.before_ms.saturating_add(self.after_ms)
    }

    /// How long the stores keep records.
    pub(crate) fn retention_ms(&self) -> Timestamp {
        self.size_ms().saturating_add(self.grace_ms)
    }
}
