//! Testing a topology: records in, records out, with the times you choose; no broker, no threads, no waiting.
//!
//! In Kafka Streams: `TopologyTestDriver`, `TestInputTopic`, `TestOutputTopic`, `advanceWallClockTime`, `KeyValueStore` of the driver.
//!
//! What to watch for:
//! - The driver has one partition of each topic, processes a record to its end and commits after each. So it does not show what comes of
//!   partitions, rebalances and crashes: that is for the recipe simulation_test.
//! - Time. Stream time is that of the records (`pipe_at`, `start_at`, `auto_advance`); the wall clock moves only by
//!   `advance_wall_clock`. Nothing closes, expires or punctuates by itself.
//! - Caches are on as in production, but each commit empties them, so each update comes out.
//! - Repartition topics are there: what the driver writes to them it reads again. Keys may differ from those of the input.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin testing_a_topology`; tests: `cargo test -p kstreams-cookbook --bin testing_a_topology`

use std::error::Error;
use std::time::Duration;

use kstreams::error::BoxError;
use kstreams::prelude::*;

const READINGS: Topic<String, i64> = Topic::new("readings"); // degrees, by sensor
const AVERAGES: Topic<String, i64> = Topic::new("averages"); // of a minute
const SILENT: Topic<String, String> = Topic::new("silent-sensors");
const MINUTES: Store<String, (i64, i64)> = Store::new("minutes"); // sum and count
const LAST: Store<String, i64> = Store::new("last-seen"); // wall clock, ms
const MINUTE: Duration = Duration::from_secs(60);

/// Averages of each minute, once it is over, and who said nothing for five minutes.
fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let readings = builder.stream(&READINGS);
    readings
        .clone()
        .group_by_key()
        .windowed_by(TimeWindows::of_size_with_no_grace(MINUTE))
        .fold(&MINUTES, |_, degrees, (sum, count)| (*sum, *count) = (*sum + degrees, *count + 1))
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .map_values(|(sum, count)| sum / count)
        .to_stream_keyed(|sensor, _| sensor.key.clone())
        .to(&AVERAGES);
    builder.add_state_store(Stores::key_value(&LAST));
    readings.process(|| Silence, &[LAST.name()]).to(&SILENT);
    builder.build()
}

/// Looks each minute of the wall clock which sensors are silent.
struct Silence;

impl Processor<String, i64, String, String> for Silence {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, String>) -> Result<(), BoxError> {
        context.schedule(MINUTE, PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let (last, now) = (context.store(&LAST)?, context.current_system_time());
        Ok(last.borrow_mut().put(&record.key, Some(now), record.timestamp, context.record_context())?)
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        _: Punctuation,
        now: Timestamp,
    ) -> Result<(), BoxError> {
        let (last, mut silent) = (context.store(&LAST)?, Vec::new());
        last.borrow_mut().for_each(&mut |sensor, seen, _| {
            if now - seen >= 5 * MINUTE.as_millis() as i64 {
                silent.push(sensor);
            }
        })?;
        for sensor in silent {
            last.borrow_mut().put(&sensor, None, now, context.record_context())?;
            context.forward(Record::new(sensor, "silent for 5 minutes".to_owned(), now))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let driver = TopologyTestDriver::new(topology()?)?;
    let readings = driver.input(&READINGS).start_at(0).auto_advance(Duration::from_secs(40));
    [20, 22, 30].into_iter().for_each(|degrees| readings.pipe("cellar", degrees));
    println!("averages: {:?}", driver.output(&AVERAGES).read_all());
    driver.advance_wall_clock(5 * MINUTE);
    println!("silent: {:?}", driver.output(&SILENT).read_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver() -> TopologyTestDriver {
        TopologyTestDriver::new(topology().unwrap()).unwrap()
    }

    #[test]
    fn a_minute_comes_out_when_a_later_record_closes_it() {
        let driver = driver();
        let readings = driver.input(&READINGS);
        readings.pipe_at("cellar", 20, 0);
        readings.pipe_at("cellar", 22, 40_000);
        assert!(driver.output(&AVERAGES).is_empty(), "the minute may still get records");
        assert_eq!(driver.window_store(&MINUTES).fetch(&"cellar".to_owned(), 0), Some((42, 2)));
        readings.pipe_at("attic", 30, 60_000);
        let average = driver.output(&AVERAGES).read_record().unwrap();
        assert_eq!((average.key.as_str(), average.value), ("cellar", 21));
        readings.pipe_at("cellar", 99, 59_999);
        assert_eq!(driver.dropped(), 1, "late");
    }

    #[test]
    fn silence_is_told_by_the_wall_clock_and_once() {
        let driver = driver();
        driver.input(&READINGS).pipe("cellar", 20);
        driver.advance_wall_clock(4 * MINUTE);
        assert!(driver.output(&SILENT).is_empty());
        driver.advance_wall_clock(MINUTE);
        assert_eq!(driver.output(&SILENT).read_key_values()["cellar"], "silent for 5 minutes");
        driver.advance_wall_clock(10 * MINUTE);
        assert!(driver.output(&SILENT).is_empty());
        assert_eq!(driver.store(&LAST).get(&"cellar".to_owned()), None);
    }

    #[test]
    fn bytes_that_are_no_number_stop_the_task() {
        let error = driver().input(&READINGS).pipe_raw(Some(b"cellar"), Some(b"warm")).unwrap_err();
        assert!(error.to_string().contains("readings"), "{error}");
    }
}
