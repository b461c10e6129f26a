//! Sources beside streams and tables: topics by pattern, and global stores that a processor of yours feeds.

use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::Data;
use super::builder::StreamsBuilder;
use super::graph::{
    Fork, Graph, GraphKind, GraphNode, MakeProcessor, Plan, SourcePart, TableKind, TableSourceNode,
};
use super::names;
use super::options::Consumed;
use super::stores::StoreBuilder;
use super::stream::KStream;
use super::upstream::{Upstream, source};
use crate::operators::make_processor;
use crate::processor::{Processor, ProcessorSupplier, connected_stores};
use crate::topic::Topic;
use crate::topology::SourcePattern;

impl StreamsBuilder {
    /// A stream of all topics whose whole names match the regular expression `pattern`. A topic that appears later joins while the
    /// application runs, within `metadata.max.age.ms` (5 min); one that is deleted leaves it. State stays. A topic that cannot be
    /// read with the others, because of its number of partitions, is left out, and the log says so.
    ///
    /// Key, value, time, null: as [`stream`](Self::stream), with the default serdes. No order between topics is kept.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, topic::Topic};
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream_pattern::<String, i64>("orders-.*").to(&OUT);
    /// assert!(builder.build()?.describe().to_string().contains("(topics: orders-.*)"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream_pattern<K: Data, V: Data>(&self, pattern: &str) -> KStream<K, V> {
        self.stream_pattern_with(pattern, Auto, Auto, Consumed::new())
    }

    /// As [`stream_pattern`](Self::stream_pattern), with serdes and options.
    pub fn stream_pattern_with<K: 'static, V: 'static>(
        &self,
        pattern: &str,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        consumed: Consumed<K, V>,
    ) -> KStream<K, V> {
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (Arc::new(keys), Arc::new(values));
        let mut graph = self.graph.borrow_mut();
        let name = graph.name_or(&consumed.name, names::SOURCE);
        let pattern = SourcePattern::new(pattern).or_else(|error| {
            graph.faults.extend(error.faults);
            SourcePattern::nothing().ok_or(())
        });
        let fork = Fork::default();
        let part = SourcePart {
            make: source(keys.clone(), values.clone(), consumed.extractor),
            fork: fork.clone(),
            children: Vec::new(),
        };
        let kind = GraphKind::Source {
            topics: Vec::new(),
            pattern: pattern.ok(),
            reset: consumed.reset,
            parts: vec![part],
        };
        let node = graph.add(&[Graph::ROOT], GraphNode::new(name.clone(), kind, fork.clone()));
        drop(graph);
        let up = Upstream::new(&self.graph, node, name.clone(), [name].into(), fork);
        KStream { up, keys: Some(keys), values: Some(values) }
    }

    /// Adds a store of which every instance has one full copy, fed from all partitions of `topic` by a processor of yours. All
    /// processors may read it ([`ProcessingContext::global_store`](crate::processor::ProcessingContext::global_store)); only this
    /// one writes it, and it forwards and schedules nothing. At a start the topic is read through the processor from where
    /// the store's checkpoint says.
    ///
    /// ```
    /// # use streams_core::{dsl::{Consumed, Stores, StreamsBuilder}, error::BoxError, record::Record};
    /// # use streams_core::{processor::{Processor, ProcessorContext}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const RATES: Topic<String, i64> = Topic::new("rates");
    /// const MAX: Store<String, i64> = Store::new("max-rates");
    ///
    /// /// Keeps the largest rate of each key.
    /// struct Max;
    ///
    /// impl Processor<String, i64, (), ()> for Max {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, (), ()>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let store = context.store(&MAX)?;
    ///         let known = store.borrow_mut().get(&record.key)?.map(|(rate, _)| *rate);
    ///         let rate = known.unwrap_or(i64::MIN).max(record.value);
    ///         let (time, at) = (record.timestamp, context.record_context());
    ///         Ok(store.borrow_mut().put(&record.key, Some(rate), time, at)?)
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_global_store(Stores::key_value(&MAX), &RATES, Consumed::new(), || Max);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&RATES).pipe("eur", 3);
    /// driver.input(&RATES).pipe("eur", 2);
    /// assert_eq!(driver.store(&MAX).get(&"eur".to_owned()), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_global_store<P, K, V, KS, VS>(
        &self,
        store: StoreBuilder,
        topic: &Topic<K, V, KS, VS>,
        consumed: Consumed<K, V>,
        supplier: impl ProcessorSupplier<P>,
    ) where
        P: Processor<K, V, (), ()> + 'static,
        K: 'static,
        V: 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let StoreBuilder(mut store) = store;
        store.spec.global = true;
        (store.spec.caching, store.spec.logging) = (false, false);
        let mut graph = self.graph.borrow_mut();
        let store_name = store.spec.name.clone();
        graph.check_name(&store_name);
        let source_name = graph.name_with_suffix_or(&consumed.name, "-source", names::SOURCE);
        let name = graph.name_or(&consumed.name, names::TABLE_SOURCE);
        if consumed.reset.is_some() {
            graph.faults.push(format!(
                "global store `{store_name}`: a global topic is always read from its beginning; leave out the reset policy"
            ));
        }
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            let outputs = plan.outputs::<(), ()>(children)?;
            let stores = connected_stores(builder, &plan.name, std::slice::from_ref(&store_name))?;
            Ok(make_processor::<P, K, V, (), ()>(builder, plan.name.clone(), supplier.get(), stores, outputs))
        });
        let table = graph.add_table(TableKind::Source, Some(store), true);
        let node = TableSourceNode {
            source_name,
            topic: topic.name().into(),
            reset: None,
            make_source: source(topic.key_serde(), topic.value_serde(), consumed.extractor),
            make,
            table,
            global: true,
            reuse_topic: false,
        };
        let fork = Fork::default();
        graph.add(&[Graph::ROOT], GraphNode::new(name, GraphKind::TableSource(node), fork));
    }
}
