//! Many schedules: on all cores, with a count of the cells that were hit, and what failed made small.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::schedule::Schedule;
use super::simulation::{Outcome, Simulation};
use super::step::Step;
use super::world::Cell;

/// A schedule that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Name of the simulation.
    pub simulation: String,
    /// The schedule as its seed gives it.
    pub schedule: Schedule,
    /// The smallest one found that fails, too.
    pub shrunk: Schedule,
    /// What came of that one, with its trace as text.
    pub outcome: Outcome,
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Exploration {
    /// Schedules that were run.
    pub schedules: u64,
    /// What happened at which step, how often.
    pub cells: BTreeMap<Cell, u64>,
    /// Calls to clusters and disks.
    pub calls: u64,
    /// Starts of instances.
    pub starts: u64,
    /// Virtual time, ms.
    pub virtual_ms: i64,
    /// Schedules that broke a rule, in the order of their seeds; the search ends with the first.
    pub failures: Vec<Failure>,
}

impl Exploration {
    /// Cells of the table that no run hit.
    pub fn missing_cells(&self) -> Vec<Cell> {
        all_cells().into_iter().filter(|cell| !self.cells.contains_key(cell)).collect()
    }

    fn add(&mut self, outcome: &Outcome) {
        self.schedules += 1;
        self.calls += outcome.calls;
        self.starts += outcome.starts;
        self.virtual_ms += outcome.virtual_ms;
        for (cell, hits) in &outcome.cells {
            *self.cells.entry(*cell).or_default() += hits;
        }
    }
}

/// All cells of the table: what may happen at which step.
pub fn all_cells() -> Vec<Cell> {
    let row = |step: Step| step.faults().iter().map(move |fault| (step, *fault));
    Step::ALL.into_iter().flat_map(row).collect()
}

/// Runs the schedule of each seed with one of the simulations in turn, on `lanes` threads. Ends with the first failure, which is made
/// small if `shrink`. `ran` is called after each run.
pub fn explore(
    simulations: &[Simulation],
    seeds: Range<u64>,
    lanes: usize,
    shrink: bool,
    ran: &(dyn Fn() + Sync),
) -> Exploration {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(Exploration::default());
    let lane = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end || failed.load(Ordering::SeqCst) {
                return;
            }
            let turn = usize::try_from(seed % simulations.len().max(1) as u64).unwrap_or(0);
            let Some(simulation) = simulations.get(turn) else { return };
            let schedule = Schedule::of(seed);
            let outcome = simulation.run(&schedule);
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
            ran();
            if !outcome.violations.is_empty() && !failed.swap(true, Ordering::SeqCst) {
                let failure = examine(simulation, schedule, shrink);
                sum.lock().unwrap_or_else(PoisonError::into_inner).failures.push(failure);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..lanes.max(1) {
            scope.spawn(lane);
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a failing schedule small, if asked to.
fn examine(simulation: &Simulation, schedule: Schedule, shrink: bool) -> Failure {
    let shrunk = if shrink { simulation.shrink(&schedule) } else { schedule.clone() };
    let outcome = simulation.run_with_log(&shrunk);
    Failure { simulation: simulation.name().to_owned(), schedule, shrunk, outcome }
}
