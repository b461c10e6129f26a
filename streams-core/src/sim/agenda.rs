//! What is due when. What is due at the same time comes in an order of the seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::random::Random;
use super::schedule::Act;
use crate::client::embedded::Request;

/// What is due at a time.
pub(super) enum Wake {
    Turn { instance: usize, life: u64, actor: usize },
    Housekeeping { instance: usize, life: u64 },
    Act(Act),
    Start(usize),
    Feed(usize),
    Arrival(Request),
}

struct Due {
    at: i64,
    /// Decides among what is due at the same time.
    tie: u64,
    wake: Wake,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.tie) == (other.at, other.tie)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie).cmp(&(other.at, other.tie))
    }
}

/// Everything that is still to happen.
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Due>>,
    random: Random,
}

impl Agenda {
    /// An empty one, with the ties of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { heap: BinaryHeap::new(), random: Random::new(seed) }
    }

    pub(super) fn add(&mut self, at: i64, wake: Wake) {
        let tie = self.random.number();
        self.heap.push(Reverse(Due { at, tie, wake }));
    }

    /// What is due next, if that is before or at `deadline`, with its time.
    pub(super) fn next(&mut self, deadline: i64) -> Option<(i64, Wake)> {
        let due = self.heap.peek().is_some_and(|Reverse(due)| due.at <= deadline);
        let Reverse(due) = if due { self.heap.pop()? } else { return None };
        Some((due.at, due.wake))
    }

    /// Whether it has something of a schedule: not only turns and housekeeping.
    pub(super) fn has_events(&self) -> bool {
        self.heap.iter().any(|Reverse(due)| match due.wake {
            Wake::Act(_) | Wake::Feed(_) | Wake::Arrival(_) | Wake::Start(_) => true,
            Wake::Turn { .. } | Wake::Housekeeping { .. } => false,
        })
    }
}
