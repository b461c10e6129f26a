//! Local state of kstreams: typed stores on a hash tier, with RocksDB or memory underneath.
//!
//! This crate knows bytes, time and files. It has the words for Kafka's things (topic-partition, task,
//! changelog offset) but no client and no runtime: a store is told what the changelog holds and leaves what
//! the changelog must get.

// Words that everything else uses.
pub mod types;
// Kafka Streams' byte layouts, one layout a file.
pub mod format;
// Typed values to bytes and back.
pub mod serdes;
// What can go wrong with state, and where.
pub mod error;
// One number for the memory of a process, and how it is shared out.
pub mod memory;
// Memory that is read before it is used.
mod fetch;
// The directory on disk: lock, format, process id, task directories.
pub mod directory;
// What an engine must do; the in-memory and the RocksDB engine.
pub mod engine;
// Typed stores.
pub mod store;
// Copies of task directories with a manifest, to start from elsewhere.
pub mod checkpoint;
