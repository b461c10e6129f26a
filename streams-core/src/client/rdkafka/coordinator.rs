//! Whether a call that adds offsets to a transaction will be answered. The coordinator of the group takes them.
//!
//! Twice librdkafka (2.12) waits, whatever its timeout, until it happens to connect to a broker, or to lose one: when the cluster has lost
//! the broker that was the coordinator (its issue 5511: the broker is forgotten, but not as coordinator), and when the cluster has said
//! three times that there is no coordinator yet. In: what the cluster and librdkafka's requests say, once a second while such a call waits.
//! Out: that waiting is of no use. What became of the call is not known then.

use std::time::{Duration, Instant};

use super::ffi::Native;

/// How long a call has waited when it is looked at first, and how often that is repeated: an answer takes milliseconds.
const LOOK: Duration = Duration::from_secs(1);

/// Longest wait for the cluster to say which brokers it has.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Looks in a row that find a call which asks nobody. While a coordinator is away librdkafka asks for it every second or two.
const SILENT_MAX: u32 = 3;

/// Watches one call.
pub(super) struct CoordinatorWatch {
    next: Instant,
    /// Requests that were sent by the last look.
    sent: u32,
    /// Looks in a row that found none sent, and none waiting for its answer.
    silent: u32,
}

impl CoordinatorWatch {
    /// `native` begins a call.
    pub(super) fn begin(native: &Native) -> Self {
        Self { next: Instant::now() + LOOK, sent: native.offset_requests().sent, silent: 0 }
    }

    /// Time to the next look.
    pub(super) fn next_look(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Why the call that `native` is in will not be answered, if it is time to look and that is so.
    pub(super) fn lost(&mut self, native: &Native) -> Option<String> {
        if !self.next_look().is_zero() {
            return None;
        }
        let brokers = native.brokers(ANSWER_MAX);
        self.next = Instant::now() + LOOK;
        let Ok(brokers) = brokers else {
            // Once a broker can be reached, librdkafka goes on by itself.
            self.silent = 0;
            return None;
        };
        let requests = native.offset_requests();
        if let Some(coordinator) = requests.coordinator.filter(|it| !brokers.contains(it)) {
            return Some(format!(
                "broker {coordinator}, which offsets went to, left the cluster, and librdkafka still waits for it"
            ));
        }
        let silent = requests.sent == self.sent && !requests.waiting;
        (self.sent, self.silent) = (requests.sent, if silent { self.silent + 1 } else { 0 });
        (self.silent >= SILENT_MAX).then(|| "librdkafka waits, and asks no broker any more".to_owned())
    }
}
