//! Topologies, tasks, runtime and clients of kstreams.
//!
//! Modules stand in reading order; a module may use only what stands above it, and the two wings
//! (`operators`, `dsl`) and (`client`, `task`, `runtime`, `clients`) never see each other: the topology is the corridor
//! that the DSL writes and the runtime reads.

// The words of the state crate that users need, under one path.
pub use streams_state::engine;
pub use streams_state::serdes;
pub use streams_state::store;
pub use streams_state::types;

// A record, typed and raw.
pub mod record;
// Traces that records carry along in their headers.
pub mod trace_context;
// Typed names of topics and stores.
pub mod topic;
// What can go wrong, and where.
pub mod error;
// What a function given to an operator may return.
pub mod outcome;
// Which partition a record goes to.
pub mod partitioner;
// The headers of dead letters.
pub mod dead_letter;
// What an application decides about bad records.
pub mod handler;
// What is measured, under Kafka Streams' names.
pub mod metrics;
// Settings, under Kafka Streams' names.
pub mod config;
// What a node is: push, outputs, context, the user's Processor.
pub mod processor;
// The compiled plan: nodes, stores, internal topics.
pub mod topology;
// What an application is asked while it runs.
pub mod query;
// Wing one: operators, and the DSL that wires them.
pub mod operators;
// The typed builder.
pub mod dsl;
// Wing two: the edge to Kafka, tasks, and the runtime.
pub mod client;
// What an application wants of its topics, and what is there.
pub mod topics;
// A partition's share of a topology.
pub mod task;
// Threads, assignment, commit, recovery.
pub mod runtime;
// Typed producers and consumers beside a topology.
pub mod clients;
// TopologyTestDriver.
pub mod testing;
// Many instances under faults, in virtual time.
#[cfg(feature = "sim")]
pub mod sim;
