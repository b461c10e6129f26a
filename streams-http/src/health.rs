//! Whether an instance lives, and whether it is ready: from its state and figures, as data.

use serde::Serialize;
use streams_core::runtime::{MetricsSnapshot, State};

/// The answer to a probe.
#[derive(Serialize, PartialEq, Eq, Debug)]
pub(crate) struct Health {
    /// `up` or `down`.
    pub(crate) status: &'static str,
    /// State of the instance, in Kafka Streams' words.
    pub(crate) state: String,
    /// Why it is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
}

impl Health {
    fn of(state: State, reasons: Vec<String>) -> Self {
        let status = if reasons.is_empty() { "up" } else { "down" };
        Self { status, state: state.to_string(), reasons }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.reasons.is_empty()
    }

    /// A restart would help, or is wanted: it stopped. An instance that closes is left to it.
    pub(crate) fn live(state: State, error: Option<String>) -> Self {
        let reason = match state {
            State::Created | State::Rebalancing | State::Running | State::PendingShutdown => None,
            State::PendingError | State::Error => {
                Some(error.unwrap_or_else(|| "stopped by an error; see the log".to_owned()))
            }
            State::NotRunning => Some("closed".to_owned()),
        };
        Self::of(state, reason.into_iter().collect())
    }

    /// It processes what comes, and is not too far behind.
    pub(crate) fn ready(state: State, metrics: &MetricsSnapshot, lag_max: Option<u64>) -> Self {
        let mut reasons = Vec::new();
        if state != State::Running {
            reasons.push(format!("state is {state}, not RUNNING"));
        }
        if metrics.tasks_restoring > 0 {
            let (tasks, left) = (metrics.tasks_restoring, metrics.restore_records_left);
            let time = match metrics.restore_seconds_left {
                0 => "less than a second".to_owned(),
                seconds => format!("about {seconds} s"),
            };
            reasons.push(format!("{tasks} tasks restore, {left} records are left, {time}"));
        }
        if let Some(max) = lag_max.filter(|max| metrics.lag > i64::try_from(*max).unwrap_or(i64::MAX)) {
            reasons.push(format!("{} records behind the inputs, more than {max}", metrics.lag));
        }
        Self::of(state, reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stopped_is_not_alive() {
        use State::{Created, Error, NotRunning, PendingError, PendingShutdown, Rebalancing, Running};
        for (state, up) in [
            (Created, true),
            (Rebalancing, true),
            (Running, true),
            (PendingShutdown, true),
            (PendingError, false),
            (Error, false),
            (NotRunning, false),
        ] {
            assert_eq!(Health::live(state, None).is_up(), up, "{state}");
        }
        let health = Health::live(Error, Some("task 0_1: no disk".to_owned()));
        assert_eq!((health.status, health.reasons), ("down", vec!["task 0_1: no disk".to_owned()]));
    }

    #[test]
    fn readiness_names_every_reason() {
        let metrics = MetricsSnapshot {
            tasks_restoring: 2,
            restore_records_left: 900,
            restore_seconds_left: 3,
            lag: 51,
            ..MetricsSnapshot::default()
        };
        let health = Health::ready(State::Rebalancing, &metrics, Some(50));
        assert_eq!(health.reasons.len(), 3, "{health:?}");
        assert_eq!(health.reasons[1], "2 tasks restore, 900 records are left, about 3 s");
        let soon = MetricsSnapshot { restore_seconds_left: 0, ..metrics };
        let health = Health::ready(State::Running, &soon, None);
        assert_eq!(health.reasons, ["2 tasks restore, 900 records are left, less than a second"]);
        assert!(Health::ready(State::Running, &MetricsSnapshot::default(), Some(0)).is_up());
        let behind = MetricsSnapshot { lag: 51, ..MetricsSnapshot::default() };
        assert!(Health::ready(State::Running, &behind, Some(51)).is_up());
        assert!(Health::ready(State::Running, &behind, None).is_up());
        assert!(!Health::ready(State::Running, &behind, Some(50)).is_up());
    }
}
