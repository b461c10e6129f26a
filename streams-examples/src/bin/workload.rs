//! Runs one of the workloads of the benchmark or of the fault harness against a broker; everything comes from the
//! environment (`WORKLOAD` or the first argument, `BOOTSTRAP`, `APP_ID`, `INPUT`, `OUTPUT`, `GUARANTEE`, ...).
//! For tests of faults: `ON_ERROR=shutdown` ends the program where a thread would be replaced, and `STALL=KEY=MS` makes each processor
//! take so long for records whose key begins like this.
//!
//! Runs until SIGTERM, then commits, closes and ends. Ends by itself, with status 3, when it fails for good.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::client::rdkafka::RdKafka;
use kstreams::error::BoxError;
use kstreams::prelude::*;
use kstreams::processor::{ProcessorWrapper, WrappedCall, WrappedProcessor};
use kstreams::types::TopicPartition;
use serde_json::json;
use streams_examples::demo::{Failure, Stop, log_filter, report};
use streams_examples::workloads::{bench, chaos};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which harness drives this process: decides about defaults and about the lines on stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harness {
    Bench,
    Chaos,
}

fn main() -> ExitCode {
    report(start())
}

fn start() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr).init();
    let workload = std::env::args().nth(1).map_or_else(|| required("WORKLOAD"), Ok)?;
    let (harness, mut topology) = topology(&workload)?;
    if let Some(stall) = optional("STALL") {
        topology.wrap_processors(Stall::parse(&stall)?);
    }
    let config = config(harness, &workload)?;
    let clients = Arc::new(RdKafka::new(config.bootstrap_servers.as_str(), config.client_properties.clone()));
    let stop = Stop::on_signals(CLOSE_TIMEOUT)?;
    let shuts_down =
        harness == Harness::Bench || optional("ON_ERROR").is_some_and(|answer| answer == "shutdown");
    let reporter = Reporter { began: Instant::now(), harness, shuts_down };
    let mut streams = KafkaStreams::new(topology, config, clients)?;
    watch(&mut streams, reporter);
    streams.start()?;
    while !stop.requested(Duration::from_millis(200)) {
        if let Some(error) = streams.error() {
            eprintln!("{error}");
            std::process::exit(3);
        }
    }
    let closed = streams.close(CLOSE_TIMEOUT);
    reporter.closed(closed.is_ok());
    Ok(closed?)
}

fn topology(workload: &str) -> Result<(Harness, Topology), Failure> {
    let (input, output) = (required("INPUT")?, required("OUTPUT")?);
    let (input2, table) = (optional("INPUT2").unwrap_or_default(), optional("TABLE").unwrap_or_default());
    let topics = bench::Topics { input, input2, table, output };
    if let Some(topology) = chaos::topology(workload, &topics.input, &topics.output) {
        return Ok((Harness::Chaos, topology?));
    }
    match bench::topology(workload, topics) {
        Some(topology) => Ok((Harness::Bench, topology?)),
        None => Err(format!("unknown workload `{workload}`").into()),
    }
}

/// The environment as settings. What `EXTRA` says and this library does not know is ignored, aloud.
fn config(harness: Harness, workload: &str) -> Result<StreamsConfig, Failure> {
    let mut config = StreamsConfig::from_properties(properties(harness, workload)?)?;
    for pair in optional("EXTRA").iter().flat_map(|extra| extra.split(',')) {
        if let Some(pair) = pair.split_once('=')
            && let Err(error) = config.apply_properties([pair])
        {
            eprintln!("ignored: {error}");
        }
    }
    Ok(config)
}

/// The environment as Kafka Streams' settings.
fn properties(harness: Harness, workload: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut properties = BTreeMap::new();
    let mut set = |key: &str, value: String| properties.insert(key.to_owned(), value);
    set("application.id", required("APP_ID")?);
    set("bootstrap.servers", required("BOOTSTRAP")?);
    set("processing.guarantee", optional("GUARANTEE").unwrap_or_else(|| "exactly_once_v2".to_owned()));
    set("num.stream.threads", optional("THREADS").unwrap_or_else(|| "1".to_owned()));
    set("state.dir", required("STATE_DIR")?);
    set("auto.offset.reset", "earliest".to_owned());
    if let Some(interval) = optional("COMMIT_MS") {
        set("commit.interval.ms", interval);
    }
    let cache = match (harness, workload) {
        (Harness::Bench, _) => None,
        (Harness::Chaos, "ids") => Some("4194304".to_owned()),
        (Harness::Chaos, _) => Some("0".to_owned()),
    };
    if let Some(bytes) = optional("CACHE_BYTES").or(cache) {
        set("statestore.cache.max.bytes", bytes);
    }
    match harness {
        Harness::Bench => {
            set("replication.factor", "1".to_owned());
        }
        Harness::Chaos => {
            let instance = optional("INSTANCE").unwrap_or_else(|| "i1".to_owned());
            set("client.id", format!("{}-{instance}", required("APP_ID")?));
            set("replication.factor", "-1".to_owned());
            set("metadata.max.age.ms", "10000".to_owned());
            set("producer.linger.ms", "20".to_owned());
            set(
                "producer.transaction.timeout.ms",
                optional("TXN_TIMEOUT_MS").unwrap_or_else(|| "10000".to_owned()),
            );
            set(
                "main.consumer.session.timeout.ms",
                optional("SESSION_MS").unwrap_or_else(|| "6000".to_owned()),
            );
            set("main.consumer.heartbeat.interval.ms", "1500".to_owned());
        }
    }
    Ok(properties)
}

fn optional(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

fn required(variable: &str) -> Result<String, Failure> {
    optional(variable).ok_or_else(|| format!("environment variable {variable} is missing").into())
}

/// Makes processors slow for the keys that begin like `key`.
#[derive(Clone)]
struct Stall {
    key: String,
    time: Duration,
}

impl Stall {
    fn parse(text: &str) -> Result<impl ProcessorWrapper, Failure> {
        let (key, time) = text.split_once('=').ok_or("STALL is not KEY=MS")?;
        let stall = Self { key: key.to_owned(), time: Duration::from_millis(time.parse()?) };
        Ok(move |_: &str| Some(Box::new(stall.clone()) as Box<dyn WrappedProcessor>))
    }
}

impl WrappedProcessor for Stall {
    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        if call.key::<String>().is_some_and(|key| key.starts_with(&self.key)) {
            std::thread::sleep(self.time);
        }
        Ok(call.proceed()?)
    }
}

/// Lines on stdout, as the harness reads them.
#[derive(Clone, Copy)]
struct Reporter {
    began: Instant,
    harness: Harness,
    /// Otherwise a thread that failed is replaced.
    shuts_down: bool,
}

fn watch(streams: &mut KafkaStreams, reporter: Reporter) {
    streams.set_state_listener(move |to, from| reporter.state(to, from));
    streams.set_global_state_restore_listener(Arc::new(reporter));
    streams.set_uncaught_exception_handler(move |error| {
        match reporter.harness {
            Harness::Bench => eprintln!("{error}"),
            Harness::Chaos => reporter.event(json!({ "event": "thread_failed", "error": error.to_string() })),
        }
        match reporter.shuts_down {
            true => StreamThreadExceptionResponse::ShutdownClient,
            false => StreamThreadExceptionResponse::ReplaceThread,
        }
    });
}

impl Reporter {
    fn line(&self, text: &str) {
        println!("{:.3} {text}", self.began.elapsed().as_secs_f64());
    }

    fn event(&self, event: serde_json::Value) {
        println!("CHAOS {event}");
    }

    fn state(&self, to: State, from: State) {
        match self.harness {
            Harness::Bench => self.line(&format!("state {to}")),
            Harness::Chaos => {
                self.event(json!({ "event": "state", "to": to.to_string(), "from": from.to_string() }));
            }
        }
    }

    fn closed(&self, clean: bool) {
        match self.harness {
            Harness::Bench => self.line("closed"),
            Harness::Chaos => self.event(json!({ "event": "closed", "clean": clean })),
        }
    }
}

impl StateRestoreListener for Reporter {
    fn on_restore_start(&self, changelog: &TopicPartition, store: &str, from: i64, to: i64) {
        let partition = changelog.partition;
        match self.harness {
            Harness::Bench => self.line(&format!("restoring {} {partition} {from}..{to}", changelog.topic)),
            Harness::Chaos => self.event(json!({
                "event": "restore_start", "store": store, "partition": partition, "from": from, "to": to
            })),
        }
    }

    fn on_restore_end(&self, changelog: &TopicPartition, store: &str, records: u64) {
        let partition = changelog.partition;
        match self.harness {
            Harness::Bench => self.line(&format!("restored {} {partition} {records}", changelog.topic)),
            Harness::Chaos => self.event(json!({
                "event": "restore_end", "store": store, "partition": partition, "records": records
            })),
        }
    }
}
