//! The endpoints of a running application, asked over real sockets. Can be caught: a probe that says the wrong thing, an endpoint that is open
//! to who may not ask, a request that ends the server, figures that Prometheus does not read.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::StreamsBuilder;
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State};
use streams_core::topic::{Store, Topic};
use streams_http::{HttpConfig, HttpServer, Tls};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const WORDS: Topic<String, String> = Topic::new("words");
const COUNTS: Store<String, i64> = Store::new("counts");
const SECOND: Duration = Duration::from_secs(1);

/// An application that counts words, and where its state is.
fn application() -> (KafkaStreams, EmbeddedKafka, tempfile::TempDir) {
    let (kafka, folder) = (EmbeddedKafka::new(SystemClock), tempfile::tempdir().unwrap());
    kafka.create_topic("words", 2).unwrap();
    let builder = StreamsBuilder::new();
    builder.stream(&WORDS).group_by_key().count_with(&COUNTS);
    let mut config = StreamsConfig::new("counter", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.commit_interval = Duration::from_millis(20);
    (KafkaStreams::new(builder.build().unwrap(), config, Arc::new(kafka.clone())).unwrap(), kafka, folder)
}

fn local() -> HttpConfig {
    HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn agent(tls: TlsConfig) -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
}

/// Status and body of a path.
fn get(http: &HttpServer, path: &str) -> (u16, String) {
    get_with(http, path, "")
}

fn get_with(http: &HttpServer, path: &str, authorization: &str) -> (u16, String) {
    let request = agent(TlsConfig::default()).get(format!("http://{}{path}", http.address()));
    let request =
        if authorization.is_empty() { request } else { request.header("authorization", authorization) };
    let mut answer = request.call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// The first answer that is as `wanted`.
fn eventually<T: std::fmt::Debug>(ask: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + 60 * SECOND;
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "it stays {answer:?}");
    }
}

fn json(http: &HttpServer, path: &str) -> (u16, Value) {
    let (code, body) = get(http, path);
    (code, serde_json::from_str(&body).unwrap())
}

#[test]
fn probes_follow_the_life_of_an_application() {
    let (mut streams, _kafka, _folder) = application();
    let http = HttpServer::start(local(), streams.monitor()).unwrap();
    let (code, ready) = json(&http, "/health/ready");
    assert_eq!((code, &ready["status"]), (503, &Value::from("down")));
    assert_eq!(ready["reasons"][0], "state is CREATED, not RUNNING");
    assert_eq!(json(&http, "/health/live").0, 200);
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], 30 * SECOND));
    assert_eq!(json(&http, "/health/ready"), (200, serde_json::json!({"status": "up", "state": "RUNNING"})));
    streams.close(30 * SECOND).unwrap();
    let (code, live) = json(&http, "/health/live");
    assert_eq!((code, &live["state"], &live["reasons"][0]), (503, &"NOT_RUNNING".into(), &"closed".into()));
    let address = http.address();
    http.close(SECOND);
    assert!(TcpStream::connect(address).is_err(), "closed");
}

#[test]
fn status_topology_and_figures_are_those_of_the_application() {
    let (mut streams, kafka, _folder) = application();
    let http = HttpServer::start(local(), streams.monitor()).unwrap();
    let read = 3;
    for partition in [0, 1, 1] {
        kafka.produce("words", Some(partition), Some(b"k"), Some(b"v"), 0).unwrap();
    }
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], 30 * SECOND));
    // The lag is looked at twice a second: it may be that of a moment at which one record was read and three were known of.
    let done = |status: &Value| {
        let records = &status["records"];
        records["processed"] == read && records["commits"] != 0 && records["lag"] == 0
    };
    let status = eventually(|| json(&http, "/status").1, done);
    assert_eq!((&status["application_id"], &status["state"]), (&"counter".into(), &"RUNNING".into()));
    let thread = &status["threads"][0];
    assert_eq!((&thread["name"], &thread["state"]), (&"counter-StreamThread-1".into(), &"RUNNING".into()));
    assert_eq!(thread["tasks"].as_array().unwrap().len(), 2);
    let task = &thread["tasks"][1];
    assert_eq!((&task["id"], &task["partitions"]), (&"0_1".into(), &serde_json::json!(["words-1"])));
    assert_eq!(task["restoring"], false);
    assert_eq!(status["records"]["dropped"], 0);

    assert!(
        get(&http, "/topology").1.starts_with("Topologies:\n   Sub-topology: 0\n    Source: KSTREAM-SOURCE-")
    );
    assert!(json(&http, "/topology/json").1["stores"]["counts"].is_object());
    assert!(get(&http, "/topology/mermaid").1.contains("words"));
    assert!(get(&http, "/topology/dot").1.starts_with("digraph"));

    // Sensors are told of records a moment after the sums.
    let read = |(code, figures): &(u16, String)| {
        assert_eq!(*code, 200);
        let start = "kafka_streams_stream_thread_metrics_process_total{";
        figures.lines().any(|line| line.starts_with(start) && line.ends_with(" 3"))
    };
    let (_, figures) = eventually(|| get(&http, "/metrics"), read);
    for (name, label, value) in [
        ("kafka_streams_stream_metrics_client_state", "client_id=", 2.0),
        ("kafka_streams_stream_metrics", "state=\"RUNNING\"", 1.0),
        ("kafka_streams_stream_metrics", "alive_stream_threads=\"1\"", 1.0),
        ("kafka_streams_stream_metrics_alive_stream_threads", "client_id=", 1.0),
        ("kafka_streams_stream_thread_metrics_process_total", "-StreamThread-1\"", 3.0),
        ("kstreams_tasks", "", 2.0),
        ("kstreams_dropped_records_total", "reason=\"late\"", 0.0),
    ] {
        let start = format!("{name}{{application_id=\"counter\"");
        let mut found = figures.lines().filter(|line| line.starts_with(&start) && line.contains(label));
        let (_, figure) =
            found.next().unwrap_or_else(|| panic!("{name} {label}\n{figures}")).rsplit_once(' ').unwrap();
        assert_eq!(figure.parse(), Ok(value), "{name} {label}");
    }
    // Samples of a name stand together, behind its type; and each line once.
    let types: Vec<&str> = figures.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: std::collections::BTreeSet<&str> =
        types.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), types.len(), "{types:?}");
    let mut samples = std::collections::BTreeSet::new();
    let mut current = "";
    for line in figures.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(of) => current = of.split(' ').next().unwrap(),
            None if line.starts_with("# HELP ") => {}
            None => {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(
                    sample.starts_with(&format!("{current}{{application_id=\"counter\"")),
                    "{line} of {current}"
                );
                assert!(samples.insert(sample), "{line} twice");
            }
        }
    }
    streams.close(30 * SECOND).unwrap();
}

#[test]
fn who_has_no_token_learns_nothing() {
    let (streams, _kafka, _folder) = application();
    let config = HttpConfig { token: Some("s3cret".to_owned()), ..local() };
    let http = HttpServer::start(config, streams.monitor()).unwrap();
    for path in ["/", "/health/live", "/status", "/metrics", "/topology", "/nowhere"] {
        for authorization in ["", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"] {
            let (code, body) = get_with(&http, path, authorization);
            assert_eq!(
                (code, body.contains("counter")),
                (401, false),
                "{path} with `{authorization}`: {body}"
            );
        }
    }
    assert_eq!(get_with(&http, "/health/live", "Bearer s3cret").0, 200);
}

#[test]
fn requests_that_make_no_sense_get_an_answer_and_end_nothing() {
    let (streams, _kafka, _folder) = application();
    let http = HttpServer::start(local(), streams.monitor()).unwrap();
    let (code, body) = get(&http, "/helth");
    assert!(code == 404 && body.contains("/health/live"), "{body}");
    let agent = agent(TlsConfig::default());
    let url = format!("http://{}/status", http.address());
    assert_eq!(
        agent
            .post(&url)
            .send(vec![b'x'; 1 << 20].as_slice())
            .map(|answer| answer.status().as_u16())
            .unwrap_or(405),
        405
    );
    assert_eq!(agent.delete(&url).call().unwrap().status().as_u16(), 405);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for nonsense in ["\0\0\0\0", "GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &*long, &*headers, "GET /"] {
        let mut socket = TcpStream::connect(http.address()).unwrap();
        // The other side may close before it has read everything.
        let _ = socket.write_all(nonsense.as_bytes());
        let _ = socket.shutdown(std::net::Shutdown::Write);
        socket.set_read_timeout(Some(30 * SECOND)).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(get(&http, "/health/live").0, 200);
}

#[test]
fn tls_answers_those_that_know_its_certificate() {
    let (streams, _kafka, folder) = application();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificates, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificates, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls { certificates: certificates.clone(), key: key.clone() };
    // Open to other machines: with TLS and a token it may be.
    let config = HttpConfig {
        tls: Some(tls),
        token: Some("s3cret".to_owned()),
        ..HttpConfig::on(SocketAddr::from(([0, 0, 0, 0], 0)))
    };
    let http = HttpServer::start(config, streams.monitor()).unwrap();
    let url = format!("https://localhost:{}/health/live", http.address().port());
    let known = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let trusting = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(vec![known]))).build();
    let ask = |tls| agent(tls).get(&url).header("authorization", "Bearer s3cret").call();
    assert_eq!(ask(trusting).unwrap().status().as_u16(), 200);
    let nobody = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::default())).build();
    assert!(ask(nobody).is_err(), "a certificate that nobody signed");
    let plain = agent(TlsConfig::default()).get(url.replace("https", "http")).call();
    assert!(plain.is_err(), "without TLS");

    let start = |certificates, key| {
        let config = HttpConfig { tls: Some(Tls { certificates, key }), ..local() };
        HttpServer::start(config, streams.monitor()).err().unwrap().to_string()
    };
    let missing = folder.path().join("missing.pem");
    assert!(start(missing.clone(), key.clone()).contains("missing.pem: no certificate can be read"));
    assert!(start(key.clone(), key.clone()).contains("key.pem: there is no certificate in it"));
    assert!(start(certificates.clone(), certificates).contains("cert.pem: no private key can be read"));
}

/// A page of the web whose name was given the address 127.0.0.1 could read all endpoints through the browser of who looks at it.
#[test]
fn without_a_token_only_names_of_this_machine_are_answered() {
    let (streams, _kafka, _folder) = application();
    let code = |http: &HttpServer, host: &str, token: &str| {
        let mut stream = TcpStream::connect(http.address()).unwrap();
        let request = format!(
            "GET /status HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse::<u16>().unwrap(), answer.contains("set a token"))
    };
    let open = HttpServer::start(local(), streams.monitor()).unwrap();
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
        assert_eq!(code(&open, host, ""), (200, false), "{host}");
    }
    for host in
        ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example"]
    {
        assert_eq!(code(&open, host, ""), (403, true), "{host}");
    }
    let closed =
        HttpServer::start(HttpConfig { token: Some("t".repeat(32)), ..local() }, streams.monitor()).unwrap();
    assert_eq!(code(&closed, "app.example", &"t".repeat(32)), (200, false));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (streams, _kafka, _folder) = application();
    let first = HttpServer::start(local(), streams.monitor()).unwrap();
    let error =
        HttpServer::start(HttpConfig::on(first.address()), streams.monitor()).err().unwrap().to_string();
    assert!(error.contains(&first.address().to_string()) && error.contains("choose another port"), "{error}");
}
