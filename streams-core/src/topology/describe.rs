//! The description of a topology: what `Topology::describe()` returns and prints, letter by letter as Kafka Streams.
//!
//! In: the arena. Out: nodes by sub-topology in Kafka Streams' order, internal topics without prefix. Reads only.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::java_order::{HashOrder, TreeOrder, compare_strings};
use super::{NodeId, NodeKind, SinkTopic, SubTopology, Topology};

/// A topology as it is printed for people.
///
/// Its text is the one of Kafka Streams' `TopologyDescription`, so that tools which draw it work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopologyDescription {
    /// Sub-topologies and global stores, by id.
    pub subtopologies: Vec<SubtopologyDescription>,
}

/// A sub-topology, or the two nodes that feed a global store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubtopologyDescription {
    /// Number of the sub-topology.
    pub id: u32,
    /// Whether it feeds a global store and makes no tasks.
    pub global: bool,
    /// Its nodes: those with most nodes below them first.
    pub nodes: Vec<NodeDescription>,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Name.
    pub name: Arc<str>,
    /// What it reads, uses or writes.
    pub kind: NodeDescriptionKind,
    /// Names of the nodes below. Empty for sinks.
    pub successors: Vec<Arc<str>>,
    /// Names of the nodes above. Empty for sources.
    pub predecessors: Vec<Arc<str>>,
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NodeDescriptionKind {
    /// Reads these topics.
    Source(Vec<Arc<str>>),
    /// Reads the topics that match this pattern.
    PatternSource(Arc<str>),
    /// Uses these stores.
    Processor(Vec<Arc<str>>),
    /// Writes this topic.
    Sink(Arc<str>),
    /// Writes the topic that this extractor chooses.
    DynamicSink(Arc<str>),
}

impl fmt::Display for TopologyDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topologies:\n ")?;
        self.subtopologies.iter().try_for_each(|part| write!(f, "  {part}"))
    }
}

impl fmt::Display for SubtopologyDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.global { " for global store (will not generate tasks)" } else { "" };
        writeln!(f, "Sub-topology: {}{suffix}", self.id)?;
        self.nodes.iter().try_for_each(|node| writeln!(f, "    {node}"))?;
        if self.global { Ok(()) } else { f.write_str("\n") }
    }
}

impl fmt::Display for NodeDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, below, above) = (&self.name, or_none(&self.successors), or_none(&self.predecessors));
        match &self.kind {
            NodeDescriptionKind::Source(topics) => {
                write!(f, "Source: {name} (topics: [{}])\n      --> {below}", topics.join(", "))
            }
            NodeDescriptionKind::PatternSource(pattern) => {
                write!(f, "Source: {name} (topics: {pattern})\n      --> {below}")
            }
            NodeDescriptionKind::Processor(stores) => {
                let stores = stores.join(", ");
                write!(f, "Processor: {name} (stores: [{stores}])\n      --> {below}\n      <-- {above}")
            }
            NodeDescriptionKind::Sink(topic) => {
                write!(f, "Sink: {name} (topic: {topic})\n      <-- {above}")
            }
            NodeDescriptionKind::DynamicSink(text) => {
                write!(f, "Sink: {name} (extractor class: {text})\n      <-- {above}")
            }
        }
    }
}

fn or_none(names: &[Arc<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Topology {
    /// Describes the topology. `to_string()` of it is Kafka Streams' text.
    pub fn describe(&self) -> TopologyDescription {
        let describe = |part: &SubTopology| {
            if part.global.is_some() { self.describe_global(part) } else { self.describe_part(part) }
        };
        TopologyDescription { subtopologies: self.subtopologies().iter().map(describe).collect() }
    }

    fn describe_part(&self, part: &SubTopology) -> SubtopologyDescription {
        let mut edges = Edges::default();
        for id in self.java_order_of(part) {
            for parent in &self.node(id).parents {
                edges.connect(self, id, *parent);
            }
        }
        let mut ids = part.nodes.clone();
        ids.sort_by(|one, two| edges.compare(self, index(*one), index(*two)));
        let nodes = ids
            .into_iter()
            .map(|id| NodeDescription {
                name: self.node(id).name.clone(),
                kind: self.describe_kind(id),
                successors: self.names_of(edges.successors.get(&index(id))),
                predecessors: self.names_of(edges.predecessors.get(&index(id))),
            })
            .collect();
        SubtopologyDescription { id: part.id, global: false, nodes }
    }

    fn describe_global(&self, part: &SubTopology) -> SubtopologyDescription {
        let is_source = |id: &NodeId| matches!(self.node(*id).kind, NodeKind::Source { .. });
        let order = self.java_order_of(part);
        let source = order.iter().copied().find(is_source);
        let processor = order.into_iter().find(|id| Some(*id) != source);
        let name = |id: Option<NodeId>| id.map(|id| self.node(id).name.clone()).into_iter().collect();
        let describe = |id: NodeId| {
            let (successors, predecessors) =
                if is_source(&id) { (name(processor), Vec::new()) } else { (Vec::new(), name(source)) };
            let mut kind = self.describe_kind(id);
            if let NodeDescriptionKind::Processor(stores) = &mut kind {
                stores.truncate(1);
            }
            NodeDescription { name: self.node(id).name.clone(), kind, successors, predecessors }
        };
        let nodes = source.into_iter().chain(processor).map(describe).collect();
        SubtopologyDescription { id: part.id, global: true, nodes }
    }

    /// The nodes of a sub-topology in the order in which Kafka Streams connects them: a set of names, copied into a
    /// map.
    fn java_order_of(&self, part: &SubTopology) -> Vec<NodeId> {
        let ids: BTreeMap<&str, NodeId> = part.nodes.iter().map(|id| (&*self.node(*id).name, *id)).collect();
        let mut set = HashOrder::new();
        part.nodes.iter().for_each(|id| set.add(&self.node(*id).name));
        let mut map = HashOrder::new();
        set.names().into_iter().for_each(|name| map.add(name));
        map.names().into_iter().filter_map(|name| ids.get(name).copied()).collect()
    }

    fn describe_kind(&self, id: NodeId) -> NodeDescriptionKind {
        match &self.node(id).kind {
            NodeKind::Source { pattern: Some(pattern), .. } => {
                NodeDescriptionKind::PatternSource(pattern.as_str().into())
            }
            NodeKind::Source { topics, .. } => {
                let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
                NodeDescriptionKind::Source(to_names(&HashOrder::copy_of(&names)))
            }
            NodeKind::Processor { stores, .. } => {
                let mut set = HashOrder::new();
                stores.iter().for_each(|store| set.add(&self.store(*store).name));
                NodeDescriptionKind::Processor(to_names(&HashOrder::copy_of(&set.names())))
            }
            NodeKind::Sink { topic: SinkTopic::Static { name, .. }, .. } => {
                NodeDescriptionKind::Sink(name.clone())
            }
            NodeKind::Sink { topic: SinkTopic::Dynamic(text), .. } => {
                NodeDescriptionKind::DynamicSink(text.clone())
            }
        }
    }

    fn names_of(&self, set: Option<&TreeOrder>) -> Vec<Arc<str>> {
        let nodes = set.map(TreeOrder::nodes).unwrap_or_default();
        nodes.into_iter().filter_map(|node| Some(self.nodes.get(node)?.name.clone())).collect()
    }
}

fn to_names(order: &HashOrder<'_>) -> Vec<Arc<str>> {
    order.names().into_iter().map(Arc::from).collect()
}

fn index(id: NodeId) -> usize {
    id.0 as usize
}

/// Successors and predecessors by node index, sorted by the sizes that subtrees have while edges are added.
#[derive(Default)]
struct Edges {
    successors: BTreeMap<usize, TreeOrder>,
    predecessors: BTreeMap<usize, TreeOrder>,
    /// For each node the number of paths that start at it, minus one.
    growth: BTreeMap<usize, i32>,
}

impl Edges {
    fn size(&self, node: usize) -> i32 {
        self.growth.get(&node).copied().unwrap_or(0).wrapping_add(1)
    }

    /// Larger subtrees first, then names.
    fn compare(&self, topology: &Topology, one: usize, two: usize) -> Ordering {
        let name = |node: usize| topology.nodes.get(node).map_or("", |node| &*node.name);
        if one == two {
            return Ordering::Equal;
        }
        match self.size(two).wrapping_sub(self.size(one)).cmp(&0) {
            Ordering::Equal => compare_strings(name(one), name(two)),
            different => different,
        }
    }

    fn connect(&mut self, topology: &Topology, node: NodeId, parent: NodeId) {
        let (node, parent) = (index(node), index(parent));
        let mut predecessors = self.predecessors.remove(&node).unwrap_or_default();
        predecessors.add(parent, &|one, two| self.compare(topology, one, two));
        self.predecessors.insert(node, predecessors);
        let mut successors = self.successors.remove(&parent).unwrap_or_default();
        successors.add(node, &|one, two| self.compare(topology, one, two));
        self.successors.insert(parent, successors);
        self.grow(parent, self.size(node));
    }

    /// Adds `delta` to `node` and to all above it, once for each path. Parents come before children in the arena.
    fn grow(&mut self, node: usize, delta: i32) {
        let mut paths: BTreeMap<usize, i32> = [(node, 1)].into();
        while let Some((node, count)) = paths.pop_last() {
            let growth = self.growth.entry(node).or_default();
            *growth = growth.wrapping_add(delta.wrapping_mul(count));
            for parent in self.predecessors.get(&node).map(TreeOrder::nodes).unwrap_or_default() {
                let paths = paths.entry(parent).or_default();
                *paths = paths.wrapping_add(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::testing::Sketch;

    #[test]
    fn prints_as_kafka_streams() {
        let topology = Sketch::new()
            .source("S1", &["in1", "in2"])
            .processor("P1", &["S1"])
            .store("st", &["P1"])
            .dynamic_sink("K1", "Extractor", &["P1"])
            .sink("K2", "o2", &["P1", "S1"])
            .topology();
        assert_eq!(
            topology.describe().to_string(),
            "Topologies:\n   Sub-topology: 0\n    Source: S1 (topics: [in2, in1])\n      --> P1, K2\n    \
             Processor: P1 (stores: [st])\n      --> K1, K2\n      <-- S1\n    \
             Sink: K1 (extractor class: Extractor)\n      <-- P1\n    Sink: K2 (topic: o2)\n      <-- S1, P1\n\n"
        );
    }

    #[test]
    fn a_global_store_is_printed_without_a_blank_line() {
        let topology =
            Sketch::new().source("G", &["gt"]).processor("GP", &["G"]).global_store("gs", "GP").topology();
        assert_eq!(
            topology.describe().to_string(),
            "Topologies:\n   Sub-topology: 0 for global store (will not generate tasks)\n    \
             Source: G (topics: [gt])\n      --> GP\n    Processor: GP (stores: [gs])\n      --> none\n      <-- G\n"
        );
    }
}
