//! The inputs are tried in a process of their own: one that asks for more memory than there is, or for more stack, ends it without a word.
//!
//! In: the process that works says which decoder it is at. Out: if it dies, that decoder is tried again step by step, to find the input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// Path of the file in which the working process says where it is.
const FILE: &str = "KSTREAMS_FUZZ_PROGRESS";
/// Set if it is to say each input, which takes time.
const STEPS: &str = "KSTREAMS_FUZZ_STEPS";

/// Where the working process is.
pub(crate) struct Progress {
    file: PathBuf,
    steps: bool,
}

impl Progress {
    /// `None`: this process is the one that watches.
    pub(crate) fn of_worker() -> Option<Self> {
        let file = std::env::var_os(FILE)?.into();
        Some(Self { file, steps: std::env::var_os(STEPS).is_some() })
    }

    /// A decoder is to be tried.
    pub(crate) fn decoder(&self, name: &str) {
        if !self.steps {
            fs::write(&self.file, name).unwrap();
        }
    }

    /// An input is to be tried.
    pub(crate) fn input(&self, number: u64) {
        if self.steps {
            fs::write(&self.file, number.to_string()).unwrap();
        }
    }
}

/// Runs this program again with `arguments`, and says what ended it.
pub(crate) fn watch(arguments: &[String]) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("progress");
    let first = run(arguments, &file, false);
    if let Some(code) = first.code().and_then(|code| u8::try_from(code).ok()) {
        return ExitCode::from(code);
    }
    let decoder = fs::read_to_string(&file).unwrap_or_default();
    let only = [arguments, &["--only".to_owned(), decoder.clone()]].concat();
    let second = run(&only, &file, true);
    let number = fs::read_to_string(&file).unwrap_or_default();
    println!("FAILED {decoder}: input {number} ended the process ({first}, and again: {second})");
    println!("  again: make fuzz ARGS=\"{} --only '{decoder}' --input {number}\"", arguments.join(" "));
    println!("0 inputs, 1 decoders, 1 failures");
    ExitCode::FAILURE
}

fn run(arguments: &[String], file: &Path, steps: bool) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env(FILE, file);
    if steps {
        command.env(STEPS, "1");
    }
    command.status().unwrap()
}
