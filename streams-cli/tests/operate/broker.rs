//! `topics` and `reset` of the built program on a real broker, around a real application.

#[path = "../../../tests/broker/mod.rs"]
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use start::Broker;
use streams_core::client::rdkafka::RdKafka;
use streams_core::client::{
    ClientSupplier, ConsumerSettings, Deliveries, OffsetSpec, ProduceRecord, ProducerSettings, RecordSink,
    Slot,
};
use streams_core::config::StreamsConfig;
use streams_core::record::RawRecord;
use streams_core::runtime::{KafkaStreams, State};
use streams_core::types::{Headers, TopicPartition};

use crate::program::{Said, file, path, run, word_count};

const WAIT: Duration = Duration::from_secs(60);
const RECORDS: i64 = 300;
const REPARTITION: &str = "wc-words-repartition";
const CHANGELOG: &str = "wc-words-changelog";

fn partitions(topic: &str, count: i32) -> Vec<TopicPartition> {
    (0..count).map(|partition| TopicPartition::new(topic, partition)).collect()
}

fn written(kafka: &RdKafka, topic: &str, count: i32) -> i64 {
    let mut consumer = kafka.consumer(&ConsumerSettings::default()).unwrap();
    consumer.list_offsets(&partitions(topic, count), OffsetSpec::End, WAIT).unwrap().iter().sum()
}

/// The same word again and again.
fn write_lines(kafka: &RdKafka) {
    let mut producer = kafka.producer(&ProducerSettings::default()).unwrap();
    let (topic, mut deliveries) = (producer.topic("lines").unwrap(), Deliveries::default());
    for number in 0..RECORDS {
        let (partition, timestamp) = ((number % 3) as i32, Some(1_700_000_000_000 + number));
        let (key, value) = (Some(&b"k"[..]), Some(&b"word"[..]));
        let headers = &Headers::EMPTY;
        producer.send(ProduceRecord { topic, partition, timestamp, key, value, headers }).unwrap();
    }
    producer.flush(&mut deliveries, WAIT).unwrap();
    assert!(deliveries.failure.is_none(), "{:?}", deliveries.failure);
}

/// The highest count that was written, from these offsets on.
fn highest_count(kafka: &RdKafka, from: &[i64]) -> i64 {
    struct Highest(i64);
    impl RecordSink for Highest {
        fn wants(&self, _: Slot) -> bool {
            true
        }
        fn record(&mut self, _: Slot, record: RawRecord<'_>) {
            let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
            self.0 = self.0.max(count);
        }
    }
    let all = partitions("counts", 3);
    let mut consumer = kafka.consumer(&ConsumerSettings::default()).unwrap();
    let ends = consumer.list_offsets(&all, OffsetSpec::End, WAIT).unwrap();
    let places: Vec<_> = all.iter().zip(from).map(|(at, from)| (at.clone(), *from, 0)).collect();
    consumer.assign(&places).unwrap();
    let (mut highest, deadline) = (Highest(0), Instant::now() + WAIT);
    while all.iter().zip(&ends).any(|(at, end)| consumer.position(at).unwrap() < *end) {
        assert!(Instant::now() < deadline, "counts could not be read");
        consumer.poll(Duration::from_millis(100), &mut highest).unwrap();
    }
    highest.0
}

fn application(properties: &str, kafka: &Arc<RdKafka>) -> KafkaStreams {
    let config = StreamsConfig::from_properties_file(properties).unwrap();
    let mut streams = KafkaStreams::new(word_count("words", false), config, kafka.clone()).unwrap();
    streams.start().unwrap();
    assert!(streams.monitor().await_state(&[State::Running], WAIT), "{:?}", streams.monitor().error());
    streams
}

fn await_counts(kafka: &RdKafka, total: i64) {
    let deadline = Instant::now() + WAIT;
    while written(kafka, "counts", 3) < total {
        assert!(Instant::now() < deadline, "{} of {total} counts", written(kafka, "counts", 3));
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A broker, its clients, and files: properties of the application, its topology, what is declared of `lines` and `counts`.
struct Place {
    kafka: Arc<RdKafka>,
    properties: tempfile::NamedTempFile,
    topology: tempfile::NamedTempFile,
    declared: tempfile::NamedTempFile,
    _state: tempfile::TempDir,
    _broker: Broker,
}

impl Place {
    fn new(broker: Broker) -> Self {
        let state = tempfile::tempdir().unwrap();
        let properties = format!(
            "application.id=wc\nbootstrap.servers={}\nprocessing.guarantee=at_least_once\nstate.dir={}\n\
             statestore.cache.max.bytes=0\ndsl.store.suppliers.class=org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers\ncommit.interval.ms=50\n\
             replication.factor=1\ntopic.segment.ms=600000\n",
            broker.address,
            state.path().display()
        );
        Self {
            kafka: Arc::new(RdKafka::new(broker.address.as_str(), BTreeMap::new())),
            properties: file(&properties),
            topology: file(&word_count("words", false).snapshot().to_json()),
            declared: file(
                r#"{"lines": {"partitions": 3, "config": {"retention.ms": "-1"}}, "counts": {"partitions": 3}}"#,
            ),
            _state: state,
            _broker: broker,
        }
    }

    fn topics(&self, command: &str, more: &[&str]) -> Said {
        let files = ["--topology", path(&self.topology), "--properties", path(&self.properties)];
        run(&[&["topics", command][..], &files, more].concat())
    }

    fn declared_topics(&self, command: &str, more: &[&str]) -> Said {
        self.topics(command, &[&["--declared", path(&self.declared)], more].concat())
    }

    fn reset(&self, more: &[&str]) -> Said {
        run(&[&["reset", "--application-id", "wc", "--command-config", path(&self.properties)], more]
            .concat())
    }

    fn exist(&self) -> Vec<String> {
        let mut names = self.kafka.admin().unwrap().list_topics(WAIT).unwrap();
        names.retain(|name| name.starts_with("wc-") || ["lines", "counts"].contains(&name.as_str()));
        names.sort();
        names
    }
}

#[test]
fn topics_are_planned_and_applied_and_an_application_is_reset() {
    let broker = match Broker::start(None) {
        Ok(broker) => broker,
        Err(why) => {
            println!("SKIPPED kstreams topics and reset on a broker: {why}");
            assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "{why}");
            return;
        }
    };
    let place = Place::new(broker);
    topics_are_planned_and_applied(&place);
    an_application_is_reset(&place);
    grown_input_topics_are_told(&place);
}

fn topics_are_planned_and_applied(place: &Place) {
    // Nobody ever asked this cluster for a group: its coordinator is still to be made.
    place.reset(&["--input-topics", "lines", "--dry-run"]).is(1, "there is no topic `lines`");
    // Nobody says how many partitions `lines` is to have.
    let said = place.topics("plan", &[]);
    said.is(1, "MISSING").is(1, "internal topics cannot be planned: ").is(1, "source topic `lines`");
    place.topics("apply", &[]).is(1, "left lines: it is missing; nobody declares how");
    assert_eq!(place.exist(), [""; 0]);

    let said = place.declared_topics("plan", &["--json"]);
    let json = said.is(1, "").json();
    assert_eq!(json["topics"].as_array().unwrap().len(), 4);
    assert_eq!(
        (&json["topics"][2]["name"], &json["topics"][2]["standing"]),
        (&CHANGELOG.into(), &"missing".into())
    );
    assert_eq!(place.exist(), [""; 0], "a plan creates nothing");

    let said = place.declared_topics("apply", &[]);
    said.is(0, "created lines: 3 partitions, retention.ms=-1");
    said.is(0, &format!("created {CHANGELOG}: 3 partitions, cleanup.policy=compact"));
    said.is(0, "segment.ms=600000");
    assert_eq!(place.exist(), ["counts", "lines", CHANGELOG, REPARTITION]);
    assert!(!place.declared_topics("plan", &[]).is(0, "equal").out.contains("DIFFERS"));
    place.declared_topics("apply", &[]).is(0, "nothing to do");

    let changes = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
    place.kafka.admin().unwrap().alter_configs(CHANGELOG, &changes, WAIT).unwrap();
    place.declared_topics("plan", &[]).is(1, "DIFFERS: cleanup.policy is delete, wanted compact");
    place.declared_topics("apply", &[]).is(1, "settings are altered where that is asked for only");
    place.declared_topics("plan", &[]).is(1, "DIFFERS");
    let said = place.declared_topics("apply", &["--alter", "--json"]);
    assert_eq!(said.is(0, "").json()[0]["action"]["altered"]["aspect"], "cleanup.policy");
    place.declared_topics("plan", &[]).is(0, "equal");

    let refused = file(r#"{"other": {"partitions": 1, "config": {"retention.mss": "1"}}}"#);
    place.topics("apply", &["--declared", path(&refused)]).fails("retention.mss");
}

fn an_application_is_reset(place: &Place) {
    let kafka = &place.kafka;
    write_lines(kafka);
    // It takes the topics over that were made for it.
    let mut streams = application(path(&place.properties), kafka);
    await_counts(kafka, RECORDS);
    let input = ["--input-topics", "lines"];
    place.reset(&input).fails("group `wc` is active, its members are ");
    assert_eq!(place.exist().len(), 4, "nothing was deleted");
    streams.close(WAIT).unwrap();

    let said = place.reset(&[&input[..], &["--dry-run"]].concat());
    said.is(0, "dry run: nothing is changed").is(0, "internal topics to delete: ").is(0, CHANGELOG);
    assert_eq!(place.exist().len(), 4);
    let json = place.reset(&[&input[..], &["--dry-run", "--json", "--to-offset", "1000"]].concat());
    let json = json.is(0, "").json();
    assert_eq!(
        (json["offsets"][0]["before"].as_i64(), json["offsets"][0]["offset"].as_i64()),
        (Some(100), Some(100))
    );
    place.reset(&["--input-topics", "lines,ordesr", "--dry-run"]).is(1, "there is no topic `ordesr`");
    place
        .reset(&[&input[..], &["--internal-topics", "lines"]].concat())
        .fails("`lines` is no internal topic of wc");

    place.reset(&input).is(0, &format!("internal topics deleted: {CHANGELOG}, {REPARTITION}"));
    let deadline = Instant::now() + WAIT;
    while place.exist() != ["counts", "lines"] {
        assert!(Instant::now() < deadline, "{:?}", place.exist());
    }
    let before = {
        let mut consumer = kafka.consumer(&ConsumerSettings::default()).unwrap();
        consumer.list_offsets(&partitions("counts", 3), OffsetSpec::End, WAIT).unwrap()
    };
    let mut streams = application(path(&place.properties), kafka);
    await_counts(kafka, 2 * RECORDS);
    streams.close(WAIT).unwrap();
    assert_eq!(highest_count(kafka, &before), RECORDS, "counted anew, from nothing");

    place.reset(&[&input[..], &["--shift-by", "-10"]].concat()).is(0, "lines");
    let before = written(kafka, "counts", 3);
    let mut streams = application(path(&place.properties), kafka);
    await_counts(kafka, before + 30);
    streams.close(WAIT).unwrap();
    assert_eq!(written(kafka, "counts", 3), before + 30, "ten records of each partition");
}

fn grown_input_topics_are_told(place: &Place) {
    place.kafka.admin().unwrap().create_partitions("lines", 4, WAIT).unwrap();
    let deadline = Instant::now() + WAIT;
    while !place.topics("plan", &[]).out.contains("partitions is 3, wanted 4") {
        assert!(Instant::now() < deadline, "{}", place.topics("plan", &[]).out);
    }
    let said = place.topics("apply", &["--alter", "--add-partitions"]);
    said.is(1, &format!("left {CHANGELOG}: partitions is 3, wanted 4; its records are spread"));
    assert_eq!(said.out.matches("left ").count(), 2, "{}", said.out);
    place
        .declared_topics("apply", &[])
        .is(1, "left lines: partitions is 4, wanted 3; partitions cannot be taken away");
    place.reset(&["--input-topics", "lines"]).is(0, CHANGELOG);
    let deadline = Instant::now() + WAIT;
    while place.exist() != ["counts", "lines"] {
        assert!(Instant::now() < deadline, "{:?}", place.exist());
    }
    place.topics("apply", &[]).is(0, &format!("created {CHANGELOG}: 4 partitions"));
    place.topics("plan", &[]).is(0, "equal");
}
