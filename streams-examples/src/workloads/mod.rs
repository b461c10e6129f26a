//! Topologies that the side-by-side benchmark (`bench`) and the fault harness (`chaos`) run, byte for byte what
//! their Kafka Streams twins write.

mod joins;
mod text;
mod windows;

pub mod bench;
pub mod chaos;
