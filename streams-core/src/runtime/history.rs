//! What happened to an instance, in order: changes of state, threads, tasks. The last ones only.

use std::collections::VecDeque;

use streams_state::types::{TaskId, Timestamp};

use super::{State, ThreadState};

/// How many events are kept.
const KEPT: usize = 200;

/// Something that happened to an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When, by the wall clock, ms.
    pub at: Timestamp,
    /// What.
    pub what: Change,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The state of the instance.
    State(State),
    /// The state of a stream thread; the thread of the global stores has no number.
    Thread {
        /// Its number, from 0.
        thread: Option<usize>,
        /// What it does now.
        state: ThreadState,
    },
    /// The tasks of a stream thread, or which of them restore.
    Tasks {
        /// Its number, from 0.
        thread: Option<usize>,
        /// All tasks that it has now.
        active: Vec<TaskId>,
        /// Those of them that restore.
        restoring: Vec<TaskId>,
    },
}

/// The last events, oldest first.
#[derive(Default, Debug)]
pub(super) struct History(VecDeque<Event>);

impl History {
    pub(super) fn add(&mut self, at: Timestamp, what: Change) {
        self.0.push_back(Event { at, what });
        self.0.drain(..self.0.len().saturating_sub(KEPT));
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut history = History::default();
        (0..300).for_each(|at| history.add(at, Change::State(State::Running)));
        let events = history.events();
        let ends = (events.first().map(|event| event.at), events.last().map(|event| event.at));
        assert_eq!((events.len(), ends), (KEPT, (Some(100), Some(299))));
    }
}
