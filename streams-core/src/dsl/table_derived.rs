//! What tables made of one other table have in common: a store only if the user named one, else their rows are made
//! of the rows above whenever somebody looks.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::types::Change;

use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan, TableId, TableKind};
use super::materialize::materialize;
use super::materialized::Materialized;
use super::stores::GraphStore;
use super::table::{KTable, MakeGetter};
use super::upstream::Upstream;
use crate::error::NodeResult;
use crate::operators::{TableStore, Updates};
use crate::processor::TaskBuilder;

/// How a table is made of another.
pub(super) struct Derivation<'a, K, V> {
    /// Word of the node's generated name.
    pub(super) prefix: &'a str,
    pub(super) materialized: Option<Materialized<K, V>>,
    /// Serde of the rows, if the operator's input has it.
    pub(super) values: Option<SerdeRef<V>>,
    /// Reads the rows, should there be no store.
    pub(super) getter: MakeGetter<K, V>,
    /// Old values come from the start.
    pub(super) send_old: bool,
    /// Makes the node, which keeps its rows in a store of this name.
    pub(super) make: &'a dyn Fn(Option<Arc<str>>) -> MakeProcessor,
    /// A `Materialized` without a name uses up a number all the same.
    pub(super) uses_number: bool,
    /// Names of stores that the user's code in the node works with.
    pub(super) connect: &'a [Arc<str>],
}

/// What the graph is told of a derived table: no types, and so compiled once.
struct DerivedNode<'a> {
    prefix: &'a str,
    parent: TableId,
    store: Option<GraphStore>,
    /// The user said how the table is kept, with a store or without.
    kept: bool,
    send_old: bool,
    make: &'a dyn Fn(Option<Arc<str>>) -> MakeProcessor,
    connect: &'a [Arc<str>],
    fork: Fork,
}

impl DerivedNode<'_> {
    /// Adds table and node below `up`. Returns the place behind them, and the name of the store.
    fn add(self, up: Upstream) -> (Upstream, TableId, Option<Arc<str>>) {
        let Self { prefix, parent, store, kept, send_old, make, connect, fork } = self;
        let mut graph = up.graph();
        let name = graph.name_or(&up.pending, prefix);
        let store_name = store.as_ref().map(|store| store.spec.name.clone());
        let versioned = store.as_ref().is_some_and(GraphStore::is_versioned);
        let materialized = store.is_some();
        let table = graph.add_table(TableKind::Derived { parent }, store, materialized);
        graph.table_mut(table).send_old = send_old;
        graph.table_mut(table).reads = connect.to_vec();
        let kind = GraphKind::Processor {
            make: make(store_name.clone()),
            table: Some(table),
            stores: Vec::new(),
            connect: connect.to_vec(),
        };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.versioned = kept.then_some(versioned);
        let id = graph.add(&[up.node], node);
        drop(graph);
        (up.moved_to(id, name, fork, false), table, store_name)
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Adds a table made of this one.
    pub(super) fn derived<V2: Clone + 'static>(self, how: Derivation<'_, K, V2>) -> KTable<K, V2> {
        let Derivation { prefix, materialized, mut values, getter, send_old, make, uses_number, connect } =
            how;
        let mut graph = self.up.graph();
        let (mut keys, mut store) = (self.keys.clone(), None);
        let kept = materialized.is_some();
        if let Some(mut materialized) = materialized {
            keys = materialized.keys.take().unwrap_or(keys);
            let rows = materialized.rows(values);
            values = Some(rows.clone());
            if materialized.options.name.is_some() {
                store = Some(materialize(&mut graph, materialized, keys.clone(), rows, prefix).0);
            } else {
                materialized.options.check_history(&mut graph);
                if uses_number {
                    // Kafka Streams uses up a number here, and names must agree.
                    graph.new_store_name(prefix);
                }
            }
        }
        drop(graph);
        let fork = Fork::allowed::<K, Change<V2>>();
        let node = DerivedNode { prefix, parent: self.table, store, kept, send_old, make, connect, fork };
        let (up, table, store_name) = node.add(self.up);
        match store_name {
            Some(store) => KTable::stored(up, table, keys, values, store),
            None => KTable { up, table, keys, values, getter },
        }
    }
}

pub(super) type DerivedStore<K, V> = (Option<TableStore<K, V>>, Updates<K, V>);

/// The store of a derived table, if it has one, and where its updates go.
pub(super) fn derived_store<K: 'static, V: Clone + 'static>(
    builder: &mut TaskBuilder<'_>,
    children: Vec<crate::processor::Child>,
    plan: &Plan,
    store_name: &Option<Arc<str>>,
) -> NodeResult<DerivedStore<K, V>> {
    let outputs = plan.outputs(children)?;
    let Some(store_name) = store_name else { return Ok((None, Updates::AtOnce(outputs))) };
    let store = TableStore::open(builder, &plan.name, store_name)?;
    let updates = store.updates(builder, &plan.name, store_name, outputs, plan.send_old);
    Ok((Some(store), updates))
}
