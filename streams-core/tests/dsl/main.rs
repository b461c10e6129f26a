//! What the operators do to records, through the test driver; what a wrong topology is told. The recorded cases of
//! `tests/oracle` cover meaning and names broadly; these tests hold what those cannot say: types, handlers,
//! partitioners, sentences.
#![allow(missing_docs, clippy::unwrap_used)]

mod aggregates;
mod faults;
mod foreign_keys;
mod global_stores;
mod handlers;
mod join_stores;
mod join_windows;
mod own_serdes;
mod panes;
mod processor_context;
mod processors;
mod queries;
mod recorder;
mod retries;
mod routes;
mod schedules;
mod serdes;
mod settings;
mod sinks;
mod sources;
mod stores;
mod tables;
mod traces;
mod versioned;
mod windows;
mod wrapper;

use streams_core::dsl::StreamsBuilder;
use streams_core::testing::{DriverConfig, TopologyTestDriver};

/// A driver of what `builder` has.
fn driver(builder: &StreamsBuilder) -> TopologyTestDriver {
    TopologyTestDriver::new(builder.build().unwrap()).unwrap()
}

/// A driver whose stores hold nothing back.
fn uncached(builder: &StreamsBuilder) -> TopologyTestDriver {
    let config = DriverConfig { statestore_cache_max_bytes: 0, ..DriverConfig::default() };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}
