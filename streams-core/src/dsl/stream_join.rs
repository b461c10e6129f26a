//! Stream-table joins of `KStream`: enrich each record with the row that a table has now.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::store::GraceBuffer;

use super::Data;
use super::grace_buffer::{check_grace, grace_buffer};
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan};
use super::names;
use super::options::Joined;
use super::stores::GraphStore;
use super::stream::{KStream, sure};
use super::table::{KTable, MakeGetter};
use super::upstream::{Upstream, repartition_node};
use crate::error::BoxError;
use crate::operators::{GraceJoin, NullCheck, OwnKey, SelectTableKey, StreamTableJoin};
use crate::processor::ErasedPush;

/// The parts of a join's node.
pub(super) struct JoinParts<KT, V, VT, S, J> {
    pub(super) table_keys: SerdeRef<KT>,
    pub(super) values: SerdeRef<V>,
    pub(super) getter: MakeGetter<KT, VT>,
    pub(super) select: S,
    pub(super) join: J,
    pub(super) left: bool,
}

impl<KT, V, VT, S, J> JoinParts<KT, V, VT, S, J>
where
    KT: 'static,
    V: 'static,
    VT: 'static,
    S: Send + Sync + 'static,
    J: Send + Sync + 'static,
{
    /// The factory of the join's node in a stream keyed by `K`.
    pub(super) fn make<K, VO>(self) -> MakeProcessor
    where
        K: 'static,
        VO: 'static,
        S: SelectTableKey<K, V, KT>,
        J: Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError>,
    {
        let Self { table_keys, values, getter, select, join, left } = self;
        let (select, join) = (Arc::new(select), Arc::new(join));
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<K, V>(StreamTableJoin {
                name: plan.name.clone(),
                values: NullCheck::new(&values),
                table_keys: NullCheck::new(&table_keys),
                table: getter(builder, &plan.name)?,
                select: select.clone(),
                join: join.clone(),
                left,
                outputs: plan.outputs::<K, VO>(children)?,
            }))
        })
    }
}

impl<K, V, VT, J> JoinParts<K, V, VT, OwnKey, J>
where
    K: 'static,
    V: 'static,
    VT: 'static,
    J: Send + Sync + 'static,
{
    /// The factory of a join whose records wait in `buffer`.
    fn make_waiting<VO>(self, keys: SerdeRef<K>, buffer: &GraphStore) -> MakeProcessor
    where
        VO: 'static,
        J: Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError>,
    {
        let Self { table_keys, values, getter, select: _, join, left } = self;
        let (join, buffer) = (Arc::new(join), buffer.spec.name.clone());
        Arc::new(move |builder, children, plan: &Plan| {
            let join = StreamTableJoin {
                name: plan.name.clone(),
                values: NullCheck::new(&values),
                table_keys: NullCheck::new(&table_keys),
                table: getter(builder, &plan.name)?,
                select: Arc::new(OwnKey),
                join: join.clone(),
                left,
                outputs: plan.outputs::<K, VO>(children)?,
            };
            let buffer = builder.store::<GraceBuffer<K, V>>(&plan.name, &buffer)?;
            let waiting = GraceJoin {
                name: plan.name.clone(),
                keys: NullCheck::new(&keys),
                values: NullCheck::new(&values),
                join,
                buffer,
            };
            Ok(ErasedPush::handled::<K, V>(waiting))
        })
    }
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Joins each record with the row that a table has for its key; a record without a row goes no further, uncounted.
    ///
    /// Key, time: those of the record. Value: what `joiner` says. Repartition: the stream, if its key may have changed; its topic
    /// and the table's must have the same number of partitions. State: the table's. Null: records with a null key or value are
    /// dropped, counted. Changes of the table make no results: only records of the stream do.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const NAMES: Topic<String, String> = Topic::new("names");
    /// const OUT: Topic<String, String> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let names = builder.table(&NAMES);
    /// builder.stream(&ORDERS).join_table(&names, |cents, name| format!("{name}: {cents}")).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&NAMES).pipe("c1", "Ada");
    /// driver.input(&ORDERS).pipe("c1", 500);
    /// driver.input(&ORDERS).pipe("c2", 700);
    /// assert_eq!(driver.output(&OUT).read_all(), [("c1".to_owned(), "Ada: 500".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_table<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(V, &VT) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        self.join_table_with_key(table, move |_, value, row| joiner(value, row))
    }

    /// As [`join_table`](Self::join_table), with the key to look at.
    pub fn join_table_with_key<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, &VT) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        self.join_table_with(table, joiner, Joined::new())
    }

    /// As [`join_table_with_key`](Self::join_table_with_key), with serdes of its own.
    pub fn join_table_with<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, &VT) -> VO + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VO> {
        self.try_join_table_with(table, move |key, value, row| sure(joiner(key, value, row)), joined)
    }

    /// As [`join_table_with`](Self::join_table_with), with a joiner that may fail.
    pub fn try_join_table_with<VT: 'static, VO: 'static, E: Into<BoxError>>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, &VT) -> Result<VO, E> + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VO> {
        self.joined(table, inner(joiner), joined, false)
    }

    /// Joins each record with the row that a table has for its key; the joiner is told if there is none.
    ///
    /// As [`join_table`](Self::join_table), but records without a row, also those with a null key, give a result too. Records with a
    /// null value are dropped, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const NAMES: Topic<String, String> = Topic::new("names");
    /// const OUT: Topic<String, String> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let names = builder.table(&NAMES);
    /// let label = |cents: i64, name: Option<&String>| format!("{}: {cents}", name.map_or("?", |name| name));
    /// builder.stream(&ORDERS).left_join_table(&names, label).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("c2", 700);
    /// assert_eq!(driver.output(&OUT).read_all(), [("c2".to_owned(), "?: 700".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_table<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(V, Option<&VT>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        self.left_join_table_with_key(table, move |_, value, row| joiner(value, row))
    }

    /// As [`left_join_table`](Self::left_join_table), with the key to look at.
    pub fn left_join_table_with_key<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, Option<&VT>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        self.left_join_table_with(table, joiner, Joined::new())
    }

    /// As [`left_join_table_with_key`](Self::left_join_table_with_key), with serdes of its own.
    pub fn left_join_table_with<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, Option<&VT>) -> VO + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VO> {
        self.try_left_join_table_with(table, move |key, value, row| sure(joiner(key, value, row)), joined)
    }

    /// As [`left_join_table_with`](Self::left_join_table_with), with a joiner that may fail.
    pub fn try_left_join_table_with<VT: 'static, VO: 'static, E: Into<BoxError>>(
        self,
        table: &KTable<K, VT>,
        joiner: impl Fn(&K, V, Option<&VT>) -> Result<VO, E> + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VO> {
        self.joined(table, left(joiner), joined, true)
    }

    fn joined<VT: 'static, VO: 'static>(
        self,
        table: &KTable<K, VT>,
        join: impl Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
        joined: Joined<K, V>,
        left: bool,
    ) -> KStream<K, VO> {
        let same = self.up.check_same_builder(&table.up, "stream-table join");
        let joined = joined.over(self.keys.clone(), self.values.clone());
        let pending = self.up.pending.clone();
        let up = repartition_for_join(&self.up, pending.clone(), &joined.keys, &joined.values);
        let mut graph = up.graph();
        let sources = graph.copartition_sources(&up.sources, &table.up.sources);
        let name = graph.name_or(&pending, if left { names::LEFT_JOIN } else { names::JOIN });
        let connect = if same { graph.table_stores(table.table) } else { Vec::new() };
        let wait = joined.grace.filter(|_| same).map(|grace| {
            check_grace(&mut graph, &name, grace, table.up.node, &connect);
            let named = pending.is_some();
            grace_buffer(&mut graph, &name, named, grace, joined.keys.clone(), joined.values.clone())
        });
        let parts = JoinParts {
            table_keys: table.keys.clone(),
            values: joined.values,
            getter: table.getter.clone(),
            select: OwnKey,
            join,
            left,
        };
        let (make, stores) = match wait {
            None => (parts.make::<K, VO>(), Vec::new()),
            Some(buffer) => (parts.make_waiting::<VO>(joined.keys.clone(), &buffer), vec![buffer]),
        };
        let kind = GraphKind::Processor { make, table: None, stores, connect };
        let fork = Fork::default();
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.keeps_null_keys = left;
        let id = graph.add(&[up.node], node);
        drop(graph);
        let up = Upstream::new(&up.graph, id, name, sources, fork);
        KStream { up, keys: Some(joined.keys), values: None }
    }
}

/// An inner join's joiner, which is only asked when there is a row.
pub(super) fn inner<K, V, VT, VO, E: Into<BoxError>>(
    joiner: impl Fn(&K, V, &VT) -> Result<VO, E> + Send + Sync + 'static,
) -> impl Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static {
    move |key, value, row| row.map(|row| joiner(key, value, row)).transpose().map_err(Into::into)
}

/// A left join's joiner.
pub(super) fn left<K, V, VT, VO, E: Into<BoxError>>(
    joiner: impl Fn(&K, V, Option<&VT>) -> Result<VO, E> + Send + Sync + 'static,
) -> impl Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static {
    move |key, value, row| joiner(key, value, row).map(Some).map_err(Into::into)
}

/// Where a join goes: behind a repartition, under `name` or the stream's, if the key may have changed. Joins of
/// the same stream under its own name share one.
pub(super) fn repartition_for_join<K: 'static, V: 'static>(
    up: &Upstream,
    name: Option<String>,
    keys: &SerdeRef<K>,
    values: &SerdeRef<V>,
) -> Upstream {
    if !up.repartition_required {
        return up.clone();
    }
    let mut graph = up.graph();
    let named = name.is_some();
    let prefix = name.unwrap_or_else(|| up.name.to_string());
    let repartition = graph.repartition_names(&prefix, named);
    let source = repartition.source.clone();
    let id = match up.repartition.get().filter(|_| *up.name == *prefix) {
        Some(id) => id,
        None => {
            let (keys, values) = (keys.clone(), values.clone());
            let node = repartition_node(repartition, keys, values, None, None, true, up.fork.clone());
            graph.add(&[up.node], node)
        }
    };
    up.repartition.set(Some(id));
    up.behind_repartition(id, source)
}
