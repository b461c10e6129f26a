//! `KStream` into topics: where a stream ends.

use std::sync::Arc;

use streams_state::serdes::{Serde, SerdeRef};

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeSink, Plan};
use super::names;
use super::options::Produced;
use super::stream::KStream;
use super::upstream::sink;
use crate::operators::{Destination, Partitioner, Sink, SinkSerdes, TopicExtractor};
use crate::outcome::Outcome;
use crate::processor::ErasedPush;
use crate::record::SinkContext;
use crate::topic::Topic;
use crate::topology::SinkTopic;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Writes the stream to a topic, and ends it. The topic must exist; its serdes write the bytes.
    ///
    /// Key, value: as they are; the value may be `T` or `Option<T>`. Time, headers: those of the record. Partition: murmur2 of
    /// the key bytes, as Kafka's Java clients choose; of a windowed key the bytes without the window. Null: written as null.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 1000);
    /// assert_eq!(driver.output(&OUT).read_record().map(|record| record.timestamp), Some(1000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to<T, KS, VS>(self, topic: &Topic<K, T, KS, VS>)
    where
        V: Into<Option<T>>,
        T: 'static,
        KS: Serde<K> + Default,
        VS: Serde<T> + Default,
    {
        self.to_with(topic, Produced::new());
    }

    /// As [`to`](Self::to), with options. A partitioner that answers `Drop` drops the record, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::{Produced, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let by_value = Produced::new().partitioner(|_, _: &String, value: &i64, count| *value as i32 % count);
    /// builder.stream(&IN).to_with(&OUT, by_value);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(driver.output(&OUT).len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// Key, value, time, partition, null: as [`to`](Self::to), with the serdes that came with the stream, else the default ones.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const EVEN: Topic<String, i64> = Topic::new("even");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to_extractor(|_, value, _context| {
    ///     if value % 2 == 0 { "even" } else { "odd" }.to_owned()
    /// });
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// driver.input(&IN).pipe("b", 2);
    /// assert_eq!(driver.output(&EVEN).read_all(), [("b".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_extractor<R: Outcome<String>>(
        self,
        extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
    ) where
        K: Data,
        V: Data,
    {
        self.to_extractor_as(std::any::type_name_of_val(&extractor).to_owned(), extractor);
    }

    /// As [`to_extractor`](Self::to_extractor); `describe()` shows the extractor as `label`.
    pub fn to_extractor_as<R: Outcome<String>>(
        self,
        label: impl Into<String>,
        extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
    ) where
        K: Data,
        V: Data,
    {
        let (keys, values) = self.serdes();
        self.add_dynamic_sink(label.into(), outcome_of(extractor), keys, values, None);
    }

    /// As [`to_extractor_as`](Self::to_extractor_as), with serdes for all the topics and options.
    ///
    /// ```
    /// # use streams_core::{dsl::{Produced, StreamsBuilder}, record::SinkContext, serdes::{IntegerSerde, StringSerde}};
    /// # use streams_core::{testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i32> = Topic::new("in");
    /// let builder = StreamsBuilder::new();
    /// let first = Produced::new().partitioner(|_topic, _: &String, _: &i32, _count| 0);
    /// let copies = |_: &String, _: &i32, context: &SinkContext<'_>| match context.topic {
    ///     Some(topic) => format!("copy-of-{topic}"),
    ///     None => "scheduled".to_owned(),
    /// };
    /// builder.stream(&IN).to_extractor_with("copies", copies, StringSerde::default(), IntegerSerde, first);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(driver.produced("copy-of-in")[0].partition, Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_extractor_with<R: Outcome<String>>(
        self,
        label: impl Into<String>,
        extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        produced: Produced<K, V>,
    ) {
        let (keys, values) = (Arc::new(keys), Arc::new(values));
        self.add_dynamic_sink(label.into(), outcome_of(extractor), keys, values, produced.partitioner);
    }

    fn add_dynamic_sink(
        self,
        label: String,
        extractor: TopicExtractor<K, V>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
        partitioner: Option<Partitioner<K, V>>,
    ) {
        let make: MakeSink = Arc::new(move |builder, plan: &Plan| {
            Ok(ErasedPush::handled::<K, V>(Sink::<K, V, V> {
                name: plan.name.clone(),
                destination: Destination::Extractor(extractor.clone(), builder.context.outbox.writer()),
                serdes: SinkSerdes::new(keys.clone(), values.clone()),
                partitioner: partitioner.clone(),
                by_base_key: true,
            }))
        });
        self.add_sink(SinkTopic::Dynamic(label.into()), make);
    }

    fn add_sink(self, topic: SinkTopic, make: MakeSink) {
        let mut graph = self.up.graph();
        let name = graph.name_or(&self.up.pending, names::SINK);
        let node = GraphNode::new(name, GraphKind::Sink { topic, make }, Fork::default());
        graph.add(&[self.up.node], node);
    }
}

/// The extractor, whatever form its answer has.
fn outcome_of<K: 'static, V: 'static, R: Outcome<String>>(
    extractor: impl Fn(&K, &V, &SinkContext<'_>) -> R + Send + Sync + 'static,
) -> TopicExtractor<K, V> {
    Arc::new(move |key, value, context| extractor(key, value, context).into_result())
}
