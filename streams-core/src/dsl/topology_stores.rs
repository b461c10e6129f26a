//! `Topology` node by node: sources by pattern, and stores that a topic feeds: global and read-only ones.

use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::options::Consumed;
use super::processor_topology::{NodeRef, source_factory};
use super::{Data, StoreBuilder};
use crate::processor::{Processor, ProcessorSupplier};
use crate::topic::Topic;
use crate::topology::{SourcePattern, Topology};

impl Topology {
    /// Adds a source that reads all topics whose whole names match the regular expression `pattern`, also those that appear
    /// later (see [`StreamsBuilder::stream_pattern`](super::StreamsBuilder::stream_pattern)), with the default serdes.
    ///
    /// Faults, told by [`validate`](Self::validate): no regular expression, or a name that is taken.
    pub fn add_source_pattern<K: Data + Clone, V: Data + Clone>(
        &mut self,
        name: &str,
        pattern: &str,
        consumed: Consumed<K, V>,
    ) -> NodeRef<K, V> {
        self.add_source_pattern_with(name, pattern, Auto, Auto, consumed)
    }

    /// As [`add_source_pattern`](Self::add_source_pattern), with serdes of its own.
    pub fn add_source_pattern_with<K: Clone + 'static, V: Clone + 'static>(
        &mut self,
        name: &str,
        pattern: &str,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        consumed: Consumed<K, V>,
    ) -> NodeRef<K, V> {
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (Arc::new(keys), Arc::new(values));
        let node: Arc<str> = name.into();
        let factory = source_factory(node.clone(), keys, values, consumed.extractor);
        let id = self.add_source_node(node.clone(), Vec::new(), consumed.reset, factory);
        match SourcePattern::new(pattern) {
            Ok(pattern) => self.set_pattern(id, pattern),
            Err(error) => error.faults.into_iter().for_each(|fault| self.note(fault, Some(id))),
        }
        NodeRef { id, name: node, types: PhantomData }
    }

    /// Adds a store of which every instance has one full copy, with the source and the processor that feed it from all
    /// partitions of `topic`. See [`StreamsBuilder::add_global_store`](super::StreamsBuilder::add_global_store).
    ///
    /// Faults, told by [`validate`](Self::validate): a name that is taken, or a topic that another source reads.
    pub fn add_global_store<P, K, V, KS, VS>(
        &mut self,
        store: StoreBuilder,
        source: &str,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, V>,
        processor: &str,
        supplier: impl ProcessorSupplier<P>,
    ) -> &mut Self
    where
        P: Processor<K, V, (), ()> + 'static,
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.add_fed_store(store, source, topic, consumed, processor, supplier, true)
    }

    /// Adds a store that is a copy of `topic`, partition by partition, with the source and the processor that feed it. It has
    /// no changelog: `topic` is read instead. Other processors may be connected to it, and must not write it.
    ///
    /// Faults, told by [`validate`](Self::validate): a name that is taken, or a topic that another source reads.
    pub fn add_read_only_state_store<P, K, V, KS, VS>(
        &mut self,
        store: StoreBuilder,
        source: &str,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, V>,
        processor: &str,
        supplier: impl ProcessorSupplier<P>,
    ) -> &mut Self
    where
        P: Processor<K, V, (), ()> + 'static,
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        self.add_fed_store(store, source, topic, consumed, processor, supplier, false)
    }

    #[allow(clippy::too_many_arguments)] // Those of the public methods above, which are Kafka Streams'.
    fn add_fed_store<P, K, V, KS, VS>(
        &mut self,
        store: StoreBuilder,
        source: &str,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, V>,
        processor: &str,
        supplier: impl ProcessorSupplier<P>,
        global: bool,
    ) -> &mut Self
    where
        P: Processor<K, V, (), ()> + 'static,
        K: Clone + 'static,
        V: Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let read = self.add_source_with(source, &[topic], consumed);
        let fed: NodeRef<(), ()> = self.add_processor(processor, supplier, &[&read]);
        let mut spec = store.into_spec();
        (spec.caching, spec.logging) = (false, false);
        spec.global = global;
        spec.source_topic = Some(topic.name().into());
        let id = self.add_store(spec);
        self.connect_processor_and_store(fed.id, id);
        self
    }
}
