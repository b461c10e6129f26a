//! The tool `kstreams`: looks at the local state of an application, or at a checkpoint of it, without changing anything; counts and
//! shows dead letters, and puts them back; plans and creates topics; resets applications; shows topologies, what a new version means for
//! the state of the old one, and a running application.
//!
//! ```text
//! kstreams state inspect --state-dir /var/lib/kstreams --bootstrap-server localhost:9092
//! kstreams dlq replay --topic dead-letters --bootstrap-server localhost:9092 --source-topic orders --since 2h --dry-run
//! kstreams topics plan --topology shop.json --properties shop.properties --declared topics.json
//! kstreams reset --application-id shop --input-topics orders --bootstrap-server localhost:9092 --dry-run
//! kstreams describe http://localhost:8080 --format mermaid
//! kstreams plan diff deployed.json new.json
//! kstreams top http://localhost:8080
//! kstreams acls --topology topology.json --properties app.properties --principal User:alice
//! ```
//! Here is what the commands do, with the engine that reads the files and the client of the cluster as arguments; the binary is the
//! command line around it.

// What one asks for.
mod options;
// Directories -> the applications, tasks and stores in them.
mod find;
// Topics: where they begin and end, what they hold.
mod cluster;
// A running application.
mod http;
// What stores hold, and how far that is.
mod inspect;
// Whether that is what their changelogs say.
mod verify;
// Dead letters.
pub mod dlq;
// Back to the beginning.
mod reset;
// All of it as text.
mod print;
// Topologies, their topics, and a running application, as text.
mod top;
mod topics;
mod topology;
// What an application must be allowed.
mod acls;

/// An error: one sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub use acls::{acls, print_acls};
pub use find::{Found, FoundTask, find};
pub use inspect::{Inspection, StoreReport, TaskReport, inspect};
pub use options::{
    AclsArguments, ApplyArguments, Cli, Cluster, Command, DescribeArguments, DescribeFormat, DiffArguments,
    DlqCommand, DlqSource, Http, PlanCommand, ReplayArguments, ResetArguments, ShowArguments, Source,
    StateCommand, TopArguments, TopicsCommand, TopicsSource,
};
pub use print::{print_inspections, print_letters, print_listing, print_replay, print_reset, print_verdicts};
pub use reset::{
    Reset, ResetOffset, ResetOptions, ResetTo, parse_datetime, parse_duration, parse_plan, reset,
};
pub use top::{Look, Status, Watch, screen};
pub use topics::{needs, print_actions, print_topics_plan, read_declared};
pub use topology::{print_diff, print_topology, read_topology};
pub use verify::{Difference, StoreVerdict, Verdict, Verification, verify};
