//! The dashboard of `deploy/grafana` against a running application. Can be caught: a figure that the dashboard shows and the endpoint does not
//! have, a label that it has not, an expression that Prometheus refuses or that is empty, a text that Prometheus does not read. Prometheus
//! and promtool are asked where the machine has them (Debian: `apt-get install prometheus`). What RocksDB says is asked for where it is compiled
//! in: `--features streams-core/rocksdb`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::{SessionWindows, StreamsBuilder, TimeWindows};
use streams_core::metrics::RecordingLevel;
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State};
use streams_core::topic::{Store, Topic};
use streams_http::{HttpConfig, HttpServer};

const WORDS: Topic<String, String> = Topic::new("words");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("counts");
const WINDOWS: Store<String, i64> = Store::new("windows");
const SESSIONS: Store<String, i64> = Store::new("sessions");
/// How the labels begin that name a store of RocksDB.
const STORE_LABEL: &str = "rocksdb_";
/// For everything that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// An application that counts words, with its endpoints.
struct Application {
    streams: KafkaStreams,
    http: HttpServer,
    _folder: tempfile::TempDir,
}

impl Application {
    fn start() -> Self {
        let (kafka, folder) = (EmbeddedKafka::new(SystemClock), tempfile::tempdir().unwrap());
        kafka.create_topic("words", 2).unwrap();
        kafka.create_topic("counts", 2).unwrap();
        let builder = StreamsBuilder::new();
        let words = builder.stream(&WORDS).group_by_key();
        words.clone().count_with(&STORE).to_stream().to(&COUNTS);
        let minute = Duration::from_secs(60);
        words.clone().windowed_by(TimeWindows::of_size_with_no_grace(minute)).count_with(&WINDOWS);
        words.windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(minute)).count_with(&SESSIONS);
        let mut config = StreamsConfig::new("counter", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = folder.path().to_owned();
        config.metrics.recording_level = RecordingLevel::Debug;
        let topology = builder.build().unwrap();
        let mut streams = KafkaStreams::new(topology, config, Arc::new(kafka.clone())).unwrap();
        let config = HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
        let http = HttpServer::start(config, streams.monitor()).unwrap();
        for word in ["a", "b", "a", "c"] {
            kafka.produce("words", None, Some(word.as_bytes()), Some(b"1"), 0).unwrap();
        }
        streams.start().unwrap();
        assert!(streams.await_state(&[State::Running], DEADLINE));
        Self { streams, http, _folder: folder }
    }

    fn figures(&self) -> String {
        let address = format!("http://{}/metrics", self.http.address());
        ureq::get(address).call().unwrap().body_mut().read_to_string().unwrap()
    }

    fn close(mut self) {
        self.streams.close(DEADLINE).unwrap();
        self.http.close(Duration::from_secs(1));
    }
}

/// What `look` finds, asked again until the deadline; else what it misses.
fn await_found<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) if Instant::now() > end => panic!("{missing}"),
            Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboard.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// All expressions that `application` must answer, with the names of their panels.
fn expressions_for(application: &Application) -> Vec<(String, String)> {
    let mut all = expressions();
    let on_disk = || match application.figures().contains(STORE_LABEL) {
        true => Ok(true),
        false if application.figures().contains("in_memory_state_id") => Ok(false),
        false => Err("no store shows anything".to_owned()),
    };
    if !await_found(on_disk) {
        let before = all.len();
        all.retain(|(_, expression)| !expression.contains(STORE_LABEL));
        let left_out = before - all.len();
        say(&format!(
            "SKIPPED {left_out} expressions: stores are in memory without --features streams-core/rocksdb"
        ));
    }
    all
}

/// All expressions, with the names of their panels.
fn expressions() -> Vec<(String, String)> {
    let board = dashboard();
    let mut found = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "prometheus", "{panel}");
            found.push((
                panel["title"].as_str().unwrap().to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
        }
    }
    found
}

/// The names of figures in an expression.
fn names(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| {
            ["kafka_streams_", "kstreams_", "process_resident"].iter().any(|start| word.starts_with(start))
        })
        .collect()
}

/// The labels by which an expression gathers.
fn labels(expression: &str) -> Vec<&str> {
    let by = expression.split_once("by (").and_then(|(_, rest)| rest.split_once(')'));
    by.map_or(Vec::new(), |(labels, _)| labels.split(", ").collect())
}

/// The first of `labels` that should be there and is not, as `has` says. A store has one of RocksDB's: that of its kind.
fn missing<'a>(labels: &[&'a str], has: impl Fn(&str) -> bool) -> Option<&'a str> {
    let (stores, others): (Vec<&str>, Vec<&str>) =
        labels.iter().partition(|label| label.starts_with(STORE_LABEL));
    let of_stores = if stores.iter().any(|label| has(label)) { None } else { stores.first().copied() };
    of_stores.or_else(|| others.into_iter().find(|label| !has(label)))
}

#[test]
fn the_dashboard_is_one_that_grafana_loads() {
    let board = dashboard();
    assert_eq!((&board["uid"], &board["title"]), (&"kstreams".into(), &"kstreams".into()));
    assert!(board["schemaVersion"].as_u64().unwrap() >= 36, "{}", board["schemaVersion"]);
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id stands for one panel");
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
    for (number, panel) in panels.iter().enumerate() {
        assert!(["row", "stat", "timeseries"].contains(&panel["type"].as_str().unwrap()), "{panel}");
        let [x, y, w, h] = place(panel);
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        for other in &panels[number + 1..] {
            let [ox, oy, ow, oh] = place(other);
            let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
            assert!(apart, "{} lies over {}", panel["title"], other["title"]);
        }
    }
    let rows =
        panels.iter().filter(|panel| panel["type"] == "row").map(|panel| panel["title"].as_str().unwrap());
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            "Instance",
            "Rates",
            "Latency",
            "Lag",
            "Commits and transactions",
            "Restore",
            "State and memory",
            "RocksDB",
            "Drops and failures"
        ]
    );
    for (panel, expression) in expressions() {
        assert!(expression.contains("application_id=~\"$application\""), "{panel}: {expression}");
    }
}

#[test]
fn each_figure_of_the_dashboard_is_at_the_endpoint() {
    let application = Application::start();
    let expressions = expressions_for(&application);
    // Those of single tasks come half a second later.
    await_found(|| {
        let figures = application.figures();
        for (panel, expression) in &expressions {
            for name in names(expression) {
                let start = format!("{name}{{");
                let sample = figures.lines().find(|line| line.starts_with(&start));
                let sample = sample.ok_or_else(|| format!("{panel}: {name} is not in\n{figures}"))?;
                if let Some(label) =
                    missing(&labels(expression), |label| sample.contains(&format!("{label}=\"")))
                {
                    return Err(format!("{panel}: no label {label} in {sample}"));
                }
            }
        }
        Ok(())
    });
    assert!(expressions.iter().all(|(_, expression)| !names(expression).is_empty()));
    application.close();
}

/// Past the harness, which would keep it to itself.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A program of Prometheus' package; `None` says so aloud.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        say(&format!("SKIPPED {name}: this machine has none; apt-get install prometheus"));
    }
    found
}

/// Names of Kafka Streams' own have abbreviated units; promtool may say so, and nothing else.
#[test]
fn promtool_reads_the_figures() {
    let Some(promtool) = program("promtool") else { return };
    let application = Application::start();
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(application.figures().as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    // 3: remarks about names. 1: it cannot be read.
    assert!(matches!(said.status.code(), Some(0 | 3)), "{text}");
    let ours = text.lines().filter(|line| !line.starts_with("kafka_"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new());
    application.close();
}

/// Ends with the test.
struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// One that asks `target` each second.
    fn start(program: &Path, target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: kstreams\n    static_configs: [{{targets: ['{target}']}}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, settings).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address: format!("http://{free}/api/v1/query"), _folder: folder }
    }

    /// The series that an expression gives now.
    fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let asked = ureq::get(&self.address).query("query", expression).call();
        let mut answer = asked.map_err(|error| format!("{expression}: {error}"))?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As Grafana asks them: variables filled in.
#[test]
fn prometheus_answers_each_expression_of_the_dashboard() {
    let Some(program) = program("prometheus") else { return };
    let application = Application::start();
    let prometheus = Prometheus::start(&program, application.http.address());
    let expressions = expressions_for(&application);
    for (panel, expression) in &expressions {
        let expression = expression.replace("$application", ".*").replace("$__rate_interval", "30s");
        let series = await_found(|| {
            let series = prometheus.ask(&expression)?;
            if series.is_empty() { Err(format!("{panel}: {expression} gives nothing")) } else { Ok(series) }
        });
        for one in &series {
            let missing = missing(&labels(&expression), |label| one["metric"][label].is_string());
            assert_eq!(missing, None, "{panel}: {series:?}");
        }
        // Stores of all kinds.
        assert!(!expression.contains(STORE_LABEL) || series.len() == 3, "{panel}: {series:?}");
    }
    let up = prometheus.ask("up{job=\"kstreams\"}").unwrap();
    assert_eq!(up[0]["value"][1], "1", "{up:?}");
    say(&format!("prometheus: {} expressions of the dashboard, none empty", expressions.len()));
    application.close();
}
