//! Tables and stores that keep the history of each row: how one asks for them, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::store::{VersionedOptions, VersionedStore};

use super::graph::Graph;
use super::materialized::{History, Materialized, StoreOptions};
use super::stores::{GraphStore, StoreBuilder, Stores, store_spec};
use super::windows::millis;
use crate::operators::versioned_instance;
use crate::processor::StoreInstance;
use crate::topic::Store;
use crate::topology::{OpenStore, StoreFactory, StoreKind};

impl<K: 'static, V: Clone + 'static> Materialized<K, V> {
    /// Keeps the versions of each row for `history` of stream time: the table is versioned.
    ///
    /// An update out of order takes its place in the history and does not replace a later one; one that is older than
    /// the history is dropped. Stream-table joins find the row as it was at the time of the record, and groupings and
    /// table-table joins see only what changes the latest version. The table needs the name of a store, is never
    /// cached, and cannot be suppressed. Its changelog is not compacted within the history.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{Consumed, Materialized, StreamsBuilder}, testing::TopologyTestDriver};
    /// # use streams_core::topic::{Store, Topic};
    /// const RATES: Topic<String, f64> = Topic::new("rates");
    /// const ORDERS: Topic<String, f64> = Topic::new("orders");
    /// const OUT: Topic<String, f64> = Topic::new("out");
    /// const HISTORY: Store<String, f64> = Store::new("rate-history");
    /// let builder = StreamsBuilder::new();
    /// let kept = Materialized::from(&HISTORY).versioned(Duration::from_secs(3600));
    /// let rates = builder.table_with(&RATES, Consumed::new(), kept);
    /// builder.stream(&ORDERS).join_table(&rates, |amount, rate| amount * rate).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let rates = driver.input(&RATES);
    /// rates.pipe_at("usd", 2.0, 1_000);
    /// rates.pipe_at("usd", 3.0, 5_000);
    /// driver.input(&ORDERS).pipe_at("usd", 10.0, 4_999);
    /// assert_eq!(driver.output(&OUT).read_all(), [("usd".to_owned(), 20.0)]);
    /// assert_eq!(driver.versioned_store(&HISTORY).get_as_of(&"usd".to_owned(), 4_999), Some(2.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn versioned(self, history: Duration) -> Self {
        let retention = millis(history);
        let segment_interval = VersionedOptions::default_segment_interval(retention);
        self.with_history(History { retention, segment_interval })
    }

    /// As [`versioned`](Self::versioned); old versions expire by segments of `segment_interval`, at least 1 ms.
    pub fn versioned_by_segments(self, history: Duration, segment_interval: Duration) -> Self {
        let segment_interval = millis(segment_interval);
        self.with_history(History { retention: millis(history), segment_interval })
    }

    fn with_history(mut self, history: History) -> Self {
        self.options.history = Some(history);
        self.form =
            Some(Box::new(move |keys, values| versioned_factory(keys, values, history, versioned_instance)));
        self
    }
}

impl StoreOptions {
    /// Writes down what a versioned table cannot have.
    pub(crate) fn check_history(&self, graph: &mut Graph) {
        let Some(history) = self.history else { return };
        let name = self.name_or_none();
        if self.name.is_none() {
            graph.faults.push(
                "a versioned table needs a named store; make its Materialized from a `Store`".to_owned(),
            );
        }
        if self.in_memory.is_some() {
            graph.faults.push(format!(
                "versioned store `{name}`: the kind of store cannot be chosen; leave out `in_memory` and `persistent`"
            ));
        }
        graph.check_time("history", name, history.retention);
        if self.supplied.is_some() {
            graph.faults.push(format!(
                "versioned store `{name}`: another form of store was given, too; leave it out"
            ));
        }
        graph.faults.extend(history.fault(name));
    }
}

impl Stores {
    /// A versioned store for processors: keeps the versions of each row for `history` of stream time, on disk, logged.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::Stores;
    /// use streams_core::topic::Store;
    ///
    /// const PRICES: Store<String, i64> = Store::new("prices");
    /// let store = Stores::versioned(&PRICES, Duration::from_secs(60));
    /// ```
    pub fn versioned<K, V, KS, VS>(store: &Store<K, V, KS, VS>, history: Duration) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let segment_interval = VersionedOptions::default_segment_interval(millis(history));
        versioned_builder(store, History { retention: millis(history), segment_interval })
    }

    /// As [`versioned`](Self::versioned); old versions expire by segments of `segment_interval`, at least 1 ms.
    pub fn versioned_by_segments<K, V, KS, VS>(
        store: &Store<K, V, KS, VS>,
        history: Duration,
        segment_interval: Duration,
    ) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let segment_interval = millis(segment_interval);
        versioned_builder(store, History { retention: millis(history), segment_interval })
    }
}

fn versioned_builder<K, V, KS, VS>(store: &Store<K, V, KS, VS>, history: History) -> StoreBuilder
where
    K: 'static,
    V: Clone + Send + 'static,
    KS: Serde<K> + Default,
    VS: Serde<V> + Default,
{
    let (keys, values) = (store.key_serde(), store.value_serde());
    let factory = versioned_factory(keys, values, history, StoreInstance::shareable);
    let mut spec =
        store_spec(store.name().into(), StoreKind::Versioned { history: history.retention }, factory);
    spec.fault = history.fault(store.name());
    StoreBuilder(GraphStore { spec, identity: Arc::new(()), default_place: false })
}

impl History {
    /// What is wrong with it, for the store `name`.
    fn fault(&self, name: &str) -> Option<String> {
        let fault = || format!("versioned store `{name}`: the segment interval is 0; give 1 ms or more");
        (self.segment_interval < 1).then(fault)
    }
}

/// Makes versioned stores with these serdes.
pub(crate) fn versioned_factory<K: 'static, V: Clone + 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    history: History,
    instance: fn(VersionedStore<K, V>) -> StoreInstance,
) -> StoreFactory {
    Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = VersionedOptions {
            name: open.name,
            history_retention: history.retention,
            segment_interval: history.segment_interval.max(1),
            logging: open.logging,
            tier_max_bytes: open.tier_max_bytes,
        };
        let store = VersionedStore::new(options, open.engine, keys, values)?;
        Ok(instance(store))
    })
}
