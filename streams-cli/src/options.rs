//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Looks at the local state of kstreams applications
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

    /// The cluster with the changelogs
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_server: Option<String>,

    /// A .properties file with settings of the Kafka clients, such as security.protocol
    #[arg(long, value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// JSON instead of tables
    #[arg(long)]
    pub json: bool,
}
