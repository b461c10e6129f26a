//! The options that all example binaries take.

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
}
