//! A shop on the embedded log with its live page: `cargo run -p streams-http --example live_page`, then open the address it prints.
//!
//! Orders of eight partitions find their customers in a table, are added up by tier and counted by minute; one in fifty does not parse
//! and goes to a dead-letter topic. Arguments: the address to listen on, and how many seconds to run.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use streams_core::client::embedded::{Clock, EmbeddedKafka};
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::{StreamsBuilder, TimeWindows};
use streams_core::runtime::KafkaStreams;
use streams_core::runtime::clock::SystemClock;
use streams_core::topic::{Store, Topic};
use streams_core::topology::{Topology, TopologyError};
use streams_http::{HttpConfig, HttpServer, StoreRoutes};

const ORDERS: Topic<String, Order> = Topic::new("orders");
const CUSTOMERS: Topic<String, Customer> = Topic::new("customers");
const ENRICHED: Topic<String, i64> = Topic::new("orders-by-tier");
const TOTALS: Topic<String, i64> = Topic::new("totals");
const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
const TIER_TOTALS: Store<String, i64> = Store::new("tier-totals");
const PER_MINUTE: Store<String, i64> = Store::new("orders-per-minute");

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Customer {
    tier: String,
}

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let customers = builder.table(&CUSTOMERS);
    let tiers = builder
        .stream(&ORDERS)
        .filter(|_, order| order.cents > 0)
        .select_key(|_, order| order.customer.clone())
        .left_join_table(&customers, |order, customer: Option<&Customer>| {
            (customer.map_or("unknown", |customer| &customer.tier).to_owned(), order.cents)
        })
        .map(|_, (tier, cents)| (tier.clone(), cents));
    tiers.clone().to(&ENRICHED);
    let by_tier = tiers.group_by_key();
    by_tier
        .clone()
        .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
        .count_with(&PER_MINUTE);
    by_tier.fold(&TIER_TOTALS, |_, cents, total| *total += cents).to_stream().to(&TOTALS);
    builder.build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let seconds = arguments.next().map_or(Ok(i64::from(u32::MAX)), |text| text.parse())?;
    let kafka = EmbeddedKafka::new(SystemClock);
    for topic in ["orders", "customers", "orders-by-tier", "totals", "dead-letters"] {
        kafka.create_topic(topic, 8)?;
    }
    let folder = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.num_stream_threads = 2;
    config.dead_letters_to(&DEAD_LETTERS);

    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    let stores = StoreRoutes::new().key_value(&TIER_TOTALS).windows(&PER_MINUTE);
    let config = HttpConfig { stores, ..HttpConfig::on(address.parse()?) };
    let http = HttpServer::start(config, streams.monitor())?;
    println!("http://{}/", http.address());
    streams.start()?;
    let ends = SystemClock.now_ms() + seconds * 1000;
    for number in 0_u64.. {
        if SystemClock.now_ms() >= ends {
            break;
        }
        feed(&kafka, number)?;
        std::thread::sleep(Duration::from_millis(if number < 2000 { 0 } else { 3 }));
    }
    streams.close(Duration::from_secs(30))?;
    http.close(Duration::from_secs(1));
    Ok(())
}

/// Order number `number`, and now and then a customer.
fn feed(kafka: &EmbeddedKafka, number: u64) -> Result<(), Box<dyn std::error::Error>> {
    // Scattered, and the same in every run.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let (id, now) = (format!("c{}", scattered % 500), SystemClock.now_ms());
    if number.is_multiple_of(10) {
        let tier = ["gold", "silver", "bronze"][(scattered % 3) as usize].to_owned();
        let row = serde_json::to_vec(&Customer { tier })?;
        kafka.produce("customers", None, Some(id.as_bytes()), Some(&row), now)?;
    }
    let order = match number % 50 {
        49 => format!("{{\"customer\": \"{id}\", \"cents\": \"a lot\"}}").into_bytes(),
        _ => serde_json::to_vec(&Order { customer: id, cents: (scattered % 9000) as i64 })?,
    };
    kafka.produce("orders", None, Some(format!("o{number}").as_bytes()), Some(&order), now)?;
    Ok(())
}
