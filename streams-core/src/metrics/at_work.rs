//! What a thread is at: one word that it writes and everybody may read.
//!
//! In: the node that a record enters and the one that it comes back to, and what the thread does between records. Out: an [`Activity`],
//! whenever somebody asks. Who asks often enough knows where the time goes, and the path of a record has no clock for it: to enter a node is
//! one store, to leave it another.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a thread does at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Activity {
    /// Nothing: it has not started yet, or has ended.
    None,
    /// It waits for records, or takes them over from its consumer.
    Polling,
    /// It restores stores, or waits for their changelogs.
    Restoring,
    /// It hands results to the producer.
    Sending,
    /// It commits, nodes that forward what record caches hold back apart.
    Committing,
    /// Anything else: rebalances, queries, figures.
    Other,
    /// It is in a node, and not in those to which this one forwards.
    Node {
        /// Number of the node in its topology.
        node: u32,
        /// Partition of the task; -1 is the task that feeds the global stores.
        partition: i32,
    },
}

/// An [`Activity`] as one word: made when a task is built, so that a record need not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mark(u64);

/// Words from here on are nodes: number in the lower half, partition in the upper one.
const FIRST_NODE: u64 = 6;

impl Mark {
    /// No activity.
    pub const NONE: Self = Self::of(Activity::None);

    /// The word for `activity`.
    #[must_use]
    pub const fn of(activity: Activity) -> Self {
        Self(match activity {
            Activity::None => 0,
            Activity::Polling => 1,
            Activity::Restoring => 2,
            Activity::Sending => 3,
            Activity::Committing => 4,
            Activity::Other => 5,
            Activity::Node { node, partition } => {
                ((partition as u32 as u64) << 32) | (node as u64 + FIRST_NODE)
            }
        })
    }

    /// The activity that this is the word for.
    #[must_use]
    pub const fn activity(self) -> Activity {
        match self.0 {
            0 => Activity::None,
            1 => Activity::Polling,
            2 => Activity::Restoring,
            3 => Activity::Sending,
            4 => Activity::Committing,
            5 => Activity::Other,
            word => Activity::Node {
                node: (word as u32).wrapping_sub(FIRST_NODE as u32),
                partition: (word >> 32) as u32 as i32,
            },
        }
    }
}

/// Where a thread says what it is at. In cache lines of its own (processors fetch them in pairs), as it is written for each node and record.
#[repr(align(128))]
#[derive(Debug)]
pub struct AtWork(AtomicU64);

impl Default for AtWork {
    fn default() -> Self {
        Self(AtomicU64::new(Mark::NONE.0))
    }
}

impl AtWork {
    /// What was said last. To others nothing else is in order with it.
    #[must_use]
    pub fn get(&self) -> Mark {
        Mark(self.0.load(Relaxed))
    }

    /// The thread is at this from now on. Only for the thread itself.
    #[inline]
    pub fn set(&self, mark: Mark) {
        self.0.store(mark.0, Relaxed);
    }
}

/// The thread's own end: when it goes, the thread has ended.
#[derive(Debug)]
pub(crate) struct OwnWork(Arc<AtWork>);

impl OwnWork {
    pub(crate) fn new(at_work: Arc<AtWork>) -> Self {
        Self(at_work)
    }

    /// The place itself, for the tasks of the thread.
    pub(crate) fn place(&self) -> Arc<AtWork> {
        self.0.clone()
    }
}

impl Deref for OwnWork {
    type Target = AtWork;

    fn deref(&self) -> &AtWork {
        &self.0
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        self.0.set(Mark::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_activity_that_it_was_made_for() {
        let node = |node, partition| Activity::Node { node, partition };
        let all = [
            Activity::None,
            Activity::Polling,
            Activity::Restoring,
            Activity::Sending,
            Activity::Committing,
            Activity::Other,
            node(0, 0),
            node(0, -1),
            node(7, i32::MAX),
            node(u32::MAX - 6, 3),
        ];
        for activity in all {
            assert_eq!(Mark::of(activity).activity(), activity);
        }
        let words: std::collections::HashSet<Mark> = all.into_iter().map(Mark::of).collect();
        assert_eq!(words.len(), all.len());
    }

    #[test]
    fn who_has_ended_is_at_nothing() {
        let place = Arc::new(AtWork::default());
        assert_eq!(place.get(), Mark::NONE);
        let own = OwnWork::new(place.clone());
        own.set(Mark::of(Activity::Polling));
        assert_eq!(place.get().activity(), Activity::Polling);
        drop(own);
        assert_eq!(place.get(), Mark::NONE);
    }
}
