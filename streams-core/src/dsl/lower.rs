//! From the graph to the arena: nodes are written in Kafka Streams' order, parents first, then by build priority.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::graph::{
    Fork, Graph, GraphId, GraphKind, GraphNode, MakeProcessor, MakeSink, MakeSource, Plan, Repartition,
    SourcePart, StreamJoinNode, TableId, TableJoinNode, TableKind, TableSourceNode,
};
use super::optimize::keeps_null_keys;
use super::options::TopologyConfig;
use super::stores::GraphStore;
use crate::operators::CompositeSource;
use crate::processor::Child;
use crate::topology::{
    InternalTopic, NodeId, NodeKind, ProcessorFactory, SinkFactory, SinkTopic, SourceFactory, SourceTopic,
    StoreId, StoreSpec, Topology, TopologyError,
};

/// Writes the graph into an arena. `known` are the faults found before; those found here are added, and any is an error.
pub(crate) fn lower(
    graph: &Graph,
    config: &TopologyConfig,
    known: Vec<String>,
) -> Result<Topology, TopologyError> {
    let mut writer = Writer {
        graph,
        config,
        keeps_null_keys: keeps_null_keys(graph),
        topology: Topology::new(),
        faults: known,
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
        let last = writer.write(id, node);
        writer.written.insert(id, last);
        queue.extend(node.children.iter().map(|child| Reverse((graph.node(*child).priority, *child))));
    }
    writer.copartition();
    if config.dsl_store_headers {
        writer.topology.keep_headers();
    }
    writer.topology.built_with = Some(config.built_with());
    let Writer { topology, mut faults, .. } = writer;
    topology.find_faults(&graph.refused_names, &mut faults);
    if faults.is_empty() { Ok(topology) } else { Err(TopologyError { faults }) }
}

struct Writer<'a> {
    graph: &'a Graph,
    config: &'a TopologyConfig,
    keeps_null_keys: Vec<bool>,
    topology: Topology,
    faults: Vec<String>,
    /// The arena node whose children are those of the graph node; none for the root and for free stores.
    written: HashMap<GraphId, Option<NodeId>>,
    /// Which stores a name stands for: more than one is a fault.
    stores: HashMap<Arc<str>, Vec<(Arc<()>, StoreId)>>,
}

impl Writer<'_> {
    /// Writes a node. What is wrong with it is noted, and it is written all the same, so that what hangs below is looked
    /// at, too.
    fn write(&mut self, id: GraphId, node: &GraphNode) -> Option<NodeId> {
        let parents: Vec<NodeId> =
            node.parents.iter().filter_map(|parent| self.written.get(parent).copied().flatten()).collect();
        match &node.kind {
            GraphKind::Root => None,
            GraphKind::StateStore(store) => {
                self.store(store);
                None
            }
            GraphKind::Source { topics, pattern, reset, parts } => {
                let factory = self.source_factory(node, parts);
                let written = self.topology.add_source_node(
                    node.name.clone(),
                    external_topics(topics),
                    *reset,
                    factory,
                );
                if let Some(pattern) = pattern {
                    self.topology.set_pattern(written, pattern.clone());
                }
                Some(written)
            }
            GraphKind::InternalSource { topic, make } => {
                self.topology.add_repartition_topic(InternalTopic { name: topic.clone(), partitions: None });
                let topics = vec![SourceTopic { name: topic.clone(), internal: true }];
                let factory = source_factory(make, self.plan(node, None));
                Some(self.topology.add_source_node(node.name.clone(), topics, None, factory))
            }
            GraphKind::TableSource(source) => Some(self.table_source(node, source)),
            GraphKind::Processor { make, table, stores, connect } => {
                let written =
                    self.processor(&node.name, &parents, processor_factory(make, self.plan(node, *table)));
                let own = table.and_then(|table| self.table_store(table));
                for store in own.iter().chain(stores) {
                    self.connect(written, store);
                }
                self.connect_by_name(node, written, connect);
                Some(written)
            }
            GraphKind::TableJoin(join) => Some(self.table_join(node, join)),
            GraphKind::StreamJoin(join) => Some(self.stream_join(node, join)),
            GraphKind::Repartition(repartition) => Some(self.repartition(id, node, &parents, repartition)),
            GraphKind::Sink { topic, make } => {
                Some(self.sink(&node.name, &parents, topic.clone(), make, self.plan(node, None)))
            }
        }
    }

    fn processor(&mut self, name: &Arc<str>, parents: &[NodeId], factory: ProcessorFactory) -> NodeId {
        self.topology.add_processor_node(name.clone(), parents, &[], factory)
    }

    fn sink(
        &mut self,
        name: &Arc<str>,
        parents: &[NodeId],
        topic: SinkTopic,
        make: &MakeSink,
        plan: Plan,
    ) -> NodeId {
        let make = make.clone();
        let factory: SinkFactory = Arc::new(move |builder| make(builder, &plan));
        self.topology.add_sink_node(name.clone(), parents, topic, factory)
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
            | GraphKind::StreamJoin(_)
            | GraphKind::Sink { .. }
            | GraphKind::StateStore(_) => node.name.clone(),
        }
    }

    fn table_source(&mut self, node: &GraphNode, source: &TableSourceNode) -> NodeId {
        let topics = external_topics(std::slice::from_ref(&source.topic));
        let reset = if source.global { None } else { source.reset };
        let mut plan = self.plan(node, None);
        plan.name = source.source_name.clone();
        let factory = source_factory(&source.make_source, plan);
        let parent = self.topology.add_source_node(source.source_name.clone(), topics, reset, factory);
        let factory = processor_factory(&source.make, self.plan(node, Some(source.table)));
        let written = self.processor(&node.name, &[parent], factory);
        if let Some(mut store) = self.table_store(source.table) {
            if source.reuse_topic || source.global {
                store.spec.logging = false;
                store.spec.source_topic = Some(source.topic.clone());
            }
            self.connect(written, &store);
        }
        written
    }

    fn table_join(&mut self, node: &GraphNode, join: &TableJoinNode) -> NodeId {
        let plan = self.plan(node, Some(join.table));
        let mut sides = Vec::new();
        for side in &join.sides {
            let parent = self.written.get(&side.parent).copied().flatten();
            let factory = processor_factory(&side.make, Plan { name: side.name.clone(), ..plan.clone() });
            let parents: Vec<NodeId> = parent.into_iter().collect();
            sides.push(self.processor(&side.name, &parents, factory));
        }
        let merge = self.processor(&node.name, &sides, processor_factory(&join.merge, plan));
        if let Some(store) = self.table_store(join.table) {
            self.connect(merge, &store);
        }
        for (side, written) in join.sides.iter().zip(sides) {
            self.connect_by_name(node, written, &side.connect);
        }
        merge
    }

    fn stream_join(&mut self, node: &GraphNode, join: &StreamJoinNode) -> NodeId {
        let below = |windowed: GraphId| self.written.get(&windowed).copied().flatten();
        let (this_windowed, other_windowed) = (below(join.this_windowed), below(join.other_windowed));
        let this_windowed: Vec<NodeId> = this_windowed.into_iter().collect();
        if join.self_join {
            let factory = processor_factory(&join.make_self, self.plan(node, None));
            let written = self.processor(&node.name, &this_windowed, factory);
            self.connect(written, &join.self_store);
            return written;
        }
        let other_windowed: Vec<NodeId> = other_windowed.into_iter().collect();
        let mut sides = Vec::new();
        for (name, make, parents, stores) in [
            (&join.this, &join.make_this, this_windowed, &join.this_stores),
            (&join.other, &join.make_other, other_windowed, &join.other_stores),
        ] {
            let plan = Plan { name: name.clone(), fork: Fork::default(), ..self.plan(node, None) };
            let side = self.processor(name, &parents, processor_factory(make, plan));
            stores.iter().for_each(|store| self.connect(side, store));
            sides.push(side);
        }
        self.processor(&node.name, &sides, processor_factory(&join.make_merge, self.plan(node, None)))
    }

    fn repartition(
        &mut self,
        id: GraphId,
        node: &GraphNode,
        parents: &[NodeId],
        repartition: &Repartition,
    ) -> NodeId {
        let Repartition { names, partitions, makers, .. } = repartition;
        if self.topology.repartition_topics.contains_key(&names.topic)
            && let Some(first) = self.topology.find_node(&names.source)
        {
            self.faults.push(format!(
                "two repartitions are called `{}`; give their groupings or joins different names with named(..)",
                names.topic
            ));
            return first;
        }
        self.topology
            .add_repartition_topic(InternalTopic { name: names.topic.clone(), partitions: *partitions });
        let mut plan = self.plan(node, None);
        plan.drop_null_keys = !self.keeps_null_keys.get(id.0).copied().unwrap_or(false);
        let mut parents = parents.to_vec();
        if let Some(filter) = &makers.filter {
            plan.name = names.filter.clone();
            let factory = processor_factory(filter, plan.clone());
            parents = vec![self.processor(&names.filter, &parents, factory)];
        }
        plan.name = names.sink.clone();
        let topic = SinkTopic::Static { name: names.topic.clone(), internal: true };
        self.sink(&names.sink, &parents, topic, &makers.sink, plan.clone());
        plan.name = names.source.clone();
        let topics = vec![SourceTopic { name: names.topic.clone(), internal: true }];
        self.topology.add_source_node(
            names.source.clone(),
            topics,
            None,
            source_factory(&makers.source, plan),
        )
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
    fn store(&mut self, store: &GraphStore) -> StoreId {
        let name = &store.spec.name;
        let known = self.stores.entry(name.clone()).or_default();
        if let Some((_, id)) = known.iter().find(|(identity, _)| Arc::ptr_eq(identity, &store.identity)) {
            return *id;
        }
        let in_memory = store.spec.in_memory || (store.default_place && self.config.dsl_stores_in_memory);
        let id = self.topology.add_store(StoreSpec { in_memory, ..store.spec.clone() });
        self.topology.default_places.extend(store.default_place.then_some(id));
        known.push((store.identity.clone(), id));
        id
    }

    fn connect(&mut self, node: NodeId, store: &GraphStore) {
        let store = self.store(store);
        self.topology.connect_processor_and_store(node, store);
    }

    fn connect_by_name(&mut self, node: &GraphNode, written: NodeId, stores: &[Arc<str>]) {
        for name in stores {
            match self.topology.find_store(name) {
                None => self.faults.push(format!(
                    "node `{}` wants store `{name}`, which nobody added; add it before with add_state_store",
                    node.name
                )),
                Some(store) if self.topology.store(store).global => self.faults.push(format!(
                    "node `{}`: the global store `{name}` can be used without being connected; do not name it",
                    node.name
                )),
                Some(store) => self.topology.connect_processor_and_store(written, store),
            }
        }
    }

    /// Co-partition groups as topics. Whether enforced partition counts agree is for `validate`.
    fn copartition(&mut self) {
        for group in &self.graph.copartition {
            let mut topics: Vec<Arc<str>> = Vec::new();
            for source in group {
                let Some(node) = self.topology.find_node(source) else { continue };
                if let NodeKind::Source { topics: read, .. } = &self.topology.node(node).kind {
                    topics.extend(read.iter().map(|topic| topic.name.clone()));
                }
            }
            topics.sort();
            topics.dedup();
            // Tables of cogrouped streams have no topics of their own.
            if !topics.is_empty() {
                self.topology.add_copartition_group(topics);
            }
        }
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
