//! What only the embedded log can be asked: virtual time, expiry, the stricter rule, batches and speed limits.
//! What it shares with a broker is in the conformance suite.

use std::time::Duration;

use streams_state::types::{Headers, TopicPartition};

use super::*;
use crate::client::{
    ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Deliveries, Fault, NewTopic, OffsetSpec,
    Polled, ProduceRecord, Producer, ProducerSettings, RebalanceEvent, RecordSink, Slot,
};
use crate::record::RawRecord;

const NOW: Duration = Duration::ZERO;

#[derive(Default)]
struct Values(Vec<(Slot, i64, String)>);

impl RecordSink for Values {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        self.0.push((slot, record.offset, value));
    }
}

fn kafka() -> (EmbeddedKafka, VirtualClock) {
    let clock = VirtualClock::new(1_000);
    let kafka = EmbeddedKafka::new(clock.clone());
    kafka.create_topic("t", 2).unwrap();
    (kafka, clock)
}

fn producer(kafka: &EmbeddedKafka, id: Option<&str>) -> Box<dyn Producer> {
    let settings = ProducerSettings {
        transactional_id: id.map(str::to_owned),
        transaction_timeout: Some(Duration::from_secs(10)),
        ..ProducerSettings::default()
    };
    let mut producer = kafka.producer(&settings).unwrap();
    if id.is_some() {
        producer.init_transactions(NOW).unwrap();
    }
    producer
}

fn send(producer: &mut dyn Producer, partition: i32, value: &str) {
    let topic = producer.topic("t").unwrap();
    let record = ProduceRecord {
        topic,
        partition,
        timestamp: Some(5),
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        headers: &Headers::EMPTY,
    };
    producer.send(record).unwrap();
}

fn member(kafka: &EmbeddedKafka, client_id: &str) -> Box<dyn Consumer> {
    let settings = ConsumerSettings {
        client_id: client_id.to_owned(),
        group: Some("g".to_owned()),
        read_committed: true,
        ..ConsumerSettings::default()
    };
    let mut consumer = kafka.consumer(&settings).unwrap();
    consumer.subscribe(&["t".to_owned()]).unwrap();
    consumer
}

fn step(consumer: &mut dyn Consumer) -> Option<RebalanceEvent> {
    consumer.poll(NOW, &mut Values::default()).unwrap().rebalance
}

fn take_up(consumer: &mut dyn Consumer) -> Vec<TopicPartition> {
    match step(consumer) {
        Some(RebalanceEvent::Assigned(partitions)) => {
            let positions: Vec<_> =
                partitions.iter().map(|at| (at.clone(), 0, at.partition as Slot)).collect();
            consumer.complete_assign(&positions).unwrap();
            partitions
        }
        other => panic!("expected an assignment, got {other:?}"),
    }
}

fn offset(offset: i64) -> Vec<(TopicPartition, CommittedOffset)> {
    vec![(TopicPartition::new("t", 0), CommittedOffset { offset, metadata: String::new() })]
}

#[test]
fn a_transaction_that_is_open_too_long_is_aborted_and_fenced() {
    let (kafka, clock) = kafka();
    let mut zombie = producer(&kafka, Some("id"));
    zombie.begin_transaction().unwrap();
    send(&mut *zombie, 0, "lost");
    zombie.drain(&mut Deliveries::default(), NOW);
    clock.advance(9_999);
    assert_eq!(kafka.end_offsets("t").unwrap(), [1, 0]);
    clock.advance(1);
    assert_eq!(kafka.end_offsets("t").unwrap(), [2, 0], "the abort marker");
    let error = zombie.commit_transaction(&mut Deliveries::default(), NOW).unwrap_err();
    assert_eq!(error.fault, Fault::ProducerFenced);
    assert_eq!(kafka.read_all("t", true).unwrap(), []);
    assert_eq!(kafka.read_all("t", false).unwrap().len(), 1);
}

#[test]
fn offsets_of_a_group_with_members_need_a_member() {
    let (kafka, _) = kafka();
    let mut reader = member(&kafka, "a");
    take_up(&mut *reader);
    let mut unfenced = kafka
        .consumer(&ConsumerSettings { group: Some("g".to_owned()), ..ConsumerSettings::default() })
        .unwrap();
    assert_eq!(unfenced.commit(&offset(1), NOW).unwrap_err().fault, Fault::NotInGroup);
    let mut writer = producer(&kafka, Some("id"));
    writer.begin_transaction().unwrap();
    let error = writer.send_offsets(&offset(1), &unfenced.group_metadata(), NOW).unwrap_err();
    assert_eq!(error.fault, Fault::NotInGroup, "stricter than Kafka");
    let error = writer.commit_transaction(&mut Deliveries::default(), NOW).unwrap_err();
    assert_eq!(error.fault, Fault::AbortTransaction);
    writer.abort_transaction(NOW).unwrap();
    writer.begin_transaction().unwrap();
    writer.send_offsets(&offset(1), &reader.group_metadata(), NOW).unwrap();
    assert_eq!(reader.committed(&[TopicPartition::new("t", 0)], NOW).unwrap_err().fault, Fault::Retriable);
    writer.commit_transaction(&mut Deliveries::default(), NOW).unwrap();
    let committed = reader.committed(&[TopicPartition::new("t", 0)], NOW).unwrap();
    assert_eq!(committed[0].as_ref().map(|known| known.offset), Some(1));
}

#[test]
fn a_consumer_that_vanished_is_waited_for_and_then_replaced() {
    let (kafka, clock) = kafka();
    let mut first = member(&kafka, "a");
    assert_eq!(take_up(&mut *first).len(), 2);
    drop(first);
    let mut second = member(&kafka, "b");
    assert_eq!(step(&mut *second), None, "the first has not answered yet");
    clock.advance(45_000);
    assert_eq!(take_up(&mut *second).len(), 2);
}

#[test]
fn a_member_that_does_not_poll_is_lost() {
    let (kafka, clock) = kafka();
    let mut slow = member(&kafka, "a");
    let mut quick = member(&kafka, "b");
    take_up(&mut *slow);
    assert_eq!(step(&mut *quick), None);
    clock.advance(300_000);
    assert_eq!(take_up(&mut *quick).len(), 2);
    assert_eq!(slow.commit(&offset(1), NOW).unwrap_err().fault, Fault::NotInGroup);
    assert!(matches!(step(&mut *slow), Some(RebalanceEvent::Lost(partitions)) if partitions.len() == 2));
    slow.complete_revoke().unwrap();
    assert_eq!(step(&mut *slow), None);
    assert!(matches!(step(&mut *quick), Some(RebalanceEvent::Revoked(_))));
    quick.complete_revoke().unwrap();
    assert_eq!(take_up(&mut *slow), [TopicPartition::new("t", 0)]);
    assert_eq!(take_up(&mut *quick), [TopicPartition::new("t", 1)]);
}

#[test]
fn expired_members_find_their_partitions_lost() {
    let (kafka, _) = kafka();
    let mut reader = member(&kafka, "a");
    take_up(&mut *reader);
    kafka.expire_members("g");
    assert!(matches!(step(&mut *reader), Some(RebalanceEvent::Lost(_))));
    reader.complete_revoke().unwrap();
    assert_eq!(take_up(&mut *reader).len(), 2);
}

#[test]
fn compaction_drops_aborted_records_and_old_tombstones_and_keeps_offsets() {
    let (kafka, clock) = kafka();
    let put = |key: &[u8], value: Option<&[u8]>| kafka.produce("t", Some(0), Some(key), value, 1).unwrap();
    put(b"a", Some(b"1"));
    put(b"b", Some(b"2"));
    put(b"a", None);
    let mut writer = producer(&kafka, Some("id"));
    writer.begin_transaction().unwrap();
    send(&mut *writer, 0, "aborted");
    writer.flush(&mut Deliveries::default(), NOW).unwrap();
    writer.abort_transaction(NOW).unwrap();
    writer.begin_transaction().unwrap();
    send(&mut *writer, 0, "open");
    writer.flush(&mut Deliveries::default(), NOW).unwrap();
    kafka.compact("t").unwrap();
    let offsets =
        |committed| kafka.read_all("t", committed).unwrap().iter().map(|r| r.offset).collect::<Vec<_>>();
    assert_eq!(offsets(false), [1, 2, 5]);
    clock.advance(86_400_000);
    kafka.compact("t").unwrap();
    assert_eq!(offsets(true), [1]);
    assert_eq!(kafka.end_offsets("t").unwrap()[0], 7, "the open transaction timed out");
    assert_eq!(kafka.produce("t", Some(0), Some(b"c"), None, 1).unwrap(), (0, 7));
}

#[test]
fn records_that_were_not_drained_die_with_their_producer() {
    let (kafka, _) = kafka();
    let mut writer = producer(&kafka, None);
    send(&mut *writer, 0, "in flight");
    drop(writer);
    assert_eq!(kafka.end_offsets("t").unwrap(), [0, 0]);
}

#[test]
fn a_poll_takes_turns_and_respects_the_sink() {
    struct OnlyOne(Values);
    impl RecordSink for OnlyOne {
        fn wants(&self, slot: Slot) -> bool {
            slot == 1 && self.0.0.len() < 2
        }
        fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
            self.0.record(slot, record);
        }
    }
    let (kafka, _) = kafka();
    for value in 0..6 {
        kafka.produce("t", Some(value % 2), None, Some(value.to_string().as_bytes()), 1).unwrap();
    }
    let mut reader = kafka.consumer(&ConsumerSettings::default()).unwrap();
    let at = |p| TopicPartition::new("t", p);
    reader.assign(&[(at(0), 0, 0), (at(1), 1, 1)]).unwrap();
    let mut sink = OnlyOne(Values::default());
    let Polled { records, .. } = reader.poll(NOW, &mut sink).unwrap();
    assert_eq!((records, reader.position(&at(1)).unwrap(), reader.position(&at(0)).unwrap()), (2, 3, 0));
    let mut rest = Values::default();
    assert_eq!(reader.poll(NOW, &mut rest).unwrap().records, 3);
    assert_eq!(rest.0.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_default_limit_on_future_timestamps_holds_under_a_real_clock_only() {
    struct Real;
    impl Clock for Real {
        fn now_ms(&self) -> i64 {
            0
        }
    }
    let far = 3_600_001;
    let (virtual_time, _) = kafka();
    virtual_time.produce("t", None, None, None, far + 1_000).unwrap();
    let real_time = EmbeddedKafka::new(Real);
    real_time.create_topic("t", 1).unwrap();
    assert_eq!(real_time.produce("t", None, None, None, far).unwrap_err().fault, Fault::BadRecord);
    real_time.produce("t", None, None, None, far - 1).unwrap();
}

#[test]
fn a_new_partition_owner_waits_for_the_offsets_of_the_old_one() {
    let (kafka, clock) = kafka();
    let mut old = member(&kafka, "a");
    take_up(&mut *old);
    let mut writer = producer(&kafka, Some("id"));
    writer.begin_transaction().unwrap();
    writer.send_offsets(&offset(7), &old.group_metadata(), NOW).unwrap();
    kafka.expire_members("g");
    let mut new = member(&kafka, "b");
    take_up(&mut *new);
    assert!(new.committed(&[TopicPartition::new("t", 0)], NOW).is_err());
    clock.advance(10_000);
    assert_eq!(new.committed(&[TopicPartition::new("t", 0)], NOW).unwrap(), [None]);
    assert_eq!(new.list_offsets(&[TopicPartition::new("t", 0)], OffsetSpec::Stable, NOW).unwrap(), [0]);
}

#[test]
fn a_topic_that_appears_is_assigned() {
    let (kafka, _) = kafka();
    let mut reader = member(&kafka, "a");
    reader.subscribe(&["t".to_owned(), "late".to_owned()]).unwrap();
    let error = reader.poll(NOW, &mut Values::default()).unwrap_err();
    assert_eq!(error.fault, Fault::UnknownTopic);
    assert_eq!(take_up(&mut *reader).len(), 2);
    let new = NewTopic {
        name: "late".to_owned(),
        partitions: 1,
        replication_factor: -1,
        config: Default::default(),
    };
    kafka.create_topic_with(&new).unwrap();
    assert!(matches!(step(&mut *reader), Some(RebalanceEvent::Revoked(_))));
    reader.complete_revoke().unwrap();
    assert_eq!(take_up(&mut *reader).len(), 3);
}
