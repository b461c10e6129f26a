//! The logical graph: what the DSL was asked for, as data, with a factory beside each node that knows the types.
//!
//! Optimizer, lowering and validation read the data; only a task runs the factories.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use streams_state::types::Timestamp;

use super::names::{RepartitionNames, Unnamed};
use super::stores::GraphStore;
use crate::error::NodeResult;
use crate::processor::{Child, CopyRecord, ErasedPush, Outputs, SourceNode, TaskBuilder};
use crate::record::Record;
use crate::topology::{OffsetReset, SinkTopic, SourcePattern, StoreKind};

/// The graph that all streams and tables of a builder share.
pub(crate) type GraphRef = Rc<RefCell<Graph>>;

/// Index of a graph node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct GraphId(pub(crate) usize);

/// Index of a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TableId(pub(crate) usize);

/// Set where a stream is cloned: its node may then copy records for several children.
#[derive(Clone, Default)]
pub(crate) struct Fork(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl Fork {
    /// Allows several children.
    pub(crate) fn allow<K: Clone + 'static, V: Clone + 'static>(&self) {
        self.0.get_or_init(|| {
            let copy: CopyRecord<K, V> = Record::clone;
            Box::new(copy)
        });
    }

    /// A fork that is allowed from the start: that of a table.
    pub(crate) fn allowed<K: Clone + 'static, V: Clone + 'static>() -> Self {
        let fork = Self::default();
        fork.allow::<K, V>();
        fork
    }

    /// How to copy a record, if the stream was cloned.
    pub(crate) fn copy<K: 'static, V: 'static>(&self) -> Option<CopyRecord<K, V>> {
        self.0.get().and_then(|copy| copy.downcast_ref::<CopyRecord<K, V>>().copied())
    }
}

/// What a factory is told when the topology is final.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) fork: Fork,
    /// A repartition filter drops null keys.
    pub(crate) drop_null_keys: bool,
    /// The table of this node has a store.
    pub(crate) materialized: bool,
    /// Somebody below wants old values.
    pub(crate) send_old: bool,
}

impl Plan {
    /// The children, typed.
    pub(crate) fn outputs<K: 'static, V: 'static>(&self, children: Vec<Child>) -> NodeResult<Outputs<K, V>> {
        Outputs::new(children, self.fork.copy::<K, V>())
    }
}

/// Makes a source node.
pub(crate) type MakeSource =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>, &Plan) -> NodeResult<Box<dyn SourceNode>> + Send + Sync>;
/// Makes a processor node.
pub(crate) type MakeProcessor =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>, &Plan) -> NodeResult<ErasedPush> + Send + Sync>;

/// Makes a sink node.
pub(crate) type MakeSink = Arc<dyn Fn(&mut TaskBuilder<'_>, &Plan) -> NodeResult<ErasedPush> + Send + Sync>;

/// One of the sources merged into a source node, with the children that were its own.
#[derive(Clone)]
pub(crate) struct SourcePart {
    pub(crate) make: MakeSource,
    pub(crate) fork: Fork,
    pub(crate) children: Vec<GraphId>,
}

/// The factories of a repartition.
#[derive(Clone)]
pub(crate) struct RepartitionMakers {
    /// None for the changes of a table: their keys are never null.
    pub(crate) filter: Option<MakeProcessor>,
    pub(crate) sink: MakeSink,
    pub(crate) source: MakeSource,
    /// Types of key and value.
    pub(crate) types: (TypeId, TypeId),
}

/// A repartition: filter, sink, topic, source.
#[derive(Clone)]
pub(crate) struct Repartition {
    pub(crate) names: RepartitionNames,
    /// May be merged with others (all but those of `repartition()`).
    pub(crate) optimizable: bool,
    pub(crate) partitions: Option<i32>,
    pub(crate) makers: RepartitionMakers,
}

/// A stream-stream join: below the windows of both sides a node for each, and the node where their results meet.
#[derive(Clone)]
pub(crate) struct StreamJoinNode {
    pub(crate) this_windowed: GraphId,
    pub(crate) other_windowed: GraphId,
    pub(crate) this: Arc<str>,
    pub(crate) other: Arc<str>,
    pub(crate) make_this: MakeProcessor,
    pub(crate) make_other: MakeProcessor,
    pub(crate) make_merge: MakeProcessor,
    /// The one node of a self join on one store.
    pub(crate) make_self: MakeProcessor,
    /// Stores of the left node: the right window store, and the one of the records that wait.
    pub(crate) this_stores: Vec<GraphStore>,
    pub(crate) other_stores: Vec<GraphStore>,
    pub(crate) self_store: GraphStore,
    /// Values of both sides have the same type: only then can it be a join of a stream with itself.
    pub(crate) same_types: bool,
    /// `single.store.self.join` has found that both sides are the same stream.
    pub(crate) self_join: bool,
}

/// The source of a table and its node.
#[derive(Clone)]
pub(crate) struct TableSourceNode {
    pub(crate) source_name: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) reset: Option<OffsetReset>,
    pub(crate) make_source: MakeSource,
    pub(crate) make: MakeProcessor,
    pub(crate) table: TableId,
    pub(crate) global: bool,
    /// The source topic serves as changelog.
    pub(crate) reuse_topic: bool,
}

/// One side of a join of two tables.
#[derive(Clone)]
pub(crate) struct TableJoinSide {
    /// The table whose updates come in.
    pub(crate) parent: GraphId,
    pub(crate) name: Arc<str>,
    pub(crate) make: MakeProcessor,
    /// Stores in which the rows of the other side are.
    pub(crate) connect: Vec<Arc<str>>,
}

/// A join of two tables: a node for each side, and one where they meet.
#[derive(Clone)]
pub(crate) struct TableJoinNode {
    pub(crate) sides: [TableJoinSide; 2],
    pub(crate) merge: MakeProcessor,
    pub(crate) table: TableId,
}

/// What a graph node is.
#[derive(Clone)]
pub(crate) enum GraphKind {
    /// Parent of all sources and free stores.
    Root,
    /// Reads topics. Several sources of the same topics are merged into several parts.
    Source {
        topics: Vec<Arc<str>>,
        /// Instead of topics.
        pattern: Option<SourcePattern>,
        reset: Option<OffsetReset>,
        parts: Vec<SourcePart>,
    },
    /// Reads an internal topic that another sub-topology writes, without a filter for null keys: foreign-key joins.
    InternalSource { topic: Arc<str>, make: MakeSource },
    /// A table of a topic.
    TableSource(TableSourceNode),
    /// Any operator.
    Processor {
        make: MakeProcessor,
        /// The table that this node makes.
        table: Option<TableId>,
        /// Stores that come with this node.
        stores: Vec<GraphStore>,
        /// Names of other stores that it uses.
        connect: Vec<Arc<str>>,
    },
    /// A join of two tables.
    TableJoin(Box<TableJoinNode>),
    /// A join of two streams; its node name is that of the node where the results of both sides meet.
    StreamJoin(Box<StreamJoinNode>),
    /// A repartition.
    Repartition(Repartition),
    /// Writes a topic.
    Sink { topic: SinkTopic, make: MakeSink },
    /// A store without a node.
    StateStore(GraphStore),
}

/// A node of the graph.
#[derive(Clone)]
pub(crate) struct GraphNode {
    pub(crate) name: Arc<str>,
    pub(crate) kind: GraphKind,
    pub(crate) parents: Vec<GraphId>,
    pub(crate) children: Vec<GraphId>,
    pub(crate) priority: u32,
    pub(crate) changes_key: bool,
    pub(crate) changes_value: bool,
    pub(crate) merge: bool,
    /// A left join below a repartition: records without a key must pass.
    pub(crate) keeps_null_keys: bool,
    /// A windowed aggregation: how long after its end a window closes, ms.
    pub(crate) grace: Option<Timestamp>,
    /// Types of keys and values that come out; known where repartitions may be moved to.
    pub(crate) types: Option<(TypeId, TypeId)>,
    /// Whether what comes out is a versioned table; `None`: as what goes in.
    pub(crate) versioned: Option<bool>,
    pub(crate) fork: Fork,
}

impl GraphNode {
    /// A node that is not yet in the graph.
    pub(crate) fn new(name: Arc<str>, kind: GraphKind, fork: Fork) -> Self {
        Self {
            name,
            kind,
            parents: Vec::new(),
            children: Vec::new(),
            priority: 0,
            changes_key: false,
            changes_value: false,
            merge: false,
            keeps_null_keys: false,
            grace: None,
            types: None,
            versioned: None,
            fork,
        }
    }

    /// A processor without stores.
    pub(crate) fn processor(name: Arc<str>, make: MakeProcessor, fork: Fork) -> Self {
        let kind = GraphKind::Processor { make, table: None, stores: Vec::new(), connect: Vec::new() };
        Self::new(name, kind, fork)
    }
}

/// Where a table's rows are.
#[derive(Clone)]
pub(crate) enum TableKind {
    /// In a store that is made only if somebody asks.
    Source,
    /// In a store, always.
    Aggregate,
    /// Derived from another table; in a store of its own only if the user named one.
    Derived { parent: TableId },
    /// A join of two tables; in a store of its own only if the user asked for one.
    Join { this: TableId, other: TableId },
}

/// What the graph knows about a table.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) kind: TableKind,
    pub(crate) store: Option<GraphStore>,
    pub(crate) materialized: bool,
    pub(crate) send_old: bool,
    /// Stores that are read, besides those of the tables above, to make a row.
    pub(crate) reads: Vec<Arc<str>>,
}

/// The logical graph.
#[derive(Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) tables: Vec<Table>,
    /// Names of source nodes whose topics must have the same number of partitions.
    pub(crate) copartition: Vec<Vec<Arc<str>>>,
    /// Next number for generated names.
    pub(crate) index: u32,
    pub(crate) faults: Vec<String>,
    /// Names that are among the faults already: what is named after them is not reported again.
    pub(crate) refused_names: Vec<String>,
    /// Streams or tables of another builder came in: noted as a fault, but their ids mean nothing here.
    pub(crate) mixed: bool,
    pub(crate) unnamed: Unnamed,
    /// Nodes that change keys, with the repartitions below that could move up to them.
    pub(crate) key_changers: Vec<(GraphId, Vec<GraphId>)>,
    pub(crate) merge_nodes: Vec<GraphId>,
    next_priority: u32,
}

impl Graph {
    /// The node that everything hangs on.
    pub(crate) const ROOT: GraphId = GraphId(0);

    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![GraphNode::new("root".into(), GraphKind::Root, Fork::default())],
            tables: Vec::new(),
            copartition: Vec::new(),
            index: 0,
            faults: Vec::new(),
            refused_names: Vec::new(),
            mixed: false,
            unnamed: Unnamed::default(),
            key_changers: Vec::new(),
            merge_nodes: Vec::new(),
            next_priority: 0,
        }
    }

    #[allow(clippy::indexing_slicing)] // Ids are made by `push` and never removed.
    pub(crate) fn node(&self, id: GraphId) -> &GraphNode {
        &self.nodes[id.0]
    }

    #[allow(clippy::indexing_slicing)]
    pub(crate) fn node_mut(&mut self, id: GraphId) -> &mut GraphNode {
        &mut self.nodes[id.0]
    }

    #[allow(clippy::indexing_slicing)] // Ids are made by `add_table` and never removed.
    pub(crate) fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0]
    }

    #[allow(clippy::indexing_slicing)]
    pub(crate) fn table_mut(&mut self, id: TableId) -> &mut Table {
        &mut self.tables[id.0]
    }

    /// Puts a node into the arena, not yet below any other.
    pub(crate) fn push(&mut self, node: GraphNode) -> GraphId {
        self.nodes.push(node);
        GraphId(self.nodes.len() - 1)
    }

    /// Adds a node below `parents`.
    pub(crate) fn add(&mut self, parents: &[GraphId], node: GraphNode) -> GraphId {
        let id = self.push(node);
        for parent in parents {
            self.attach(*parent, id);
        }
        id
    }

    /// Connects a node below `parent` and notes what the optimizer wants to know. A node that is attached again
    /// moves back in the build order, as in Kafka Streams.
    pub(crate) fn attach(&mut self, parent: GraphId, child: GraphId) {
        self.link(parent, child);
        self.node_mut(child).priority = self.next_priority;
        self.next_priority += 1;
        if self.node(child).changes_key {
            self.key_changers.retain(|(node, _)| *node != child);
            self.key_changers.push((child, Vec::new()));
        } else if matches!(&self.node(child).kind, GraphKind::Repartition(node) if node.optimizable) {
            let anchor = self.key_changing_parent(child);
            if let Some((_, below)) = self.key_changers.iter_mut().find(|(node, _)| Some(*node) == anchor)
                && !below.contains(&child)
            {
                below.push(child);
            }
        } else if self.node(child).merge && !self.merge_nodes.contains(&child) {
            self.merge_nodes.push(child);
        }
    }

    /// Makes `child` a child of `parent`.
    pub(crate) fn link(&mut self, parent: GraphId, child: GraphId) {
        if !self.node(parent).children.contains(&child) {
            self.node_mut(parent).children.push(child);
        }
        if !self.node(child).parents.contains(&parent) {
            self.node_mut(child).parents.push(parent);
        }
    }

    /// Undoes [`link`](Self::link).
    pub(crate) fn unlink(&mut self, parent: GraphId, child: GraphId) {
        self.node_mut(parent).children.retain(|node| *node != child);
        self.node_mut(child).parents.retain(|node| *node != parent);
    }

    /// The nearest node, upwards from and including `start`, that `wanted` accepts; parents before grandparents
    /// of the first parent.
    pub(crate) fn find_upwards(
        &self,
        start: GraphId,
        wanted: &dyn Fn(&Graph, GraphId) -> bool,
    ) -> Option<GraphId> {
        if wanted(self, start) {
            return Some(start);
        }
        self.node(start).parents.iter().find_map(|parent| self.find_upwards(*parent, wanted))
    }

    /// The key-changing node above a repartition, if no other change of values comes between.
    fn key_changing_parent(&self, repartition: GraphId) -> Option<GraphId> {
        let either = self.find_upwards(repartition, &|graph, node| {
            graph.node(node).changes_key || graph.node(node).changes_value
        });
        let key = self.find_upwards(repartition, &|graph, node| graph.node(node).changes_key);
        key.filter(|key| either == Some(*key))
    }

    pub(crate) fn add_table(
        &mut self,
        kind: TableKind,
        store: Option<GraphStore>,
        materialized: bool,
    ) -> TableId {
        self.tables.push(Table { kind, store, materialized, send_old: false, reads: Vec::new() });
        TableId(self.tables.len() - 1)
    }

    /// Names of the stores that hold a table's rows; a source table gets its store now.
    pub(crate) fn table_stores(&mut self, table: TableId) -> Vec<Arc<str>> {
        let state = self.table_mut(table);
        match state.kind {
            TableKind::Derived { parent } if !state.materialized => {
                let reads = state.reads.clone();
                return merged(self.table_stores(parent), reads);
            }
            TableKind::Join { this, other } if !state.materialized => {
                let stores = self.table_stores(this);
                return merged(stores, self.table_stores(other));
            }
            TableKind::Source | TableKind::Aggregate | TableKind::Derived { .. } | TableKind::Join { .. } => {
                state.materialized = true
            }
        }
        self.table(table).store.iter().map(|store| store.spec.name.clone()).collect()
    }

    /// Asks a table for old values. Without `force`, a source table does not get a store for this. Returns
    /// whether old values come.
    pub(crate) fn send_old_values(&mut self, table: TableId, force: bool) -> bool {
        let state = self.table(table);
        if state.send_old {
            return true;
        }
        let granted = match state.kind {
            TableKind::Source => force || state.materialized,
            TableKind::Aggregate => true,
            TableKind::Derived { .. } if state.materialized => true,
            TableKind::Derived { parent } => self.send_old_values(parent, force),
            TableKind::Join { this, other } => {
                self.send_old_values(this, true);
                self.send_old_values(other, true);
                true
            }
        };
        let state = self.table_mut(table);
        state.send_old = granted;
        state.materialized |= granted && matches!(state.kind, TableKind::Source);
        granted
    }

    /// The kind of the table store `name`.
    pub(crate) fn table_store_kind(&self, name: &str) -> Option<StoreKind> {
        let mut stores = self.tables.iter().filter_map(|table| table.store.as_ref());
        stores.find(|store| &*store.spec.name == name).map(|store| store.spec.kind)
    }

    /// Whether what comes out of `node` is a versioned table: because its store is, or because all tables above are.
    pub(crate) fn is_versioned(&self, node: GraphId) -> bool {
        let (node, root) = (self.node(node), node == Self::ROOT);
        let inherited = || !root && node.parents.iter().all(|parent| self.is_versioned(*parent));
        node.versioned.unwrap_or_else(inherited)
    }

    /// The topics of these source nodes must have the same number of partitions.
    pub(crate) fn copartition_sources(&mut self, one: &[Arc<str>], two: &[Arc<str>]) -> Arc<[Arc<str>]> {
        let mut sources: Vec<Arc<str>> = one.to_vec();
        sources.extend(two.iter().filter(|source| !one.contains(source)).cloned());
        self.copartition.push(sources.clone());
        sources.into()
    }
}

/// Names of both lists, each once.
fn merged(mut names: Vec<Arc<str>>, more: Vec<Arc<str>>) -> Vec<Arc<str>> {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
