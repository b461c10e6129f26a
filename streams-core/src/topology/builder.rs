//! Adding nodes, stores and internal topics to the arena, with the checks that need no overview.

use std::sync::Arc;

use super::{
    InternalTopic, Node, NodeId, NodeKind, OffsetReset, ProcessorFactory, SinkFactory, SinkTopic,
    SourceFactory, SourcePattern, SourceTopic, StoreId, StoreSpec, Topology, TopologyError,
};

impl Topology {
    /// Adds a source node.
    pub fn add_source_node(
        &mut self,
        name: impl Into<Arc<str>>,
        topics: Vec<SourceTopic>,
        offset_reset: Option<OffsetReset>,
        factory: SourceFactory,
    ) -> Result<NodeId, TopologyError> {
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
    ) -> Result<NodeId, TopologyError> {
        let node =
            self.add_node(name.into(), parents, NodeKind::Processor { stores: Vec::new(), factory })?;
        for store in stores {
            self.connect_processor_and_store(node, *store);
        }
        Ok(node)
    }

    /// Adds a sink node below `parents`.
    pub fn add_sink_node(
        &mut self,
        name: impl Into<Arc<str>>,
        parents: &[NodeId],
        topic: SinkTopic,
        factory: SinkFactory,
    ) -> Result<NodeId, TopologyError> {
        self.add_node(name.into(), parents, NodeKind::Sink { topic, factory })
    }

    /// Adds a store, not yet used by any node.
    pub fn add_store(&mut self, store: StoreSpec) -> Result<StoreId, TopologyError> {
        if self.find_store(&store.name).is_some() {
            return Err(TopologyError::new(format!(
                "a store named `{}` was added already; give this one another name, or clone the first builder",
                store.name
            )));
        }
        Ok(self.push_store(store))
    }

    /// Adds a store under any name; a name that is taken is left to [`validate`](Self::validate).
    pub(crate) fn push_store(&mut self, store: StoreSpec) -> StoreId {
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

    fn add_node(
        &mut self,
        name: Arc<str>,
        parents: &[NodeId],
        kind: NodeKind,
    ) -> Result<NodeId, TopologyError> {
        if self.find_node(&name).is_some() {
            return Err(TopologyError::new(format!(
                "a node named `{name}` was added already; give this one another name"
            )));
        }
        Ok(self.push_node(name, parents, kind))
    }

    /// Adds a node under any name; a name that is taken is left to [`validate`](Self::validate).
    pub(crate) fn push_node(&mut self, name: Arc<str>, parents: &[NodeId], kind: NodeKind) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        for parent in parents {
            if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
                parent.children.push(id);
            }
        }
        self.nodes.push(Node { name, parents: parents.to_vec(), children: Vec::new(), kind });
        id
    }
}
