//! Every decoder of bytes that others wrote, against damaged bytes. Comes in: how many inputs for each decoder, and a seed
//! (`make fuzz RUNS=N SEED=S`). Goes out: a line for each decoder, then for each rule that was broken the input, as hexadecimal text and
//! as a command that tries it again. The rules are those of [`decoder`]; inputs are the corpus ([`corpus`]) with damage ([`mutate`]).
//!
//! | bytes | read by | tried in |
//! |---|---|---|
//! | keys and values of records | `serdes`: Java's layouts, charsets, lists, windowed keys, `Auto`, JSON | [`serdes`] |
//! | values of rows | `format::{value_and_timestamp, headers, value_timestamp_headers, aggregation_with_headers, changelog_value}` | [`formats`] |
//! | versioned rows, positions | `format::{versioned_row, position}` | [`formats`] |
//! | keys of windows and sessions, bounds | `format::{window_key, session_key, range_bounds}` | [`formats`] |
//! | outer joins | `format::{timestamped_key_and_join_side, left_or_right_value, list}` | [`formats`] |
//! | table repartition | `format::change` | [`formats`] |
//! | foreign-key joins | `format::{subscription_wrapper, subscription_response, combined_key}` | [`formats`] |
//! | suppress, joins with grace | `format::{buffer_value` v0 to v3`, record_context, grace_buffer_key}` | [`formats`] |
//! | changelog records, null and headers included | `StateStore::restore_record`, `BulkRestore`, of each kind of store | [`stores`] |
//! | rows of an engine | the layouts of each kind of store, its counts and its stream time | [`stores`] |
//! | whose rows an engine holds | `engine::Identity` | [`files`] |
//! | `.format`, `kafka-streams-process-metadata` | `StateDirectory::open` | [`files`] |
//! | names of task directories | `TaskId` | [`files`] |
//! | `checkpoint.json`, damaged and forged | `Checkpoint::{read, check, take_over}` | [`files`] |
//! | `.checkpoint` of the global stores | the start of an application with a global table | [`applications`] |
//! | text beside committed offsets | `OffsetMetadata` | [`settings`] |
//! | properties files, settings, their values | `read_properties_file`, `StreamsConfig`, `OffsetReset`, `TopologyOptimization`, `Charset`, `TimestampPolicy` | [`settings`] |
//! | snapshots of topologies | `TopologySnapshot::{from_json, diff}` | [`settings`] |
//! | `traceparent`, `tracestate` in headers of records | `TraceParent`, `TraceState`, `TraceContext` | [`traces`] |
//! | whole records with any timestamp, in input and internal topics | tasks, sources, operators, dead letters | [`applications`] |
//!
//! Not here, because nothing of ours takes bytes apart: what librdkafka hands over (`client/rdkafka/ffi`: pointers with lengths, C strings),
//! its statistics (not asked for), the embedded log (records come in as values), RocksDB's files (it has checksums: `corruption`, `kill`),
//! dead letters (written only). `format::{murmur3, segment_interval}` take numbers or hash, `reader` and `varint` are below all others.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod applications;
mod changelog;
mod corpus;
mod decoder;
mod files;
mod formats;
mod mutate;
mod progress;
mod serdes;
mod settings;
mod stores;
mod traces;
// An engine that keeps its rows, for stores that are opened again.
#[path = "../../streams-state/tests/model/engines.rs"]
mod engines;

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::path::Path;
use std::process::ExitCode;

use crate::corpus::Corpus;
use crate::decoder::{Decoder, LARGE_BYTES};
use crate::mutate::Random;
use crate::progress::Progress;

const USAGE: &str = "usage: fuzz [--runs N] [--seed S] [--only NAME] [--input NUMBER]";
/// Inputs for each decoder in `make test`.
const RUNS: u64 = 50_000;
const SEED: u64 = 1;
/// Bytes of an input that are printed.
const SHOWN_BYTES: usize = 2048;
/// Large inputs for each decoder, beside its worst.
const LARGE_RUNS: u64 = 7;

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the last panic of this thread said, and where.
fn last_panic() -> String {
    PANIC.take()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug)]
struct Options {
    runs: u64,
    seed: u64,
    only: Option<String>,
    /// This input only.
    input: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match options(arguments.iter().cloned()) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Progress::of_worker() {
        Some(progress) => work(&options, &progress),
        None => progress::watch(&arguments),
    }
}

/// Tries all decoders that are wanted.
fn work(options: &Options, progress: &Progress) -> ExitCode {
    let decoders = decoders();
    let says_where = options.input.is_some();
    std::panic::set_hook(Box::new(move |panic| {
        let from = if says_where { format!("\n{}", Backtrace::force_capture()) } else { String::new() };
        PANIC.set(format!("{panic}{from}"));
    }));
    let exact = decoders.iter().any(|decoder| options.only.as_deref() == Some(decoder.name));
    let wanted = |decoder: &&Decoder| match options.only.as_deref() {
        Some(only) if exact => decoder.name == only,
        Some(only) => decoder.name.contains(only),
        None => true,
    };
    let (mut inputs, mut tried, mut failures) = (0, 0, missing_layouts(&decoders));
    for decoder in decoders.iter().filter(wanted) {
        progress.decoder(decoder.name);
        tried += 1;
        let (count, accepted, failure) = fuzz(decoder, options, progress);
        inputs += count;
        println!("{:<40} {count:>9} inputs, {accepted:>9} taken, held {:>3} x", decoder.name, decoder.held());
        let failure = failure.or_else(|| {
            let never = accepted == 0 && options.input.is_none();
            never.then(|| format!("FAILED {}: it takes nothing, its corpus is another's", decoder.name))
        });
        if let Some(failure) = failure {
            failures += 1;
            println!("{failure}");
        }
    }
    println!("{inputs} inputs, {tried} decoders, {failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many files of layouts have no decoder here. Its name begins with that of the file.
fn missing_layouts(decoders: &[Decoder]) -> usize {
    const NO_DECODERS: [&str; 5] = ["mod", "reader", "varint", "murmur3", "segment_interval"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("streams-state/src/format");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let layouts = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    let missing = layouts.filter(|layout| {
        let tried = decoders.iter().any(|decoder| decoder.name.starts_with(layout.as_str()));
        !tried && !NO_DECODERS.contains(&layout.as_str())
    });
    missing
        .inspect(|layout| println!("FAILED streams-state/src/format/{layout}.rs has no decoder here"))
        .count()
}

fn decoders() -> Vec<Decoder> {
    let corpus = Corpus::load();
    let mut decoders = formats::decoders(&corpus);
    decoders.extend(serdes::decoders(&corpus));
    decoders.extend(stores::decoders(&corpus));
    decoders.extend(files::decoders());
    decoders.extend(settings::decoders(&corpus));
    decoders.extend(traces::decoders());
    decoders.extend(applications::decoders());
    decoders
}

fn fuzz(decoder: &Decoder, options: &Options, progress: &Progress) -> (u64, u64, Option<String>) {
    let mut count = 0;
    let mut accepted = 0;
    let large_from = decoder.seeds.len() as u64 + options.runs / decoder.one_of;
    for number in 0..=large_from + LARGE_RUNS {
        if options.input.is_some_and(|only| only != number) {
            continue;
        }
        let mut random = Random::new(options.seed, decoder.name, number);
        let input = match usize::try_from(number).ok().and_then(|number| decoder.seeds.get(number)) {
            Some(seed) => seed.clone(),
            None if number < large_from => mutate::input(&mut random, &decoder.seeds),
            None if number == large_from && decoder.worst.is_some() => {
                decoder.worst.clone().unwrap_or_default()
            }
            None => mutate::repeated(&mut random, &decoder.seeds, LARGE_BYTES),
        };
        count += 1;
        progress.input(number);
        match decoder.judge(&input) {
            Ok(taken) => accepted += u64::from(taken),
            Err(what) => {
                let text = failed(decoder.name, number, options, &what, &input);
                return (count, accepted, Some(text));
            }
        }
    }
    (count, accepted, None)
}

/// What is said of an input that broke a rule.
fn failed(decoder: &str, number: u64, options: &Options, what: &str, input: &[u8]) -> String {
    let shown = hex(&input[..input.len().min(SHOWN_BYTES)]);
    let Options { seed, runs, .. } = options;
    format!(
        "FAILED {decoder}: {what}\n  {} bytes: {shown}\n  again: make fuzz RUNS={runs} SEED={seed} ARGS=\"--only '{decoder}' --input {number}\"",
        input.len()
    )
}

/// The options of a command line; `None` if there is nothing to do (a test harness asks for its list).
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { runs: RUNS, seed: SEED, only: None, input: None };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|error| format!("{text}: {error}"));
        match argument.as_str() {
            "--runs" => options.runs = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--only" => options.only = Some(value()?),
            "--input" => options.input = Some(number(value()?)?),
            "--list" => return Ok(None),
            // What `cargo test` hands to every test.
            "--quiet" | "-q" | "--nocapture" | "--show-output" => {}
            "--test-threads" | "--format" | "--color" => drop(value()?),
            flag if flag.starts_with("--test-threads=") || flag.starts_with("--format=") => {}
            flag => return Err(format!("{flag} is unknown")),
        }
    }
    Ok(Some(options))
}
