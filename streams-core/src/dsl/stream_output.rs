//! `KStream` out of the sub-topology: topics, repartitions, groups, tables.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};
use streams_state::types::RecordContext;

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, MakeSink, Plan, TableKind};
use super::grouped::KGroupedStream;
use super::materialize::materialize;
use super::names;
use super::options::{Grouped, Materialized, Produced, Repartitioned};
use super::stream::{KStream, sure};
use super::stream_try::select_key;
use super::table::KTable;
use super::upstream::{Changes, repartition_node, sink};
use crate::operators::{Destination, NullCheck, Nullable, Sink, TableSource, TopicExtractor, Updates};
use crate::processor::ErasedPush;
use crate::topic::Topic;
use crate::topology::SinkTopic;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Writes the stream to a topic, which must exist, and ends it. `None` is written as null.
    pub fn to<T, KS, VS>(self, topic: &Topic<K, T, KS, VS>)
    where
        V: Into<Option<T>>,
        T: 'static,
        KS: Serde<K> + Default,
        VS: Serde<T> + Default,
    {
        self.to_with(topic, Produced::new());
    }

    /// As [`to`](Self::to), with options.
    pub fn to_with<T, KS, VS>(self, topic: &Topic<K, T, KS, VS>, produced: Produced<K, V>)
    where
        V: Into<Option<T>>,
        T: 'static,
        KS: Serde<K> + Default,
        VS: Serde<T> + Default,
    {
        let name: Arc<str> = topic.name().into();
        let make = sink::<K, V, T>(
            name.clone(),
            false,
            topic.key_serde(),
            topic.value_serde(),
            produced.partitioner,
        );
        self.add_sink(SinkTopic::Static { name, internal: false }, make);
    }

    /// Writes each record to the topic that `extractor` names. The topics must exist.
    pub fn to_extractor(self, extractor: impl Fn(&K, &V, &RecordContext) -> String + Send + Sync + 'static)
    where
        K: Data,
        V: Data,
    {
        self.to_extractor_as(std::any::type_name_of_val(&extractor).to_owned(), extractor);
    }

    /// As [`to_extractor`](Self::to_extractor); `describe()` shows the extractor as `label`.
    pub fn to_extractor_as(
        self,
        label: impl Into<String>,
        extractor: impl Fn(&K, &V, &RecordContext) -> String + Send + Sync + 'static,
    ) where
        K: Data,
        V: Data,
    {
        let (keys, values) = self.serdes();
        let extractor: TopicExtractor<K, V> = Arc::new(extractor);
        let make: MakeSink = Arc::new(move |_, plan: &Plan| {
            Ok(ErasedPush::new::<K, V>(Box::new(Sink::<K, V, V> {
                name: plan.name.clone(),
                destination: Destination::Extractor(extractor.clone()),
                keys: keys.clone(),
                values: values.clone(),
                partitioner: None,
            })))
        });
        self.add_sink(SinkTopic::Dynamic(label.into().into()), make);
    }

    fn add_sink(self, topic: SinkTopic, make: MakeSink) {
        let mut graph = self.up.graph();
        let name = graph.name_or(&self.up.pending, names::SINK);
        let node = GraphNode::new(name, GraphKind::Sink { topic, make }, Fork::default());
        graph.add(&[self.up.node], node);
    }

    /// Sends the stream through a topic of its own, so that records of a key meet in one partition.
    pub fn repartition(self) -> KStream<K, V>
    where
        K: Data,
        V: Data,
    {
        let (keys, values) = self.serdes();
        self.through_repartition(keys, values, Repartitioned::new())
    }

    /// As [`repartition`](Self::repartition), with options.
    pub fn repartition_with(self, repartitioned: Repartitioned<K, V>) -> KStream<K, V>
    where
        K: Data,
        V: Data,
    {
        let (keys, values) = repartitioned.serdes.clone().unwrap_or_else(|| self.serdes());
        self.through_repartition(keys, values, repartitioned)
    }

    fn through_repartition(
        self,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
        repartitioned: Repartitioned<K, V>,
    ) -> KStream<K, V> {
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

    /// Groups records by their key. Repartitions first if the key may have changed.
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

    /// Groups records by a new key. Repartitions.
    pub fn group_by<K2: Data>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
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
        self.grouped_by(selector, grouped.keys, grouped.values)
    }

    fn grouped_by<K2: 'static>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        keys: SerdeRef<K2>,
        values: SerdeRef<V>,
    ) -> KGroupedStream<K2, V> {
        let grouped_name = self.up.pending.clone();
        let make = select_key(move |key: &K, value: &V| sure(selector(key, value)));
        let mut up = self.up.add_processor(names::KEY_SELECT, make, Changes::key::<K2, V>());
        up.pending = grouped_name;
        KGroupedStream::new(up, keys, values)
    }

    /// Makes a table of the stream: each record is the new row of its key.
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
        self.into_table(materialized.into(), keys, values.clone(), Some(values))
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
        let table = up.graph().add_table(TableKind::Source, Some(store), queryable);
        let fork = Fork::allowed::<K, streams_state::types::Change<T>>();
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let id = up.graph().add(&[up.node], GraphNode::new(name.clone(), kind, fork.clone()));
        KTable::stored(up.moved_to(id, name, fork, false), table, keys, Some(rows), store_name)
    }
}

impl<K: 'static, T: 'static> KStream<K, Option<T>> {
    /// Makes a table of a stream whose values may be null: null deletes the row.
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
        let materialized = materialized.into();
        let keys = self.keys.clone().unwrap_or_else(|| Arc::new(Auto));
        let values = self.values.clone().unwrap_or_else(|| Arc::new(Nullable(materialized.rows(None))));
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
                let store = builder.store(&plan.name, &store_name)?;
                let updates = Updates::new(builder, &plan.name, &store, &store_name, outputs, plan.send_old);
                (Some(store), updates)
            }
        };
        Ok(ErasedPush::new::<K, In>(Box::new(TableSource::<K, In, T> {
            name: plan.name.clone(),
            keys: NullCheck::new(&keys),
            store,
            send_old: plan.send_old,
            updates,
            input: PhantomData,
        })))
    })
}
