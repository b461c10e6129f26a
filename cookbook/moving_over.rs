//! Moving a Kafka Streams application over: the same topics, the same group, the same state, one instance after the other or all at once.
//!
//! In Kafka Streams: `describe()`, `application.id`, `streams.properties`, `kafka-streams-application-reset`.
//!
//! The way:
//! 1. Write the topology here, with Java's names. Print `describe()` of both and compare: equal text means equal names of stores,
//!    changelogs and repartition topics, so that state and offsets are found again. The test below does that.
//! 2. Give it the properties file as it is. What means nothing here (serdes, Java classes) is said in the log, what is wrong is refused.
//! 3. Stop the Java instances, all of them: members of both kinds cannot share a group, their assignors speak differently.
//! 4. Start this one with the same `application.id`. It goes on at the committed offsets and restores its stores from the changelogs,
//!    whose bytes are the same. Nothing is processed twice or left out under `exactly_once_v2`.
//! 5. To go back, stop it and start the Java program: its state directory is old, so it restores.
//!
//! What to watch for:
//! - Serdes. Text, numbers and bytes are Java's. JSON of your own must have the same fields; Avro and the rest go by the registry.
//! - Keys. The default partitioner is Kafka's murmur2: records of a key stay in their partition.
//! - State directory. Take a new one: on disk the formats differ, in Kafka they do not.
//! - Time. Where results differ in when they come (suppress, outer joins), see COMING_FROM_KAFKA_STREAMS.md, intended differences.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin moving_over`

use std::error::Error;

use kstreams::prelude::*;

const PAYMENTS: Topic<String, i64> = Topic::new("payments");
const TOTALS: Topic<String, i64> = Topic::new("totals");
const SUMS: Store<String, i64> = Store::new("sums");

/// What `System.out.print(topology.describe())` says in Java of
///
/// ```java
/// builder.stream("payments", Consumed.with(Serdes.String(), Serdes.Long()))
///     .filter((customer, cents) -> cents > 0)
///     .groupByKey()
///     .reduce(Long::sum, Materialized.as("sums"))
///     .toStream()
///     .to("totals");
/// ```
const JAVA: &str = "\
Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [payments])
      --> KSTREAM-FILTER-0000000001
    Processor: KSTREAM-FILTER-0000000001 (stores: [])
      --> KSTREAM-REDUCE-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-REDUCE-0000000002 (stores: [sums])
      --> KTABLE-TOSTREAM-0000000003
      <-- KSTREAM-FILTER-0000000001
    Processor: KTABLE-TOSTREAM-0000000003 (stores: [])
      --> KSTREAM-SINK-0000000004
      <-- KSTREAM-REDUCE-0000000002
    Sink: KSTREAM-SINK-0000000004 (topic: totals)
      <-- KTABLE-TOSTREAM-0000000003

";

/// The Java program's file, as it is.
const PROPERTIES: [(&str, &str); 6] = [
    ("application.id", "payments-app"),
    ("bootstrap.servers", "localhost:9092"),
    ("processing.guarantee", "exactly_once_v2"),
    ("num.stream.threads", "2"),
    ("default.key.serde", "org.apache.kafka.common.serialization.Serdes$StringSerde"),
    ("consumer.max.poll.records", "500"),
];

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&PAYMENTS)
        .filter(|_, cents| *cents > 0)
        .group_by_key()
        .reduce_with(|sum, cents| sum + cents, &SUMS)
        .to_stream()
        .to(&TOTALS);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (topology, config) = (topology()?, StreamsConfig::from_properties(PROPERTIES)?);
    println!(
        "{}: {} threads, {:?}",
        config.application_id, config.num_stream_threads, config.processing_guarantee
    );
    let text = topology.describe().to_string();
    print!("{text}");
    println!("the same as in Java: {}", text == JAVA);
    println!("kept for the next version: {}", topology.snapshot().to_json());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_that_of_the_java_program() {
        assert_eq!(topology().unwrap().describe().to_string(), JAVA);
    }

    #[test]
    fn its_properties_are_taken_and_a_misspelt_one_is_refused() {
        let config = StreamsConfig::from_properties(PROPERTIES).unwrap();
        assert_eq!((config.application_id.as_str(), config.num_stream_threads), ("payments-app", 2));
        let error = StreamsConfig::from_properties([("application.id", "a"), ("num.stream.thread", "2")]);
        let error = error.err().unwrap().to_string();
        assert!(error.contains("num.stream.threads"), "{error}");
    }

    #[test]
    fn a_later_version_that_would_lose_the_state_is_seen() {
        let builder = StreamsBuilder::new();
        let positive = builder.stream(&PAYMENTS).filter(|_, cents| *cents > 0);
        positive.group_by_key().reduce(|sum, cents| sum + cents).to_stream().to(&TOTALS);
        let diff = topology().unwrap().snapshot().diff(&builder.build().unwrap().snapshot());
        assert!(diff.loses_state(), "{diff}");
    }
}
