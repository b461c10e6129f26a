//! What a record costs on its way through the Kafka clients: wall time, and CPU time of the whole process.
//!
//! ```text
//! scripts/kafka up
//! cargo run --release -p streams-core --example kafka_client_cost -- localhost:9092 [records] [bytes]
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use streams_core::client::rdkafka::RdKafka;
use streams_core::client::{
    ClientSupplier, ConsumerSettings, Deliveries, Fault, NewTopic, ProduceRecord, Producer, ProducerSettings,
    RecordSink, Slot,
};
use streams_core::record::RawRecord;
use streams_core::types::{Headers, TopicPartition};

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
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let records: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let size: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let kafka = RdKafka::new(servers, BTreeMap::new());
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
