//! How far the restores of a thread are, for people: lines in the log, and the figures behind `MetricsSnapshot`.

use streams_state::types::Timestamp;

/// Pause between lines in the log, ms.
const TELL_EVERY_MS: i64 = 10_000;

/// A stretch of time in which a thread restores.
#[derive(Default)]
pub(crate) struct RestoreProgress {
    /// Since when; `None` while nothing is restored.
    began: Option<Timestamp>,
    told: Timestamp,
    restored: u64,
}

impl RestoreProgress {
    /// At `now` `restored` more records are restored, and `left` are left. Returns the records a second since the beginning.
    pub(crate) fn advance(&mut self, thread: &str, now: Timestamp, restored: u64, left: u64) -> u64 {
        let Some(began) = self.began else {
            if restored + left > 0 {
                (self.began, self.told, self.restored) = (Some(now), now, restored);
                tracing::info!(%thread, records = restored + left, "restoring state");
            }
            return 0;
        };
        self.restored += restored;
        let elapsed_ms = (now - began).max(1) as u64;
        let rate = self.restored * 1000 / elapsed_ms;
        let restored = self.restored;
        if left == 0 {
            tracing::info!(%thread, records = restored, elapsed_ms, records_per_second = rate, "state is restored");
            self.began = None;
        } else if now - self.told >= TELL_EVERY_MS {
            self.told = now;
            let seconds_left = left.checked_div(rate);
            tracing::info!(%thread, records = restored, left, records_per_second = rate, seconds_left, "restoring state");
        }
        rate
    }

    /// What was to be restored is not wanted any more.
    pub(crate) fn stop(&mut self) {
        self.began = None;
    }
}
