//! Options of operators, under Kafka Streams' names. All are optional; names of operators are given with
//! `.named(..)` on the stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{Auto, Serde, SerdeRef};
use streams_state::types::Timestamp;

use super::Data;
use super::supplied::Supplied;
use super::windows::millis;
use crate::config::TimestampPolicy;
use crate::operators::{PartitionChoice, Partitioner, Timestamps};
use crate::record::Record;
use crate::topic::Store;
use crate::topology::OffsetReset;

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
    /// timestamp of the partition so far (-1 at the start). A negative answer drops the record, counted.
    pub fn timestamp_extractor(
        mut self,
        extractor: impl Fn(&Record<K, V>, Timestamp) -> Timestamp + Send + Sync + 'static,
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
    pub fn partitioner<C: Into<PartitionChoice>>(
        mut self,
        partitioner: impl Fn(&str, &K, &V, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(erase_partitioner(partitioner));
        self
    }
}

fn erase_partitioner<K, V, C: Into<PartitionChoice>>(
    partitioner: impl Fn(&str, &K, &V, i32) -> C + Send + Sync + 'static,
) -> Partitioner<K, V> {
    Arc::new(move |topic, key, value, partitions| partitioner(topic, key, value, partitions).into())
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
    pub fn partitioner<C: Into<PartitionChoice>>(
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

/// How a table is kept. A [`Store`] constant converts into it: named, logged, cached, on disk.
///
/// ```
/// use streams_core::dsl::Materialized;
/// use streams_core::topic::Store;
///
/// const COUNTS: Store<String, i64> = Store::new("counts");
/// let counts = Materialized::from(&COUNTS).in_memory().caching(false);
/// ```
pub struct Materialized<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: Option<SerdeRef<K>>,
    pub(crate) values: SerdeRef<V>,
    /// The user chose `values`; else a serde that the operator's input has goes before it.
    own_values: bool,
    pub(crate) in_memory: Option<bool>,
    pub(crate) caching: bool,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
    /// How long windows are kept, ms.
    pub(crate) retention: Option<Timestamp>,
    pub(crate) history: Option<History>,
    /// The form of store, if the user gave one.
    pub(crate) supplied: Option<Supplied>,
}

/// How long a versioned table keeps the versions of its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct History {
    /// In milliseconds of stream time.
    pub(crate) retention: Timestamp,
    /// Milliseconds of history that expire together.
    pub(crate) segment_interval: Timestamp,
}

impl<K, V> Materialized<K, V> {
    fn of(values: SerdeRef<V>, own_values: bool) -> Self {
        Self {
            name: None,
            keys: None,
            values,
            own_values,
            in_memory: None,
            caching: true,
            logging: true,
            changelog_config: BTreeMap::new(),
            retention: None,
            history: None,
            supplied: None,
        }
    }

    /// Kept under a generated name, with the serdes of `topic`.
    pub(crate) fn of_topic<KS, VS>(topic: &crate::topic::Topic<K, V, KS, VS>) -> Self
    where
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        Self { keys: Some(topic.key_serde()), ..Self::of(topic.value_serde(), true) }
    }

    /// Serde of the rows: the user's, else the one that the operator's input has, else the default one.
    pub(crate) fn rows(&self, inherited: Option<SerdeRef<V>>) -> SerdeRef<V> {
        inherited.filter(|_| !self.own_values).unwrap_or_else(|| self.values.clone())
    }

    /// Kept under a generated name, with the serdes of the operator.
    pub fn unnamed() -> Self
    where
        V: Data,
    {
        Self::of(Arc::new(Auto), false)
    }

    /// Kept under this name, with the serdes of the operator: for keys that a [`Store`] constant cannot name, such as those of
    /// windowed tables.
    pub fn named(name: impl Into<String>) -> Self
    where
        V: Data,
    {
        Self { name: Some(name.into()), ..Self::of(Arc::new(Auto), false) }
    }

    /// Kept under a generated name, with these serdes.
    pub fn serdes(keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        Self { keys: Some(Arc::new(keys)), ..Self::of(Arc::new(values), true) }
    }

    /// Kept in memory only, and restored from the changelog at each start.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = Some(true);
        self
    }

    /// Kept on disk, if the application has an engine for it. The default, unless `dsl.store.suppliers.class` says otherwise.
    pub fn persistent(mut self) -> Self {
        self.in_memory = Some(false);
        self
    }

    /// Whether updates are held back until a commit, so that each key is logged and forwarded once. Default:
    /// on; `statestore.cache.max.bytes=0` turns it off for all stores.
    pub fn caching(mut self, caching: bool) -> Self {
        self.caching = caching;
        self
    }

    /// Whether a changelog topic backs the store. Default: on. Without it the table is lost with the machine.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// How long a windowed store keeps its windows, by event time. Default: as long as records may still change them. `build`
    /// refuses less than that. Other stores ignore it.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(millis(retention));
        self
    }

    /// Sets a property of the changelog topic.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.changelog_config.insert(key.into(), value.into());
        self
    }
}

impl<K, V, KS, VS> From<&Store<K, V, KS, VS>> for Materialized<K, V>
where
    KS: Serde<K> + Default,
    VS: Serde<V> + Default,
{
    fn from(store: &Store<K, V, KS, VS>) -> Self {
        Self {
            name: Some(store.name().to_owned()),
            keys: Some(store.key_serde()),
            ..Self::of(store.value_serde(), true)
        }
    }
}

/// What `build` needs to know of the configuration.
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
        let mut config = Self::default();
        for word in optimization.split(',').map(str::trim) {
            match word {
                "none" | "" => {}
                "all" => {
                    config.reuse_ktable_source_topics = true;
                    config.merge_repartition_topics = true;
                    config.single_store_self_join = true;
                }
                "reuse.ktable.source.topics" => config.reuse_ktable_source_topics = true,
                "merge.repartition.topics" => config.merge_repartition_topics = true,
                "single.store.self.join" => config.single_store_self_join = true,
                other => {
                    return Err(format!(
                        "topology.optimization: `{other}` is not one of none, all, reuse.ktable.source.topics, \
                         merge.repartition.topics, single.store.self.join"
                    ));
                }
            }
        }
        Ok(config)
    }
}
