//! Step 8, damaged state: which tasks are to begin without what they have on disk, and which were rebuilt a short time ago.
//!
//! In: damages, as they are found. Out: whether a rebuild is worth while. A disk that damages what was just restored must
//! not make the thread restore for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use streams_state::types::{TaskId, Timestamp};

/// Damaged again within this time, a task is not rebuilt another time.
pub(super) const REBUILD_AGAIN: Duration = Duration::from_secs(600);

/// The rebuilds of a thread's tasks.
#[derive(Debug, Default)]
pub(crate) struct Rebuilds {
    due: BTreeSet<TaskId>,
    last: BTreeMap<TaskId, Timestamp>,
}

impl Rebuilds {
    /// The state of `task` is damaged: it is to be deleted before the task is opened the next time. `false`: it was rebuilt a
    /// short time before `now`.
    pub(super) fn request(&mut self, task: TaskId, now: Timestamp) -> bool {
        let again = now.saturating_sub(REBUILD_AGAIN.as_millis() as i64);
        // Later than now: the clock was set back, and nobody knows how long ago it was.
        let worth_while = self.last.insert(task, now).is_none_or(|last| last <= again || last > now);
        if worth_while {
            self.due.insert(task);
        }
        worth_while
    }

    /// Whether the state of `task` is to be deleted; asked once for each request.
    pub(super) fn take(&mut self, task: TaskId) -> bool {
        self.due.remove(&task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_rebuilt_once_in_a_while() {
        let (one, other) = (TaskId { subtopology: 0, partition: 0 }, TaskId { subtopology: 0, partition: 1 });
        let again = REBUILD_AGAIN.as_millis() as i64;
        let mut rebuilds = Rebuilds::default();
        assert!(!rebuilds.take(one));
        assert!(rebuilds.request(one, 1_000) && rebuilds.request(other, 1_001));
        assert!(rebuilds.take(one) && !rebuilds.take(one) && rebuilds.take(other));
        assert!(!rebuilds.request(one, 2_000) && !rebuilds.take(one));
        assert!(rebuilds.request(one, 2_000 + again) && rebuilds.take(one));
        assert!(rebuilds.request(one, 5), "the clock was set back");
        assert!(!rebuilds.request(one, 6));
    }
}
