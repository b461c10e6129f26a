//! Spans of `tracing`: what a stream thread is at, for a subscriber of the application's.
//!
//! In: which application, thread and task. Out: spans, below [`TARGET`]; the table of them stands at
//! [`runtime`](crate::runtime). One for each batch of a task and each commit, none for each record. A span that nobody wants costs
//! the load of one number.

use tracing::{Span, debug_span, field, info_span};

use streams_state::types::{TaskId, Timestamp, TopicPartition};

use crate::task::StreamTask;

/// Target of all spans: `kstreams=debug` in a filter shows them.
pub(super) const TARGET: &str = "kstreams";

/// A numbered step of a commit (`commit.rs`), below the span of the commit; none where that is none.
macro_rules! commit_step {
    ($name:literal, $step:literal) => {
        match tracing::Span::current() {
            commit if commit.is_none() => commit,
            commit => tracing::debug_span!(
                target: $crate::runtime::spans::TARGET, parent: &commit, $name, step = $step
            ),
        }
    };
}
pub(super) use commit_step;

/// Where a span belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `application.id`.
    pub(super) application: &'a str,
    /// Name of the stream thread.
    pub(super) thread: &'a str,
}

impl Place<'_> {
    /// A run of `task`: its records, its schedules, what it sends. None if there is nothing to do.
    pub(super) fn process(self, task: &StreamTask, now: Timestamp) -> Span {
        if task.total_buffered() == 0 && task.next_wall_clock().is_none_or(|at| at > now) {
            return Span::none();
        }
        debug_span!(
            target: TARGET, parent: None, "process", application = self.application, thread = self.thread,
            task = %task.id(), buffered = task.total_buffered(), processed = field::Empty
        )
    }

    /// A commit of all tasks of the thread.
    pub(super) fn commit(self) -> Span {
        debug_span!(
            target: TARGET, parent: None, "commit", application = self.application, thread = self.thread,
            offsets = field::Empty
        )
    }

    /// The restore of one store, from its first batch to its last.
    pub(super) fn restore(
        self,
        task: TaskId,
        store: &str,
        changelog: &TopicPartition,
        (from, to): (i64, i64),
    ) -> Span {
        info_span!(
            target: TARGET, parent: None, "restore", application = self.application, thread = self.thread, %task, store,
            %changelog, from, to, records = field::Empty
        )
    }
}
