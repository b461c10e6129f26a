//! `KGroupedTable`: rows of a table grouped by a new key, on their way to an aggregation.

use std::sync::Arc;

use streams_state::serdes::{Auto, SerdeRef};
use streams_state::types::Change;

use super::Data;
use super::graph::{
    Fork, GraphId, GraphKind, GraphNode, MakeProcessor, Plan, Repartition, RepartitionMakers, TableKind,
};
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names::{self, RepartitionNames};
use super::options::Grouped;
use super::table::KTable;
use super::upstream::{Changes, Upstream, repartitioned_times, sink, source};
use crate::operators::{
    AddSubtract, AddSubtractOption, Adjust, ChangeSerde, MergeRemove, NullCheck, TableAggregate,
    TableRepartitionMap, TableStore,
};
use crate::outcome::Outcome;
use crate::processor::ErasedPush;

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Groups the rows under a new key: `selector` gives the key and the value to aggregate.
    ///
    /// Repartition: yes; the topic is called after [`named`](Self::named), else after the store of the aggregation. When
    /// a row changes, its old value is taken out of its group and the new one put into its group. State: that of the
    /// table, which must know the old value. Null: rows with a null new key or value belong to no group, uncounted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const HOMES: Topic<String, String> = Topic::new("homes");
    /// const PEOPLE: Store<String, i64> = Store::new("people");
    /// let builder = StreamsBuilder::new();
    /// builder.table(&HOMES).group_by(|person, city| (city.clone(), person.clone())).count_with(&PEOPLE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&HOMES).pipe("ada", "London");
    /// driver.input(&HOMES).pipe("bob", "London");
    /// driver.input(&HOMES).pipe("bob", "Paris");
    /// assert_eq!(driver.store(&PEOPLE).get(&"London".to_owned()), Some(1));
    /// assert_eq!(driver.store(&PEOPLE).get(&"Paris".to_owned()), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by<K2, V2, R: Outcome<(K2, V2)>>(
        self,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KGroupedTable<K2, V2>
    where
        K2: Data + PartialEq,
        V2: Data,
    {
        self.group_by_with(selector, Grouped::serdes(Auto, Auto))
    }

    /// As [`group_by`](Self::group_by), with serdes of its own.
    pub fn group_by_with<K2, V2, R: Outcome<(K2, V2)>>(
        self,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        grouped: Grouped<K2, V2>,
    ) -> KGroupedTable<K2, V2>
    where
        K2: PartialEq + 'static,
        V2: 'static,
    {
        let Grouped { keys, values } = grouped;
        let name = self.up.pending.clone();
        let versioned = self.up.graph().is_versioned(self.up.node);
        let (select, key_serde, value_serde) = (Arc::new(selector), keys.clone(), values.clone());
        let make: MakeProcessor = Arc::new(move |_, children, plan: &Plan| {
            Ok(ErasedPush::handled::<K, Change<V>>(TableRepartitionMap {
                name: plan.name.clone(),
                keys: NullCheck::new(&key_serde),
                values: NullCheck::new(&value_serde),
                select: select.clone(),
                versioned,
                outputs: plan.outputs::<K2, Change<V2>>(children)?,
            }))
        });
        self.up.graph().send_old_values(self.table, true);
        let up = self.up.add_processor(names::TABLE_SELECT, make, Changes::Nothing);
        KGroupedTable { up, keys, values, name }
    }
}

/// A table grouped by a new key. Aggregations give a table; `.clone()` it for several aggregations.
///
/// Each aggregation is given a way to add a value and a way to subtract it again: when a row changes, its old value is
/// subtracted, then the new one added. A change that stays in its group is one update, one that moves to another is two. The
/// timestamp of a row is the largest of its changes'. With caching (the default) a key's changes are forwarded once per
/// commit.
pub struct KGroupedTable<K, V> {
    up: Upstream,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    /// Name of the grouping, which names its repartition topic.
    name: Option<String>,
}

impl<K: Clone + 'static, V: Clone + 'static> Clone for KGroupedTable<K, V> {
    /// Forks the grouped table.
    fn clone(&self) -> Self {
        self.up.fork.allow::<K, Change<V>>();
        Self {
            up: self.up.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            name: self.name.clone(),
        }
    }
}

impl<K: Clone + 'static, V: 'static> KGroupedTable<K, V> {
    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.up.pending = Some(name.into());
        self
    }

    /// Counts the rows of each group.
    ///
    /// Key: that of the group. Value: the count; a group that lost all its rows stays, with 0. Time: the largest of the
    /// changes'. Repartition: yes. State: a store with a generated name; name it with [`count_with`](Self::count_with).
    /// Null: see [`KTable::group_by`], which has an example.
    pub fn count(self) -> KTable<K, i64> {
        self.count_with(Materialized::unnamed())
    }

    /// As [`count`](Self::count), kept as said.
    pub fn count_with(self, materialized: impl Into<Materialized<K, i64>>) -> KTable<K, i64> {
        let adjust = AddSubtract {
            init: || 0,
            add: |_: &K, _: V, count: &mut i64| *count += 1,
            subtract: |_: &K, _: V, count: &mut i64| *count -= 1,
        };
        self.aggregated(names::TABLE_AGGREGATE, materialized.into(), None, adjust)
    }

    /// Merges the values of each group: `adder` merges a value into the result, `subtractor` takes it out again.
    ///
    /// Key: that of the group. Value: the first value, then what `adder(result, value)` and `subtractor(result, value)`
    /// make of it. Time: the largest of the changes'. Repartition: yes. State: a store. Null: see [`KTable::group_by`].
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const STOCK: Topic<String, (String, i64)> = Topic::new("stock");
    /// const PER_SHOP: Store<String, i64> = Store::new("per-shop");
    /// let builder = StreamsBuilder::new();
    /// let shops = builder.table(&STOCK).group_by(|_, (shop, pieces)| (shop.clone(), *pieces));
    /// shops.reduce_with(|sum, pieces| sum + pieces, |sum, pieces| sum - pieces, &PER_SHOP);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&STOCK).pipe("nut", ("north".to_owned(), 10));
    /// driver.input(&STOCK).pipe("bolt", ("north".to_owned(), 5));
    /// driver.input(&STOCK).pipe("nut", ("north".to_owned(), 7));
    /// assert_eq!(driver.store(&PER_SHOP).get(&"north".to_owned()), Some(12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<RA: Outcome<V>, RS: Outcome<V>>(
        self,
        adder: impl Fn(V, V) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> RS + Send + Sync + 'static,
    ) -> KTable<K, V>
    where
        V: Data + Clone,
    {
        self.reduce_with(adder, subtractor, Materialized::unnamed())
    }

    /// As [`reduce`](Self::reduce), kept as said.
    pub fn reduce_with<RA: Outcome<V>, RS: Outcome<V>>(
        self,
        adder: impl Fn(V, V) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> RS + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        V: Clone,
    {
        let adder = move |result, value| adder(result, value).map_value(Some);
        let subtractor = move |result, value| subtractor(result, value).map_value(Some);
        self.reduce_opt_with(adder, subtractor, materialized)
    }

    /// As [`reduce`](Self::reduce), where `None` from `adder` or `subtractor` means that there is no result left: if it
    /// stays so, the row is deleted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const ORDERS: Topic<i64, (String, i64)> = Topic::new("orders");
    /// const DEBTS: Store<String, i64> = Store::new("debts");
    /// let builder = StreamsBuilder::new();
    /// let per_customer = builder.table(&ORDERS).group_by(|_, (customer, cents)| (customer.clone(), *cents));
    /// per_customer.reduce_opt_with(|sum, cents| Some(sum + cents), |sum, cents| (sum > cents).then_some(sum - cents), &DEBTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe(1, ("ada".to_owned(), 500));
    /// assert_eq!(driver.store(&DEBTS).get(&"ada".to_owned()), Some(500));
    /// driver.input(&ORDERS).pipe_raw(Some(&1i64.to_be_bytes()), None)?;
    /// assert_eq!(driver.store(&DEBTS).get(&"ada".to_owned()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce_opt<RA: Outcome<Option<V>>, RS: Outcome<Option<V>>>(
        self,
        adder: impl Fn(V, V) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> RS + Send + Sync + 'static,
    ) -> KTable<K, V>
    where
        V: Data + Clone,
    {
        self.reduce_opt_with(adder, subtractor, Materialized::unnamed())
    }

    /// As [`reduce_opt`](Self::reduce_opt), kept as said.
    pub fn reduce_opt_with<RA: Outcome<Option<V>>, RS: Outcome<Option<V>>>(
        self,
        adder: impl Fn(V, V) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> RS + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        V: Clone,
    {
        let (values, adjust) = (self.values.clone(), MergeRemove { add: adder, subtract: subtractor });
        self.aggregated(names::TABLE_REDUCE, materialized.into(), Some(values), adjust)
    }

    /// Folds the values of each group into an aggregate that starts as `init()` and is changed in place: `adder` puts a
    /// value in, `subtractor` takes it out again.
    ///
    /// Key: that of the group. Value: the aggregate; a group that lost all its rows stays. Time: the largest of the
    /// changes'. Repartition: yes. State: a store with a generated name; [`aggregate_with`](Self::aggregate_with) names it. Null:
    /// see [`KTable::group_by`].
    ///
    /// ```
    /// # use std::collections::BTreeSet;
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const HOMES: Topic<String, String> = Topic::new("homes");
    /// const PEOPLE: Topic<String, BTreeSet<String>> = Topic::new("people");
    /// let builder = StreamsBuilder::new();
    /// let cities = builder.table(&HOMES).group_by(|person, city| (city.clone(), person.clone()));
    /// let people = cities.aggregate(
    ///     BTreeSet::new,
    ///     |_, person, people| _ = people.insert(person),
    ///     |_, person, people| _ = people.remove(&person),
    /// );
    /// people.to_stream().filter(|_, row| row.is_some()).to(&PEOPLE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&HOMES).pipe("ada", "London");
    /// driver.input(&HOMES).pipe("bob", "London");
    /// driver.input(&HOMES).pipe("ada", "Paris");
    /// assert_eq!(driver.output(&PEOPLE).read_key_values()["London"], BTreeSet::from(["bob".to_owned()]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Data + Clone, RA: Outcome<()>, RS: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        adder: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, &mut A) -> RS + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregate_with(init, adder, subtractor, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<A: Clone + 'static, RA: Outcome<()>, RS: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        adder: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, &mut A) -> RS + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        let adjust = AddSubtract { init, add: adder, subtract: subtractor };
        self.aggregated(names::TABLE_AGGREGATE, materialized.into(), None, adjust)
    }

    /// As [`aggregate`](Self::aggregate), where the aggregate may be missing: at the start, and after `adder` or
    /// `subtractor` returned `None`. If it is missing at the end of a change, the row is deleted.
    pub fn aggregate_opt<A: Data + Clone, RA: Outcome<Option<A>>, RS: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        adder: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, A) -> RS + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregate_opt_with(init, adder, subtractor, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const HOMES: Topic<String, String> = Topic::new("homes");
    /// const PEOPLE: Store<String, i64> = Store::new("people");
    /// let builder = StreamsBuilder::new();
    /// let cities = builder.table(&HOMES).group_by(|person, city| (city.clone(), person.clone()));
    /// cities.aggregate_opt_with(
    ///     || None,
    ///     |_, _, count: Option<i64>| Some(count.unwrap_or(0) + 1),
    ///     |_, _, count| Some(count - 1).filter(|count| *count > 0),
    ///     &PEOPLE,
    /// );
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&HOMES).pipe("ada", "London");
    /// driver.input(&HOMES).pipe("ada", "Paris");
    /// assert_eq!(driver.store(&PEOPLE).get(&"London".to_owned()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate_opt_with<A: Clone + 'static, RA: Outcome<Option<A>>, RS: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        adder: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, A) -> RS + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        let adjust = AddSubtractOption { init, add: adder, subtract: subtractor };
        self.aggregated(names::TABLE_AGGREGATE, materialized.into(), None, adjust)
    }

    /// Adds the aggregation: store name, repartition, node.
    fn aggregated<A, G>(
        self,
        prefix: &str,
        mut materialized: Materialized<K, A>,
        inherited: Option<SerdeRef<A>>,
        adjust: G,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        G: Adjust<K, V, A> + Send + Sync + 'static,
    {
        let keys = materialized.keys.take().unwrap_or_else(|| self.keys.clone());
        let rows = materialized.rows(inherited);
        let mut graph = self.up.graph();
        // Kafka Streams names the store of a reduction after the aggregation, too.
        let (store, _) =
            materialize(&mut graph, materialized, keys.clone(), rows.clone(), names::TABLE_AGGREGATE);
        let store_name = store.spec.name.clone();
        let sink = graph.name_with_suffix_or(&self.up.pending, "-sink", names::SINK);
        let source = graph.name_with_suffix_or(&self.up.pending, "-source", names::SOURCE);
        let name = graph.name_or(&self.up.pending, prefix);
        drop(graph);
        let repartition = self.repartition(&store_name, sink, source.clone());
        let mut graph = self.up.graph();
        let versioned = store.is_versioned();
        let table = graph.add_table(TableKind::Aggregate, Some(store), true);
        let (node_store, adjust) = (store_name.clone(), Arc::new(adjust));
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            let outputs = plan.outputs(children)?;
            let store = TableStore::open(builder, &plan.name, &node_store)?;
            let updates = store.updates(builder, &plan.name, &node_store, outputs, plan.send_old);
            Ok(ErasedPush::handled::<K, Change<V>>(TableAggregate {
                name: plan.name.clone(),
                adjust: adjust.clone(),
                store,
                send_old: plan.send_old,
                updates,
            }))
        });
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let fork = Fork::allowed::<K, Change<A>>();
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.versioned = Some(versioned);
        let id = graph.add(&[repartition], node);
        drop(graph);
        let up = Upstream::new(&self.up.graph, id, name, [source].into(), fork);
        KTable::stored(up, table, keys, Some(rows), store_name)
    }

    /// The repartition above an aggregation: a named grouping has one for all its aggregations, an unnamed one has one
    /// for each.
    fn repartition(&self, store_name: &str, sink_name: Arc<str>, source_name: Arc<str>) -> GraphId {
        let mut graph = self.up.graph();
        let id = match self.up.repartition.get().filter(|_| self.name.is_some()) {
            Some(id) => id,
            None => {
                let topic =
                    format!("{}{}", self.name.as_deref().unwrap_or(store_name), names::REPARTITION_SUFFIX);
                graph.check_name(&topic);
                graph.push(self.repartition_node(topic.into(), sink_name, source_name))
            }
        };
        self.up.repartition.set(Some(id));
        graph.attach(self.up.node, id);
        id
    }

    /// A repartition for changes: no filter, as no key is null.
    fn repartition_node(&self, topic: Arc<str>, sink_name: Arc<str>, source_name: Arc<str>) -> GraphNode {
        let values: SerdeRef<Change<V>> = Arc::new(ChangeSerde(self.values.clone()));
        let types = (std::any::TypeId::of::<K>(), std::any::TypeId::of::<Change<V>>());
        let (keys, written) = (self.keys.clone(), values.clone());
        let makers = RepartitionMakers {
            filter: None,
            sink: sink::<K, Change<V>, Change<V>>(topic.clone(), true, keys.clone(), written, None),
            source: source(keys, values, Some(repartitioned_times())),
            types,
        };
        let name = source_name.clone();
        let names =
            RepartitionNames { topic, filter: sink_name.clone(), sink: sink_name, source: source_name };
        let repartition = Repartition { names, optimizable: false, partitions: None, makers };
        GraphNode::new(name, GraphKind::Repartition(repartition), self.up.fork.clone())
    }
}
