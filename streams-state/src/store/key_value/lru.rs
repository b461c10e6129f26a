//! The bound of a store that keeps only so many rows: which row was used least recently.
//!
//! A doubly linked list through the slots of the tier, oldest use first. As in Kafka Streams' `lruMap` reading a row is
//! a use, scanning is not; a row that goes is logged as deleted, before the update that pushed it out. With caching a
//! row counts from the flush on.

use super::*;
use crate::engine::InMemoryEngine;

/// The order of use of the rows of a store.
pub(super) struct Lru {
    max_rows: usize,
    rows: usize,
    oldest: u32,
    newest: u32,
    /// For each slot: the one used before it and the one used after it.
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    listed: bool,
}

const UNLISTED: Link = Link { older: NONE, newer: NONE, listed: false };

impl Lru {
    fn new(max_rows: usize) -> Self {
        Self { max_rows, rows: 0, oldest: NONE, newest: NONE, links: Vec::new() }
    }

    fn link(&mut self, slot: u32) -> &mut Link {
        let index = slot as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, UNLISTED);
        }
        &mut self.links[index]
    }

    /// The row of `slot` was used, if it is counted.
    pub(super) fn used(&mut self, slot: u32) {
        if slot != self.newest && self.link(slot).listed {
            self.remove(slot);
            self.append(slot);
        }
    }

    /// The row of `slot` was written. Returns the slot whose row must go.
    pub(super) fn written(&mut self, slot: u32) -> Option<u32> {
        self.remove(slot);
        self.append(slot);
        (self.rows > self.max_rows).then_some(self.oldest)
    }

    /// The row of `slot` is gone.
    pub(super) fn remove(&mut self, slot: u32) {
        let Link { older, newer, listed } = std::mem::replace(self.link(slot), UNLISTED);
        if !listed {
            return;
        }
        match older {
            NONE => self.oldest = newer,
            older => self.link(older).newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.link(newer).older = older,
        }
        self.rows -= 1;
    }

    fn append(&mut self, slot: u32) {
        let older = std::mem::replace(&mut self.newest, slot);
        *self.link(slot) = Link { older, newer: NONE, listed: true };
        match older {
            NONE => self.oldest = slot,
            older => self.link(older).newer = slot,
        }
        self.rows += 1;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_rows);
    }
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Opens a store in memory that keeps `max_rows` rows, those that were used last: Kafka Streams' `lruMap`.
    pub fn least_recently_used(
        options: KeyValueOptions,
        max_rows: usize,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let mut store = Self::new(options, Box::new(InMemoryEngine::default()), keys, values)?;
        store.lru = Some(Box::new(Lru::new(max_rows)));
        Ok(store)
    }

    /// The row of `id` is about to be logged: counts it, and takes out the row that was not used for longest.
    #[cold]
    pub(super) fn bound_rows(&mut self, id: u32, context: &RecordContext) {
        let present = self.tier.slot(id).row.as_ref().is_some_and(|(value, _)| !self.values.is_null(value));
        let Some(evicted) = self.count_row(id, present) else { return };
        self.progress.updated();
        if self.options.logging {
            self.log.push_bytes(self.tier.slot(evicted).key(), None, context.timestamp);
        }
    }

    /// Counts the row of `id`, or that it is gone. Returns the slot whose row went for it.
    pub(super) fn count_row(&mut self, id: u32, present: bool) -> Option<u32> {
        let lru = self.lru.as_mut()?;
        if !present {
            lru.remove(id);
            return None;
        }
        let evicted = lru.written(id)?;
        lru.remove(evicted);
        let slot = self.tier.slot_mut(evicted);
        if slot.cached == NONE {
            // Else the cache holds a newer row, which comes back with the flush.
            slot.row = None;
        }
        self.tier.touch(evicted, Some(0));
        Some(evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::StateStore;
    use super::*;
    use crate::serdes::Auto;

    type Logged = Vec<(String, Option<i64>)>;

    fn open(max_rows: usize, caching: bool) -> KeyValueStore<String, i64> {
        let options = KeyValueOptions {
            name: "s".into(),
            timestamped: false,
            caching,
            logging: true,
            tier_max_bytes: 1 << 20,
        };
        KeyValueStore::least_recently_used(options, max_rows, Arc::new(Auto), Arc::new(Auto)).unwrap()
    }

    fn put(store: &mut KeyValueStore<String, i64>, key: &str, value: i64) {
        store.put(&key.to_owned(), Some(value), 0, &RecordContext::none(1)).unwrap();
    }

    fn logged(store: &mut KeyValueStore<String, i64>) -> Logged {
        let mut logged = Vec::new();
        store
            .drain_changelog(&mut |entry| {
                let value = entry.value.map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
                logged.push((String::from_utf8(entry.key.to_vec()).unwrap(), value));
                Ok(())
            })
            .unwrap();
        logged
    }

    fn rows(store: &mut KeyValueStore<String, i64>) -> Vec<(String, i64)> {
        let mut rows = Vec::new();
        store.for_each(&mut |key, value, _| rows.push((key, *value))).unwrap();
        rows
    }

    #[test]
    fn the_row_not_used_for_longest_goes_and_is_logged_first() {
        let mut store = open(2, false);
        put(&mut store, "a", 1);
        put(&mut store, "b", 2);
        assert_eq!(store.get(&"a".to_owned()).unwrap().map(|row| *row.0), Some(1));
        put(&mut store, "c", 3);
        let log = [("a", Some(1)), ("b", Some(2)), ("b", None), ("c", Some(3))];
        assert_eq!(logged(&mut store), log.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(rows(&mut store), [("a".to_owned(), 1), ("c".to_owned(), 3)]);
    }

    #[test]
    fn with_a_cache_rows_count_from_the_flush_on() {
        let mut store = open(1, true);
        put(&mut store, "a", 1);
        put(&mut store, "b", 2);
        assert_eq!(rows(&mut store).len(), 2);
        store.write_cached().unwrap();
        assert_eq!(rows(&mut store), [("b".to_owned(), 2)]);
        let log = [("a", Some(1)), ("a", None), ("b", Some(2))];
        assert_eq!(logged(&mut store), log.map(|(key, value)| (key.to_owned(), value)));
    }

    proptest::proptest! {
        /// Against a plain list, with commits, flushes and restores in between.
        #[test]
        fn keeps_what_a_list_keeps(
            max_rows in 0..5_usize,
            steps in proptest::collection::vec((0..8_u8, 0..6_i64, 0..6_u8), 0..200),
        ) {
            let mut store = open(max_rows, false);
            let (mut model, mut log): (Vec<(String, i64)>, Logged) = Default::default();
            for (key, value, step) in steps {
                let key = format!("k{key}");
                let found = model.iter().position(|(other, _)| *other == key);
                match step {
                    0 => {
                        let got = store.get(&key).unwrap().map(|(value, _)| *value);
                        let row = found.map(|index| model.remove(index));
                        proptest::prop_assert_eq!(got, row.as_ref().map(|(_, value)| *value));
                        model.extend(row);
                    }
                    1 => {
                        store.delete(&key, &RecordContext::none(1)).unwrap();
                        found.map(|index| model.remove(index));
                    }
                    2 => {
                        log.extend(logged(&mut store));
                        store.committed(Some(log.len() as i64));
                        store.flush().unwrap();
                        if value == 0 {
                            // Uses are not logged: after a restore the order is that of the writes.
                            store = open(max_rows, false);
                            for (key, value) in &log {
                                let value = value.map(i64::to_be_bytes);
                                let value = value.as_ref().map(<[u8; 8]>::as_slice);
                                store.restore(key.as_bytes(), value, 0).unwrap();
                            }
                            let last = |key: &String| log.iter().rposition(|(other, _)| other == key);
                            model.sort_by_key(|(key, _)| last(key));
                        }
                    }
                    _ => {
                        put(&mut store, &key, value);
                        found.map(|index| model.remove(index));
                        model.push((key, value));
                        if model.len() > max_rows {
                            model.remove(0);
                        }
                    }
                }
                let mut sorted = model.clone();
                sorted.sort();
                proptest::prop_assert_eq!(rows(&mut store), sorted);
            }
        }
    }
}
