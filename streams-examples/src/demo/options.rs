//! The options that all example binaries take.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Options of an example binary.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Run on this Kafka cluster; without it, on the embedded log of this process
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_servers: Option<String>,

    /// A .properties file with Kafka Streams' keys, as they are
    #[arg(long, value_name = "FILE")]
    pub properties: Option<PathBuf>,

    /// Consumer group, and prefix of internal topics and transactional ids
    #[arg(long, value_name = "ID")]
    pub application_id: Option<String>,

    /// Who this instance is over restarts, as its pod is called: it stays in the group while it is away, and gets its partitions back.
    /// Without it the state directory says who it is, and a stop gives the partitions to others at once
    #[arg(long, value_name = "ID", env = "GROUP_INSTANCE_ID")]
    pub group_instance_id: Option<String>,

    /// Where the stores live; each instance on a machine needs its own
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Stream threads
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Partitions of topics that this program creates
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,

    /// Do not write any input: process what others write to the input topics
    #[arg(long)]
    pub no_produce: bool,

    /// Seconds from Ctrl-C or SIGTERM to the end of the process, whatever hangs; a second signal ends it at once
    #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..))]
    pub stop_timeout: u64,

    /// Answer /health/live, /health/ready, /status, /topology and /metrics there: 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,

    /// What each HTTP request has to bring; needed where other machines can ask
    #[arg(long, value_name = "TOKEN", env = "HTTP_TOKEN", hide_env_values = true, requires = "http")]
    pub http_token: Option<String>,

    /// Certificate chain of the HTTP endpoints, PEM; needed where other machines can ask
    #[arg(long, value_name = "FILE", requires_all = ["http", "http_key"])]
    pub http_certificate: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "http_certificate")]
    pub http_key: Option<PathBuf>,
}
