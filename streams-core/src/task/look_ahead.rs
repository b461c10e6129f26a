//! Step 4, process: what stores are told before records come. In: the keys of the records that wait. Nothing comes out: a store
//! has the memory ready where rows of these keys are, for several at the same time, when the records look for them one after the other.
//!
//! Records of a source have the keys of the stores that their partition has, as nearly all topologies are (else there is a repartition
//! topic between them). Where they have not, a look costs a few nanoseconds a record and does no harm.

use super::{PartitionGroup, StateManager};

/// Records between two looks.
const AHEAD: usize = 16;
/// For fewer records it is not worth its cost.
const WAITING_MIN: usize = 4;

/// Shows the stores of the task the keys of about the next [`AHEAD`] records of all queues, each time that `count` has gone so far.
#[inline]
pub(super) fn look_ahead(count: usize, group: &PartitionGroup, state: &StateManager) {
    if count.is_multiple_of(AHEAD) && group.total_buffered() >= WAITING_MIN {
        look(group, state);
    }
}

fn look(group: &PartitionGroup, state: &StateManager) {
    let share = AHEAD.div_ceil(group.queues().len());
    for queue in group.queues() {
        let mut keys: [&[u8]; AHEAD] = [&[]; AHEAD];
        let known = keys
            .iter_mut()
            .zip(queue.upcoming_keys().take(share))
            .map(|(key, upcoming)| *key = upcoming)
            .count();
        for store in state.stores().iter().filter(|store| !store.global) {
            store.instance.state.borrow().look_ahead(&keys[..known]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use streams_state::error::StateError;
    use streams_state::store::{ChangelogEntry, StateStore};
    use streams_state::types::{Headers, Timestamp};

    use super::super::StreamTask;
    use super::super::toy::{Toy, add};
    use super::AHEAD;
    use crate::processor::StoreInstance;
    use crate::record::RawRecord;

    thread_local! {
        static SEEN: RefCell<Vec<Vec<String>>> = const { RefCell::new(Vec::new()) };
    }

    /// A store that has no rows, and sees what it is told.
    struct Watcher;

    impl StateStore for Watcher {
        fn name(&self) -> &str {
            "watcher"
        }

        fn drain_changelog(
            &mut self,
            _sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
        ) -> Result<(), StateError> {
            Ok(())
        }

        fn look_ahead(&self, keys: &[&[u8]]) {
            let keys = keys.iter().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect();
            SEEN.with_borrow_mut(|seen| seen.push(keys));
        }

        fn committed(&mut self, _offset: Option<i64>) {}

        fn restore(
            &mut self,
            _key: &[u8],
            _value: Option<&[u8]>,
            _timestamp: Timestamp,
        ) -> Result<(), StateError> {
            Ok(())
        }

        fn offset(&self) -> Option<i64> {
            None
        }

        fn memory_bytes(&self) -> u64 {
            0
        }

        fn wipe(&mut self) -> Result<(), StateError> {
            Ok(())
        }
    }

    fn task(topics: &[&str]) -> StreamTask {
        let watched =
            Toy::default().source("source", topics).store("rows", |_| {}).store("watcher", |spec| {
                spec.factory = Arc::new(|_| Ok(StoreInstance::new(Watcher)));
            });
        watched.put("put", &["source"], &["rows", "watcher"]).task()
    }

    fn add_all(task: &mut StreamTask, slot: u32, name: &str, count: i64) {
        (0..count).for_each(|at| add(task, slot, at, at, &format!("{name}{at}"), "v"));
    }

    fn keys(name: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("{name}{number}")).collect()
    }

    fn seen() -> Vec<Vec<String>> {
        SEEN.take()
    }

    #[test]
    fn stores_see_the_keys_of_records_before_they_come() {
        let mut task = task(&["a"]);
        add_all(&mut task, 0, "a", 2 * AHEAD as i64);
        let null =
            RawRecord { offset: 99, timestamp: 99, key: None, value: Some(b"v"), headers: Headers::EMPTY };
        task.add_record(0, null);
        add(&mut task, 0, 100, 100, "last", "v");
        (0..3).for_each(|_| add(&mut task, 0, 101, 101, "few", "v"));
        task.process(usize::MAX).unwrap();
        let rest = ["last", "few", "few", "few"].map(str::to_owned).to_vec();
        assert_eq!(seen(), [keys("a", 0..AHEAD), keys("a", AHEAD..2 * AHEAD), rest]);
        add_all(&mut task, 0, "a", 3);
        task.process(usize::MAX).unwrap();
        assert_eq!(seen(), Vec::<Vec<String>>::new(), "for few records it is not worth its cost");
    }

    #[test]
    fn each_queue_has_its_share_of_what_is_looked_at() {
        let mut task = task(&["a", "b"]);
        add_all(&mut task, 0, "a", 20);
        add_all(&mut task, 1, "b", 5);
        task.process(1).unwrap();
        assert_eq!(seen(), [keys("a", 0..AHEAD / 2), keys("b", 0..5)]);
    }

    #[test]
    fn keys_that_lie_in_another_block_are_left_for_later() {
        let mut task = task(&["a"]);
        let large = "v".repeat(30 << 10);
        (0..8).for_each(|at| add(&mut task, 0, at, at, &format!("a{at}"), &large));
        task.process(1).unwrap();
        assert_eq!(seen(), [keys("a", 0..2)]);
    }
}
