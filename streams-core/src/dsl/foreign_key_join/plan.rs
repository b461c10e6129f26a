//! A foreign-key join in the graph: names in Kafka Streams' order, nodes, and what each node is made of.
//!
//! The sub-topology of the left table ends in the registration topic and starts again behind the response topic; that of
//! the foreign table lies between. Each internal topic is co-partitioned with the table that reads it, so the two tables
//! may differ in their numbers of partitions.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::types::Change;

use super::super::graph::{
    Fork, Graph, GraphId, GraphKind, GraphNode, MakeProcessor, MakeSink, MakeSource, Plan, TableKind,
};
use super::super::materialize::materialize;
use super::super::materialized::Materialized;
use super::super::names::foreign_key as prefixes;
use super::super::stores::{GraphStore, subscription_store};
use super::super::stream_output::table_source;
use super::super::table::KTable;
use super::super::upstream::{Upstream, sink, source};
use super::TableJoined;
use crate::error::BoxError;
use crate::operators::{
    AskAgain, ForeignTableJoin, NullCheck, Nullable, Response, ResponseJoin, ResponseSerde, Subscription,
    SubscriptionJoin, SubscriptionReceive, SubscriptionSend, SubscriptionSerde,
};
use crate::processor::ErasedPush;
use crate::topology::SinkTopic;

/// A join on its way into the graph: what its operators need to know.
pub(super) struct ForeignKeyJoin<K, V, KO, VO, VR, F, J> {
    pub(super) left: KTable<K, V>,
    pub(super) other: KTable<KO, VO>,
    pub(super) values: SerdeRef<V>,
    pub(super) other_values: SerdeRef<VO>,
    pub(super) foreign_key: Arc<F>,
    pub(super) joiner: Arc<J>,
    pub(super) left_join: bool,
    pub(super) joined: TableJoined<K, KO>,
    pub(super) materialized: Materialized<K, VR>,
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
    F: Fn(&K, &V) -> Result<Option<KO>, BoxError> + Send + Sync + 'static,
    J: Fn(&V, Option<&VO>) -> Result<Option<VR>, BoxError> + Send + Sync + 'static,
{
    /// Adds the join to the graph.
    pub(super) fn add(mut self) -> KTable<K, VR> {
        let same = self.left.up.check_same_builder(&self.other.up, "foreign-key join");
        let up = self.left.up.clone();
        let mut graph = up.graph();
        if same {
            graph.send_old_values(self.other.table, true);
        }
        graph.send_old_values(self.left.table, true);
        let names = Names::new(&mut graph, &up.pending);

        let versioned = graph.is_versioned(up.node);
        let send = add_processor(&mut graph, &[up.node], &names.send, self.send(versioned), &[]);
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
            add_processor(&mut graph, &[response_source], &names.resolver, self.resolver(&names), &connect);

        let keys = self.materialized.keys.take().unwrap_or_else(|| self.left.keys.clone());
        let rows = self.materialized.rows(None);
        let (store, queryable) =
            materialize(&mut graph, self.materialized, keys.clone(), rows.clone(), prefixes::OUTPUT);
        let store_name = store.spec.name.clone();
        let make = table_source::<K, Option<VR>, VR>(keys.clone(), store_name.clone());
        let versioned = store.is_versioned();
        let table = graph.add_table(TableKind::Source, Some(store), queryable);
        let fork = Fork::allowed::<K, Change<VR>>();
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let mut node = GraphNode::new(names.result.clone(), kind, fork.clone());
        node.versioned = Some(versioned);
        let id = graph.add(&[resolver], node);
        drop(graph);
        let up = Upstream::new(&up.graph, id, names.result, sources, fork);
        KTable::stored(up, table, keys, Some(rows), store_name)
    }

    /// The registration topic, from its sink to its source.
    fn registration(&self, graph: &mut Graph, send: GraphId, names: &Names) -> GraphId {
        let (topic, make) = (&names.registration_topic, self.registration_sink(names));
        let sink = add_internal_sink(graph, &[send], &names.registration_sink, topic, make);
        let (keys, values) = self.registration_serdes();
        add_internal_source(graph, sink, &names.registration_source, topic, source(keys, values, None))
    }

    fn registration_serdes(&self) -> (SerdeRef<Option<KO>>, SerdeRef<Subscription<K>>) {
        let keys = Arc::new(Nullable(self.other.keys.clone()));
        (keys, Arc::new(SubscriptionSerde(self.left.keys.clone())))
    }

    fn registration_sink(&self, names: &Names) -> MakeSink {
        let (keys, values) = self.registration_serdes();
        sink::<Option<KO>, Subscription<K>, Subscription<K>>(
            names.registration_topic.clone(),
            true,
            keys,
            values,
            self.joined.of_subscriptions(),
        )
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
        let make = self.foreign_join(&names.store, same && graph.is_versioned(other));
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

    fn send(&self, versioned: bool) -> MakeProcessor {
        let (foreign_keys, values, left) = (self.other.keys.clone(), self.values.clone(), self.left_join);
        let foreign_key = self.foreign_key.clone();
        Arc::new(move |_, children, plan: &Plan| {
            Ok(ErasedPush::handled::<K, Change<V>>(SubscriptionSend {
                name: plan.name.clone(),
                foreign_key: foreign_key.clone(),
                foreign_keys: foreign_keys.clone(),
                foreign_null: NullCheck::new(&foreign_keys),
                values: values.clone(),
                versioned,
                left,
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
            }))
        })
    }

    fn receive(&self, store: &Arc<str>) -> MakeProcessor {
        let (keys, foreign_keys) = (self.left.keys.clone(), self.other.keys.clone());
        let store = store.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<Option<KO>, Subscription<K>>(SubscriptionReceive {
                name: plan.name.clone(),
                keys: keys.clone(),
                foreign_keys: foreign_keys.clone(),
                store: builder.store(&plan.name, &store)?,
                combined: Vec::new(),
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
            }))
        })
    }

    fn subscription_join(&self) -> MakeProcessor {
        let getter = self.other.getter.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<Option<KO>, Subscription<K>>(SubscriptionJoin {
                name: plan.name.clone(),
                foreign: getter(builder, &plan.name)?,
                outputs: plan.outputs::<K, Response<VO>>(children)?,
            }))
        })
    }

    fn foreign_join(&self, store: &Arc<str>, versioned: bool) -> MakeProcessor {
        let (keys, foreign_keys) = (self.left.keys.clone(), self.other.keys.clone());
        let store = store.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<KO, Change<VO>>(ForeignTableJoin {
                name: plan.name.clone(),
                keys: keys.clone(),
                foreign_keys: foreign_keys.clone(),
                foreign_null: NullCheck::new(&foreign_keys),
                versioned,
                store: builder.store(&plan.name, &store)?,
                subscribers: Vec::new(),
                outputs: plan.outputs(children)?,
            }))
        })
    }

    fn resolver(&self, names: &Names) -> MakeProcessor {
        let (getter, values, join) = (self.left.getter.clone(), self.values.clone(), self.joiner.clone());
        let (foreign_key, foreign_keys) = (self.foreign_key.clone(), self.other.keys.clone());
        let ask_again = !self.left_join && self.joined.confirms_deletions();
        let registration = ask_again.then(|| self.registration_sink(names));
        let sink_name = names.registration_sink.clone();
        Arc::new(move |builder, children, plan: &Plan| {
            let ask_again = match &registration {
                Some(make) => Some(AskAgain {
                    foreign_key: foreign_key.clone(),
                    foreign_null: NullCheck::new(&foreign_keys),
                    registration: make(builder, &Plan { name: sink_name.clone(), ..plan.clone() })?
                        .typed(&sink_name)?,
                }),
                None => None,
            };
            Ok(ErasedPush::handled::<K, Response<VO>>(ResponseJoin {
                name: plan.name.clone(),
                left: getter(builder, &plan.name)?,
                values: values.clone(),
                join: join.clone(),
                ask_again,
                bytes: Vec::new(),
                outputs: plan.outputs(children)?,
                response: PhantomData,
            }))
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
