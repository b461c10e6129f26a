//! What librdkafka says of its work: its JSON (`statistics.interval.ms`, `STATISTICS.md`) as [`NetworkStatistics`] and offsets.
//!
//! In: the text of an event, every few seconds. Out: plain figures, kept until somebody asks. Units are those of its document:
//! microseconds for round trips, milliseconds for throttling; windows hold what came since the event before.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use streams_state::types::TopicPartition;

use crate::client::{
    Amount, BufferStatistics, NetworkStatistics, NodeStatistics, ProducerStatistics, RequestKinds,
};
use crate::metrics::Batch;

/// Ids of coordinators count down from here, so that they are not those of nodes: as in Java's clients.
const COORDINATORS_FROM: i32 = i32::MAX;
/// The name of the connection to a group's coordinator.
const GROUP_COORDINATOR: &str = "GroupCoordinator";
/// The state of a connection that is open.
const UP: &str = "UP";

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
    #[serde(default)]
    rxmsgs: u64,
    #[serde(default)]
    rxmsg_bytes: u64,
    #[serde(default)]
    msg_size: u64,
    #[serde(default)]
    msg_size_max: u64,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i32,
    nodename: String,
    state: String,
    waitresp_cnt: u64,
    tx: u64,
    txbytes: u64,
    rx: u64,
    rxbytes: u64,
    disconnects: u64,
    int_latency: Window,
    rtt: Window,
    throttle: Window,
    req: HashMap<String, u64>,
}

/// Numbers of a period.
#[derive(Clone, Copy, Deserialize)]
struct Window {
    min: f64,
    max: f64,
    sum: f64,
    cnt: u64,
}

#[derive(Deserialize)]
struct Topic {
    metadata_age: u64,
    batchsize: Window,
    #[serde(default)]
    partitions: HashMap<i32, Partition>,
}

#[derive(Clone, Copy, Deserialize)]
struct Partition {
    broker: i32,
    leader: i32,
    lo_offset: i64,
    txmsgs: u64,
    txbytes: u64,
}

impl Document {
    /// The id of the node behind a connection. Connections to coordinators have none, but are to the same address as one that has.
    fn node_id(&self, broker: &Broker) -> i32 {
        let same = |other: &&Broker| other.nodeid >= 0 && other.nodename == broker.nodename;
        match broker.nodeid {
            id if id >= 0 => id,
            id => self.brokers.values().find(same).map_or(id, |other| other.nodeid),
        }
    }
}

impl Window {
    /// In other units.
    fn per(self, unit: f64) -> Batch {
        if self.cnt == 0 {
            return Batch::default();
        }
        let max = self.max / unit;
        Batch { count: self.cnt, sum: self.sum / unit, min: self.min / unit, max, last: max }
    }
}

/// What a client said last.
#[derive(Default)]
pub(super) struct Told {
    network: Option<NetworkStatistics>,
    partitions: HashMap<TopicPartition, Partition>,
    /// But for errors, which it does not count.
    producer: ProducerStatistics,
}

impl Told {
    /// Takes the text of an event. One that is no such document says nothing.
    pub(super) fn hear(&mut self, json: &str) {
        match serde_json::from_str(json) {
            Ok(document) => self.take(document),
            Err(error) => tracing::debug!("librdkafka's statistics are not understood: {error}"),
        }
    }

    fn take(&mut self, document: Document) {
        let mut network = NetworkStatistics::default();
        for (name, broker) in document.brokers.iter().filter(|(_, broker)| broker.tx > 0) {
            let node_id = document.node_id(broker);
            let id =
                if name == GROUP_COORDINATOR && node_id >= 0 { COORDINATORS_FROM - node_id } else { node_id };
            network.nodes.entry(id).or_default().add(&node(broker));
        }
        network.fetched = Amount { records: document.rxmsgs, bytes: document.rxmsg_bytes };
        if let Some(before) = self.network.take() {
            // Nobody asked since: its periods are ours, too.
            for (id, node) in before.nodes {
                let kept = network.nodes.entry(id).or_default();
                kept.latency_ms.merge(node.latency_ms);
                kept.throttle_ms.merge(node.throttle_ms);
            }
        }
        self.network = Some(network);
        self.take_producer(&document);
        let topics = document.topics.iter();
        let partitions = topics.flat_map(|(topic, told)| {
            told.partitions.iter().map(|(number, told)| (TopicPartition::new(topic.as_str(), *number), *told))
        });
        self.partitions = partitions.collect();
    }

    fn take_producer(&mut self, document: &Document) {
        let producer = &mut self.producer;
        for (topic, told) in &document.topics {
            let sent = producer.topics.entry(topic.as_str().into()).or_default();
            let (records, bytes) = (|it: &Partition| it.txmsgs, |it: &Partition| it.txbytes);
            sent.amount = Amount {
                records: told.partitions.values().map(records).sum(),
                bytes: told.partitions.values().map(bytes).sum(),
            };
            producer.batch_bytes.merge(told.batchsize.per(1.0));
        }
        for broker in document.brokers.values() {
            producer.queue_ms.merge(broker.int_latency.per(1000.0));
        }
        producer.buffer =
            Some(BufferStatistics { total_bytes: document.msg_size_max, used_bytes: document.msg_size });
        producer.metadata_age =
            document.topics.values().map(|topic| Duration::from_millis(topic.metadata_age)).min();
    }

    /// What it says as a producer; what it said of a period, and of its network, only once.
    pub(super) fn producer(&mut self) -> ProducerStatistics {
        let told = ProducerStatistics { network: self.take_network(), ..self.producer.clone() };
        (self.producer.batch_bytes, self.producer.queue_ms) = Default::default();
        told
    }

    /// What nobody was told of the network.
    pub(super) fn take_network(&mut self) -> Option<NetworkStatistics> {
        self.network.take()
    }

    /// The first offset of a partition.
    pub(super) fn beginning(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition).map(|told| told.lo_offset).filter(|offset| *offset >= 0)
    }

    /// The follower that a partition is read from.
    pub(super) fn read_replica(&self, partition: &TopicPartition) -> Option<i32> {
        let told = self.partitions.get(partition)?;
        (told.broker >= 0 && told.leader >= 0 && told.broker != told.leader).then_some(told.broker)
    }
}

fn node(broker: &Broker) -> NodeStatistics {
    let sent = |kind: &str| broker.req.get(kind).copied().unwrap_or(0);
    NodeStatistics {
        connections: u64::from(broker.state == UP),
        closed: broker.disconnects,
        requests: broker.tx,
        request_bytes: broker.txbytes,
        responses: broker.rx,
        response_bytes: broker.rxbytes,
        in_flight: broker.waitresp_cnt,
        kinds: RequestKinds { fetch: sent("Fetch"), heartbeat: sent("Heartbeat"), produce: sent("Produce") },
        latency_ms: broker.rtt.per(1000.0),
        throttle_ms: broker.throttle.per(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::SentStatistics;

    // What librdkafka 2.12.1 said of clients of an application with exactly once, on one broker; topics are renamed.
    const CONSUMER: &str = include_str!("../../../tests/data/statistics_consumer.json");
    const PRODUCER: &str = include_str!("../../../tests/data/statistics_producer.json");

    fn told(json: &str) -> Told {
        let mut told = Told::default();
        told.hear(json);
        told
    }

    #[test]
    fn a_consumer_is_understood() {
        let mut told = told(CONSUMER);
        let left = TopicPartition::new("left", 0);
        assert_eq!((told.beginning(&left), told.read_replica(&left)), (Some(0), None));
        assert_eq!(told.beginning(&TopicPartition::new("left", -1)), None);
        let network = told.take_network().unwrap();
        assert_eq!(network.fetched, Amount { records: 200, bytes: 1800 });
        // The node, and the connection to it as coordinator.
        assert_eq!(network.nodes.keys().copied().collect::<Vec<_>>(), [1, 2_147_483_646]);
        let node = &network.nodes[&1];
        assert_eq!((node.requests, node.request_bytes), (23, 5668));
        assert_eq!((node.responses, node.response_bytes, node.in_flight), (22, 6729, 1));
        assert_eq!((node.connections, node.closed), (1, 0));
        assert_eq!(node.kinds, RequestKinds { fetch: 16, heartbeat: 0, produce: 0 });
        let Batch { count, sum, max, .. } = node.latency_ms;
        assert_eq!((count, sum, max), (5, 227.159, 55.155));
        assert_eq!((node.throttle_ms.count, network.nodes[&2_147_483_646].kinds.heartbeat), (0, 1));
        assert_eq!(network.sum().requests, 30);
        // Said once.
        assert_eq!(told.take_network(), None);
    }

    #[test]
    fn a_producer_is_understood() {
        let mut told = told(PRODUCER);
        let said = told.producer();
        assert_eq!(said.topics.keys().map(|topic| &**topic).collect::<Vec<_>>(), ["out"]);
        let sent = SentStatistics { amount: Amount { records: 199, bytes: 1791 }, errors: 0 };
        assert_eq!(said.topics["out"], sent);
        assert_eq!((said.batch_bytes.count, said.batch_bytes.sum), (2, 3422.0));
        assert_eq!(said.queue_ms.count, 199);
        assert_eq!(said.buffer, Some(BufferStatistics { total_bytes: 16 << 20, used_bytes: 0 }));
        assert_eq!(said.metadata_age, Some(Duration::from_millis(175)));
        let network = said.network.unwrap();
        // The coordinator of transactions is that node.
        assert_eq!(network.nodes.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!((network.sum().requests, network.sum().kinds.produce), (21, 2));
        // Of a period it says something once, of all time again.
        let again = told.producer();
        assert_eq!((again.batch_bytes.count, again.queue_ms.count, again.network), (0, 0, None));
        assert_eq!(again.topics["out"], sent);
    }

    #[test]
    fn periods_that_nobody_asked_for_are_kept_and_other_text_says_nothing() {
        let mut told = told(CONSUMER);
        told.hear(CONSUMER);
        told.hear("not JSON");
        told.hear(r#"{"brokers": {"x": {}}}"#);
        let network = told.take_network().unwrap();
        let node = &network.nodes[&1];
        assert_eq!((node.requests, node.latency_ms.count), (23, 10));
        told.hear(r#"{"name": "rdkafka#consumer-1"}"#);
        assert_eq!(told.take_network(), Some(NetworkStatistics::default()));
    }

    #[test]
    fn a_follower_that_is_read_from_has_a_number() {
        let follower = CONSUMER.replacen(r#""broker":1,"leader":1"#, r#""broker":2,"leader":1"#, 2);
        assert_ne!(follower, CONSUMER);
        assert_eq!(told(&follower).read_replica(&TopicPartition::new("left", 0)), Some(2));
    }
}
