//! Options -> clients, settings and a running application.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::client::embedded::EmbeddedKafka;
use kstreams::config::read_properties_file;
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use kstreams::runtime::{CloseOptions, GroupMembershipOperation};

use super::http::Http;
use super::{Failure, Feed, Options, Stop, thousands, topics};

/// An example application: its settings, and the log that it runs on.
pub struct App {
    /// Settings.
    pub config: StreamsConfig,
    /// Makes clients of the embedded log or of Kafka.
    pub clients: Arc<dyn ClientSupplier>,
    /// Whether it runs on the embedded log, which ends with this process.
    pub embedded: bool,
    partitions: i32,
    /// State of an embedded run: nobody can continue it, because the log is gone.
    scratch: Option<PathBuf>,
    http: Http,
    stop_timeout: Duration,
}

impl App {
    /// An application called `name` unless the options say otherwise, exactly once unless the properties say
    /// otherwise.
    pub fn new(name: &str, options: &Options) -> Result<Self, Failure> {
        let mut config = StreamsConfig::new(name, ProcessingGuarantee::ExactlyOnceV2);
        if let Some(file) = &options.properties {
            config.apply_properties(read_properties_file(file)?)?;
        }
        if let Some(id) = &options.application_id {
            config.application_id.clone_from(id);
        }
        if let Some(servers) = &options.bootstrap_servers {
            config.apply_properties([("bootstrap.servers", servers)])?;
        }
        if let Some(instance) = &options.group_instance_id {
            config.apply_properties([("consumer.group.instance.id", instance)])?;
        }
        if let Some(threads) = options.threads {
            config.num_stream_threads = threads;
        }
        if let Some(directory) = &options.state_dir {
            config.state_dir.clone_from(directory);
        }
        let embedded = config.bootstrap_servers.is_empty();
        let scratch = embedded.then(|| config.state_dir.join(format!("embedded-{}", std::process::id())));
        if let Some(scratch) = &scratch {
            config.state_dir.clone_from(scratch);
        }
        let clients = match embedded {
            true => Arc::new(EmbeddedKafka::new(SystemClock)),
            false => kafka(&config)?,
        };
        let stop_timeout = Duration::from_secs(options.stop_timeout);
        let (partitions, http) = (options.partitions, Http::of(options)?);
        Ok(Self { config, clients, embedded, partitions, scratch, http, stop_timeout })
    }

    /// Listens to Ctrl-C and SIGTERM from now on. Until then they end the process, which has nothing to commit yet.
    pub fn stop_on_signals(&self) -> Result<Stop, Failure> {
        Stop::on_signals(self.stop_timeout)
    }

    /// Creates the topics that do not exist yet.
    pub fn create_topics(&self, names: &[&str]) -> Result<(), Failure> {
        topics::create(&*self.clients, names, self.partitions)
    }

    /// The number of partitions of `topic`.
    pub fn partitions(&self, topic: &str) -> Result<i32, Failure> {
        topics::partitions(&*self.clients, topic)
    }

    /// Opens the HTTP endpoints, if there are to be any, and starts the application.
    pub fn start(&self, topology: Topology) -> Result<KafkaStreams, Failure> {
        let mut streams = KafkaStreams::new(topology, self.config.clone(), self.clients.clone())?;
        self.http.open(&streams)?;
        streams.start()?;
        Ok(streams)
    }

    /// Commits and closes. Who has a name of its own in the group will be back, and remains in it.
    pub fn close(&self, mut streams: KafkaStreams) -> Result<(), Failure> {
        let membership = match self.config.group_instance_id() {
            Some(_) => GroupMembershipOperation::RemainInGroup,
            None => GroupMembershipOperation::LeaveGroup,
        };
        let options = CloseOptions::timeout(self.stop_timeout).group_membership_operation(membership);
        Ok(streams.close_with(options)?)
    }

    /// Tells whether the application or its feed has failed.
    pub fn check(&self, streams: &KafkaStreams, feed: &Feed) -> Result<(), Failure> {
        if let Some(error) = feed.take_error() {
            return Err(error);
        }
        match streams.error() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Whether all that was fed has come out exactly once; says so.
    pub(super) fn verify(&self, unit: &str, fed: u64, settled: u64) -> Result<(), Failure> {
        let (fed_text, settled_text) = (thousands(fed as i64), thousands(settled as i64));
        if settled != fed {
            return Err(format!("{fed_text} {unit} went in, {settled_text} came out").into());
        }
        println!(
            "{fed_text} {unit} went in, the results add up to {settled_text}: nothing lost, nothing twice."
        );
        Ok(())
    }

    /// One line for the head of the view: where it runs, and how.
    pub fn describe(&self) -> String {
        let guarantee = match self.config.processing_guarantee {
            ProcessingGuarantee::ExactlyOnceV2 => "exactly once",
            ProcessingGuarantee::AtLeastOnce => "at least once",
        };
        let threads = match self.config.num_stream_threads {
            1 => "1 stream thread".to_owned(),
            threads => format!("{threads} stream threads"),
        };
        format!("{} · {} stores · {guarantee} · {threads}", self.clients.describe(), engine_name())
    }

    /// Prints the command that runs this binary on Kafka, if it does not run there already.
    pub fn print_kafka_command(&self, make_target: &str) {
        const OPTION: &str = "--bootstrap-servers localhost:9092";
        if !self.embedded {
            return;
        }
        match cfg!(feature = "rdkafka") {
            true => println!(
                "The same binary on Kafka:\n  {} {OPTION}",
                std::env::args().next().unwrap_or_default()
            ),
            false => println!("The same program on Kafka:\n  make {make_target} ARGS=\"{OPTION}\""),
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            // The state of an embedded run is of no use to anybody; a folder left behind does no harm.
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

fn engine_name() -> &'static str {
    if cfg!(feature = "rocksdb") { "RocksDB" } else { "in-memory" }
}

#[cfg(feature = "rdkafka")]
fn kafka(config: &StreamsConfig) -> Result<Arc<dyn ClientSupplier>, Failure> {
    use kstreams::client::rdkafka::RdKafka;
    Ok(Arc::new(RdKafka::new(config.bootstrap_servers.as_str(), config.client_properties.clone())))
}

#[cfg(not(feature = "rdkafka"))]
fn kafka(_config: &StreamsConfig) -> Result<Arc<dyn ClientSupplier>, Failure> {
    Err("this binary was built without a Kafka client; build it with default features (make demo)".into())
}

/// What goes to the log: errors, unless `RUST_LOG` says otherwise.
#[must_use]
pub fn log_filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into())
}

/// Ends a binary: an error is one sentence on standard error.
#[must_use]
pub fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
