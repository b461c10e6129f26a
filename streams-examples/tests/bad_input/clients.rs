//! Producers and consumers beside a topology.

use std::time::Duration;

use kstreams::prelude::*;

use crate::Answer::Refused;
use crate::Needs::Nothing;
use crate::Row;
use crate::place::{Place, Seen};

const IN: Topic<String, i64> = Topic::new("in");
const TEXTS: Topic<String, String> = Topic::new("in");
const SOON: Duration = Duration::from_secs(10);

fn producer(place: &Place, config: ProducerConfig) -> TopicProducer<String, String> {
    TopicProducer::new(&place.kafka(&[("in", 2)]), &TEXTS, config).unwrap()
}

/// Reads what is in the topic until an error comes.
fn read(place: &Place, value: &[u8], config: ConsumerConfig) -> Seen {
    let kafka = place.kafka(&[("in", 1)]);
    kafka.produce("in", Some(0), Some(b"k"), Some(value), 0).unwrap();
    let mut consumer = TopicConsumer::subscribe(&kafka, &[&IN], config).unwrap();
    let error = (0..100).find_map(|_| consumer.poll(Duration::from_millis(100)).err());
    Seen::refused(error.map_or(Ok(()), Err))
}

macro_rules! row {
    ($class:literal, $tried:literal, [$($says:literal),*], $run:expr) => {
        Row { class: $class, tried: $tried, answer: Refused, says: &[$($says),*], within: 30, needs: Nothing, run: $run }
    };
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row!("a record that is too large", "2 MiB with the default `max.request.size`", ["for topic `in` exceeds max.request.size=1048576; raise it (and `max.message.bytes` of the topic), or make the record smaller"],
        |place| Seen::refused(producer(place, ProducerConfig::default()).send("k", "x".repeat(2 << 20)).and_then(|sent| sent.wait(SOON)))),
    row!("a partition that does not exist", "partition 7 of 2", ["topic `in` has partitions 0 to 1, the record is for 7"],
        |place| Seen::refused(producer(place, ProducerConfig::default()).record().key("k").value("v").partition(7).send())),
    row!("a topic that does not exist", "a record to `nowhere`", ["nowhere"], |place| {
        let config = ProducerConfig { max_block: Duration::from_secs(1), ..ProducerConfig::default() };
        let nowhere = TopicProducer::new(&place.kafka(&[]), &Topic::<String, String>::new("nowhere"), config).unwrap();
        Seen::refused(nowhere.send("k", "v").and_then(|sent| sent.wait(SOON)))
    }),
    row!("a producer that was closed", "`send` after `close`", ["closed"], |place| {
        let producer = producer(place, ProducerConfig::default());
        producer.close(SOON).unwrap();
        Seen::refused(producer.send("k", "v"))
    }),
    row!("settings that contradict", "`enable.idempotence` with `acks=0`", ["invalid configuration: ", "acks"], |_| Seen::refused(
        ProducerConfig::from_properties([("acks", "0"), ("enable.idempotence", "true")]))),
    row!("a setting of a producer that does not exist", "`linger.mss`", ["invalid configuration: ", "`linger.mss`", "`linger.ms`"], |_| Seen::refused(
        ProducerConfig::from_properties([("linger.mss", "5")]))),
    row!("a setting of a consumer that does not exist", "`group.idd`", ["invalid configuration: ", "`group.idd`", "`group.id`"], |_| Seen::refused(
        ConsumerConfig::from_properties([("group.idd", "5")]))),
    row!("a transaction that was not begun", "`commit_transaction`", ["transaction"], |place| Seen::refused(
        producer(place, ProducerConfig::transactional("t")).commit_transaction(SOON))),
    row!("two producers with one transactional id", "the first goes on", ["a newer producer has the transactional id `t`: ", "close this one, or give each its own id"], |place| {
        let kafka = place.kafka(&[("in", 1)]);
        let make = || TopicProducer::new(&kafka, &TEXTS, ProducerConfig::transactional("t")).unwrap();
        let (first, second) = (make(), make());
        first.begin_transaction(SOON).unwrap();
        second.begin_transaction(SOON).unwrap();
        Seen::refused(first.send("k", "v").map(drop).map_err(|error| error.to_string())
            .and_then(|()| first.commit_transaction(SOON).map_err(|error| error.to_string())))
    }),
    row!("a consumer without a group", "`subscribe` without `group.id`", ["group"], |place| Seen::refused(
        TopicConsumer::subscribe(&place.kafka(&[("in", 1)]), &[&IN], ConsumerConfig::default()))),
    row!("a record that a consumer cannot read", "text where a number belongs", ["record in-0@0: cannot deserialize the value: 4 bytes where i64 has 8; `skip` it, or `seek` elsewhere"], |place| read(place, b"warm",
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("g") })),
    row!("no offset, and no rule for it", "`auto.offset.reset=none`", ["in", "offset"], |place| read(place, &7_i64.to_be_bytes(),
        ConsumerConfig { auto_offset_reset: OffsetReset::None, ..ConsumerConfig::group("g") })),
];
