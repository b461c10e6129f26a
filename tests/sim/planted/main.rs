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

/// Schedules that a defect may take to be found.
const SCHEDULES_MAX: u64 = 10_000;

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let target = target_directory();
    let copy = target.join("sources");
    let misplaced = sources::misplaced(&root);
    assert!(misplaced.is_empty(), "{}", misplaced.join("\n"));
    sources::copy_planted(&root, &copy);
    let program = build(&copy, &target);
    if let Err(words) = run(&program, None, 200) {
        println!("planted bugs: the simulation fails without any:\n{words}");
        return ExitCode::FAILURE;
    }
    let wanted: Vec<&Bug> =
        BUGS.iter().filter(|bug| only.is_empty() || only.iter().any(|it| it == bug.name)).collect();
    let mut found = 0;
    for bug in &wanted {
        match run(&program, Some(bug.name), SCHEDULES_MAX) {
            Ok(schedules) => {
                println!("planted {:32} NOT FOUND in {schedules} schedules ({})", bug.name, bug.like)
            }
            Err(words) => {
                found += 1;
                let after =
                    words.lines().rev().find_map(|line| line.split_once(" schedules, ")).map(|it| it.0);
                let what = words.lines().find(|line| line.starts_with("  ")).unwrap_or_default();
                let what: String = what.trim().chars().take(90).collect();
                println!("planted {:32} found after {:>5} schedules: {what}", bug.name, after.unwrap_or("?"));
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
        ])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let built = words.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = built.filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned())).last();
    PathBuf::from(program.unwrap())
}

/// Runs the simulation with a defect. `Ok`: nothing was found; else what it says.
fn run(program: &Path, bug: Option<&str>, schedules: u64) -> Result<u64, String> {
    let mut command = Command::new(program);
    command.args(["--runs", &schedules.to_string(), "--seed", "1", "--only-search"]);
    if let Some(bug) = bug {
        command.env("KSTREAMS_PLANTED", bug);
    }
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(schedules)
    } else {
        Err(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
