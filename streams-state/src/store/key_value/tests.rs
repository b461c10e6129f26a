//! Single cases, by hand: what each face of a store promises. Sequences of operations are in `tests/model`.

use super::super::{ChangelogEntry, OperationClock};
use super::*;
use crate::engine::InMemoryEngine;
use crate::serdes::{Auto, Serde, SerdeError};

type Logged = (String, Option<Vec<u8>>, Timestamp);

fn options(caching: bool, timestamped: bool) -> KeyValueOptions {
    KeyValueOptions { name: "counts".into(), timestamped, caching, logging: true, tier_max_bytes: 1 << 20 }
}

fn open(caching: bool, timestamped: bool) -> KeyValueStore<String, i64> {
    let engine = Box::new(InMemoryEngine::new());
    KeyValueStore::new(options(caching, timestamped), engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn at(timestamp: Timestamp) -> RecordContext {
    RecordContext::none(timestamp)
}

fn drained<K: 'static, V: Clone + 'static>(store: &mut KeyValueStore<K, V>) -> Vec<Logged> {
    let mut entries = Vec::new();
    let sink = &mut |entry: ChangelogEntry<'_>| {
        let key = String::from_utf8(entry.key.to_vec()).unwrap();
        entries.push((key, entry.value.map(<[u8]>::to_vec), entry.timestamp));
        Ok(())
    };
    store.drain_changelog(sink).unwrap();
    entries
}

fn bytes(value: i64) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

#[test]
fn logs_every_update_with_the_timestamp_of_its_kind() {
    for (timestamped, timestamp) in [(true, 3), (false, 9)] {
        let mut store = open(false, timestamped);
        store.put(&"a".to_owned(), Some(1), 3, &at(9)).unwrap();
        let count = |row: &mut Option<(i64, Timestamp)>| row.as_mut().map(|(value, _)| *value += 1);
        store.update(&"a".to_owned(), &at(9), count).unwrap();
        assert_eq!(store.delete(&"a".to_owned(), &at(9)).unwrap(), Some(2));
        store.put(&"never".to_owned(), None, 3, &at(9)).unwrap();
        let a = || "a".to_owned();
        let expected = [
            (a(), bytes(1), timestamp),
            (a(), bytes(2), timestamp),
            (a(), None, 9),
            ("never".to_owned(), None, 9),
        ];
        assert_eq!(drained(&mut store), expected);
        assert_eq!(drained(&mut store), []);
    }
}

#[test]
fn a_cached_key_is_logged_and_forwarded_once() {
    let mut store = open(true, true);
    store.send_old_values();
    for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
        store.put(&key.to_owned(), Some(value), value, &at(10 + value)).unwrap();
    }
    assert_eq!(drained(&mut store), []);
    let first = store.pop_cached().unwrap().unwrap();
    assert_eq!((first.key.as_str(), first.change), ("b", Change::latest(None, Some(2))));
    let second = store.pop_cached().unwrap().unwrap();
    assert_eq!((second.key.as_str(), second.timestamp, second.context), ("a", 3, at(13)));
    assert!(store.pop_cached().unwrap().is_none());
    assert_eq!(drained(&mut store), [("b".to_owned(), bytes(2), 2), ("a".to_owned(), bytes(3), 3)]);

    store.put(&"a".to_owned(), Some(4), 4, &at(14)).unwrap();
    store.delete(&"a".to_owned(), &at(15)).unwrap();
    let deleted = store.pop_cached().unwrap().unwrap();
    assert_eq!((deleted.change, deleted.timestamp), (Change::latest(Some(3), None), 15));
    store.put(&"a".to_owned(), Some(5), 4, &at(14)).unwrap();
    store.delete(&"a".to_owned(), &at(15)).unwrap();
    assert!(store.pop_cached().unwrap().is_none(), "absent then, absent now");
}

#[test]
fn refuses_a_null_key() {
    let engine = Box::new(InMemoryEngine::new());
    let mut store: KeyValueStore<Option<String>, i64> =
        KeyValueStore::new(options(false, true), engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    let error = store.put(&None, Some(1), 0, &at(0)).unwrap_err();
    assert_eq!(error.to_string(), "store `counts`: the key is null; a store needs a key");
    assert!(store.get(&None).is_err());
}

/// Writes all numbers but 13.
struct Superstitious;

impl Serde<i64> for Superstitious {
    fn serialize(&self, value: &i64, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if *value == 13 { Err(SerdeError::new("13")) } else { Auto.serialize(value, out) }
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<i64, SerdeError> {
        Auto.deserialize(bytes)
    }
}

#[test]
fn hands_over_nothing_after_a_change_that_it_could_not_write() {
    let engine = Box::new(InMemoryEngine::new());
    let mut store: KeyValueStore<String, i64> =
        KeyValueStore::new(options(false, true), engine, Arc::new(Auto), Arc::new(Superstitious)).unwrap();
    store.put(&"a".to_owned(), Some(1), 0, &at(0)).unwrap();
    assert!(store.update(&"a".to_owned(), &at(0), |row| *row = Some((13, 0))).is_err());
    let error = store.drain_changelog(&mut |_| Ok(())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "store `counts`: an earlier change could not be written: store `counts`: 13"
    );
    assert!(store.flush().is_err());
}

#[test]
fn takes_a_value_back_that_it_cannot_write() {
    let engine = Box::new(InMemoryEngine::new());
    let mut store: KeyValueStore<String, i64> =
        KeyValueStore::new(options(false, true), engine, Arc::new(Auto), Arc::new(Superstitious)).unwrap();
    store.undo_failed_updates();
    let key = "a".to_owned();
    store.put(&key, Some(1), 0, &at(0)).unwrap();
    assert!(store.put(&key, Some(13), 5, &at(5)).is_err());
    assert!(store.update(&key, &at(5), |row| *row = Some((13, 5))).is_err());
    assert_eq!(store.get(&key).unwrap(), Some((&1, 0)));
    assert_eq!(drained(&mut store).len(), 1);
}

#[test]
fn counts_what_a_crash_would_replay() {
    let mut store = open(false, true);
    for value in 0..10 {
        store.put(&"a".to_owned(), Some(value), 0, &at(0)).unwrap();
    }
    drained(&mut store);
    assert_eq!(store.unflushed().records, 0);
    store.committed(Some(10));
    assert_eq!(store.unflushed(), Unflushed { records: 10, bytes: 1 + 8 + 8 });
    store.flush().unwrap();
    assert_eq!(store.unflushed(), Unflushed::default());
    assert_eq!(store.offset(), Some(10));
}

#[test]
fn a_row_that_only_the_engine_has_is_no_hit() {
    let mut engine = InMemoryEngine::new();
    engine.apply(&mut [(&b"a"[..], Some(&[0; 16][..]))].into_iter(), Some(1)).unwrap();
    let mut store: KeyValueStore<String, i64> =
        KeyValueStore::new(options(true, true), Box::new(engine), Arc::new(Auto), Arc::new(Auto)).unwrap();
    let clock = OperationClock { ns: || 0, record_times: false };
    store.operation_meters().unwrap().start(clock);
    for key in ["a", "a", "a", "never"] {
        store.get(&key.to_owned()).unwrap();
    }
    let meters = store.operation_meters().unwrap();
    let (reads, ratios) = (meters.take(StoreOperation::Get), meters.take_hit_ratios());
    // Missed, hit, hit, missed.
    assert_eq!((reads.count, ratios.count, ratios.min, ratios.max), (4, 2, 1.0 / 2.0, 2.0 / 3.0));
}
