//! Runs programs that keep the contract of `workload` one after the other on the same input topics of one broker, and
//! prints what they cost and whether they wrote the same. `scripts/compare` calls it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use kstreams::client::{Consumer, ConsumerSettings, RecordSink, Slot};
use kstreams::record::RawRecord;
use kstreams::types::TopicPartition;
use streams_examples::demo::{App, Failure, Feeder, Options, report};
use streams_examples::process::{cpu_seconds, peak_memory};

const PARTITIONS: i32 = 4;
/// Share of the results after which the steady part begins: start-up and JIT compilation lie before it.
const STEADY_FROM: f64 = 0.3;
/// A run without new results for so long has failed.
const STALLED: Duration = Duration::from_secs(60);

/// Compares programs on the same topics of the same broker.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Workloads, separated by commas
    #[arg(long, default_value = "stateless,wordcount,enrich", value_delimiter = ',')]
    workloads: Vec<String>,
    /// Records of input; default: enough for a JVM to warm up
    #[arg(long)]
    records: Option<u64>,
    /// Rounds; the programs take turns
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// A program: NAME=COMMAND; the workload's name becomes its last argument
    #[arg(long = "system", required = true)]
    systems: Vec<String>,
    /// Folder for state
    #[arg(long)]
    work: PathBuf,
}

/// The input of a workload, written once.
struct Input {
    stream: String,
    table: String,
    records: u64,
    /// How many results there are: records, or, where results are counts, their sum.
    expected: u64,
    counts: bool,
}

/// What a run cost.
struct Cost {
    wall: Duration,
    cpu: f64,
    steady_cpu_per_record: f64,
    peak_bytes: u64,
    checksum: u64,
}

fn main() -> ExitCode {
    report(run())
}

fn run() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let app = App::new("compare", &arguments.options)?;
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header([
        "workload",
        "system",
        "CPU us/record",
        "steady us/record",
        "wall s",
        "peak MB",
        "checksum",
    ]);
    for workload in &arguments.workloads {
        let input = write_input(&app, workload, arguments.records)?;
        for round in 0..arguments.rounds {
            for (number, system) in arguments.systems.iter().enumerate() {
                let (name, command) = system.split_once('=').ok_or("--system wants NAME=COMMAND")?;
                let id = format!("compare-{workload}-{round}-{number}");
                let cost = measure(&app, &arguments, workload, &input, command, &id)?;
                eprintln!("{workload} {name}: {:.1} s", cost.wall.as_secs_f64());
                table.add_row([
                    workload.clone(),
                    name.to_owned(),
                    format!("{:.2}", cost.cpu * 1e6 / input.records as f64),
                    format!("{:.2}", cost.steady_cpu_per_record * 1e6),
                    format!("{:.1}", cost.wall.as_secs_f64()),
                    format!("{:.0}", cost.peak_bytes as f64 / 1e6),
                    format!("{:016x}", cost.checksum),
                ]);
            }
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    Ok(())
}

/// Writes the input topics of a workload.
fn write_input(app: &App, workload: &str, records: Option<u64>) -> Result<Input, Failure> {
    let (stream, table) = (format!("compare-{workload}-in"), format!("compare-{workload}-table"));
    app.create_topics(&[&stream, &table])?;
    let default = match workload {
        "stateless" => 3_000_000,
        "enrich" => 2_000_000,
        "wordcount" => 500_000,
        other => return Err(format!("unknown workload `{other}`: stateless, wordcount or enrich").into()),
    };
    let records = records.unwrap_or(default);
    eprintln!("{workload}: writing {records} records");
    let mut feeder = Feeder::new(app)?;
    let (mut to_stream, mut to_table) = (feeder.target(&stream)?, feeder.target(&table)?);
    let mut random = Random(1);
    let mut expected = 0;
    if workload == "enrich" {
        for row in 0..100_000 {
            feeder.send(&mut to_table, Some(format!("key-{row}").as_bytes()), random.text(60).as_bytes())?;
        }
        feeder.flush()?;
    }
    for number in 0..records {
        match workload {
            "wordcount" => {
                let line: Vec<String> = (0..8).map(|_| format!("word{}", random.skewed(50_000))).collect();
                feeder.send(&mut to_stream, None, line.join(" ").as_bytes())?;
                expected += 8;
            }
            _ => {
                let short = workload == "stateless" && number % 10 == 9;
                let key = format!("key-{}", random.below(120_000));
                let value = random.text(if short { 3 } else { 97 });
                feeder.send(&mut to_stream, Some(key.as_bytes()), value.as_bytes())?;
                expected += u64::from(!short);
            }
        }
    }
    feeder.flush()?;
    Ok(Input { stream, table, records, expected, counts: workload == "wordcount" })
}

/// Runs a program until all results are committed, and stops it.
fn measure(
    app: &App,
    arguments: &Arguments,
    workload: &str,
    input: &Input,
    command: &str,
    id: &str,
) -> Result<Cost, Failure> {
    let output = format!("{id}-out");
    app.create_topics(&[&output])?;
    let began = Instant::now();
    let mut child = Command::new("bash")
        .args(["-c", &format!("exec {command} {workload}")])
        .env("BOOTSTRAP", &app.config.bootstrap_servers)
        .env("APP_ID", id)
        .env("INPUT", &input.stream)
        .env("TABLE", &input.table)
        .env("OUTPUT", &output)
        .env("GUARANTEE", "exactly_once_v2")
        .env("THREADS", "1")
        .env("STATE_DIR", arguments.work.join(id))
        .env("COMMIT_MS", "100")
        .stdout(Stdio::null())
        .spawn()?;
    let watched = watch(app, &mut child, &output, input, began);
    // SIGTERM: the program commits and closes. A program that has ended already makes `kill` complain, which is fine.
    Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status()?;
    child.wait()?;
    watched
}

fn watch(app: &App, child: &mut Child, output: &str, input: &Input, began: Instant) -> Result<Cost, Failure> {
    let mut results = Results::new(app, output, input.counts)?;
    let mut steady: Option<(f64, u64)> = None;
    let mut moved = Instant::now();
    loop {
        let before = results.sink.seen;
        results.poll()?;
        if results.sink.seen != before {
            moved = Instant::now();
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("the program ended by itself: {status}").into());
        }
        let (cpu, seen) = (cpu_seconds(child.id())?, results.sink.seen);
        if steady.is_none() && seen as f64 >= input.expected as f64 * STEADY_FROM {
            steady = Some((cpu, seen));
        }
        if seen >= input.expected {
            let (steady_cpu, steady_seen) = steady.unwrap_or((0.0, 0));
            let share = (seen - steady_seen) as f64 / input.expected as f64;
            return Ok(Cost {
                wall: began.elapsed(),
                cpu,
                steady_cpu_per_record: (cpu - steady_cpu) / (share * input.records as f64).max(1.0),
                peak_bytes: peak_memory(child.id())?,
                checksum: results.sink.checksum(),
            });
        }
        if moved.elapsed() > STALLED {
            return Err(format!("no results for {STALLED:?}: {seen} of {} seen", input.expected).into());
        }
    }
}

/// Reads what a program has committed.
struct Results {
    consumer: Box<dyn Consumer>,
    sink: ResultSink,
}

struct ResultSink {
    /// Newest count and its hash by key, where results are counts.
    counts: Option<HashMap<Vec<u8>, (u64, u64)>>,
    seen: u64,
    sum: u64,
}

impl Results {
    fn new(app: &App, topic: &str, counts: bool) -> Result<Self, Failure> {
        let settings = ConsumerSettings { read_committed: true, ..ConsumerSettings::default() };
        let mut consumer = app.clients.consumer(&settings)?;
        let partitions: Vec<(TopicPartition, i64, Slot)> = (0..PARTITIONS)
            .map(|partition| (TopicPartition::new(topic, partition), 0, partition as Slot))
            .collect();
        consumer.assign(&partitions)?;
        Ok(Self { consumer, sink: ResultSink { counts: counts.then(HashMap::new), seen: 0, sum: 0 } })
    }

    fn poll(&mut self) -> Result<(), Failure> {
        self.consumer.poll(Duration::from_millis(100), &mut self.sink)?;
        Ok(())
    }
}

impl RecordSink for ResultSink {
    fn wants(&self, _slot: Slot) -> bool {
        true
    }

    fn record(&mut self, _slot: Slot, record: RawRecord<'_>) {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        let hash = fnv(key, fnv(value, 0xcbf2_9ce4_8422_2325));
        match &mut self.counts {
            None => {
                self.seen += 1;
                self.sum = self.sum.wrapping_add(hash);
            }
            Some(counts) => {
                let count = value.try_into().map_or(0, u64::from_be_bytes);
                let (old, _) = counts.insert(key.to_vec(), (count, hash)).unwrap_or_default();
                self.seen = self.seen + count - old.min(count);
            }
        }
    }
}

impl ResultSink {
    /// Over all records, or over the last value of each key where results are counts. Order does not matter.
    fn checksum(&self) -> u64 {
        match &self.counts {
            None => self.sum,
            Some(counts) => counts.values().fold(0, |sum, (_, hash)| sum.wrapping_add(*hash)),
        }
    }
}

fn fnv(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64: the same input in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers much more often than large ones, as words in a language.
    fn skewed(&mut self, limit: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((limit as f64).powf(uniform) - 1.0) as u64
    }

    fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'a' + (self.next() >> 59) as u8 % 26)).collect()
    }
}
