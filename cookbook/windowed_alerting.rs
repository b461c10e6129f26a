//! Windowed alerting: the third failed login of a user within five minutes raises an alert, at once and only once a window.
//!
//! In Kafka Streams: `windowedBy(TimeWindows)`, `count`, `filter`, `toStream`; "emit early" in contrast to `suppress`.
//!
//! What to watch for:
//! - Caches. They keep the last count of a key until the commit, so a count may go from 2 to 4 and never be seen as 3. A topology that
//!   looks for a certain count switches the cache of that store off.
//! - Time. Windows go by the timestamps of the records. These are tumbling: two failures at 4:59 and one at 5:01 are in two windows.
//!   `.advance_by(..)` makes them overlap, and then an alert comes for each window that has three.
//! - Late records. A failure that is later than window and grace is dropped and counted (`records_dropped`).
//! - State. A row for each user and window, until the retention (window and grace, if nothing else is said) is over.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin windowed_alerting`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::clients::IsolationLevel;
use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};

const LOGINS: Topic<String, bool> = Topic::new("logins"); // whether it succeeded, by user
const ALERTS: Topic<String, String> = Topic::new("alerts");
const FAILURES: Store<String, i64> = Store::new("failures");
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const LIMIT: i64 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&LOGINS)
        .filter_not(|_, succeeded| *succeeded)
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(FIVE_MINUTES, Duration::from_secs(60)))
        .count_with(Materialized::from(&FAILURES).caching(false))
        .to_stream()
        .filter(|_, count| *count == Some(LIMIT))
        .map(|user, _| (user.key.clone(), format!("{LIMIT} failures since {} ms", user.window.start)))
        .to(&ALERTS);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|(user, alert)| println!("{user}: {alert}"));
    Ok(())
}

/// Feeds the topology and returns the alerts.
fn run() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(LOGINS.name(), 2)?;
    kafka.create_topic(ALERTS.name(), 1)?;
    let logins = TopicProducer::new(&kafka, &LOGINS, ProducerConfig::default())?;
    let log_in = |user: &str, at: Timestamp, succeeded: bool| {
        logins.record().key(user).value(succeeded).timestamp(at).send()
    };
    for second in 0..5 {
        log_in("mallory", second * 1_000, false)?;
        log_in("ada", second * 1_000, second > 1)?;
    }
    logins.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("windowed-alerting", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;

    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group("pager")
    };
    let mut pager = TopicConsumer::subscribe(&kafka, &[&ALERTS], group)?;
    let (mut alerts, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while alerts.is_empty() && Instant::now() < deadline {
        let batch = pager.poll(Duration::from_millis(100))?;
        alerts.extend(batch.into_records().into_iter().map(|record| (record.key, record.value)));
    }
    streams.close(PATIENCE)?;
    Ok(alerts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_three_times_raises_one_alert() {
        assert_eq!(run().unwrap(), [("mallory".to_owned(), "3 failures since 0 ms".to_owned())]);
    }

    #[test]
    fn each_window_counts_for_itself() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        let logins = driver.input(&LOGINS);
        [290_000, 295_000, 301_000, 302_000].into_iter().for_each(|at| logins.pipe_at("ada", false, at));
        assert!(driver.output(&ALERTS).is_empty(), "two in each window");
        logins.pipe_at("ada", false, 299_000);
        assert_eq!(
            driver.output(&ALERTS).read_all()[0].1,
            "3 failures since 0 ms",
            "late, but within the grace"
        );
        logins.pipe_at("ada", false, 400_000);
        logins.pipe_at("ada", false, 2_000);
        assert_eq!((driver.output(&ALERTS).len(), driver.dropped()), (1, 1), "too late");
    }
}
