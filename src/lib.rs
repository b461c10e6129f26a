//! Embedded stream processing for Kafka, with Kafka Streams' words and meaning.
//!
//! You write a topology with a typed builder. The library runs it as tasks, one for each partition, in the threads of
//! your program: their state lives in fast local stores, is backed by changelog topics, and is committed exactly once
//! with Kafka transactions. There is no cluster to run; start the program twice and the two share the partitions.
//!
//! ```
//! use kstreams::prelude::*;
//!
//! const LINES: Topic<(), String> = Topic::new("lines");
//! const WORD_COUNTS: Topic<String, i64> = Topic::new("word-counts");
//! const COUNTS: Store<String, i64> = Store::new("counts");
//!
//! let builder = StreamsBuilder::new();
//! builder
//!     .stream(&LINES)
//!     .flat_map_values(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
//!     .group_by(|_, word| word.clone())
//!     .count_with(&COUNTS)
//!     .to_stream()
//!     .to(&WORD_COUNTS);
//! let topology = builder.build()?;
//!
//! let driver = TopologyTestDriver::new(topology)?;
//! driver.input(&LINES).pipe((), "to be or not to be");
//! assert_eq!(driver.store(&COUNTS).get(&"be".to_owned()), Some(2));
//! assert_eq!(driver.output(&WORD_COUNTS).read_key_values()["to"], 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go from here
//! - [Coming from Kafka Streams](coming_from_kafka_streams): Java on the left, this library on the right.
//! - Operators: [`KStream`](dsl::KStream), [`KTable`](dsl::KTable), [`KGroupedStream`](dsl::KGroupedStream); what
//!   they have no word for: [`Processor`](processor::Processor), or the low-level [`Topology`](topology::Topology).
//! - Running: [`KafkaStreams`](runtime::KafkaStreams) with [`StreamsConfig`](config::StreamsConfig), on
//!   [`RdKafka`](client) or on the [embedded log](client::embedded), which needs no broker.
//! - Beside a topology: [`TopicProducer`](clients::TopicProducer) and [`TopicConsumer`](clients::TopicConsumer) over the
//!   same topics.
//! - Bytes: [`serdes`]. Bad records: [`handler`]. Tests: [`TopologyTestDriver`](testing::TopologyTestDriver).
//!
//! # Cargo features
//! - `rdkafka` (default): the client of a real Kafka.
//! - `rocksdb` (default): stores on disk. Without it they are in memory and restore from their changelogs.
//! - `http`: `kstreams::http`, probes, status, topology and figures for Prometheus.
//! - `metrics`: [`metrics`]`::MetricsPublisher`, all metrics through the crate of that name.
//! - `sim`: `kstreams::sim`, your topology under thousands of schedules of faults, each repeatable from its seed.
//! - `ssl`, `ssl-vendored`: TLS and SASL for that client, with the OpenSSL of the system or one built along. `zstd`: its
//!   compression of that name.
//! - `avro`, `protobuf`, `json-schema`: `kstreams::schemas`, serdes of that kind with a Schema Registry.

#[cfg(feature = "sim")]
pub use streams_core::sim;
pub use streams_core::{
    client, clients, config, dead_letter, dsl, engine, error, handler, metrics, partitioner, processor,
    query, record, runtime, serdes, store, testing, topic, topics, topology, trace_context, types,
};
#[cfg(feature = "http")]
pub use streams_http as http;
#[cfg(any(feature = "avro", feature = "protobuf", feature = "json-schema"))]
pub use streams_schemas as schemas;
// What a processor gets in hand as a store, and what a store of one's own implements.
pub use streams_state::error::StateError;

/// The names that almost every application uses: `use kstreams::prelude::*`.
pub mod prelude {
    pub use streams_core::clients::{
        ConsumerConfig, ConsumerError, ProducerConfig, SeekTo, TopicConsumer, TopicProducer,
    };
    pub use streams_core::config::{ProcessingGuarantee, StreamsConfig};
    pub use streams_core::dsl::{
        BranchedKStream, BufferConfig, Consumed, EmitStrategy, GlobalKTable, Grouped, JoinWindows, Joined,
        KGroupedStream, KGroupedTable, KStream, KTable, Materialized, Produced, Repartitioned, Retries,
        SessionWindows, SlidingWindows, StoreBuilder, Stores, StreamJoined, StreamsBuilder, Suppressed,
        TableJoined, TimeWindows, UnlimitedWindows, WindowRetention, WindowStoreSupplier, Windows,
    };
    pub use streams_core::handler::{DeadLetterQueue, LogAndContinue, LogAndFail};
    pub use streams_core::processor::{Processor, ProcessorContext, Punctuation, PunctuationType, StoreRef};
    pub use streams_core::record::Record;
    pub use streams_core::runtime::{
        KafkaStreams, MetricsSnapshot, State, StateRestoreListener, StreamThreadExceptionResponse,
        StreamsError,
    };
    pub use streams_core::serdes::{Auto, Json, Raw, Serde, SerdeError, SerdeRef};
    pub use streams_core::testing::TopologyTestDriver;
    pub use streams_core::topic::{Store, Topic};
    pub use streams_core::topology::{OffsetReset, Topology, TopologyError};
    pub use streams_core::types::{Headers, Timestamp, Window, Windowed};
}

#[doc = include_str!("../COMING_FROM_KAFKA_STREAMS.md")]
pub mod coming_from_kafka_streams {}

/// The code blocks of the README, as tests.
#[cfg(all(doctest, feature = "rdkafka"))]
#[doc = include_str!("../README.md")]
struct Readme;
