//! Joins of two tables by their common key.

use std::sync::Arc;

use super::graph::{
    Fork, GraphKind, GraphNode, MakeProcessor, Plan, TableJoinNode, TableJoinSide, TableKind,
};
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names;
use super::stores::GraphStore;
use super::table::{KTable, MakeGetter};
use super::table_derived::derived_store;
use super::upstream::Upstream;
use crate::error::BoxError;
use crate::operators::{Needs, Side, TableJoinGetter, TableJoinMerge, TableTableJoin};
use crate::outcome::Outcome;
use crate::processor::{ErasedPush, TaskBuilder};
use streams_state::types::Change;

const INNER: Needs = Needs { own: true, other: true };
const LEFT: Needs = Needs { own: true, other: false };
const OUTER: Needs = Needs { own: false, other: false };

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Joins the rows that two tables have under the same key. The result is a table, updated whenever one of them is.
    ///
    /// Key: the common one. Value: what `joiner` says. Time: the later one of both rows. Repartition: no; both topics must
    /// have the same number of partitions. State: the stores of both tables; the result has one of its own with
    /// [`join_with`](Self::join_with), else it is joined whenever somebody looks. Missing row on one side: no result; a
    /// deletion on one side deletes the result.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const PRICES: Topic<String, i64> = Topic::new("prices");
    /// const STOCK: Topic<String, i64> = Topic::new("stock");
    /// const WORTH: Topic<String, i64> = Topic::new("worth");
    /// let builder = StreamsBuilder::new();
    /// let (prices, stock) = (builder.table(&PRICES), builder.table(&STOCK));
    /// prices.join(&stock, |price, pieces| price * pieces).to_stream().filter(|_, row| row.is_some()).to(&WORTH);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&PRICES).pipe("nut", 3);
    /// driver.input(&STOCK).pipe("nut", 10);
    /// driver.input(&PRICES).pipe("nut", 4);
    /// let worth = driver.output(&WORTH).read_all();
    /// assert_eq!(worth, [("nut".to_owned(), 30), ("nut".to_owned(), 40)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&V, &V2) -> VO + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, inner(move |_, one, two| Some(joiner(one, two))), INNER, None)
    }

    /// As [`join`](Self::join), with a store of its own, under a generated name if `materialized` has none.
    pub fn join_with<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&V, &V2) -> VO + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        let join = inner(move |_: &K, one: &V, two: &V2| Some(joiner(one, two)));
        self.joined(other, join, INNER, Some(materialized.into()))
    }

    /// As [`join`](Self::join), with the key to look at; `None` from the joiner means that there is no row.
    pub fn join_opt<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, inner(joiner), INNER, None)
    }

    /// As [`join_opt`](Self::join_opt), with a store of its own, under a generated name if `materialized` has none.
    pub fn join_opt_with<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, inner(joiner), INNER, Some(materialized.into()))
    }

    /// Joins each row with the row that another table has under the same key; the joiner is told if there is none.
    ///
    /// As [`join`](Self::join), but a missing row of the other table is no reason to have no result.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const NAMES: Topic<String, String> = Topic::new("names");
    /// const CITIES: Topic<String, String> = Topic::new("cities");
    /// const CARDS: Topic<String, String> = Topic::new("cards");
    /// let builder = StreamsBuilder::new();
    /// let (names, cities) = (builder.table(&NAMES), builder.table(&CITIES));
    /// let card = |name: &String, city: Option<&String>| format!("{name}, {}", city.map_or("?", |city| city));
    /// names.left_join(&cities, card).to_stream().to(&CARDS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&NAMES).pipe("c1", "Ada");
    /// driver.input(&CITIES).pipe("c1", "London");
    /// let cards = driver.output(&CARDS).read_all();
    /// assert_eq!(cards.iter().map(|(_, card)| card.as_str()).collect::<Vec<_>>(), ["Ada, ?", "Ada, London"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> VO + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, left(move |_, one, two| Some(joiner(one, two))), LEFT, None)
    }

    /// As [`left_join`](Self::left_join), with a store of its own, under a generated name if `materialized` has none.
    pub fn left_join_with<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> VO + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        let join = left(move |_: &K, one: &V, two: Option<&V2>| Some(joiner(one, two)));
        self.joined(other, join, LEFT, Some(materialized.into()))
    }

    /// As [`left_join`](Self::left_join), with the key to look at; `None` from the joiner means that there is no row.
    pub fn left_join_opt<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, left(joiner), LEFT, None)
    }

    /// As [`left_join_opt`](Self::left_join_opt), with a store of its own, under a generated name if `materialized` has
    /// none.
    pub fn left_join_opt_with<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, left(joiner), LEFT, Some(materialized.into()))
    }

    /// Joins the rows of two tables; there is a result wherever one of them has a row.
    ///
    /// As [`join`](Self::join), but the joiner is told which row is missing; never both are.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const SHOP: Topic<String, i64> = Topic::new("shop");
    /// const WEB: Topic<String, i64> = Topic::new("web");
    /// const SALES: Topic<String, i64> = Topic::new("sales");
    /// let builder = StreamsBuilder::new();
    /// let (shop, web) = (builder.table(&SHOP), builder.table(&WEB));
    /// let sum = |shop: Option<&i64>, web: Option<&i64>| shop.unwrap_or(&0) + web.unwrap_or(&0);
    /// shop.outer_join(&web, sum).to_stream().filter(|_, row| row.is_some()).to(&SALES);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&WEB).pipe("nut", 2);
    /// driver.input(&SHOP).pipe("nut", 40);
    /// assert_eq!(driver.output(&SALES).read_all()[1], ("nut".to_owned(), 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outer_join<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> VO + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(
            other,
            outer(move |_: &K, one: Option<&V>, two: Option<&V2>| Some(joiner(one, two))),
            OUTER,
            None,
        )
    }

    /// As [`outer_join`](Self::outer_join), with a store of its own, under a generated name if `materialized` has none.
    pub fn outer_join_with<V2, VO>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> VO + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        let join = outer(move |_: &K, one: Option<&V>, two: Option<&V2>| Some(joiner(one, two)));
        self.joined(other, join, OUTER, Some(materialized.into()))
    }

    /// As [`outer_join`](Self::outer_join), with the key to look at; `None` from the joiner means that there is no row.
    pub fn outer_join_opt<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, outer(joiner), OUTER, None)
    }

    /// As [`outer_join_opt`](Self::outer_join_opt), with a store of its own, under a generated name if `materialized` has
    /// none.
    pub fn outer_join_opt_with<V2, VO, R: Outcome<Option<VO>>>(
        self,
        other: &KTable<K, V2>,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
    {
        self.joined(other, outer(joiner), OUTER, Some(materialized.into()))
    }

    fn joined<V2, VO, J>(
        self,
        other: &KTable<K, V2>,
        join: J,
        needs: Needs,
        materialized: Option<Materialized<K, VO>>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        J: Fn(&K, Option<&V>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
    {
        let same = self.up.check_same_builder(&other.up, "join of tables");
        let kept = Kept::new(&self, materialized);
        let mut graph = self.up.graph();
        let pending = &self.up.pending;
        let name = graph.name_or(pending, names::TABLE_MERGE);
        let sources = graph.copartition_sources(&self.up.sources, &other.up.sources);
        // Without a common builder the other side's ids mean nothing; the topology is refused anyway.
        let (other_node, other_table) =
            if same { (other.up.node, other.table) } else { (self.up.node, self.table) };
        if !needs.other {
            graph.send_old_values(self.table, true);
        }
        if !needs.own {
            graph.send_old_values(other_table, true);
        }
        let this_name = graph.name_with_suffix_or(pending, "-join-this", names::TABLE_JOIN_THIS);
        let other_name = graph.name_with_suffix_or(pending, "-join-other", names::TABLE_JOIN_OTHER);
        let (this_stores, other_stores) = (graph.table_stores(self.table), graph.table_stores(other_table));
        let store_name = kept.store.as_ref().map(|store| store.spec.name.clone());
        let versioned = kept.store.as_ref().is_some_and(GraphStore::is_versioned);
        let kind = TableKind::Join { this: self.table, other: other_table };
        let table = graph.add_table(kind, kept.store, store_name.is_some());
        let join = Arc::new(join);
        let (one, two) = (join.clone(), join.clone());
        let [this_versioned, other_versioned] =
            [self.up.node, other_node].map(|node| graph.is_versioned(node));
        let this = side::<K, V, V2, VO, _>(&other.getter, needs, this_versioned, move |k, own, other| {
            one(k, own, other)
        });
        let that =
            side::<K, V2, V, VO, _>(&self.getter, needs.flipped(), other_versioned, move |k, own, other| {
                two(k, other, own)
            });
        let node = TableJoinNode {
            sides: [
                TableJoinSide { parent: self.up.node, name: this_name, make: this, connect: other_stores },
                TableJoinSide { parent: other_node, name: other_name, make: that, connect: this_stores },
            ],
            merge: merge::<K, VO>(store_name.clone()),
            table,
        };
        let fork = Fork::allowed::<K, Change<VO>>();
        let mut node = GraphNode::new(name.clone(), GraphKind::TableJoin(Box::new(node)), fork.clone());
        node.versioned = Some(versioned);
        let id = graph.add(&[self.up.node, other_node], node);
        drop(graph);
        let up = Upstream::new(&self.up.graph, id, name, sources, fork);
        if let Some(store) = store_name {
            return KTable::stored(up, table, kept.keys, kept.values, store);
        }
        let (this, other) = (self.getter, other.getter.clone());
        let getter: MakeGetter<K, VO> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            let (this, other) = (this(builder, node)?, other(builder, node)?);
            Ok(Box::new(TableJoinGetter { this, other, join: join.clone(), needs }))
        });
        KTable { up, table, keys: kept.keys, values: kept.values, getter }
    }
}

/// How the result is kept.
struct Kept<K, VO> {
    keys: streams_state::serdes::SerdeRef<K>,
    values: Option<streams_state::serdes::SerdeRef<VO>>,
    store: Option<GraphStore>,
}

impl<K: 'static, VO: Clone + 'static> Kept<K, VO> {
    /// Unlike other tables a join keeps its rows also under a generated name.
    fn new<V>(table: &KTable<K, V>, materialized: Option<Materialized<K, VO>>) -> Self {
        let Some(mut materialized) = materialized else {
            return Self { keys: table.keys.clone(), values: None, store: None };
        };
        let keys = materialized.keys.take().unwrap_or_else(|| table.keys.clone());
        let rows = materialized.rows(None);
        let mut graph = table.up.graph.borrow_mut();
        let (store, _) =
            materialize(&mut graph, materialized, keys.clone(), rows.clone(), names::TABLE_MERGE);
        Self { keys, values: Some(rows), store: Some(store) }
    }
}

/// An inner join's joiner, which is only asked when both rows are there.
fn inner<K, V, V2, VO, R: Outcome<Option<VO>>>(
    joiner: impl Fn(&K, &V, &V2) -> R + Send + Sync + 'static,
) -> impl Fn(&K, Option<&V>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static {
    move |key, one, two| match (one, two) {
        (Some(one), Some(two)) => joiner(key, one, two).into_result(),
        (None, _) | (_, None) => Ok(None),
    }
}

/// A left join's joiner, which is only asked when the left row is there.
fn left<K, V, V2, VO, R: Outcome<Option<VO>>>(
    joiner: impl Fn(&K, &V, Option<&V2>) -> R + Send + Sync + 'static,
) -> impl Fn(&K, Option<&V>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static {
    move |key, one, two| one.map_or(Ok(None), |one| joiner(key, one, two).into_result())
}

/// An outer join's joiner.
fn outer<K, V, V2, VO, R: Outcome<Option<VO>>>(
    joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
) -> impl Fn(&K, Option<&V>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static {
    move |key, one, two| joiner(key, one, two).into_result()
}

/// The node of one side: its updates of `V1` look for rows in `other`.
fn side<K, V1, V2, VO, J>(other: &MakeGetter<K, V2>, needs: Needs, versioned: bool, join: J) -> MakeProcessor
where
    K: 'static,
    V1: 'static,
    V2: 'static,
    VO: 'static,
    J: Fn(&K, Option<&V1>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
{
    let (other, join) = (other.clone(), Arc::new(join));
    Arc::new(move |builder, children, plan: &Plan| {
        let join = join.clone();
        let join = move |key: &K, own: Option<&V1>, other: Option<&V2>| join(key, own, other);
        Ok(ErasedPush::handled::<K, Change<V1>>(TableTableJoin {
            name: plan.name.clone(),
            other: other(builder, &plan.name)?,
            side: Side { join, needs, send_old: plan.send_old },
            versioned,
            outputs: plan.outputs::<K, Change<VO>>(children)?,
        }))
    })
}

/// The node where both sides meet.
fn merge<K: 'static, VO: Clone + 'static>(store: Option<Arc<str>>) -> MakeProcessor {
    Arc::new(move |builder, children, plan: &Plan| {
        let (store, updates) = derived_store::<K, VO>(builder, children, plan, &store)?;
        let (name, send_old) = (plan.name.clone(), plan.send_old);
        Ok(ErasedPush::handled::<K, Change<VO>>(TableJoinMerge { name, store, send_old, updates }))
    })
}
