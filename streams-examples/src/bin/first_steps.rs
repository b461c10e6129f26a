//! The first steps of the README: totals of orders, on the embedded log or on Kafka, with a live page and dead letters. To begin with:
//! copy it into `src/main.rs` of your project.
//!
//! In: lines on standard input, customer and cents (`ada 500`). Out: each new total (`ada: 500`). It ends when there are no more (Ctrl-D).
//! Arguments: a broker (`localhost:9092`); without one it is Kafka in this process.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::client::embedded::EmbeddedKafka;
use kstreams::client::rdkafka::RdKafka;
use kstreams::clients::IsolationLevel;
use kstreams::http::{HttpConfig, HttpServer};
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use kstreams::topics::{self, ApplyOptions, DeclaredTopic, Wishes};

const ORDERS: Topic<String, String> = Topic::new("orders"); // cents, by customer
const TOTALS: Topic<String, i64> = Topic::new("totals");
const FAILED: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("failed");
const PATIENCE: Duration = Duration::from_secs(30);
/// No new total for so long after the last order: all are there.
const QUIET: Duration = Duration::from_secs(3);

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&ORDERS)
        .try_map_values(|cents| cents.parse::<i64>())
        .group_by_key()
        .reduce(|sum, cents| sum + cents)
        .to_stream()
        .to(&TOTALS);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let kafka: Arc<dyn ClientSupplier> = match std::env::args().nth(1) {
        Some(broker) => Arc::new(RdKafka::new(broker, [].into())),
        None => Arc::new(EmbeddedKafka::new(SystemClock)),
    };
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    config.dead_letters_to(&FAILED);
    config.dsl_stores_in_memory = true; // restored from Kafka at a start; feature `rocksdb` keeps them on disk
    let topology = topology()?;
    create_topics(&*kafka, &topology, &config)?;

    let read = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
    let mut totals = TopicConsumer::assign_all(&*kafka, &TOTALS, read)?;
    let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    let mut streams = KafkaStreams::new(topology, config, kafka)?;
    streams.start()?;
    streams.monitor().await_state(&[State::Running, State::Error], PATIENCE);
    // Another address, for who has 8080 in use: PAGE=127.0.0.1:8081
    let page =
        std::env::var("PAGE").map_or(Ok(HttpConfig::default()), |at| at.parse().map(HttpConfig::on))?;
    let http = HttpServer::start(page, streams.monitor())?;
    println!("live page: http://{}/", http.address());

    let typing = thread::spawn(move || -> Result<(), Box<dyn Error + Send + Sync>> {
        for line in std::io::stdin().lines() {
            if let Some((customer, cents)) = line?.split_once(' ') {
                orders.send(customer, cents)?;
            }
        }
        Ok(orders.close(PATIENCE)?)
    });
    while streams.state() == State::Running {
        let batch = totals.poll(QUIET)?;
        batch.iter().for_each(|total| println!("{}: {}", total.key, total.value));
        if batch.is_empty() && typing.is_finished() {
            break;
        }
    }
    let error = streams.error();
    streams.close(PATIENCE)?;
    error.map_or(Ok(()), |error| Err(error.into()))
}

/// In production `kstreams topics apply`, or whoever owns them.
fn create_topics(
    kafka: &dyn ClientSupplier,
    topology: &Topology,
    config: &StreamsConfig,
) -> Result<(), Box<dyn Error>> {
    let wanted = DeclaredTopic { partitions: Some(2), ..DeclaredTopic::default() };
    let names = [ORDERS.name().to_owned(), TOTALS.name().to_owned(), FAILED.name().to_owned()];
    let declared = names.map(|name| (name, wanted.clone())).into();
    let wishes = Wishes { needs: &topology.topic_needs(), config, declared: &declared };
    topics::apply(kafka, &wishes, ApplyOptions::default())?;
    Ok(())
}
