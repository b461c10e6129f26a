//! Failures that a handler was asked about, kept for people who look: the last few, and how many dead letters there were.
//!
//! In: what failed, and what the handler said. Out: [`HandledFailure`]s, taken by the runtime once a turn. Costs nothing while nothing fails.

use std::collections::VecDeque;
use std::sync::Arc;

use streams_state::types::{TaskId, Timestamp};

use crate::handler::ErrorStage;

/// How many failures are kept.
pub(crate) const KEPT: usize = 50;

/// A record that failed, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandledFailure {
    /// When, by the wall clock, ms.
    pub at: Timestamp,
    /// The task.
    pub task: TaskId,
    /// Name of the node.
    pub node: String,
    /// What was being done.
    pub stage: ErrorStage,
    /// Topic, partition and offset of the source record; `None` if it came of a punctuation.
    pub source: Option<(Arc<str>, i32, i64)>,
    /// What failed, in words: the same that is in the log.
    pub message: String,
    /// Topics that got a dead letter.
    pub dead_letters: Vec<String>,
    /// The record was dropped and work went on; else the task stopped.
    pub resumed: bool,
}

/// The last failures, and the number of all.
#[derive(Clone, Default, Debug)]
pub struct HandledFailures {
    /// The last ones, oldest first.
    pub last: VecDeque<HandledFailure>,
    /// All, also those that are not kept.
    pub total: u64,
    /// Dead letters of all. One whose transaction was aborted is counted again when its record fails again.
    pub dead_letters: u64,
}

impl HandledFailures {
    pub(crate) fn add(&mut self, failure: HandledFailure) {
        self.total += 1;
        self.dead_letters += failure.dead_letters.len() as u64;
        self.last.push_back(failure);
        self.forget();
    }

    /// Takes over what another has counted since.
    pub(crate) fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.dead_letters += other.dead_letters;
        self.last.extend(other.last);
        self.last.make_contiguous().sort_by_key(|failure| failure.at);
        self.forget();
    }

    fn forget(&mut self) {
        self.last.drain(..self.last.len().saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(at: Timestamp) -> HandledFailure {
        HandledFailure {
            at,
            task: TaskId { subtopology: 0, partition: 0 },
            node: "node".to_owned(),
            stage: ErrorStage::Processing,
            source: Some(("in".into(), 0, at)),
            message: "no".to_owned(),
            dead_letters: vec!["dead".to_owned()],
            resumed: true,
        }
    }

    #[test]
    fn keeps_the_last_of_all_threads_and_counts_the_rest() {
        let (mut one, mut two) = (HandledFailures::default(), HandledFailures::default());
        (0..KEPT as i64).for_each(|at| one.add(failure(at * 2)));
        (0..=KEPT as i64).for_each(|at| two.add(failure(at * 2 + 1)));
        one.merge(two);
        assert_eq!((one.total, one.dead_letters, one.last.len()), (101, 101, KEPT));
        let times: Vec<i64> = one.last.iter().map(|failure| failure.at).collect();
        assert_eq!(times, (51..=99).chain([101]).collect::<Vec<_>>());
    }
}
