//! One suite, two Kafkas: every case runs on the embedded log and on a real 4.3.1 broker, with the same assertions.
//!
//! This is what makes tests on the embedded log evidence. The broker is started by `scripts/kafka up`, or named by
//! `CONFORMANCE_BOOTSTRAP=host:port`. Without one the broker half says SKIPPED with a count, and fails if `CI=true`.
//! Words on the command line choose the cases whose name contains one of them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

mod admin;
mod admin_changes;
mod applications;
mod broker;
mod client_metrics;
mod compaction;
mod dead_letters;
mod errors;
mod groups;
mod harness;
mod members;
mod membership_lost;
mod offsets_and_timestamps;
mod ported_eos;
mod ported_threads;
mod records;
#[cfg(feature = "rdkafka")]
#[path = "../broker/mod.rs"]
mod start;
mod static_membership;
mod support;
mod transaction_fencing;
mod transaction_offsets;
mod transactions;
mod typed_consumer;
mod typed_cooperative;
mod typed_groups;
mod typed_producer;
mod typed_stream;
mod typed_support;
mod typed_transactions;

use harness::Case;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend_from_slice(offsets_and_timestamps::CASES);
    cases.extend_from_slice(records::CASES);
    cases.extend_from_slice(transactions::CASES);
    cases.extend_from_slice(transaction_offsets::CASES);
    cases.extend_from_slice(transaction_fencing::CASES);
    cases.extend_from_slice(groups::CASES);
    cases.extend_from_slice(membership_lost::CASES);
    cases.extend_from_slice(static_membership::CASES);
    cases.extend_from_slice(compaction::CASES);
    cases.extend_from_slice(errors::CASES);
    cases.extend_from_slice(admin::CASES);
    cases.extend_from_slice(admin_changes::CASES);
    cases.extend_from_slice(typed_producer::CASES);
    cases.extend_from_slice(typed_transactions::CASES);
    cases.extend_from_slice(typed_consumer::CASES);
    cases.extend_from_slice(typed_groups::CASES);
    cases.extend_from_slice(typed_cooperative::CASES);
    cases.extend_from_slice(typed_stream::CASES);
    cases.extend_from_slice(applications::CASES);
    cases.extend_from_slice(client_metrics::CASES);
    cases.extend_from_slice(dead_letters::CASES);
    cases.extend_from_slice(ported_eos::CASES);
    cases.extend_from_slice(ported_threads::CASES);
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name would share their topics");
    cases
}

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |case: &Case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()));
    let cases: Vec<Case> = cases().into_iter().filter(chosen).collect();
    let embedded = harness::run_on_embedded(&cases);
    let broker = broker::run(&cases);
    harness::report(&[("embedded log", embedded), ("broker", broker)])
}
