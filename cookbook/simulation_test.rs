//! Simulation test: the topology under crashes, lost answers, zombies and rebalances, hundreds of schedules in seconds, each of which can
//! be run again from its seed.
//!
//! In Kafka Streams: nothing; the nearest are its own system tests (`streams_eos_test.py`, `RandomizedStreamsTest`).
//!
//! What to watch for:
//! - The check. It sees what a reader of committed records sees after all instances were closed: say what must hold then, not how.
//! - Show that it can fail. Below the same check finds the duplicates of `at_least_once`.
//! - Purity. Time and chance are the schedule's. A processor that reads the clock or has a random generator of its own makes runs that
//!   cannot be repeated.
//! - A failure gives a seed: `simulation.run_with_log(&simulation.shrink(&Schedule::of(seed)))` is the shortest story of it.
//! - What it cannot find: what librdkafka, RocksDB, disks and the network do by themselves.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin simulation_test` (feature `sim` of kstreams, a dev-dependency in your project)

use std::collections::BTreeMap;
use std::error::Error;

use kstreams::prelude::*;
use kstreams::sim::{Input, Observed, Simulation, explore};

const ORDERS: Topic<String, String> = Topic::new("orders"); // customer, by order id
const COUNTS: Topic<String, i64> = Topic::new("orders-per-customer");
const STORE: Store<String, i64> = Store::new("counts");

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&ORDERS)
        .group_by(|_, customer| customer.clone())
        .count_with(&STORE)
        .to_stream()
        .to(&COUNTS);
    builder.build()
}

/// The topology, its input, and what must come out whatever happens.
fn simulation() -> Simulation {
    Simulation::new("orders", || topology().expect("the topology is sound"))
        .topic(ORDERS.name(), 2)
        .topic(COUNTS.name(), 2)
        .input(|random, records| {
            let order = |n: usize| {
                let customer = format!("c{}", random.below(3));
                Input::text("orders", &format!("o{n}"), &customer, n as i64)
            };
            (0..records).map(order).collect()
        })
        .check(|seen| differences(seen).unwrap_or_else(|error| vec![error.to_string()]))
}

/// Where the last counts are not those of the input.
fn differences(seen: &Observed<'_>) -> Result<Vec<String>, Box<dyn Error>> {
    let mut expected = BTreeMap::<String, i64>::new();
    for order in seen.input {
        *expected.entry(String::from_utf8(order.value.clone().unwrap_or_default())?).or_default() += 1;
    }
    let mut counts = BTreeMap::new();
    for record in seen.kafka.read_all(COUNTS.name(), true)? {
        let customer = COUNTS.key_serde().deserialize(record.key.as_deref())?;
        counts.insert(customer, COUNTS.value_serde().deserialize(record.value.as_deref())?);
    }
    let wrong = expected.iter().filter(|(customer, count)| counts.get(*customer) != Some(*count));
    Ok(wrong
        .map(|(customer, count)| format!("{customer}: {:?}, not {count}", counts.get(customer)))
        .collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let found = explore(&[simulation()], 0..300, 2, true, &|| {});
    println!("{} schedules, {} starts, {} calls", found.schedules, found.starts, found.calls);
    match found.failures.first() {
        None => Ok(()),
        Some(failure) => Err(format!("{:?} breaks: {:?}", failure.shrunk, failure.outcome.violations).into()),
    }
}

#[cfg(test)]
mod tests {
    use kstreams::sim::Schedule;

    use super::*;

    /// Schedules with exactly once or not, whatever their seeds say.
    fn violations(exactly_once: bool, seeds: std::ops::Range<u64>) -> Vec<(u64, Vec<String>)> {
        let simulation = simulation();
        let run = |seed| (seed, simulation.run(&Schedule { exactly_once, ..Schedule::of(seed) }).violations);
        seeds.map(run).filter(|(_, violations)| !violations.is_empty()).collect()
    }

    #[test]
    fn exactly_once_counts_each_order_once_whatever_happens() {
        assert_eq!(violations(true, 0..60), []);
    }

    #[test]
    fn the_check_finds_the_duplicates_of_at_least_once() {
        assert_ne!(violations(false, 0..60), []);
    }

    #[test]
    fn a_schedule_can_be_run_again() {
        let (simulation, schedule) = (simulation(), Schedule::of(7));
        assert_eq!(simulation.run(&schedule).trace, simulation.run(&schedule).trace);
    }
}
