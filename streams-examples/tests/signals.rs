//! The built word count and the signals that end it. Can catch: a SIGTERM that loses what was fed, that takes longer than it may because
//! something hangs, or that a second one does not cut short.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a pipe takes before its writer waits, on Linux.
const PIPE_BYTES: usize = 64 * 1024;

/// Word count on the embedded log, which waits for more input, and the first lines that it said.
struct WordCount {
    child: Child,
    _state: tempfile::TempDir,
}

impl WordCount {
    /// Runs until it counts what stands on its standard input, which stays open.
    fn counting(arguments: &[&str], stdout: Stdio) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_word_count"))
            .args(["--input", "-", "--state-dir"])
            .arg(state.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"to be or not to be\n").unwrap();
        // Each second it says how far it is.
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(" 6 words ")), "counts");
        Self { child, _state: state }
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// What it left, and how long that took from now on.
    fn end(self) -> (Output, Duration) {
        let began = Instant::now();
        let Self { mut child, _state } = self;
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        (output, began.elapsed())
    }
}

/// A standard output that takes nothing: a process that prints stands still, as behind a terminal or a log that hangs.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&vec![b'.'; PIPE_BYTES]).unwrap();
    (reader, writer.into())
}

#[test]
fn a_signal_ends_it_in_order_and_in_time() {
    for signal in ["TERM", "INT"] {
        let word_count = WordCount::counting(&[], Stdio::piped());
        word_count.signal(signal);
        let (output, took) = word_count.end();
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:?}");
        assert!(took < Duration::from_secs(20), "{signal}: {took:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("6 words, 4 of them different"), "all that was fed: {said}");
    }
}

#[test]
fn a_process_that_hangs_ends_at_its_deadline() {
    let (_reader, stdout) = full_pipe();
    let word_count = WordCount::counting(&["--stop-timeout", "2"], stdout);
    word_count.signal("TERM");
    let (output, took) = word_count.end();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("not closed 2s after the signal"), "{said}");
    assert!((2..20).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (_reader, stdout) = full_pipe();
    let mut word_count = WordCount::counting(&["--stop-timeout", "600"], stdout);
    word_count.signal("TERM");
    // The two must not melt into one: until the first was taken.
    let pending = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", word_count.child.id())).unwrap();
        status.lines().any(|line| line.starts_with("ShdPnd:") && !line.ends_with("0000000000000000"))
    };
    while pending() {
        std::thread::yield_now();
    }
    word_count.signal("TERM");
    let said = {
        let stderr = BufReader::new(word_count.child.stderr.as_mut().unwrap()).lines();
        stderr.map(Result::unwrap).find(|line| line.contains("second signal"))
    };
    let (output, took) = word_count.end();
    assert_eq!(output.status.code(), Some(130), "{said:?}");
    assert!(said.is_some() && took < Duration::from_secs(20), "{took:?}");
}
