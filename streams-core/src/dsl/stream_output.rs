//! `KStream` out of the sub-topology: repartitions, groups, tables.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan, TableKind};
use super::grouped::KGroupedStream;
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names;
use super::options::{Grouped, Repartitioned};
use super::stream::{KStream, sure};
use super::stream_try::select_key;
use super::table::KTable;
use super::upstream::{Changes, repartition_node};
use crate::error::BoxError;
use crate::operators::{NullCheck, Nullable, TableSource, TableStore, Updates};
use crate::processor::ErasedPush;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Sends the stream through a topic of its own, so that records of a key meet in one partition.
    ///
    /// Key, value, time: unchanged. Repartition: yes, always; what follows is a sub-topology of its own. State: none. Null: records
    /// with a null key are dropped, uncounted, unless a left join below wants them.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).named("spread").repartition().to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repartition(self) -> KStream<K, V>
    where
        K: Data,
        V: Data,
    {
        self.repartition_with(Repartitioned::new())
    }

    /// As [`repartition`](Self::repartition), with options.
    pub fn repartition_with(self, repartitioned: Repartitioned<K, V>) -> KStream<K, V> {
        let (keys, values) = repartitioned.serdes_over(self.keys.clone(), self.values.clone());
        let pending = self.up.pending.clone();
        let mut graph = self.up.graph();
        let name = match &pending {
            Some(name) => {
                graph.check_name(name);
                name.as_str().into()
            }
            None => graph.new_processor_name(names::REPARTITION),
        };
        let repartition = graph.repartition_names(&name, pending.is_some());
        let source = repartition.source.clone();
        let node = repartition_node(
            repartition,
            keys.clone(),
            values.clone(),
            repartitioned.partitioner,
            repartitioned.partitions,
            false,
            self.up.fork.clone(),
        );
        let id = graph.add(&[self.up.node], node);
        drop(graph);
        KStream { up: self.up.behind_repartition(id, source), keys: Some(keys), values: Some(values) }
    }

    /// Groups records by their key.
    ///
    /// Repartition: only if the key may have changed since the last topic; the topic is called after [`named`](Self::named), else
    /// after the store of the aggregation. State: none yet. Null: aggregations drop null keys and values, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const SALES: Topic<String, i64> = Topic::new("sales");
    /// const TOTALS: Topic<String, i64> = Topic::new("totals");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&SALES).group_by_key().reduce(|one, two| one + two).to_stream().to(&TOTALS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&SALES).pipe("ada", 40);
    /// driver.input(&SALES).pipe("ada", 2);
    /// assert_eq!(driver.output(&TOTALS).read_key_values()["ada"], 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by_key(self) -> KGroupedStream<K, V>
    where
        K: Data,
        V: Data,
    {
        let (keys, values) = self.serdes();
        KGroupedStream::new(self.up, keys, values)
    }

    /// As [`group_by_key`](Self::group_by_key), with serdes of its own.
    pub fn group_by_key_with(self, grouped: Grouped<K, V>) -> KGroupedStream<K, V> {
        KGroupedStream::new(self.up, grouped.keys, grouped.values)
    }

    /// Groups records by a new key.
    ///
    /// Repartition: yes; the topic is called after [`named`](Self::named), else after the store of the aggregation. State: none yet.
    /// Null: `selector` sees it; aggregations drop null keys and values, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const SALES: Topic<String, (String, i64)> = Topic::new("sales");
    /// const PER_SHOP: Topic<String, i64> = Topic::new("per-shop");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&SALES).group_by(|_, (shop, _)| shop.clone()).count().to_stream().to(&PER_SHOP);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let sales = driver.input(&SALES);
    /// sales.pipe("ada", ("north".to_owned(), 5));
    /// sales.pipe("bob", ("north".to_owned(), 7));
    /// assert_eq!(driver.output(&PER_SHOP).read_key_values()["north"], 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by<K2: Data>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        V: Data,
    {
        self.try_group_by(move |key, value| sure(selector(key, value)))
    }

    /// As [`group_by`](Self::group_by), with a selector that may fail.
    pub fn try_group_by<K2: Data, E: Into<BoxError>>(
        self,
        selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        V: Data,
    {
        let values = self.values.clone().unwrap_or_else(|| Arc::new(Auto));
        self.grouped_by(selector, Arc::new(Auto), values)
    }

    /// As [`group_by`](Self::group_by), with serdes of its own.
    pub fn group_by_with<K2: 'static>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        grouped: Grouped<K2, V>,
    ) -> KGroupedStream<K2, V> {
        self.try_group_by_with(move |key, value| sure(selector(key, value)), grouped)
    }

    /// As [`group_by_with`](Self::group_by_with), with a selector that may fail.
    pub fn try_group_by_with<K2: 'static, E: Into<BoxError>>(
        self,
        selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
        grouped: Grouped<K2, V>,
    ) -> KGroupedStream<K2, V> {
        self.grouped_by(selector, grouped.keys, grouped.values)
    }

    fn grouped_by<K2: 'static, E: Into<BoxError>>(
        self,
        selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
        keys: SerdeRef<K2>,
        values: SerdeRef<V>,
    ) -> KGroupedStream<K2, V> {
        let grouped_name = self.up.pending.clone();
        let make = select_key(selector);
        let mut up = self.up.add_processor(names::KEY_SELECT, make, Changes::key::<K2, V>());
        up.pending = grouped_name;
        KGroupedStream::new(up, keys, values)
    }

    /// Makes a table of the stream: each record is the new row of its key.
    ///
    /// Key, value, time: those of the record. Repartition: if the key may have changed. State: a store, made only if somebody
    /// reads it. Null: records with a null key are dropped, counted; for values that may be null see
    /// [`to_table_opt`](Self::to_table_opt).
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const ROWS: Store<String, i64> = Store::new("rows");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to_table_with(&ROWS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// driver.input(&IN).pipe("a", 2);
    /// assert_eq!(driver.store(&ROWS).get(&"a".to_owned()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_table(self) -> KTable<K, V>
    where
        K: Data + Clone,
        V: Data + Clone,
    {
        self.to_table_with(Materialized::unnamed())
    }

    /// As [`to_table`](Self::to_table), with options for the table's store.
    pub fn to_table_with(self, materialized: impl Into<Materialized<K, V>>) -> KTable<K, V>
    where
        K: Data + Clone,
        V: Data + Clone,
    {
        let (keys, values) = self.serdes();
        let materialized = materialized.into();
        let values = materialized.rows(Some(values));
        self.into_table(materialized, keys, values.clone(), Some(values))
    }

    /// As [`to_table_with`](Self::to_table_with), with serdes for keys and values where `materialized` has none: for types that
    /// the default serdes cannot write. They serve the store, and the repartition topic if there is one.
    pub fn to_table_with_serdes(
        self,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        K: Clone,
        V: Clone,
    {
        let (keys, materialized): (SerdeRef<K>, _) = (Arc::new(keys), materialized.into());
        let values = materialized.rows(Some(Arc::new(values)));
        self.into_table(materialized, keys, values.clone(), Some(values))
    }

    /// The table of this stream. `values` is the serde of the stream's values.
    pub(super) fn into_table<T>(
        self,
        mut materialized: Materialized<K, T>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
        inherited: Option<SerdeRef<T>>,
    ) -> KTable<K, T>
    where
        K: Clone,
        V: Into<Option<T>>,
        T: Clone + 'static,
    {
        let named = self.up.pending.is_some();
        let name = self.up.graph().name_or(&self.up.pending, names::TO_TABLE);
        let keys = materialized.keys.take().unwrap_or(keys);
        let rows = materialized.rows(inherited);
        let (store, queryable) =
            materialize(&mut self.up.graph(), materialized, keys.clone(), rows.clone(), names::TO_TABLE);
        let store_name = store.spec.name.clone();
        let up = match self.up.repartition_required {
            false => self.up,
            true => {
                let repartition = self.up.graph().repartition_names(&name, named);
                let source = repartition.source.clone();
                let fork = self.up.fork.clone();
                let node = repartition_node(repartition, keys.clone(), values, None, None, true, fork);
                let id = self.up.graph().add(&[self.up.node], node);
                self.up.behind_repartition(id, source)
            }
        };
        let make = table_source::<K, V, T>(keys.clone(), store_name.clone());
        let versioned = store.is_versioned();
        let table = up.graph().add_table(TableKind::Source, Some(store), queryable);
        let fork = Fork::allowed::<K, streams_state::types::Change<T>>();
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.versioned = Some(versioned);
        let id = up.graph().add(&[up.node], node);
        KTable::stored(up.moved_to(id, name, fork, false), table, keys, Some(rows), store_name)
    }
}

impl<K: 'static, T: 'static> KStream<K, Option<T>> {
    /// Makes a table of a stream whose values may be null: null deletes the row. Else as [`to_table`](Self::to_table).
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, Option<i64>> = Topic::new("in");
    /// const ROWS: Store<String, i64> = Store::new("rows");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to_table_opt_with(&ROWS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// driver.input(&IN).pipe("a", None);
    /// assert_eq!(driver.store(&ROWS).get(&"a".to_owned()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_table_opt(self) -> KTable<K, T>
    where
        K: Data + Clone,
        T: Data + Clone,
    {
        self.to_table_opt_with(Materialized::unnamed())
    }

    /// As [`to_table_opt`](Self::to_table_opt), with options for the table's store.
    pub fn to_table_opt_with(self, materialized: impl Into<Materialized<K, T>>) -> KTable<K, T>
    where
        K: Data + Clone,
        T: Data + Clone,
    {
        let keys = self.keys.clone().unwrap_or_else(|| Arc::new(Auto));
        self.nullable_into_table(keys, materialized.into())
    }

    /// As [`to_table_opt_with`](Self::to_table_opt_with), with a serde for keys where `materialized` has none: for types that the
    /// default serdes cannot write. That of the values is `materialized`'s.
    pub fn to_table_opt_with_serde(
        self,
        keys: impl Serde<K>,
        materialized: impl Into<Materialized<K, T>>,
    ) -> KTable<K, T>
    where
        K: Clone,
        T: Clone,
    {
        self.nullable_into_table(Arc::new(keys), materialized.into())
    }

    fn nullable_into_table(self, keys: SerdeRef<K>, materialized: Materialized<K, T>) -> KTable<K, T>
    where
        K: Clone,
        T: Clone,
    {
        let own: SerdeRef<Option<T>> = Arc::new(Nullable(materialized.rows(None)));
        let values = self.values.clone().filter(|_| !materialized.has_own_values()).unwrap_or(own);
        self.into_table(materialized, keys, values, None)
    }
}

/// The factory of a table's node; it takes its store only if the plan says that there is one.
pub(crate) fn table_source<K, In, T>(keys: SerdeRef<K>, store_name: Arc<str>) -> MakeProcessor
where
    K: 'static,
    In: Into<Option<T>> + 'static,
    T: Clone + 'static,
{
    Arc::new(move |builder, children, plan: &Plan| {
        let outputs = plan.outputs(children)?;
        let (store, updates) = match plan.materialized {
            false => (None, Updates::AtOnce(outputs)),
            true => {
                let store = TableStore::open(builder, &plan.name, &store_name)?;
                let updates = store.updates(builder, &plan.name, &store_name, outputs, plan.send_old);
                (Some(store), updates)
            }
        };
        Ok(ErasedPush::handled::<K, In>(TableSource::<K, In, T> {
            name: plan.name.clone(),
            keys: NullCheck::new(&keys),
            store,
            send_old: plan.send_old,
            updates,
            input: PhantomData,
        }))
    })
}
