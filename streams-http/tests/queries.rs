//! Stores of a running application, asked over real sockets. Can be caught: a store that is shown without being named, rows that a page
//! leaves out or gives twice, a question that is answered wrongly instead of refused, a query that waits for a thread which waits for
//! records, stores that are told to who has no token.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::{Consumed, Materialized, SessionWindows, StreamsBuilder, TimeWindows};
use streams_core::query::{KeyQuery, PositionBound, StateQueryRequest};
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State};
use streams_core::topic::{Store, Topic};
use streams_http::{HttpConfig, HttpServer, StoreRoutes};

const WORDS: Topic<String, i64> = Topic::new("words");
const RATES: Topic<String, i64> = Topic::new("rates");
const COUNTS: Store<String, i64> = Store::new("counts");
const SECRETS: Store<String, i64> = Store::new("secrets");
const PER_MINUTE: Store<String, i64> = Store::new("per-minute");
const VISITS: Store<String, i64> = Store::new("visits");
const HISTORY: Store<String, i64> = Store::new("history");
const GLOBAL: Store<String, i64> = Store::new("global");
const SECOND: Duration = Duration::from_secs(1);

struct Application {
    streams: KafkaStreams,
    http: HttpServer,
    kafka: EmbeddedKafka,
    _folder: tempfile::TempDir,
}

impl Application {
    /// Not started yet. Threads wait for records for `poll`.
    fn new(token: Option<&str>, poll: Duration) -> Self {
        let (kafka, folder) = (EmbeddedKafka::new(SystemClock), tempfile::tempdir().unwrap());
        kafka.create_topic("words", 2).unwrap();
        kafka.create_topic("rates", 1).unwrap();
        let builder = StreamsBuilder::new();
        let words = builder.stream(&WORDS).group_by_key();
        words.clone().count_with(&COUNTS);
        words.clone().count_with(&SECRETS);
        let (minute, hour) = (60 * SECOND, 3600 * SECOND);
        let windows = TimeWindows::of_size_with_no_grace(minute);
        words.clone().windowed_by(windows).count_with(Materialized::from(&PER_MINUTE).retention(hour));
        let sessions = SessionWindows::of_inactivity_gap_with_no_grace(minute);
        words.windowed_by(sessions).count_with(Materialized::from(&VISITS).retention(hour));
        builder.table_with(&RATES, Consumed::new(), Materialized::from(&HISTORY).versioned(hour));
        builder.global_table_with(
            &Topic::<String, i64>::new("global-rates"),
            Consumed::new(),
            Materialized::from(&GLOBAL),
        );
        kafka.create_topic("global-rates", 2).unwrap();
        let mut config = StreamsConfig::new("counter", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = folder.path().to_owned();
        config.poll = poll;
        let streams = KafkaStreams::new(builder.build().unwrap(), config, Arc::new(kafka.clone())).unwrap();
        let stores = StoreRoutes::new().key_value(&COUNTS).windows(&PER_MINUTE).sessions(&VISITS);
        let config = HttpConfig {
            stores: stores.versioned(&HISTORY).key_value(&GLOBAL),
            token: token.map(str::to_owned),
            ..HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let http = HttpServer::start(config, streams.monitor()).unwrap();
        Self { streams, http, kafka, _folder: folder }
    }

    fn started() -> Self {
        Self::starting(SECOND / 10)
    }

    fn starting(poll: Duration) -> Self {
        let mut application = Self::new(None, poll);
        application.streams.start().unwrap();
        assert!(application.streams.await_state(&[State::Running], 30 * SECOND));
        application
    }

    fn send(&self, topic: &str, partition: i32, key: &str, value: i64, time: i64) {
        let value = value.to_be_bytes();
        self.kafka.produce(topic, Some(partition), Some(key.as_bytes()), Some(&value), time).unwrap();
    }

    /// Words `a` (three times, over two minutes) and `b c` in one partition, `k00` to `k11` in the other.
    fn feed(&self) {
        for (key, time) in [("a", 0), ("a", 1000), ("b", 2000), ("a c", 3000), ("a", 130_000)] {
            self.send("words", 0, key, 1, time);
        }
        (0..12).for_each(|number| self.send("words", 1, &format!("k{number:02}"), 1, number));
        for (value, time) in [(10, 1000), (11, 2000), (12, 3000)] {
            self.send("rates", 0, "eur", value, time);
        }
        self.send("global-rates", 1, "usd", 7, 5);
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.http.address())).call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Asks until the store has read what was sent.
    fn read(&self, path: &str, at_least: &str) -> Value {
        let path = format!("{path}{}at_least={at_least}", if path.contains('?') { "&" } else { "?" });
        let deadline = Instant::now() + 30 * SECOND;
        loop {
            let (code, body) = self.get(&path);
            if code == 200 {
                return body;
            }
            assert_eq!((code, &body["reason"]), (412, &"NOT_UP_TO_BOUND".into()), "{path}: {body}");
            assert!(Instant::now() < deadline, "{path}: {body}");
        }
    }
}

/// A field of each row.
fn column(answer: &Value, field: &str) -> Vec<Value> {
    answer["rows"].as_array().unwrap().iter().map(|row| row[field].clone()).collect()
}

#[test]
fn rows_of_all_kinds_of_stores_are_what_was_written() {
    let application = Application::started();
    application.feed();
    let row = application.read("/stores/counts/keys/a?partition=0", "words-0:4");
    assert_eq!(row["row"], json!({"key": "a", "value": 3, "timestamp": 130_000, "partition": 0}));
    assert!(row["position"].as_str().unwrap().starts_with("words-0:"), "{row}");
    let spaces = application.get("/stores/counts/keys/a%20c").1;
    assert_eq!(spaces["row"]["value"], 1, "{spaces}");

    let windows = application.read("/stores/per-minute/windows/a", "words-0:4");
    assert_eq!(
        windows["rows"],
        json!([
            {"start": 0, "end": 60_000, "value": 2, "timestamp": 1000, "partition": 0},
            {"start": 120_000, "end": 180_000, "value": 1, "timestamp": 130_000, "partition": 0},
        ])
    );
    let windows = application.get("/stores/per-minute/windows?from=60000&partition=0").1;
    assert_eq!(
        (column(&windows, "key"), column(&windows, "start")),
        (vec!["a".into()], vec![120_000.into()])
    );
    let first = application.get("/stores/per-minute/windows/a?limit=1").1;
    assert_eq!((column(&first, "start"), &first["more"]), (vec![0.into()], &true.into()));

    let sessions = application.read("/stores/visits/sessions/a", "words-0:4");
    assert_eq!(
        (column(&sessions, "start"), column(&sessions, "end")),
        (vec![0.into(), 130_000.into()], vec![1000.into(), 130_000.into()])
    );
    let latest = application.get("/stores/visits/sessions/a?order=desc&limit=1").1;
    assert_eq!(column(&latest, "start"), [Value::from(130_000)]);

    let versions = application.read("/stores/history/versions/eur", "rates-0:2");
    assert_eq!(column(&versions, "value"), [10, 11, 12].map(Value::from));
    let then = application.get("/stores/history/versions/eur?as_of=2500").1;
    assert_eq!(then["row"], json!({"value": 11, "valid_from": 2000, "valid_to": 3000, "partition": 0}));
    let between = application.get("/stores/history/versions/eur?from=2000&to=2999").1;
    assert_eq!(column(&between, "value"), [Value::from(11)]);

    let global = application.read("/stores/global/keys/usd", "global-rates-1:0");
    assert_eq!(global["row"], json!({"key": "usd", "value": 7, "timestamp": 5}));
}

#[test]
fn pages_follow_each_other_and_leave_no_row_out() {
    let application = Application::started();
    application.feed();
    application.read("/stores/counts/range?partition=0", "words-0:4");
    application.read("/stores/counts/range?partition=1", "words-1:11");
    let keys = |part: &str, order: &str, limit: usize| -> Vec<String> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/stores/counts/range?limit={limit}&order={order}{part}{after}");
            let (code, page) = application.get(&path);
            assert_eq!(code, 200, "{path}: {page}");
            assert!(page["rows"].as_array().unwrap().len() <= limit);
            found.extend(column(&page, "key").iter().map(|key| key.as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { return found };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            after = format!("&after={next}");
            assert!(found.len() <= 15, "{found:?}");
        }
    };
    let (first, second) = (["a", "a c", "b"], (0..12).map(|number| format!("k{number:02}")));
    let ascending: Vec<String> = first.iter().map(|key| (*key).to_owned()).chain(second.clone()).collect();
    let descending: Vec<String> =
        first.iter().rev().map(|key| (*key).to_owned()).chain(second.rev()).collect();
    for limit in [1, 2, 3, 4, 5, 14, 15, 16] {
        assert_eq!(keys("", "asc", limit), ascending, "by {limit}");
        assert_eq!(keys("", "desc", limit), descending, "by {limit}");
    }
    assert_eq!(keys("&from=a%20b&to=k03", "asc", 2), ["a c", "b", "k00", "k01", "k02", "k03"]);
    assert_eq!(keys("&from=a%20b&to=k03", "desc", 2), ["b", "a c", "k03", "k02", "k01", "k00"]);
    assert_eq!(keys("&partition=1&to=k01", "asc", 1), ["k00", "k01"]);
}

/// The thread waits for records for a minute: a question wakes it, be it asked over HTTP or in the process.
#[test]
fn a_thread_that_waits_for_records_is_woken() {
    let application = Application::starting(60 * SECOND);
    application.feed();
    application.read("/stores/counts/keys/a?partition=0", "words-0:4");
    let request = StateQueryRequest::in_store(&COUNTS).with_query(KeyQuery::with_key("a"));
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(application.get("/stores/counts/keys/a").0, 200);
        let result = application.streams.query(&request).unwrap();
        let seen = PositionBound::at(result.position());
        assert_eq!(result.found(), Ok(Some(3)));
        let later = application.streams.query(&request.clone().with_position_bound(seen)).unwrap();
        assert_eq!(later.found(), Ok(Some(3)), "time does not go back");
    }
    assert!(started.elapsed() < 10 * SECOND, "{:?} for 300 queries", started.elapsed());
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let mut application = Application::new(None, SECOND / 10);
    let (code, body) = application.get("/stores/counts/keys/a");
    assert_eq!(code, 503);
    assert!(body["error"].as_str().unwrap().contains("has not been started"), "{body}");
    application.streams.start().unwrap();
    assert!(application.streams.await_state(&[State::Running], 30 * SECOND));
    application.feed();
    application.read("/stores/counts/keys/a?partition=0", "words-0:4");
    for (path, code, part) in [
        ("/stores/secrets/keys/a", 404, "`secrets` is not shown here"),
        ("/stores/nowhere/keys/a", 404, "is not shown here"),
        ("/stores/counts/keys/zzz", 404, "no row of this key (position words-0:"),
        ("/stores/counts/keys/a?partition=7", 404, "has no partition 7; it has [0, 1]"),
        ("/stores/counts/windows/a", 404, "is a key-value store"),
        ("/stores/per-minute/keys/a", 404, "is a window store"),
        ("/stores/visits/versions/a", 404, "is a session store"),
        ("/stores/history/range", 404, "is a versioned store"),
        ("/stores/counts/keys", 404, "has no `keys` of this form"),
        ("/stores/counts/rows/a", 404, "has no `rows`"),
        ("/stores/counts/range?limit=0", 400, "`limit` is 0"),
        ("/stores/counts/range?limit=10001", 400, "1 to 10000"),
        ("/stores/counts/range?limit=x", 400, "`limit` is `x`"),
        ("/stores/counts/range?order=up", 400, "asc or desc"),
        ("/stores/counts/range?after=zzz", 400, "`after` is not the `next`"),
        ("/stores/counts/range?after=%5B0%2C%7B%7D%5D", 400, "`after` is not the `next`"),
        ("/stores/counts/keys/a?partition=-x", 400, "`partition` is `-x`"),
        ("/stores/counts/keys/a?stale=maybe", 400, "`stale` is `maybe`"),
        ("/stores/counts/keys/a?at_least=words", 400, "`words` is no topic, partition and offset"),
        ("/stores/counts/keys/a?at_least=words-0:99", 412, "the bound is words-0:99"),
        ("/stores/counts/keys/a?timeout_ms=60001", 400, "at most 60000"),
        ("/stores/counts/keys/a?limits=1", 400, "there is no parameter `limits`"),
        ("/stores/per-minute/windows/a?from=yesterday", 400, "`from` is `yesterday`"),
    ] {
        let (found, body) = application.get(path);
        let error = body["error"].as_str().unwrap_or_default();
        assert!(found == code && error.contains(part), "{path}: {found} {body}");
    }
    let shown = application.get("/stores").1;
    assert_eq!(
        shown[0],
        json!({"store": "counts", "paths": ["/stores/counts/keys/{key}", "/stores/counts/range"]})
    );
    assert!(!shown.to_string().contains("secrets"));
    application.streams.close(30 * SECOND).unwrap();
    let (code, body) = application.get("/stores/counts/keys/a");
    assert_eq!(code, 503);
    assert!(body["error"].as_str().unwrap().contains("is NOT_RUNNING"), "{body}");
}

#[test]
fn who_has_no_token_learns_no_row() {
    let application = Application::new(Some("s3cret"), SECOND);
    for path in ["/stores", "/stores/counts/keys/a", "/stores/counts/range", "/stores/nowhere/keys/a"] {
        let (code, body) = application.get(path);
        assert_eq!((code, body.to_string().contains("counts")), (401, false), "{path}: {body}");
    }
}
