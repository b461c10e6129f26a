//! `config.json`: settings. Keys, defaults, accepted values, and what each Kafka client is given. Differences that are
//! meant are the four lists here and the isolation under exactly once, each with its reason; whatever is on no list must be equal.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use serde_json::Value;

use crate::tally::{Difference, Tally, Verdict, equal};
use crate::vectors::{each, lists, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "keys" => each(tally, name, list, key),
            "prefixes" => prefixes(tally, list),
            "client_defaults" => client_defaults(tally, list),
            "override_outcomes" => each(tally, name, list, override_outcome),
            "value_checks" => each(tally, name, list, value_check),
            other => unknown_list(tally, other),
        }
    }
    tally.vector("beyond the file", 0, exactly_once_never_reads_uncommitted);
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

/// A key is known, and giving its default changes nothing.
fn key(vector: &Value) -> Verdict {
    let name = vector["key"].as_str().unwrap();
    if vector["default"].is_null() {
        let value = match name {
            "upgrade.from" => "4.2",
            _ if vector["type"] == "INT" || vector["type"] == "LONG" => "1",
            _ => "x:1",
        };
        return equal("known", Ok(()), config(&[(name, value)]).map(drop));
    }
    if vector["required"] == true {
        return Ok(());
    }
    let temporary = std::env::temp_dir().to_string_lossy().trim_end_matches('/').to_owned();
    let default = text(&vector["default"]).replace("${java.io.tmpdir}", &temporary);
    match config(&[(name, &default)]) {
        Ok(mut with_default) => {
            with_default.client_properties.clear();
            equal(name, format!("{:?}", config(&[]).unwrap()), format!("{with_default:?}"))
        }
        Err(error) => equal(name, default, error),
    }
}

/// Accepted by Kafka Streams' parser although no application can run so: it stops or loses its state later. Refused at once
/// here, with the range that is meant.
const STRICTER: [(&str, &str); 5] = [
    ("num.stream.threads", "-1"),
    ("replication.factor", "0"),
    ("state.cleanup.delay.ms", "-5"),
    ("poll.ms", "-1"),
    ("application.id", ""),
];

fn value_check(vector: &Value) -> Verdict {
    let (key, value) = (vector["key"].as_str().unwrap(), vector["value"].as_str().unwrap());
    let expected = vector["accepted"] == true && !STRICTER.contains(&(key, value));
    equal(&format!("{key} = `{value}` accepted"), expected, config(&[(key, value)]).is_ok())
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

/// Ids and the assignor of the group: the runtime gives them with each client, whatever the user says of them, and not
/// among the settings.
const GIVEN_BY_RUNTIME: [&str; 5] =
    ["client.id", "group.id", "group.instance.id", "partition.assignment.strategy", "transactional.id"];

/// What Kafka Streams hands to its own assignor, and to Java's client, inside the consumer's settings because it has no other
/// way to them: ours read `StreamsConfig`.
const FOR_JAVA_ASSIGNOR: [&str; 15] = [
    "acceptable.recovery.lag",
    "application.id",
    "application.server",
    "internal.throw.on.fetch.stable.offset.unsupported",
    "max.warmup.replicas",
    "num.standby.replicas",
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

/// Defaults that were made for Java's clients, left to ours: a quiet stream would wait 100 ms at each repartition topic,
/// librdkafka refuses a delivery timeout above that of the transaction, and its metrics are not Kafka Streams'. What the user
/// sets is handed on.
const TUNING: [(&str, &str); 3] =
    [("linger.ms", "100"), ("delivery.timeout.ms", "2147483647"), ("enable.metrics.push", "true")];

/// A setting behind a prefix reaches the clients that the prefix names.
fn prefixes(tally: &mut Tally, list: &Value) {
    for (index, (client, prefix)) in list.as_object().unwrap().iter().enumerate() {
        tally.vector(&format!("prefixes.{client}"), index, || {
            let prefix = prefix.as_str().unwrap();
            let key = format!("{prefix}x.y");
            let config = config(&[(&key, "v")]).unwrap();
            let given =
                |client: &str| of_client(&config, client).get("x.y").is_some_and(|value| value == "v");
            match client.as_str() {
                "consumer" => {
                    let consumers = ["main_consumer", "restore_consumer", "global_consumer"];
                    equal(&key, true, consumers.into_iter().all(given))
                }
                "main_consumer" | "restore_consumer" | "global_consumer" | "producer" | "admin" => {
                    equal(&key, true, given(client))
                }
                // For internal topics, and for the code of the user: no client gets them.
                _ => equal(&key, false, given("main_consumer")),
            }
        });
    }
}

fn client_defaults(tally: &mut Tally, list: &Value) {
    for (guarantee, clients) in list.as_object().unwrap() {
        let config = config(&[("processing.guarantee", guarantee)]).unwrap();
        for (index, (client, settings)) in clients.as_object().unwrap().iter().enumerate() {
            tally.vector(&format!("client_defaults.{guarantee}.{client}"), index, || match client.as_str() {
                "streams" => {
                    let interval = Duration::from_millis(settings["commit.interval.ms"].as_u64().unwrap());
                    equal("commit interval", interval, config.commit_interval)
                }
                client => defaults_of_client(&config, client, settings),
            });
        }
    }
}

fn defaults_of_client(config: &StreamsConfig, client: &str, settings: &Value) -> Verdict {
    let passed = settings["passed"].as_object().unwrap().iter();
    let expected: BTreeMap<String, String> = passed
        .filter(|(key, _)| !GIVEN_BY_RUNTIME.contains(&key.as_str()))
        .filter(|(key, _)| !FOR_JAVA_ASSIGNOR.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), text(value)))
        .filter(|(key, value)| !TUNING.contains(&(key, value)))
        .collect();
    equal("settings", expected, of_client(config, client))
}

fn override_outcome(row: &Value) -> Verdict {
    let guarantee = row["processing.guarantee"].as_str().unwrap();
    let (key, value) = (row["set"].as_str().unwrap(), row["to"].as_str().unwrap());
    let config =
        match (config(&[("processing.guarantee", guarantee), (key, value)]), row["error"].is_string()) {
            (Err(_), true) => return Ok(()),
            (Ok(config), false) => config,
            (Ok(_), true) => return equal(key, "refused", "accepted"),
            (Err(error), false) => {
                let expected = "accepted".to_owned();
                return Err(Difference { what: key.to_owned(), expected, got: error });
            }
        };
    let prefixes = ["main.consumer.", "restore.consumer.", "global.consumer.", "consumer.", "producer."];
    let setting = prefixes.iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    if setting == "group.instance.id" {
        // Kafka Streams' name of the first thread.
        let expected = row["main_consumer"].as_str().map(|name| name.trim_end_matches("-0"));
        equal(key, expected, config.group_instance_id())?;
    }
    for client in ["main_consumer", "restore_consumer", "global_consumer", "producer"] {
        let ours = of_client(&config, client).remove(setting);
        let mut expected = Some(&row[client]).filter(|value| !value.is_null()).map(text);
        if GIVEN_BY_RUNTIME.contains(&setting)
            || expected.as_ref().is_some_and(|it| TUNING.contains(&(setting, it)))
        {
            expected = None;
        }
        if setting == "isolation.level" && guarantee == "exactly_once_v2" && client != "producer" {
            // Kafka Streams lets a client's prefix undo it, and then exactly once would read what was aborted.
            expected = Some("read_committed".to_owned());
        }
        equal(&format!("{guarantee} {key} = {value}: {client}"), expected, ours)?;
    }
    Ok(())
}

/// What no setting of the user changes: isolation with exactly once, and the ids that the runtime gives.
fn exactly_once_never_reads_uncommitted() -> Verdict {
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
    equal("isolation.level", "read_committed", consumer["isolation.level"].as_str())?;
    equal("instance id", Some("gi"), config.group_instance_id())?;
    for key in ["group.instance.id", "group.id", "client.id"] {
        equal(key, None, consumer.get(key))?;
    }
    equal("transactional.id", None, config.producer_properties().get("transactional.id"))?;
    equal("client.id", "cc", config.client_id.as_str())?;
    equal("transaction.timeout.ms", Some(Duration::from_secs(10)), config.transaction_timeout())?;
    equal("guarantee", true, config.processing_guarantee == ProcessingGuarantee::ExactlyOnceV2)
}
