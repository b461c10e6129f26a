//! What `/history` and `/failures` tell, as JSON: what happened to the instance, and which records handlers were asked about.

use serde::Serialize;
use streams_core::processor::HandledFailure;
use streams_core::runtime::{Change, StreamsMonitor};

use crate::status::word;

/// Something that happened, at a time of the wall clock in ms.
#[derive(Serialize)]
pub(crate) struct Event {
    at: i64,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum What {
    State { state: String },
    Thread { thread: String, state: &'static str },
    Tasks { thread: String, active: Vec<String>, restoring: Vec<String> },
}

/// What happened to the instance, oldest first.
pub(crate) fn history(monitor: &StreamsMonitor) -> Vec<Event> {
    let name = |thread: Option<usize>| match thread {
        Some(index) => format!("StreamThread-{}", index + 1),
        None => "GlobalStreamThread".to_owned(),
    };
    let event = |event: streams_core::runtime::Event| {
        let texts = |tasks: Vec<_>| tasks.iter().map(ToString::to_string).collect();
        let what = match event.what {
            Change::State(state) => What::State { state: state.to_string() },
            Change::Thread { thread, state } => What::Thread { thread: name(thread), state: word(state) },
            Change::Tasks { thread, active, restoring } => {
                What::Tasks { thread: name(thread), active: texts(active), restoring: texts(restoring) }
            }
        };
        Event { at: event.at, what }
    };
    monitor.history().into_iter().map(event).collect()
}

/// Records that failed and about which a handler was asked.
#[derive(Serialize)]
pub(crate) struct Failures {
    total: u64,
    dead_letters: u64,
    /// By reason: all that were dropped, failures and others.
    dropped: Vec<(&'static str, u64)>,
    /// Newest first.
    last: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    at: i64,
    task: String,
    node: String,
    stage: String,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    message: String,
    dead_letters: Vec<String>,
    resumed: bool,
}

impl Failures {
    /// What `monitor` has kept of them.
    pub(crate) fn of(monitor: &StreamsMonitor) -> Self {
        let failures = monitor.handled_failures();
        let dropped = monitor.metrics().dropped_by_reason;
        let failure = |failure: HandledFailure| {
            let (topic, partition, offset) = match failure.source {
                Some((topic, partition, offset)) => (Some(topic.to_string()), Some(partition), Some(offset)),
                None => (None, None, None),
            };
            Failure {
                at: failure.at,
                task: failure.task.to_string(),
                node: failure.node,
                stage: format!("{:?}", failure.stage).to_lowercase(),
                topic,
                partition,
                offset,
                message: failure.message,
                dead_letters: failure.dead_letters,
                resumed: failure.resumed,
            }
        };
        Self {
            total: failures.total,
            dead_letters: failures.dead_letters,
            dropped: dropped.iter().map(|(reason, count)| (reason.as_str(), count)).collect(),
            last: failures.last.into_iter().rev().map(failure).collect(),
        }
    }
}
