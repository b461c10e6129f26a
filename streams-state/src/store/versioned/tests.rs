//! Single cases, by hand: what a versioned store promises. Sequences of operations are in `tests/versioned`.

use super::super::ChangelogEntry;
use super::*;
use crate::engine::InMemoryEngine;
use crate::serdes::Auto;

type Logged = (String, Option<i64>, Timestamp);

fn open(history_retention: i64, segment_interval: i64) -> VersionedStore<String, i64> {
    let options = VersionedOptions {
        name: "prices".into(),
        history_retention,
        segment_interval,
        logging: true,
        tier_max_bytes: 1 << 20,
    };
    VersionedStore::new(options, Box::new(InMemoryEngine::new()), Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn key(name: &str) -> String {
    name.to_owned()
}

fn versions(store: &mut VersionedStore<String, i64>, name: &str) -> Vec<(i64, Timestamp, Option<Timestamp>)> {
    let mut found = Vec::new();
    let visit = &mut |value: &i64, from, to| found.push((*value, from, to));
    store.versions(&key(name), Timestamp::MIN, Timestamp::MAX, visit).unwrap();
    found
}

fn drained(store: &mut VersionedStore<String, i64>) -> Vec<Logged> {
    let mut entries = Vec::new();
    let sink = &mut |entry: ChangelogEntry<'_>| {
        let value = entry.value.map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
        entries.push((String::from_utf8(entry.key.to_vec()).unwrap(), value, entry.timestamp));
        Ok(())
    };
    store.drain_changelog(sink).unwrap();
    entries
}

#[test]
fn a_put_says_where_it_stands_and_is_logged_with_its_own_time() {
    let mut store = open(100, 10);
    let a = key("a");
    assert_eq!(store.put(&a, Some(1), 200).unwrap(), VersionedPut::Latest);
    assert_eq!(store.put(&a, Some(2), 150).unwrap(), VersionedPut::Older { valid_to: 200 });
    assert_eq!(store.put(&a, None, 170).unwrap(), VersionedPut::Older { valid_to: 200 });
    assert_eq!(store.put(&a, Some(3), 99).unwrap(), VersionedPut::Refused);
    assert_eq!(store.put(&a, Some(4), 100).unwrap(), VersionedPut::Older { valid_to: 150 });
    assert_eq!(versions(&mut store, "a"), [(4, 100, Some(150)), (2, 150, Some(170)), (1, 200, None)]);
    assert_eq!(store.get_as_of(&a, 180).unwrap(), None, "deleted then");
    let expected = [(Some(1), 200), (Some(2), 150), (None, 170), (Some(3), 99), (Some(4), 100)];
    assert_eq!(drained(&mut store), expected.map(|(value, time)| (key("a"), value, time)));
}

#[test]
fn deletes_and_says_what_was_valid_then() {
    let mut store = open(100, 10);
    let a = key("a");
    store.put(&a, Some(1), 10).unwrap();
    store.put(&a, Some(2), 20).unwrap();
    assert_eq!(store.delete(&a, 15).unwrap(), Some((1, 10)));
    assert_eq!(store.delete(&a, 17).unwrap(), None);
    assert_eq!(store.delete(&a, 25).unwrap(), Some((2, 20)));
    assert_eq!(store.get(&a).unwrap(), None);
    assert_eq!(store.get_as_of(&a, 24).unwrap(), Some((&2, 20)));
    assert_eq!(store.put(&a, Some(3), 22).unwrap(), VersionedPut::Older { valid_to: 25 });
}

#[test]
fn a_deletion_at_the_time_of_the_only_version_leaves_no_trace() {
    let mut store = open(100, 10);
    let a = key("a");
    store.put(&a, Some(1), 50).unwrap();
    store.put(&a, None, 50).unwrap();
    assert_eq!(store.put(&a, Some(2), 40).unwrap(), VersionedPut::Latest, "as in Kafka Streams");
    assert_eq!(store.put(&a, None, 60).unwrap(), VersionedPut::Latest);
    assert_eq!(store.put(&a, None, 60).unwrap(), VersionedPut::Latest);
    assert_eq!(store.put(&a, Some(3), 55).unwrap(), VersionedPut::Older { valid_to: 60 });
}

#[test]
fn old_versions_go_by_segments_and_the_latest_stays() {
    let mut store = open(100, 50);
    for (value, time) in [(1, 10), (2, 60), (3, 110)] {
        store.put(&key("a"), Some(value), time).unwrap();
    }
    store.put(&key("b"), Some(0), 199).unwrap();
    assert_eq!(store.get_as_of(&key("a"), 50).unwrap(), None, "behind the history");
    assert_eq!(versions(&mut store, "a").len(), 3, "but the segment from 50 to 100 is not yet");
    store.put(&key("b"), Some(0), 200).unwrap();
    assert_eq!(versions(&mut store, "a"), [(2, 60, Some(110)), (3, 110, None)]);
    store.put(&key("b"), Some(0), 100_000).unwrap();
    let size = store.memory_bytes();
    assert_eq!(versions(&mut store, "a"), [(3, 110, None)]);
    assert_eq!(store.get_as_of(&key("a"), 120).unwrap(), Some((&3, 110)), "the latest never expires");
    drained(&mut store);
    store.committed(Some(6));
    store.flush().unwrap();
    assert!(store.memory_bytes() < size, "expired versions of `a` are gone without a put of `a`");
}

#[test]
fn reads_the_versions_of_a_stretch_of_time() {
    let mut store = open(1_000, 100);
    for (value, time) in [(1, 10), (2, 20), (3, 30)] {
        store.put(&key("a"), Some(value), time).unwrap();
    }
    let mut found = Vec::new();
    let visit = &mut |value: &i64, _, _: Option<Timestamp>| found.push(*value);
    store.versions(&key("a"), 20, 29, visit).unwrap();
    store.versions(&key("a"), 19, 20, visit).unwrap();
    store.versions(&key("a"), 40, 50, visit).unwrap();
    store.versions(&key("a"), 0, 9, visit).unwrap();
    assert_eq!(found, [2, 1, 2, 3]);
}

#[test]
fn the_segment_interval_of_kafka_streams() {
    let minutes = |minutes: i64| minutes * 60_000;
    for (history, interval) in [
        (0, 2_000),
        (minutes(1), 20_000),
        (minutes(2), 24_000),
        (minutes(5), minutes(1)),
        (minutes(60), minutes(5)),
        (minutes(24 * 60), minutes(60)),
    ] {
        assert_eq!(VersionedOptions::default_segment_interval(history), interval);
    }
}
