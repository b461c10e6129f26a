//! From the graph to the arena: nodes are written in Kafka Streams' order, parents first, then by build priority.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::graph::{
    Graph, GraphId, GraphKind, GraphNode, MakeProcessor, MakeSource, Plan, Repartition, SourcePart, TableId,
    TableJoinNode, TableKind, TableSourceNode,
};
use super::optimize::keeps_null_keys;
use super::options::TopologyConfig;
use super::stores::GraphStore;
use crate::operators::CompositeSource;
use crate::processor::Child;
use crate::topology::{
    InternalTopic, NodeId, ProcessorFactory, SinkFactory, SinkTopic, SourceFactory, SourceTopic, StoreId,
    StoreSpec, Topology, TopologyError,
};

/// Writes the graph into an arena.
pub(crate) fn lower(graph: &Graph, config: &TopologyConfig) -> Result<Topology, TopologyError> {
    let mut writer = Writer {
        graph,
        config,
        keeps_null_keys: keeps_null_keys(graph),
        topology: Topology::new(),
        written: HashMap::new(),
        stores: HashMap::new(),
    };
    let mut queue = BinaryHeap::from([Reverse((0, Graph::ROOT))]);
    while let Some(Reverse((_, id))) = queue.pop() {
        let node = graph.node(id);
        let parents_written = node.parents.iter().all(|parent| writer.written.contains_key(parent));
        if !parents_written || writer.written.contains_key(&id) {
            continue;
        }
        let last = writer.write(id, node)?;
        writer.written.insert(id, last);
        queue.extend(node.children.iter().map(|child| Reverse((graph.node(*child).priority, *child))));
    }
    writer.copartition()?;
    writer.topology.validate()?;
    Ok(writer.topology)
}

struct Writer<'a> {
    graph: &'a Graph,
    config: &'a TopologyConfig,
    keeps_null_keys: Vec<bool>,
    topology: Topology,
    /// The arena node whose children are those of the graph node; none for the root and for free stores.
    written: HashMap<GraphId, Option<NodeId>>,
    /// Which store a name stands for.
    stores: HashMap<Arc<str>, Arc<()>>,
}

impl Writer<'_> {
    fn write(&mut self, id: GraphId, node: &GraphNode) -> Result<Option<NodeId>, TopologyError> {
        let parents: Vec<NodeId> =
            node.parents.iter().filter_map(|parent| self.written.get(parent).copied().flatten()).collect();
        match &node.kind {
            GraphKind::Root => Ok(None),
            GraphKind::StateStore(store) => self.store(store).map(|_| None),
            GraphKind::Source { topics, pattern, reset, parts } => {
                let factory = self.source_factory(node, parts);
                let topics = external_topics(topics);
                let written = self.topology.add_source_node(node.name.clone(), topics, *reset, factory)?;
                if let Some(pattern) = pattern {
                    self.topology.set_pattern(written, pattern.clone());
                }
                Ok(Some(written))
            }
            GraphKind::InternalSource { topic, make } => {
                self.topology.add_repartition_topic(InternalTopic { name: topic.clone(), partitions: None });
                let topics = vec![SourceTopic { name: topic.clone(), internal: true }];
                let factory = source_factory(make, self.plan(node, None));
                self.topology.add_source_node(node.name.clone(), topics, None, factory).map(Some)
            }
            GraphKind::TableSource(source) => self.table_source(node, source).map(Some),
            GraphKind::Processor { make, table, stores, connect } => {
                let factory = processor_factory(make, self.plan(node, *table));
                let written = self.topology.add_processor_node(node.name.clone(), &parents, &[], factory)?;
                if let Some(store) = table.and_then(|table| self.table_store(table)) {
                    self.connect(written, &store)?;
                }
                for store in stores {
                    self.connect(written, store)?;
                }
                self.connect_by_name(node, written, connect)?;
                Ok(Some(written))
            }
            GraphKind::TableJoin(join) => self.table_join(node, join).map(Some),
            GraphKind::Repartition(repartition) => {
                self.repartition(id, node, &parents, repartition).map(Some)
            }
            GraphKind::Sink { topic, make } => {
                let (make, plan) = (make.clone(), self.plan(node, None));
                let factory: SinkFactory = Arc::new(move |builder| make(builder, &plan));
                self.topology.add_sink_node(node.name.clone(), &parents, topic.clone(), factory).map(Some)
            }
        }
    }

    fn plan(&self, node: &GraphNode, table: Option<TableId>) -> Plan {
        let table = table.map(|table| self.graph.table(table));
        Plan {
            name: node.name.clone(),
            fork: node.fork.clone(),
            drop_null_keys: false,
            materialized: table.is_some_and(|table| table.materialized),
            send_old: table.is_some_and(|table| table.send_old),
        }
    }

    /// A source node's factory; several parts share the node and split the children among them.
    fn source_factory(&self, node: &GraphNode, parts: &[SourcePart]) -> SourceFactory {
        if let [part] = parts {
            return source_factory(&part.make, self.plan(node, None));
        }
        let parts: Vec<(MakeSource, Plan, Vec<Arc<str>>)> = parts
            .iter()
            .map(|part| {
                let plan = Plan { fork: part.fork.clone(), ..self.plan(node, None) };
                let children = part.children.iter().map(|child| self.first_name(*child)).collect();
                (part.make.clone(), plan, children)
            })
            .collect();
        Arc::new(move |builder, mut children: Vec<Child>| {
            let mut made = Vec::new();
            for (make, plan, own) in &parts {
                let (mine, rest) = children.into_iter().partition(|child| own.contains(&child.name));
                children = rest;
                made.push(make(builder, mine, plan)?);
            }
            Ok(Box::new(CompositeSource(made)))
        })
    }

    /// Name of the arena node that a graph node's parents see.
    fn first_name(&self, id: GraphId) -> Arc<str> {
        let node = self.graph.node(id);
        match &node.kind {
            GraphKind::Repartition(Repartition { names, makers, .. }) => match makers.filter {
                Some(_) => names.filter.clone(),
                None => names.sink.clone(),
            },
            GraphKind::Root
            | GraphKind::Source { .. }
            | GraphKind::InternalSource { .. }
            | GraphKind::TableSource(_)
            | GraphKind::Processor { .. }
            | GraphKind::TableJoin(_)
            | GraphKind::Sink { .. }
            | GraphKind::StateStore(_) => node.name.clone(),
        }
    }

    fn table_source(&mut self, node: &GraphNode, source: &TableSourceNode) -> Result<NodeId, TopologyError> {
        let topics = external_topics(std::slice::from_ref(&source.topic));
        let reset = if source.global { None } else { source.reset };
        let mut plan = self.plan(node, None);
        plan.name = source.source_name.clone();
        let factory = source_factory(&source.make_source, plan);
        let parent = self.topology.add_source_node(source.source_name.clone(), topics, reset, factory)?;
        let factory = processor_factory(&source.make, self.plan(node, Some(source.table)));
        let written = self.topology.add_processor_node(node.name.clone(), &[parent], &[], factory)?;
        if let Some(mut store) = self.table_store(source.table) {
            if source.reuse_topic || source.global {
                store.spec.logging = false;
                store.spec.source_topic = Some(source.topic.clone());
            }
            self.connect(written, &store)?;
        }
        Ok(written)
    }

    fn table_join(&mut self, node: &GraphNode, join: &TableJoinNode) -> Result<NodeId, TopologyError> {
        let plan = self.plan(node, Some(join.table));
        let mut sides = Vec::new();
        for side in &join.sides {
            let parent = self.written.get(&side.parent).copied().flatten();
            let factory = processor_factory(&side.make, Plan { name: side.name.clone(), ..plan.clone() });
            let parents: Vec<NodeId> = parent.into_iter().collect();
            sides.push(self.topology.add_processor_node(side.name.clone(), &parents, &[], factory)?);
        }
        let factory = processor_factory(&join.merge, plan);
        let merge = self.topology.add_processor_node(node.name.clone(), &sides, &[], factory)?;
        if let Some(store) = self.table_store(join.table) {
            self.connect(merge, &store)?;
        }
        for (side, written) in join.sides.iter().zip(sides) {
            self.connect_by_name(node, written, &side.connect)?;
        }
        Ok(merge)
    }

    fn repartition(
        &mut self,
        id: GraphId,
        node: &GraphNode,
        parents: &[NodeId],
        repartition: &Repartition,
    ) -> Result<NodeId, TopologyError> {
        let Repartition { names, partitions, makers, .. } = repartition;
        if self.topology.find_node(&names.sink).is_some() {
            return Err(TopologyError::new(format!(
                "two repartitions are called `{}`; give their groupings or joins different names with named(..)",
                names.topic
            )));
        }
        self.topology
            .add_repartition_topic(InternalTopic { name: names.topic.clone(), partitions: *partitions });
        let mut plan = self.plan(node, None);
        plan.drop_null_keys = !self.keeps_null_keys.get(id.0).copied().unwrap_or(false);
        let mut parents = parents.to_vec();
        if let Some(filter) = &makers.filter {
            plan.name = names.filter.clone();
            let factory = processor_factory(filter, plan.clone());
            parents = vec![self.topology.add_processor_node(names.filter.clone(), &parents, &[], factory)?];
        }
        plan.name = names.sink.clone();
        let (make, sink_plan) = (makers.sink.clone(), plan.clone());
        let factory: SinkFactory = Arc::new(move |builder| make(builder, &sink_plan));
        let topic = SinkTopic::Static { name: names.topic.clone(), internal: true };
        self.topology.add_sink_node(names.sink.clone(), &parents, topic, factory)?;
        plan.name = names.source.clone();
        let topics = vec![SourceTopic { name: names.topic.clone(), internal: true }];
        let factory = source_factory(&makers.source, plan);
        self.topology.add_source_node(names.source.clone(), topics, None, factory)
    }

    /// The store of a table, if it has one.
    fn table_store(&self, table: TableId) -> Option<GraphStore> {
        let table = self.graph.table(table);
        match table.kind {
            TableKind::Source | TableKind::Derived { .. } if !table.materialized => None,
            TableKind::Source | TableKind::Aggregate | TableKind::Derived { .. } | TableKind::Join { .. } => {
                table.store.clone()
            }
        }
    }

    /// Adds a store, unless this very store is there already.
    fn store(&mut self, store: &GraphStore) -> Result<StoreId, TopologyError> {
        let name = &store.spec.name;
        if let (Some(identity), Some(id)) = (self.stores.get(name), self.topology.find_store(name))
            && Arc::ptr_eq(identity, &store.identity)
        {
            return Ok(id);
        }
        self.stores.insert(name.clone(), store.identity.clone());
        let in_memory = store.spec.in_memory || (store.default_place && self.config.dsl_stores_in_memory);
        self.topology.add_store(StoreSpec { in_memory, ..store.spec.clone() })
    }

    fn connect(&mut self, node: NodeId, store: &GraphStore) -> Result<(), TopologyError> {
        let store = self.store(store)?;
        self.topology.connect_processor_and_store(node, store);
        Ok(())
    }

    fn connect_by_name(
        &mut self,
        node: &GraphNode,
        written: NodeId,
        stores: &[Arc<str>],
    ) -> Result<(), TopologyError> {
        for name in stores {
            let Some(store) = self.topology.find_store(name) else {
                return Err(TopologyError::new(format!(
                    "node `{}` wants store `{name}`, which nobody added; add it before with add_state_store",
                    node.name
                )));
            };
            if self.topology.store(store).global {
                return Err(TopologyError::new(format!(
                    "node `{}`: the global store `{name}` can be used without being connected",
                    node.name
                )));
            }
            self.topology.connect_processor_and_store(written, store);
        }
        Ok(())
    }

    /// Co-partition groups as topics; enforced partition counts within a group must agree.
    fn copartition(&mut self) -> Result<(), TopologyError> {
        for group in &self.graph.copartition {
            let mut topics: Vec<Arc<str>> = Vec::new();
            for source in group {
                let Some(node) = self.topology.find_node(source) else { continue };
                if let crate::topology::NodeKind::Source { topics: read, .. } = &self.topology.node(node).kind
                {
                    topics.extend(read.iter().map(|topic| topic.name.clone()));
                }
            }
            topics.sort();
            topics.dedup();
            let counts: Option<Vec<i32>> = topics
                .iter()
                .map(|topic| self.topology.repartition_topics.get(topic).and_then(|topic| topic.partitions))
                .collect();
            if let Some([first, rest @ ..]) = counts.as_deref()
                && rest.iter().any(|count| count != first)
            {
                return Err(TopologyError::new(format!(
                    "topics {} are joined and need the same number of partitions",
                    topics.join(", ")
                )));
            }
            self.topology.add_copartition_group(topics);
        }
        Ok(())
    }
}

fn external_topics(topics: &[Arc<str>]) -> Vec<SourceTopic> {
    topics.iter().map(|name| SourceTopic { name: name.clone(), internal: false }).collect()
}

fn processor_factory(make: &MakeProcessor, plan: Plan) -> ProcessorFactory {
    let make = make.clone();
    Arc::new(move |builder, children| make(builder, children, &plan))
}

fn source_factory(make: &MakeSource, plan: Plan) -> SourceFactory {
    let make = make.clone();
    Arc::new(move |builder, children| make(builder, children, &plan))
}
