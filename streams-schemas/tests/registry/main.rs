//! One suite, two registries: every case runs on the registry in memory and on a real one, Apicurio Registry 2.5.11, with the same
//! assertions. This is what makes tests on the one in memory evidence.
//!
//! The real one is started by `scripts/registry up`, or named by `SCHEMA_REGISTRY_URL`. Without it that half says SKIPPED, and fails
//! if `CI=true`. Words on the command line choose the cases whose name contains one of them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

mod evolution;
mod formats;
mod place;
mod questions;
mod serdes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use place::{Apicurio, Case, Place};

fn cases() -> Vec<Case> {
    [questions::CASES, serdes::CASES, formats::CASES, evolution::CASES].concat()
}

fn run(on: &str, cases: &[Case], place: impl Fn(&'static str) -> Place) -> bool {
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(name, case)| {
            let place = place(name);
            let passed = catch_unwind(AssertUnwindSafe(|| case(&place))).is_ok();
            println!("{on} {name} ... {}", if passed { "ok" } else { "FAILED" });
            !passed
        })
        .map(|(name, _)| *name)
        .collect();
    match failed.as_slice() {
        [] => println!("{on}: {} schema registry cases passed", cases.len()),
        failed => println!("{on}: FAILED: {}", failed.join(", ")),
    }
    failed.is_empty()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |(name, _): &Case| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let cases: Vec<Case> = cases().into_iter().filter(chosen).collect();
    let mut good = run("in memory", &cases, Place::in_memory);
    match Apicurio::start() {
        Ok(apicurio) => good &= run("Apicurio", &cases, |name| Place::http(name, apicurio.url())),
        Err(reason) => {
            println!("SKIPPED {} schema registry cases on a real registry: {reason}", cases.len());
            good &= !std::env::var("CI").is_ok_and(|value| value == "true");
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
