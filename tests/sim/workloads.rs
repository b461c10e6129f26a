//! What is simulated: the workloads of the fault harness, their input, and what must come out.

use kstreams::sim::{Input, Observed, Random, Simulation};
use streams_examples::workloads::chaos;

use crate::model::Workload;
use crate::{join, results, retries, state};

/// Partitions of each topic.
const PARTITIONS: i32 = 2;
/// Accounts, keys, users.
const KEYS: u64 = 6;

/// All simulations.
pub(crate) fn all() -> Vec<Simulation> {
    vec![bank(), echo_sum(), ids(), join(), retries()]
}

fn workload(name: &'static str, outputs: &[&str]) -> Simulation {
    let topology = move || chaos::topology(name, "in", "out").unwrap().unwrap();
    configured(Simulation::new(name, topology), name, outputs)
}

/// With the topics `in` and `out...`, and settings of each run.
fn configured(simulation: Simulation, name: &'static str, outputs: &[&str]) -> Simulation {
    let simulation = simulation.topic("in", PARTITIONS);
    let simulation =
        outputs.iter().fold(simulation, |it, suffix| it.topic(&format!("out{suffix}"), PARTITIONS));
    simulation.configure(move |config, random| {
        // Each update is an output, but in `ids`, whose stores have caches.
        config.statestore_cache_max_bytes = if name == "ids" { 1 << 20 } else { 0 };
        config.buffered_records_per_partition = random.choose(&[1, 3, 1_000]).copied().unwrap_or(1_000);
        // So little that rows leave memory and are read from the engine.
        if random.one_in(3) {
            config.memory_max_bytes = 4_000;
        }
    })
}

/// What the simulation of a workload asks for besides its own results.
fn checked(
    simulation: Simulation,
    check: impl Fn(&Observed<'_>) -> Vec<String> + Send + Sync + 'static,
) -> Simulation {
    simulation.check(move |seen| {
        let mut violations = check(seen);
        violations.extend(state::differences(seen));
        violations
    })
}

fn bank() -> Simulation {
    let input = |random: &mut Random, records: usize| {
        let transfer = |n: usize| {
            let from = random.below(KEYS);
            let to = (from + 1 + random.below(KEYS - 1)) % KEYS;
            let amount = 1 + random.below(999);
            Input::text("in", &format!("t{n}"), &format!("a{from},a{to},{amount}"), n as i64)
        };
        (0..records).map(transfer).collect()
    };
    checked(workload("bank", &[""]).input(input), |seen| results::differences(Workload::Bank, seen))
}

fn echo_sum() -> Simulation {
    let input = |random: &mut Random, records: usize| {
        let number = |n: usize| {
            let (key, x) = (random.below(KEYS), random.below(2_000) as i64 - 1_000);
            Input::text("in", &format!("k{key}"), &format!("{n},{x}"), n as i64)
        };
        (0..records).map(number).collect()
    };
    checked(workload("echo-sum", &["-echo", "-agg"]).input(input), |seen| {
        results::differences(Workload::EchoSum, seen)
    })
}

fn ids() -> Simulation {
    let input = |random: &mut Random, records: usize| {
        let keyed =
            |n: usize| Input::text("in", &format!("k{}", random.below(4 * KEYS)), &n.to_string(), n as i64);
        (0..records).map(keyed).collect()
    };
    checked(workload("ids", &[""]).input(input), |seen| results::differences(Workload::Ids, seen))
}

fn join() -> Simulation {
    let input = |random: &mut Random, records: usize| {
        let mut versions = vec![0_u64; KEYS as usize];
        let mut all = Vec::new();
        for n in 0..records {
            let key = random.below(KEYS);
            let time = n as i64 * 700;
            // The first rows come before the records, and the last key never has one.
            if (n < KEYS as usize - 1 || random.one_in(4)) && key + 1 < KEYS {
                versions[key as usize] += 1;
                all.push(Input::text(
                    "in-table",
                    &format!("u{key}"),
                    &versions[key as usize].to_string(),
                    time,
                ));
            }
            all.push(Input::text("in", &format!("u{key}"), &n.to_string(), time));
        }
        all
    };
    let simulation = workload("join", &["-joined", "-windows"]).topic("in-table", PARTITIONS);
    checked(simulation.input(input), join::differences)
}

fn retries() -> Simulation {
    let simulation = configured(Simulation::new("retries", retries::topology), "retries", &["", "-dead"]);
    let simulation =
        simulation.done_when(retries::all_decided).input(|random: &mut Random, records: usize| {
            let charge = |n: usize| {
                let failures = random.below(u64::from(retries::TRIES_MAX) + 3);
                Input::text("in", &format!("k{}", random.below(KEYS)), &format!("{n},{failures}"), n as i64)
            };
            (0..records).map(charge).collect()
        });
    checked(simulation, retries::differences)
}
