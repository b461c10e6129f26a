//! Enrichment by a foreign key: a table of orders joined with a table of customers, whose id is a field of the order. When a customer
//! changes, all his orders come out anew.
//!
//! In Kafka Streams: `KTable#join(KTable, foreignKeyExtractor, joiner)`, `leftJoin`, KIP-213.
//!
//! What to watch for:
//! - Keys. The result has the key of the left table. The tables need not have as many partitions as each other.
//! - Repartitioning. Two internal topics: subscriptions go to the partition of the customer, responses come back to that of the order.
//!   Both, and the store of the subscriptions, are called after the name given here.
//! - Cost. A change of a customer with a million orders is a million records. Split such customers, or join a stream by a table.
//! - Time. Two orders of a customer are two keys: their results have no order between them.
//! - State. Both tables, and a row for each order beside its customer.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin enrichment_by_foreign_key`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};
use serde::{Deserialize, Serialize};

const ORDERS: Topic<String, Order> = Topic::new("orders"); // by order id
const CUSTOMERS: Topic<String, String> = Topic::new("customers"); // addresses, by customer id
const LABELS: Topic<String, Option<String>> = Topic::new("labels"); // by order id
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    customer: String,
    item: String,
}

impl Order {
    fn new(customer: &str, item: &str) -> Self {
        Self { customer: customer.to_owned(), item: item.to_owned() }
    }
}

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let customers = builder.table(&CUSTOMERS);
    builder
        .table(&ORDERS)
        .named("order-customer")
        .join_foreign_key(
            &customers,
            |order| order.customer.clone(),
            |order, address| format!("{} to {address}", order.item),
        )
        .to_stream() // `None`: the order or its customer was deleted.
        .to(&LABELS);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|(order, label)| println!("{order}: {label:?}"));
    Ok(())
}

/// Feeds the topology, moves a customer, and returns the last label of each order.
fn run() -> Result<BTreeMap<String, Option<String>>, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(ORDERS.name(), 3)?;
    kafka.create_topic(CUSTOMERS.name(), 2)?;
    kafka.create_topic(LABELS.name(), 1)?;
    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("enrichment-by-foreign-key", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;

    let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    orders.send("o1", Order::new("ada", "lamp"))?;
    orders.send("o2", Order::new("ada", "desk"))?;
    orders.flush(PATIENCE)?;
    let customers = TopicProducer::new(&kafka, &CUSTOMERS, ProducerConfig::default())?;
    customers.send("ada", "Paris")?;
    customers.send("ada", "London")?;
    customers.flush(PATIENCE)?;

    let group =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("reader") };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&LABELS], group)?;
    let (mut labels, deadline) = (BTreeMap::new(), Instant::now() + PATIENCE);
    let moved = |label: &Option<String>| label.as_ref().is_some_and(|label| label.ends_with("London"));
    while labels.values().filter(|label| moved(label)).count() < 2 && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        labels.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_orders_of_a_customer_follow_him() {
        let label = |order: &str, text: &str| (order.to_owned(), Some(text.to_owned()));
        let labels = [label("o1", "lamp to London"), label("o2", "desk to London")];
        assert_eq!(run().unwrap(), labels.into_iter().collect());
    }

    #[test]
    fn an_order_that_changes_its_customer_leaves_the_old_one() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        let (orders, customers) = (driver.input(&ORDERS), driver.input(&CUSTOMERS));
        customers.pipe("ada", "Paris");
        customers.pipe("bob", "Rome");
        orders.pipe("o1", Order::new("ada", "lamp"));
        orders.pipe("o1", Order::new("bob", "lamp"));
        assert_eq!(driver.output(&LABELS).read_key_values()["o1"].as_deref(), Some("lamp to Rome"));
        customers.pipe("ada", "London");
        assert!(driver.output(&LABELS).is_empty());
    }
}
