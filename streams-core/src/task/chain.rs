//! Builds the chains of a task: factories run from the sinks back to the sources.
//!
//! In: a topology, the nodes of the task, its stores. Out: one source end for each source topic, the nodes that want to be called
//! outside of records, and the node behind each cached store. Types are checked here, once, and nowhere later.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::TaskOptions;
use super::at_node::AtNode;
use crate::error::NodeResult;
use crate::metrics::{Activity, Mark};
use crate::processor::{
    Child, ErasedPush, Hop, Lifecycle, SourceNode, StoreInstance, TaskBuilder, TaskContext, TracedSource,
    connected_stores, wrap_processor,
};
use crate::topology::{NodeId, NodeKind, SourceTopic, Topology, internal_topic_name};

/// A node that a task calls outside of records.
pub type LifecycleNode = Rc<RefCell<dyn Lifecycle>>;

/// A source topic's end of the chains.
pub struct SourceEnd {
    /// Name of the topic, the application's prefix included.
    pub topic: Arc<str>,
    /// Name of the source node.
    pub node: Arc<str>,
    /// What the thread says while it is in it.
    pub mark: Mark,
    /// Takes the records of the topic.
    pub source: Box<dyn SourceNode>,
}

/// The chains of a task.
pub struct Chain {
    /// Source topics, in the order of their nodes. Their index is [`RecordContext::source`](crate::types::RecordContext).
    pub sources: Vec<SourceEnd>,
    /// Nodes called outside of records. Their index is the slot that schedules refer to.
    pub lifecycle: Vec<LifecycleNode>,
    /// Slots of `lifecycle` in the order in which the nodes were added to the topology: the order of `init`.
    pub init_order: Vec<usize>,
    /// For each cached store, by name: the node that forwards its updates.
    pub cache_forwarders: Vec<(Arc<str>, LifecycleNode)>,
}

/// `topic` as Kafka knows it: internal ones carry the application's prefix.
pub fn topic_name(application_id: &str, topic: &SourceTopic) -> Arc<str> {
    match topic.internal {
        true => internal_topic_name(application_id, &topic.name).into(),
        false => topic.name.clone(),
    }
}

impl Chain {
    /// Builds the chains of `nodes` (in the order in which they were added), with `stores` in registration order.
    ///
    /// # Errors
    /// A node does not take the records of its parent, or misses a store: a defect of the topology.
    pub fn build(
        topology: &Topology,
        nodes: &[NodeId],
        stores: &[(Arc<str>, StoreInstance)],
        context: &mut TaskContext,
    ) -> NodeResult<Self> {
        let builder = TaskBuilder {
            context,
            stores,
            connected: Vec::new(),
            lifecycle: Vec::new(),
            cache_forwarders: Vec::new(),
            shared: Vec::new(),
        };
        let mut assembly = Assembly { topology, builder, made: HashMap::new(), registered: Vec::new() };
        let mut sources = Vec::new();
        for id in nodes {
            if let NodeKind::Source { topics, factory, .. } = &topology.node(*id).kind {
                let children = assembly.children(*id)?;
                let source = assembly.track(*id, |builder| factory(builder, children))?;
                assembly.add_ends(*id, topics, source, &mut sources);
            }
        }
        let Assembly { builder, mut registered, .. } = assembly;
        registered.sort_by_key(|(node, slot)| (*node, *slot));
        let init_order = registered.into_iter().map(|(_, slot)| slot).collect();
        let TaskBuilder { lifecycle, cache_forwarders, .. } = builder;
        Ok(Self { sources, lifecycle, init_order, cache_forwarders })
    }
}

impl Chain {
    /// The partitions that its sources read, in their order. The task that feeds the global stores reads all of its topics.
    pub(super) fn partitions(
        &mut self,
        options: &TaskOptions<'_>,
        context: &mut TaskContext,
    ) -> Vec<TopicPartition> {
        match &options.global_feed {
            Some(feed) if !feed.partitions.is_empty() => {
                self.spread(&feed.partitions);
                context.global_partitions = feed.partitions.iter().map(|input| input.partition).collect();
                feed.partitions.clone()
            }
            Some(_) | None => {
                let topics = self.sources.iter().map(|end| end.topic.clone());
                topics.map(|topic| TopicPartition::new(topic, options.task.partition)).collect()
            }
        }
    }

    /// One source end for each of `partitions`, in their order: for the task that reads all partitions of its topics.
    fn spread(&mut self, partitions: &[TopicPartition]) {
        let ends = partitions.iter().filter_map(|partition| {
            let end = self.sources.iter().find(|end| end.topic == partition.topic)?;
            let (node, source) = (end.node.clone(), end.source.fork());
            Some(SourceEnd { topic: end.topic.clone(), node, mark: end.mark, source })
        });
        self.sources = ends.collect();
    }
}

struct Assembly<'a> {
    topology: &'a Topology,
    builder: TaskBuilder<'a>,
    /// Nodes with several parents that were made for one of them, and how many others they wait for.
    made: HashMap<NodeId, (ErasedPush, usize)>,
    /// Which node registered which slot.
    registered: Vec<(NodeId, usize)>,
}

impl Assembly<'_> {
    fn children(&mut self, id: NodeId) -> NodeResult<Vec<Child>> {
        let topology = self.topology;
        let node = topology.node(id);
        node.children
            .iter()
            .map(|child| {
                let hop = Hop { there: self.mark(*child), back: self.mark(id) };
                Ok(Child { name: topology.node(*child).name.clone(), push: self.node(*child)?, hop })
            })
            .collect()
    }

    /// What the thread says while it is in the node `id`.
    fn mark(&self, id: NodeId) -> Mark {
        Mark::of(Activity::Node { node: id.0, partition: self.builder.context.task.partition })
    }

    /// The node `id`, for one of its parents.
    fn node(&mut self, id: NodeId) -> NodeResult<ErasedPush> {
        let node = self.topology.node(id);
        let (push, waiting) = match self.made.remove(&id) {
            Some((push, parents)) => (push, parents - 1),
            None => (self.make(id)?, node.parents.len().saturating_sub(1)),
        };
        if waiting == 0 {
            return Ok(push);
        }
        let (one, other) = push.shared();
        self.made.insert(id, (other, waiting));
        Ok(one)
    }

    fn make(&mut self, id: NodeId) -> NodeResult<ErasedPush> {
        let topology = self.topology;
        let node = topology.node(id);
        match &node.kind {
            NodeKind::Processor { stores, factory } => {
                let children = self.children(id)?;
                let connected: Vec<Arc<str>> =
                    stores.iter().map(|store| topology.store(*store).name.clone()).collect();
                let feeds_global = stores.iter().any(|store| topology.store(*store).global);
                let wrapper = topology.processor_wrapper.as_ref().filter(|_| !feeds_global);
                let wrapper = wrapper.and_then(|wrapper| wrapper.wrap(&node.name));
                self.track(id, |builder| {
                    let first = builder.lifecycle.len();
                    builder.connected = connected.clone();
                    let push = factory(builder, children)?;
                    let Some(wrapper) = wrapper else { return Ok(push) };
                    let stores = connected_stores(builder, &node.name, &connected)?;
                    Ok(wrap_processor(builder, node.name.clone(), wrapper, stores, first, push))
                })
            }
            NodeKind::Sink { factory, .. } => self.track(id, |builder| {
                builder.context.outbox.make_for(Some(&node.name));
                let made = factory(builder);
                builder.context.outbox.make_for(None);
                made
            }),
            NodeKind::Source { .. } => {
                let message = format!("source `{}` has a parent", node.name);
                Err(self.builder.context.wiring_error(&message))
            }
        }
    }

    /// Calls a node's factory and remembers which slots it registered.
    fn track<T>(
        &mut self,
        id: NodeId,
        make: impl FnOnce(&mut TaskBuilder<'_>) -> NodeResult<T>,
    ) -> NodeResult<T> {
        let mark = self.mark(id);
        let TaskBuilder { lifecycle, cache_forwarders, .. } = &self.builder;
        let (first, first_forwarder) = (lifecycle.len(), cache_forwarders.len());
        let made = make(&mut self.builder)?;
        let TaskBuilder { lifecycle, cache_forwarders, .. } = &mut self.builder;
        let forwarders = cache_forwarders.iter_mut().skip(first_forwarder).map(|(_, node)| node);
        for node in lifecycle.iter_mut().skip(first).chain(forwarders) {
            *node = AtNode::around(mark, node.clone());
        }
        self.registered.extend((first..lifecycle.len()).map(|slot| (id, slot)));
        Ok(made)
    }

    fn add_ends(
        &mut self,
        id: NodeId,
        topics: &[SourceTopic],
        source: Box<dyn SourceNode>,
        sources: &mut Vec<SourceEnd>,
    ) {
        let (node, mark) = (&self.topology.node(id).name, self.mark(id));
        let source = match &self.topology.record_tracer {
            Some(tracer) if !self.builder.context.feeds_globals => {
                Box::new(TracedSource::new(source, node.clone(), tracer.clone()))
            }
            Some(_) | None => source,
        };
        let application_id = self.builder.context.application_id.clone();
        let mut end = |topic: &SourceTopic, mut source: Box<dyn SourceNode>| {
            let topic = topic_name(&application_id, topic);
            source.read_topic(&topic);
            sources.push(SourceEnd { topic, node: node.clone(), mark, source });
        };
        if let Some((last, first)) = topics.split_last() {
            first.iter().for_each(|topic| end(topic, source.fork()));
            end(last, source);
        }
    }
}
