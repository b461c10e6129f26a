//! What decides about the engine's settings, printed by one command:
//!
//! ```sh
//! cargo bench -p streams-state --bench engine -- [flush] [memory] [statistics] [--keys N]
//! ```
//!
//! `flush`: sorted runs that RocksDB takes over as files, against sorted write batches; and the reads afterwards.
//! `memory`: many keys under a small block cache, as a process holds them that has little memory: settings beside each other.
//! `statistics`: reads and updates of a store with RocksDB's statistics, against the same without.
//! Each line of the first two is measured in a process of its own, so that its memory is its own. CPU is that of the process, with
//! compactions in the background.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod layout;
mod statistics;

use std::process::Command;
use std::time::Instant;

use cpu_time::{ProcessTime, ThreadTime};
use layout::{Database, Layout, Write};

/// Bytes of a key.
const KEY_BYTES: usize = 16;
/// Reads of each kind.
const READS: u64 = 200_000;
/// Databases of the memory section: tasks of a process.
const DATABASES: u64 = 8;

/// Keys of the memory section, in all databases.
const MEMORY_KEYS: u64 = 10_000_000;

/// One line of a section.
struct Case {
    name: String,
    layout: Layout,
    rows_per_run: u64,
    value_bytes: usize,
    cache_mib: usize,
}

fn main() {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut take = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.remove(at);
        Some(arguments.remove(at))
    };
    let keys: Option<u64> = take("--keys").map(|number| number.parse().unwrap());
    let case: Option<usize> = take("--case").map(|number| number.parse().unwrap());
    let wanted = |section: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == section);
    if wanted("flush") {
        section("flush", &flush_cases(), case, keys.unwrap_or(1_000_000), FLUSH_HEAD, flush);
    }
    if wanted("memory") {
        section("memory", &memory_cases(), case, keys.unwrap_or(MEMORY_KEYS), MEMORY_HEAD, memory);
    }
    if wanted("statistics") {
        statistics::statistics(keys.unwrap_or(1_000_000));
    }
}

/// Prints a table, or, in the process of one case, only its figures.
fn section(
    name: &str,
    cases: &[Case],
    only: Option<usize>,
    keys: u64,
    head: &str,
    measure: impl Fn(&Case, u64) -> String,
) {
    if let Some(only) = only {
        println!("{}", measure(&cases[only], keys));
        return;
    }
    println!("\n{name}, {keys} keys of {KEY_BYTES} B\n{:46} {head}", "");
    for (number, case) in cases.iter().enumerate() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([name, "--case", &number.to_string(), "--keys", &keys.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
        println!("{:46} {}", case.name, String::from_utf8_lossy(&output.stdout).trim_end());
    }
}

// ---- sorted files against write batches ------------------------------------------------------------------------------

const FLUSH_HEAD: &str = "ns/row  with background  longest ms  hit ns  miss ns  files     MB  peak MB";

fn flush_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows_per_run, value_bytes) in [(20_000, 16), (20_000, 100), (200_000, 16), (200_000, 100)] {
        for (what, write) in [("file, ingested", Write::Ingest), ("write batch", Write::Batch)] {
            cases.push(Case {
                name: format!("{rows_per_run} rows a run, values of {value_bytes} B, {what}"),
                layout: Layout { write, ..Layout::default() },
                rows_per_run,
                value_bytes,
                cache_mib: 64,
            });
        }
    }
    cases
}

/// Updates of twice as many rows as there are keys, in sorted runs; then reads.
fn flush(case: &Case, keys: u64) -> String {
    let directory = tempfile::tempdir().unwrap();
    let cache = case.layout.cache(case.cache_mib << 20);
    let database = Database::open(&case.layout, &cache, directory.path());
    let (mut foreground, mut with_background, mut longest) = (0.0, 0.0, 0.0_f64);
    let mut random = Random(1);
    let runs = 2 * keys / case.rows_per_run;
    for _ in 0..runs {
        let run = Run::random(&mut random, case, |random| random.below(keys));
        let (process, thread) = (ProcessTime::now(), ThreadTime::now());
        longest = longest.max(database.apply(run.iter()));
        foreground += thread.elapsed().as_secs_f64();
        with_background += process.elapsed().as_secs_f64();
    }
    let began = ProcessTime::now();
    database.settle();
    with_background += began.elapsed().as_secs_f64();
    let rows = (runs * case.rows_per_run) as f64;
    let (hit, miss) = reads(std::slice::from_ref(&database), keys);
    format!(
        "{:>6.0} {:>16.0} {longest:>11.1} {hit:>7.0} {miss:>8.0} {:>6} {:>6.0} {:>8.0}",
        foreground * 1e9 / rows,
        with_background * 1e9 / rows,
        database.files(),
        database.megabytes(),
        peak_megabytes(),
    )
}

// ---- many keys in little memory --------------------------------------------------------------------------------------

const MEMORY_HEAD: &str = "load us/row  CPU us/row  longest ms  hit us  miss us  files     MB  peak MB";

fn memory_cases() -> Vec<Case> {
    let full = Layout { partitioned: false, ribbon: false, filter_bits: 10.0, ..Layout::default() };
    let settings = [
        ("index and filter one block each", full),
        ("partitioned", Layout { partitioned: true, ..full }),
        ("partitioned, ribbon filter", Layout { partitioned: true, ribbon: true, ..full }),
        ("partitioned, ribbon filter of 7 bits (as set)", Layout::default()),
        ("  read-ahead of 2 MiB", Layout { readahead_kib: 2048, ..Layout::default() }),
        ("  blocks of 4 KiB", Layout { block_kib: 4, ..Layout::default() }),
        ("  blocks of 16 KiB", Layout { block_kib: 16, ..Layout::default() }),
        ("  no compression", Layout { lz4: false, ..Layout::default() }),
        ("  leveled compaction", Layout { leveled: true, ..Layout::default() }),
        ("  hyper clock cache", Layout { hyper_clock: true, ..Layout::default() }),
    ];
    let case = |(name, layout): (&str, Layout)| Case {
        name: name.to_owned(),
        layout,
        rows_per_run: 20_000,
        value_bytes: 100,
        cache_mib: 16,
    };
    settings.map(case).into()
}

/// Each key once, in no order: it is looked for, is not there, and comes with the next run of its database.
fn memory(case: &Case, keys: u64) -> String {
    let directory = tempfile::tempdir().unwrap();
    // Fewer keys get less cache.
    let cache = case.layout.cache((case.cache_mib << 20) * keys as usize / MEMORY_KEYS as usize);
    let databases: Vec<Database> = (0..DATABASES)
        .map(|number| Database::open(&case.layout, &cache, &directory.path().join(number.to_string())))
        .collect();
    let (cpu, began, mut longest) = (ProcessTime::now(), Instant::now(), 0.0_f64);
    let mut random = Random(1);
    for from in (0..keys / DATABASES).step_by(case.rows_per_run as usize) {
        for (number, database) in databases.iter().enumerate() {
            let mut next = from;
            let run = Run::random(&mut random, case, |_| {
                next += 1;
                scattered(next - 1, keys / DATABASES) * DATABASES + number as u64
            });
            run.iter().for_each(|(key, _)| assert!(!database.contains(key) || next > keys / DATABASES));
            longest = longest.max(database.apply(run.iter()));
        }
    }
    databases.iter().for_each(Database::settle);
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64());
    let (hit, miss) = reads(&databases, keys);
    format!(
        "{:>11.2} {:>11.2} {longest:>11.0} {:>7.2} {:>8.2} {:>6} {:>6.0} {:>8.0}",
        wall * 1e6 / keys as f64,
        cpu * 1e6 / keys as f64,
        hit / 1e3,
        miss / 1e3,
        databases.iter().map(Database::files).sum::<u64>(),
        databases.iter().map(Database::megabytes).sum::<f64>(),
        peak_megabytes(),
    )
}

/// The order in which the memory section writes the keys of a database.
fn scattered(number: u64, keys: u64) -> u64 {
    (number * 7_654_321 + 13) % keys
}

/// Mean ns of a read of a key that is there, and of one that is not. A key belongs to one of the databases.
fn reads(databases: &[Database], keys: u64) -> (f64, f64) {
    let mut random = Random(2);
    let mut time = |present: bool| {
        let wanted: Vec<([u8; KEY_BYTES], usize)> = (0..READS)
            .map(|_| {
                let number = random.below(keys);
                (if present { key(number) } else { missing_key(number) }, number as usize % databases.len())
            })
            .collect();
        let began = ThreadTime::now();
        let found = wanted.iter().filter(|(key, database)| databases[*database].contains(key)).count();
        assert!(if present { found as u64 > READS / 2 } else { found == 0 });
        began.elapsed().as_secs_f64() * 1e9 / READS as f64
    };
    (time(true), time(false))
}

// ---- data ------------------------------------------------------------------------------------------------------------

fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"key-000000000000";
    let digits = number.to_string();
    key[KEY_BYTES - digits.len()..].copy_from_slice(digits.as_bytes());
    key
}

/// Between the keys, so that only a filter knows that it is not there.
fn missing_key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = key(number);
    key[KEY_BYTES - 1] += 32;
    key
}

/// Sorted rows.
struct Run {
    rows: Vec<([u8; KEY_BYTES], u32)>,
    values: Vec<u8>,
    value_bytes: usize,
}

impl Run {
    fn random(random: &mut Random, case: &Case, mut number: impl FnMut(&mut Random) -> u64) -> Self {
        let mut rows: Vec<_> = (0..case.rows_per_run as u32).map(|row| (key(number(random)), row)).collect();
        rows.sort_unstable();
        rows.dedup_by_key(|(key, _)| *key);
        let mut values = vec![b'-'; rows.len() * case.value_bytes];
        // Half of a value is digits, the rest compresses to nothing.
        for value in values.chunks_exact_mut(case.value_bytes) {
            for byte in &mut value[..case.value_bytes / 2] {
                *byte = b'0' + random.below(10) as u8;
            }
        }
        Self { rows, values, value_bytes: case.value_bytes }
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows
            .iter()
            .zip(self.values.chunks_exact(self.value_bytes))
            .map(|((key, _), value)| (&key[..], value))
    }
}

/// SplitMix64: the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The most memory that this process has used, in MB.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0) * 1024.0 / 1e6
}
