//! HTTP endpoints of an application of kstreams, for probes, operators and Prometheus. Nothing here changes an application.
//!
//! | `GET` | answers |
//! |---|---|
//! | `/health/live` | 200, or 503 once the instance stopped by an error or was closed: what a process manager restarts by |
//! | `/health/ready` | 200 while all threads run, no task restores, and the lag is in bounds; else 503 and the reasons |
//! | `/status` | state, threads, tasks, restore, lag, memory: JSON |
//! | `/topology` | Kafka Streams' `describe()` text; `/topology/mermaid`, `/topology/dot` drawings, `/topology/json` the plan |
//! | `/metrics` | figures for Prometheus (OpenMetrics text) |
//!
//! It listens on the loopback interface. Any other address needs TLS and a token, or the start is refused: the endpoints tell topics, keys
//! of nobody, but names of everything. With a token every request has to bring it (`Authorization: Bearer ...`).
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use streams_core::{client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::Topic};
//! # use streams_core::runtime::{KafkaStreams, clock::SystemClock};
//! use streams_http::{HttpConfig, HttpServer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let config = StreamsConfig::new("word-count", ProcessingGuarantee::ExactlyOnceV2);
//! # let builder = StreamsBuilder::new();
//! # builder.stream(&Topic::<String, String>::new("words")).to(&Topic::<String, String>::new("out"));
//! # let streams = KafkaStreams::new(builder.build()?, config, Arc::new(EmbeddedKafka::new(SystemClock)))?;
//! let http = HttpServer::start(HttpConfig::on("127.0.0.1:0".parse()?), streams.monitor())?;
//! println!("curl http://{}/health/ready", http.address());
//! # http.close(Duration::from_secs(1));
//! # Ok(()) }
//! ```

mod config;
mod health;
mod prometheus;
mod routes;
mod server;
mod status;

pub use config::{HttpConfig, HttpError, Tls};
pub use server::HttpServer;
