//! Restores as the runtime does on other threads: without the store, many records at once.

use proptest::prelude::*;
use streams_state::store::{ChangelogRecord, StateStore};
use streams_state::types::{Headers, Timestamp};

/// Restores the records of `changelog` from offset `from` in bulk, with `memory_max` bytes, if the store does that; is interrupted in
/// the middle and goes on. Returns whether it did.
pub(crate) fn restore_in_bulk(
    store: &mut dyn StateStore,
    changelog: &[(Vec<u8>, Option<String>, Timestamp)],
    from: i64,
    memory_max: usize,
) -> bool {
    let end = changelog.len() as i64;
    for stop in [(from + end) / 2, end] {
        store.flush().unwrap();
        let Some(mut bulk) = store.bulk_restore().unwrap() else { return false };
        bulk.set_memory_max(memory_max);
        let record = |offset: i64| {
            let (key, value, timestamp) = &changelog[offset as usize];
            let value = value.as_ref().map(String::as_bytes);
            ChangelogRecord { key, value, timestamp: *timestamp, headers: &Headers::EMPTY, offset }
        };
        let start = bulk.offset().unwrap_or(0);
        assert!(start >= from, "what was written is not asked for again");
        if bulk.rows_expire() && end > start && end % 2 == 0 {
            bulk.newest(&record(end - 1));
        }
        (start..stop).for_each(|offset| bulk.record(&record(offset)).unwrap());
        if stop == end {
            bulk.finish(end).unwrap();
        }
        store.reopen().unwrap();
    }
    assert_eq!(store.offset(), Some(end));
    true
}

/// Whether a model restores in bulk, and with how many bytes: from a run for each record to one run.
pub(crate) fn bulk() -> impl Strategy<Value = Option<usize>> {
    proptest::option::of(prop_oneof![Just(0), 100..3000_usize, Just(1 << 20)])
}
