//! Topologies in a test: records in, records out, no broker, no files, no waiting.
//!
//! The driver turns the same tasks as the runtime. It holds partition 0 of every topic, processes a record to its
//! end before the next, and commits after each, exactly as Kafka Streams' `TopologyTestDriver` does.

// What a driver is made with.
mod config;
// The turning itself.
mod crank;
// The driver.
mod driver;
// Typed ends.
mod input_topic;
mod mock_context;
mod output_topic;
mod patterns;
mod store;
#[cfg(test)]
mod tests;
mod versioned_store;
mod window_store;

pub use config::DriverConfig;
pub use crank::ProducedRecord;
pub use driver::TopologyTestDriver;
pub use input_topic::TestInputTopic;
pub use mock_context::MockProcessorContext;
pub use output_topic::TestOutputTopic;
pub use store::TestStore;
pub use versioned_store::{TestVersion, TestVersionedStore};
pub use window_store::{TestSessionStore, TestWindowStore};
