//! Sub-topologies: the parts of a topology that share no edge and no store. Each becomes one task per partition.
//!
//! In: the arena. Out: groups of nodes with their topics and stores, in Kafka Streams' numbering. Knows nothing of
//! partitions (see [`TopicPlan`](super::TopicPlan)) and never changes the topology.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{NodeId, NodeKind, SinkTopic, SourceTopic, StoreId, StoreSpec, Topology};

/// Nodes that are connected by edges or stores, and run together in one task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubTopology {
    /// Number of the sub-topology: the first part of its task ids. Groups are numbered in the order in which their
    /// first nodes were added; a group that feeds a global store has a number, too, but no tasks.
    pub id: u32,
    /// Its nodes, in the order in which they were added.
    pub nodes: Vec<NodeId>,
    /// Topics that its tasks read, by name, repartition topics included. Empty for a global group.
    pub source_topics: Vec<SourceTopic>,
    /// Topics that it always writes, by name: `internal` says that it is a repartition topic. Topics that are chosen
    /// for each record are not known here.
    pub sink_topics: Vec<SourceTopic>,
    /// Stores that its nodes use, in registration order. Global stores are listed only where they are fed.
    pub stores: Vec<StoreId>,
    /// The topic of the global store that it feeds. Such a group makes no tasks: the global thread runs it.
    pub global: Option<Arc<str>>,
}

impl SubTopology {
    /// Names (without prefix) of the repartition topics that it reads.
    pub fn repartition_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.source_topics.iter().filter(|topic| topic.internal).map(|topic| &topic.name)
    }

    /// Whether it makes tasks: it reads at least one topic, and is no global store's group.
    pub fn has_tasks(&self) -> bool {
        self.global.is_none() && !self.source_topics.is_empty()
    }
}

impl Topology {
    /// The sub-topologies, by id.
    pub fn subtopologies(&self) -> Vec<SubTopology> {
        let groups = self.node_groups();
        let count = groups.iter().map(|group| group + 1).max().unwrap_or(0);
        (0..count)
            .map(|id| {
                let nodes =
                    (0_u32..).zip(&groups).filter(|(_, group)| **group == id).map(|(node, _)| NodeId(node));
                self.subtopology(id, nodes.collect())
            })
            .collect()
    }

    /// For each node the id of its group: union-find over edges and shared stores.
    fn node_groups(&self) -> Vec<u32> {
        let mut parents: Vec<usize> = (0..self.nodes.len()).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            for parent in &node.parents {
                unite(&mut parents, index, parent.0 as usize);
            }
        }
        for store in self.stores.iter().filter(|store| !store.global) {
            for pair in store.processors.windows(2) {
                if let [one, two] = pair {
                    unite(&mut parents, one.0 as usize, two.0 as usize);
                }
            }
        }
        let mut roots: Vec<usize> = Vec::new();
        (0..self.nodes.len())
            .map(|index| {
                let root = find(&mut parents, index);
                let known = roots.iter().position(|known| *known == root);
                known.unwrap_or_else(|| {
                    roots.push(root);
                    roots.len() - 1
                }) as u32
            })
            .collect()
    }

    fn subtopology(&self, id: u32, nodes: Vec<NodeId>) -> SubTopology {
        let mut sources: BTreeSet<(Arc<str>, bool)> = BTreeSet::new();
        let mut sinks: BTreeSet<(Arc<str>, bool)> = BTreeSet::new();
        for node in &nodes {
            match &self.node(*node).kind {
                NodeKind::Source { topics, .. } => {
                    sources.extend(topics.iter().map(|topic| (topic.name.clone(), topic.internal)));
                }
                NodeKind::Sink { topic: SinkTopic::Static { name, internal }, .. } => {
                    sinks.insert((name.clone(), *internal));
                }
                NodeKind::Sink { topic: SinkTopic::Dynamic(_), .. } | NodeKind::Processor { .. } => {}
            }
        }
        let feeds = |store: &StoreSpec| store.processors.first().is_some_and(|node| nodes.contains(node));
        let uses = |store: &StoreSpec| store.processors.iter().any(|node| nodes.contains(node));
        let stores = (0_u32..)
            .zip(&self.stores)
            .filter(|(_, store)| if store.global { feeds(store) } else { uses(store) })
            .map(|(index, _)| StoreId(index))
            .collect();
        let feeds_global = self.stores.iter().any(|store| store.global && feeds(store));
        let global = if feeds_global { sources.pop_first().map(|(name, _)| name) } else { None };
        let listed = |topics: BTreeSet<(Arc<str>, bool)>| {
            topics.into_iter().map(|(name, internal)| SourceTopic { name, internal }).collect()
        };
        if global.is_some() {
            sources.clear();
        }
        SubTopology { id, nodes, source_topics: listed(sources), sink_topics: listed(sinks), stores, global }
    }
}

fn find(parents: &mut [usize], mut node: usize) -> usize {
    while let Some(&parent) = parents.get(node) {
        let grand = parents.get(parent).copied().unwrap_or(parent);
        if parent == node {
            break;
        }
        if let Some(slot) = parents.get_mut(node) {
            *slot = grand;
        }
        node = grand;
    }
    node
}

fn unite(parents: &mut [usize], one: usize, two: usize) {
    let (one, two) = (find(parents, one), find(parents, two));
    if let Some(slot) = parents.get_mut(two) {
        *slot = one;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sketch;
    use super::*;

    fn names(topics: &[SourceTopic]) -> Vec<&str> {
        topics.iter().map(|topic| &*topic.name).collect()
    }

    #[test]
    fn groups_by_edges_and_stores_in_order_of_first_nodes() {
        let topology = Sketch::new()
            .source("a", &["ta"])
            .source("b", &["tb"])
            .source("c", &["tc"])
            .processor("pa", &["a"])
            .processor("pb", &["b"])
            .processor("pc", &["c"])
            .store("shared", &["pa", "pc"])
            .sink("sb", "out", &["pb"])
            .topology();
        let groups = topology.subtopologies();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].nodes, [NodeId(0), NodeId(2), NodeId(3), NodeId(5)]);
        assert_eq!(names(&groups[0].source_topics), ["ta", "tc"]);
        assert_eq!(groups[0].stores, [StoreId(0)]);
        assert_eq!(names(&groups[1].source_topics), ["tb"]);
        assert_eq!(names(&groups[1].sink_topics), ["out"]);
        assert!(groups[1].stores.is_empty());
    }

    #[test]
    fn a_repartition_topic_splits() {
        let topology = Sketch::new()
            .source("a", &["in"])
            .repartition("r", None)
            .sink("r-sink", "r", &["a"])
            .source("r-source", &["r"])
            .topology();
        let groups = topology.subtopologies();
        assert_eq!(groups.len(), 2);
        assert!(groups[0].sink_topics[0].internal);
        assert_eq!(groups[1].repartition_topics().map(|name| &**name).collect::<Vec<_>>(), ["r"]);
    }

    #[test]
    fn a_global_group_takes_an_id_but_makes_no_tasks() {
        let topology = Sketch::new()
            .source("g", &["gt"])
            .processor("gp", &["g"])
            .global_store("gs", "gp")
            .source("a", &["in"])
            .topology();
        let groups = topology.subtopologies();
        assert_eq!(groups[0].global.as_deref(), Some("gt"));
        assert!(!groups[0].has_tasks());
        assert!(groups[0].source_topics.is_empty());
        assert_eq!((groups[1].id, groups[1].has_tasks()), (1, true));
    }
}
