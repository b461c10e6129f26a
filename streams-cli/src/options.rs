//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Looks at the local state of kstreams applications and at their dead letters, and puts those back
#[derive(Debug, Parser)]
#[command(name = "kstreams", version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Local state: the state directory of an application, which may be running, or a checkpoint
    #[command(subcommand)]
    State(StateCommand),
    /// Dead letters: records that an application gave up, in a topic of their own
    #[command(subcommand)]
    Dlq(DlqCommand),
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Counts them by topic and by what failed
    List(DlqSource),
    /// Shows them one by one, with their headers
    Show(ShowArguments),
    /// Puts them back into the topics and partitions they came from; what was put back is not put back again, which the topic
    /// TOPIC-replayed remembers; exit code 1 if some cannot be
    Replay(ReplayArguments),
}

/// What to do with state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Lists tasks and stores: size, rows, changelog offset, and with a broker the lag to the end of the changelog
    Inspect(Source),
    /// Replays the changelogs up to the stored offsets and compares; exit code 1 if a store differs
    Verify(Source),
}

/// Where the state is.
#[derive(Debug, Args)]
pub struct Source {
    /// `state.dir` of the application, the application's directory in it, or a checkpoint
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,

    /// Only this application, if there are several
    #[arg(long, value_name = "ID")]
    pub application_id: Option<String>,

    /// Where the changelogs are
    #[command(flatten)]
    pub cluster: Cluster,

    /// JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// Where the cluster is.
#[derive(Debug, Args)]
pub struct Cluster {
    /// Brokers to begin with
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_server: Option<String>,

    /// A .properties file with settings of the Kafka clients, such as security.protocol; also bootstrap.servers
    #[arg(long, value_name = "FILE", alias = "command-config")]
    pub properties: Option<PathBuf>,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct DlqSource {
    /// The dead-letter topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: String,

    /// Where it is
    #[command(flatten)]
    pub cluster: Cluster,

    /// Only records that came from this topic; may be given several times
    #[arg(long, value_name = "TOPIC")]
    pub source_topic: Vec<String>,

    /// Only records that came from this partition
    #[arg(long, value_name = "N")]
    pub source_partition: Option<i32>,

    /// Only records that had these offsets there: 7, 7..20 (without 20), 7.. or ..20
    #[arg(long, value_name = "RANGE")]
    pub source_offsets: Option<String>,

    /// Only records with timestamps from this one on: 2026-11-21T10:00:00Z, 2026-11-21, ms since the epoch, or 2h (ago)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Only records with timestamps before this one
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Only this kind of failure, as `list` names it: ProcessingError
    #[arg(long, value_name = "CLASS")]
    pub error: Option<String>,

    /// Only failures whose message contains this
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,

    /// JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// How to show dead letters.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Which
    #[command(flatten)]
    pub source: DlqSource,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,

    /// Keys and values in hex, whatever they look like
    #[arg(long)]
    pub hex: bool,
}

/// How to put dead letters back.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// Which
    #[command(flatten)]
    pub source: DlqSource,

    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}
