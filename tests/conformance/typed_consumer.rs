//! `TopicConsumer`: where it begins, what it hands out, what it commits, and what it says of records that do not parse.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kstreams::client::{ClientSupplier, Fault};
use kstreams::clients::{
    ConsumerConfig, ConsumerError, IsolationLevel, ProducerConfig, SeekTo, TopicConsumer, TopicProducer,
};
use kstreams::topic::Topic;
use kstreams::topology::OffsetReset;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    a_record_comes_with_all_that_it_has,
    a_batch_is_as_large_as_the_settings_say,
    a_poll_ends_in_time,
    a_group_goes_on_where_it_committed,
    a_record_a_batch_or_all_can_be_committed,
    a_commit_of_everything_reaches_behind_the_markers,
    what_was_not_committed_comes_again,
    without_an_offset_earliest_begins_at_the_first,
    without_an_offset_latest_begins_at_the_end,
    without_an_offset_a_duration_begins_at_its_time,
    without_an_offset_none_waits_for_a_seek,
    seeks_go_to_ends_offsets_and_times,
    a_seek_needs_a_partition_and_an_offset,
    an_offset_that_is_gone_is_reset,
    an_offset_that_is_gone_is_told_until_a_seek,
    a_bad_record_is_told_until_somebody_decides,
    a_bad_record_can_be_left_by_a_seek,
    a_null_that_the_type_has_not_is_bad,
    committed_readers_do_not_see_open_transactions,
    explicit_partitions_need_no_group,
    explicit_partitions_can_be_committed,
    all_partitions_of_a_missing_topic_are_none,
    automatic_commits_leave_what_is_in_hand,
    settings_without_a_group_are_told,
];

fn reader_of_all(names: &Names, topic: &str, reset: OffsetReset) -> TopicConsumer<String, String> {
    let config = ConsumerConfig { auto_offset_reset: reset, ..ConsumerConfig::default() };
    TopicConsumer::assign_all(&names.supplier(), &texts_of(topic), config).unwrap()
}

fn filled(kafka: &dyn ClientSupplier, names: &Names, count: i64) -> String {
    let topic = create(kafka, names, 1);
    fill(names, &topic, count);
    topic
}

fn a_record_comes_with_all_that_it_has(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    producer.record().key("k").value("v").header("h", "1").timestamp(TIME).partition(1).send().unwrap();
    producer.close(WAIT).unwrap();
    let mut reader = reader_of_all(names, &topic, OffsetReset::Earliest);
    let record = take(&mut reader, 1).remove(0);
    assert_eq!((record.key.as_str(), record.value.as_str()), ("k", "v"));
    assert_eq!((&*record.topic, record.partition, record.offset), (topic.as_str(), 1, 0));
    assert_eq!(record.timestamp, TIME);
    assert_eq!(record.headers.last("h").unwrap().value.as_deref(), Some(&b"1"[..]));
    assert_eq!(record.topic_partition(), at(&topic, 1));
}

fn a_batch_is_as_large_as_the_settings_say(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 10);
    let mut reader = member(names, &topic, ConsumerConfig { max_poll_records: 3, ..member_config(names) });
    let mut sizes = Vec::new();
    eventually("all records", || {
        let batch = reader.poll(LOOK).unwrap();
        if let Some(last) = batch.last() {
            sizes.push(batch.len());
            let offsets: Vec<_> = batch.offsets().iter().map(|(at, offset)| (at.clone(), offset)).collect();
            assert_eq!(offsets, [(at(&topic, 0), last.offset + 1)]);
            assert_eq!(reader.position(&at(&topic, 0)).unwrap(), last.offset + 1);
        }
        (sizes.iter().sum::<usize>() == 10).then_some(())
    });
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
}

fn a_poll_ends_in_time(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut reader = reader_of_all(names, &topic, OffsetReset::Earliest);
    for millis in [0, 50, 200] {
        let begin = std::time::Instant::now();
        assert!(reader.poll(Duration::from_millis(millis)).unwrap().is_empty());
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(millis) + Duration::from_secs(2), "{millis} ms took {took:?}");
    }
}

fn a_group_goes_on_where_it_committed(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 4);
    let mut one = member(names, &topic, member_config(names));
    assert_eq!(values(&take(&mut one, 4)), ["0", "1", "2", "3"]);
    one.commit().unwrap();
    one.close(WAIT).unwrap();
    fill(names, &topic, 2);
    let mut two = member(names, &topic, member_config(names));
    let records = take(&mut two, 2);
    assert_eq!((values(&records), records[0].offset), (vec!["0", "1"], 4));
}

fn a_record_a_batch_or_all_can_be_committed(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 6);
    let place = at(&topic, 0);
    let mut reader = member(names, &topic, ConsumerConfig { max_poll_records: 2, ..member_config(names) });
    let mut batches = Vec::new();
    eventually("three batches", || {
        batches.extend(Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
        (batches.iter().map(|batch| batch.len()).sum::<usize>() == 6).then_some(())
    });
    let committed = || committed_of(kafka, &names.group(), &place).map(|known| known.offset);
    reader.commit_record(&batches[0][0]).unwrap();
    assert_eq!(committed(), Some(1));
    let (batch, after) = (batches[1].offsets(), batches[1].last().unwrap().offset + 1);
    reader.commit_offsets(batch).unwrap();
    assert_eq!(committed(), Some(after));
    reader.commit().unwrap();
    assert_eq!(committed(), Some(6));
    assert_eq!(reader.committed(std::slice::from_ref(&place)).unwrap(), [Some(6)]);
}

fn a_commit_of_everything_reaches_behind_the_markers(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    transactional(names, &topic, "a").transaction(WAIT, |producer| Ok(producer.send("k", "v")?)).unwrap();
    let isolation_level = IsolationLevel::ReadCommitted;
    let mut reader = member(names, &topic, ConsumerConfig { isolation_level, ..member_config(names) });
    take(&mut reader, 1);
    eventually("no lag", || {
        assert!(reader.poll(LOOK).unwrap().is_empty());
        (reader.position(&at(&topic, 0)).unwrap() == 2).then_some(())
    });
    reader.commit().unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)).unwrap().offset, 2);
    assert_eq!(reader.ends(&at(&topic, 0)).unwrap(), (0, 2));
}

fn what_was_not_committed_comes_again(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 3);
    let mut one = member(names, &topic, member_config(names));
    let records = take(&mut one, 3);
    one.commit_record(&records[0]).unwrap();
    drop(one);
    let mut two = member(names, &topic, member_config(names));
    assert_eq!(values(&take(&mut two, 2)), ["1", "2"]);
}

fn without_an_offset_earliest_begins_at_the_first(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 3);
    admin(kafka).delete_records(&[(at(&topic, 0), 1)], WAIT).unwrap();
    assert_eq!(values(&take(&mut member(names, &topic, member_config(names)), 2)), ["1", "2"]);
}

fn without_an_offset_latest_begins_at_the_end(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 3);
    let mut reader = member(names, &topic, ConsumerConfig::group(names.group()));
    join(&mut [&mut reader], &[1]);
    fill(names, &topic, 1);
    assert_eq!(take(&mut reader, 1)[0].offset, 3);
}

fn without_an_offset_a_duration_begins_at_its_time(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let producer = plain(names, &topic);
    for age_ms in [7_200_000, 1_800_000, 0] {
        let record = producer.record().key("k").value(age_ms.to_string());
        record.timestamp(now - age_ms).send().unwrap();
    }
    producer.close(WAIT).unwrap();
    let mut reader = reader_of_all(names, &topic, OffsetReset::ByDuration(3_600_000));
    assert_eq!(values(&take(&mut reader, 2)), ["1800000", "0"]);
    let mut reader = reader_of_all(names, &topic, OffsetReset::ByDuration(-3_600_000));
    assert!(reader.poll(LOOK).unwrap().is_empty(), "there is nothing of tomorrow");
}

fn without_an_offset_none_waits_for_a_seek(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 2);
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::None, ..member_config(names) };
    let mut reader = member(names, &topic, config);
    for _ in 0..2 {
        let error = poll_failure(&mut reader);
        assert!(matches!(&error, ConsumerError::NoOffset { partitions } if *partitions == [at(&topic, 0)]));
        assert!(error.to_string().contains(&format!("no committed offset for {topic}-0")), "{error}");
    }
    assert!(reader.position(&at(&topic, 0)).is_err());
    reader.commit().expect("there is nothing to commit");
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), None);
    reader.seek_all(SeekTo::Beginning).unwrap();
    assert_eq!(values(&take(&mut reader, 2)), ["0", "1"]);
}

fn seeks_go_to_ends_offsets_and_times(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 5);
    let place = at(&topic, 0);
    let mut reader = member(names, &topic, member_config(names));
    take(&mut reader, 5);
    for (to, rest) in [
        (SeekTo::Beginning, vec!["0", "1", "2", "3", "4"]),
        (SeekTo::Offset(3), vec!["3", "4"]),
        (SeekTo::Time(TIME + 2), vec!["2", "3", "4"]),
        (SeekTo::Time(TIME - 1), vec!["0", "1", "2", "3", "4"]),
    ] {
        reader.seek(&place, to).unwrap();
        assert_eq!(values(&take(&mut reader, rest.len())), rest, "{to:?}");
    }
    for to in [SeekTo::End, SeekTo::Time(TIME + 100), SeekTo::Offset(5)] {
        reader.seek(&place, SeekTo::Beginning).unwrap();
        reader.seek(&place, to).unwrap();
        assert!(reader.poll(LOOK).unwrap().is_empty(), "{to:?}");
        assert_eq!(reader.position(&place).unwrap(), 5);
    }
}

fn a_seek_needs_a_partition_and_an_offset(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 1);
    let mut reader = member(names, &topic, member_config(names));
    let error = reader.seek(&at(&topic, 0), SeekTo::End).unwrap_err();
    assert!(matches!(&error, ConsumerError::NotAssigned { .. }), "{error}");
    assert!(error.to_string().contains("not assigned to this consumer, which has none; poll"), "{error}");
    take(&mut reader, 1);
    let error = reader.seek(&at(&topic, 7), SeekTo::End).unwrap_err().to_string();
    assert!(
        error.contains(&format!("{topic}-7 is not assigned to this consumer, which has {topic}-0")),
        "{error}"
    );
    let error = reader.seek(&at(&topic, 0), SeekTo::Offset(-1)).unwrap_err().to_string();
    assert!(error.contains("offset -1 is negative"), "{error}");
}

fn an_offset_that_is_gone_is_reset(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 5);
    let mut reader = member(names, &topic, member_config(names));
    take(&mut reader, 5);
    admin(kafka).delete_records(&[(at(&topic, 0), 2)], WAIT).unwrap();
    for gone in [0, 99] {
        reader.seek(&at(&topic, 0), SeekTo::Offset(gone)).unwrap();
        assert_eq!(values(&take(&mut reader, 3)), ["2", "3", "4"]);
    }
}

fn an_offset_that_is_gone_is_told_until_a_seek(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    for partition in 0..2 {
        producer.record().key("k").value(partition.to_string()).partition(partition).send().unwrap();
    }
    producer.close(WAIT).unwrap();
    let mut reader = reader_of_all(names, &topic, OffsetReset::Earliest);
    take(&mut reader, 2);
    reader.close(WAIT).unwrap();
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::None, ..ConsumerConfig::default() };
    let mut reader = TopicConsumer::assign(&names.supplier(), &texts_of(&topic), 0..2, config).unwrap();
    reader.seek(&at(&topic, 0), SeekTo::Offset(9)).unwrap();
    reader.seek(&at(&topic, 1), SeekTo::Offset(0)).unwrap();
    let mut seen = Vec::new();
    let error = eventually("the error", || match reader.poll(LOOK) {
        Ok(batch) => {
            seen.extend(batch);
            None
        }
        Err(error) => Some(error),
    });
    assert!(reader.poll(LOOK).is_err(), "it was not decided");
    let expected = format!("offset 9 of {topic}-0 is not in the log, which has 0 to 1");
    assert!(matches!(&error, ConsumerError::OutOfRange { offset: 9, .. }), "{error}");
    assert!(error.to_string().contains(&expected), "{error}");
    reader.seek(&at(&topic, 0), SeekTo::End).unwrap();
    eventually("the record of the other partition", || {
        seen.extend(reader.poll(LOOK).unwrap());
        (!seen.is_empty()).then_some(())
    });
    assert_eq!(values(&seen), ["1"]);
}

/// A topic with numbers, of which the third is none.
fn with_a_bad_record(kafka: &dyn ClientSupplier, names: &Names) -> (String, Topic<String, i64>) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    for value in [&1_i64.to_be_bytes()[..], &2_i64.to_be_bytes(), b"many", &4_i64.to_be_bytes()] {
        let headers = kstreams::types::Headers::EMPTY;
        writer.try_send(&topic, 0, (Some(b"k"), Some(value), Some(TIME)), &headers).unwrap();
    }
    writer.flush();
    (topic.clone(), Topic::named(topic))
}

fn numbers(names: &Names, topic: &Topic<String, i64>) -> TopicConsumer<String, i64> {
    TopicConsumer::subscribe(&names.supplier(), &[topic], member_config(names)).unwrap()
}

/// Reads until a bad record: the numbers before it, and the record.
#[track_caller]
fn until_bad(reader: &mut TopicConsumer<String, i64>) -> (Vec<i64>, Box<kstreams::clients::BadRecord>) {
    let mut before = Vec::new();
    let bad = eventually("the bad record", || match reader.poll(LOOK) {
        Ok(batch) => {
            before.extend(batch.iter().map(|record| record.value));
            None
        }
        Err(ConsumerError::BadRecord(bad)) => Some(bad),
        Err(error) => panic!("{error}"),
    });
    (before, bad)
}

fn a_bad_record_is_told_until_somebody_decides(kafka: &dyn ClientSupplier, names: &Names) {
    let (topic, typed) = with_a_bad_record(kafka, names);
    let mut reader = numbers(names, &typed);
    let (before, bad) = until_bad(&mut reader);
    assert_eq!(before, [1, 2]);
    assert_eq!(
        (bad.offset, bad.value.as_deref(), bad.key.as_deref()),
        (2, Some(&b"many"[..]), Some(&b"k"[..]))
    );
    let text = bad.to_string();
    assert!(text.starts_with(&format!("record {topic}-0@2: cannot deserialize the value: ")), "{text}");
    assert!(until_bad(&mut reader).0.is_empty(), "nothing comes until somebody decides");
    assert_eq!(reader.position(&at(&topic, 0)).unwrap(), 2);
    reader.commit().unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)).unwrap().offset, 2);
    reader.skip(&bad).unwrap();
    reader.skip(&bad).expect("a second time does nothing");
    let after = eventually("the rest", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
    assert_eq!(after[0].value, 4);
    assert_eq!(reader.position(&at(&topic, 0)).unwrap(), 4);
}

fn a_bad_record_can_be_left_by_a_seek(kafka: &dyn ClientSupplier, names: &Names) {
    let (topic, typed) = with_a_bad_record(kafka, names);
    let mut reader = numbers(names, &typed);
    until_bad(&mut reader);
    reader.seek(&at(&topic, 0), SeekTo::Offset(1)).unwrap();
    assert_eq!(until_bad(&mut reader).0, [2]);
    reader.seek(&at(&topic, 0), SeekTo::Offset(3)).unwrap();
    let after = eventually("the rest", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
    assert_eq!(after[0].value, 4);
}

fn a_null_that_the_type_has_not_is_bad(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let typed = Topic::<String, i64>::named(topic.as_str());
    let rows = TopicProducer::new(&names.supplier(), &typed, ProducerConfig::default()).unwrap();
    rows.record().key("row").send().unwrap();
    rows.close(WAIT).unwrap();
    assert_eq!(until_bad(&mut numbers(names, &typed)).1.value, None);
    let table = Topic::<String, Option<i64>>::named(topic.as_str());
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut reader = TopicConsumer::assign_all(&names.supplier(), &table, config).unwrap();
    let batch = eventually("the row", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
    assert_eq!(batch[0].value, None);
}

fn committed_readers_do_not_see_open_transactions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    producer.begin_transaction(WAIT).unwrap();
    producer.send("k", "open").unwrap().wait(WAIT).unwrap();
    let reader = |isolation_level| {
        let auto_offset_reset = OffsetReset::Earliest;
        let config = ConsumerConfig { isolation_level, auto_offset_reset, ..ConsumerConfig::default() };
        TopicConsumer::assign_all(&names.supplier(), &texts_of(&topic), config).unwrap()
    };
    let mut committed = reader(IsolationLevel::ReadCommitted);
    assert_eq!(values(&take(&mut reader(IsolationLevel::ReadUncommitted), 1)), ["open"]);
    assert!(committed.poll(LOOK).unwrap().is_empty());
    committed.seek_all(SeekTo::End).unwrap();
    assert_eq!(committed.position(&at(&topic, 0)).unwrap(), 0, "its end is before the transaction");
    producer.commit_transaction(WAIT).unwrap();
    assert_eq!(values(&take(&mut committed, 1)), ["open"]);
}

fn explicit_partitions_need_no_group(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let producer = plain(names, &topic);
    for partition in 0..3 {
        producer.record().key("k").value(partition.to_string()).partition(partition).send().unwrap();
    }
    producer.close(WAIT).unwrap();
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut reader = TopicConsumer::assign(&names.supplier(), &texts_of(&topic), [0, 2], config).unwrap();
    let mut records = take(&mut reader, 2);
    records.sort_by_key(|record| record.partition);
    assert_eq!(values(&records), ["0", "2"]);
    let error = reader.commit().unwrap_err();
    assert!(
        matches!(&error, ConsumerError::Commit { source, .. } if source.fault == Fault::Invalid),
        "{error}"
    );
    reader.close(WAIT).unwrap();
}

fn explicit_partitions_can_be_committed(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 3);
    let assigned =
        || TopicConsumer::assign(&names.supplier(), &texts_of(&topic), [0], member_config(names)).unwrap();
    let mut one = assigned();
    let records = take(&mut one, 3);
    one.commit_record(&records[1]).unwrap();
    one.close(WAIT).unwrap();
    assert_eq!(values(&take(&mut assigned(), 1)), ["2"]);
}

fn all_partitions_of_a_missing_topic_are_none(_: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("missing");
    let config = ConsumerConfig::default();
    let error = TopicConsumer::assign_all(&names.supplier(), &texts_of(&topic), config).err().unwrap();
    assert!(
        error.to_string().contains(&format!("topic `{topic}` does not exist; create the topic")),
        "{error}"
    );
}

fn automatic_commits_leave_what_is_in_hand(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 4);
    let place = at(&topic, 0);
    let config = ConsumerConfig {
        enable_auto_commit: true,
        auto_commit_interval: Duration::ZERO,
        max_poll_records: 2,
        ..member_config(names)
    };
    let mut reader = member(names, &topic, config);
    let committed = || committed_of(kafka, &names.group(), &place).map_or(0, |known| known.offset);
    let mut taken = 0;
    eventually("all records", || {
        let batch = reader.poll(LOOK).unwrap();
        if !batch.is_empty() {
            assert_eq!(committed(), taken, "of the batch in hand nothing is committed, of those before all");
            taken += batch.len() as i64;
        }
        (taken == 4).then_some(())
    });
    reader.close(WAIT).unwrap();
    assert_eq!(committed(), 4);
}

fn settings_without_a_group_are_told(_: &dyn ClientSupplier, names: &Names) {
    let typed = texts_of("t");
    let failed = TopicConsumer::subscribe(&names.supplier(), &[&typed], ConsumerConfig::default());
    assert!(failed.err().unwrap().to_string().contains("set `group.id`, or use `assign`"));
    let properties = [("fetch.min.byte".to_owned(), "5".to_owned())].into();
    let config = ConsumerConfig { properties, ..member_config(names) };
    let failed = TopicConsumer::subscribe(&names.supplier(), &[&typed], config);
    assert!(failed.err().unwrap().to_string().contains("did you mean `fetch.min.bytes`?"));
}
