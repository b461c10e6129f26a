//! Mistakes that the compiler finds: each file of `cases/` must fail to compile, with the words of its `.stderr` file.
//!
//! The words are those of some compiler versions; others say the same in other words, so they only say SKIPPED.
//! After a change of the API: `TRYBUILD=overwrite cargo test --release -p kstreams-ui-tests`, then read the difference.

use std::io::Write;
use std::process::Command;

/// The compilers that say exactly the recorded words.
const RECORDED: [&str; 2] = ["rustc 1.95.", "rustc 1.96."];

#[test]
fn mistakes_are_told_in_words_that_help() {
    let output =
        Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    let version =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if RECORDED.iter().any(|recorded| version.starts_with(recorded)) {
        trybuild::TestCases::new().compile_fail("cases/*.rs");
        return;
    }
    // Past the capture of the test harness: a skipped test says so aloud.
    let line = format!("SKIPPED compiler messages: recorded with {RECORDED:?}, this is {}\n", version.trim());
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
}
