//! `TopicProducer`: where records go, what is said of each, what fails and how it is said.

use std::time::Duration;

use kstreams::client::{ClientSupplier, Fault};
use kstreams::clients::{Acks, Compression, ProducerConfig, SendError, TopicProducer};
use kstreams::partitioner::partition_for_key;
use kstreams::serdes::{Auto, Serde, SerdeError};
use kstreams::topic::Topic;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    a_sent_record_says_where_it_is,
    a_sent_record_can_be_awaited,
    keys_choose_the_partition_that_kafka_chooses,
    a_partition_a_partition_key_and_a_partitioner_choose,
    records_without_a_key_stay_until_a_batch_is_full,
    keys_and_values_may_be_null,
    a_missing_partition_is_named,
    a_missing_topic_is_named,
    a_record_without_bytes_is_named,
    a_record_too_large_is_named_before_it_is_sent,
    a_refused_record_fails_alone,
    a_flush_tells_the_first_failure,
    closing_writes_what_was_sent_and_takes_no_more,
    dropping_writes_what_was_sent,
    less_than_all_acknowledgements_are_enough,
    every_compression_is_read_again,
    two_topics_share_a_producer,
    settings_that_the_client_refuses_are_told,
];

fn a_sent_record_says_where_it_is(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    for (partition, offset) in [(1, 0), (0, 0), (1, 1), (1, 2)] {
        let record =
            producer.record().key("k").value(format!("{partition}.{offset}")).timestamp(TIME + offset);
        let sent = record.header("h", [7]).header("h", "").partition(partition).send().unwrap();
        let metadata = sent.wait(WAIT).unwrap();
        assert_eq!((&*metadata.topic, metadata.partition), (topic.as_str(), partition));
        assert_eq!(metadata.offset, Some(offset));
        assert_eq!(sent.wait(Duration::ZERO).unwrap(), metadata, "it may be asked again");
    }
    let read = read_from(kafka, &topic, 1, 0, Uncommitted);
    assert_eq!(texts(&read), ["1.0", "1.1", "1.2"]);
    assert_eq!((read[2].timestamp, read[2].key.as_deref()), (TIME + 2, Some(&b"k"[..])));
    let headers: Vec<_> =
        read[2].headers.iter().map(|h| (h.key.as_str(), h.value.as_deref().unwrap())).collect();
    assert_eq!(headers, [("h", &[7][..]), ("h", &[])]);
}

fn a_sent_record_can_be_awaited(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = plain(names, &topic);
    let offsets = block_on(async {
        let (one, two) = (producer.send("k", "a").unwrap(), producer.send("k", "b").unwrap());
        (one.await.unwrap().offset, two.await.unwrap().offset)
    });
    assert_eq!(offsets, (Some(0), Some(1)));
}

fn keys_choose_the_partition_that_kafka_chooses(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 7);
    let producer = plain(names, &topic);
    for key in ["21", "foobar", "a-little-bit-long-string", "ü"] {
        let sent = producer.send(key, "v").unwrap().wait(WAIT).unwrap();
        assert_eq!(sent.partition, partition_for_key(key.as_bytes(), 7), "{key}");
    }
    // Kafka's own vector: murmur2("foobar") is -790332482.
    assert_eq!(
        producer.send("foobar", "v").unwrap().wait(WAIT).unwrap().partition,
        (-790_332_482 & i32::MAX) % 7
    );
}

fn a_partition_a_partition_key_and_a_partitioner_choose(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 5);
    let producer = plain(names, &topic);
    let goes = |record: kstreams::clients::NewRecord<'_, String, String>| {
        record.send().unwrap().wait(WAIT).unwrap().partition
    };
    let record = || producer.record().key("a").value("4");
    assert_eq!(goes(record().partition(3)), 3);
    assert_eq!(goes(record().partition_key("foobar")), partition_for_key(b"foobar", 5));
    let by_value = producer
        .clone()
        .partitioned_by(|_, value, count| value.map_or(0, |value| value.parse::<i32>().unwrap()) % count);
    assert_eq!(goes(by_value.record().key("a").value("9")), 4);
    assert_eq!(goes(by_value.record().key("a")), 0);
    assert_eq!(goes(by_value.record().key("a").value("9").partition(1)), 1, "who names a partition gets it");
}

fn records_without_a_key_stay_until_a_batch_is_full(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let producer = producer(names, &topic, ProducerConfig { batch_size: 1000, ..ProducerConfig::default() });
    let value = "x".repeat(300);
    let sent: Vec<_> = (0..12).map(|_| producer.record().value(value.as_str()).send().unwrap()).collect();
    let partitions: Vec<i32> = sent.iter().map(|sent| sent.wait(WAIT).unwrap().partition).collect();
    assert_eq!(partitions, [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0]);
}

fn keys_and_values_may_be_null(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = plain(names, &topic);
    producer.record().value("no key").send().unwrap();
    producer.record().key("no value").send().unwrap();
    producer.send("", "").unwrap();
    let optional = producer.for_topic(&Topic::<(), Option<String>>::named(topic.as_str()));
    optional.send((), None).unwrap();
    producer.flush(WAIT).unwrap();
    let read = read(kafka, &topic, Uncommitted);
    let parts: Vec<_> = read.iter().map(|one| (one.key.as_deref(), one.value.as_deref())).collect();
    let (none, empty) = (None, Some(&b""[..]));
    let expected =
        [(none, Some(&b"no key"[..])), (Some(&b"no value"[..]), none), (empty, empty), (none, none)];
    assert_eq!(parts, expected);
}

fn a_missing_partition_is_named(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    for partition in [2, -1] {
        let error = producer.record().key("k").partition(partition).send().err().unwrap();
        let text = error.to_string();
        assert_eq!(text, format!("topic `{topic}` has partitions 0 to 1, the record is for {partition}"));
    }
}

fn a_missing_topic_is_named(_: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("missing");
    let error = plain(names, &topic).send("k", "v").err().unwrap();
    let text = error.to_string();
    assert!(
        matches!(&error, SendError::NoMetadata { source, .. } if source.fault == Fault::UnknownTopic),
        "{text}"
    );
    assert!(text.contains(&topic) && text.ends_with("create the topic, or check its name"), "{text}");
}

/// Text that must not be `bad`.
#[derive(Default)]
struct Picky;

impl Serde<String> for Picky {
    fn serialize(&self, text: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if text == "bad" { Err(SerdeError::new("this text is bad")) } else { Auto.serialize(text, out) }
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
        Auto.deserialize(bytes)
    }
}

fn a_record_without_bytes_is_named(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let typed = Topic::<String, String, Auto, Picky>::named(topic.as_str());
    let producer = TopicProducer::new(&names.supplier(), &typed, ProducerConfig::default()).unwrap();
    let error = producer.send("k", "bad").err().unwrap().to_string();
    let expected = format!("cannot serialize the value of a record for topic `{topic}`: this text is bad");
    assert_eq!(error, expected);
    assert_eq!(producer.send("k", "good").unwrap().wait(WAIT).unwrap().offset, Some(0));
}

fn a_record_too_large_is_named_before_it_is_sent(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = plain(names, &topic);
    let error = producer.send("k", "x".repeat(1 << 20)).err().unwrap();
    assert!(
        matches!(&error, SendError::TooLarge { bytes, max: 1_048_576, .. } if *bytes > 1 << 20),
        "{error}"
    );
    assert!(error.to_string().contains("raise it"), "{error}");
}

fn a_refused_record_fails_alone(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("small");
    create_with(kafka, &topic, 1, &[("max.message.bytes", "2000")]);
    let producer = plain(names, &topic);
    let small = producer.send("k", "a").unwrap().wait(WAIT).unwrap();
    let error = producer.send("k", "x".repeat(5000)).unwrap().wait(WAIT).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, SendError::NotDelivered { source, .. } if source.fault == Fault::BadRecord),
        "{text}"
    );
    assert!(text.contains(&format!("{topic}-0")) && text.contains("change it, or leave it out"), "{text}");
    let after = producer.send("k", "b").unwrap().wait(WAIT).unwrap();
    assert_eq!((small.offset, after.offset), (Some(0), Some(1)));
}

fn a_flush_tells_the_first_failure(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("small");
    create_with(kafka, &topic, 1, &[("max.message.bytes", "2000")]);
    let producer = plain(names, &topic);
    producer.send("k", "a").unwrap();
    producer.flush(WAIT).unwrap();
    drop(producer.send("k", "x".repeat(5000)).unwrap());
    let error = producer.flush(WAIT).unwrap_err();
    assert!(matches!(error, SendError::NotDelivered { .. }), "{error}");
    producer.flush(WAIT).expect("it was told");
}

fn closing_writes_what_was_sent_and_takes_no_more(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let linger = Duration::from_secs(5);
    let producer = producer(names, &topic, ProducerConfig { linger, ..ProducerConfig::default() });
    let sent: Vec<_> = (0..100).map(|number| producer.send("k", number.to_string()).unwrap()).collect();
    producer.close(WAIT).unwrap();
    assert!(sent.iter().all(|sent| sent.wait(Duration::ZERO).is_ok()));
    let error = producer.send("k", "late").err().unwrap();
    assert!(matches!(&error, SendError::Closed { .. }), "{error}");
    producer.close(WAIT).expect("a second time does nothing");
    assert_eq!(read(kafka, &topic, Uncommitted).len(), 100);
}

fn dropping_writes_what_was_sent(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = plain(names, &topic);
    let sent = producer.send("k", "v").unwrap();
    drop(producer);
    assert_eq!(sent.wait(WAIT).unwrap().offset, Some(0));
}

fn less_than_all_acknowledgements_are_enough(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    for (acks, offset) in [(Acks::Leader, Some(0)), (Acks::None, None)] {
        let config = ProducerConfig { acks, enable_idempotence: false, ..ProducerConfig::default() };
        let producer = producer(names, &topic, config);
        assert_eq!(producer.send("k", "v").unwrap().wait(WAIT).unwrap().offset, offset, "{acks:?}");
        producer.close(WAIT).unwrap();
    }
    eventually("both records", || {
        (end(kafka, &topic, 0, kstreams::client::OffsetSpec::End) == 2).then_some(())
    });
}

/// Codec of the first batch of partition 0, as its header in the broker's file says.
fn codec(names: &Names, topic: &str) -> Option<u8> {
    let file = names.log_folder()?.join(format!("{topic}-0/00000000000000000000.log"));
    // Base offset (8), length (4), leader epoch (4), magic (1), checksum (4), then the attributes.
    Some(std::fs::read(file).unwrap()[22] & 7)
}

fn every_compression_is_read_again(kafka: &dyn ClientSupplier, names: &Names) {
    let all =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (number, compression) in (0..).zip(all) {
        let topic = names.topic(&format!("c{number}"));
        create_with(kafka, &topic, 1, &[]);
        let config =
            ProducerConfig { compression, linger: Duration::from_millis(50), ..ProducerConfig::default() };
        let typed = texts_of(&topic);
        let producer = match TopicProducer::new(&names.supplier(), &typed, config) {
            Ok(producer) => producer,
            Err(error) => {
                // A build without it says so.
                assert_eq!(compression, Compression::Zstd, "{error}");
                assert!(error.to_string().contains("Cargo feature `zstd`"), "{error}");
                continue;
            }
        };
        for number in 0..100 {
            producer.send("k", format!("{number} {}", "x".repeat(100))).unwrap();
        }
        producer.close(WAIT).unwrap();
        let read = read(kafka, &topic, Uncommitted);
        assert_eq!((read.len(), read[99].text()), (100, format!("99 {}", "x".repeat(100))));
        assert!(codec(names, &topic).is_none_or(|codec| codec == number), "{compression:?}");
    }
}

fn two_topics_share_a_producer(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    topics.iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let texts = plain(names, &topics[0]);
    let numbers = texts.for_topic(&Topic::<i32, i64>::named(topics[1].as_str()));
    texts.send("k", "v").unwrap();
    numbers.send(1, 2).unwrap();
    texts.flush(WAIT).unwrap();
    let read = [read(kafka, &topics[0], Uncommitted), read(kafka, &topics[1], Uncommitted)];
    assert_eq!(read[0][0].value.as_deref(), Some(&b"v"[..]));
    assert_eq!(read[1][0].value.as_deref(), Some(&2_i64.to_be_bytes()[..]));
}

fn settings_that_the_client_refuses_are_told(_: &dyn ClientSupplier, names: &Names) {
    let properties = [("lingr.ms".to_owned(), "5".to_owned())].into();
    let config = ProducerConfig { properties, ..ProducerConfig::default() };
    let typed = texts_of("t");
    let error = TopicProducer::new(&names.supplier(), &typed, config).err().unwrap();
    assert_eq!(error.fault, Fault::Invalid);
    assert!(error.to_string().contains("did you mean `linger.ms`?"), "{error}");
}
