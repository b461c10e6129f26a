//! The logical graph: what the DSL was asked for, as data, with a factory beside each node that knows the types.
//!
//! Optimizer, lowering and validation read the data; only a task runs the factories.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::names::Unnamed;
use super::stores::GraphStore;
use crate::topology::StoreKind;

pub(crate) use super::graph_node::*;

/// The graph that all streams and tables of a builder share.
pub(crate) type GraphRef = Rc<RefCell<Graph>>;

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
    /// Name of the retries whose part of the topology is being built.
    pub(crate) retries: Option<String>,
    next_priority: u32,
}

impl Graph {
    /// The node that everything hangs on.
    pub(crate) const ROOT: GraphId = GraphId(0);

    /// Adds a store that processors name.
    pub(crate) fn add_state_store(&mut self, store: GraphStore) {
        let name = store.spec.name.clone();
        self.check_name(&name);
        self.add(&[Self::ROOT], GraphNode::new(name, GraphKind::StateStore(store), Fork::default()));
    }

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
            retries: None,
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
        self.note(child);
    }

    /// Notes what the optimizer wants to know of a node.
    fn note(&mut self, child: GraphId) {
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

    /// Tells the optimizer what processors may change, as if it had been known from the start.
    pub(crate) fn tell_changes_of_processors(&mut self) {
        for node in &mut self.nodes {
            match node.untold {
                Untold::Nothing => {}
                Untold::Value => node.changes_value = true,
                Untold::Record(key, value) => {
                    (node.changes_key, node.changes_value) = (true, true);
                    node.types = Some((key, value));
                }
            }
        }
        self.key_changers.clear();
        self.merge_nodes.clear();
        let mut attached: Vec<GraphId> = (0..self.nodes.len()).map(GraphId).collect();
        attached.retain(|node| !self.node(*node).parents.is_empty());
        attached.sort_by_key(|node| self.node(*node).priority);
        attached.into_iter().for_each(|node| self.note(node));
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

    /// Names of the stores that hold a table's rows, in Kafka Streams' order: what `describe()` prints, and where the
    /// flush order comes from, when names share a hash bucket. A source table gets its store now.
    pub(crate) fn table_stores(&mut self, table: TableId) -> Vec<Arc<str>> {
        let state = self.table_mut(table);
        match state.kind {
            TableKind::Derived { parent } if !state.materialized => {
                let reads = state.reads.clone();
                return merged(reads, self.table_stores(parent));
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
