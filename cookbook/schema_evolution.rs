//! Schema evolution: one service still writes version 1 of an order, another version 2; a topology reads both, and the registry refuses a
//! version that would break it.
//!
//! In Kafka Streams: `SpecificAvroSerde`, Schema Registry, compatibility `BACKWARD`, reader's and writer's schema.
//!
//! What to watch for:
//! - A new field needs a default, or old records cannot be read. With `BACKWARD`, the registry's default, readers go first to the new
//!   version, then writers.
//! - State. Rows of stores and changelogs are records, too: they are read by the version that is running, so what holds for topics holds
//!   for them. Their subjects are called `<application.id>-<store>-changelog-value`.
//! - Keys. The id of the schema is part of the bytes: a key of another version is another key, in another partition. Keep to plain keys.
//! - Whose fault. Bytes that do not fit go to the handler; a registry that is down does not, the task waits for it.
//! - A real registry: `SchemaRegistry::connect(SchemaRegistryConfig::at("http://localhost:8081")?)?`; where services must not register
//!   schemas themselves, `auto.register.schemas=false`. Features `protobuf` and `json-schema` are used alike.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin schema_evolution`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::AvroSchema;
use kstreams::clients::IsolationLevel;
use kstreams::prelude::*;
use kstreams::schemas::{AvroSerde, SchemaRegistry};
use kstreams::serdes::Given;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod v1 {
    /// What the old service writes.
    #[derive(Clone, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
    #[avro(namespace = "shop")]
    pub struct Order {
        pub cents: i32,
    }
}

mod broken {
    /// A required field more: nobody could read the old records.
    #[derive(Clone, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
    #[avro(namespace = "shop")]
    pub struct Order {
        pub cents: i64,
        pub coupon: String,
    }
}

/// Version 2: amounts may be larger, and there is a currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "shop")]
struct Order {
    cents: i64,
    #[avro(default = r#""EUR""#)]
    currency: String,
}

const TOTALS: Topic<String, i64> = Topic::new("totals"); // cents, by currency
const SUMS: Store<String, i64> = Store::new("sums");
const PATIENCE: Duration = Duration::from_secs(30);

/// The topic of orders, as a service sees it whose version of the type is `V`.
fn orders<V>(registry: &SchemaRegistry) -> Result<Topic<String, V, Given, Given>, Box<dyn Error>>
where
    V: Serialize + DeserializeOwned + AvroSchema + 'static,
{
    Ok(Topic::with_serdes("orders", Auto, AvroSerde::derived(registry)?))
}

fn topology(registry: &SchemaRegistry) -> Result<Topology, Box<dyn Error>> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&orders::<Order>(registry)?)
        .group_by(|_, order| order.currency.clone()) // Repartition topic: records of version 2.
        .fold(&SUMS, |_, order, sum| *sum += order.cents)
        .to_stream()
        .to(&TOTALS);
    Ok(builder.build()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (totals, refused) = run()?;
    println!("totals: {totals:?}\nrefused: {refused}");
    Ok(())
}

/// Two writers, one reader, and one writer too many. Returns the totals, and what the registry said to the last.
fn run() -> Result<(Vec<(String, i64)>, String), Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic("orders", 1)?;
    kafka.create_topic(TOTALS.name(), 1)?;
    let registry = SchemaRegistry::in_memory();
    let old = TopicProducer::new(&kafka, &orders::<v1::Order>(&registry)?, ProducerConfig::default())?;
    old.send("a", v1::Order { cents: 100 })?.wait(PATIENCE)?;
    let new = TopicProducer::new(&kafka, &orders::<Order>(&registry)?, ProducerConfig::default())?;
    new.send("b", Order { cents: 50, currency: "EUR".to_owned() })?.wait(PATIENCE)?;
    new.send("c", Order { cents: 7, currency: "CHF".to_owned() })?.wait(PATIENCE)?;
    let broken = TopicProducer::new(&kafka, &orders::<broken::Order>(&registry)?, ProducerConfig::default())?;
    let sent = broken.send("d", broken::Order { cents: 1, coupon: "x".to_owned() });
    let refused = sent.err().map(|error| error.to_string()).unwrap_or_default();

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("schema-evolution", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    config.statestore_cache_max_bytes = 0; // Each update is seen.
    let mut streams = KafkaStreams::new(topology(&registry)?, config, Arc::new(kafka.clone()))?;
    streams.start()?;
    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group("reader")
    };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&TOTALS], group)?;
    let (mut totals, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while totals.len() < 3 && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        totals.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok((totals, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_and_a_broken_one_is_refused() {
        let (totals, refused) = run().unwrap();
        assert_eq!(totals, [("EUR", 100), ("EUR", 150), ("CHF", 7)].map(|(key, sum)| (key.to_owned(), sum)));
        assert!(refused.contains("orders-value") && refused.contains("coupon"), "{refused}");
    }
}
