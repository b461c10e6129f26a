//! What a record costs on its way through the Kafka clients: wall time, and CPU time of the whole process.
//!
//! ```text
//! KAFKA_BOOTSTRAP=$(scripts/kafka up) cargo bench --bench kafka_clients
//! ```
//!
//! `RECORDS=1000000` and `BYTES=100` change what is sent; `CLIENT_PROPERTIES='linger.ms=5;queued.min.messages=50000'`
//! tries other settings of the clients. Without `KAFKA_BOOTSTRAP` it says SKIPPED.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use kstreams::client::rdkafka::RdKafka;
use kstreams::client::{
    ClientSupplier, ConsumerSettings, Deliveries, Fault, NewTopic, ProduceRecord, Producer, ProducerSettings,
    RecordSink, Slot,
};
use kstreams::record::RawRecord;
use kstreams::types::{Headers, TopicPartition};

const PARTITIONS: i32 = 4;
const WAIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Count {
    records: usize,
    bytes: usize,
}

impl RecordSink for Count {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, _: Slot, record: RawRecord<'_>) {
        self.records += 1;
        self.bytes += record.value.map_or(0, <[u8]>::len);
    }
}

/// Clock ticks of 10 ms that this process has used, and its peak resident memory in MiB.
fn used() -> (Duration, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    (Duration::from_millis((ticks(11) + ticks(12)) * 10), peak / 1024)
}

/// Starts to measure the peak of resident memory anew; keeps the old one where that is not allowed.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn report(what: &str, records: usize, begin: Instant, cpu: Duration) {
    let (wall, (now, peak)) = (begin.elapsed(), used());
    let per = |time: Duration| time.as_nanos() / records.max(1) as u128;
    println!("{what:28} {:5} ns wall, {:5} ns CPU a record; peak {peak} MiB", per(wall), per(now - cpu));
}

fn send(
    producer: &mut dyn Producer,
    topic: &str,
    records: usize,
    size: usize,
) -> Result<Deliveries, Box<dyn Error>> {
    let topic = producer.topic(topic)?;
    let value = vec![b'x'; size];
    let mut deliveries = Deliveries::default();
    for number in 0..records {
        let key = (number as u64).to_be_bytes();
        let record = ProduceRecord {
            topic,
            partition: (number % PARTITIONS as usize) as i32,
            timestamp: Some(1_704_067_200_000 + number as i64),
            key: Some(&key),
            value: Some(&value),
            headers: &Headers::EMPTY,
        };
        loop {
            match producer.send(record.clone()) {
                Ok(()) => break,
                Err(error) if error.fault == Fault::QueueFull => producer.drain(&mut deliveries, WAIT),
                Err(error) => return Err(error.into()),
            }
        }
        if number % 1000 == 0 {
            producer.drain(&mut deliveries, Duration::ZERO);
        }
    }
    Ok(deliveries)
}

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(servers) = std::env::var("KAFKA_BOOTSTRAP") else {
        println!("SKIPPED: set KAFKA_BOOTSTRAP to the address of a broker");
        return Ok(());
    };
    let number = |name, default| std::env::var(name).map_or(Ok(default), |text| text.parse::<usize>());
    let (records, size) = (number("RECORDS", 1_000_000)?, number("BYTES", 100)?);
    let properties = std::env::var("CLIENT_PROPERTIES").unwrap_or_default();
    let properties = properties.split(';').filter_map(|pair| pair.split_once('='));
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let kafka = RdKafka::new(servers, properties);
    let topic = format!("client-cost-{}", std::process::id());
    let new = NewTopic {
        name: topic.clone(),
        partitions: PARTITIONS,
        replication_factor: -1,
        config: BTreeMap::new(),
    };
    kafka.admin()?.create_topics(&[new], WAIT)?.remove(0)?;

    let (cpu, begin) = (used().0, Instant::now());
    let mut producer = kafka.producer(&ProducerSettings::default())?;
    let mut deliveries = send(&mut *producer, &topic, records, size)?;
    producer.flush(&mut deliveries, WAIT)?;
    report("produced, idempotent", records, begin, cpu);
    drop(producer);

    let settings = ProducerSettings { transactional_id: Some(topic.clone()), ..ProducerSettings::default() };
    let mut producer = kafka.producer(&settings)?;
    producer.init_transactions(WAIT)?;
    let (mut longest, rounds) = (Duration::ZERO, 100);
    let begin = Instant::now();
    for _ in 0..rounds {
        producer.begin_transaction()?;
        let mut deliveries = send(&mut *producer, &topic, 100, size)?;
        let commit = Instant::now();
        producer.commit_transaction(&mut deliveries, WAIT)?;
        longest = longest.max(commit.elapsed());
    }
    println!(
        "{rounds} transactions of 100 records: {:?} each, longest commit {longest:?}",
        begin.elapsed() / rounds
    );
    drop(producer);

    forget_peak();
    let (cpu, begin) = (used().0, Instant::now());
    let mut consumer =
        kafka.consumer(&ConsumerSettings { read_committed: true, ..ConsumerSettings::default() })?;
    let places: Vec<_> =
        (0..PARTITIONS).map(|at| (TopicPartition::new(topic.as_str(), at), 0, at as Slot)).collect();
    consumer.assign(&places)?;
    let mut sink = Count::default();
    let all = records + 100 * rounds as usize;
    while sink.records < all {
        consumer.poll(Duration::from_secs(1), &mut sink)?;
    }
    report("consumed, read committed", all, begin, cpu);
    kafka.admin()?.delete_topics(&[topic], WAIT)?;
    Ok(())
}
