//! `StreamsBuilder`: where every topology begins.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::types::Change;

use super::global_table::GlobalKTable;
use super::graph::{Fork, Graph, GraphKind, GraphNode, GraphRef, SourcePart, TableKind, TableSourceNode};
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names;
use super::options::{Consumed, TopologyConfig};
use super::store_forms::lru_factory;
use super::stores::{StoreBuilder, shared_key_value_factory};
use super::stream::KStream;
use super::stream_output::table_source;
use super::supplied::Supplied;
use super::table::{KTable, MakeGetter};
use super::upstream::{Upstream, source};
use super::{lower, optimize};
use crate::operators::{GlobalGetter, Nullable};
use crate::processor::{StoreInstance, TaskBuilder};
use crate::topic::Topic;
use crate::topology::{StoreFactory, Topology, TopologyError};

/// Builds a topology out of streams and tables.
///
/// Generated names count operators in the order of the program, exactly as Kafka Streams does; a program moved
/// from there keeps its internal topics.
pub struct StreamsBuilder {
    pub(super) graph: GraphRef,
}

impl Default for StreamsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamsBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self { graph: Rc::new(RefCell::new(Graph::new())) }
    }

    /// A stream of a topic, which must exist.
    ///
    /// Key, value: as the topic's serdes read them. Time: Kafka's timestamp; a negative one stops the task. Null: dropped and counted
    /// for types that cannot be null. Bytes that do not parse go to the deserialization exception handler.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// driver.input(&IN).pipe_raw(Some(b"a"), None)?;
    /// assert_eq!((driver.output(&OUT).len(), driver.dropped()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream<K, V, KS, VS>(&self, topic: &Topic<K, V, KS, VS>) -> KStream<K, V>
    where
        K: 'static,
        V: 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.stream_with(&[topic], Consumed::new())
    }

    /// A stream of one or several topics of the same types, with options. No order between topics is kept. Else as
    /// [`stream`](Self::stream).
    ///
    /// ```
    /// # use streams_core::{dsl::{Consumed, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// const WEB: Topic<String, i64> = Topic::new("web");
    /// const SHOP: Topic<String, i64> = Topic::new("shop");
    /// const ALL: Topic<String, i64> = Topic::new("all");
    /// let builder = StreamsBuilder::new();
    /// builder.stream_with(&[&WEB, &SHOP], Consumed::new().named("sales").latest()).to(&ALL);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&WEB).pipe("a", 1);
    /// driver.input(&SHOP).pipe("a", 2);
    /// assert_eq!(driver.output(&ALL).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream_with<K, V, KS, VS>(
        &self,
        topics: &[&Topic<K, V, KS, VS>],
        consumed: Consumed<K, V>,
    ) -> KStream<K, V>
    where
        K: 'static,
        V: 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let mut graph = self.graph.borrow_mut();
        let name = graph.name_or(&consumed.name, names::SOURCE);
        let Some(first) = topics.first() else {
            graph.faults.push(format!("source `{name}` has no topic; name at least one"));
            drop(graph);
            return self.stream_with(&[&Topic::<K, V, KS, VS>::new("-")], Consumed::new());
        };
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (first.key_serde(), first.value_serde());
        let fork = Fork::default();
        let part = SourcePart {
            make: source(keys.clone(), values.clone(), consumed.extractor),
            fork: fork.clone(),
            children: Vec::new(),
        };
        let kind = GraphKind::Source {
            topics: topics.iter().map(|topic| topic.name().into()).collect(),
            pattern: None,
            reset: consumed.reset,
            parts: vec![part],
        };
        let node = graph.add(&[Graph::ROOT], GraphNode::new(name.clone(), kind, fork.clone()));
        drop(graph);
        let up = Upstream::new(&self.graph, node, name.clone(), [name].into(), fork);
        KStream { up, keys: Some(keys), values: Some(values) }
    }

    /// A table of a topic, which must exist and should be compacted: each record is the new row of its key, null deletes it.
    ///
    /// Key, value, time: those of the record. State: a store, made only if somebody reads it, with a changelog of its own unless
    /// `reuse.ktable.source.topics` lets the topic serve as one. Null: records with a null key are dropped and counted.
    ///
    /// ```
    /// # use streams_core::{dsl::{Consumed, StreamsBuilder}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const ROWS: Topic<String, i64> = Topic::new("rows");
    /// const KEPT: Store<String, i64> = Store::new("kept");
    /// let builder = StreamsBuilder::new();
    /// builder.table_with(&ROWS, Consumed::new(), &KEPT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ROWS).pipe("a", 1);
    /// assert_eq!(driver.store(&KEPT).get(&"a".to_owned()), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn table<K, V, KS, VS>(&self, topic: &Topic<K, V, KS, VS>) -> KTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.table_of(topic, Consumed::new(), Materialized::of_topic(topic))
    }

    /// As [`table`](Self::table), with options. The values of the topic are `Option`s: a timestamp extractor sees deletions, too.
    pub fn table_with<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.table_of(topic, consumed, materialized.into())
    }

    /// As [`table`](Self::table), with options for reading the topic; the store has a generated name.
    pub fn table_consumed<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
    ) -> KTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.table_of(topic, consumed, Materialized::of_topic(topic))
    }

    fn table_of<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let rows = materialized.rows(Some(topic.value_serde()));
        let added = self.add_table(topic, consumed, materialized, None);
        let AddedTable { up, table, store, keys } = added;
        KTable::stored(up, table, keys, Some(rows), store)
    }

    /// A table of a topic of which every instance has all rows. See [`join_global`](KStream::join_global) for a join with it.
    ///
    /// Key, value, time: those of the record. Repartition: never. State: a store with a generated name, one copy for all threads, fed
    /// by a thread of its own; no changelog, the topic serves as one. Null: null deletes the row; a null key is dropped.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const RATES: Topic<String, i64> = Topic::new("rates");
    /// let builder = StreamsBuilder::new();
    /// let rates = builder.global_table(&RATES);
    /// let rows: Store<String, i64> = Store::named(rates.queryable_store_name());
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&RATES).pipe("eur", 3);
    /// assert_eq!(driver.store(&rows).get(&"eur".to_owned()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn global_table<K, V, KS, VS>(&self, topic: &Topic<K, V, KS, VS>) -> GlobalKTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.global_table_of(topic, Consumed::new(), Materialized::of_topic(topic))
    }

    /// As [`global_table`](Self::global_table), with options for reading the topic; the store has a generated name.
    pub fn global_table_consumed<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
    ) -> GlobalKTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.global_table_of(topic, consumed, Materialized::of_topic(topic))
    }

    /// As [`global_table`](Self::global_table), with options. `materialized` must name the store.
    pub fn global_table_with<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
        materialized: impl Into<Materialized<K, V>>,
    ) -> GlobalKTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let materialized = materialized.into();
        if materialized.options.name.is_none() {
            let fault = format!(
                "the global table of `{}` needs a store name in its Materialized; make it from a `Store`",
                topic.name()
            );
            self.graph.borrow_mut().faults.push(fault);
        }
        self.global_table_of(topic, consumed, materialized)
    }

    fn global_table_of<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
        materialized: Materialized<K, V>,
    ) -> GlobalKTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let keys = materialized.keys.clone().unwrap_or_else(|| topic.key_serde());
        let rows = materialized.rows(Some(topic.value_serde()));
        let shared = match materialized.options.supplied {
            Some(Supplied::Lru(max_rows)) => {
                lru_factory(keys, rows, max_rows, true, StoreInstance::shareable)
            }
            Some(Supplied::Window(_) | Supplied::Session(_) | Supplied::Headers) | None => {
                shared_key_value_factory(keys, rows, true)
            }
        };
        let materialized = materialized.logging(false).caching(false);
        let AddedTable { up, store, keys, .. } = self.add_table(topic, consumed, materialized, Some(shared));
        let name = store.clone();
        let getter: MakeGetter<K, V> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            Ok(Box::new(GlobalGetter(builder.global_store(node, &name)?)))
        });
        GlobalKTable { up, keys, getter, store }
    }

    /// Adds source and node of a table.
    fn add_table<K, V, KS, VS>(
        &self,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, Option<V>>,
        mut materialized: Materialized<K, V>,
        shared: Option<StoreFactory>,
    ) -> AddedTable<K>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let mut graph = self.graph.borrow_mut();
        let keys = materialized.keys.take().unwrap_or_else(|| topic.key_serde());
        let rows = materialized.rows(Some(topic.value_serde()));
        let prefix = format!("{}-", topic.name());
        let (mut store, named) = materialize(&mut graph, materialized, keys.clone(), rows, &prefix);
        let global = shared.is_some();
        store.spec.global = global;
        if let Some(factory) = shared {
            store.spec.factory = factory;
        }
        let versioned = store.is_versioned();
        if versioned && global {
            graph.faults.push(format!(
                "the global table of `{}` cannot be versioned; leave out `versioned`, or read the topic with `table`",
                topic.name()
            ));
        }
        let store_name = store.spec.name.clone();
        let source_name = graph.name_with_suffix_or(&consumed.name, "-source", names::SOURCE);
        let name = graph.name_or(&consumed.name, names::TABLE_SOURCE);
        let table = graph.add_table(TableKind::Source, Some(store), named || global);
        let node = TableSourceNode {
            source_name: source_name.clone(),
            topic: topic.name().into(),
            reset: consumed.reset,
            make_source: source::<K, Option<V>>(
                topic.key_serde(),
                Arc::new(Nullable(topic.value_serde())),
                consumed.extractor,
            ),
            make: table_source::<K, Option<V>, V>(keys.clone(), store_name.clone()),
            table,
            global,
            reuse_topic: false,
        };
        let fork = Fork::allowed::<K, Change<V>>();
        let mut node = GraphNode::new(name.clone(), GraphKind::TableSource(node), fork.clone());
        node.versioned = Some(versioned);
        let node = graph.add(&[Graph::ROOT], node);
        drop(graph);
        let up = Upstream::new(&self.graph, node, name, [source_name].into(), fork);
        AddedTable { up, table, store: store_name, keys }
    }

    /// Adds a store that processors connect to by name.
    ///
    /// ```
    /// use streams_core::dsl::{Stores, StreamsBuilder};
    /// use streams_core::topic::Store;
    ///
    /// const SEEN: Store<String, i64> = Store::new("seen");
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::key_value(&SEEN));
    /// ```
    pub fn add_state_store(&self, store: StoreBuilder) {
        self.graph.borrow_mut().add_state_store(store.0);
    }

    /// The topology, without optimizations.
    ///
    /// # Errors
    /// Everything that is wrong with it, one sentence each.
    pub fn build(&self) -> Result<Topology, TopologyError> {
        self.build_with(TopologyConfig::default())
    }

    /// The topology, as `config` says: a [`TopologyConfig`], or the application's whole
    /// [`StreamsConfig`](crate::config::StreamsConfig).
    ///
    /// ```
    /// # use streams_core::{config::*, dsl::StreamsBuilder, topic::Topic};
    /// # let builder = StreamsBuilder::new();
    /// # builder.table(&Topic::<String, i64>::new("rows"));
    /// let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    /// config.topology_optimization = TopologyOptimization::ALL;
    /// let topology = builder.build_with(&config)?;
    /// # Ok::<(), streams_core::topology::TopologyError>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it, one sentence each.
    pub fn build_with(&self, config: impl Into<TopologyConfig>) -> Result<Topology, TopologyError> {
        let config = &config.into();
        let mut graph = self.graph.borrow().clone();
        optimize::optimize(&mut graph, config);
        let mut faults = std::mem::take(&mut graph.faults);
        if config.ensure_explicit_naming {
            faults.extend(graph.unnamed.faults());
        } else {
            graph.unnamed.warn();
        }
        if graph.mixed {
            // Ids of two builders stand in it: looking further would find faults that are none.
            return Err(TopologyError { faults });
        }
        lower::lower(&graph, config, faults)
    }
}

/// What `add_table` made.
struct AddedTable<K> {
    up: Upstream,
    table: super::graph::TableId,
    store: Arc<str>,
    keys: SerdeRef<K>,
}
