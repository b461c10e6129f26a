//! kstreams: embedded stream processing for Kafka, with Kafka Streams' words and meaning.
pub use streams_core::*;
