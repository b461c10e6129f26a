//! Simulated clusters: the workloads of the fault harness under schedules of faults, each of a seed, in virtual time.
//!
//! `cargo test` runs 10,000 of them, those of earlier failures (`regressions/`), and each crash of a short run, one by one.
//! `make -s sim RUNS=N SEED=S` runs as many as you like; its last line is `N schedules, 0 violations, cells X/X`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test without libtest's harness"
)]

mod fixed;
mod join;
#[path = "../../streams-examples/tests/faults/model.rs"]
#[allow(dead_code, reason = "the input of the fault tests is theirs")]
mod model;
mod results;
mod retries;
#[path = "planted/sources.rs"]
#[allow(dead_code, reason = "only whether defects could be planted is looked at here")]
mod sources;
mod state;
#[path = "../conformance/support.rs"]
#[allow(dead_code, reason = "what the cases of the conformance suite are made of")]
mod support;
mod workloads;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use kstreams::sim::{Exploration, Failure, Schedule, Simulation, all_cells, explore};

/// What to run.
#[derive(Parser, Debug)]
struct Options {
    /// Schedules to run.
    #[arg(long, default_value_t = 10_000)]
    runs: u64,
    /// Seed of the first; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this workload.
    #[arg(long)]
    only: Option<String>,
    /// Threads; all cores unless given.
    #[arg(long)]
    lanes: Option<usize>,
    /// Run the schedule in this file, of the workload given by `--only`, and print its trace.
    #[arg(long)]
    replay: Option<std::path::PathBuf>,
    /// Run the schedule of `--seed` alone, of the workload given by `--only`, and print its trace.
    #[arg(long)]
    trace: bool,
    /// Only look for failures: they are not made small, and cells may be empty.
    #[arg(long)]
    only_search: bool,
    /// Names of tests, as `cargo test` passes them on: all run.
    #[arg(hide = true)]
    _filters: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut simulations = workloads::all();
    simulations.retain(|it| options.only.as_ref().is_none_or(|only| only == it.name()));
    if options.trace {
        return show(&simulations, &Schedule::of(options.seed));
    }
    if let Some(file) = &options.replay {
        return show(&simulations, &serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap());
    }
    if !options.only_search && !run_fixed(&simulations) {
        return ExitCode::FAILURE;
    }
    let lanes = options.lanes.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let began = Instant::now();
    let bar = ProgressBar::new(options.runs);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} schedules, {per_sec}, {eta} left").unwrap(),
    );
    let seeds = options.seed..options.seed + options.runs;
    let explored = explore(&simulations, seeds, lanes, !options.only_search, &|| bar.inc(1));
    bar.finish_and_clear();
    report(&explored, began.elapsed().as_secs_f64(), options.only_search)
}

/// Schedules that are not drawn. Whether all is well.
fn run_fixed(simulations: &[Simulation]) -> bool {
    let (regressions, mut wrong) = fixed::regressions(simulations);
    let (twice, more) = fixed::twice(simulations);
    wrong.extend(more);
    let (crashes, more) = fixed::every_crash(simulations);
    wrong.extend(more);
    let (defects, misplaced) = fixed::places_of_defects();
    wrong.extend(misplaced);
    for fixed::Wrong { name, violations } in &wrong {
        println!("{name}: {violations:?}");
    }
    println!(
        "simulation: {regressions} regressions, {twice} runs for the same trace, a crash at each of {crashes} calls, places of \
         {defects} defects: {} failed",
        wrong.len()
    );
    wrong.is_empty()
}

/// Runs one schedule, and prints everything about it.
fn show(simulations: &[Simulation], schedule: &Schedule) -> ExitCode {
    let outcome = simulations.first().expect("a workload").run_with_log(schedule);
    println!("{}", serde_json::to_string_pretty(schedule).unwrap());
    outcome.log.iter().for_each(|line| println!("{line}"));
    println!("trace {:016x}, violations: {:?}", outcome.trace, outcome.violations);
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

fn report(explored: &Exploration, seconds: f64, only_search: bool) -> ExitCode {
    explored.failures.iter().for_each(tell);
    println!(
        "simulation: {:.1} s, {} starts of instances, {} calls, {:.0} h of virtual time",
        seconds,
        explored.starts,
        explored.calls,
        explored.virtual_ms as f64 / 3_600_000.0
    );
    let (missing, all) = (explored.missing_cells(), all_cells().len());
    if !missing.is_empty() && explored.failures.is_empty() {
        println!("cells that no run hit: {missing:?}");
    }
    println!(
        "{} schedules, {} violations, cells {}/{all}",
        explored.schedules,
        explored.failures.len(),
        all - missing.len()
    );
    ExitCode::from(u8::from(!explored.failures.is_empty() || (!missing.is_empty() && !only_search)))
}

fn tell(failure: &Failure) {
    println!("seed {} of {}:", failure.schedule.seed, failure.simulation);
    failure.outcome.violations.iter().for_each(|violation| println!("  {violation}"));
    println!("the trace of the shrunk schedule:");
    failure.outcome.log.iter().for_each(|line| println!("  {line}"));
    println!("the shrunk schedule:\n{}", serde_json::to_string_pretty(&failure.shrunk).unwrap());
}
