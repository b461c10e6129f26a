//! Topologies whose description, numbering and internal topics were recorded from Kafka Streams 4.3.1
//! (`tests/data/golden/describe.json.gz`).
#![allow(clippy::unwrap_used)]

mod golden_describe {
    mod arena;
    mod dsl;
    mod golden;
}
