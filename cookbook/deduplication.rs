//! Deduplication: a payment that is sent twice counts once, if the second comes within an hour.
//!
//! In Kafka Streams: "distinct" (KIP-655), a `Transformer` or `Processor` with a window store of ids, as in Confluent's
//! `EventDeduplicationLambdaIntegrationTest`.
//!
//! What to watch for:
//! - What it is for. Exactly once needs no deduplication inside of Kafka. This is for senders outside, which try again.
//! - Keys. Two records with the same id must come to the same task: the id is the key, or stands for it. By another key, `select_key` and
//!   `repartition` go first.
//! - Time. An id is remembered by the timestamps of records. The store keeps ids for an hour of stream time, so one record with a time
//!   far in the future makes it forget the others: see `timestamp_extractor` if senders' clocks are not to be trusted.
//! - State. A row for each id of the last hour. With 1,000 payments a second these are 3.6 million rows: see the recipe tuning_memory.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin deduplication`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::clients::IsolationLevel;
use kstreams::error::BoxError;
use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};

const PAYMENTS: Topic<String, i64> = Topic::new("payments"); // cents, by payment id
const UNIQUE: Topic<String, i64> = Topic::new("unique-payments");
const SEEN: Store<String, bool> = Store::new("seen"); // Not `()`: that is Kafka's null, which deletes a row.
const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets a record pass whose key it has not seen in the hour before.
struct Unique;

impl Processor<String, i64, String, i64> for Unique {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let seen = context.window_store(&SEEN)?;
        let (time, mut again) = (record.timestamp, false);
        // Records out of order: the other one may be later, too.
        let (from, to) = (time - HOUR.as_millis() as i64, time + HOUR.as_millis() as i64);
        seen.borrow_mut().fetch_range(&record.key, from, to, &mut |_, _, _| {
            again = true;
            std::ops::ControlFlow::Break(())
        })?;
        if again {
            return Ok(());
        }
        seen.borrow_mut().put(&record.key, time, Some(true), time, context.record_context())?;
        Ok(context.forward(record)?)
    }
}

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::window(&SEEN, WindowRetention::new(2 * HOUR, HOUR)));
    builder.stream(&PAYMENTS).named("unique").process(|| Unique, &[SEEN.name()]).to(&UNIQUE);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|(id, cents)| println!("{id}: {cents}"));
    Ok(())
}

/// Feeds the topology and returns what comes out, up to the payment called `last`.
fn run() -> Result<Vec<(String, i64)>, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(PAYMENTS.name(), 1)?;
    kafka.create_topic(UNIQUE.name(), 1)?;
    let payments = TopicProducer::new(&kafka, &PAYMENTS, ProducerConfig::default())?;
    for (id, cents) in [("p1", 100), ("p2", 250), ("p1", 100), ("p2", 250), ("last", 1)] {
        payments.send(id, cents)?;
    }
    payments.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("deduplication", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;

    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group("reader")
    };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&UNIQUE], group)?;
    let (mut unique, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while unique.last().is_none_or(|(id, _)| id != "last") && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        unique.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_that_comes_twice_passes_once() {
        assert_eq!(run().unwrap(), [("p1", 100), ("p2", 250), ("last", 1)].map(|(id, c)| (id.to_owned(), c)));
    }

    #[test]
    fn an_id_is_forgotten_after_the_hour() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        let payments = driver.input(&PAYMENTS);
        [0, 3_600_000, 3_600_001, 1_000].into_iter().for_each(|at| payments.pipe_at("p1", 1, at));
        let passed = driver.output(&UNIQUE).read_records();
        assert_eq!(passed.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [0, 3_600_001]);
    }
}
