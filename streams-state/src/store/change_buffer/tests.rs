//! What the model in `tests/buffers` leaves out: the order of the changelog, records of older versions, and the examples
//! by which the rules of Kafka Streams are told.

use super::*;
use crate::engine::InMemoryEngine;
use crate::serdes::Auto;

fn buffer() -> ChangeBuffer<String, String> {
    let options = ChangeBufferOptions { name: "s".into(), logging: true, spill: None };
    ChangeBuffer::new(options, Box::new(InMemoryEngine::new()), Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn context(timestamp: Timestamp) -> ProcessorRecordContext {
    ProcessorRecordContext { topic: "t".into(), partition: 0, offset: 0, timestamp, headers: Headers::EMPTY }
}

fn put(buffer: &mut ChangeBuffer<String, String>, time: Timestamp, key: &str, old: &str, new: &str) {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    buffer.put(time, &key.to_owned(), &Change::latest(text(old), text(new)), &context(time)).unwrap();
}

/// Key, whether there is a value, and the header of each entry.
fn logged(buffer: &mut ChangeBuffer<String, String>) -> Vec<(String, bool, bool)> {
    let mut logged = Vec::new();
    let sink = &mut |entry: super::super::ChangelogEntry<'_>| {
        assert_eq!(entry.timestamp, NO_TIMESTAMP);
        let key = String::from_utf8(entry.key.to_vec()).unwrap();
        logged.push((key, entry.value.is_some(), !entry.headers.is_empty()));
        Ok(())
    };
    buffer.drain_changelog(sink).unwrap();
    logged
}

#[test]
fn a_key_keeps_its_place_and_the_value_that_downstream_saw() {
    let mut buffer = buffer();
    put(&mut buffer, 5, "k", "a", "b");
    put(&mut buffer, 1, "k", "b", "c");
    assert_eq!((buffer.num_records(), buffer.min_timestamp()), (1, 5));
    // 8 for the time, key, prior a, old b, new c, and 20 and a topic of one character for the context.
    assert_eq!(buffer.buffer_size(), 8 + 1 + 3 + 21);
    assert_eq!(buffer.prior_value_for_buffered(&"k".to_owned()).unwrap(), Some(Some("a".to_owned())));
    assert_eq!(buffer.prior_value_for_buffered(&"x".to_owned()).unwrap(), None);
    let first = buffer.first().unwrap().unwrap();
    assert_eq!((first.time, first.context.timestamp), (5, 1));
    assert_eq!((first.change.old.as_deref(), first.change.new.as_deref()), (Some("b"), Some("c")));
}

#[test]
fn logs_at_the_commit_once_for_each_key_in_the_order_of_javas_set() {
    let mut buffer = buffer();
    for key in ["b", "a", "c", "b"] {
        put(&mut buffer, 1, key, "", "v");
    }
    buffer.remove_first().unwrap();
    assert_eq!(logged(&mut buffer), []);
    assert!(buffer.flush().is_err());
    buffer.prepare_commit().unwrap();
    let entry = |key: &str, present| (key.to_owned(), present, present);
    assert_eq!(logged(&mut buffer), [entry("a", false), entry("b", true), entry("c", true)]);
    buffer.committed(Some(3));
    buffer.flush().unwrap();
    buffer.prepare_commit().unwrap();
    assert_eq!(logged(&mut buffer), []);
}

#[test]
fn restores_what_the_first_version_wrote() {
    let mut buffer = buffer();
    let value = |old: &str, new: &str| {
        let sized = |text: &str| [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat();
        [&7_i64.to_be_bytes()[..], &sized(old), &sized(new)].concat()
    };
    for (old, new, offset) in [("a", "b", 10), ("b", "c", 11)] {
        let value = value(old, new);
        let record = ChangelogRecord {
            key: b"k",
            value: Some(&value),
            timestamp: 42,
            headers: &Headers::EMPTY,
            offset,
        };
        buffer.restore_record(&record).unwrap();
    }
    assert_eq!(buffer.prior_value_for_buffered(&"k".to_owned()).unwrap(), Some(Some("a".to_owned())));
    let first = buffer.first().unwrap().unwrap();
    assert_eq!((first.time, first.context.timestamp, first.context.offset), (7, 42, 11));
    buffer.restore(b"k", None, 1).unwrap();
    assert_eq!((buffer.num_records(), buffer.buffer_size(), buffer.min_timestamp()), (0, 0, i64::MAX));
    assert_eq!(buffer.unflushed().records, 3);
}

/// Found by interrupted runs: a key that is emitted and buffered again between two commits is logged once, at its new place. A
/// buffer that was restored over the earlier record left it at the old place, and emitted it too early.
#[test]
fn a_key_that_came_again_has_its_new_place_after_a_restore() {
    let (mut before, mut after) = (buffer(), buffer());
    put(&mut before, 5, "k", "", "a");
    before.prepare_commit().unwrap();
    let replay = |before: &mut ChangeBuffer<String, String>, after: &mut ChangeBuffer<String, String>| {
        let sink = &mut |entry: super::super::ChangelogEntry<'_>| {
            let (key, value, headers) = (entry.key, entry.value, entry.headers);
            after.restore_record(&ChangelogRecord { key, value, timestamp: 0, headers, offset: 0 })
        };
        before.drain_changelog(sink).unwrap();
    };
    replay(&mut before, &mut after);
    before.remove_first().unwrap();
    put(&mut before, 30, "k", "a", "b");
    before.prepare_commit().unwrap();
    replay(&mut before, &mut after);
    assert_eq!((after.num_records(), after.min_timestamp()), (1, 30));
    assert_eq!(
        (after.buffer_size(), after.first().unwrap()),
        (before.buffer_size(), before.first().unwrap())
    );
}
