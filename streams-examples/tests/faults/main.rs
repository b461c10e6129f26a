//! Faults on a real broker: rows of the fault table, each an application of real processes that is hurt while it works.
//!
//! Each row feeds numbered records, does its harm, waits until every partition commits again and all input has come out, and then
//! compares every committed record with a model of the input, the replay of the changelogs with the last outputs, and the stable
//! ends with the ends. It finds what is lost, twice, wrong or in another order; hangs; processes that end, or do not, against the
//! rules; errors that do not say what happened.
//!
//! `--only ROW,..` runs these rows; `--long` all rows; `--minutes M` is how long rows with random faults take (1), `--seed S` what
//! decides about them. Says SKIPPED if there can be no broker, and fails then if `CI=true`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

// What takes part.
#[path = "../../../tests/broker/mod.rs"]
#[allow(dead_code, reason = "the cluster starts its nodes one by one")]
mod broker;
mod cluster;
mod feed;
mod model;
mod process;
mod scene;
#[path = "../../../tests/conformance/support.rs"]
#[allow(dead_code, reason = "what the cases of the conformance suite are made of")]
mod support;
mod watch;
// The rows.
mod rows_brokers;
mod rows_instances;
mod rows_topics;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cluster::Cluster;
use model::Workload;
use scene::Outcome;

/// Where rows take place.
pub(crate) struct Site {
    /// The brokers.
    pub(crate) cluster: Cluster,
    /// Part of the names of this run.
    pub(crate) run: String,
    /// How long rows with random faults take.
    pub(crate) length: Duration,
    /// Decides what is random.
    pub(crate) seed: u64,
}

struct Row {
    name: &'static str,
    /// In `make test`.
    short: bool,
    run: fn(&Site) -> Outcome,
}

const fn short(name: &'static str, run: fn(&Site) -> Outcome) -> Row {
    Row { name, short: true, run }
}

const fn long(name: &'static str, run: fn(&Site) -> Outcome) -> Row {
    Row { name, short: false, run }
}

const ROWS: &[Row] = &[
    short("killed", rows_instances::killed),
    short("killed-at-least-once", rows_instances::killed_at_least_once),
    short("frozen", rows_instances::frozen),
    short("same-directory", rows_instances::same_directory),
    short("broker-killed", rows_brokers::one_killed),
    short("topic-deleted", rows_topics::deleted),
    long("poison-skipped", rows_topics::poison_skipped),
    short("poison-stops", rows_topics::poison_stops),
    short("oversized", rows_topics::oversized),
    long("oversized-for-the-broker", rows_topics::oversized_for_the_broker),
    long("partitions-added", rows_topics::partitions_added),
    long("changelog-truncated", rows_topics::changelog_truncated),
    long("foreign-transaction", rows_topics::foreign_transaction),
    long("random-bank", |site| rows_instances::random(site, Workload::Bank)),
    long("random-echo-sum", |site| rows_instances::random(site, Workload::EchoSum)),
    long("random-ids", |site| rows_instances::random(site, Workload::Ids)),
    long("slow", rows_instances::slow),
    long("storm", rows_instances::storm),
    long("disk-full", rows_instances::disk_full),
    long("memory", rows_instances::memory),
    long("rolling", rows_instances::rolling),
    long("brokers-killed", rows_brokers::killed),
    long("brokers-frozen", rows_brokers::frozen),
    long("brokers-rolling", rows_brokers::rolling),
    long("two-brokers-killed", rows_brokers::two_of_three),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |option: &str| {
        let at = arguments.iter().position(|argument| argument == option)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{option} wants a value")).clone())
    };
    let all = arguments.iter().any(|argument| argument == "--long");
    let only = value("--only").map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>());
    let unknown = only.iter().flatten().find(|name| !ROWS.iter().any(|row| row.name == **name));
    if let Some(unknown) = unknown {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        println!("there is no row `{unknown}`, but {}", names.join(", "));
        return ExitCode::from(2);
    }
    let chosen = ROWS.iter().filter(|row| match &only {
        Some(names) => names.iter().any(|name| name == row.name),
        None => row.short || all,
    });
    let minutes: f64 = value("--minutes").map_or(1.0, |minutes| minutes.parse().expect("a number"));
    let seed = value("--seed").map_or(1, |seed| seed.parse().expect("a number"));
    match Cluster::start() {
        Ok(cluster) => {
            let run = std::process::id().to_string();
            run_all(Site { cluster, run, length: Duration::from_secs_f64(minutes * 60.0), seed }, chosen)
        }
        Err(reason) => {
            println!("SKIPPED faults: {reason}");
            ExitCode::from(u8::from(std::env::var("CI").is_ok_and(|value| value == "true")))
        }
    }
}

fn run_all<'a>(mut site: Site, rows: impl Iterator<Item = &'a Row>) -> ExitCode {
    let (mut count, mut kills, mut violations, mut failed) = (0, 0, 0, Vec::new());
    let mut slowest = 0.0_f64;
    for row in rows {
        let begin = Instant::now();
        count += 1;
        match catch_unwind(AssertUnwindSafe(|| run(&mut site, row))) {
            Ok(outcome) => {
                print(row.name, &outcome, begin.elapsed());
                kills += outcome.kills;
                violations += outcome.violations.count();
                slowest = outcome.starts.iter().copied().fold(slowest, f64::max);
                if outcome.violations.count() > 0 {
                    failed.push(row.name);
                }
            }
            Err(_) => failed.push(row.name),
        }
    }
    println!(
        "faults: {count} rows, {} failed, {kills} kills, {violations} violations; every partition commits again at most \
         {slowest:.1} s after a start that follows kill -9",
        failed.len()
    );
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("faults failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Runs a row; once more if it failed and the brokers' logs tell that they broke transactions themselves.
fn run(site: &mut Site, row: &Row) -> Outcome {
    let (begin, before) = (Instant::now(), site.cluster.lost_markers());
    let outcome = (row.run)(site);
    let lost = site.cluster.lost_markers() - before;
    if outcome.violations.count() == 0 || lost == 0 {
        return outcome;
    }
    print(row.name, &outcome, begin.elapsed());
    println!(
        "{}: the brokers lost {lost} markers (KAFKA-20734), which breaks any client: once more",
        row.name
    );
    site.run.push_str("-again");
    (row.run)(site)
}

/// One line, and the violations.
fn print(row: &str, outcome: &Outcome, took: Duration) {
    let (fed, out) = outcome.records;
    let mut line = format!("{row}: {fed} records in, {out} out, {} kills", outcome.kills);
    for (what, seconds) in [("starts after kill -9", &outcome.starts), ("recoveries", &outcome.recoveries)] {
        if !seconds.is_empty() {
            let seconds: Vec<String> = seconds.iter().map(|seconds| format!("{seconds:.1}")).collect();
            line.push_str(&format!("; {what}: {} s", seconds.join(" ")));
        }
    }
    outcome.notes.iter().for_each(|note| line.push_str(&format!("; {note}")));
    println!("{line}; violations: {}; took {:.0} s", outcome.violations.count(), took.as_secs_f64());
    for (kind, (count, examples)) in &outcome.violations.0 {
        println!("  {count} {kind}");
        examples.iter().for_each(|example| println!("    {example}"));
    }
}
