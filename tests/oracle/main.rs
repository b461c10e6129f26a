//! The oracle: runs recorded topologies on our library and compares with what Kafka Streams 4.3.1 did.
//! Comes in: case files (`cargo test --test oracle`, or `make -s oracle CASES=DIR`). Goes out: one line a level,
//! then the first difference of each failing case. Never fits itself to a case: the functions and the meaning of
//! "equal" are those of the case files.
#![allow(clippy::print_stdout, clippy::print_stderr)]

// Case files.
mod case;
// The functions that cases name.
mod functions;
// Bytes as text.
mod base64;
// What "equal" means.
mod compare;
// Processors of the cases.
mod processors;
// Transformers of the cases.
mod transformers;
// A case's steps as calls of our DSL.
mod topology;
// What is in the stores.
mod stores;
// A case, from build to the last input item.
mod run;
// Counts and prints.
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::case::Case;
use crate::report::Verdict;
use crate::run::Mode;

const USAGE: &str = "usage: oracle [--filter ID] [--limit N] [FILE or DIR ...]
  FILE or DIR  case files, *.jsonl or *.jsonl.gz; default tests/data/oracle
  --filter ID  only cases whose id contains ID
  --limit N    print at most N differences (default 10)
  --on-disk    stores on RocksDB, with no memory but the case's cache, and a flush after each input item: slower, same results";

struct Options {
    paths: Vec<PathBuf>,
    filter: Option<String>,
    limit: usize,
    on_disk: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match cases(&options) {
        Ok(cases) if cases.is_empty() => {
            eprintln!("no case to run");
            ExitCode::from(2)
        }
        Ok(cases) => {
            let mode = Mode { on_disk: options.on_disk, in_panes: false };
            let equal = report::print(&run_all(&cases, mode), options.limit);
            println!("hopping windows in panes, without changelogs:");
            let in_panes = run_all(&cases, Mode { in_panes: true, ..mode });
            match report::print(&in_panes, options.limit) && equal {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// `None`: there is nothing to run. `cargo test` passes its own flags to every test binary; those are accepted.
fn options(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { paths: Vec::new(), filter: None, limit: 10, on_disk: false };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut value = |flag: &str| arguments.next().ok_or(format!("{flag} needs a value"));
        match argument.as_str() {
            "--filter" => options.filter = Some(value("--filter")?),
            "--limit" => options.limit = value("--limit")?.parse().map_err(|_| "--limit needs a number")?,
            "--on-disk" if cfg!(feature = "rocksdb") => options.on_disk = true,
            "--on-disk" => return Err("--on-disk needs the feature rocksdb".to_owned()),
            "--list" => return Ok(None),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" | "--include-ignored" => {}
            flag if flag.starts_with("--test-threads") => {
                if !flag.contains('=') {
                    value(flag)?;
                }
            }
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
            path => options.paths.push(path.into()),
        }
    }
    if options.paths.is_empty() {
        options.paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle"));
    }
    Ok(Some(options))
}

fn cases(options: &Options) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for path in &options.paths {
        for file in case::files(path)? {
            cases.append(&mut case::read(&file)?);
        }
    }
    if let Some(filter) = &options.filter {
        cases.retain(|case| case.id.contains(filter));
    }
    Ok(cases)
}

/// Runs all cases on all processors; verdicts come in the order of the cases.
fn run_all(cases: &[Case], mode: Mode) -> Vec<Verdict> {
    // A panic belongs to its case and is reported there.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, case)) = next_case(cases, &next) {
                    let Some(verdict) = run::verdict(case, mode) else { continue };
                    verdicts.lock().unwrap_or_else(|poison| poison.into_inner()).push((index, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(|poison| poison.into_inner());
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn next_case<'a>(cases: &'a [Case], next: &AtomicUsize) -> Option<(usize, &'a Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, case))
}
