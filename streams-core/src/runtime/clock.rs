//! The system's clocks: the only place of the library that asks them.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// What a stream thread measures its own work with. A hook: virtual time has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadClocks {
    /// Ns since any moment, never going back.
    pub(crate) ns: fn() -> u64,
    /// Ns that the thread which asks was on a CPU; `None` where the system does not say.
    pub(crate) cpu_ns: fn() -> Option<u64>,
}

impl ThreadClocks {
    /// None: everything takes no time.
    pub(crate) const NONE: Self = Self { ns: || 0, cpu_ns: || None };
    /// Those of the system.
    pub(crate) const SYSTEM: Self = Self { ns: system_ns, cpu_ns: thread_cpu_ns };

    pub(crate) fn now_ns(self) -> u64 {
        (self.ns)()
    }
}

fn system_ns() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
