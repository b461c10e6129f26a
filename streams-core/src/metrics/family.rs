//! Metrics as Prometheus knows them: families of samples with labels, under the names that dashboards for Kafka Streams look for.
//!
//! In: metrics under Kafka Streams' names. Out: [`Family`]s, sorted by name. The rule is that of the file which Confluent's
//! `jmx-monitoring-stacks` gives to Prometheus' JMX exporter for applications of Kafka Streams (`kafka_streams.yml`):
//!
//! | in Kafka Streams | here |
//! |---|---|
//! | a number: group `stream-thread-metrics`, name `process-rate` | `kafka_streams_stream_thread_metrics_process_rate` |
//! | its tags: `thread-id`, `task-id`, `processor-node-id`, `rocksdb-state-id`, ... | labels `thread_id`, `task_id`, `processor_node_id`, `rocksdb_state_id`, ... |
//! | a text: group `stream-metrics`, name `state` | `kafka_streams_stream_metrics` with the label `state`, always 1 |
//! | `alive-stream-threads`, `failed-stream-threads` | a number, and a label as if they were texts: dashboards ask for both |
//! | `topology-description` | not here: it has many lines |
//! | of clients: group `consumer-fetch-manager-metrics`, name `records-lag` | `kafka_consumer_consumer_fetch_manager_metrics_records_lag`; `kafka_producer_...`, `kafka_admin_client_...` |
//! | of each client: groups `app-info`, `kafka-metrics-count` | in the domain of the client, whose id ends in `consumer`, `producer` or `admin`: `kafka_consumer_app_info` |
//!
//! The exporter calls all of them gauges; here those that only grow are counters. `application-id` is left to who writes the
//! samples, for all of them.

use std::collections::BTreeMap;

use super::{Metric, MetricValue};

/// Ends a name that counts.
const TOTAL: &str = "-total";
/// They end so, and may fall all the same.
const NO_COUNTERS: [&str; 2] = ["cache-size-bytes-total", "restore-remaining-records-total"];
/// Numbers that are labels, too.
const ALSO_LABELS: [&str; 2] = ["alive-stream-threads", "failed-stream-threads"];
/// Many lines.
const TOPOLOGY: &str = "topology-description";
/// Groups that clients of all kinds have.
const OF_ANY_CLIENT: [&str; 2] = ["app-info", "kafka-metrics-count"];
/// Stands at each sample already.
const APPLICATION: &str = "application_id";

/// The exporter's word for the kind of client that has a metric: its group says it, or else the end of its `client-id`.
fn domain(metric: &Metric) -> &'static str {
    let group = &*metric.name.group;
    let id = metric.name.tag("client-id").filter(|_| OF_ANY_CLIENT.contains(&group)).unwrap_or_default();
    match () {
        () if group.starts_with("consumer-") || id.ends_with("consumer") => "consumer",
        () if group.starts_with("producer-") || id.ends_with("producer") => "producer",
        () if group.starts_with("admin-client-") || id.ends_with("admin") => "admin_client",
        () => "streams",
    }
}

/// What the samples of a family are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FamilyKind {
    /// They only grow, but for restarts. The name ends in `_total`.
    Counter,
    /// They rise and fall.
    Gauge,
    /// Named like a counter, and not one.
    Unknown,
}

/// Samples of one name.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// As each sample has it.
    pub name: String,
    /// One line for people.
    pub help: String,
    /// What the samples are.
    pub kind: FamilyKind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One number.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// NaN for an average of nothing, as in Kafka.
    pub value: f64,
}

impl Family {
    /// All `metrics` by the rule above.
    #[must_use]
    pub fn of(metrics: &[Metric]) -> Vec<Family> {
        let mut families = BTreeMap::new();
        for metric in metrics {
            let (group, name) = (words(&metric.name.group), words(&metric.name.name));
            let domain = domain(metric);
            let mut labels: Vec<(String, String)> =
                metric.name.tags.iter().map(|(key, value)| (words(key), value.clone())).collect();
            labels.retain(|(key, _)| key != APPLICATION);
            let mut add = |name: String, help: &str, kind, labels, value| {
                let new = || Family { name: name.clone(), help: help.to_owned(), kind, samples: Vec::new() };
                let family: &mut Family = families.entry(name.clone()).or_insert_with(new);
                family.samples.push(Sample { labels, value });
            };
            let mut as_label = |text: String| {
                let mut labels = labels.clone();
                labels.push((name.clone(), text));
                let help = format!("Texts of {}, as labels", metric.name.group);
                add(format!("kafka_{domain}_{group}"), &help, FamilyKind::Gauge, labels, 1.0);
            };
            match &metric.value {
                MetricValue::Text(_) if metric.name.name == TOPOLOGY || name == APPLICATION => {}
                MetricValue::Text(text) => as_label(text.clone()),
                MetricValue::Number(number) => {
                    if ALSO_LABELS.contains(&&*metric.name.name) {
                        as_label(number.to_string());
                    }
                    let kind = kind_of(&metric.name.name);
                    add(
                        format!("kafka_{domain}_{group}_{name}"),
                        &metric.name.description,
                        kind,
                        labels,
                        *number,
                    );
                }
            }
        }
        families.into_values().collect()
    }
}

fn kind_of(name: &str) -> FamilyKind {
    match name.ends_with(TOTAL) {
        true if NO_COUNTERS.contains(&name) => FamilyKind::Unknown,
        true => FamilyKind::Counter,
        false => FamilyKind::Gauge,
    }
}

/// `name` with what Prometheus does not take in a name replaced, in lower case.
fn words(name: &str) -> String {
    let word = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    name.chars().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{MetricName, Metrics};
    use super::*;

    fn metric(
        group: &'static str,
        name: &'static str,
        tags: &[(&'static str, &str)],
        value: MetricValue,
    ) -> Metric {
        let name = MetricName {
            group: group.into(),
            name: name.into(),
            tags: Metrics::tags(tags),
            description: format!("About {name}").into(),
        };
        Metric { name, value, level: None, recorded: true }
    }

    fn lines(metrics: &[Metric]) -> Vec<String> {
        let families = Family::of(metrics);
        let samples =
            families.iter().flat_map(|family| family.samples.iter().map(move |sample| (family, sample)));
        samples
            .map(|(family, sample)| {
                format!("{} {:?} {:?} {}", family.name, family.kind, sample.labels, sample.value)
            })
            .collect()
    }

    #[test]
    fn names_are_those_of_the_exporter() {
        let number = MetricValue::Number;
        let thread = [("thread-id", "app-StreamThread-1")];
        let state = [("thread-id", "t"), ("task-id", "0_1"), ("rocksdb-state-id", "counts")];
        let found = lines(&[
            metric("stream-thread-metrics", "process-rate", &thread, number(2.5)),
            metric("stream-thread-metrics", "process-total", &[("thread-id", "other")], number(4.0)),
            metric("stream-thread-metrics", "process-total", &thread, number(7.0)),
            metric("stream-task-metrics", "cache-size-bytes-total", &thread, number(1.0)),
            metric("stream-state-metrics", "get-rate", &state, number(f64::NAN)),
        ]);
        assert_eq!(
            found,
            [
                r#"kafka_streams_stream_state_metrics_get_rate Gauge [("rocksdb_state_id", "counts"), ("task_id", "0_1"), ("thread_id", "t")] NaN"#,
                r#"kafka_streams_stream_task_metrics_cache_size_bytes_total Unknown [("thread_id", "app-StreamThread-1")] 1"#,
                r#"kafka_streams_stream_thread_metrics_process_rate Gauge [("thread_id", "app-StreamThread-1")] 2.5"#,
                r#"kafka_streams_stream_thread_metrics_process_total Counter [("thread_id", "other")] 4"#,
                r#"kafka_streams_stream_thread_metrics_process_total Counter [("thread_id", "app-StreamThread-1")] 7"#,
            ]
        );
    }

    #[test]
    fn clients_have_domains_of_their_own() {
        let number = MetricValue::Number;
        let consumer = [("client-id", "app-1-StreamThread-1-restore-consumer")];
        let producer = [("client-id", "app-1-StreamThread-1-producer")];
        let node = [("client-id", "app-1-admin"), ("node-id", "node-1")];
        let partition = [consumer[0], ("partition", "0"), ("topic", "a.b")];
        let found = lines(&[
            metric("admin-client-node-metrics", "request-total", &node, number(3.0)),
            metric("app-info", "version", &producer, MetricValue::Text("1.0".to_owned())),
            metric("consumer-fetch-manager-metrics", "records-lag", &partition, number(2.0)),
            metric("kafka-metrics-count", "count", &[], number(9.0)),
            metric("kafka-metrics-count", "count", &consumer, number(4.0)),
        ]);
        assert_eq!(
            found,
            [
                r#"kafka_admin_client_admin_client_node_metrics_request_total Counter [("client_id", "app-1-admin"), ("node_id", "node-1")] 3"#,
                r#"kafka_consumer_consumer_fetch_manager_metrics_records_lag Gauge [("client_id", "app-1-StreamThread-1-restore-consumer"), ("partition", "0"), ("topic", "a.b")] 2"#,
                r#"kafka_consumer_kafka_metrics_count_count Gauge [("client_id", "app-1-StreamThread-1-restore-consumer")] 4"#,
                r#"kafka_producer_app_info Gauge [("client_id", "app-1-StreamThread-1-producer"), ("version", "1.0")] 1"#,
                r#"kafka_streams_kafka_metrics_count_count Gauge [] 9"#,
            ]
        );
    }

    #[test]
    fn texts_are_labels() {
        let client = [("client-id", "app")];
        let text = |text: &str| MetricValue::Text(text.to_owned());
        let found = lines(&[
            metric("stream-metrics", "alive-stream-threads", &client, MetricValue::Number(2.0)),
            metric("stream-metrics", "application-id", &client, text("app")),
            metric(
                "stream-metrics",
                "client-state",
                &[("application-id", "app"), ("client-id", "c")],
                MetricValue::Number(2.0),
            ),
            metric("stream-metrics", "state", &client, text("RUNNING")),
            metric("stream-metrics", "topology-description", &client, text("Topologies:\n")),
        ]);
        assert_eq!(
            found,
            [
                r#"kafka_streams_stream_metrics Gauge [("client_id", "app"), ("alive_stream_threads", "2")] 1"#,
                r#"kafka_streams_stream_metrics Gauge [("client_id", "app"), ("state", "RUNNING")] 1"#,
                r#"kafka_streams_stream_metrics_alive_stream_threads Gauge [("client_id", "app")] 2"#,
                r#"kafka_streams_stream_metrics_client_state Gauge [("client_id", "c")] 2"#,
            ]
        );
    }
}
