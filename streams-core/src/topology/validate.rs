//! What is wrong with a topology: every fault at once, before anything starts.
//!
//! In: the arena. Out: a list of sentences, or nothing. A store that no node uses is no fault: as in Kafka Streams it is neither made nor backed by a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::copartition::merged_copartition_groups;
use super::{
    InternalTopic, Node, NodeId, NodeKind, SinkTopic, SourceTopic, StoreKind, Topology, TopologyError,
};

const MAX_NAME_LENGTH: usize = 249;

/// Checks a name that becomes part of a topic: not empty, not `.` or `..`, at most 249 characters out of ASCII letters,
/// digits, `.`, `_` and `-`. Kafka Streams' `Named` and Kafka's topics have the same rules.
///
/// # Errors
/// One sentence that repeats the name and says what is wrong with it.
pub fn validate_name(name: &str) -> Result<(), TopologyError> {
    match name_fault(name) {
        None => Ok(()),
        Some(fault) => Err(TopologyError::new(fault)),
    }
}

pub(super) fn name_fault(name: &str) -> Option<String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        Some("a name is empty; give it at least one character, or leave it out".to_owned())
    } else if name == "." || name == ".." {
        Some(format!(
            "the name `{name}` is not allowed: Kafka cannot have a topic of that name; choose another"
        ))
    } else if name.chars().count() > MAX_NAME_LENGTH {
        Some(format!(
            "the name `{name}` has {} characters where Kafka allows {MAX_NAME_LENGTH}; choose a shorter one",
            name.chars().count()
        ))
    } else {
        let letter = name.chars().find(|letter| !legal(*letter))?;
        Some(format!(
            "the name `{name}` contains {letter:?}; only ASCII letters, digits, `.`, `_` and `-` are allowed, because \
             it becomes part of a topic name"
        ))
    }
}

/// What is wrong with `name`, unless it is named after one that was refused already.
fn new_fault(name: &str, refused: &[String]) -> Option<String> {
    let known =
        |refused: &String| if refused.is_empty() { name.is_empty() } else { name.starts_with(refused) };
    if refused.iter().any(known) { None } else { name_fault(name) }
}

/// Names that are there more than once, each once, in order.
fn doubles<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> impl Iterator<Item = &'a Arc<str>> {
    let mut counts: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name)
}

impl Topology {
    /// Checks the whole topology.
    ///
    /// # Errors
    /// Every fault found, one sentence each.
    pub fn validate(&self) -> Result<(), TopologyError> {
        let mut faults = Vec::new();
        self.find_faults(&[], &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(TopologyError { faults }) }
    }

    /// Adds every fault to `faults`; but none about names that begin with one of `refused`, which are among them already.
    pub(crate) fn find_faults(&self, refused: &[String], faults: &mut Vec<String>) {
        faults.extend(self.noted.iter().map(|noted| noted.fault.clone()));
        if !self.nodes.iter().any(|node| matches!(node.kind, NodeKind::Source { .. })) {
            faults.push("it reads no topic; add a source (`stream`, `table` or `add_source`)".to_owned());
        }
        self.check_names(faults);
        for (index, node) in (0_u32..).zip(&self.nodes) {
            self.check_node(NodeId(index), node, refused, faults);
        }
        self.check_circles(faults);
        self.check_source_topics(faults);
        self.check_patterns(faults);
        self.check_stores(refused, faults);
        self.check_repartition_topics(refused, faults);
    }

    /// Names of nodes and of stores are there once.
    fn check_names(&self, faults: &mut Vec<String>) {
        let nodes = doubles(self.nodes.iter().map(|node| &node.name));
        faults.extend(nodes.map(|name| {
            format!("two nodes are called `{name}`; give one of them another name with `named`, or none")
        }));
        let stores = doubles(self.stores.iter().map(|store| &store.name));
        faults.extend(stores.map(|name| {
            format!(
                "two different stores are called `{name}`; give one of them another name (clones of one builder are \
                 one store)"
            )
        }));
    }

    /// No node is above itself. The DSL and typed nodes cannot say so; an arena that was written by hand can.
    fn check_circles(&self, faults: &mut Vec<String>) {
        let count = self.nodes.len();
        let parents = |node: usize| {
            let parents = self.nodes.get(node).map_or(&[][..], |node| node.parents.as_slice());
            parents.iter().map(|parent| parent.0 as usize).filter(|parent| *parent < count)
        };
        // What is left after taking away, again and again, nodes without parents is in a circle or below one.
        let mut open: Vec<bool> = vec![true; count];
        loop {
            let free: Vec<usize> = (0..count)
                .filter(|node| open.get(*node) == Some(&true))
                .filter(|node| parents(*node).all(|parent| open.get(parent) == Some(&false)))
                .collect();
            if free.is_empty() {
                break;
            }
            free.into_iter().for_each(|node| open.get_mut(node).into_iter().for_each(|slot| *slot = false));
        }
        let Some(start) = open.iter().position(|open| *open) else { return };
        // Upwards among those one must come to a node for the second time: from there on it is the circle.
        let mut way = vec![start];
        while let Some(up) =
            way.last().and_then(|node| parents(*node).find(|parent| open.get(*parent) == Some(&true)))
        {
            if let Some(first) = way.iter().position(|node| *node == up) {
                let mut circle: Vec<usize> = way.split_off(first);
                circle.push(up);
                let names: Vec<String> = circle
                    .iter()
                    .rev()
                    .filter_map(|node| Some(format!("`{}`", self.nodes.get(*node)?.name)))
                    .collect();
                faults.push(format!(
                    "nodes form a circle: {}; records would never leave it; write to a topic and read it instead",
                    names.join(" -> ")
                ));
                return;
            }
            way.push(up);
        }
    }

    fn check_node(&self, id: NodeId, node: &Node, refused: &[String], faults: &mut Vec<String>) {
        let name = &node.name;
        if name.is_empty() && !refused.iter().any(String::is_empty) {
            faults.push(format!("node {} has an empty name; give it one", id.0));
        }
        let is_source = matches!(node.kind, NodeKind::Source { .. });
        let noted = self.noted.iter().any(|noted| noted.node == Some(id));
        if node.parents.is_empty() && !is_source && !noted {
            faults.push(format!("node `{name}` has no parent, so no record can reach it; name at least one"));
        }
        for parent in &node.parents {
            match self.nodes.get(parent.0 as usize) {
                None => faults.push(format!("a parent of node `{name}` is unknown; add it first")),
                Some(Node { name: parent, kind: NodeKind::Sink { .. }, .. }) => faults
                    .push(format!("sink `{parent}` cannot be the parent of `{name}`: sinks forward nothing")),
                Some(_) => {}
            }
        }
        match &node.kind {
            NodeKind::Source { topics, pattern: None, .. } if topics.is_empty() && !noted => {
                faults.push(format!("source `{name}` has no topic; name at least one"));
            }
            NodeKind::Source { topics, .. } => {
                for SourceTopic { name: topic, internal } in topics {
                    self.check_topic(("source", name), (topic, *internal), refused, faults);
                }
            }
            NodeKind::Sink { topic: SinkTopic::Static { name: topic, internal }, .. } => {
                self.check_topic(("sink", name), (topic, *internal), refused, faults);
            }
            NodeKind::Processor { stores, .. } => {
                let unknown = stores.iter().filter(|store| self.stores.get(store.0 as usize).is_none());
                faults.extend(unknown.map(|_| format!("a store of node `{name}` is unknown; add it first")));
            }
            NodeKind::Sink { topic: SinkTopic::Dynamic(_), .. } => {}
        }
    }

    fn check_topic(
        &self,
        (word, node): (&str, &str),
        (topic, internal): (&str, bool),
        refused: &[String],
        faults: &mut Vec<String>,
    ) {
        // The topic of a repartition is reported as such.
        if !internal && let Some(fault) = new_fault(topic, refused) {
            faults.push(format!("topic of {word} `{node}`: {fault}"));
        }
        if internal && !self.repartition_topics.contains_key(topic) {
            faults.push(format!(
                "{word} `{node}` uses the repartition topic `{topic}`, which was not declared; declare it first"
            ));
        }
    }

    /// A topic may be read by one source only, once.
    fn check_source_topics(&self, faults: &mut Vec<String>) {
        let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let NodeKind::Source { topics, .. } = &node.kind {
                topics.iter().for_each(|topic| readers.entry(&topic.name).or_default().push(index));
            }
        }
        let mut shared: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
        for (topic, nodes) in readers.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
            shared.entry(nodes).or_default().push(format!("`{topic}`"));
        }
        for (mut nodes, topics) in shared {
            let (word, verb) = if topics.len() == 1 { ("topic", "is") } else { ("topics", "are") };
            let (topics, twice) = (topics.join(", "), nodes.len());
            nodes.dedup();
            let mut names: Vec<String> =
                nodes.iter().filter_map(|node| Some(format!("`{}`", self.nodes.get(*node)?.name))).collect();
            names.dedup();
            match (nodes.as_slice(), names.as_slice()) {
                ([_], [name]) => {
                    faults.push(format!("source {name} names {word} {topics} {twice} times; name each topic once"));
                }
                // One source added twice: that its name is there twice says it.
                (_, [_]) => {}
                (_, names) => faults.push(format!(
                    "{word} {topics} {verb} read by the sources {}; read each once and use that stream, table or source \
                     twice",
                    names.join(" and ")
                )),
            }
        }
    }

    fn check_stores(&self, refused: &[String], faults: &mut Vec<String>) {
        for store in &self.stores {
            let name = &store.name;
            if let Some(fault) = new_fault(name, refused) {
                faults.push(format!("store `{name}`: {fault}"));
            }
            faults.extend(store.fault.clone());
            for id in &store.processors {
                match self.nodes.get(id.0 as usize) {
                    Some(Node { kind: NodeKind::Processor { .. }, .. }) => {}
                    Some(node) => faults.push(format!(
                        "store `{name}` is connected to `{}`, which is a source or a sink; only processors use stores",
                        node.name
                    )),
                    None => faults
                        .push(format!("store `{name}` is connected to a node that is unknown; add the node first")),
                }
            }
            if store.caching && matches!(store.kind, StoreKind::Versioned { .. }) {
                faults.push(format!(
                    "store `{name}` is versioned and cannot be cached: every version counts; leave out `caching(true)`"
                ));
            }
            if store.global && store.processors.len() > 1 {
                faults.push(format!(
                    "global store `{name}` is connected to several processors; every processor may use it without"
                ));
            }
            if store.processors.is_empty() {
                tracing::warn!(store = %name, "no processor is connected to the store; it is not made");
            }
        }
    }

    fn check_repartition_topics(&self, refused: &[String], faults: &mut Vec<String>) {
        for InternalTopic { name, partitions } in self.repartition_topics.values() {
            if let Some(fault) = new_fault(name, refused) {
                faults.push(format!("repartition topic: {fault}"));
            }
            if let Some(count) = partitions.filter(|count| *count < 1) {
                faults.push(format!(
                    "repartition topic `{name}` was given {count} partitions; it needs at least 1, or none given"
                ));
            }
        }
        for group in merged_copartition_groups(&self.copartition_groups) {
            let given: Vec<(&Arc<str>, i32)> = group
                .iter()
                .filter_map(|topic| Some((topic, self.repartition_topics.get(topic)?.partitions?)))
                .collect();
            let differ = given.windows(2).any(|pair| matches!(pair, [one, two] if one.1 != two.1));
            // Whatever the topics of the user in this group have: one of these differs from it.
            if differ {
                let listed: Vec<String> =
                    given.iter().map(|(topic, count)| format!("`{topic}` {count}")).collect();
                faults.push(format!(
                    "repartition topics that are joined by key were given different numbers of partitions: {}; give \
                     all of them the same number in `Repartitioned`, or none",
                    listed.join(", ")
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::NodeId;
    use crate::topology::testing::Sketch;

    fn faults(topology: &Topology) -> Vec<String> {
        topology.validate().err().map(|error| error.faults).unwrap_or_default()
    }

    #[test]
    fn names_follow_kafkas_rules() {
        assert_eq!(validate_name("a.b_c-D9"), Ok(()));
        assert_eq!(validate_name(&"x".repeat(249)), Ok(()));
        for bad in ["", ".", "..", "bad$name", "sp ace", "ä", &"x".repeat(250)] {
            assert!(validate_name(bad).is_err(), "{bad}");
        }
        assert!(validate_name("bad$name").unwrap_err().to_string().contains("`bad$name` contains '$'"));
    }

    #[test]
    fn a_good_topology_has_no_faults_even_with_an_unused_store() {
        let topology = Sketch::new()
            .source("a", &["in"])
            .processor("p", &["a"])
            .store("s", &["p"])
            .store("unused", &[])
            .sink("k", "out", &["p"])
            .topology();
        assert_eq!(topology.validate(), Ok(()));
        assert_eq!(topology.subtopologies()[0].stores.len(), 1);
    }

    #[test]
    fn all_faults_are_listed_at_once() {
        let mut topology = Sketch::new()
            .source("a", &["in"])
            .source("b", &["in", "a topic"])
            .source("empty", &[])
            .processor("orphan", &[])
            .sink("k", "", &["a"])
            .processor("below-sink", &["k"])
            .store("bad/store", &["a"])
            .repartition("r", Some(0))
            .topology();
        topology.nodes[3].parents.push(NodeId(99));
        let faults = faults(&topology);
        for expected in [
            "topic `in` is read by the sources `a` and `b`",
            "topic of source `b`: the name `a topic` contains ' '",
            "source `empty` has no topic",
            "a parent of node `orphan` is unknown",
            "topic of sink `k`: a name is empty",
            "sink `k` cannot be the parent of `below-sink`",
            "the name `bad/store` contains '/'",
            "store `bad/store` is connected to `a`, which is a source or a sink",
            "repartition topic `r` was given 0 partitions",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected} is not in {faults:#?}");
        }
        assert_eq!(faults.len(), 9, "{faults:#?}");
    }

    #[test]
    fn a_circle_is_named_in_the_order_of_the_records() {
        let mut topology = Sketch::new()
            .source("s", &["in"])
            .processor("a", &["s"])
            .processor("b", &["a"])
            .processor("c", &["b"])
            .sink("k", "out", &["c"])
            .topology();
        topology.nodes[1].parents.push(NodeId(3));
        assert_eq!(faults(&topology).len(), 1);
        assert!(
            faults(&topology)[0].starts_with("nodes form a circle: `a` -> `b` -> `c` -> `a`"),
            "{:?}",
            faults(&topology)
        );
        topology.nodes[1].parents = vec![NodeId(0), NodeId(1)];
        assert!(
            faults(&topology)[0].starts_with("nodes form a circle: `a` -> `a`;"),
            "{:?}",
            faults(&topology)
        );
    }

    #[test]
    fn names_are_there_once() {
        let mut topology = Sketch::new()
            .source("a", &["in"])
            .processor("p", &["a"])
            .store("s", &["p"])
            .store("t", &["p"])
            .topology();
        topology.nodes[1].name = "a".into();
        topology.stores[1].name = "s".into();
        let faults = faults(&topology);
        assert!(faults[0].starts_with("two nodes are called `a`; "), "{faults:?}");
        assert!(faults[1].starts_with("two different stores are called `s`; "), "{faults:?}");
    }

    #[test]
    fn an_empty_topology_reads_nothing() {
        assert!(faults(&Topology::new())[0].contains("reads no topic"));
        let orphan = Sketch::new().source("a", &["in"]).processor("p", &[]).topology();
        assert!(faults(&orphan)[0].contains("`p` has no parent"));
    }

    #[test]
    fn fixed_counts_of_a_co_partition_group_must_agree() {
        let topology = Sketch::new()
            .repartition("r1", Some(2))
            .repartition("r2", Some(3))
            .source("s", &["r1", "r2"])
            .copartition(&["r1", "r2"])
            .topology();
        assert!(faults(&topology)[0].contains("`r1` 2, `r2` 3"));
    }
}
