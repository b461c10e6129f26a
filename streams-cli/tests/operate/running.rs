//! The program beside a running application, over its HTTP endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State};
use streams_http::{HttpConfig, HttpServer, Tls};

use crate::program::{file, path, run, word_count};

/// The word count, running.
fn application() -> (KafkaStreams, tempfile::TempDir) {
    let (kafka, folder) = (EmbeddedKafka::new(SystemClock), tempfile::tempdir().unwrap());
    kafka.create_topic("lines", 2).unwrap();
    kafka.create_topic("counts", 2).unwrap();
    for number in 0..50 {
        kafka.produce("lines", Some(number % 2), Some(b"k"), Some(b"word"), 0).unwrap();
    }
    let mut config = StreamsConfig::new("wc", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.dsl_stores_in_memory = true;
    config.commit_interval = Duration::from_millis(20);
    let mut streams = KafkaStreams::new(word_count("words", false), config, Arc::new(kafka)).unwrap();
    streams.start().unwrap();
    assert!(streams.monitor().await_state(&[State::Running], Duration::from_secs(60)));
    (streams, folder)
}

fn local() -> HttpConfig {
    HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)))
}

#[test]
fn a_running_application_is_described_compared_and_watched() {
    let (mut streams, _folder) = application();
    let http = HttpServer::start(local(), streams.monitor()).unwrap();
    let url = format!("http://{}", http.address());
    let topology = word_count("words", false);
    run(&["describe", &url]).is(0, &topology.describe().to_string());
    run(&["describe", &url, "--format", "mermaid"]).is(0, &topology.describe().to_mermaid());
    run(&["describe", &format!("{url}/topology/json")]).is(0, "Sub-topology: 1");
    let renamed = file(&word_count("sums", false).snapshot().to_json());
    run(&["plan", "diff", &url, &url]).is(0, "no change");
    run(&["plan", "diff", &url, path(&renamed)]).is(1, "LOSS     words");
    let acls = ["acls", "--topology", &url, "--application-id", "wc", "--principal", "User:alice"];
    run(&acls).is(0, "--operation Read --topic lines\n").is(0, "--topic wc-words-changelog\n");

    let said = run(&["top", &url, "--iterations", "2", "--interval", "0.05"]);
    said.is(0, "wc  RUNNING  lag ").is(0, "lines-0").is(0, "1_1").is(0, "memory: stores");
    assert_eq!(said.out.matches("RUNNING  lag").count(), 2, "{}", said.out);
    let said = run(&["top", &url, "--iterations", "3", "--interval", "0.05", "--json"]);
    let lines: Vec<serde_json::Value> =
        said.is(0, "").out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|look| look["application_id"] == "wc"), "{}", said.out);
    http.close(Duration::from_secs(1));
    streams.close(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_token_and_certificates_are_asked_for() {
    let (mut streams, _folder) = application();
    let secret = HttpConfig { token: Some("s3cret".to_owned()), ..local() };
    let http = HttpServer::start(secret, streams.monitor()).unwrap();
    let url = format!("http://{}", http.address());
    run(&["top", &url, "--iterations", "1"]).fails("wants a token: give --token");
    run(&["describe", &url, "--token", "guess"]).fails("wants a token");
    run(&["top", &url, "--iterations", "1", "--token", "s3cret"]).is(0, "RUNNING");
    http.close(Duration::from_secs(1));
    if cfg!(feature = "https") {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (file(&issued.cert.pem()), file(&issued.signing_key.serialize_pem()));
        let tls = Some(Tls { certificates: certificate.path().into(), key: key.path().into() });
        let http = HttpServer::start(HttpConfig { tls, ..local() }, streams.monitor()).unwrap();
        let url = format!("https://localhost:{}", http.address().port());
        run(&["describe", &url, "--ca-file", path(&certificate)]).is(0, "Topologies:");
        run(&["describe", &url]).fails("no application answers");
        run(&["describe", &url.replace("https", "http")]).is(2, "kstreams: ");
        http.close(Duration::from_secs(1));
    }
    streams.close(Duration::from_secs(30)).unwrap();
}

#[test]
fn somebody_else_is_not_taken_for_an_application() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"hi\"",
    ];
    let serve = std::thread::spawn(move || {
        for answer in answers {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    run(&["top", &format!("http://{address}")]).fails("answers 404");
    run(&["top", &format!("http://{address}")]).fails("something else than an application");
    serve.join().unwrap();
}
