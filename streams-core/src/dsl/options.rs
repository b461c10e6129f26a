//! Options of operators, under Kafka Streams' names. All are optional; names of operators are given with
//! `.named(..)` on the stream.

use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};
use streams_state::types::Timestamp;

use super::Data;
use super::windows::millis;
use crate::config::{StreamsConfig, TimestampPolicy, TopologyOptimization};
use crate::operators::{PartitionOutcome, Partitioner, Timestamps};
use crate::record::ConsumerRecord;
use crate::topology::{BuiltWith, OffsetReset};

/// How a topic is read.
///
/// ```
/// use streams_core::dsl::Consumed;
/// let consumed: Consumed<String, String> = Consumed::new().named("orders").latest();
/// ```
pub struct Consumed<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) extractor: Option<Timestamps<K, V>>,
    pub(crate) reset: Option<OffsetReset>,
}

impl<K, V> Default for Consumed<K, V> {
    fn default() -> Self {
        Self { name: None, extractor: None, reset: None }
    }
}

impl<K, V> Consumed<K, V> {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the source node.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Takes event time from the record instead of from Kafka's timestamp. The second argument is the largest
    /// timestamp of the partition so far (-1 at the start). A negative answer drops the record, counted. The extractor of a
    /// table sees deletions, too: `V` is an `Option` there.
    pub fn timestamp_extractor(
        mut self,
        extractor: impl Fn(&ConsumerRecord<'_, K, V>, Timestamp) -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        self.extractor = Some(Timestamps::Own(Arc::new(extractor)));
        self
    }

    /// Finds event times as one of Kafka Streams' extractors does, whatever `default.timestamp.extractor` says.
    pub fn timestamp_policy(mut self, policy: TimestampPolicy) -> Self {
        self.extractor = Some(Timestamps::Policy(policy));
        self
    }

    /// Where a group without committed offsets starts.
    pub fn reset(mut self, reset: OffsetReset) -> Self {
        self.reset = Some(reset);
        self
    }

    /// A group without committed offsets starts at the first record that is at most `age` old.
    pub fn by_duration(self, age: std::time::Duration) -> Self {
        self.reset(OffsetReset::ByDuration(millis(age)))
    }

    /// A group without committed offsets starts at the end of the topic.
    pub fn latest(self) -> Self {
        self.reset(OffsetReset::Latest)
    }

    /// A group without committed offsets starts at the beginning of the topic.
    pub fn earliest(self) -> Self {
        self.reset(OffsetReset::Earliest)
    }
}

/// How a topic is written.
pub struct Produced<K, V> {
    pub(crate) partitioner: Option<Partitioner<K, V>>,
}

impl<K, V> Default for Produced<K, V> {
    fn default() -> Self {
        Self { partitioner: None }
    }
}

impl<K, V> Produced<K, V> {
    /// No options: partitions by murmur2 of the key bytes, as Kafka's Java clients do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the partition of each record by topic, key, value and number of partitions.
    pub fn partitioner<C: PartitionOutcome>(
        mut self,
        partitioner: impl Fn(&str, &K, &V, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(erase_partitioner(partitioner));
        self
    }
}

fn erase_partitioner<K, V, C: PartitionOutcome>(
    partitioner: impl Fn(&str, &K, &V, i32) -> C + Send + Sync + 'static,
) -> Partitioner<K, V> {
    Arc::new(move |topic, key, value, partitions| partitioner(topic, key, value, partitions).into_choice())
}

/// Serdes of a grouping, for types that the default serde cannot write.
pub struct Grouped<K, V> {
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: SerdeRef<V>,
}

impl<K, V> Grouped<K, V> {
    /// These serdes for the repartition topic and the store's key.
    pub fn serdes(keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        Self { keys: Arc::new(keys), values: Arc::new(values) }
    }
}

/// Options of a stream-table join: the serdes of the stream's side, and how long its records wait for the table.
pub struct Joined<K, V> {
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: SerdeRef<V>,
    own_serdes: bool,
    pub(crate) grace: Option<Timestamp>,
}

impl<K: Data, V: Data> Default for Joined<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Joined<K, V> {
    /// The serdes of the stream; the default ones where none travels with it.
    pub fn new() -> Self
    where
        K: Data,
        V: Data,
    {
        Self { own_serdes: false, ..Self::serdes(Auto, Auto) }
    }

    /// These serdes for the repartition topic and the buffer, should they be needed.
    pub fn serdes(keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        Self { keys: Arc::new(keys), values: Arc::new(values), own_serdes: true, grace: None }
    }

    /// Lets records of the stream wait until stream time is `grace` past them, and joins them in the order of their
    /// timestamps. The table must be versioned, with a history of at least `grace`. Default: they do not wait.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{Consumed, Joined, Materialized, StreamsBuilder}, testing::TopologyTestDriver};
    /// # use streams_core::topic::{Store, Topic};
    /// const RATES: Topic<String, f64> = Topic::new("rates");
    /// const ORDERS: Topic<String, f64> = Topic::new("orders");
    /// const OUT: Topic<String, f64> = Topic::new("out");
    /// const HISTORY: Store<String, f64> = Store::new("rate-history");
    /// let builder = StreamsBuilder::new();
    /// let kept = Materialized::from(&HISTORY).versioned(Duration::from_secs(60));
    /// let rates = builder.table_with(&RATES, Consumed::new(), kept);
    /// let waits = Joined::new().grace(Duration::from_secs(10));
    /// builder.stream(&ORDERS).join_table_with(&rates, |_, amount, rate| amount * rate, waits).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let (rates, orders) = (driver.input(&RATES), driver.input(&ORDERS));
    /// orders.pipe_at("usd", 10.0, 5_000);
    /// rates.pipe_at("usd", 2.0, 4_000); // Late, but not too late for the order.
    /// orders.pipe_at("usd", 1.0, 15_000);
    /// assert_eq!(driver.output(&OUT).read_all(), [("usd".to_owned(), 20.0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grace(mut self, grace: std::time::Duration) -> Self {
        self.grace = Some(millis(grace));
        self
    }

    /// Takes the serdes that travel with the stream, unless the user chose others.
    pub(crate) fn over(mut self, keys: Option<SerdeRef<K>>, values: Option<SerdeRef<V>>) -> Self {
        if !self.own_serdes {
            self.keys = keys.unwrap_or(self.keys);
            self.values = values.unwrap_or(self.values);
        }
        self
    }
}

/// How a stream is repartitioned.
///
/// ```
/// use streams_core::dsl::Repartitioned;
/// let repartitioned: Repartitioned<String, i64> = Repartitioned::new().partitions(8);
/// ```
pub struct Repartitioned<K, V> {
    pub(crate) partitions: Option<i32>,
    pub(crate) partitioner: Option<Partitioner<K, V>>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    /// The user chose the serdes; else those that travel with the stream go before them.
    own_serdes: bool,
}

impl<K: Data, V: Data> Default for Repartitioned<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Repartitioned<K, V> {
    /// No options: as many partitions as the largest source topic above.
    pub fn new() -> Self
    where
        K: Data,
        V: Data,
    {
        Self { own_serdes: false, ..Self::with_serdes(Auto, Auto) }
    }

    /// With these serdes, for types that the default serde cannot write.
    pub fn with_serdes(keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        Self {
            partitions: None,
            partitioner: None,
            keys: Arc::new(keys),
            values: Arc::new(values),
            own_serdes: true,
        }
    }

    /// Number of partitions of the repartition topic.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Chooses the partition of each record by topic, key, value and number of partitions.
    pub fn partitioner<C: PartitionOutcome>(
        mut self,
        partitioner: impl Fn(&str, &K, &V, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(erase_partitioner(partitioner));
        self
    }

    /// Serdes of the repartition topic.
    pub fn serdes(mut self, keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        (self.keys, self.values, self.own_serdes) = (Arc::new(keys), Arc::new(values), true);
        self
    }

    /// The user's serdes, else those of the stream, else the default ones.
    pub(crate) fn serdes_over(
        &self,
        keys: Option<SerdeRef<K>>,
        values: Option<SerdeRef<V>>,
    ) -> (SerdeRef<K>, SerdeRef<V>) {
        let keys = keys.filter(|_| !self.own_serdes).unwrap_or_else(|| self.keys.clone());
        (keys, values.filter(|_| !self.own_serdes).unwrap_or_else(|| self.values.clone()))
    }
}

/// What `build` needs to know of the configuration. Made of the application's own by [`build_with`](super::StreamsBuilder::build_with).
///
/// ```
/// use streams_core::dsl::TopologyConfig;
/// let config = TopologyConfig::optimized("all").unwrap();
/// assert!(config.merge_repartition_topics && config.reuse_ktable_source_topics);
/// assert!(TopologyConfig::optimized("al").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TopologyConfig {
    /// `reuse.ktable.source.topics`: a table's source topic serves as its changelog.
    pub reuse_ktable_source_topics: bool,
    /// `merge.repartition.topics`: one repartition topic where several would carry the same records.
    pub merge_repartition_topics: bool,
    /// `single.store.self.join`.
    pub single_store_self_join: bool,
    /// `ensure.explicit.internal.resource.naming`: refuse generated names of stores and internal topics.
    pub ensure_explicit_naming: bool,
    /// `dsl.store.suppliers.class`: DSL stores are in memory unless they say otherwise.
    pub dsl_stores_in_memory: bool,
    /// `dsl.store.format` is `HEADERS`: DSL stores on disk have the form for rows with headers (KIP-1271). As in Kafka Streams
    /// 4.3.1 the rows of tables and aggregations have no headers yet, those of joined streams have.
    pub dsl_store_headers: bool,
    /// `__enable.process.processValue.fix__`: `merge.repartition.topics` knows that `process` may change keys and values, and
    /// `process_values` values. Without it, as in Kafka Streams, a repartition below them may be moved above them, to where
    /// another operator changed the key.
    pub process_processvalue_fix: bool,
}

impl TopologyConfig {
    /// From `topology.optimization`: `none`, `all`, or a list of rules separated by commas.
    ///
    /// # Errors
    /// A word that is none of these.
    pub fn optimized(optimization: &str) -> Result<Self, String> {
        let rules = optimization
            .parse()
            .map_err(|must| format!("`topology.optimization` is `{optimization}`; it must be {must}"))?;
        Ok(Self::default().with(rules))
    }

    fn with(self, rules: TopologyOptimization) -> Self {
        let TopologyOptimization {
            reuse_ktable_source_topics,
            merge_repartition_topics,
            single_store_self_join,
        } = rules;
        Self { reuse_ktable_source_topics, merge_repartition_topics, single_store_self_join, ..self }
    }

    /// What a topology remembers of it.
    pub(crate) fn built_with(&self) -> BuiltWith {
        BuiltWith {
            optimization: TopologyOptimization {
                reuse_ktable_source_topics: self.reuse_ktable_source_topics,
                merge_repartition_topics: self.merge_repartition_topics,
                single_store_self_join: self.single_store_self_join,
            },
            explicit_naming: self.ensure_explicit_naming,
        }
    }
}

impl From<&TopologyConfig> for TopologyConfig {
    fn from(config: &TopologyConfig) -> Self {
        *config
    }
}

impl From<&StreamsConfig> for TopologyConfig {
    /// What the application's settings say: `topology.optimization`, `ensure.explicit.internal.resource.naming`,
    /// `dsl.store.suppliers.class` and `dsl.store.format`.
    fn from(config: &StreamsConfig) -> Self {
        let rest = Self {
            ensure_explicit_naming: config.ensure_explicit_internal_resource_naming,
            dsl_stores_in_memory: config.dsl_stores_in_memory,
            dsl_store_headers: config.dsl_store_headers,
            ..Self::default()
        };
        rest.with(config.topology_optimization)
    }
}
