//! The low-level way to a topology: Kafka Streams' `Topology`, node by node, for what the DSL has no word for.
//!
//! Methods of [`Topology`]. Sources and processors give a [`NodeRef`], which knows the types of what they forward, so
//! that a child which takes something else does not compile; the others give the topology. None of them fails: each goes on as
//! if it were right, and [`Topology::validate`] lists all faults.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::options::{Consumed, Produced};
use super::{Data, StoreBuilder};
use crate::operators::{
    Destination, Partitioner, Sink, SinkSerdes, Source, Timestamps, TopicExtractor, make_processor,
};
use crate::outcome::Outcome;
use crate::processor::{Child, ErasedPush, Outputs, Processor, ProcessorSupplier, connected_stores};
use crate::record::SinkContext;
use crate::topic::Topic;
use crate::topology::{
    Node, NodeId, NodeKind, SinkTopic, SourceFactory, SourceTopic, StoreId, StoreSpec, Topology,
};

/// A source or processor that was added to a [`Topology`]: what its children name as their parent. `K` and `V` are the
/// types that it forwards.
pub struct NodeRef<K, V> {
    pub(super) id: NodeId,
    pub(super) name: Arc<str>,
    pub(super) types: PhantomData<fn(K, V)>,
}

impl<K, V> NodeRef<K, V> {
    /// Name of the node.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K, V> Clone for NodeRef<K, V> {
    fn clone(&self) -> Self {
        Self { id: self.id, name: self.name.clone(), types: PhantomData }
    }
}

impl Topology {
    /// Adds a source that reads `topics`, all with the same types.
    ///
    /// ```
    /// use streams_core::dsl::Stores;
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    /// use streams_core::topology::Topology;
    ///
    /// const WORDS: Topic<String, String> = Topic::new("words");
    /// const FIRSTS: Topic<String, String> = Topic::new("firsts");
    /// const SEEN: Store<String, i64> = Store::new("seen");
    ///
    /// /// Forwards a word when it comes for the first time.
    /// struct First;
    ///
    /// impl Processor<String, String, String, String> for First {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, String>,
    ///         record: Record<String, String>,
    ///     ) -> Result<(), BoxError> {
    ///         let seen = context.store(&SEEN)?;
    ///         if seen.borrow_mut().get(&record.value)?.is_some() {
    ///             return Ok(());
    ///         }
    ///         let (time, at) = (record.timestamp, context.record_context());
    ///         seen.borrow_mut().put(&record.value, Some(time), time, at)?;
    ///         Ok(context.forward(record)?)
    ///     }
    /// }
    ///
    /// let mut topology = Topology::new();
    /// let words = topology.add_source("words-in", &[&WORDS]);
    /// let first = topology.add_processor("first", || First, &[&words]);
    /// topology.add_state_store(Stores::key_value(&SEEN), &["first"]).add_sink("firsts-out", &FIRSTS, &[&first]);
    ///
    /// let driver = TopologyTestDriver::new(topology)?;
    /// let (input, output) = (driver.input(&WORDS), driver.output(&FIRSTS));
    /// input.pipe("k", "one");
    /// input.pipe("k", "one");
    /// input.pipe("k", "two");
    /// assert_eq!(output.read_all(), [("k".into(), "one".into()), ("k".into(), "two".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Faults, told by [`validate`](Self::validate): no topic, a topic that is read already, or a name that is taken.
    pub fn add_source<K, V, KS, VS>(&mut self, name: &str, topics: &[&Topic<K, V, KS, VS>]) -> NodeRef<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.add_source_with(name, topics, Consumed::new())
    }

    /// As [`add_source`](Self::add_source), with options: where to start, and how event time is found. The name in
    /// `consumed` is not used.
    pub fn add_source_with<K, V, KS, VS>(
        &mut self,
        name: &str,
        topics: &[&Topic<K, V, KS, VS>],
        consumed: Consumed<K, V>,
    ) -> NodeRef<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let node: Arc<str> = name.into();
        let none = Topic::<K, V, KS, VS>::new("");
        let first = topics.first().copied().unwrap_or(&none);
        let (keys, values) = (first.key_serde(), first.value_serde());
        let factory = source_factory(node.clone(), keys, values, consumed.extractor);
        let topics =
            topics.iter().map(|topic| SourceTopic { name: topic.name().into(), internal: false }).collect();
        let id = self.add_source_node(node.clone(), topics, consumed.reset, factory);
        NodeRef { id, name: node, types: PhantomData }
    }

    /// Adds a processor below `parents`: one instance per task, made by `supplier`. See [`add_source`](Self::add_source) for an
    /// example of a whole topology.
    ///
    /// Faults, told by [`validate`](Self::validate): no parent, a parent of another topology, or a name that is taken.
    pub fn add_processor<P, KIn, VIn, KOut, VOut>(
        &mut self,
        name: &str,
        supplier: impl ProcessorSupplier<P>,
        parents: &[&NodeRef<KIn, VIn>],
    ) -> NodeRef<KOut, VOut>
    where
        P: Processor<KIn, VIn, KOut, VOut> + 'static,
        KIn: 'static,
        VIn: 'static,
        KOut: Clone + 'static,
        VOut: Clone + 'static,
    {
        let parents = self.parents(name, parents);
        let node: Arc<str> = name.into();
        let factory = {
            let name = node.clone();
            Arc::new(move |builder: &mut crate::processor::TaskBuilder<'_>, children: Vec<Child>| {
                let names = std::mem::take(&mut builder.connected);
                let stores = connected_stores(builder, &name, &names)?;
                let outputs = Outputs::new(children, Some(Outputs::<KOut, VOut>::copy_of))?;
                Ok(make_processor::<P, KIn, VIn, KOut, VOut>(
                    builder,
                    name.clone(),
                    supplier.get(),
                    stores,
                    outputs,
                ))
            })
        };
        let id = self.add_processor_node(node.clone(), &parents, &[], factory);
        NodeRef { id, name: node, types: PhantomData }
    }

    /// Adds a sink below `parents` that writes `topic`, which must exist. `None` is written as null.
    ///
    /// Faults, told by [`validate`](Self::validate): no parent, a parent of another topology, or a name that is taken.
    pub fn add_sink<K, V, T, KS, VS>(
        &mut self,
        name: &str,
        topic: &Topic<K, T, KS, VS>,
        parents: &[&NodeRef<K, V>],
    ) -> &mut Self
    where
        K: 'static,
        V: Into<Option<T>> + 'static,
        T: 'static,
        KS: Serde<K> + Default,
        VS: Serde<T> + Default,
    {
        self.add_sink_with(name, topic, Produced::new(), parents)
    }

    /// As [`add_sink`](Self::add_sink), with options.
    pub fn add_sink_with<K, V, T, KS, VS>(
        &mut self,
        name: &str,
        topic: &Topic<K, T, KS, VS>,
        produced: Produced<K, V>,
        parents: &[&NodeRef<K, V>],
    ) -> &mut Self
    where
        K: 'static,
        V: Into<Option<T>> + 'static,
        T: 'static,
        KS: Serde<K> + Default,
        VS: Serde<T> + Default,
    {
        let written = Written {
            topic: SinkTopic::Static { name: topic.name().into(), internal: false },
            extractor: None,
            keys: topic.key_serde(),
            values: topic.value_serde(),
            partitioner: produced.partitioner,
        };
        self.add_written(name, written, parents)
    }

    /// Adds a sink below `parents` that writes each record to the topic that `extractor` names. The topics must exist.
    /// `describe()` shows the extractor as `label`.
    pub fn add_sink_extractor<K: Data, V: Data, R: Outcome<String>>(
        &mut self,
        name: &str,
        label: &str,
        extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
        parents: &[&NodeRef<K, V>],
    ) -> &mut Self {
        self.add_sink_extractor_with(name, label, extractor, (Auto, Auto), Produced::new(), parents)
    }

    /// As [`add_sink_extractor`](Self::add_sink_extractor), with the serdes of keys and values and options.
    pub fn add_sink_extractor_with<K: 'static, V: 'static, R: Outcome<String>>(
        &mut self,
        name: &str,
        label: &str,
        extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
        (keys, values): (impl Serde<K>, impl Serde<V>),
        produced: Produced<K, V>,
        parents: &[&NodeRef<K, V>],
    ) -> &mut Self {
        let written = Written {
            topic: SinkTopic::Dynamic(label.into()),
            extractor: Some(Arc::new(move |key, value, context| {
                extractor(key, value, context).into_result()
            })),
            keys: Arc::new(keys),
            values: Arc::new(values),
            partitioner: produced.partitioner,
        };
        self.add_written::<K, V, V>(name, written, parents)
    }

    /// Adds a store and connects it to the processors of these names, which were added before. A store that no processor uses is
    /// not made. Clones of one builder are one store, and may be added again.
    ///
    /// Faults, told by [`validate`](Self::validate): another store of this name, or a name that is no processor's.
    pub fn add_state_store(&mut self, store: StoreBuilder, processors: &[&str]) -> &mut Self {
        let spec = store.into_spec();
        let same = |known: &StoreSpec| known.name == spec.name && Arc::ptr_eq(&known.factory, &spec.factory);
        let id = match self.stores.iter().position(same) {
            Some(index) => StoreId(index as u32),
            None => self.add_store(spec),
        };
        processors.iter().for_each(|processor| self.connect(processor, &[id]));
        self
    }

    /// Lets a processor use stores; all of them were added before. Processors that share a store run in one task.
    ///
    /// Faults, told by [`validate`](Self::validate): a name that is no processor's or no store's.
    pub fn connect_processor_and_state_stores(&mut self, processor: &str, stores: &[&str]) -> &mut Self {
        if stores.is_empty() {
            self.note(format!("`{processor}` shall use stores, but none is named; name at least one"), None);
        }
        let mut known = Vec::new();
        for name in stores {
            match self.find_store(name) {
                Some(store) => known.push(store),
                None => self.note(
                    format!(
                        "store `{name}`, which `{processor}` shall use, is unknown; add it first with `add_state_store`"
                    ),
                    None,
                ),
            }
        }
        self.connect(processor, &known);
        self
    }

    fn connect(&mut self, processor: &str, stores: &[StoreId]) {
        // Where nodes share a name, which is a fault of its own, the processor is meant.
        let is_processor =
            |node: &Node| &*node.name == processor && matches!(node.kind, NodeKind::Processor { .. });
        let found = self.nodes.iter().position(is_processor).map(|index| NodeId(index as u32));
        match (found.or_else(|| self.find_node(processor)), stores) {
            (Some(node), stores) => {
                stores.iter().for_each(|store| self.connect_processor_and_store(node, *store));
            }
            (None, []) => {}
            (None, stores) => {
                let names: Vec<String> =
                    stores.iter().map(|store| format!("`{}`", self.store(*store).name)).collect();
                let names = names.join(" and ");
                self.note(
                    format!("processor `{processor}`, which shall use {names}, is unknown; add it first"),
                    None,
                );
            }
        }
    }

    /// Those of `parents` that are nodes of this topology, for the node `name`, which is added next. Others are noted.
    fn parents<K, V>(&mut self, name: &str, parents: &[&NodeRef<K, V>]) -> Vec<NodeId> {
        let child = self.next_node();
        let mut known = Vec::new();
        for parent in parents {
            let own = self.nodes.get(parent.id.0 as usize);
            match own.is_some_and(|node| Arc::ptr_eq(&node.name, &parent.name)) {
                true => known.push(parent.id),
                false => self.note(
                    format!(
                        "the parent `{}` of `{name}` is a node of another topology; add it to this one",
                        parent.name
                    ),
                    Some(child),
                ),
            }
        }
        known
    }

    fn add_written<K, V, T>(
        &mut self,
        name: &str,
        written: Written<K, V, T>,
        parents: &[&NodeRef<K, V>],
    ) -> &mut Self
    where
        K: 'static,
        V: Into<Option<T>> + 'static,
        T: 'static,
    {
        let parents = self.parents(name, parents);
        let node: Arc<str> = name.into();
        let Written { topic, extractor, keys, values, partitioner } = written;
        let (fixed, sink) = (topic.clone(), node.clone());
        let factory = Arc::new(move |builder: &mut crate::processor::TaskBuilder<'_>| {
            let destination = match (&extractor, &fixed) {
                (Some(extractor), _) => {
                    Destination::Extractor(extractor.clone(), builder.context.outbox.writer())
                }
                (None, SinkTopic::Static { name, .. } | SinkTopic::Dynamic(name)) => {
                    Destination::Topic(builder.context.outbox.topic(name))
                }
            };
            Ok(ErasedPush::handled::<K, V>(Sink::<K, V, T> {
                name: sink.clone(),
                destination,
                serdes: SinkSerdes::new(keys.clone(), values.clone()),
                partitioner: partitioner.clone(),
                by_base_key: false,
            }))
        });
        self.add_sink_node(node, &parents, topic, factory);
        self
    }
}

/// What a sink writes with.
struct Written<K, V, T> {
    topic: SinkTopic,
    extractor: Option<TopicExtractor<K, V>>,
    keys: SerdeRef<K>,
    values: SerdeRef<T>,
    partitioner: Option<Partitioner<K, V>>,
}

/// Makes a source whose children may be several.
pub(super) fn source_factory<K: Clone + 'static, V: Clone + 'static>(
    name: Arc<str>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    extractor: Option<Timestamps<K, V>>,
) -> SourceFactory {
    Arc::new(move |_, children| {
        let outputs = Outputs::new(children, Some(Outputs::<K, V>::copy_of))?;
        Ok(Box::new(Source {
            name: name.clone(),
            keys: keys.clone(),
            values: values.clone(),
            extractor: extractor.clone(),
            head: None,
            outputs: Rc::new(RefCell::new(outputs)),
        }))
    })
}
