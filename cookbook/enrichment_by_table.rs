//! Enrichment by a table: each order gets the name of its customer, as it was when the order came.
//!
//! In Kafka Streams: `KStream#join(KTable)`, `leftJoin`, `ValueJoiner`, co-partitioning.
//!
//! What to watch for:
//! - Keys. Both sides need the same key and as many partitions. Orders come by order id, so `select_key` moves them to their customer,
//!   and the join writes a repartition topic with as many partitions as the table's topic.
//! - Time. An order is joined with the row of its moment: a customer who is known later changes no result. A task takes the record with
//!   the lowest timestamp first; how long it waits for a topic that is behind says `max.task.idle.ms`.
//! - Nobody there. `join_table` drops an order without a row, `left_join_table` gives `None`.
//! - State. The whole table, one row a customer, and no changelog: the topic itself is it, if it is compacted.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin enrichment_by_table`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};
use serde::{Deserialize, Serialize};

const ORDERS: Topic<String, Order> = Topic::new("orders"); // by order id
const CUSTOMERS: Topic<String, String> = Topic::new("customers"); // names, by customer id
const NAMED: Topic<String, String> = Topic::new("named-orders"); // by customer id
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: i64,
}

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let customers = builder.table(&CUSTOMERS);
    builder
        .stream(&ORDERS)
        .select_key(|_, order| order.customer.clone())
        .named("by-customer") // The repartition topic is called after it, and not after a number that may change.
        .left_join_table(&customers, |order, name| {
            format!("{} pays {}", name.map_or("somebody", |name| name), order.cents)
        })
        .to(&NAMED);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|(customer, line)| println!("{customer}: {line}"));
    Ok(())
}

/// Feeds the topology and returns what comes out.
fn run() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(ORDERS.name(), 3)?;
    kafka.create_topic(CUSTOMERS.name(), 2)?;
    kafka.create_topic(NAMED.name(), 1)?;

    let customers = TopicProducer::new(&kafka, &CUSTOMERS, ProducerConfig::default())?;
    customers.record().key("ada").value("Ada").timestamp(0).send()?;
    customers.flush(PATIENCE)?;
    let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    for (id, customer, cents) in [("o1", "ada", 120), ("o2", "bob", 80)] {
        let order = Order { customer: customer.to_owned(), cents };
        orders.record().key(id).value(order).timestamp(1_000).send()?;
    }
    orders.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("enrichment-by-table", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;

    let group =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("reader") };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&NAMED], group)?;
    let (mut lines, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while lines.len() < 2 && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        lines.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    lines.sort(); // Two customers may be two tasks.
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_get_the_name_of_their_customer() {
        let line = |customer: &str, line: &str| (customer.to_owned(), line.to_owned());
        assert_eq!(run().unwrap(), [line("ada", "Ada pays 120"), line("bob", "somebody pays 80")]);
    }

    #[test]
    fn a_name_that_comes_later_changes_nothing() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        driver.input(&ORDERS).pipe("o1", Order { customer: "ada".to_owned(), cents: 1 });
        driver.input(&CUSTOMERS).pipe("ada", "Ada");
        let lines = driver.output(&NAMED).read_all();
        assert_eq!(lines, [("ada".to_owned(), "somebody pays 1".to_owned())]);
    }
}
