//! Dead letters and replay: a record that cannot be processed goes to a topic of its own and the rest goes on; when the program is
//! mended, the dead letters go back, each once.
//!
//! In Kafka Streams: `errors.dead.letter.queue.topic.name` (KIP-1034), `ProcessingExceptionHandler`, `LogAndContinue`. The replay has no
//! counterpart there.
//!
//! What to watch for:
//! - What fails for a while (a service is away) is for `with_retries`, and what must not be skipped for `LogAndFail`, the default.
//! - Order. A letter that is put back comes after the records that overtook it. Fine for orders, not for balances.
//! - Keys. Letters keep key, value, timestamp and headers; `__streams.errors.*` say why. They go back to their partition.
//! - Once. Letters and results are one transaction, and so are copies and the offsets of the letters, below. The tool does the same and
//!   has filters: `kstreams dlq replay --topic dead-letters --bootstrap-server localhost:9092`.
//! - State. None. Give the dead-letter topic a long retention, and an alert on its end offset.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin dead_letters_and_replay`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::clients::IsolationLevel;
use kstreams::dead_letter::{Failure, replayed};
use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};

type Bytes = Option<Vec<u8>>;
const ORDERS: Topic<String, String> = Topic::new("orders"); // `12 EUR`
const CENTS: Topic<String, i64> = Topic::new("cents");
const DEAD_LETTERS: Topic<Bytes, Bytes> = Topic::new("dead-letters");
const ORDERS_AS_BYTES: Topic<Bytes, Bytes> = Topic::new("orders");
const PATIENCE: Duration = Duration::from_secs(30);

/// Amounts in cents; version 2 of the program knows one currency more.
fn topology(version: u32) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let cents = move |order: String| {
        let (amount, currency) = order.split_once(' ').ok_or("no currency")?;
        let rate = match currency {
            "EUR" => 100,
            "CHF" if version > 1 => 107,
            unknown => return Err(format!("unknown currency {unknown}")),
        };
        amount.parse().map(|amount: i64| amount * rate).map_err(|error| format!("{amount}: {error}"))
    };
    builder.stream(&ORDERS).named("to-cents").try_map_values(cents).to(&CENTS);
    builder.build()
}

fn start(
    kafka: &EmbeddedKafka,
    version: u32,
    state: &tempfile::TempDir,
) -> Result<KafkaStreams, Box<dyn Error>> {
    let mut config = StreamsConfig::new("dead-letters", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    config.dead_letters_to(&DEAD_LETTERS);
    let mut streams = KafkaStreams::new(topology(version)?, config, Arc::new(kafka.clone()))?;
    streams.start()?;
    Ok(streams)
}

fn reader(group: &str) -> ConsumerConfig {
    ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group(group)
    }
}

/// Puts back what is in the dead-letter topic and was not put back yet; returns why each had failed.
fn replay(kafka: &EmbeddedKafka) -> Result<Vec<String>, Box<dyn Error>> {
    let mut letters = TopicConsumer::subscribe(kafka, &[&DEAD_LETTERS], reader("replay"))?;
    let orders = TopicProducer::new(kafka, &ORDERS_AS_BYTES, ProducerConfig::transactional("replay-orders"))?;
    let (mut why, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while why.is_empty() && Instant::now() < deadline {
        let batch = letters.poll(Duration::from_millis(100))?;
        if batch.is_empty() {
            continue;
        }
        orders.transaction(PATIENCE, |orders| {
            for letter in batch.iter() {
                let failure = Failure::of(&letter.headers);
                let (_topic, partition, _offset) = failure.source.ok_or("a letter without a source")?;
                let copy = orders.record().key(letter.key.clone()).value(letter.value.clone());
                copy.timestamp(letter.timestamp)
                    .headers(replayed(&letter.headers))
                    .partition(partition)
                    .send()?;
                why.extend(failure.message);
            }
            orders.send_offsets(batch.offsets(), PATIENCE)?;
            Ok(())
        })?;
    }
    Ok(why)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (why, results) = run()?;
    println!("put back: {why:?}\nresults: {results:?}");
    Ok(())
}

/// Version 1, a replay, version 2. Returns why letters had died, and all results.
fn run() -> Result<(Vec<String>, Vec<(String, i64)>), Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    [ORDERS.name(), CENTS.name(), DEAD_LETTERS.name()]
        .iter()
        .try_for_each(|topic| kafka.create_topic(topic, 1))?;
    let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    orders.send("o1", "12 EUR")?;
    orders.send("o2", "10 CHF")?;
    orders.send("o3", "1 EUR")?;
    orders.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut results = TopicConsumer::subscribe(&kafka, &[&CENTS], reader("reader"))?;
    let (mut seen, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    let mut read = |count: usize| -> Result<Vec<(String, i64)>, Box<dyn Error>> {
        while seen.len() < count && Instant::now() < deadline {
            let batch = results.poll(Duration::from_millis(100))?;
            seen.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
        }
        Ok(seen.clone())
    };
    let mut streams = start(&kafka, 1, &state)?;
    read(2)?;
    streams.close(PATIENCE)?;
    let why = replay(&kafka)?;
    let mut streams = start(&kafka, 2, &state)?;
    let results = read(3)?;
    streams.close(PATIENCE)?;
    Ok((why, results))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_processed_by_the_mended_program() {
        let (why, results) = run().unwrap();
        assert_eq!(why, ["unknown currency CHF"]);
        assert_eq!(
            results,
            [("o1", 1200), ("o3", 100), ("o2", 1070)].map(|(id, cents)| (id.to_owned(), cents))
        );
    }
}
