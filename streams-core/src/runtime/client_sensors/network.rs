//! Requests, connections, and the nodes behind them.

use std::collections::BTreeMap;

use streams_state::types::Timestamp;

use super::{Client, ClientScope, grown};
use crate::client::{NetworkStatistics, NodeStatistics};
use crate::metrics::catalogue::clients::network;
use crate::metrics::{Batch, Scope, Sensor};

/// Requests and responses, of a client or of a node.
struct Traffic {
    sent: Sensor,
    received: Sensor,
    /// Requests, their bytes, responses, their bytes: as they were seen last.
    before: [u64; 4],
}

impl Traffic {
    fn new(scope: &mut Scope) -> Self {
        Self {
            sent: scope.sensor(&network::SENT),
            received: scope.sensor(&network::RECEIVED),
            before: [0; 4],
        }
    }

    fn show(&mut self, told: &NodeStatistics, now: Timestamp) {
        let [requests, request_bytes, responses, response_bytes] = &mut self.before;
        let since = |count: u64, counted: &mut u64, bytes: u64, known: &mut u64| {
            let (count, bytes) = (grown(counted, count), grown(known, bytes));
            sums(count, bytes as f64)
        };
        let sent = since(told.requests, requests, told.request_bytes, request_bytes);
        self.sent.record_batch(sent, now);
        let received = since(told.responses, responses, told.response_bytes, response_bytes);
        self.received.record_batch(received, now);
    }
}

/// `count` numbers of which only the sum is known.
pub(super) fn sums(count: u64, sum: f64) -> Batch {
    let average = if count == 0 { 0.0 } else { sum / count as f64 };
    Batch { count, sum, min: average, max: average, last: average }
}

/// Ms that `requests` were held up for a quota; those that were not are not in the period.
pub(super) fn throttled(held_up: Batch, requests: u64) -> Batch {
    let max = if held_up.count == 0 { 0.0 } else { held_up.max };
    Batch { max, ..sums(requests.max(held_up.count), held_up.sum) }
}

struct Node {
    _scope: ClientScope,
    traffic: Traffic,
    latency: Sensor,
}

/// The network sensors of a client.
pub(super) struct NetworkSensors {
    client: Client,
    node_group: &'static str,
    traffic: Traffic,
    /// Not all clients show that of all nodes together.
    latency: Option<Sensor>,
    connections: Sensor,
    created: Sensor,
    closed: Sensor,
    closed_before: u64,
    created_before: u64,
    nodes: BTreeMap<i32, Node>,
}

impl NetworkSensors {
    /// Registers those of the client in `scope`; those of nodes come with the nodes.
    pub(super) fn new(client: &Client, scope: &mut Scope, node_group: &'static str) -> Self {
        Self {
            client: client.clone(),
            node_group,
            traffic: Traffic::new(scope),
            latency: None,
            connections: scope.sensor(&network::CONNECTIONS),
            created: scope.sensor(&network::CONNECTIONS_CREATED),
            closed: scope.sensor(&network::CONNECTIONS_CLOSED),
            closed_before: 0,
            created_before: 0,
            nodes: BTreeMap::new(),
        }
    }

    /// Shows round trips in `scope`, too.
    pub(super) fn with_latency(mut self, scope: &mut Scope) -> Self {
        self.latency = Some(scope.sensor(&network::REQUEST_LATENCY));
        self
    }

    /// Shows news; gives all nodes together.
    pub(super) fn show(&mut self, told: &NetworkStatistics, now: Timestamp) -> NodeStatistics {
        let sum = told.sum();
        self.traffic.show(&sum, now);
        if let Some(latency) = &self.latency {
            latency.record_batch(sum.latency_ms, now);
        }
        self.connections.record(sum.connections as f64, now);
        // What is open or closed now was made before.
        let created = grown(&mut self.created_before, sum.connections + sum.closed);
        self.created.record_batch(Batch::events(created), now);
        self.closed.record_batch(Batch::events(grown(&mut self.closed_before, sum.closed)), now);
        let Self { client, node_group, nodes, .. } = self;
        for (id, told) in &told.nodes {
            let node = nodes.entry(*id).or_insert_with(|| {
                let fill = |scope: &mut Scope| (Traffic::new(scope), scope.sensor(&network::REQUEST_LATENCY));
                let (scope, (traffic, latency)) =
                    client.scope(node_group, &[("node-id", &format!("node-{id}"))], fill);
                Node { _scope: scope, traffic, latency }
            });
            node.traffic.show(told, now);
            node.latency.record_batch(told.latency_ms, now);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::RequestKinds;
    use crate::metrics::catalogue::clients::consumer;
    use crate::metrics::{Metric, MetricConfig, Metrics};

    fn node(requests: u64, closed: u64, latency_ms: Batch) -> NodeStatistics {
        NodeStatistics {
            connections: 1,
            closed,
            requests,
            request_bytes: requests * 100,
            responses: requests - 1,
            response_bytes: requests * 7,
            in_flight: 1,
            kinds: RequestKinds::default(),
            latency_ms,
            throttle_ms: Batch::default(),
        }
    }

    struct Shown(Vec<Metric>);

    impl Shown {
        fn number(&self, node: Option<&str>, name: &str) -> f64 {
            let fits = |metric: &&Metric| metric.name.name == name && metric.name.tag("node-id") == node;
            let found: Vec<&Metric> = self.0.iter().filter(fits).collect();
            assert_eq!(found.len(), 1, "{name} of {node:?}");
            found[0].value.number().unwrap()
        }
    }

    #[test]
    fn nodes_show_their_traffic() {
        let metrics = Arc::new(Metrics::new(MetricConfig::default()));
        let client = Client::new(&metrics, "c");
        let (_scope, mut sensors) = client
            .scope(consumer::GROUP, &[], |scope| NetworkSensors::new(&client, scope, consumer::NODE_GROUP));
        let told = |nodes: &[(i32, NodeStatistics)]| NetworkStatistics {
            nodes: nodes.iter().cloned().collect(),
            ..NetworkStatistics::default()
        };
        let mut latency = Batch::of(2.0);
        latency.add(4.0);
        let coordinator = 2_147_483_646;
        sensors.show(&told(&[(1, node(10, 0, latency)), (coordinator, node(2, 0, Batch::of(1.0)))]), 1_000);
        sensors.show(
            &told(&[(1, node(14, 1, Batch::of(9.0))), (coordinator, node(2, 0, Batch::default()))]),
            2_000,
        );
        let shown = Shown(metrics.snapshot(2_000));
        let of_node = |metric: &&Metric| metric.name.tag("node-id") == Some("node-1");
        let names: Vec<&str> = shown.0.iter().filter(of_node).map(|metric| &*metric.name.name).collect();
        // All of `consumer-node-metrics` in `metrics.json` but for `request-size-max`.
        assert_eq!(
            names,
            [
                "incoming-byte-rate",
                "incoming-byte-total",
                "outgoing-byte-rate",
                "outgoing-byte-total",
                "request-latency-avg",
                "request-latency-max",
                "request-rate",
                "request-size-avg",
                "request-total",
                "response-rate",
                "response-total",
            ]
        );
        assert!(shown.0.iter().filter(of_node).all(|metric| metric.name.group == "consumer-node-metrics"));
        let of =
            |name: &str| [Some("node-1"), Some("node-2147483646"), None].map(|node| shown.number(node, name));
        assert_eq!(of("request-total"), [14.0, 2.0, 16.0]);
        assert_eq!(of("outgoing-byte-total"), [1400.0, 200.0, 1600.0]);
        assert_eq!(of("response-total"), [13.0, 1.0, 14.0]);
        assert_eq!(of("incoming-byte-total"), [98.0, 14.0, 112.0]);
        assert_eq!(of("request-size-avg"), [100.0; 3]);
        let node = |name: &str| shown.number(Some("node-1"), name);
        assert_eq!((node("request-latency-avg"), node("request-latency-max")), (5.0, 9.0));
        // One of the three that were opened was closed.
        let all = ["connection-count", "connection-creation-total", "connection-close-total"];
        assert_eq!(all.map(|name| shown.number(None, name)), [2.0, 3.0, 1.0]);
    }

    #[test]
    fn counters_that_begin_anew_are_counted_from_there() {
        let mut before = 0;
        assert_eq!([5, 7, 7, 3, 4].map(|now| grown(&mut before, now)), [5, 2, 0, 3, 1]);
    }
}
