//! Schedules that are not drawn: those that once failed, each single and double crash of a short run, and the same twice.

use std::fs;
use std::path::Path;

use kstreams::sim::{CallFault, Event, Schedule, Simulation};

use crate::sources;

/// A schedule of which something is wrong.
pub(crate) struct Wrong {
    pub(crate) name: String,
    pub(crate) violations: Vec<String>,
}

/// What once failed: `regressions/<workload>.<story>.json`, as a failure prints it.
pub(crate) fn regressions(simulations: &[Simulation]) -> (u64, Vec<Wrong>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let workload = name.split('.').next().unwrap();
        let simulation = simulations.iter().find(|it| it.name() == workload);
        let Some(simulation) = simulation else { continue };
        let schedule: Schedule = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        count += 1;
        let violations = simulation.run(&schedule).violations;
        if !violations.is_empty() {
            wrong.push(Wrong { name, violations });
        }
    }
    (count, wrong)
}

/// Where `make planted` plants its defects.
pub(crate) fn places_of_defects() -> (usize, Option<Wrong>) {
    let violations = sources::misplaced(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let wrong = Wrong { name: "places of defects".to_owned(), violations };
    (sources::BUGS.len(), Some(wrong).filter(|wrong| !wrong.violations.is_empty()))
}

/// The same schedule gives the same run, call by call.
pub(crate) fn twice(simulations: &[Simulation]) -> (u64, Vec<Wrong>) {
    let mut wrong = Vec::new();
    let seeds = 0..40;
    for seed in seeds.clone() {
        let simulation = &simulations[seed as usize % simulations.len()];
        let schedule = Schedule::of(seed);
        let [one, other] = [simulation.run(&schedule), simulation.run(&schedule)];
        if one.trace != other.trace {
            let violations = vec!["the same schedule gave two runs".to_owned()];
            wrong.push(Wrong { name: format!("seed {seed} of {}", simulation.name()), violations });
        }
    }
    (2 * seeds.count() as u64, wrong)
}

/// A short run that dies at each of its calls in turn, before or after it; and then once more, at each seventh call from there on.
pub(crate) fn every_crash(simulations: &[Simulation]) -> (u64, Vec<Wrong>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for simulation in simulations {
        let quiet = Schedule {
            instances: 1,
            threads: 1,
            records: 6,
            exactly_once: true,
            latency_ms: 0,
            marker_ms: 0,
            flush_one_in: 4,
            commit_interval_ms: 1_500,
            ..Schedule::of(3).without_faults()
        };
        let calls = CALLS_MAX.min(simulation.run(&quiet).calls as u32);
        for first in 0..calls {
            let fault = if first % 2 == 0 { CallFault::CrashBefore } else { CallFault::CrashAfter };
            let second = (first % 7 == 0).then(|| first + 1 + first % 23);
            let nths = [Some(first), second];
            let crash = |nth: u32| Event::Call { instance: 0, step: None, nth, fault };
            let events = nths.into_iter().flatten().map(crash).collect();
            count += 1;
            let violations = simulation.run(&Schedule { events, ..quiet.clone() }).violations;
            if !violations.is_empty() {
                let name = format!("{} dies at calls {nths:?}", simulation.name());
                wrong.push(Wrong { name, violations });
            }
        }
    }
    (count, wrong)
}

/// Calls at which the short run dies: most of the later ones are polls that find nothing.
const CALLS_MAX: u32 = 300;
