//! Tuning memory: one number for the whole instance, `memory.max.bytes`, and the figures that say whether it fits.
//!
//! In Kafka Streams: `statestore.cache.max.bytes`, `RocksDBConfigSetter` (block cache, write buffers), `-Xmx`, `buffered.records.per.partition`.
//!
//! What to watch for:
//! - What it covers. Stores, caches, RocksDB, fetched and produced records. Not: code, threads of clients, your own data. A container gets
//!   the budget and about 64 MiB more; 256 MiB is the default.
//! - In memory or not. With RocksDB (feature `rocksdb`) rows that do not fit are on disk. Without it, and in stores `.in_memory()`, all rows
//!   stay in memory, whatever the budget says, and `state_engine_bytes` is 0.
//! - Too little is slow, not wrong: rows are read from disk again (a few microseconds each).
//! - The cache (`statestore.cache.max.bytes`, 10 MiB) is not for speed: it keeps updates of a key from going out one by one.
//! - How many rows there are decides: retention of windows, keys that nobody deletes. Look there first.
//! - The allocator. jemalloc gives memory back to the system, as Kafka Streams' documents advise: see streams-examples.
//!
//! Run it: `cargo run --release -p kstreams-cookbook --features rocksdb --bin tuning_memory`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::prelude::*;
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};

const VISITS: Topic<String, String> = Topic::new("visits"); // pages, by user
const LAST_PAGES: Store<String, String> = Store::new("last-pages");
const USERS: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder.stream(&VISITS).group_by_key().reduce_with(|_, page| page, &LAST_PAGES);
    builder.build()
}

fn main() -> Result<(), Box<dyn Error>> {
    for properties in [[("memory.max.bytes", "67108864")], [("memory.max.bytes", "1048576")]] {
        let figures = run(&properties)?;
        println!("{properties:?}: {} records, lag {}", figures.records_processed, figures.lag);
        println!("  stores {} KiB in memory", figures.state_memory_bytes / 1024);
        println!("  engine {} KiB, on disk if it is RocksDB", figures.state_engine_bytes / 1024);
        println!("  budget {} KiB", figures.memory_max_bytes / 1024);
        println!("  process {} KiB, everything in it", figures.process_memory_bytes / 1024);
    }
    Ok(())
}

/// A row for each of many users, with these settings. Returns the figures when all are there.
fn run(properties: &[(&str, &str)]) -> Result<MetricsSnapshot, Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(VISITS.name(), 2)?;
    let visits = TopicProducer::new(&kafka, &VISITS, ProducerConfig::default())?;
    for user in 0..USERS {
        visits.send(format!("user-{user}"), "a page with a long address ".repeat(4))?;
    }
    visits.flush(PATIENCE)?;

    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("tuning-memory", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    config.statestore_cache_max_bytes = 0;
    config.apply_properties(properties.iter().copied())?; // As a file would: `read_properties_file`.
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?;
    let began = Instant::now();
    let figures = loop {
        let figures = streams.metrics();
        // Rows leave memory once they are on disk, which takes the background thread a moment; in memory there is nothing to wait for.
        let fits = figures.state_memory_bytes <= figures.memory_max_bytes;
        let in_memory = figures.state_engine_bytes == 0 && began.elapsed() > Duration::from_secs(5);
        if figures.records_processed == USERS && (fits || in_memory) || began.elapsed() > PATIENCE {
            break figures;
        }
        if streams.await_state(&[State::Error], Duration::from_millis(20)) {
            return Err(streams.error().unwrap_or_default().into());
        }
    };
    streams.close(PATIENCE)?;
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_keep_to_their_part_of_the_budget() {
        let small = run(&[("memory.max.bytes", "1048576")]).unwrap();
        let large = run(&[("memory.max.bytes", "67108864")]).unwrap();
        assert_eq!((small.records_processed, large.records_processed), (USERS, USERS));
        assert_eq!((small.memory_max_bytes, large.memory_max_bytes), (1 << 20, 64 << 20));
        assert!(large.state_memory_bytes > 1 << 20, "all rows fit: {large:?}");
        let on_disk = small.state_engine_bytes > 0;
        assert!(small.state_memory_bytes <= 1 << 20 || !on_disk, "the rest is on disk: {small:?}");
    }
}
