//! `task.timeout.ms`: how long a thread tries again while the cluster does not answer.
//!
//! In: each failed attempt and each success, with the time. Out: whether to go on. The first failed attempt is free, as in
//! Kafka Streams; the time runs from there to the next progress.

use std::time::Duration;

use streams_state::types::Timestamp;

/// The time that attempts without progress may take.
#[derive(Debug)]
pub(crate) struct TaskTimeout {
    limit_ms: i64,
    /// Time that counts so far, and when it was added to last.
    waited: Option<(i64, Timestamp)>,
}

/// Longest time between two attempts that counts, above the deadline of any call: a clock that jumps, or a machine that slept, is not
/// a cluster that did not answer.
const GAP_MAX_MS: i64 = 60_000;

impl TaskTimeout {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit_ms: i64::try_from(limit.as_millis()).unwrap_or(i64::MAX), waited: None }
    }

    /// There was progress.
    pub(crate) fn clear(&mut self) {
        self.waited = None;
    }

    /// An attempt failed at `now`. An error if that goes on for too long: what to say of it.
    pub(crate) fn attempt_failed(&mut self, now: Timestamp) -> Result<(), String> {
        let (waited, last) = self.waited.unwrap_or((0, now));
        let waited = waited + (now - last).clamp(0, GAP_MAX_MS);
        self.waited = Some((waited, now));
        match waited > self.limit_ms {
            true => Err(format!("no progress for {waited} ms, longer than `task.timeout.ms`")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_runs_from_the_first_failure_to_the_next_progress() {
        let mut timeout = TaskTimeout::new(Duration::from_millis(10));
        assert!(timeout.attempt_failed(5).is_ok() && timeout.attempt_failed(15).is_ok());
        timeout.clear();
        assert!(timeout.attempt_failed(100).is_ok());
        let error = timeout.attempt_failed(111).unwrap_err();
        assert_eq!(error, "no progress for 11 ms, longer than `task.timeout.ms`");
        assert!(TaskTimeout::new(Duration::ZERO).attempt_failed(7).is_ok(), "the first attempt is free");
    }
}
