//! The system's clock: the only place of the library that asks it for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::embedded::Clock;

/// The time of day.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
