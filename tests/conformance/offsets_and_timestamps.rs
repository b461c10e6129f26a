//! Offsets, timestamps, positions: what a log without transactions and groups has to get right.

use std::time::Duration;

use kstreams::client::{ClientSupplier, OffsetSpec, RecordSink, Slot};
use kstreams::record::RawRecord;

use crate::harness::cases;
use crate::support::*;

cases![
    a_new_topic_begins_and_ends_at_zero,
    offsets_are_consecutive,
    every_partition_counts_apart,
    create_time_is_kept_in_any_order,
    very_old_timestamps_are_kept,
    no_timestamp_is_the_producers_clock,
    log_append_time_replaces_the_timestamp,
    a_reader_begins_where_it_is_told,
    a_seek_goes_back_and_forward,
    a_seek_drops_what_was_fetched,
    the_position_follows_the_records,
    the_position_of_a_new_assignment_is_what_was_told,
    the_position_reaches_the_end,
    the_end_is_known_after_a_fetch,
    offsets_can_be_listed_without_an_assignment,
    offsets_can_be_listed_by_time,
    deliveries_tell_the_last_offset_of_each_partition,
    deliveries_of_two_flushes_add_up,
    records_come_under_their_slot_in_order,
    a_slot_that_wants_nothing_keeps_its_records,
    assigning_again_replaces_the_assignment,
    a_reader_at_the_end_sees_what_comes_later,
    a_poll_without_records_gives_none,
    an_assignment_of_nothing_reads_nothing,
];

fn write(kafka: &dyn ClientSupplier, topic: &str, partition: i32, count: usize) {
    let mut writer = Writer::plain(kafka);
    for number in 0..count {
        writer.send(topic, partition, "k", &number.to_string());
    }
    writer.flush();
}

fn a_new_topic_begins_and_ends_at_zero(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    for partition in 0..2 {
        for spec in [OffsetSpec::Beginning, OffsetSpec::End, OffsetSpec::Stable] {
            assert_eq!(end(kafka, &topic, partition, spec), 0, "{spec:?}");
        }
    }
}

fn offsets_are_consecutive(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 3);
    write(kafka, &topic, 0, 2);
    assert_eq!(offsets(&read(kafka, &topic, Uncommitted)), [0, 1, 2, 3, 4]);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 5);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::Beginning), 0);
}

fn every_partition_counts_apart(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    write(kafka, &topic, 0, 2);
    write(kafka, &topic, 2, 1);
    let ends: Vec<i64> = (0..3).map(|partition| end(kafka, &topic, partition, OffsetSpec::End)).collect();
    assert_eq!(ends, [2, 0, 1]);
}

fn create_time_is_kept_in_any_order(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let times = [TIME, TIME - 86_400_000, TIME + 1, TIME - 1];
    let mut writer = Writer::plain(kafka);
    for time in times {
        writer.try_write(&topic, 0, (None, Some(b"v"), Some(time))).unwrap();
    }
    let read: Vec<i64> = read(kafka, &topic, Uncommitted).iter().map(|record| record.timestamp).collect();
    assert_eq!(read, times);
}

fn very_old_timestamps_are_kept(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("retention.ms", "-1")]);
    let mut writer = Writer::plain(kafka);
    writer.try_write(&topic, 0, (None, Some(b"v"), Some(1))).unwrap();
    assert_eq!(read(kafka, &topic, Uncommitted)[0].timestamp, 1);
}

fn offsets_can_be_listed_by_time(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = Writer::plain(kafka);
    for time in [TIME + 30, TIME + 10, TIME + 40, TIME + 20] {
        writer.try_write(&topic, 0, (None, Some(b"v"), Some(time))).unwrap();
    }
    let at_time = |partition, time| end(kafka, &topic, partition, OffsetSpec::AtTime(time));
    // The first in the log that is as late, whatever comes after it.
    assert_eq!([0, 10, 30, 31, 40].map(|after| at_time(0, TIME + after)), [0, 0, 0, 2, 2]);
    assert_eq!((at_time(0, TIME + 41), at_time(1, TIME)), (-1, -1), "no record is as late");
    assert_eq!(at_time(0, 0), 0);
}

fn no_timestamp_is_the_producers_clock(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    Writer::plain(kafka).try_write(&topic, 0, (None, Some(b"v"), None)).unwrap();
    let time = read(kafka, &topic, Uncommitted)[0].timestamp;
    assert!(time > TIME, "{time} is not now");
}

fn log_append_time_replaces_the_timestamp(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut writer = Writer::plain(kafka);
    writer.try_write(&topic, 0, (None, Some(b"v"), Some(TIME - 5))).unwrap();
    let time = read(kafka, &topic, Uncommitted)[0].timestamp;
    assert!(time > TIME, "{time} is not now");
}

fn a_reader_begins_where_it_is_told(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 5);
    assert_eq!(offsets(&read_from(kafka, &topic, 0, 3, Uncommitted)), [3, 4]);
    assert_eq!(offsets(&read_from(kafka, &topic, 0, 5, Uncommitted)), [0; 0]);
}

fn a_seek_goes_back_and_forward(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 5);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    assert_eq!(offsets(&poll_records(&mut *consumer, 5)), [0, 1, 2, 3, 4]);
    consumer.seek(&at(&topic, 0), 1).unwrap();
    assert_eq!(offsets(&poll_records(&mut *consumer, 4)), [1, 2, 3, 4]);
    consumer.seek(&at(&topic, 0), 4).unwrap();
    assert_eq!(offsets(&poll_records(&mut *consumer, 1)), [4]);
}

/// Takes one record, then no more.
#[derive(Default)]
struct OnlyOne(Everything);

impl RecordSink for OnlyOne {
    fn wants(&self, _: Slot) -> bool {
        self.0.0.is_empty()
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        self.0.record(slot, record);
    }
}

fn a_seek_drops_what_was_fetched(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 100);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    let mut sink = OnlyOne::default();
    eventually("the first record", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (!sink.wants(0)).then_some(())
    });
    consumer.seek(&at(&topic, 0), 98).unwrap();
    assert_eq!(offsets(&poll_records(&mut *consumer, 2)), [98, 99]);
}

fn the_position_follows_the_records(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 3);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    let mut sink = OnlyOne::default();
    eventually("the first record", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (!sink.wants(0)).then_some(())
    });
    assert_eq!(offsets(&sink.0.0), [0], "the sink is asked before each record");
    assert_eq!(consumer.position(&at(&topic, 0)).unwrap(), 1);
}

fn the_position_of_a_new_assignment_is_what_was_told(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 3);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 2, 0)]).unwrap();
    assert_eq!(consumer.position(&at(&topic, 0)).unwrap(), 2);
    consumer.seek(&at(&topic, 0), 1).unwrap();
    assert_eq!(consumer.position(&at(&topic, 0)).unwrap(), 1);
}

fn the_position_reaches_the_end(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 1000);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    poll_records(&mut *consumer, 1000);
    assert_eq!(consumer.position(&at(&topic, 0)).unwrap(), 1000);
}

fn the_end_is_known_after_a_fetch(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 4);
    for isolation in [Uncommitted, Committed] {
        let mut consumer = reader(kafka, isolation);
        consumer.assign(&[(at(&topic, 0), 1, 0)]).unwrap();
        poll_records(&mut *consumer, 3);
        assert_eq!(consumer.known_end(&at(&topic, 0)), Some(4), "{isolation:?}");
    }
}

fn offsets_can_be_listed_without_an_assignment(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    write(kafka, &topic, 1, 7);
    let mut consumer = reader(kafka, Committed);
    let places = [at(&topic, 1), at(&topic, 0)];
    assert_eq!(consumer.list_offsets(&places, OffsetSpec::End, WAIT).unwrap(), [7, 0]);
    assert_eq!(consumer.list_offsets(&places, OffsetSpec::Beginning, WAIT).unwrap(), [0, 0]);
    assert_eq!(consumer.list_offsets(&[], OffsetSpec::End, WAIT).unwrap(), [0; 0]);
}

fn deliveries_tell_the_last_offset_of_each_partition(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let mut writer = Writer::plain(kafka);
    for partition in [0, 2, 0, 0] {
        writer.send(&topic, partition, "k", "v");
    }
    writer.flush();
    let acked: Vec<Option<i64>> = (0..3).map(|partition| writer.acked(&topic, partition)).collect();
    assert_eq!(acked, [Some(2), None, Some(0)]);
    assert_eq!(writer.deliveries.in_flight, 0);
}

fn deliveries_of_two_flushes_add_up(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 0, "k", "1");
    writer.flush();
    writer.send(&topic, 0, "k", "2");
    writer.flush();
    assert_eq!(writer.acked(&topic, 0), Some(1));
}

fn records_come_under_their_slot_in_order(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    for partition in 0..3 {
        write(kafka, &topic, partition, 200);
    }
    let mut consumer = reader(kafka, Uncommitted);
    let places = [(at(&topic, 0), 0, 70), (at(&topic, 1), 50, 3), (at(&topic, 2), 199, 0)];
    consumer.assign(&places).unwrap();
    let records = poll_records(&mut *consumer, 351);
    for (slot, first) in [(70, 0), (3, 50), (0, 199)] {
        let of_slot: Vec<Read> = records.iter().filter(|record| record.slot == slot).cloned().collect();
        assert_eq!(offsets(&of_slot), (first..200).collect::<Vec<i64>>(), "slot {slot}");
    }
}

/// Takes records of slot 1 only, until told to take all.
#[derive(Default)]
struct Choosy {
    records: Everything,
    all: bool,
}

impl RecordSink for Choosy {
    fn wants(&self, slot: Slot) -> bool {
        self.all || slot == 1
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        assert!(self.wants(slot), "a record for slot {slot}, which wants none");
        self.records.record(slot, record);
    }
}

fn a_slot_that_wants_nothing_keeps_its_records(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    write(kafka, &topic, 0, 10);
    write(kafka, &topic, 1, 10);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0), (at(&topic, 1), 0, 1)]).unwrap();
    let mut sink = Choosy::default();
    eventually("the records of slot 1", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (sink.records.0.len() == 10).then_some(())
    });
    assert_eq!(consumer.position(&at(&topic, 0)).unwrap(), 0);
    sink.all = true;
    eventually("the records of slot 0", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (sink.records.0.len() == 20).then_some(())
    });
    assert_eq!(offsets(&sink.records.0[10..]), (0..10).collect::<Vec<i64>>());
}

fn assigning_again_replaces_the_assignment(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    write(kafka, &topic, 0, 3);
    write(kafka, &topic, 1, 3);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 5)]).unwrap();
    poll_records(&mut *consumer, 3);
    consumer.assign(&[(at(&topic, 1), 1, 6)]).unwrap();
    let records = poll_records(&mut *consumer, 2);
    assert!(records.iter().all(|record| record.slot == 6), "{records:?}");
    assert_eq!(offsets(&records), [1, 2]);
    assert!(consumer.position(&at(&topic, 0)).is_err(), "no longer assigned");
}

fn a_reader_at_the_end_sees_what_comes_later(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 3);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 3, 0)]).unwrap();
    assert_eq!(consumer.poll(LOOK, &mut Everything::default()).unwrap().records, 0);
    write(kafka, &topic, 0, 1);
    assert_eq!(offsets(&poll_records(&mut *consumer, 1)), [3]);
}

fn a_poll_without_records_gives_none(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    let polled = consumer.poll(Duration::ZERO, &mut Everything::default()).unwrap();
    assert_eq!((polled.records, polled.rebalance), (0, None));
}

fn an_assignment_of_nothing_reads_nothing(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 0, 1);
    let mut consumer = reader(kafka, Uncommitted);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    consumer.assign(&[]).unwrap();
    assert_eq!(consumer.poll(LOOK, &mut Everything::default()).unwrap().records, 0);
}
