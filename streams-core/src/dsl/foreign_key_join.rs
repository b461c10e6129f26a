//! Foreign-key joins of `KTable`: each row with the row of another table that it points to.
//!
//! What is sent where: `operators/foreign_key`. Here are the calls, the names in Kafka Streams' order, and the graph:
//! the sub-topology of the left table ends in the registration topic and starts again behind the response topic, that
//! of the foreign table lies between them.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, SerdeRef};
use streams_state::types::Change;

use super::Data;
use super::graph::{
    Fork, Graph, GraphId, GraphKind, GraphNode, MakeProcessor, MakeSink, MakeSource, Plan, TableKind,
};
use super::materialize::materialize;
use super::names::foreign_key as prefixes;
use super::options::Materialized;
use super::stores::{GraphStore, subscription_store};
use super::stream_output::table_source;
use super::table::KTable;
use super::upstream::{Upstream, sink, source};
use crate::operators::{
    ForeignTableJoin, NullCheck, Nullable, PartitionChoice, Partitioner, Response, ResponseJoin,
    ResponseSerde, Subscription, SubscriptionJoin, SubscriptionReceive, SubscriptionSend, SubscriptionSerde,
};
use crate::processor::ErasedPush;
use crate::topology::SinkTopic;

/// Chooses a partition by topic, key and the topic's number of partitions; `None` leaves it to the default.
type KeyPartitioner<K> = Arc<dyn Fn(&str, &K, i32) -> Option<i32> + Send + Sync>;

/// Where the two internal topics of a foreign-key join put their records: needed if the tables' topics are
/// partitioned by something else than murmur2 of the key. The join is named with `.named(..)` on the left table.
///
/// ```
/// use streams_core::dsl::TableJoined;
/// let by_length = |_: &str, key: &String, partitions: i32| key.len() as i32 % partitions;
/// let joined: TableJoined<i64, String> = TableJoined::new().other_partitioner(by_length);
/// ```
pub struct TableJoined<K, KO> {
    partitioner: Option<KeyPartitioner<K>>,
    other_partitioner: Option<KeyPartitioner<KO>>,
}

impl<K, KO> Default for TableJoined<K, KO> {
    fn default() -> Self {
        Self { partitioner: None, other_partitioner: None }
    }
}

impl<K, KO> TableJoined<K, KO> {
    /// No options: subscriptions go by murmur2 of the foreign key, answers to the partition that the left row came from.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the left table's topic is partitioned: chooses the partition of an answer by topic, primary key and number of
    /// partitions. `None` leaves it to the default. Rarely needed, as answers find back by themselves.
    pub fn partitioner<C: Into<Option<i32>>>(
        mut self,
        partitioner: impl Fn(&str, &K, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(Arc::new(move |topic, key, count| partitioner(topic, key, count).into()));
        self
    }

    /// How the other table's topic is partitioned: chooses the partition of a subscription by topic, foreign key and number
    /// of partitions. `None` leaves it to the default.
    pub fn other_partitioner<C: Into<Option<i32>>>(
        mut self,
        partitioner: impl Fn(&str, &KO, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.other_partitioner =
            Some(Arc::new(move |topic, key, count| partitioner(topic, key, count).into()));
        self
    }

    /// The partitioner of the registration topic. A row without foreign key goes anywhere: it is only answered.
    fn of_subscriptions(&self) -> Option<Partitioner<Option<KO>, Subscription<K>>>
    where
        K: 'static,
        KO: 'static,
    {
        let partitioner = self.other_partitioner.clone()?;
        Some(Arc::new(move |topic, key: &Option<KO>, _: &Subscription<K>, count| {
            key.as_ref().and_then(|key| partitioner(topic, key, count)).into()
        }))
    }

    /// The partitioner of the response topic.
    fn of_responses<VO: 'static>(&self) -> Partitioner<K, Response<VO>>
    where
        K: 'static,
    {
        match self.partitioner.clone() {
            Some(partitioner) => Arc::new(move |topic, key: &K, _: &Response<VO>, count| {
                PartitionChoice::from(partitioner(topic, key, count))
            }),
            None => Arc::new(|_, _: &K, response: &Response<VO>, _| response.primary_partition.into()),
        }
    }
}

/// A join on its way into the graph: what its operators need to know.
struct ForeignKeyJoin<K, V, KO, VO, VR, F, J> {
    left: KTable<K, V>,
    other: KTable<KO, VO>,
    values: SerdeRef<V>,
    other_values: SerdeRef<VO>,
    foreign_key: Arc<F>,
    joiner: Arc<J>,
    left_join: bool,
    joined: TableJoined<K, KO>,
    materialized: Materialized<K, VR>,
}

/// The names of a join's parts, in the order in which Kafka Streams numbers them.
struct Names {
    registration_topic: Arc<str>,
    send: Arc<str>,
    registration_sink: Arc<str>,
    registration_source: Arc<str>,
    store: Arc<str>,
    receive: Arc<str>,
    subscription_join: Arc<str>,
    foreign_join: Arc<str>,
    response_topic: Arc<str>,
    response_sink: Arc<str>,
    response_source: Arc<str>,
    resolver: Arc<str>,
    result: Arc<str>,
}

impl Names {
    fn new(graph: &mut Graph, name: &Option<String>) -> Self {
        let mut next = |suffix: &str, prefix: &str| graph.name_with_suffix_or(name, suffix, prefix);
        let topic = |name: Arc<str>| -> Arc<str> { format!("{name}-topic").into() };
        Self {
            registration_topic: topic(next("-subscription-registration", prefixes::REGISTRATION)),
            send: next("-subscription-registration-processor", prefixes::REGISTRATION),
            registration_sink: next("-subscription-registration-sink", prefixes::SINK),
            registration_source: next("-subscription-registration-source", prefixes::SOURCE),
            store: next("-subscription-store", prefixes::STORE),
            receive: next("-subscription-receive", prefixes::PROCESSOR),
            subscription_join: next("-subscription-join-foreign", prefixes::PROCESSOR),
            foreign_join: next("-foreign-join-subscription", prefixes::PROCESSOR),
            response_topic: topic(next("-subscription-response", prefixes::RESPONSE)),
            response_sink: next("-subscription-response-sink", prefixes::SINK),
            response_source: next("-subscription-response-source", prefixes::SOURCE),
            resolver: next("-subscription-response-resolver", prefixes::RESOLVER),
            result: next("-result", prefixes::OUTPUT),
        }
    }
}

impl<K, V, KO, VO, VR, F, J> ForeignKeyJoin<K, V, KO, VO, VR, F, J>
where
    K: Clone + 'static,
    V: Clone + 'static,
    KO: 'static,
    VO: Clone + 'static,
    VR: Clone + 'static,
    F: Fn(&K, &V) -> Option<KO> + Send + Sync + 'static,
    J: Fn(&V, Option<&VO>) -> Option<VR> + Send + Sync + 'static,
{
    /// Adds the join to the graph.
    fn add(mut self) -> KTable<K, VR> {
        let same = self.left.up.check_same_builder(&self.other.up, "foreign-key join");
        let up = self.left.up.clone();
        let mut graph = up.graph();
        if same {
            graph.send_old_values(self.other.table, true);
        }
        graph.send_old_values(self.left.table, true);
        let names = Names::new(&mut graph, &up.pending);

        let send = add_processor(&mut graph, &[up.node], &names.send, self.send(), &[]);
        let registration = self.registration(&mut graph, send, &names);
        let response_sink = self.foreign_side(&mut graph, registration, &names, same);
        let response_source = add_internal_source(
            &mut graph,
            response_sink,
            &names.response_source,
            &names.response_topic,
            source::<K, Response<VO>>(
                self.left.keys.clone(),
                Arc::new(ResponseSerde(self.other_values.clone())),
                None,
            ),
        );
        let sources = graph.copartition_sources(&up.sources, std::slice::from_ref(&names.response_source));
        let connect = graph.table_stores(self.left.table);
        let resolver =
            add_processor(&mut graph, &[response_source], &names.resolver, self.resolver(), &connect);

        let keys = self.materialized.keys.take().unwrap_or_else(|| self.left.keys.clone());
        let rows = self.materialized.rows(None);
        let (store, queryable) =
            materialize(&mut graph, self.materialized, keys.clone(), rows.clone(), prefixes::OUTPUT);
        let store_name = store.spec.name.clone();
        let make = table_source::<K, Option<VR>, VR>(keys.clone(), store_name.clone());
        let table = graph.add_table(TableKind::Source, Some(store), queryable);
        let fork = Fork::allowed::<K, Change<VR>>();
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let id = graph.add(&[resolver], GraphNode::new(names.result.clone(), kind, fork.clone()));
        drop(graph);
        let up = Upstream::new(&up.graph, id, names.result, sources, fork);
        KTable::stored(up, table, keys, Some(rows), store_name)
    }

    /// The registration topic, from its sink to its source.
    fn registration(&self, graph: &mut Graph, send: GraphId, names: &Names) -> GraphId {
        let topic = &names.registration_topic;
        let keys: SerdeRef<Option<KO>> = Arc::new(Nullable(self.other.keys.clone()));
        let values: SerdeRef<Subscription<K>> = Arc::new(SubscriptionSerde(self.left.keys.clone()));
        let make = sink(topic.clone(), true, keys.clone(), values.clone(), self.joined.of_subscriptions());
        let sink = add_internal_sink(graph, &[send], &names.registration_sink, topic, make);
        let make = source(keys, values, None);
        add_internal_source(graph, sink, &names.registration_source, topic, make)
    }

    /// What happens in the sub-topology of the other table, up to the sink of the response topic.
    fn foreign_side(&self, graph: &mut Graph, source: GraphId, names: &Names, same: bool) -> GraphId {
        let others = if same { &self.other.up.sources[..] } else { &[] };
        graph.copartition_sources(others, std::slice::from_ref(&names.registration_source));
        let store = subscription_store(&names.store);
        let receive = add_processor_with(graph, source, &names.receive, self.receive(&names.store), &store);
        let connect = if same { graph.table_stores(self.other.table) } else { Vec::new() };
        let make = self.subscription_join();
        let subscription_join = add_processor(graph, &[receive], &names.subscription_join, make, &connect);
        let other = if same { self.other.up.node } else { receive };
        let make = self.foreign_join(&names.store);
        let foreign_join = add_processor_with(graph, other, &names.foreign_join, make, &store);

        let make = sink::<K, Response<VO>, Response<VO>>(
            names.response_topic.clone(),
            true,
            self.left.keys.clone(),
            Arc::new(ResponseSerde(self.other_values.clone())),
            Some(self.joined.of_responses()),
        );
        let parents = [subscription_join, foreign_join];
        add_internal_sink(graph, &parents, &names.response_sink, &names.response_topic, make)
    }

    fn send(&self) -> MakeProcessor {
        let (foreign_keys, values, left) = (self.other.keys.clone(), self.values.clone(), self.left_join);
        let foreign_key = self.foreign_key.clone();
        Arc::new(move |_, children, plan: &Plan| {
            Ok(ErasedPush::new::<K, Change<V>>(Box::new(SubscriptionSend {
                name: plan.name.clone(),
                foreign_key: foreign_key.clone(),
                foreign_keys: foreign_keys.clone(),
                foreign_null: NullCheck::new(&foreign_keys),
                values: values.clone(),
                left,
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
            })))
        })
    }

    fn receive(&self, store: &Arc<str>) -> MakeProcessor {
        let (keys, foreign_keys) = (self.left.keys.clone(), self.other.keys.clone());
        let store = store.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::new::<Option<KO>, Subscription<K>>(Box::new(SubscriptionReceive {
                name: plan.name.clone(),
                keys: keys.clone(),
                foreign_keys: foreign_keys.clone(),
                store: builder.store(&plan.name, &store)?,
                combined: Vec::new(),
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
            })))
        })
    }

    fn subscription_join(&self) -> MakeProcessor {
        let getter = self.other.getter.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::new::<Option<KO>, Subscription<K>>(Box::new(SubscriptionJoin {
                name: plan.name.clone(),
                foreign: getter(builder, &plan.name)?,
                outputs: plan.outputs::<K, Response<VO>>(children)?,
            })))
        })
    }

    fn foreign_join(&self, store: &Arc<str>) -> MakeProcessor {
        let (keys, foreign_keys) = (self.left.keys.clone(), self.other.keys.clone());
        let store = store.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::new::<KO, Change<VO>>(Box::new(ForeignTableJoin {
                name: plan.name.clone(),
                keys: keys.clone(),
                foreign_keys: foreign_keys.clone(),
                foreign_null: NullCheck::new(&foreign_keys),
                store: builder.store(&plan.name, &store)?,
                subscribers: Vec::new(),
                outputs: plan.outputs(children)?,
            })))
        })
    }

    fn resolver(&self) -> MakeProcessor {
        let (getter, values, join) = (self.left.getter.clone(), self.values.clone(), self.joiner.clone());
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::new::<K, Response<VO>>(Box::new(ResponseJoin {
                name: plan.name.clone(),
                left: getter(builder, &plan.name)?,
                values: values.clone(),
                join: join.clone(),
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
                response: PhantomData,
            })))
        })
    }
}

fn add_processor(
    graph: &mut Graph,
    parents: &[GraphId],
    name: &Arc<str>,
    make: MakeProcessor,
    connect: &[Arc<str>],
) -> GraphId {
    let kind = GraphKind::Processor { make, table: None, stores: Vec::new(), connect: connect.to_vec() };
    graph.add(parents, GraphNode::new(name.clone(), kind, Fork::default()))
}

fn add_processor_with(
    graph: &mut Graph,
    parent: GraphId,
    name: &Arc<str>,
    make: MakeProcessor,
    store: &GraphStore,
) -> GraphId {
    let kind = GraphKind::Processor { make, table: None, stores: vec![store.clone()], connect: Vec::new() };
    graph.add(&[parent], GraphNode::new(name.clone(), kind, Fork::default()))
}

fn add_internal_sink(
    graph: &mut Graph,
    parents: &[GraphId],
    name: &Arc<str>,
    topic: &Arc<str>,
    make: MakeSink,
) -> GraphId {
    let topic = SinkTopic::Static { name: topic.clone(), internal: true };
    graph.add(parents, GraphNode::new(name.clone(), GraphKind::Sink { topic, make }, Fork::default()))
}

fn add_internal_source(
    graph: &mut Graph,
    sink: GraphId,
    name: &Arc<str>,
    topic: &Arc<str>,
    make: MakeSource,
) -> GraphId {
    let kind = GraphKind::InternalSource { topic: topic.clone(), make };
    graph.add(&[sink], GraphNode::new(name.clone(), kind, Fork::default()))
}

impl<K, V> KTable<K, V>
where
    K: Clone + 'static,
    V: Data + Clone,
{
    /// Joins each row with the row of `other` that it points to: `foreign_key` takes the key of `other` from the value. Rows that
    /// point nowhere, or to a row that is not there, have no result.
    ///
    /// Key: that of the left row. Value: what `joiner` says. Time: that of the change that made the result, or of the other row
    /// if the left row changed and the other one is later. Repartition: two internal topics, one to where the other row lives and
    /// one back; the two tables need not have the same number of partitions. State: both tables' stores, and one with a row for
    /// each left row; the result has one only if somebody reads it or [`join_foreign_key_with`](Self::join_foreign_key_with)
    /// names one. Null: a foreign key `None` is dropped, counted; a row that is deleted or points elsewhere deletes its result.
    /// A result may be deleted that never was there.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<i64, (String, i64)> = Topic::new("orders");
    /// const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    /// const OUT: Topic<i64, Option<String>> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let customers = builder.table(&CUSTOMERS);
    /// builder
    ///     .table(&ORDERS)
    ///     .join_foreign_key(&customers, |(id, _)| id.clone(), |(_, cents), name| format!("{name}: {cents}"))
    ///     .to_stream()
    ///     .to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe(1, ("c7".to_owned(), 500));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada");
    /// driver.input(&ORDERS).pipe(2, ("c7".to_owned(), 40));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada L.");
    /// let results = driver.output(&OUT).read_key_values();
    /// assert_eq!(results[&1].as_deref(), Some("Ada L.: 500"));
    /// assert_eq!(results[&2].as_deref(), Some("Ada L.: 40"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: Into<Option<KO>>,
    {
        self.join_foreign_key_with_key(other, move |_, value| foreign_key(value), joiner)
    }

    /// As [`join_foreign_key`](Self::join_foreign_key), with the key of the row to look at, too.
    pub fn join_foreign_key_with_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: Into<Option<KO>>,
    {
        self.join_foreign_key_with(other, foreign_key, joiner, TableJoined::new(), Materialized::unnamed())
    }

    /// As [`join_foreign_key_with_key`](Self::join_foreign_key_with_key), with all options. The joiner may also return an
    /// `Option`: `None` is no result.
    pub fn join_foreign_key_with<KO, VO, VR, F, R>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> R + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
        materialized: impl Into<Materialized<K, VR>>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Clone + 'static,
        F: Into<Option<KO>>,
        R: Into<Option<VR>>,
    {
        let joiner = move |value: &V, other: Option<&VO>| other.and_then(|other| joiner(value, other).into());
        self.joined_foreign_key(other, foreign_key, joiner, false, joined, materialized.into())
    }

    /// Joins each row with the row of `other` that it points to; the joiner is told if there is none.
    ///
    /// As [`join_foreign_key`](Self::join_foreign_key), but each left row has a result: also one that points nowhere, which is not
    /// counted as dropped.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<i64, (Option<String>, i64)> = Topic::new("orders");
    /// const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    /// const OUT: Topic<i64, Option<String>> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let customers = builder.table(&CUSTOMERS);
    /// let label = |(_, cents): &(_, i64), name: Option<&String>| format!("{}: {cents}", name.map_or("?", |name| name));
    /// builder.table(&ORDERS).left_join_foreign_key(&customers, |(id, _)| id.clone(), label).to_stream().to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe(1, (None, 500));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada");
    /// driver.input(&ORDERS).pipe(1, (Some("c7".to_owned()), 500));
    /// let results: Vec<_> = driver.output(&OUT).read_all().into_iter().map(|(_, label)| label).collect();
    /// assert_eq!(results, [Some("?: 500".to_owned()), Some("Ada: 500".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: Into<Option<KO>>,
    {
        self.left_join_foreign_key_with_key(other, move |_, value| foreign_key(value), joiner)
    }

    /// As [`left_join_foreign_key`](Self::left_join_foreign_key), with the key of the row to look at, too.
    pub fn left_join_foreign_key_with_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: Into<Option<KO>>,
    {
        let materialized = Materialized::unnamed();
        self.left_join_foreign_key_with(other, foreign_key, joiner, TableJoined::new(), materialized)
    }

    /// As [`left_join_foreign_key_with_key`](Self::left_join_foreign_key_with_key), with all options. The joiner may also
    /// return an `Option`: `None` is no result.
    pub fn left_join_foreign_key_with<KO, VO, VR, F, R>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> R + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
        materialized: impl Into<Materialized<K, VR>>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Clone + 'static,
        F: Into<Option<KO>>,
        R: Into<Option<VR>>,
    {
        let joiner = move |value: &V, other: Option<&VO>| joiner(value, other).into();
        self.joined_foreign_key(other, foreign_key, joiner, true, joined, materialized.into())
    }

    fn joined_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> Option<VR> + Send + Sync + 'static,
        left_join: bool,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Data + Clone,
        VR: Clone + 'static,
        F: Into<Option<KO>>,
    {
        ForeignKeyJoin {
            values: self.values.clone().unwrap_or_else(|| Arc::new(Auto)),
            other_values: other.values.clone().unwrap_or_else(|| Arc::new(Auto)),
            other: other.clone(),
            left: self,
            foreign_key: Arc::new(move |key: &K, value: &V| foreign_key(key, value).into()),
            joiner: Arc::new(joiner),
            left_join,
            joined,
            materialized,
        }
        .add()
    }
}
