//! `WindowRetention`: how long a window store keeps its rows, and in which form.

use std::time::Duration;

use streams_state::store::{WindowOptions, segment_interval};
use streams_state::types::Timestamp;

use super::join_windows::JoinWindows;
use super::windows::millis;
use crate::topology::OpenStore;

/// How long a window store keeps its rows, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRetention {
    retention: Timestamp,
    window_size: Timestamp,
    segment_interval: Timestamp,
    duplicates: bool,
}

impl WindowRetention {
    /// Rows of windows of `window_size` are kept until stream time is `retention` after their start. Durations count in
    /// whole milliseconds. A topology whose retention is less than the window size is refused at build.
    ///
    /// ```
    /// use std::time::Duration;
    /// use streams_core::dsl::WindowRetention;
    ///
    /// let day = WindowRetention::new(Duration::from_secs(86_400), Duration::from_secs(60)).retain_duplicates();
    /// ```
    pub fn new(retention: Duration, window_size: Duration) -> Self {
        Self::of_millis(millis(retention), millis(window_size))
    }

    /// What a join with these windows needs, each record a row of its own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use streams_core::dsl::{JoinWindows, WindowRetention};
    ///
    /// let (ten, two) = (Duration::from_secs(10), Duration::from_secs(2));
    /// let windows = JoinWindows::of_time_difference_and_grace(ten, two);
    /// assert_eq!(WindowRetention::of_join(&windows), WindowRetention::new(11 * two, 2 * ten).retain_duplicates());
    /// ```
    pub fn of_join(windows: &JoinWindows) -> Self {
        Self::of_millis(windows.retention_ms(), windows.size_ms()).retain_duplicates()
    }

    /// As [`new`](Self::new).
    pub(super) fn of_millis(retention: Timestamp, window_size: Timestamp) -> Self {
        let segment_interval = segment_interval(retention);
        Self { retention, window_size, segment_interval, duplicates: false }
    }

    /// The stretch of time whose rows are given up at once. Default: half of the retention, a minute at least.
    pub fn segment_interval(mut self, interval: Duration) -> Self {
        self.segment_interval = millis(interval);
        self
    }

    /// Keeps each put as a row of its own, and ignores deletions. Such a store has no cache.
    pub fn retain_duplicates(mut self) -> Self {
        self.duplicates = true;
        self
    }

    /// The same for windows of another size.
    pub(super) fn for_window_size(self, window_size: Timestamp) -> Self {
        Self { window_size, ..self }
    }

    /// How long rows are kept, in ms.
    pub(super) fn retention_ms(&self) -> Timestamp {
        self.retention
    }

    /// Whether each put is a row of its own.
    pub(super) fn retains_duplicates(&self) -> bool {
        self.duplicates
    }

    /// What is wrong with it for any store.
    pub(super) fn fault(&self, name: &str) -> Option<String> {
        if self.window_size > self.retention {
            return Some(format!(
                "window store `{name}`: its retention of {} ms is less than its window size of {} ms; keep the rows longer",
                self.retention, self.window_size
            ));
        }
        let fault = || format!("window store `{name}`: the segment interval must be 1 ms or more");
        (self.segment_interval < 1).then(fault)
    }

    /// What is wrong with it for a windowed table.
    pub(super) fn fault_of_table(&self, name: &str) -> Option<String> {
        let duplicates = || format!("store `{name}`: a windowed table cannot retain duplicates");
        self.fault(name).or_else(|| self.duplicates.then(duplicates))
    }

    /// What is wrong with it for a join with these windows.
    pub(super) fn fault_of_join(&self, name: &str, windows: &JoinWindows) -> Option<String> {
        let duplicates = || {
            format!(
                "store `{name}` of a stream-stream join must keep all records of a key, also of the same time; add \
                 `retain_duplicates` to its WindowRetention"
            )
        };
        let needed = Self::of_join(windows);
        let differs = || {
            format!(
                "store `{name}` keeps windows of {} ms for {} ms, but the stream-stream join needs windows of {} ms (before \
                 and after) for {} ms (with the grace); make it with `WindowRetention::of_join`",
                self.window_size, self.retention, needed.window_size, needed.retention
            )
        };
        let fits = (self.window_size, self.retention) == (needed.window_size, needed.retention);
        let fault = || (!self.duplicates).then(duplicates).or_else(|| (!fits).then(differs));
        self.fault(name).or_else(fault)
    }

    /// The store that it describes. `timestamped`: changelog records have the timestamps of their rows.
    pub(super) fn options(&self, open: &OpenStore, timestamped: bool) -> WindowOptions {
        WindowOptions {
            segment_interval: self.segment_interval,
            retain_duplicates: self.duplicates,
            timestamped,
            caching: open.caching,
            logging: open.logging,
            persistent: !open.in_memory,
            tier_max_bytes: open.tier_max_bytes,
            ..WindowOptions::new(open.name.clone(), self.retention, self.window_size)
        }
    }
}
