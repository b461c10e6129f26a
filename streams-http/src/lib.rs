//! HTTP endpoints of an application of kstreams, for probes, operators and Prometheus. Nothing here changes an application.
//!
//! | `GET` | answers |
//! |---|---|
//! | `/` | the live page: the topology drawn with its figures, restores, rebalances, dead letters, in a browser |
//! | `/health/live` | 200, or 503 once the instance stopped by an error or was closed: what a process manager restarts by |
//! | `/health/ready` | 200 while all threads run, no task restores, and the lag is in bounds; else 503 and the reasons |
//! | `/status` | state, threads, tasks with their inputs and stores, restore, lag, memory: JSON |
//! | `/work` | where the time of the threads goes: the share of each node, by looking at the threads about 200 times a second, from the first question to some seconds after the last: JSON |
//! | `/history` | changes of states and tasks, the last 200: JSON |
//! | `/failures` | records that handlers were asked about, the last 50, and dead letters: JSON |
//! | `/topology` | Kafka Streams' `describe()` text; `/topology/mermaid`, `/topology/dot` drawings, `/topology/json` the plan, `/topology/graph` the nodes |
//! | `/metrics` | all metrics for Prometheus, under the names that dashboards for Kafka Streams look for ([`Family`](streams_core::metrics::Family) has the rule), and our own, which begin with `kstreams_` |
//!
//! Stores that [`HttpConfig::stores`] names can be asked, by `GET` and as JSON; no other store is shown:
//!
//! | `GET /stores/STORE/...` | answers |
//! |---|---|
//! | `keys/KEY` | the row of a key-value store, or 404 |
//! | `range?from=&to=` | its rows in order of their keys' bytes, partition by partition; `after` is the `next` of the page before |
//! | `windows/KEY?from=&to=`, `windows?from=&to=` | the windows of a key, or of all, that start from `from` to `to` (ms) |
//! | `sessions/KEY` | the sessions of a key |
//! | `versions/KEY?from=&to=`, `versions/KEY?as_of=` | the versions of a key that were valid then |
//!
//! Everywhere: `limit` (100 unless given, 10,000 at most), `order=asc` or `desc`, `partition`, `stale=true` for stores that restore,
//! `timeout_ms`, and `at_least`, the `position` of an earlier answer: a store that has not read that far yet answers 412
//! (`NOT_UP_TO_BOUND`). 421 (`NOT_PRESENT`) says that the partition is on another instance, 503 that it restores or moves, 504 that a
//! thread did not come to it in time. `elsewhere` in an answer lists the partitions of the store that are not here. Keys are text where
//! their type takes text, else JSON.
//!
//! It listens on the loopback interface, and answers there without a token only who asks for `localhost` or a loopback address: else a page of
//! the web could read it by giving its own name that address. Any other address needs TLS and a token, or the start is refused: the endpoints
//! tell names of everything, what errors say, and what the stores that are shown hold. With a token every request has to bring it (`Authorization: Bearer
//! ...`; in a browser the token is the password, with any user name).
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
mod events;
mod graph;
mod health;
mod page;
mod problem;
mod prometheus;
mod question;
mod routes;
mod server;
mod status;
mod stores;
mod work;

pub use config::{HttpConfig, HttpError, Tls};
pub use server::HttpServer;
pub use stores::{HttpKey, HttpValue, StoreRoutes};
