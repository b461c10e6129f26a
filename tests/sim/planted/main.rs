//! Whether the simulation finds what it is for: defects are planted into a copy of the sources, switched on one at a time, and each
//! must be found. Prints the number of schedules that it took.
//!
//! A simulation that finds nothing may look at nothing: this is its test. The sources themselves have no switches; a defect is a
//! place in a file and what stands there instead (`bugs.rs`). If the place has changed, this says so.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

mod sources;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sources::{BUGS, Bug};

/// Schedules that a defect may take to be found, of all workloads in turn, and then of each alone.
const SCHEDULES_MAX: u64 = 10_000;
/// What may be run alone.
const WORKLOADS: [&str; 5] = ["bank", "echo-sum", "ids", "join", "retries"];

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let target = target_directory();
    let copy = target.join("sources");
    let misplaced = sources::misplaced(&root);
    assert!(misplaced.is_empty(), "{}", misplaced.join("\n"));
    sources::copy_planted(&root, &copy);
    let program = build(&copy, &target);
    if let Err(words) = run(&program, None, None, 200) {
        println!("planted bugs: the simulation fails without any:\n{words}");
        return ExitCode::FAILURE;
    }
    let wanted: Vec<&Bug> =
        BUGS.iter().filter(|bug| only.is_empty() || only.iter().any(|it| it == bug.name)).collect();
    let mut found = 0;
    for bug in &wanted {
        match search(&program, bug.name) {
            Found::Not(schedules) => {
                println!("planted {:32} NOT FOUND in {schedules} schedules ({})", bug.name, bug.like)
            }
            Found::After { schedules, what } => {
                found += 1;
                println!("planted {:32} found after {schedules:>5} schedules: {what}", bug.name);
            }
        }
    }
    println!("planted bugs: {found} of {} found", wanted.len());
    ExitCode::from(u8::from(found < wanted.len()))
}

/// A target directory of its own, which later runs use again.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    // target/<profile>/deps/planted-<hash>
    program.ancestors().nth(3).unwrap().join("planted")
}

/// Builds the simulation of the copy; gives the path of the program.
fn build(copy: &Path, target: &Path) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "test",
            "--no-run",
            "--message-format",
            "json-render-diagnostics",
            "-p",
            "kstreams-sim-tests",
            "--test",
            "sim",
            // It needs no RocksDB, whose build takes minutes.
            "--no-default-features",
        ])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let built = words.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = built.filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned())).last();
    PathBuf::from(program.unwrap())
}

/// Whether a defect was found.
enum Found {
    Not(u64),
    After { schedules: u64, what: String },
}

/// Looks for a defect.
fn search(program: &Path, bug: &str) -> Found {
    let mut before = 0;
    for workload in std::iter::once(None).chain(WORKLOADS.map(Some)) {
        let Err(words) = run(program, Some(bug), workload, SCHEDULES_MAX) else {
            before += SCHEDULES_MAX;
            continue;
        };
        let last = words.lines().rev().find_map(|line| line.split_once(" schedules, "));
        let schedules: u64 = last.and_then(|(schedules, _)| schedules.parse().ok()).unwrap_or_default();
        let what = words.lines().find(|line| line.starts_with("  ")).unwrap_or_default();
        let what = what.trim().chars().take(90).collect();
        return Found::After { schedules: before + schedules, what };
    }
    Found::Not(before)
}

/// Runs the simulation with a defect. `Ok`: nothing was found; else what it says.
fn run(program: &Path, bug: Option<&str>, workload: Option<&str>, schedules: u64) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(["--runs", &schedules.to_string(), "--seed", "1", "--only-search"]);
    if let Some(workload) = workload {
        command.args(["--only", workload]);
    }
    if let Some(bug) = bug {
        command.env("KSTREAMS_PLANTED", bug);
    }
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}
