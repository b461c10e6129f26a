//! Three brokers, each a controller, too, that are killed, frozen, stopped and started again on their data.
//!
//! Three, because a single broker that comes back breaks exactly-once by itself: its transaction coordinator drops the markers of
//! partitions that have no leader yet (KAFKA-20734). Should that happen here, [`Cluster::lost_markers`] says so.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::broker::{Broker, free_ports, script};
use crate::process::signal;

/// Brokers of the cluster.
pub(crate) const NODES: usize = 3;

/// What a broker logs when it drops a marker that ends a transaction.
const LOST_MARKER: &str = "Couldn't find leader endpoint for partitions";

/// The cluster of one run; ends when it is dropped.
pub(crate) struct Cluster {
    nodes: Vec<Broker>,
    port: String,
    /// `host:port` of all nodes.
    pub(crate) addresses: String,
    /// Lost markers in logs that are no more.
    lost_before: AtomicUsize,
}

impl Cluster {
    /// Starts it. An error says why there can be none.
    pub(crate) fn start() -> Result<Self, String> {
        // Each node takes one port, and its controller the next.
        let port = free_ports(2 * NODES as u16).ok_or("no free ports")?.to_string();
        let folder = std::env::temp_dir();
        let nodes: Result<Vec<Broker>, String> = thread::scope(|scope| {
            let starting: Vec<_> = (1..=NODES)
                .map(|node| {
                    let folder = folder.join(format!("kstreams-broker-{}-{node}", std::process::id()));
                    let port = &port;
                    scope.spawn(move || Broker::up(&arguments(port, &node.to_string()), folder))
                })
                .collect();
            starting.into_iter().map(|broker| broker.join().unwrap()).collect()
        });
        let nodes = nodes?;
        let addresses = nodes.iter().map(|node| node.address.as_str()).collect::<Vec<_>>().join(",");
        Ok(Self { nodes, port, addresses, lost_before: AtomicUsize::new(0) })
    }

    /// `kill -9`.
    pub(crate) fn kill(&self, node: usize) {
        signal(self.pid(node), "KILL");
    }

    /// Freezes a node: it holds its connections and answers nothing.
    pub(crate) fn freeze(&self, node: usize) {
        signal(self.pid(node), "STOP");
    }

    /// Lets a frozen node go on.
    pub(crate) fn thaw(&self, node: usize) {
        signal(self.pid(node), "CONT");
    }

    /// Ends a node cleanly.
    pub(crate) fn stop(&self, node: usize) {
        let ended = script("down", &self.nodes[node].folder).stderr(Stdio::null()).status().unwrap();
        assert!(ended.success(), "node {} did not end", node + 1);
    }

    /// Starts a node that ended, on its data, and waits until it answers.
    pub(crate) fn start_again(&self, node: usize) {
        self.lost_before.fetch_add(self.lost_in(node), Ordering::SeqCst);
        let number = (node + 1).to_string();
        let mut up = script("up", &self.nodes[node].folder);
        let started = up.args(arguments(&self.port, &number)).stdout(Stdio::null()).status().unwrap();
        assert!(started.success(), "node {number} did not start again");
    }

    /// How many partitions' markers brokers have dropped: a defect of Kafka, after which nobody's transactions are whole.
    pub(crate) fn lost_markers(&self) -> usize {
        self.lost_before.load(Ordering::SeqCst) + (0..NODES).map(|node| self.lost_in(node)).sum::<usize>()
    }

    fn lost_in(&self, node: usize) -> usize {
        let log = std::fs::read(self.nodes[node].folder.join("broker.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).matches(LOST_MARKER).count()
    }

    fn pid(&self, node: usize) -> u32 {
        let text = std::fs::read_to_string(self.nodes[node].folder.join("broker")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }
}

fn arguments<'a>(port: &'a str, node: &'a str) -> [&'a str; 6] {
    ["--port", port, "--node", node, "--nodes", "3"]
}
