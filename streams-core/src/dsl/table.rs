//! `KTable`: the latest value of each key.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::types::Change;

use super::graph::{MakeProcessor, Plan, TableId, TableKind};
use super::materialized::Materialized;
use super::names;
use super::stream::KStream;
use super::table_derived::{Derivation, derived_store};
use super::upstream::{Changes, Upstream, operator};
use crate::error::{BoxError, NodeResult};
use crate::operators::{
    BoxGetter, FilterGetter, MapValuesGetter, Nullable, StoreGetter, TableFilter, TableMapValues, TableStore,
    ToStream,
};
use crate::outcome::Outcome;
use crate::processor::{ErasedPush, TaskBuilder};

/// Makes a getter of a table for a node.
pub(crate) type MakeGetter<K, V> =
    Arc<dyn Fn(&mut TaskBuilder<'_>, &str) -> NodeResult<BoxGetter<K, V>> + Send + Sync>;

/// A table: for each key of type `K` the latest value of type `V`. Values are never null: null deletes the row.
///
/// A table can be used any number of times; clones are the same table.
pub struct KTable<K, V> {
    pub(crate) up: Upstream,
    pub(crate) table: TableId,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: Option<SerdeRef<V>>,
    pub(crate) getter: MakeGetter<K, V>,
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            up: self.up.clone(),
            table: self.table,
            keys: self.keys.clone(),
            values: self.values.clone(),
            getter: self.getter.clone(),
        }
    }
}

impl<K: 'static, V: Clone + 'static> KTable<K, V> {
    /// A table whose rows are in the store `store`.
    pub(crate) fn stored(
        up: Upstream,
        table: TableId,
        keys: SerdeRef<K>,
        values: Option<SerdeRef<V>>,
        store: Arc<str>,
    ) -> Self {
        let getter: MakeGetter<K, V> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            Ok(Box::new(StoreGetter(TableStore::open(builder, node, &store)?)))
        });
        Self { up, table, keys, values, getter }
    }

    /// Names the operator that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.up.pending = Some(name.into());
        self
    }

    /// Name of the store that holds the rows, if the table has one that can be queried.
    pub fn queryable_store_name(&self) -> Option<String> {
        let graph = self.up.graph();
        let table = graph.table(self.table);
        let store = table.store.as_ref().filter(|_| table.materialized)?;
        let name = store.spec.name.to_string();
        // A generated name can be queried only where Kafka Streams says so: a join's.
        let queryable = matches!(table.kind, TableKind::Join { .. }) || !graph.unnamed.stores.contains(&name);
        queryable.then_some(name)
    }

    /// The changes of the table as a stream: the new value, `None` where a row was deleted.
    ///
    /// Key, time: those of the change. Repartition: no. State: none. Null: a deletion is a record with the value `None`. Which changes
    /// come depends on caching: with it (the default) the last one of each key at a commit, without it every one.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ROWS: Topic<String, i64> = Topic::new("rows");
    /// const CHANGES: Topic<String, Option<i64>> = Topic::new("changes");
    /// let builder = StreamsBuilder::new();
    /// builder.table(&ROWS).to_stream().to(&CHANGES);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ROWS).pipe("a", 1);
    /// driver.input(&ROWS).pipe_raw(Some(b"a"), None)?;
    /// assert_eq!(driver.output(&CHANGES).read_all()[1], ("a".to_owned(), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_stream(self) -> KStream<K, Option<V>> {
        let make = operator::<K, Change<V>, K, Option<V>, _>(|_, outputs| ToStream(outputs));
        let values = self.values.map(|values| Arc::new(Nullable(values)) as SerdeRef<Option<V>>);
        KStream {
            up: self.up.add_processor(names::TO_STREAM, make, Changes::Nothing),
            keys: Some(self.keys),
            values,
        }
    }

    /// As [`to_stream`](Self::to_stream), under a new key, which `selector` makes of key and new value. Repartition: yes, before the
    /// next grouping or join.
    pub fn to_stream_keyed<K2: 'static>(
        self,
        selector: impl Fn(&K, Option<&V>) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, Option<V>> {
        self.to_stream().select_key(move |key, value| selector(key, value.as_ref()))
    }

    /// As [`to_stream_keyed`](Self::to_stream_keyed), with a selector that may fail.
    pub fn try_to_stream_keyed<K2: 'static, E: Into<BoxError>>(
        self,
        selector: impl Fn(&K, Option<&V>) -> Result<K2, E> + Send + Sync + 'static,
    ) -> KStream<K2, Option<V>> {
        self.to_stream().try_select_key(move |key, value| selector(key, value.as_ref()))
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Keeps the rows for which `predicate` says yes. A row that no longer fits is deleted.
    ///
    /// Key, value, time: unchanged. Repartition: no. State: none; it is read through the table above unless
    /// [`filter_with`](Self::filter_with) names a store. Null: a deletion stays one.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const STOCK: Topic<String, i64> = Topic::new("stock");
    /// const LOW: Topic<String, i64> = Topic::new("low");
    /// let builder = StreamsBuilder::new();
    /// builder.table(&STOCK).filter(|_, pieces| *pieces < 10).to_stream().filter(|_, row| row.is_some()).to(&LOW);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&STOCK).pipe("bolt", 500);
    /// driver.input(&STOCK).pipe("nut", 5);
    /// assert_eq!(driver.output(&LOW).read_all(), [("nut".to_owned(), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V> {
        self.filtered(predicate, None)
    }

    /// As [`filter`](Self::filter), with a store of its own if `materialized` names one.
    pub fn filter_with<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V> {
        self.filtered(predicate, Some(materialized.into()))
    }

    /// Keeps the rows for which `predicate` says no; else as [`filter`](Self::filter).
    pub fn filter_not<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V> {
        self.filtered(move |key, value| predicate(key, value).map_value(|wanted| !wanted), None)
    }

    /// As [`filter_not`](Self::filter_not), with a store of its own if `materialized` names one.
    pub fn filter_not_with<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V> {
        let predicate = move |key: &K, value: &V| predicate(key, value).map_value(|wanted| !wanted);
        self.filtered(predicate, Some(materialized.into()))
    }

    fn filtered<F, R>(self, predicate: F, materialized: Option<Materialized<K, V>>) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> R + Send + Sync + 'static,
        R: Outcome<bool>,
    {
        let predicate = Arc::new(move |key: &K, value: &V| predicate(key, value).into_result());
        let parent = self.getter.clone();
        let inherited = self.values.clone();
        let through = predicate.clone();
        let getter: MakeGetter<K, V> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            Ok(Box::new(FilterGetter { parent: parent(builder, node)?, predicate: through.clone() }))
        });
        let versioned = self.up.graph().is_versioned(self.up.node);
        // Old values, where they come for free, spare needless deletes.
        let send_old = self.up.graph().send_old_values(self.table, false);
        let make = move |store: Option<Arc<str>>| -> MakeProcessor {
            let predicate = predicate.clone();
            Arc::new(move |builder, children, plan: &Plan| {
                let (store, updates) = derived_store::<K, V>(builder, children, plan, &store)?;
                Ok(ErasedPush::handled::<K, Change<V>>(TableFilter {
                    name: plan.name.clone(),
                    predicate: predicate.clone(),
                    store,
                    send_old: plan.send_old,
                    versioned,
                    updates,
                }))
            })
        };
        self.derived(Derivation {
            prefix: names::TABLE_FILTER,
            materialized,
            values: inherited,
            getter,
            send_old,
            make: &make,
            uses_number: true,
            connect: &[],
        })
    }

    /// Maps each row to another value.
    ///
    /// Key, time: unchanged. Value: what `mapper` says. Repartition: no. State: none; it is read through the table above, calling
    /// `mapper` each time, unless [`map_values_with`](Self::map_values_with) names a store. Null: a deletion stays one.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const STOCK: Topic<String, i64> = Topic::new("stock");
    /// const LABELS: Topic<String, String> = Topic::new("labels");
    /// let builder = StreamsBuilder::new();
    /// builder.table(&STOCK).map_values(|pieces| format!("{pieces} pieces")).to_stream().to(&LABELS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&STOCK).pipe("nut", 5);
    /// assert_eq!(driver.output(&LABELS).read_key_values()["nut"], "5 pieces");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values<V2: Clone + 'static>(
        self,
        mapper: impl Fn(&V) -> V2 + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.mapped(move |_: &K, value: &V| Some(mapper(value)), None)
    }

    /// As [`map_values`](Self::map_values), with a store of its own if `materialized` names one.
    pub fn map_values_with<V2: Clone + 'static>(
        self,
        mapper: impl Fn(&V) -> V2 + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V2>>,
    ) -> KTable<K, V2> {
        self.mapped(move |_: &K, value: &V| Some(mapper(value)), Some(materialized.into()))
    }

    /// Maps each row to another value, or to none: then the row is deleted. With the key to look at. Else as
    /// [`map_values`](Self::map_values).
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const STOCK: Topic<String, i64> = Topic::new("stock");
    /// const SCARCE: Topic<String, Option<String>> = Topic::new("scarce");
    /// let builder = StreamsBuilder::new();
    /// let scarce = builder.table(&STOCK).map_values_opt(|nut, left| (*left < 10).then(|| format!("{left} {nut}")));
    /// scarce.to_stream().to(&SCARCE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&STOCK).pipe("hazel", 7);
    /// driver.input(&STOCK).pipe("hazel", 70);
    /// let scarce = driver.output(&SCARCE).read_all();
    /// assert_eq!(scarce[0].1.as_deref(), Some("7 hazel"));
    /// assert_eq!(scarce[1].1, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values_opt<V2: Clone + 'static, R: Outcome<Option<V2>>>(
        self,
        mapper: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.mapped(mapper, None)
    }

    /// As [`map_values_opt`](Self::map_values_opt), with a store of its own if `materialized` names one.
    pub fn map_values_opt_with<V2: Clone + 'static, R: Outcome<Option<V2>>>(
        self,
        mapper: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V2>>,
    ) -> KTable<K, V2> {
        self.mapped(mapper, Some(materialized.into()))
    }

    fn mapped<V2, F, R>(self, mapper: F, materialized: Option<Materialized<K, V2>>) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, &V) -> R + Send + Sync + 'static,
        R: Outcome<Option<V2>>,
    {
        let mapper = Arc::new(move |key: &K, value: &V| mapper(key, value).into_result());
        let parent = self.getter.clone();
        let through = mapper.clone();
        let getter: MakeGetter<K, V2> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            Ok(Box::new(MapValuesGetter { parent: parent(builder, node)?, mapper: through.clone() }))
        });
        let make = move |store: Option<Arc<str>>| -> MakeProcessor {
            let mapper = mapper.clone();
            Arc::new(move |builder, children, plan: &Plan| {
                let (store, updates) = derived_store::<K, V2>(builder, children, plan, &store)?;
                Ok(ErasedPush::handled::<K, Change<V>>(TableMapValues {
                    name: plan.name.clone(),
                    mapper: mapper.clone(),
                    store,
                    send_old: plan.send_old,
                    updates,
                }))
            })
        };
        self.derived(Derivation {
            prefix: names::TABLE_MAP_VALUES,
            materialized,
            values: None,
            getter,
            send_old: false,
            make: &make,
            uses_number: true,
            connect: &[],
        })
    }
}
