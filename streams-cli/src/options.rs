//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Everyday operation of kstreams applications: state, dead letters, topics, topologies, resets
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
    /// Topics of an application: what it wants, what the cluster has, and making that the same
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Lets an application begin anew: moves the offsets of its input topics, and deletes its internal topics; exit code 1 if a
    /// named topic does not exist
    Reset(ResetArguments),
    /// Shows a topology, of a running application or from a file
    Describe(DescribeArguments),
    /// Compares versions of a topology
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Watches a running application: state, lag, rates, threads, tasks, memory
    Top(TopArguments),
    /// Prints the least set of ACLs that an application needs, as kafka-acls commands
    Acls(AclsArguments),
    /// Prints what a shell needs to complete this program's commands: `kstreams completions bash > /etc/bash_completion.d/kstreams`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Says what is missing and what differs, and changes nothing; exit code 1 if there is something
    Plan(TopicsSource),
    /// Creates what is missing, and says each thing it does; exit code 1 if something stays otherwise than it is wanted
    Apply(ApplyArguments),
}

/// Whose topics.
#[derive(Debug, Args)]
pub struct TopicsSource {
    /// The topology: a JSON file (`Topology::snapshot().to_json()`), or the URL of a running application
    #[arg(long, value_name = "FILE|URL")]
    pub topology: String,

    /// `application.id`, if it is not in --properties; those may be the application's own: `replication.factor`, `topic.*` count
    #[arg(long, value_name = "ID")]
    pub application_id: Option<String>,

    /// What is wanted of topics that are not the application's own, as JSON: {"orders": {"partitions": 6, "replication_factor": 3,
    /// "config": {"retention.ms": "86400000"}}}
    #[arg(long, value_name = "FILE")]
    pub declared: Option<PathBuf>,

    /// Where the topics are
    #[command(flatten)]
    pub cluster: Cluster,

    /// How to ask a running application
    #[command(flatten)]
    pub http: Http,

    /// JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// What may be done to topics.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// Whose
    #[command(flatten)]
    pub source: TopicsSource,

    /// Alter settings that differ, too
    #[arg(long)]
    pub alter: bool,

    /// Add partitions, too: not to internal topics that hold records. Keys of other topics are spread anew by that
    #[arg(long)]
    pub add_partitions: bool,
}

/// What to reset: the options of Kafka Streams' kafka-streams-application-reset.sh.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("to").multiple(false))]
pub struct ResetArguments {
    /// `application.id`
    #[arg(long, value_name = "ID")]
    pub application_id: String,

    /// Input topics: read from their beginning, unless one of the options below says otherwise
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub input_topics: Vec<String>,

    /// Topics that the application writes and reads: what is in them is skipped (deprecated by Kafka Streams)
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub intermediate_topics: Vec<String>,

    /// Delete only these of the internal topics that --dry-run shows
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub internal_topics: Vec<String>,

    /// From the first records on, which is what happens if nothing is said
    #[arg(long, group = "to")]
    pub to_earliest: bool,

    /// From behind the last records on
    #[arg(long, group = "to")]
    pub to_latest: bool,

    /// From this offset on
    #[arg(long, group = "to", value_name = "N", allow_negative_numbers = true)]
    pub to_offset: Option<i64>,

    /// From so many records behind the committed offset on, or before it: -10
    #[arg(long, group = "to", value_name = "N", allow_negative_numbers = true)]
    pub shift_by: Option<i64>,

    /// From the first record of this time on: YYYY-MM-DDThh:mm:ss.sss, in UTC unless it ends with an offset
    #[arg(long, group = "to", value_name = "TIME")]
    pub to_datetime: Option<String>,

    /// From the first record that is not older than this on: PnDTnHnMnS
    #[arg(long, group = "to", value_name = "DURATION", allow_hyphen_values = true)]
    pub by_duration: Option<String>,

    /// From the offsets in this file on: lines of TOPIC,PARTITION,OFFSET
    #[arg(long, group = "to", value_name = "FILE")]
    pub from_file: Option<PathBuf>,

    /// Wait up to two minutes for members that are gone, but not yet given up by the broker. (Kafka Streams' tool puts them out of the
    /// group at once, which librdkafka cannot)
    #[arg(long)]
    pub force: bool,

    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// Where the application runs
    #[command(flatten)]
    pub cluster: Cluster,

    /// JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// How to ask a running application.
#[derive(Debug, Args)]
pub struct Http {
    /// The token of its HTTP endpoints
    #[arg(long, value_name = "TOKEN", env = "KSTREAMS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Certificates, PEM, that https trusts; without it those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Forms of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// Kafka Streams' text
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// A drawing for Graphviz
    Dot,
    /// All of it: what `plan diff` and `topics` read
    Json,
}

/// Which topology, in which form.
#[derive(Debug, Args)]
pub struct DescribeArguments {
    /// A JSON file (`Topology::snapshot().to_json()`), or the URL of a running application
    #[arg(value_name = "FILE|URL")]
    pub topology: String,

    /// In which form
    #[arg(long, value_enum, default_value_t = DescribeFormat::Text)]
    pub format: DescribeFormat,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// How to ask a running application
    #[command(flatten)]
    pub http: Http,
}

/// What to do with versions of a topology.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Says what a new version means for stores, internal topics and records of the old one; exit code 1 if it cannot go on with them
    Diff(DiffArguments),
}

/// Two versions.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The version that runs, or ran: a JSON file, or the URL of a running application
    #[arg(value_name = "OLD")]
    pub old: String,

    /// The version that comes after it
    #[arg(value_name = "NEW")]
    pub new: String,

    /// JSON instead of text
    #[arg(long)]
    pub json: bool,

    /// How to ask a running application
    #[command(flatten)]
    pub http: Http,
}

/// Which application to watch, and how.
#[derive(Debug, Args)]
pub struct TopArguments {
    /// Its HTTP endpoints
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub interval: f64,

    /// So many looks; without it until Ctrl-C
    #[arg(long, value_name = "N")]
    pub iterations: Option<u64>,

    /// A line of JSON for each look, as the application says it
    #[arg(long)]
    pub json: bool,

    /// How to ask it
    #[command(flatten)]
    pub http: Http,
}

/// Whose ACLs.
#[derive(Debug, Args)]
pub struct AclsArguments {
    /// The topology: a JSON file (`Topology::snapshot().to_json()`), or the URL of a running application
    #[arg(long, value_name = "FILE|URL")]
    pub topology: String,

    /// Who runs it, as brokers see it: User:alice, or User:CN=... for a client certificate
    #[arg(long, value_name = "PRINCIPAL")]
    pub principal: String,

    /// The properties of the application: application.id, processing.guarantee, errors.dead.letter.queue.topic.name
    #[arg(long, value_name = "FILE")]
    pub properties: Option<PathBuf>,

    /// Instead of application.id
    #[arg(long, value_name = "ID")]
    pub application_id: Option<String>,

    /// A topic that it reads besides, as one that matches a pattern; may be given several times
    #[arg(long, value_name = "TOPIC")]
    pub also_reads: Vec<String>,

    /// A topic that it writes besides, as one that a sink chooses, or dead letters; may be given several times
    #[arg(long, value_name = "TOPIC")]
    pub also_writes: Vec<String>,

    /// For the commands
    #[arg(long, value_name = "HOST:PORT,..", default_value = "localhost:9092")]
    pub bootstrap_server: String,

    /// How to ask a running application
    #[command(flatten)]
    pub http: Http,

    /// JSON instead of commands
    #[arg(long)]
    pub json: bool,
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
    #[arg(long, value_name = "FILE", aliases = ["command-config", "config-file"])]
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
