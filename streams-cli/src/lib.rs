//! The tool `kstreams`: looks at the local state of an application, or at a checkpoint of it, without changing anything; counts and
//! shows dead letters, and puts them back.
//!
//! ```text
//! kstreams state inspect --state-dir /var/lib/kstreams --bootstrap-server localhost:9092
//! kstreams state verify --state-dir /backup/monday --bootstrap-server localhost:9092
//! kstreams dlq list --topic dead-letters --properties client.properties
//! kstreams dlq replay --topic dead-letters --bootstrap-server localhost:9092 --source-topic orders --since 2h --dry-run
//! ```
//! Here is what the commands do, with the engine that reads the files and the client of the cluster as arguments; the binary is the
//! command line around it.

// What one asks for.
mod options;
// Directories -> the applications, tasks and stores in them.
mod find;
// Topics: where they begin and end, what they hold.
mod cluster;
// What stores hold, and how far that is.
mod inspect;
// Whether that is what their changelogs say.
mod verify;
// Dead letters.
pub mod dlq;
// All of it as text.
mod print;

/// An error: one sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub use find::{Found, FoundTask, find};
pub use inspect::{Inspection, StoreReport, TaskReport, inspect};
pub use options::{
    Cli, Cluster, Command, DlqCommand, DlqSource, ReplayArguments, ShowArguments, Source, StateCommand,
};
pub use print::{print_inspections, print_letters, print_listing, print_replay, print_verdicts};
pub use verify::{Difference, StoreVerdict, Verdict, Verification, verify};
