//! Exactly-once transfer: money moves between accounts, and no failure books a transfer twice or loses half of it.
//!
//! In Kafka Streams: `processing.guarantee=exactly_once_v2`, `isolation.level=read_committed`, `StreamsUncaughtExceptionHandler`.
//!
//! What to watch for:
//! - What it covers. Input offsets, state, changelogs and results are one Kafka transaction. An e-mail sent in `for_each` or a row in a
//!   database is not in it, and is repeated after a failure: let a consumer of the results do that.
//! - Readers. A consumer sees records of aborted transactions unless it reads with `ReadCommitted`, which is not Kafka's default.
//! - Keys. A transfer becomes two bookings with the keys of the accounts. `group_by` writes them to a repartition topic, in the same
//!   transaction; each account is added up in its own task. A moment between the two is seen; a lost half never is.
//! - Time. Results are seen with the commit, each `commit.interval.ms` (100 ms).
//! - State. One row an account.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin exactly_once_transfer`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kstreams::clients::IsolationLevel;
use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};
use serde::{Deserialize, Serialize};

const TRANSFERS: Topic<String, Transfer> = Topic::new("transfers"); // by transfer id
const BALANCES: Topic<String, i64> = Topic::new("balances"); // cents, by account
const ACCOUNTS: Store<String, i64> = Store::new("accounts");
const PATIENCE: Duration = Duration::from_secs(30);
const COUNT: i64 = 100;

#[derive(Clone, Serialize, Deserialize)]
struct Transfer {
    from: String,
    to: String,
    cents: i64,
}

/// The bookings of each transfer, added up. `fails_once` is the power cut of this recipe: a transfer in the middle fails the first time.
fn topology(fails_once: bool) -> Result<Topology, TopologyError> {
    let fails = AtomicBool::new(fails_once);
    let builder = StreamsBuilder::new();
    builder
        .stream(&TRANSFERS)
        .peek(move |id, _| match id == "t50" && fails.swap(false, Ordering::SeqCst) {
            true => Err("power cut"),
            false => Ok(()),
        })
        .flat_map(|_, transfer| [(transfer.from, -transfer.cents), (transfer.to, transfer.cents)])
        .group_by_key()
        .fold(&ACCOUNTS, |_, cents, balance| *balance += cents)
        .to_stream()
        .to(&BALANCES);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (balances, replaced) = run()?;
    println!("{balances:?}; a thread was replaced: {replaced}");
    Ok(())
}

/// Feeds the topology; returns the balances, and whether a thread had to be replaced.
fn run() -> Result<(BTreeMap<String, i64>, bool), Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(TRANSFERS.name(), 2)?;
    kafka.create_topic(BALANCES.name(), 2)?;
    let transfers = TopicProducer::new(&kafka, &TRANSFERS, ProducerConfig::default())?;
    for number in 0..COUNT {
        let transfer = Transfer { from: "ada".to_owned(), to: "bob".to_owned(), cents: 1 };
        transfers.send(format!("t{number}"), transfer)?;
    }
    transfers.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("exactly-once-transfer", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology(true)?, config, Arc::new(kafka.clone()))?;
    let replaced = Arc::new(AtomicBool::new(false));
    let told = replaced.clone();
    streams.set_uncaught_exception_handler(move |error| {
        eprintln!("{error}");
        told.store(true, Ordering::SeqCst);
        StreamThreadExceptionResponse::ReplaceThread
    });
    streams.start()?;

    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group("reader")
    };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&BALANCES], group)?;
    let (mut balances, deadline) = (BTreeMap::new(), Instant::now() + PATIENCE);
    let done = |balances: &BTreeMap<String, i64>| {
        balances.values().map(|cents| cents.abs()).sum::<i64>() >= 2 * COUNT
    };
    while !done(&balances) && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        balances.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok((balances, replaced.load(Ordering::SeqCst)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_the_middle_books_nothing_twice() {
        let (balances, replaced) = run().unwrap();
        assert!(replaced, "the failure happened");
        assert_eq!(balances, BTreeMap::from([("ada".to_owned(), -COUNT), ("bob".to_owned(), COUNT)]));
    }
}
