//! Adding nodes, stores and internal topics to the arena. Nothing is refused here: what is wrong is found, all of it at
//! once, by [`Topology::validate`]; what the arena cannot show by then is noted.

use std::sync::Arc;

use super::{
    InternalTopic, Node, NodeId, NodeKind, OffsetReset, ProcessorFactory, SinkFactory, SinkTopic,
    SourceFactory, SourcePattern, SourceTopic, StoreId, StoreSpec, Topology,
};

/// What is wrong with a call in a way that the arena does not show, because what was named could not be written there.
#[derive(Clone)]
pub(super) struct Noted {
    /// The sentence.
    pub(super) fault: String,
    /// The node that lacks a parent or its topics by it.
    pub(super) node: Option<NodeId>,
}

impl Topology {
    /// Adds a source node.
    pub fn add_source_node(
        &mut self,
        name: impl Into<Arc<str>>,
        topics: Vec<SourceTopic>,
        offset_reset: Option<OffsetReset>,
        factory: SourceFactory,
    ) -> NodeId {
        self.add_node(name.into(), &[], NodeKind::Source { topics, pattern: None, offset_reset, factory })
    }

    /// Lets a source read the topics that match `given` instead of named ones.
    pub fn set_pattern(&mut self, source: NodeId, given: SourcePattern) {
        if let Some(NodeKind::Source { pattern, .. }) =
            self.nodes.get_mut(source.0 as usize).map(|node| &mut node.kind)
        {
            *pattern = Some(given);
        }
    }

    /// Adds a processor node below `parents`, using `stores`.
    pub fn add_processor_node(
        &mut self,
        name: impl Into<Arc<str>>,
        parents: &[NodeId],
        stores: &[StoreId],
        factory: ProcessorFactory,
    ) -> NodeId {
        let node = self.add_node(name.into(), parents, NodeKind::Processor { stores: Vec::new(), factory });
        for store in stores {
            self.connect_processor_and_store(node, *store);
        }
        node
    }

    /// Adds a sink node below `parents`.
    pub fn add_sink_node(
        &mut self,
        name: impl Into<Arc<str>>,
        parents: &[NodeId],
        topic: SinkTopic,
        factory: SinkFactory,
    ) -> NodeId {
        self.add_node(name.into(), parents, NodeKind::Sink { topic, factory })
    }

    /// Adds a store, not yet used by any node.
    pub fn add_store(&mut self, store: StoreSpec) -> StoreId {
        self.stores.push(store);
        StoreId(self.stores.len() as u32 - 1)
    }

    /// Lets `node` use `store`.
    pub fn connect_processor_and_store(&mut self, node: NodeId, store: StoreId) {
        if let Some(Node { kind: NodeKind::Processor { stores, .. }, .. }) =
            self.nodes.get_mut(node.0 as usize)
            && !stores.contains(&store)
        {
            stores.push(store);
        }
        if let Some(spec) = self.stores.get_mut(store.0 as usize)
            && !spec.processors.contains(&node)
        {
            spec.processors.push(node);
        }
    }

    /// Declares a repartition topic; a second declaration must agree.
    pub fn add_repartition_topic(&mut self, topic: InternalTopic) {
        self.repartition_topics.entry(topic.name.clone()).or_insert(topic);
    }

    /// These topics must have the same number of partitions.
    pub fn add_copartition_group(&mut self, topics: Vec<Arc<str>>) {
        self.copartition_groups.push(topics);
    }

    /// Has [`validate`](Self::validate) report `fault`; `node` lacks a parent or its topics by it.
    pub(crate) fn note(&mut self, fault: String, node: Option<NodeId>) {
        self.noted.push(Noted { fault, node });
    }

    /// The node that is added next.
    pub(crate) fn next_node(&self) -> NodeId {
        NodeId(self.nodes.len() as u32)
    }

    fn add_node(&mut self, name: Arc<str>, parents: &[NodeId], kind: NodeKind) -> NodeId {
        let id = self.next_node();
        for parent in parents {
            if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
                parent.children.push(id);
            }
        }
        self.nodes.push(Node { name, parents: parents.to_vec(), children: Vec::new(), kind });
        id
    }
}
