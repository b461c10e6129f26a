//! Embedded in axum: a web service that takes orders, adds them up by customer with a topology inside, and answers from its results.
//!
//! In Kafka Streams: a Spring Boot or Micronaut service with a `KafkaTemplate`, `KafkaStreams` and a controller.
//!
//! What to watch for:
//! - Threads. The topology has its own; handlers of axum never block: `send()?.await?` waits for the acknowledgement.
//! - Keys. With one instance this answers for all customers. With several, each has the partitions it owns: give the readers of results a
//!   group of their own each, as here, or send the question to who has the key.
//! - Time. An answer may be older than an order that was just taken, by a commit interval (100 ms).
//! - State. The counts are the topology's; what the handlers read is a copy in memory, one row a customer.
//! - The end. On Ctrl-C axum takes no more requests, then the topology commits and closes.
//! - Probes. `kstreams::http` (feature `http`) has `/health/live`, `/health/ready` and `/metrics` ready made; `/ready` here is the short way.
//!
//! Run it: `cargo run -p kstreams-cookbook --bin embed_in_axum`, then
//! `curl -d 250 localhost:8081/orders/ada; curl localhost:8081/totals/ada`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use kstreams::clients::IsolationLevel;
use kstreams::prelude::*;
use kstreams::runtime::{State as Stage, StreamsMonitor};
use kstreams::{client::embedded::EmbeddedKafka, runtime::clock::SystemClock};

const ORDERS: Topic<String, i64> = Topic::new("orders"); // cents, by customer
const TOTALS: Topic<String, i64> = Topic::new("totals");
const SUMS: Store<String, i64> = Store::new("sums");
const PATIENCE: Duration = Duration::from_secs(30);

fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder.stream(&ORDERS).group_by_key().fold(&SUMS, |_, cents, sum| *sum += cents).to_stream().to(&TOTALS);
    builder.build()
}

/// What the handlers share.
struct Shop {
    orders: TopicProducer<String, i64>,
    totals: Mutex<BTreeMap<String, i64>>,
    monitor: StreamsMonitor,
}

type Answer = Result<String, (StatusCode, String)>;

async fn order(State(shop): State<Arc<Shop>>, Path(customer): Path<String>, body: String) -> Answer {
    let cents: i64 =
        body.trim().parse().map_err(|error| (StatusCode::BAD_REQUEST, format!("{body}: {error}\n")))?;
    let unavailable =
        |error: kstreams::clients::SendError| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    let written = shop.orders.send(customer, cents).map_err(unavailable)?.await.map_err(unavailable)?;
    Ok(format!("partition {}, offset {:?}\n", written.partition, written.offset))
}

async fn total(State(shop): State<Arc<Shop>>, Path(customer): Path<String>) -> Answer {
    let found = shop.totals.lock().unwrap_or_else(PoisonError::into_inner).get(&customer).copied();
    found.map(|cents| format!("{cents}\n")).ok_or((StatusCode::NOT_FOUND, "no orders\n".to_owned()))
}

async fn ready(State(shop): State<Arc<Shop>>) -> (StatusCode, String) {
    let state = shop.monitor.state();
    let code = if state == Stage::Running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{state}\n"))
}

/// Serves on `listener` until `stop`, then closes the topology.
async fn serve(
    listener: tokio::net::TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    // Kafka in this process. A real one: RdKafka::new("localhost:9092", properties), with these topics.
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic(ORDERS.name(), 2)?;
    kafka.create_topic(TOTALS.name(), 2)?;
    let state = tempfile::tempdir()?;
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = state.path().to_owned();
    let mut streams = KafkaStreams::new(topology()?, config, Arc::new(kafka.clone()))?;
    streams.start()?; // Looks at the topics; with a broker that is slow, put it into `spawn_blocking`.

    let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
    let shop = Arc::new(Shop { orders, totals: Mutex::default(), monitor: streams.monitor() });
    let group = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::group(format!("shop-front-{}", std::process::id()))
    };
    let mut totals = TopicConsumer::subscribe(&kafka, &[&TOTALS], group)?;
    let reader = Arc::downgrade(&shop);
    let reader = std::thread::spawn(move || -> Result<(), kstreams::clients::ConsumerError> {
        while let Some(shop) = reader.upgrade() {
            let rows = totals.poll(Duration::from_millis(100))?.into_records().into_iter();
            let mut totals = shop.totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.extend(rows.map(|row| (row.key, row.value)));
        }
        Ok(())
    });

    let routes =
        Router::new().route("/orders/{customer}", post(order)).route("/totals/{customer}", get(total));
    let routes = routes.route("/ready", get(ready)).with_state(shop);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;
    tokio::task::spawn_blocking(move || streams.close(PATIENCE)).await??;
    reader.join().map_err(|_| "the reader of totals panicked")??;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, async {
        // Without signals it serves for ever.
        let _ = tokio::signal::ctrl_c().await;
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_and_added_up() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let shop = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = runtime.spawn(async move {
            serve(listener, async { stopped.await.unwrap() }).await.map_err(|error| error.to_string())
        });
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let post =
            |body: &str| agent.post(format!("{shop}/orders/ada")).send(body).unwrap().status().as_u16();
        assert_eq!((post("250"), post("50"), post("much")), (200, 200, 400));
        let total =
            || agent.get(format!("{shop}/totals/ada")).call().unwrap().body_mut().read_to_string().unwrap();
        let began = std::time::Instant::now();
        assert!((0..).take_while(|_| began.elapsed() < PATIENCE).any(|_| total() == "300\n"), "{}", total());
        assert_eq!(agent.get(format!("{shop}/ready")).call().unwrap().status().as_u16(), 200);
        stop.send(()).unwrap();
        assert_eq!(runtime.block_on(served).unwrap(), Ok(()));
    }
}
