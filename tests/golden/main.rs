//! The golden data: bytes, names and tables recorded from Kafka Streams 4.3.1, made again with this library and
//! compared. Comes in: a folder of files (`cargo test --test golden`, or `make -s golden VECTORS=DIR`). Goes out: one
//! line a file, then each vector that differs. Never skips a list of a file, and never fits itself to a vector.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

// Files, hexadecimal text, fields of a vector.
mod vectors;
// What became of the vectors of a file.
mod tally;
// Keys to partitions.
mod partitioner;
// Values to bytes and back.
mod serdes;
// Store keys, row values, internal records.
mod keys;
// The text beside committed offsets.
mod offset_metadata;
// Topologies, their names and internal topics.
mod describe;
// Settings.
mod config;
// Metrics of a running application.
mod metrics;
// And of its clients.
mod client_metrics;
// And of each of its stores.
mod store_metrics;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::tally::Tally;

const USAGE: &str = "usage: golden [--only FILE] [--limit N] [DIR]
  DIR          folder with the files, *.json or *.json.gz; default tests/data/golden
  --only FILE  one file, e.g. keys
  --limit N    print at most N vectors that differ (default 1000)";

/// A file's name, and what judges it. The last: how many vectors the file of this repository has at least, so that
/// none gets lost.
type Judge = (&'static str, fn(&Value, &mut Tally), usize);

const JUDGES: [Judge; 8] = [
    ("partitioner", partitioner::judge, 1593),
    ("serdes", serdes::judge, 1073),
    ("keys", keys::judge, 1110),
    ("offset_metadata", offset_metadata::judge, 193),
    ("describe", describe::judge, 293),
    ("config", config::judge, 402),
    ("metrics", metrics::judge, 362),
    ("store_metrics", store_metrics::judge, 24),
];

struct Options {
    folder: Option<PathBuf>,
    only: Option<String>,
    limit: usize,
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
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// Judges all files of the folder. Whether everything is equal.
fn run(options: &Options) -> Result<bool, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let folder = options.folder.as_deref().unwrap_or(&own);
    let mut tallies = Vec::new();
    for (name, judge, least) in JUDGES {
        if options.only.as_deref().is_some_and(|only| only.trim_end_matches(".json") != name) {
            continue;
        }
        let Some(file) = vectors::file(folder, name)? else { continue };
        let mut tally = Tally::new(name, options.folder.is_none().then_some(least));
        judge(&file, &mut tally);
        println!("{}", tally.line());
        tallies.push(tally);
    }
    if tallies.is_empty() {
        return Err(format!("{}: no golden file", folder.display()));
    }
    let mut left = options.limit;
    for tally in &tallies {
        left = tally.print_differences(left);
    }
    Ok(tallies.iter().all(Tally::holds))
}

/// The options of a command line; `None` if there is nothing to do (a test harness asks for its list).
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { folder: None, only: None, limit: 1000 };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--only" => options.only = Some(value()?),
            "--limit" => {
                options.limit = value()?.parse().map_err(|error| format!("--limit: {error}"))?;
            }
            "--list" => return Ok(None),
            // What `cargo test` hands to every test.
            "--quiet" | "-q" | "--nocapture" | "--show-output" => {}
            "--test-threads" | "--format" | "--color" => drop(value()?),
            flag if flag.starts_with("--test-threads=") || flag.starts_with("--format=") => {}
            flag if flag.starts_with('-') => return Err(format!("{flag} is unknown")),
            folder => options.folder = Some(folder.into()),
        }
    }
    Ok(Some(options))
}
