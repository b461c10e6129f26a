//! Runs the cases, several at a time, and says what came out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kstreams::client::ClientSupplier;
use kstreams::client::embedded::EmbeddedKafka;
use kstreams::runtime::clock::SystemClock;

use crate::support::Names;

/// Cases that run at the same time: most of a case is waiting.
const CASES_AT_ONCE: usize = 4;

/// One case: it panics if the Kafka it is given does not behave.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Name of the function.
    pub(crate) name: &'static str,
    /// The case.
    pub(crate) run: fn(&dyn ClientSupplier, &Names),
}

/// Lists functions of this module as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The cases of this file.
        pub(crate) const CASES: &[crate::harness::Case] = &[
            $(crate::harness::Case { name: stringify!($name), run: $name }),*
        ];
    };
}
pub(crate) use cases;

/// What came out of all cases on one Kafka.
pub(crate) enum Outcome {
    /// They ran: how many passed, and which failed.
    Ran {
        /// Number of cases that passed.
        passed: usize,
        /// Names of those that failed.
        failed: Vec<&'static str>,
    },
    /// They did not run.
    Skipped {
        /// Number of cases.
        cases: usize,
        /// Why.
        reason: String,
    },
}

/// Runs the cases on embedded logs, one for each case.
pub(crate) fn run_on_embedded(cases: &[Case]) -> Outcome {
    run(cases, "embedded", |case| {
        let kafka = EmbeddedKafka::new(SystemClock);
        let names = Names::new(case.name, "e", Some(kafka.clone()), std::sync::Arc::new(kafka.clone()));
        (case.run)(&kafka, &names);
    })
}

/// Runs the cases with `one`, several at a time.
pub(crate) fn run(cases: &[Case], on: &str, one: impl Fn(&Case) + Sync) -> Outcome {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let passed = catch_unwind(AssertUnwindSafe(|| one(case))).is_ok();
                    println!("{on} {} ... {}", case.name, if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(case.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    Outcome::Ran { passed: cases.len() - failed.len(), failed }
}

/// Prints what came out, and says whether it is good.
pub(crate) fn report(outcomes: &[(&str, Outcome)]) -> ExitCode {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut good = true;
    println!();
    for (on, outcome) in outcomes {
        match outcome {
            Outcome::Ran { passed, failed } if failed.is_empty() => {
                println!("{on}: {passed} conformance cases passed");
            }
            Outcome::Ran { passed, failed } => {
                println!("{on}: {passed} passed, {} FAILED: {}", failed.len(), failed.join(", "));
                good = false;
            }
            Outcome::Skipped { cases, reason } => {
                println!("{on}: SKIPPED {cases} cases: {reason}");
                good &= !in_ci;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
