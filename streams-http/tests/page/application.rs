//! A shop: two sub-topologies, a store, orders that do not parse, and a listener that holds restores up.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::StreamsBuilder;
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State, StateRestoreListener};
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;
use streams_core::types::TopicPartition;
use streams_http::{HttpConfig, HttpServer};

pub(crate) const ORDERS: Topic<String, i64> = Topic::new("orders");
pub(crate) const COUNTS: Store<String, i64> = Store::new("orders-per-customer");
pub(crate) const TOTALS: Topic<String, i64> = Topic::new("totals");
pub(crate) const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Orders by customer are counted behind a repartition topic.
pub(crate) fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let orders = builder.stream(&ORDERS);
    orders
        .select_key(|key, _| format!("customer-{key}"))
        .group_by_key()
        .count_with(&COUNTS)
        .to_stream()
        .to(&TOTALS);
    builder.build().unwrap()
}

/// The log with the topics of the shop, one partition each.
pub(crate) fn log() -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(SystemClock);
    for topic in ["orders", "totals", "dead-letters"] {
        kafka.create_topic(topic, 1).unwrap();
    }
    kafka
}

pub(crate) fn order(kafka: &EmbeddedKafka, key: &str, value: &[u8]) {
    kafka.produce("orders", None, Some(key.as_bytes()), Some(value), 0).unwrap();
}

/// An application over `topology` and its endpoints.
pub(crate) struct Running {
    pub(crate) streams: KafkaStreams,
    pub(crate) http: HttpServer,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn new(topology: Topology, kafka: &EmbeddedKafka, letters: bool) -> Self {
        let change = |config: &mut StreamsConfig| letters.then(|| config.dead_letters_to(&DEAD_LETTERS));
        Self::with(topology, kafka, HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0))), change)
    }

    pub(crate) fn with<T>(
        topology: Topology,
        kafka: &EmbeddedKafka,
        http: HttpConfig,
        change: impl FnOnce(&mut StreamsConfig) -> T,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = folder.path().to_owned();
        config.commit_interval = Duration::from_millis(20);
        change(&mut config);
        let streams = KafkaStreams::new(topology, config, Arc::new(kafka.clone())).unwrap();
        let http = HttpServer::start(http, streams.monitor()).unwrap();
        Self { streams, http, _folder: folder }
    }

    pub(crate) fn start(&mut self) {
        self.streams.start().unwrap();
        assert!(self.streams.await_state(&[State::Running, State::Error], 60 * SECOND));
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.http.address())
    }

    /// Status code, headers and body of a path.
    pub(crate) fn get(&self, path: &str, authorization: &str) -> (u16, Vec<(String, String)>, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(self.url(path));
        let request =
            if authorization.is_empty() { request } else { request.header("authorization", authorization) };
        let mut answer = request.call().unwrap();
        let texts = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (answer.status().as_u16(), texts.collect(), answer.body_mut().read_to_string().unwrap())
    }

    /// JSON of a path, once it is as it should be.
    pub(crate) fn await_json(
        &self,
        path: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = serde_json::from_str(&self.get(path, "").2).unwrap();
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{path} stays {answer}");
        }
    }
}

/// Lets a restore read one batch, and the next one only after `open`.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(u32, bool)>, Condvar);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.lock().unwrap().1 = true;
        self.1.notify_all();
    }
}

impl StateRestoreListener for Gate {
    fn on_batch_restored(&self, _changelog: &TopicPartition, _store: &str, _position: i64, _records: u64) {
        let mut gate = self.0.lock().unwrap();
        gate.0 += 1;
        if gate.0 > 1 {
            drop(self.1.wait_while(gate, |(_, open)| !*open).unwrap());
        }
    }
}
