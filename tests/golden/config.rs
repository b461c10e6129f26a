//! Settings against Kafka Streams 4.3.1 (`tests/data/golden/config.json.gz`): keys, defaults, accepted values, and what
//! each Kafka client is given. Differences are listed here, each with its reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/config.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn config(properties: &[(&str, &str)]) -> Result<StreamsConfig, String> {
    let required = [("application.id", "app"), ("bootstrap.servers", "broker:9092")];
    StreamsConfig::from_properties(required.iter().chain(properties).copied())
        .map_err(|error| error.to_string())
}

#[test]
fn every_key_is_known_and_its_default_changes_nothing() {
    let plain = format!("{:?}", config(&[]).unwrap());
    let golden = golden();
    let keys = golden["keys"].as_array().unwrap();
    assert!(keys.len() > 70);
    for key in keys {
        let name = key["key"].as_str().unwrap();
        if key["required"] == true || key["default"].is_null() {
            continue;
        }
        let temporary = std::env::temp_dir().to_string_lossy().trim_end_matches('/').to_owned();
        let default = text(&key["default"]).replace("${java.io.tmpdir}", &temporary);
        let mut with_default = config(&[(name, &default)]).unwrap();
        with_default.client_properties.clear();
        assert_eq!(format!("{with_default:?}"), plain, "{name} = {default}");
    }
}

#[test]
fn keys_without_a_default_are_known() {
    let golden = golden();
    for key in golden["keys"].as_array().unwrap().iter().filter(|key| key["default"].is_null()) {
        let name = key["key"].as_str().unwrap();
        let value = match name {
            "upgrade.from" => "4.2",
            _ if key["type"] == "INT" || key["type"] == "LONG" => "1",
            _ => "x:1",
        };
        assert_eq!(config(&[(name, value)]).map(drop), Ok(()), "{name}");
    }
}

#[test]
fn values_are_accepted_as_by_kafka_streams() {
    /// Accepted by Kafka Streams' parser, and refused or useless later: refused at once here.
    const STRICTER: [(&str, &str); 7] = [
        ("num.stream.threads", "-1"),
        ("replication.factor", "0"),
        ("state.cleanup.delay.ms", "-5"),
        ("poll.ms", "-1"),
        ("application.id", ""),
        // Not supported yet.
        ("dsl.store.format", "headers"),
        ("dsl.store.format", "HEADERS"),
    ];
    let golden = golden();
    let mut seen = 0;
    for check in golden["value_checks"].as_array().unwrap() {
        let (key, value) = (check["key"].as_str().unwrap(), check["value"].as_str().unwrap());
        let accepted = config(&[(key, value)]).is_ok();
        let expected = check["accepted"] == true && !STRICTER.contains(&(key, value));
        assert_eq!(accepted, expected, "{key} = `{value}`: {:?}", config(&[(key, value)]).map(drop));
        seen += 1;
    }
    assert_eq!(seen, 39);
}

fn of_client(config: &StreamsConfig, client: &str) -> BTreeMap<String, String> {
    match client {
        "main_consumer" => config.consumer_properties(),
        "restore_consumer" => config.restore_consumer_properties(),
        "global_consumer" => config.global_consumer_properties(),
        "producer" => config.producer_properties(),
        "admin" => config.admin_properties(),
        other => panic!("client {other}"),
    }
}

/// What Kafka Streams hands to its own assignor inside the consumer's settings, and ids that the runtime gives.
const NOT_PASSED: [&str; 18] = [
    "acceptable.recovery.lag",
    "application.id",
    "application.server",
    "client.id",
    "group.id",
    "internal.throw.on.fetch.stable.offset.unsupported",
    "max.warmup.replicas",
    "num.standby.replicas",
    "partition.assignment.strategy",
    "probing.rebalance.interval.ms",
    "rack.aware.assignment.non_overlap_cost",
    "rack.aware.assignment.strategy",
    "rack.aware.assignment.tags",
    "rack.aware.assignment.traffic_cost",
    "replication.factor",
    "task.assignor.class",
    "upgrade.from",
    "windowstore.changelog.additional.retention.ms",
];

/// Kafka Streams' defaults for the tuning of its Java clients: ours tune themselves, unless the user says otherwise.
const TUNING: [(&str, &str); 3] =
    [("linger.ms", "100"), ("delivery.timeout.ms", "2147483647"), ("enable.metrics.push", "true")];

#[test]
fn clients_get_kafka_streams_defaults() {
    let golden = golden();
    for (guarantee, clients) in golden["client_defaults"].as_object().unwrap() {
        let config = config(&[("processing.guarantee", guarantee)]).unwrap();
        let interval = clients["streams"]["commit.interval.ms"].as_u64().unwrap();
        assert_eq!(config.commit_interval, Duration::from_millis(interval));
        for (client, settings) in
            clients.as_object().unwrap().iter().filter(|(client, _)| *client != "streams")
        {
            let ours = of_client(&config, client);
            let expected: BTreeMap<String, String> = settings["passed"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(key, _)| !NOT_PASSED.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), text(value)))
                .filter(|(key, value)| !TUNING.contains(&(key, value)))
                .collect();
            assert_eq!(ours, expected, "{guarantee} {client}");
        }
    }
}

/// Rows where a client is given something else than by Kafka Streams, on purpose.
fn differs(guarantee: &str, key: &str) -> bool {
    let setting = ["main.consumer.", "restore.consumer.", "consumer.", "producer."]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))
        .unwrap_or(key);
    match setting {
        // Given by the runtime, or chosen by this library.
        "client.id"
        | "group.id"
        | "group.instance.id"
        | "partition.assignment.strategy"
        | "transactional.id" => true,
        // Java classes: no effect here, and not passed on unless a client's prefix asks for it.
        "metric.reporters" => key == setting,
        // Kafka Streams lets these two through, and with them exactly once would read what was aborted.
        "isolation.level" => {
            guarantee == "exactly_once_v2" && key != setting && !key.starts_with("producer.")
        }
        // Kafka Streams refuses it even for consumers, which have no such setting.
        "max.in.flight.requests.per.connection" => {
            guarantee == "exactly_once_v2" && key != setting && !key.starts_with("producer.")
        }
        _ => false,
    }
}

#[test]
fn settings_reach_the_clients_as_in_kafka_streams() {
    let golden = golden();
    let mut compared = 0;
    for row in golden["override_outcomes"].as_array().unwrap() {
        let guarantee = row["processing.guarantee"].as_str().unwrap();
        let (key, value) = (row["set"].as_str().unwrap(), row["to"].as_str().unwrap());
        if differs(guarantee, key) {
            continue;
        }
        let config = config(&[("processing.guarantee", guarantee), (key, value)]);
        if row["error"].is_string() {
            assert!(config.is_err(), "{guarantee} {key} = {value} must be refused");
            continue;
        }
        let config = config.unwrap_or_else(|error| panic!("{guarantee} {key}: {error}"));
        let prefixes = ["main.consumer.", "restore.consumer.", "global.consumer.", "consumer.", "producer."];
        let setting = prefixes.iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
        for client in ["main_consumer", "restore_consumer", "global_consumer", "producer"] {
            let ours = of_client(&config, client).remove(setting);
            let expected = Some(&row[client]).filter(|value| !value.is_null()).map(text);
            let expected = expected.filter(|value| !TUNING.contains(&(setting, value)));
            assert_eq!(ours, expected, "{guarantee} {key} = {value}: {client}");
            compared += 1;
        }
    }
    assert!(compared > 700, "{compared} compared");
}

#[test]
fn exactly_once_never_reads_uncommitted_and_ids_are_the_runtimes() {
    let config = config(&[
        ("processing.guarantee", "exactly_once_v2"),
        ("main.consumer.isolation.level", "read_uncommitted"),
        ("group.instance.id", "gi"),
        ("group.id", "other"),
        ("client.id", "cc"),
        ("producer.transactional.id", "tid"),
    ])
    .unwrap();
    let consumer = config.consumer_properties();
    assert_eq!(consumer["isolation.level"], "read_committed");
    assert_eq!(config.group_instance_id(), Some("gi"));
    assert!(!consumer.contains_key("group.instance.id"));
    assert!(!consumer.contains_key("group.id") && !consumer.contains_key("client.id"));
    assert!(!config.producer_properties().contains_key("transactional.id"));
    assert_eq!(config.client_id, "cc");
    assert_eq!(config.transaction_timeout(), Some(Duration::from_secs(10)));
    assert_eq!(config.processing_guarantee, ProcessingGuarantee::ExactlyOnceV2);
}
