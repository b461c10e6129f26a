//! `metrics.json`: the metrics of Kafka's clients, of the application of `metrics.rs`. Each group, name and set of tag keys is there and no
//! other one, or is on the list of what is left out, with the reason. Words are ours: the file has none for clients.
//!
//! The embedded log has no network, so that metrics of nodes are not seen here: a test of `streams-core` has their names
//! (`runtime/client_sensors/network.rs`), and the conformance suite looks at them on a broker.

use std::collections::{BTreeMap, BTreeSet};

use kstreams::metrics::{Metric, MetricValue, RecordingLevel};
use serde_json::Value;

use crate::metrics::Key;
use crate::tally::{Difference, Tally, equal};

/// Metrics that are left out, and why.
struct LeftOut {
    why: &'static str,
    /// Those with this tag only; empty: with or without.
    tag: &'static str,
    names: &'static [&'static str],
}

const LEFT_OUT: [LeftOut; 12] = [
    LeftOut {
        why: "librdkafka counts requests, and neither reads and writes nor what its threads do between them",
        tag: "",
        names: &[
            "io-ratio",
            "io-time-ns-avg",
            "io-time-ns-total",
            "io-wait-ratio",
            "io-wait-time-ns-avg",
            "io-wait-time-ns-total",
            "network-io-rate",
            "network-io-total",
            "select-rate",
            "select-total",
        ],
    },
    LeftOut {
        why: "librdkafka does not count handshakes",
        tag: "",
        names: &[
            "failed-authentication-rate",
            "failed-authentication-total",
            "failed-reauthentication-rate",
            "failed-reauthentication-total",
            "reauthentication-latency-avg",
            "reauthentication-latency-max",
            "successful-authentication-no-reauth-total",
            "successful-authentication-rate",
            "successful-authentication-total",
            "successful-reauthentication-rate",
            "successful-reauthentication-total",
        ],
    },
    LeftOut {
        why: "librdkafka knows the sum of sizes, not the largest one",
        tag: "",
        names: &["fetch-size-max", "record-size-max", "request-size-max"],
    },
    LeftOut {
        why: "librdkafka says that it sent such a request, not when it was answered, or how",
        tag: "",
        names: &[
            "failed-rebalance-rate-per-hour",
            "failed-rebalance-total",
            "heartbeat-response-time-max",
            "join-rate",
            "join-time-avg",
            "join-time-max",
            "join-total",
            "last-heartbeat-seconds-ago",
            "sync-rate",
            "sync-time-avg",
            "sync-time-max",
            "sync-total",
        ],
    },
    LeftOut {
        why: "librdkafka times requests of all kinds together, for each node",
        tag: "",
        names: &["fetch-latency-avg", "fetch-latency-max"],
    },
    LeftOut {
        why: "librdkafka counts fetches by node, not by topic",
        tag: "topic",
        names: &["fetch-size-avg", "records-per-request-avg"],
    },
    LeftOut {
        why: "librdkafka splits no batches",
        tag: "",
        names: &["batch-split-rate", "batch-split-total"],
    },
    LeftOut {
        why: "no record is given up for want of room: tasks wait",
        tag: "",
        names: &["buffer-exhausted-rate", "buffer-exhausted-total"],
    },
    LeftOut {
        why: "librdkafka does not wait for room: it says so at once",
        tag: "",
        names: &["bufferpool-wait-ratio", "bufferpool-wait-time-ns-total", "waiting-threads"],
    },
    LeftOut {
        why: "librdkafka does not say what compression won",
        tag: "",
        names: &["compression-rate", "compression-rate-avg"],
    },
    LeftOut {
        why: "librdkafka counts requests that it sends again, not their records",
        tag: "",
        names: &["record-retry-rate", "record-retry-total"],
    },
    LeftOut {
        why: "no transaction is prepared for a commit by somebody else",
        tag: "",
        names: &["txn-prepare-time-ns-total"],
    },
];

/// What must be more than nothing after this run.
const LOUD: [&str; 19] = [
    "assigned-partitions",
    "batch-size-avg",
    "byte-total",
    "bytes-consumed-total",
    "commit-id",
    "commit-latency-avg",
    "commit-total",
    "committed-time-ns-total",
    "count",
    "flush-time-ns-total",
    "partition-assigned-latency-avg",
    "rebalance-total",
    "record-send-total",
    "record-size-avg",
    "records-consumed-total",
    "records-lead",
    "start-time-ms",
    "time-between-poll-avg",
    "version",
];

fn left_out((_, name, tags): &Key) -> Option<&'static str> {
    let fits = |it: &&LeftOut| it.tag.is_empty() || tags.iter().any(|tag| tag == it.tag);
    LEFT_OUT.iter().filter(fits).find(|it| it.names.contains(&&**name)).map(|it| it.why)
}

/// Whether it is of clients, not of streams.
pub(crate) fn is_of_client((group, ..): &Key) -> bool {
    !group.starts_with("stream-")
}

fn is_of_node((group, ..): &Key) -> bool {
    group.ends_with("-node-metrics")
}

pub(crate) fn judge(
    tally: &mut Tally,
    list: &Value,
    ours: &[(RecordingLevel, BTreeMap<Key, Vec<Metric>>); 2],
) {
    let mut theirs = BTreeSet::new();
    for (index, vector) in list.as_array().unwrap().iter().enumerate() {
        let text = |field: &str| vector[field].as_str().unwrap().to_owned();
        let tags = vector["tag_keys"].as_array().unwrap();
        let tags = tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        let key: Key = (text("group"), text("name"), tags);
        theirs.insert(key.clone());
        if is_of_node(&key) {
            continue;
        }
        tally.vector("client_metrics", index, || {
            ours.iter().try_for_each(|(level, ours)| match (left_out(&key), ours.get(&key)) {
                (None, Some(metrics)) => says(&key, metrics),
                (Some(_), None) => Ok(()),
                (Some(why), Some(_)) => Err(difference(level, &key, &format!("left out: {why}"), "shown")),
                (None, None) => Err(difference(level, &key, "shown", "nothing")),
            })
        });
    }
    tally.vector("client_metrics, beyond the file", 0, || {
        let all = ours.iter().flat_map(|(_, ours)| ours.keys()).filter(|key| is_of_client(key));
        let more: BTreeSet<&Key> = all.filter(|key| !theirs.contains(*key)).collect();
        equal("metrics that Kafka's clients have not", BTreeSet::new(), more)
    });
    tally.vector("client_metrics, left out", 0, || {
        let names = LEFT_OUT.iter().flat_map(|it| it.names);
        let unknown: Vec<_> = names.filter(|name| !theirs.iter().any(|key| key.1 == **name)).collect();
        equal("names on the list that the file has not", Vec::<&&str>::new(), unknown)
    });
}

fn difference(level: &RecordingLevel, key: &Key, expected: &str, got: &str) -> Difference {
    Difference { what: format!("{key:?} at {level}"), expected: expected.to_owned(), got: got.to_owned() }
}

fn says(key: &Key, metrics: &[Metric]) -> Result<(), Difference> {
    let mut names = BTreeSet::new();
    for metric in metrics {
        equal("recorded", true, metric.recorded)?;
        equal("described", false, metric.name.description.is_empty())?;
        equal("once", true, names.insert(&metric.name))?;
    }
    let says = |metric: &Metric| match &metric.value {
        MetricValue::Number(number) => number.is_finite() && *number != 0.0,
        MetricValue::Text(text) => !text.is_empty(),
    };
    match LOUD.contains(&&*key.1) {
        true => equal(&format!("{key:?} says something"), true, metrics.iter().any(says)),
        false => Ok(()),
    }
}
