//! Measures what the state of an application costs on a real broker: memory with many keys, restoring, and the start after a
//! `kill -9`. `scripts/bench-state` calls it. Ends with status 1 if a limit is broken.
//!
//! The programs keep the contract of `workload`, and run its `kvstate`: the number of records of each key, and the newest value.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use kstreams::client::{Consumer, ConsumerSettings, OffsetSpec};
use kstreams::types::TopicPartition;
use streams_examples::demo::{App, Failure, Feeder, Options, Target, report};
use streams_examples::process::{cpu_seconds, peak_memory, resident_memory};

/// How often a running program is looked at.
const SAMPLE: Duration = Duration::from_millis(100);
/// A program whose committed offsets stand still for so long has failed.
const HUNG: Duration = Duration::from_secs(120);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Partitions of the restore and the kill section; the memory section has its own.
const PARTITIONS: i32 = 4;
/// Records a second while the program is killed, and for how long.
const BUSY_RATE: u64 = 2000;
const BUSY: Duration = Duration::from_secs(4);
/// Memory beside the budget that a process may use, and how long nothing may be committed.
const BESIDE_BUDGET_BYTES: u64 = 64 << 20;
const STALL_MAX: Duration = Duration::from_secs(1);
/// Limits of the other sections.
const RESTORE_RATIO_MIN: f64 = 5.0;
const BACK_AFTER_KILL_MAX: Duration = Duration::from_secs(3);
const REPLAYED_MAX: u64 = 20_000;

/// Measures state: memory, restore, kill -9.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "memory,restore,kill")]
    sections: Vec<String>,
    /// Distinct keys of the memory section, in 8 partitions
    #[arg(long, default_value_t = 10_000_000)]
    memory_keys: u64,
    /// `memory.max.bytes` of the memory section
    #[arg(long, default_value_t = 64 << 20)]
    memory_max_bytes: u64,
    /// Distinct keys of the other sections
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Our program: a command, the workload's name becomes its last argument
    #[arg(long)]
    ours: String,
    /// Kafka Streams' program
    #[arg(long)]
    peer: String,
    /// Folder for state and logs
    #[arg(long)]
    work: PathBuf,
}

fn main() -> ExitCode {
    report(run())
}

fn run() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let mut broken = Vec::new();
    for section in &arguments.sections {
        match section.as_str() {
            "memory" => broken.extend(memory(&arguments)?),
            "restore" => broken.extend(restore(&arguments)?),
            "kill" => broken.extend(kill(&arguments)?),
            other => return Err(format!("unknown section `{other}`: memory, restore or kill").into()),
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(broken.join("; ").into()),
    }
}

/// Each key once, under a small budget.
fn memory(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let budget = arguments.memory_max_bytes;
    let partitions = 8;
    let mut bench = Bench::new(arguments, "memory", partitions, format!("memory.max.bytes={budget}"))?;
    bench.feed_keys(arguments.memory_keys, "v")?;
    let mut program = bench.start(&arguments.ours)?;
    let (mut peak, mut stall, mut seen, mut moved) = (0, Duration::ZERO, 0, None);
    bench.watch(&mut program, |pid, committed| {
        peak = peak.max(resident_memory(pid)?);
        if committed > seen || moved.is_none() {
            let now = Instant::now();
            // Start and rebalance are no stall: it begins with the first commit.
            stall = stall.max(moved.filter(|_| seen > 0).map_or(Duration::ZERO, |last| now - last));
            (seen, moved) = (committed, Some(now));
        }
        Ok(())
    })?;
    let wall = program.began.elapsed().as_secs_f64();
    let cpu = cpu_seconds(program.child.id())?;
    peak = peak.max(peak_memory(program.child.id())?);
    program.terminate()?;
    let keys = arguments.memory_keys;
    println!(
        "memory: {keys} keys, {partitions} partitions, budget {} MiB: peak RSS {:.1} MiB, longest stall {:.1} s, {:.0} records/s, {:.2} us of CPU a record",
        budget >> 20,
        peak as f64 / f64::from(1 << 20),
        stall.as_secs_f64(),
        keys as f64 / wall,
        cpu * 1e6 / keys as f64,
    );
    let limit = budget + BESIDE_BUDGET_BYTES;
    Ok(match (peak > limit, stall > STALL_MAX) {
        (false, false) => None,
        (true, _) => Some(format!("memory: peak RSS is over {} MiB", limit >> 20)),
        (false, true) => Some(format!("memory: no commit for more than {} s", STALL_MAX.as_secs())),
    })
}

/// Cost of a start: until a record of each partition that was written before it is processed and committed.
struct Start {
    wall: f64,
    cpu: f64,
    replayed: u64,
}

impl Start {
    fn print(&self, what: &str, name: &str) {
        let Self { wall, cpu, replayed } = self;
        println!(
            "{what}: {name}: {wall:.2} s, {cpu:.2} s of CPU, {replayed} records replayed, {:.0} records/s, {:.0} a CPU second",
            *replayed as f64 / wall,
            *replayed as f64 / cpu.max(0.01),
        );
    }
}

/// All state from the changelog, from an empty directory.
fn restore(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let measure = |name: &str, command: &str| {
        let mut bench = Bench::new(arguments, &format!("restore-{name}"), PARTITIONS, String::new())?;
        bench.feed_keys(arguments.keys, "v")?;
        let mut program = bench.start(command)?;
        bench.watch(&mut program, |_, _| Ok(()))?;
        program.terminate()?;
        std::fs::remove_dir_all(&bench.state)?;
        let start = bench.start_again(command)?;
        start.print("restore", name);
        Ok::<Start, Failure>(start)
    };
    let ours = measure("kstreams", &arguments.ours)?;
    let peer = measure("Kafka-Streams", &arguments.peer)?;
    let (by_time, by_cpu) = (peer.wall / ours.wall, peer.cpu / ours.cpu.max(0.01));
    println!("restore: {by_time:.1} times the records per second, {by_cpu:.1} times per CPU second");
    let slow = by_time < RESTORE_RATIO_MIN || by_cpu < RESTORE_RATIO_MIN;
    Ok(slow.then(|| format!("restore: not {RESTORE_RATIO_MIN} times Kafka Streams")))
}

/// Killed while records come in.
fn kill(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let mut broken = None;
    for (name, command) in [("kstreams", &arguments.ours), ("Kafka-Streams", &arguments.peer)] {
        // Kafka Streams waits for the session of the dead member to time out.
        let session = "session.timeout.ms=3000,heartbeat.interval.ms=1000".to_owned();
        let mut bench = Bench::new(arguments, &format!("kill-{name}"), PARTITIONS, session)?;
        bench.feed_keys(arguments.keys, "v")?;
        let mut program = bench.start(command)?;
        bench.watch(&mut program, |_, _| Ok(()))?;
        bench.feed_slowly(arguments.keys)?;
        program.child.kill()?;
        program.child.wait()?;
        let start = bench.start_again(command)?;
        start.print("kill -9", name);
        let late = start.wall > BACK_AFTER_KILL_MAX.as_secs_f64() || start.replayed >= REPLAYED_MAX;
        if late && name == "kstreams" {
            let seconds = BACK_AFTER_KILL_MAX.as_secs();
            broken = Some(format!("kill -9: not back within {seconds} s and {REPLAYED_MAX} records"));
        }
    }
    Ok(broken)
}

/// Topics of a section, and what is run on them.
struct Bench {
    id: String,
    input: String,
    output: String,
    partitions: Vec<TopicPartition>,
    state: PathBuf,
    log: PathBuf,
    extra: String,
    bootstrap_servers: String,
    feeder: Feeder,
    target: Target,
    /// Reads committed offsets; never joins the group.
    observer: Box<dyn Consumer>,
}

/// A running program.
struct Program {
    child: Child,
    began: Instant,
}

impl Program {
    /// SIGTERM: it commits and closes.
    fn terminate(&mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After an error; a program that has ended already is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bench {
    fn new(arguments: &Arguments, section: &str, partitions: i32, extra: String) -> Result<Self, Failure> {
        let id = format!("bench-state-{section}-{}", std::process::id());
        let (input, output) = (format!("{id}-in"), format!("{id}-out"));
        let app = App::new(&id, &Options { partitions, ..arguments.options.clone() })?;
        app.create_topics(&[&input, &output])?;
        let mut feeder = Feeder::new(&app)?;
        let target = feeder.target(&input)?;
        let settings = ConsumerSettings { group: Some(id.clone()), ..ConsumerSettings::default() };
        Ok(Self {
            partitions: (0..partitions).map(|partition| TopicPartition::new(&*input, partition)).collect(),
            observer: app.clients.consumer(&settings)?,
            bootstrap_servers: app.config.bootstrap_servers.clone(),
            state: arguments.work.join(&id),
            log: arguments.work.join(format!("{id}.log")),
            id,
            input,
            output,
            extra,
            feeder,
            target,
        })
    }

    /// Each key once, in no order; values of 100 bytes.
    fn feed_keys(&mut self, keys: u64, what: &str) -> Result<(), Failure> {
        eprintln!("{}: writing {keys} records", self.id);
        for number in 0..keys {
            self.send((number * 7919 + 13) % keys, &format!("{what}{number}"))?;
        }
        self.feeder.flush()
    }

    /// Updates at a steady rate; the last of them may not be processed when this returns.
    fn feed_slowly(&mut self, keys: u64) -> Result<(), Failure> {
        let (began, mut sent) = (Instant::now(), 0);
        while began.elapsed() < BUSY {
            let due = (began.elapsed().as_secs_f64() * BUSY_RATE as f64) as u64;
            for number in sent..due {
                self.send(number * 7919 % keys, &format!("u{number}"))?;
            }
            sent = due;
            std::thread::sleep(Duration::from_millis(10));
        }
        self.feeder.flush()
    }

    fn send(&mut self, key: u64, value: &str) -> Result<(), Failure> {
        self.feeder.send(
            &mut self.target,
            Some(format!("k{key}").as_bytes()),
            format!("{value:x<100}").as_bytes(),
        )
    }

    fn start(&self, command: &str) -> Result<Program, Failure> {
        std::fs::create_dir_all(&self.state)?;
        let began = Instant::now();
        let child = Command::new("bash")
            .args(["-c", &format!("exec {command} kvstate")])
            .env("BOOTSTRAP", &self.bootstrap_servers)
            .env("APP_ID", &self.id)
            .env("INPUT", &self.input)
            .env("OUTPUT", &self.output)
            .env("GUARANTEE", "exactly_once_v2")
            .env("THREADS", "1")
            .env("STATE_DIR", &self.state)
            .env("COMMIT_MS", "100")
            .env("EXTRA", &self.extra)
            .stdout(File::create(&self.log)?)
            .spawn()?;
        Ok(Program { child, began })
    }

    /// Writes a record to each partition, starts the program, and waits until they are committed.
    fn start_again(&mut self, command: &str) -> Result<Start, Failure> {
        for partition in 0..self.partitions.len() {
            // The first key of each partition that is found.
            let of = |key: &u64| {
                let key = format!("k{key}");
                kstreams::partitioner::partition_for_key(key.as_bytes(), self.partitions.len() as i32)
                    == partition as i32
            };
            let key = (0..).find(of).unwrap_or_default();
            self.send(key, "probe")?;
        }
        self.feeder.flush()?;
        let mut program = self.start(command)?;
        self.watch(&mut program, |_, _| Ok(()))?;
        let (wall, cpu) = (program.began.elapsed().as_secs_f64(), cpu_seconds(program.child.id())?);
        program.terminate()?;
        Ok(Start { wall, cpu, replayed: self.replayed()? })
    }

    /// Waits until all input is committed; shows each sample of the process and its committed records to `sample`.
    fn watch(
        &mut self,
        program: &mut Program,
        mut sample: impl FnMut(u32, i64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let end: i64 =
            self.observer.list_offsets(&self.partitions, OffsetSpec::Stable, TIMEOUT)?.iter().sum();
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            if let Some(status) = program.child.try_wait()? {
                return Err(format!(
                    "{}: the program ended by itself: {status}, see {}",
                    self.id,
                    self.log.display()
                )
                .into());
            }
            let offsets = self.observer.committed(&self.partitions, TIMEOUT)?;
            let committed: i64 = offsets.into_iter().flatten().map(|committed| committed.offset).sum();
            sample(program.child.id(), committed)?;
            if committed >= end {
                return Ok(());
            }
            if committed > seen {
                (seen, moved) = (committed, Instant::now());
            } else if moved.elapsed() > HUNG {
                return Err(
                    format!("{}: nothing committed for {HUNG:?}: {committed} of {end}", self.id).into()
                );
            }
            std::thread::sleep(SAMPLE);
        }
    }

    /// Changelog records of the last start, as the program has said: lines `T restored CHANGELOG PARTITION RECORDS`.
    fn replayed(&self) -> Result<u64, Failure> {
        let log = std::fs::read_to_string(&self.log)?;
        let records = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            (words.next() == Some("restored")).then(|| words.nth(2)?.parse::<u64>().ok()).flatten()
        };
        Ok(log.lines().filter_map(records).sum())
    }
}
