//! The EndTxn rule on the wire: a commit is held, its connection cut, the client tries again and goes on, and then the first copy
//! arrives inside the next transaction. A producer that goes on as it was loses here: the broker ends its new transaction, half of a
//! batch is visible, and is processed again. An application must come out as if nothing had happened, and each late copy be refused.
//!
//! `HELD_END_TXN=N` holds N frames (10 unless set). Says SKIPPED if there can be no broker, and fails then if `CI=true`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

#[path = "../broker/mod.rs"]
mod broker;
mod proxy;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Broker;
use kstreams::client::rdkafka::RdKafka;
use kstreams::client::{
    ClientSupplier, ConsumerSettings, Deliveries, NewTopic, OffsetSpec, ProduceRecord, Producer,
    ProducerSettings, RecordSink, Slot,
};
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::StreamsBuilder;
use kstreams::record::RawRecord;
use kstreams::runtime::KafkaStreams;
use kstreams::topic::{Store, Topic};
use kstreams::types::{Headers, TopicPartition};
use proxy::Proxy;

const WORDS: Topic<String, String> = Topic::new("words");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("count-store");

/// Keys of the input, in turns.
const KEYS: usize = 5;
/// Longest wait for one thing.
const WAIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let frames = std::env::var("HELD_END_TXN").map_or(10, |frames| frames.parse().expect("a number"));
    let proxy = Proxy::start().unwrap();
    match Broker::start(Some(proxy.port)) {
        Ok(broker) => {
            proxy.connect_to(&broker.address);
            hold(&proxy, frames);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("SKIPPED held EndTxn: {reason}");
            ExitCode::from(u8::from(std::env::var("CI").is_ok_and(|value| value == "true")))
        }
    }
}

/// Counts words while `frames` commits are held, one after the other.
fn hold(proxy: &Proxy, frames: usize) {
    let kafka = RdKafka::new(format!("127.0.0.1:{}", proxy.port), BTreeMap::new());
    create(&kafka);
    let folder = tempfile::tempdir().unwrap();
    let mut streams = start(&kafka, &folder);
    let mut writer = Writer::new(&kafka);
    while proxy.held().answers.len() < frames {
        let answers = proxy.held().answers.len();
        proxy.hold_next();
        eventually("the late frame", || {
            writer.write();
            proxy.held().answers.len() > answers
        });
    }
    let written = writer.written;
    eventually("all results", || results(&kafka).values().map(Vec::len).sum::<usize>() as i64 >= written);
    streams.close(WAIT).unwrap();
    assert_eq!(results(&kafka), expected(written));
    let held = proxy.held();
    let torn = held.answers.iter().filter(|code| **code == 0).count();
    println!("held EndTxn: {} kept, {} late, {torn} taken by the broker", held.kept, held.answers.len());
    assert_eq!(torn, 0, "answers: {:?}", held.answers);
}

fn start(kafka: &RdKafka, folder: &tempfile::TempDir) -> KafkaStreams {
    let builder = StreamsBuilder::new();
    builder.stream(&WORDS).group_by_key().count_with(&STORE).to_stream().to(&COUNTS);
    let mut config = StreamsConfig::new("held", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.commit_interval = Duration::from_millis(20);
    // Each record is a result, so that one that is lost or counted twice shows.
    config.statestore_cache_max_bytes = 0;
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    streams
}

fn create(kafka: &RdKafka) {
    let topic = |name: &str| NewTopic {
        name: name.to_owned(),
        partitions: 1,
        replication_factor: -1,
        config: BTreeMap::new(),
    };
    let topics = [topic(WORDS.name()), topic(COUNTS.name())];
    // The broker may not have reached itself through the proxy yet.
    eventually("the topics", || {
        kafka.admin().unwrap().create_topics(&topics, WAIT).is_ok_and(|made| made.iter().all(Result::is_ok))
    });
}

/// Writes the input, a few records at a time.
struct Writer {
    producer: Box<dyn Producer>,
    written: i64,
}

impl Writer {
    fn new(kafka: &RdKafka) -> Self {
        Self { producer: kafka.producer(&ProducerSettings::default()).unwrap(), written: 0 }
    }

    fn write(&mut self) {
        let topic = self.producer.topic(WORDS.name()).unwrap();
        for _ in 0..KEYS {
            let key = format!("k{}", self.written % KEYS as i64);
            let (key, value) = (Some(key.as_bytes()), Some(&b"word"[..]));
            let headers = &Headers::EMPTY;
            let record = ProduceRecord { topic, partition: 0, timestamp: None, key, value, headers };
            self.producer.send(record).unwrap();
            self.written += 1;
        }
        let mut deliveries = Deliveries::default();
        self.producer.flush(&mut deliveries, WAIT).unwrap();
        assert!(deliveries.failure.is_none(), "{:?}", deliveries.failure);
    }
}

fn counts() -> TopicPartition {
    TopicPartition::new(COUNTS.name(), 0)
}

/// The counts of each key, in order.
type Counts = BTreeMap<String, Vec<i64>>;

fn expected(written: i64) -> Counts {
    let each = written / KEYS as i64;
    (0..KEYS).map(|key| (format!("k{key}"), (1..=each).collect())).collect()
}

#[derive(Default)]
struct Committed(Counts);

impl RecordSink for Committed {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, _: Slot, record: RawRecord<'_>) {
        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
        self.0.entry(key).or_default().push(count);
    }
}

fn results(kafka: &RdKafka) -> Counts {
    let settings = ConsumerSettings { read_committed: true, ..ConsumerSettings::default() };
    let mut reader = kafka.consumer(&settings).unwrap();
    let end = reader.list_offsets(&[counts()], OffsetSpec::End, WAIT).unwrap()[0];
    reader.assign(&[(counts(), 0, 0)]).unwrap();
    let mut committed = Committed::default();
    eventually("the end of the results", || {
        reader.poll(LOOK, &mut committed).unwrap();
        reader.position(&counts()).unwrap() >= end
    });
    committed.0
}

#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !look() {
        assert!(begin.elapsed() < WAIT, "waited {WAIT:?} for {what}");
        std::thread::park_timeout(LOOK);
    }
}
