//! What `/topology/graph` tells, as JSON: sub-topologies, their nodes in Kafka Streams' order, and the edges between them.

use serde::Serialize;
use streams_core::topology::{NodeDescriptionKind, TopologyDescription};

/// A topology, to be drawn.
#[derive(Serialize)]
pub(crate) struct Graph {
    subtopologies: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    id: u32,
    /// It feeds a global store and makes no tasks.
    global: bool,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    /// `source`, `processor` or `sink`.
    kind: &'static str,
    /// What a source reads or a sink writes, without the application's prefix. Empty if that is not known before.
    topics: Vec<String>,
    /// The pattern that a source's topics match, or what chooses the topic of a sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen_by: Option<String>,
    stores: Vec<String>,
    successors: Vec<String>,
}

impl Graph {
    /// The nodes of `topology`.
    pub(crate) fn of(topology: &TopologyDescription) -> Self {
        let texts = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let parts = topology.subtopologies.iter().map(|part| {
            let nodes = part.nodes.iter().map(|node| {
                let (kind, topics, chosen_by, stores) = match &node.kind {
                    NodeDescriptionKind::Source(topics) => ("source", texts(topics), None, Vec::new()),
                    NodeDescriptionKind::PatternSource(text) => {
                        ("source", Vec::new(), Some(text), Vec::new())
                    }
                    NodeDescriptionKind::Processor(stores) => ("processor", Vec::new(), None, texts(stores)),
                    NodeDescriptionKind::Sink(topic) => ("sink", vec![topic.to_string()], None, Vec::new()),
                    NodeDescriptionKind::DynamicSink(text) => ("sink", Vec::new(), Some(text), Vec::new()),
                };
                let chosen_by = chosen_by.map(ToString::to_string);
                let (name, successors) = (node.name.to_string(), texts(&node.successors));
                Node { name, kind, topics, chosen_by, stores, successors }
            });
            Part { id: part.id, global: part.global, nodes: nodes.collect() }
        });
        Self { subtopologies: parts.collect() }
    }
}
