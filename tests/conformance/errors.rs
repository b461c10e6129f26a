//! What does not exist, does not fit or is out of range: one fault each, and life goes on.

use kstreams::client::{ClientSupplier, Fault, OffsetSpec};
use kstreams::types::Headers;

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    reading_after_the_end_is_out_of_range,
    reading_before_the_beginning_is_out_of_range,
    an_out_of_range_reader_goes_on_after_a_seek,
    one_partition_out_of_range_does_not_stop_the_others,
    reading_a_missing_topic_is_told,
    reading_a_missing_partition_is_told,
    subscribing_to_a_missing_topic_is_told,
    a_missing_topic_has_no_partition_count,
    a_missing_topic_has_no_offsets,
    a_missing_partition_has_no_offsets,
    writing_to_a_missing_partition_fails,
    a_record_too_large_for_the_producer_is_refused,
    a_record_too_large_for_the_topic_is_refused,
    a_transaction_with_a_refused_record_does_not_commit,
    a_transaction_with_a_refused_record_takes_no_more,
    a_far_future_timestamp_is_refused,
    a_too_old_timestamp_is_refused,
    positions_exist_for_assigned_partitions_only,
    a_consumer_without_a_group_cannot_subscribe,
];

fn three_records(kafka: &dyn ClientSupplier, names: &Names) -> String {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    for number in 0..3 {
        writer.send(&topic, 0, "k", &number.to_string());
    }
    writer.flush();
    topic
}

fn reading_after_the_end_is_out_of_range(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    let mut consumer = reader(kafka, Committed);
    consumer.assign(&[(at(&topic, 0), 4, 0)]).unwrap();
    assert_eq!(poll_error(&mut *consumer), Fault::OffsetOutOfRange);
}

fn reading_before_the_beginning_is_out_of_range(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    admin(kafka).delete_records(&[(at(&topic, 0), 2)], WAIT).unwrap();
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 1, 0)]).unwrap();
    assert_eq!(poll_error(&mut *consumer), Fault::OffsetOutOfRange);
}

fn an_out_of_range_reader_goes_on_after_a_seek(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 100, 0)]).unwrap();
    assert_eq!(poll_error(&mut *consumer), Fault::OffsetOutOfRange);
    consumer.seek(&at(&topic, 0), 1).unwrap();
    assert_eq!(offsets(&poll_records(&mut *consumer, 2)), [1, 2]);
}

fn one_partition_out_of_range_does_not_stop_the_others(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = Writer::plain(kafka);
    for _ in 0..3 {
        writer.send(&topic, 1, "k", "v");
    }
    writer.flush();
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 5, 0), (at(&topic, 1), 0, 1)]).unwrap();
    let (mut sink, mut faults) = (Everything::default(), Vec::new());
    eventually("records and the error", || {
        faults.extend(consumer.poll(LOOK, &mut sink).err().map(|error| error.fault));
        (sink.0.len() == 3 && !faults.is_empty()).then_some(())
    });
    assert_eq!(faults, [Fault::OffsetOutOfRange], "told once");
}

fn reading_a_missing_topic_is_told(kafka: &dyn ClientSupplier, names: &Names) {
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&names.topic("missing"), 0), 0, 0)]).unwrap();
    assert_eq!(poll_error(&mut *consumer), Fault::UnknownTopic);
}

fn reading_a_missing_partition_is_told(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 2), 0, 0)]).unwrap();
    assert_eq!(poll_error(&mut *consumer), Fault::UnknownTopic);
}

fn subscribing_to_a_missing_topic_is_told(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut member = Member::subscribe(kafka, &names.group(), "m", &[&topic, &names.topic("missing")]);
    let mut told = None;
    eventually("the news, and the topic that exists", || {
        match member.consumer.poll(LOOK, &mut Everything::default()) {
            Ok(polled) => polled.rebalance.into_iter().for_each(|event| member.answer(event)),
            Err(error) => told = Some(error.fault),
        }
        (told.is_some() && member.owned == [at(&topic, 0)]).then_some(())
    });
    assert_eq!(told, Some(Fault::UnknownTopic));
}

fn a_missing_topic_has_no_partition_count(kafka: &dyn ClientSupplier, names: &Names) {
    let mut writer = Writer::plain(kafka);
    assert_eq!(fault(writer.producer.partitions(&names.topic("missing"), WAIT)), Fault::UnknownTopic);
}

fn a_missing_topic_has_no_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let mut consumer = reader(kafka, Uncommitted);
    let place = at(&names.topic("missing"), 0);
    assert_eq!(fault(consumer.list_offsets(&[place], OffsetSpec::End, WAIT)), Fault::UnknownTopic);
}

fn a_missing_partition_has_no_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut consumer = reader(kafka, Uncommitted);
    let answer = consumer.list_offsets(&[at(&topic, 1)], OffsetSpec::Beginning, WAIT);
    assert_eq!(fault(answer), Fault::UnknownTopic);
}

fn writing_to_a_missing_partition_fails(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    assert_eq!(writer.producer.partitions(&topic, WAIT).unwrap(), 1);
    let answer = writer.try_write(&topic, 1, (None, Some(b"v"), Some(TIME)));
    assert_eq!(fault(answer), Fault::UnknownTopic);
    writer.send(&topic, 0, "k", "v");
    writer.flush();
}

fn a_record_too_large_for_the_producer_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    let huge = vec![0_u8; 2_000_000];
    let answer = writer.try_send(&topic, 0, (None, Some(&huge), Some(TIME)), &Headers::EMPTY);
    assert_eq!(fault(answer), Fault::BadRecord);
    writer.send(&topic, 0, "k", "small");
    writer.flush();
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["small"]);
}

fn a_record_too_large_for_the_topic_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("max.message.bytes", "1000")]);
    let mut writer = Writer::plain(kafka);
    let answer = writer.try_write(&topic, 0, (None, Some(&[0; 2000]), Some(TIME)));
    assert_eq!(fault(answer), Fault::BadRecord);
    writer.try_write(&topic, 0, (None, Some(&[0; 500]), Some(TIME))).unwrap();
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [0]);
}

fn a_transaction_with_a_refused_record_does_not_commit(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 2, &[("max.message.bytes", "1000")]);
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    writer.begin();
    writer.send(&topic, 0, "k", "good");
    writer.flush();
    writer.try_send(&topic, 1, (None, Some(&[0; 2000]), Some(TIME)), &Headers::EMPTY).unwrap();
    assert!(writer.try_commit().is_err());
    writer.abort();
    assert_eq!(read(kafka, &topic, Committed), []);
}

/// It was a fault of the request for librdkafka, which ended the stream thread instead of a rewind.
fn a_transaction_with_a_refused_record_takes_no_more(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("max.message.bytes", "1000")]);
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    writer.begin();
    writer.try_send(&topic, 0, (None, Some(&[0; 2000]), Some(TIME)), &Headers::EMPTY).unwrap();
    assert!(writer.try_flush().is_err());
    let answer = writer.try_send(&topic, 0, (None, Some(b"v"), Some(TIME)), &Headers::EMPTY);
    assert_eq!(fault(answer), Fault::AbortTransaction);
    writer.abort();
    assert_eq!(
        fault(writer.try_send(&topic, 0, (None, Some(b"v"), Some(TIME)), &Headers::EMPTY)),
        Fault::Invalid
    );
    // The next transaction of the same producer would find a gap in librdkafka's sequence numbers.
    let mut next = Writer::transactional(kafka, &names.transactional_id("a"));
    next.begin();
    next.send(&topic, 0, "k", "again");
    next.commit();
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["again"]);
}

fn a_far_future_timestamp_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    let year_2100 = 4_102_444_800_000;
    let answer = writer.try_write(&topic, 0, (None, Some(b"v"), Some(year_2100)));
    assert_eq!(fault(answer), Fault::BadRecord, "message.timestamp.after.max.ms is one hour");
    let topic = names.topic("any-time");
    create_with(kafka, &topic, 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
    writer.try_write(&topic, 0, (None, Some(b"v"), Some(year_2100))).unwrap();
    assert_eq!(read(kafka, &topic, Uncommitted)[0].timestamp, year_2100);
}

fn a_too_old_timestamp_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("message.timestamp.before.max.ms", "86400000")]);
    let mut writer = Writer::plain(kafka);
    let answer = writer.try_write(&topic, 0, (None, Some(b"v"), Some(TIME)));
    assert_eq!(fault(answer), Fault::BadRecord);
    writer.try_write(&topic, 0, (None, Some(b"v"), None)).unwrap();
}

fn positions_exist_for_assigned_partitions_only(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut consumer = reader(kafka, Uncommitted);
    assert_eq!(fault(consumer.position(&at(&topic, 0))), Fault::Invalid);
    assert_eq!(fault(consumer.seek(&at(&topic, 0), 0)), Fault::Invalid);
    assert_eq!(consumer.known_end(&at(&topic, 0)), None);
}

fn a_consumer_without_a_group_cannot_subscribe(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut consumer = reader(kafka, Uncommitted);
    assert_eq!(fault(consumer.subscribe(std::slice::from_ref(&topic))), Fault::Invalid);
    assert_eq!(fault(consumer.commit(&[(at(&topic, 0), committed(0))], WAIT)), Fault::Invalid);
}
