//! Topologies whose description, numbering and internal topics were recorded from Kafka Streams 4.3.1
//! (`tests/data/golden/describe.json.gz`), built again and compared.
#![allow(clippy::unwrap_used)]

mod golden_describe {
    mod arena;
    mod catalogue;
    mod dsl_steps;
    mod golden;
    mod processor_steps;
}
