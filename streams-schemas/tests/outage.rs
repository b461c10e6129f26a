//! A registry that is down, seen from a topology. Can catch: a record that is skipped because nobody could say what it means.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use streams_core::dsl::StreamsBuilder;
use streams_core::handler::LogAndContinue;
use streams_core::processor::DropReason;
use streams_core::serdes::Auto;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::Topic;
use streams_schemas::{
    AvroSerde, InMemoryRegistry, Registry, Schema, SchemaKind, SchemaRegistry, SchemaRegistryConfig, wire,
};

fn text() -> Schema {
    Schema::new(SchemaKind::Avro, "\"string\"")
}

/// Copies `in` to `out`; all handlers would go on.
fn driver(registry: &InMemoryRegistry) -> TopologyTestDriver {
    let connected = SchemaRegistry::new(registry.clone(), SchemaRegistryConfig::default());
    let topic = |name: &'static str| {
        let serde = AvroSerde::<String>::new(&connected, text()).unwrap();
        Topic::<String, String, _, _>::with_serdes(name, Auto, serde)
    };
    let builder = StreamsBuilder::new();
    builder.stream(&topic("in")).to(&topic("out"));
    let config = DriverConfig {
        deserialization_exception_handler: Arc::new(LogAndContinue),
        production_exception_handler: Arc::new(LogAndContinue),
        ..DriverConfig::default()
    };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

/// A record of schema 1: "a".
fn record() -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_frame(1, &mut bytes);
    bytes.extend_from_slice(&[2, b'a']);
    bytes
}

fn pipe(driver: &TopologyTestDriver, bytes: &[u8]) -> Result<(), String> {
    let raw = Topic::<String, String>::new("in");
    driver.input(&raw).pipe_raw(Some(b"k"), Some(bytes)).map_err(|error| error.to_string())
}

#[test]
fn no_handler_is_asked_about_a_record_while_the_registry_is_down() {
    let registry = InMemoryRegistry::default();
    registry.register("in-value", &text()).unwrap();
    registry.set_down(true);
    let waiting = driver(&registry);
    let error = pipe(&waiting, &record()).unwrap_err();
    assert!(error.contains("in-0@0") && error.contains("no answer to schema by id"), "{error}");
    assert_eq!(waiting.dropped_by_reason().total(), 0);
    registry.set_down(false);
    let again = driver(&registry);
    pipe(&again, &record()).unwrap();
    assert_eq!(
        again.output(&Topic::<String, Vec<u8>, Auto, streams_core::serdes::Raw>::new("out")).read_all().len(),
        1
    );
}

#[test]
fn nor_about_an_id_that_is_not_known_but_about_bytes_that_do_not_fit() {
    let registry = InMemoryRegistry::default();
    let unknown = driver(&registry);
    let error = pipe(&unknown, &record()).unwrap_err();
    assert!(error.contains("no schema with id 1"), "{error}");
    registry.register("in-value", &text()).unwrap();
    let driver = driver(&registry);
    for bytes in [&b"no frame"[..], &record()[..6]] {
        pipe(&driver, bytes).unwrap();
    }
    pipe(&driver, &record()).unwrap();
    assert_eq!(driver.dropped_by_reason().get(DropReason::Unparsable), 2);
}
