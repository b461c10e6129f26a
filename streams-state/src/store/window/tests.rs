//! What one can read off single calls; orders of many calls are in `tests/windows`.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::engine::InMemoryEngine;
use crate::serdes::Auto;
use crate::store::{CachedStore, ChangelogEntry};
use crate::types::Change;

type Store = WindowStore<String, String>;

fn store(change: impl FnOnce(&mut WindowOptions)) -> Store {
    let mut options = WindowOptions::new("w", 100, 10);
    options.segment_interval = 50;
    change(&mut options);
    WindowStore::new(options, Box::new(InMemoryEngine::new()), Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn put(store: &mut Store, key: &str, start: i64, value: &str) -> bool {
    let value = (!value.is_empty()).then(|| value.to_owned());
    store.put(&key.to_owned(), start, value, start + 1, &RecordContext::none(start + 2)).unwrap()
}

fn rows(store: &mut Store, key: &str, from: i64, to: i64) -> Vec<(i64, String)> {
    let mut rows = Vec::new();
    let visit = &mut |start, value: &String, _| {
        rows.push((start, value.clone()));
        ControlFlow::Continue(())
    };
    store.fetch_range(&key.to_owned(), from, to, visit).unwrap();
    rows
}

fn all(store: &mut Store) -> Vec<String> {
    let mut rows = Vec::new();
    store.all(&mut |key, start, value, _| rows.push(format!("{key}@{start}={value}"))).unwrap();
    rows
}

fn changelog(store: &mut Store) -> Vec<(Vec<u8>, Option<String>, i64, bool)> {
    let mut entries = Vec::new();
    let sink = &mut |entry: ChangelogEntry<'_>| {
        let value = entry.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
        entries.push((entry.key.to_vec(), value, entry.timestamp, !entry.headers.is_empty()));
        Ok(())
    };
    store.drain_changelog(sink).unwrap();
    entries
}

#[test]
fn rows_come_in_order_of_time_and_expire_exactly() {
    for (persistent, ordered_by_time) in [(true, false), (false, false), (false, true), (true, true)] {
        let mut store = store(|options| {
            options.persistent = persistent;
            options.ordered_by_time = ordered_by_time;
        });
        for (key, start) in [("b", 20), ("a", 20), ("b", 0), ("ab", 110), ("b", 60)] {
            assert!(put(&mut store, key, start, "v"));
        }
        assert_eq!(all(&mut store), ["a@20=v", "b@20=v", "b@60=v", "ab@110=v"]);
        assert_eq!(rows(&mut store, "b", 0, 200), [(20, "v".to_owned()), (60, "v".to_owned())]);
        assert!(put(&mut store, "c", 120, "v"));
        assert_eq!(store.stream_time(), 120);
        // Row 20 is exactly stream time - retention: only the time-ordered layout of the persistent kind shows it.
        let keeps_last = persistent && ordered_by_time;
        assert_eq!(store.fetch(&"a".to_owned(), 20).unwrap().is_some(), keeps_last);
        assert_eq!(store.is_expired(20), !keeps_last);
        // Start 19 is expired; its segment, 0 to 49, is not.
        assert_eq!(put(&mut store, "a", 19, "v"), persistent);
        assert_eq!(store.update(&"a".to_owned(), 19, &RecordContext::none(0), |_| ()).unwrap(), None);
        assert!(put(&mut store, "a", 150, "v"));
        assert!(!put(&mut store, "a", 49, "late"));
        assert_eq!(all(&mut store).first().unwrap(), "b@60=v");
    }
}

#[test]
fn duplicates_are_rows_of_their_own_and_nulls_only_records() {
    let mut store = store(|options| {
        options.retain_duplicates = true;
        options.headers = true;
        options.caching = true;
    });
    assert!(!store.options().caching);
    let mut context = RecordContext::none(7);
    context.headers.add("h", None);
    store.put(&"k".to_owned(), 5, Some("x".to_owned()), 5, &context).unwrap();
    assert!(put(&mut store, "k", 5, "y"));
    assert!(put(&mut store, "k", 9, ""));
    assert!(put(&mut store, "k", 3, "z"));
    let row = |start, value: &str| (start, value.to_owned());
    assert_eq!(rows(&mut store, "k", 0, 9), [row(3, "z"), row(5, "x"), row(5, "y")]);
    assert_eq!(store.stream_time(), 5);
    let key = |start: u8, sequence: u8| vec![b'k', 0, 0, 0, 0, 0, 0, 0, start, 0, 0, 0, sequence];
    let logged = changelog(&mut store);
    assert_eq!(logged[0], (key(5, 1), Some("x".to_owned()), 5, true));
    assert_eq!(logged[1], (key(5, 2), Some("y".to_owned()), 6, false));
    assert_eq!(logged[2], (key(9, 3), None, 11, false));
    assert_eq!(logged[3], (key(3, 4), Some("z".to_owned()), 4, false));
}

#[test]
fn the_cache_hands_over_the_last_update_of_each_window() {
    let mut store = store(|options| (options.caching, options.expired_max_bytes) = (true, 0));
    CachedStore::send_old_values(&mut store);
    for (start, value) in [(0, "a"), (10, "b"), (0, "c")] {
        put(&mut store, "k", start, value);
    }
    assert!(changelog(&mut store).is_empty());
    let popped = store.pop_cached().unwrap().unwrap();
    assert_eq!(popped.key, Windowed { key: "k".to_owned(), window: Window { start: 10, end: 20 } });
    let popped = store.pop_cached().unwrap().unwrap();
    assert_eq!((popped.change, popped.timestamp), (Change::latest(None, Some("c".to_owned())), 1));
    assert_eq!(changelog(&mut store).len(), 2);
    put(&mut store, "k", 0, "d");
    // The row expires before its update goes out: the update is forwarded still.
    put(&mut store, "k", 500, "e");
    let popped = store.pop_cached().unwrap().unwrap();
    assert_eq!(popped.change, Change::latest(Some("c".to_owned()), Some("d".to_owned())));
    assert!(store.pop_cached().unwrap().is_some());
    assert!(store.pop_cached().unwrap().is_none());
    assert_eq!((store.cached_len(), store.segments.len()), (0, 1));
}

#[test]
fn restoring_learns_time_and_skips_what_has_expired() {
    let mut store = store(|_| {});
    let mut key = Vec::new();
    for start in [0, 200, 60, 150] {
        key.clear();
        crate::format::window_key::WindowKey { key: b"k", start, sequence: 0 }.encode(&mut key);
        store.restore(&key, Some(b"v"), start).unwrap();
    }
    assert_eq!(all(&mut store), ["k@150=v", "k@200=v"]);
    assert_eq!(store.unflushed().records, 4);
    assert!(store.restore(b"short", None, 0).is_err());
    store.wipe().unwrap();
    assert_eq!((store.stream_time(), all(&mut store).len()), (-1, 0));
}
