//! Compacted topics: the last value of each key survives, at its offset. When a broker compacts is its own affair,
//! so that only this can be asked of both.

use std::collections::BTreeMap;

use kstreams::client::{ClientSupplier, Fault, OffsetSpec};

use crate::harness::cases;
use crate::support::*;

cases![
    the_last_value_of_each_key_survives,
    a_tombstone_hides_its_key,
    the_end_does_not_move,
    what_survives_keeps_its_offset_and_time,
    aborted_records_do_not_hide_committed_ones,
    open_transactions_are_left_alone,
    a_record_without_a_key_is_refused,
];

fn compacted(kafka: &dyn ClientSupplier, names: &Names) -> String {
    let topic = names.topic("t");
    let config =
        [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01")];
    create_with(kafka, &topic, 1, &config);
    topic
}

/// The table that a reader builds from the topic.
fn table(records: &[Read]) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for record in records {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap()).into_owned();
        match &record.value {
            Some(_) => table.insert(key, record.text()),
            None => table.remove(&key),
        };
    }
    table
}

fn the_last_value_of_each_key_survives(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::plain(kafka);
    let mut expected = BTreeMap::new();
    for number in 0..500 {
        let (key, value) = (format!("k{}", number * 7 % 30), number.to_string());
        writer.send(&topic, 0, &key, &value);
        expected.insert(key, value);
    }
    writer.flush();
    assert_eq!(table(&read(kafka, &topic, Committed)), expected);
    names.compact(&topic);
    assert_eq!(table(&read(kafka, &topic, Committed)), expected);
}

fn a_tombstone_hides_its_key(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 0, "a", "1");
    writer.send(&topic, 0, "b", "2");
    writer.try_write(&topic, 0, (Some(b"a"), None, Some(TIME))).unwrap();
    names.compact(&topic);
    assert_eq!(table(&read(kafka, &topic, Committed)), BTreeMap::from([("b".to_owned(), "2".to_owned())]));
}

fn the_end_does_not_move(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::plain(kafka);
    for _ in 0..10 {
        writer.send(&topic, 0, "a", "1");
    }
    writer.flush();
    names.compact(&topic);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 10);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::Beginning), 0);
    writer.send(&topic, 0, "a", "2");
    writer.flush();
    assert_eq!(writer.acked(&topic, 0), Some(10));
}

fn what_survives_keeps_its_offset_and_time(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::plain(kafka);
    for number in 0..10 {
        let key = [b'a' + number % 2];
        let time = TIME + i64::from(number);
        writer.try_write(&topic, 0, (Some(&key), Some(&[number]), Some(time))).unwrap();
    }
    names.compact(&topic);
    let records = read(kafka, &topic, Committed);
    let last = &records[records.len() - 2..];
    assert_eq!(offsets(last), [8, 9]);
    assert_eq!(last.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [TIME + 8, TIME + 9]);
    assert_eq!(offsets(&read_from(kafka, &topic, 0, 9, Committed)), [9], "reading may begin in a gap");
}

fn aborted_records_do_not_hide_committed_ones(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    for (value, commit) in [("good", true), ("bad", false)] {
        writer.begin();
        writer.send(&topic, 0, "a", value);
        writer.flush();
        if commit { writer.commit() } else { writer.abort() }
    }
    eventually("the markers", || (end(kafka, &topic, 0, OffsetSpec::Stable) == 4).then_some(()));
    names.compact(&topic);
    assert_eq!(table(&read(kafka, &topic, Committed)), BTreeMap::from([("a".to_owned(), "good".to_owned())]));
}

fn open_transactions_are_left_alone(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    Writer::plain(kafka).try_write(&topic, 0, (Some(b"a"), Some(b"old"), Some(TIME))).unwrap();
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    writer.begin();
    writer.send(&topic, 0, "a", "open");
    writer.flush();
    names.compact(&topic);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["old"]);
    writer.abort();
    eventually("the marker", || (end(kafka, &topic, 0, OffsetSpec::Stable) == 3).then_some(()));
    names.compact(&topic);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["old"]);
}

fn a_record_without_a_key_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = compacted(kafka, names);
    let mut writer = Writer::plain(kafka);
    let answer = writer.try_write(&topic, 0, (None, Some(b"v"), Some(TIME)));
    assert_eq!(fault(answer), Fault::BadRecord);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 0);
}
