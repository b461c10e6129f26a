//! The program `kstreams dlq` on a real broker: list, show, a replay that is killed in the middle, and what it says when it cannot.

#[path = "../../../tests/broker/mod.rs"]
mod start;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use start::Broker;
use streams_core::client::rdkafka::RdKafka;
use streams_core::client::{
    ClientSupplier, ConsumerSettings, Deliveries, NewTopic, OffsetSpec, ProduceRecord, ProducerSettings,
    RecordSink, Slot,
};
use streams_core::record::RawRecord;
use streams_core::types::TopicPartition;

use crate::failure;

const WAIT: Duration = Duration::from_secs(60);
const LETTERS: i64 = 20_000;
const PARTITIONS: i32 = 3;

/// What the program printed.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

fn kstreams(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kstreams"));
    command.arg("dlq").args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Said {
    let output = kstreams(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

fn create(kafka: &RdKafka, topics: &[&str]) {
    let mut admin = kafka.admin().unwrap();
    let topic = |name: &&str| NewTopic {
        name: (*name).to_owned(),
        partitions: PARTITIONS,
        replication_factor: -1,
        config: BTreeMap::new(),
    };
    let topics: Vec<NewTopic> = topics.iter().map(topic).collect();
    admin.create_topics(&topics, WAIT).unwrap().into_iter().for_each(|answer| answer.unwrap());
}

/// Letters of `orders`, numbered.
fn write_letters(kafka: &RdKafka, numbers: Range<i64>) {
    let mut producer = kafka.producer(&ProducerSettings::default()).unwrap();
    let (topic, mut deliveries) = (producer.topic("dead").unwrap(), Deliveries::default());
    for number in numbers {
        let (key, partition) = (format!("k{number}"), (number % i64::from(PARTITIONS)) as i32);
        let headers = failure("orders", partition, number, "no answer");
        let (key, value) = (Some(key.as_bytes()), Some(&b"{\"cents\": 7}"[..]));
        while producer
            .send(ProduceRecord {
                topic,
                partition,
                timestamp: Some(1_700_000_000_000 + number),
                key,
                value,
                headers: &headers,
            })
            .is_err()
        {
            producer.drain(&mut deliveries, WAIT);
        }
    }
    producer.flush(&mut deliveries, WAIT).unwrap();
    assert!(deliveries.failure.is_none(), "{:?}", deliveries.failure);
}

/// Ends of the partitions of `topic`, asked as often as `look` says that they are to be asked again.
fn watch_ends(kafka: &RdKafka, topic: &str, mut look: impl FnMut(&[i64]) -> bool) -> Vec<TopicPartition> {
    let partitions: Vec<TopicPartition> = (0..PARTITIONS).map(|at| TopicPartition::new(topic, at)).collect();
    let mut consumer = kafka.consumer(&ConsumerSettings::default()).unwrap();
    while look(&consumer.list_offsets(&partitions, OffsetSpec::End, WAIT).unwrap()) {}
    partitions
}

fn ends(kafka: &RdKafka, topic: &str) -> Vec<(TopicPartition, i64)> {
    let mut ends = Vec::new();
    let partitions = watch_ends(kafka, topic, |now| {
        ends = now.to_vec();
        false
    });
    partitions.into_iter().zip(ends).collect()
}

/// Numbers of the committed orders.
fn orders(kafka: &RdKafka) -> Vec<i64> {
    struct Numbers(Vec<i64>);
    impl RecordSink for Numbers {
        fn wants(&self, _: Slot) -> bool {
            true
        }
        fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
            let number: i64 = std::str::from_utf8(&record.key.unwrap()[1..]).unwrap().parse().unwrap();
            assert_eq!(number % i64::from(PARTITIONS), i64::from(slot));
            assert_eq!(record.timestamp, 1_700_000_000_000 + number);
            self.0.push(number);
        }
    }
    let settings = ConsumerSettings { read_committed: true, ..ConsumerSettings::default() };
    let (mut consumer, mut numbers, ends) =
        (kafka.consumer(&settings).unwrap(), Numbers(Vec::new()), ends(kafka, "orders"));
    let from_the_start: Vec<(TopicPartition, i64, Slot)> =
        ends.iter().map(|(partition, _)| (partition.clone(), 0, partition.partition as Slot)).collect();
    consumer.assign(&from_the_start).unwrap();
    let deadline = Instant::now() + WAIT;
    while ends.iter().any(|(partition, end)| consumer.position(partition).unwrap() < *end) {
        assert!(Instant::now() < deadline, "orders could not be read");
        consumer.poll(Duration::from_millis(100), &mut numbers).unwrap();
    }
    numbers.0.sort_unstable();
    numbers.0
}

/// Runs the program until it was killed `kills` times, each time as soon as something of it can be seen, committed or not; writes more
/// letters when a run was over before that. How many letters there are then.
fn kill_replays(kafka: &RdKafka, at: &[&str], kills: u32) -> i64 {
    let (mut letters, mut killed) = (LETTERS, 0);
    let deadline = Instant::now() + 2 * WAIT;
    while killed < kills {
        let before: i64 = ends(kafka, "orders").iter().map(|(_, end)| end).sum();
        let mut child = kstreams(&[&["replay"][..], at].concat()).stdout(Stdio::null()).spawn().unwrap();
        watch_ends(kafka, "orders", |ends| {
            assert!(Instant::now() < deadline, "killed {killed} times of {kills}, {letters} letters");
            ends.iter().sum::<i64>() < before + 1000 && child.try_wait().unwrap().is_none()
        });
        match child.try_wait().unwrap() {
            None => killed += 1,
            Some(_) => {
                write_letters(kafka, letters..letters + LETTERS);
                letters += LETTERS;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    letters
}

#[test]
fn the_program_lists_shows_and_puts_back_once_though_it_is_killed() {
    let broker = match Broker::start(None) {
        Ok(broker) => broker,
        Err(why) => {
            println!("SKIPPED kstreams dlq on a broker: {why}");
            assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "{why}");
            return;
        }
    };
    let kafka = RdKafka::new(broker.address.as_str(), BTreeMap::new());
    create(&kafka, &["orders", "dead"]);
    write_letters(&kafka, 0..LETTERS);
    let mut properties = tempfile::NamedTempFile::new().unwrap();
    writeln!(properties, "bootstrap.servers={}\nclient.id=operator", broker.address).unwrap();
    let file = properties.path().to_str().unwrap();
    let at = ["--topic", "dead", "--properties", file];
    let with = |command: &'static str, more: &[&'static str]| run(&[&[command][..], &at, more].concat());

    let said = with("list", &[]);
    assert!(
        said.code == Some(0) && said.out.contains("dead letters in dead: 20,000, 0 of them put back"),
        "{}{}",
        said.out,
        said.error
    );
    let said = with("show", &["--limit", "1", "--source-offsets", "4", "--json"]);
    assert!(
        said.code == Some(0) && said.out.contains("\"cents\": 7") && said.out.contains("\"k4\""),
        "{}",
        said.out
    );
    let said = with("replay", &["--dry-run"]);
    assert!(said.out.contains("20,000 would be put back") && orders(&kafka).is_empty(), "{}", said.out);

    let letters = kill_replays(&kafka, &at, 3);
    let said = with("replay", &["--json"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    let last: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let number = |name: &str| last[name].as_i64().unwrap();
    assert!(number("before") > 0 && number("before") + number("replayed") == letters, "{}", said.out);
    assert_eq!(orders(&kafka), (0..letters).collect::<Vec<_>>(), "each once");
    println!("{} of {letters} letters before the last run", number("before"));

    let said = with("list", &["--json"]);
    assert!(said.out.contains(&format!("\"replayed\": {letters}")), "{}", said.out);
    let said = with("replay", &["--json"]);
    assert!(said.out.contains(&format!("\"replayed\": 0,\n  \"before\": {letters}")), "{}", said.out);
    for (more, told) in [
        (&["--source-offsets", "9..3"][..], "no range of offsets"),
        (&["--since", "yesterday"], "`yesterday` is no time"),
    ] {
        let said = with("list", more);
        assert!(said.code == Some(2) && said.error.contains(told), "{}", said.error);
    }
    let said = run(&["list", "--topic", "deed", "--bootstrap-server", &broker.address]);
    assert!(said.code == Some(2) && said.error.contains("there is no topic `deed`"), "{}", said.error);
    let said = run(&["list", "--topic", "dead"]);
    assert!(said.code == Some(2) && said.error.contains("give --bootstrap-server"), "{}", said.error);
}
