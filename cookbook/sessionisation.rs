//! Sessionisation: clicks of a user less than half an hour apart are one visit; each visit comes out once, when it is over.
//!
//! In Kafka Streams: `SessionWindows.ofInactivityGapAndGrace`, `aggregate` with a `Merger`, `EmitStrategy.onWindowClose`.
//!
//! What to watch for:
//! - Merging. A late click may join two visits into one: their aggregates are merged, so say how.
//! - When it ends. A visit is over when stream time has passed its end, the gap and the grace. Stream time stands still when nobody clicks,
//!   and each partition has its own: the last visit of the night comes out with the first click of the morning.
//! - Without `OnWindowClose` each click sends the visit so far, and each merge a deletion (`None`) of the visits that it swallowed.
//! - Keys. The output is keyed by user, start and end; here it goes on by user.
//! - State. All visits of the retention, one row each. As in Kafka Streams, the retention is gap and grace if nobody says more: a visit
//!   whose partition is silent for longer is forgotten before it comes out. So say more: here a day.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin sessionisation`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::clients::IsolationLevel;
use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};
use serde::{Deserialize, Serialize};

const CLICKS: Topic<String, String> = Topic::new("clicks"); // pages, by user
const VISITS: Topic<String, Visit> = Topic::new("visits"); // by user
const OPEN: Store<String, Visit> = Store::new("open-visits");
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Visit {
    pages: Vec<String>,
    minutes: i64,
}

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&CLICKS)
        .group_by_key()
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(30 * MINUTE, MINUTE))
        .emit_strategy(EmitStrategy::OnWindowClose)
        .aggregate_with(
            Visit::default,
            |_, page, visit| visit.pages.push(page),
            |_, mut earlier, later| {
                earlier.pages.extend(later.pages);
                earlier
            },
            Materialized::from(&OPEN).retention(DAY),
        )
        .to_stream()
        .filter(|_, visit| visit.is_some())
        .map(|user, visit| {
            let minutes = (user.window.end - user.window.start) / MINUTE.as_millis() as i64;
            (user.key.clone(), Visit { minutes, ..visit.unwrap_or_default() })
        })
        .to(&VISITS);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|(user, visit)| println!("{user}: {visit:?}"));
    Ok(())
}

/// Feeds the topology and returns the visits that are over.
fn run() -> Result<Vec<(String, Visit)>, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(CLICKS.name(), 1)?;
    kafka.create_topic(VISITS.name(), 1)?;
    let clicks = TopicProducer::new(&kafka, &CLICKS, ProducerConfig::default())?;
    for (minute, user, page) in
        [(0, "ada", "home"), (20, "ada", "shop"), (25, "bob", "home"), (90, "ada", "help")]
    {
        clicks.record().key(user).value(page).timestamp(minute * MINUTE.as_millis() as i64).send()?;
    }
    clicks.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("sessionisation", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;

    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group("reader")
    };
    let mut reader = TopicConsumer::subscribe(&kafka, &[&VISITS], group)?;
    let (mut visits, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while visits.len() < 2 && Instant::now() < deadline {
        let batch = reader.poll(Duration::from_millis(100))?;
        visits.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(pages: &[&str], minutes: i64) -> Visit {
        Visit { pages: pages.iter().map(|page| (*page).to_owned()).collect(), minutes }
    }

    #[test]
    fn visits_come_out_when_they_are_over() {
        let ada = ("ada".to_owned(), visit(&["home", "shop"], 20));
        let bob = ("bob".to_owned(), visit(&["home"], 0));
        assert_eq!(run().unwrap(), [ada, bob], "and the third one is still open");
    }

    #[test]
    fn a_late_click_joins_two_visits() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        let clicks = driver.input(&CLICKS);
        let minute = |at: i64| at * 60_000;
        clicks.pipe_at("ada", "home", minute(0));
        clicks.pipe_at("ada", "help", minute(31));
        clicks.pipe_at("ada", "shop", minute(15));
        clicks.pipe_at("bob", "home", minute(100));
        assert_eq!(driver.output(&VISITS).read_all()[0].1, visit(&["home", "help", "shop"], 31));
    }
}
