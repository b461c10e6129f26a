//! The sessions of a store in the order of end, start and key, for reading those that ended in a stretch of time.
//!
//! In memory is what changed since the last flush, laid over the index rows of the engine; over an engine that is
//! not durable that is everything.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::super::key_bytes::KeyBytes;
use super::layout;
use crate::engine::{Engine, Run};
use crate::error::StateError;
use crate::types::{Timestamp, Window};

/// End, start and key of a session.
pub(super) type Place = (Timestamp, Timestamp, KeyBytes);

/// An index by time.
#[derive(Default)]
pub(super) struct TimeIndex {
    /// Whether the session is there.
    changes: BTreeMap<Place, bool>,
    durable: bool,
}

impl TimeIndex {
    pub(super) fn new(durable: bool) -> Self {
        Self { changes: BTreeMap::new(), durable }
    }

    /// A session came (`present`) or went.
    pub(super) fn set(&mut self, key: &[u8], window: Window, present: bool) {
        let place = (window.end, window.start, KeyBytes::new(key));
        if present || self.durable {
            self.changes.insert(place, present);
        } else {
            self.changes.remove(&place);
        }
    }

    /// The sessions that ended from `from` to `to`, both included, in order.
    pub(super) fn collect(
        &self,
        engine: &dyn Engine,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Place>, StateError> {
        let mut places = BTreeMap::new();
        if self.durable {
            let low = layout::index_from(from);
            let high = to.checked_add(1).map_or_else(|| vec![layout::ROW], layout::index_from);
            engine.scan(Bound::Included(&low), Bound::Excluded(&high), &mut |row, _| {
                if let Some((window, key)) = layout::parse_index_key(row) {
                    places.insert((window.end, window.start, KeyBytes::new(key)), true);
                }
                ControlFlow::Continue(())
            })?;
        }
        let first = (from, Timestamp::MIN, KeyBytes::default());
        let changes = self.changes.range(first..).take_while(|((end, _, _), _)| *end <= to);
        places.extend(changes.map(|(place, present)| (place.clone(), *present)));
        Ok(places.into_iter().filter_map(|(place, present)| present.then_some(place)).collect())
    }

    /// Appends the changed rows of the index.
    pub(super) fn add_rows(&self, kept_from: Timestamp, run: &mut Run) {
        let mut row = Vec::new();
        for ((end, start, key), present) in self.changes.iter().filter(|((end, _, _), _)| *end >= kept_from) {
            row.clear();
            layout::index_key(Window { start: *start, end: *end }, key.as_slice(), &mut row);
            run.push(&row, present.then_some(&[]));
        }
    }

    /// Whether a run has something to write.
    pub(super) fn changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The engine has everything.
    pub(super) fn flushed(&mut self) {
        self.changes.clear();
    }

    /// Forgets sessions that ended before `kept_from`.
    pub(super) fn expire(&mut self, kept_from: Timestamp) {
        self.changes = self.changes.split_off(&(kept_from, Timestamp::MIN, KeyBytes::default()));
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.changes.len() as u64 * (size_of::<Place>() as u64 + 16)
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
    }
}
