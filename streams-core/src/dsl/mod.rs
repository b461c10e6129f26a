//! The typed builder: streams and tables, and the topology that comes of them.
//!
//! Every call records a node of the logical graph (`graph`), with the name that Kafka Streams would give it (`names`),
//! and beside it a factory that knows the types. `build` rewrites the graph (`optimize`) and writes it into the
//! arena (`lower`). Nothing here runs records.

// What users say beside operators.
mod data;
mod join_windows;
mod materialized;
mod options;
mod retries;
mod store_forms;
mod stores;
mod stream_joined;
mod supplied;
mod window_retention;
mod window_store_supplier;
// The graph, its names, and how it grows.
mod grace_buffer;
mod graph;
mod graph_node;
mod join_names;
mod join_stores;
mod materialize;
mod names;
mod upstream;
mod versioned;
mod window_stores;
// What users write: streams and tables.
mod branched;
mod builder;
mod cogrouped;
mod foreign_key_join;
mod global_store;
mod global_table;
mod grouped;
mod grouped_table;
mod paned;
mod session_windowed;
mod stream;
mod stream_global_join;
mod stream_join;
mod stream_map;
mod stream_output;
mod stream_process;
mod stream_retry;
mod stream_sink;
mod stream_stream_join;
mod stream_try;
mod suppressed;
mod table;
mod table_derived;
mod table_join;
mod table_suppress;
mod table_transform;
mod windowed;
mod windowed_cogroup;
mod windows;
// What users write: node by node.
mod processor_topology;
mod topology_stores;
// From the graph to the arena.
mod lower;
mod optimize;

pub use branched::BranchedKStream;
pub use builder::StreamsBuilder;
pub use cogrouped::CogroupedKStream;
pub use data::Data;
pub use foreign_key_join::{TableJoined, TableJoinedSerdes};
pub use global_table::GlobalKTable;
pub use grouped::KGroupedStream;
pub use grouped_table::KGroupedTable;
pub use join_windows::JoinWindows;
pub use materialized::Materialized;
pub use options::{Consumed, Grouped, Joined, Produced, Repartitioned, TopologyConfig};
pub use paned::PanedKStream;
pub use processor_topology::NodeRef;
pub use retries::Retries;
pub use session_windowed::SessionWindowedKStream;
pub use stores::{StoreBuilder, Stores};
pub use stream::KStream;
pub use stream_joined::StreamJoined;
pub use suppressed::{BufferConfig, EmitEarly, Strict, Suppressed};
pub use table::KTable;
pub use window_retention::WindowRetention;
pub use window_store_supplier::WindowStoreSupplier;
pub use windowed::TimeWindowedKStream;
pub use windowed_cogroup::{SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream};
pub use windows::{EmitStrategy, SessionWindows, SlidingWindows, TimeWindows, UnlimitedWindows, Windowing};

pub use crate::outcome::{OptionalOutcome, Outcome};

pub use crate::operators::{
    FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, PartitionChoice, PartitionOutcome, Partitioner,
    Printed, TimestampExtractor, ValueTransformerWithKey, Windows,
};
