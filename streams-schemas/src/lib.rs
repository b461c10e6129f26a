//! Avro, Protobuf and JSON Schema serdes of kstreams, with a client of Confluent's Schema Registry API.
//!
//! A serde is made of a registry and a schema, and given to a topic with `Topic::with_serdes` (an example: [`AvroSerde`]). Bytes are
//! those of Confluent's serdes ([`wire`]), so Java, Python and the rest read them. The client blocks, as serdes do; it asks once for
//! each schema and remembers.
//!
//! | | |
//! |---|---|
//! | a registry behind HTTP | `SchemaRegistry::connect(`[`SchemaRegistryConfig`]`::at(url)?)?`, or `from_properties` with Confluent's names |
//! | a registry in the process | [`SchemaRegistry::in_memory`] |
//! | its questions | [`Registry`]: register, look up, check, levels |
//! | serdes | [`AvroSerde`], [`ProtobufSerde`], [`JsonSchemaSerde`] (features `avro`, `protobuf`, `json-schema`) |
//!
//! # What follows of an error
//! [`SchemaError::kind`] is the table. Bytes that do not fit are the record's fault: `deserialization.exception.handler` decides. A
//! registry that does not answer, or an id that it does not know, is not: no handler is asked, the task goes back to its committed
//! offsets and tries again until `task.timeout.ms`. Wrong passwords, certificates and incompatible schemas stop the task at once.
//!
//! # Keys
//! Stores and partitions compare bytes, and the id of the schema is among them: a key whose schema changes is another key. Keys of
//! plain types (`Auto`) have no such trouble.

// Schemas, ids, versions, levels.
pub mod schema;
// What can go wrong, and whose fault it is.
pub mod error;
// Under which subject a schema stands.
pub mod subject;
// Settings, under Confluent's names.
pub mod config;
// The bytes in front of each record.
pub mod wire;
// A cache with a limit.
mod bounded;
// What a registry can do, and the handle of serdes.
mod registry;
// What serdes share.
mod serde;
// The three kinds.
#[cfg(feature = "avro")]
mod avro;
#[cfg(feature = "json-schema")]
mod json;
#[cfg(feature = "protobuf")]
mod protobuf;
// Registries: behind HTTP, and in this process.
mod client;
mod in_memory;

#[cfg(feature = "avro")]
pub use avro::{Avro, AvroSerde};
pub use client::HttpRegistry;
pub use config::SchemaRegistryConfig;
pub use error::SchemaError;
pub use in_memory::InMemoryRegistry;
#[cfg(feature = "json-schema")]
pub use json::{Json, JsonSchemaSerde};
#[cfg(feature = "protobuf")]
pub use protobuf::{Protobuf, ProtobufSerde};
pub use registry::{Registry, SchemaRegistry};
pub use schema::{Schema, SchemaKind};
pub use serde::{Format, RegistrySerde};
pub use subject::SubjectNames;
