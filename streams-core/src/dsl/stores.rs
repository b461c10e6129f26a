//! Stores that a topology declares: what a processor connects to, and how DSL tables are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::serdes::{HeadersAside, Raw, Serde, SerdeRef};
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};

use crate::operators::SubscriptionStore;
use crate::processor::StoreInstance;
use crate::topic::Store;
use crate::topology::{OpenStore, StoreFactory, StoreFormat, StoreKind, StoreSpec};

/// Makes [`StoreBuilder`]s.
#[derive(Clone, Copy, Debug)]
pub struct Stores;

impl Stores {
    /// A key-value store: persistent, plain, logged, not cached.
    ///
    /// ```
    /// use streams_core::dsl::Stores;
    /// use streams_core::topic::Store;
    ///
    /// const SEEN: Store<String, i64> = Store::new("seen");
    /// let store = Stores::key_value(&SEEN).in_memory().logging(false);
    /// ```
    pub fn key_value<K, V, KS, VS>(store: &Store<K, V, KS, VS>) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let factory = shared_key_value_factory(store.key_serde(), store.value_serde(), false);
        StoreBuilder(GraphStore {
            spec: store_spec(store.name().into(), StoreKind::KeyValue, factory),
            identity: Arc::new(()),
            default_place: false,
        })
    }

    /// A key-value store that keeps a timestamp with each value: as DSL tables do. Else as [`key_value`](Self::key_value).
    ///
    /// ```
    /// use streams_core::dsl::Stores;
    /// use streams_core::topic::Store;
    ///
    /// const LAST: Store<String, i64> = Store::new("last");
    /// let store = Stores::timestamped_key_value(&LAST).in_memory().caching(true);
    /// assert_eq!(store.name(), "last");
    /// ```
    pub fn timestamped_key_value<K, V, KS, VS>(store: &Store<K, V, KS, VS>) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let factory = shared_key_value_factory(store.key_serde(), store.value_serde(), true);
        StoreBuilder(GraphStore {
            spec: store_spec(store.name().into(), StoreKind::TimestampedKeyValue, factory),
            identity: Arc::new(()),
            default_place: false,
        })
    }

    /// A store of your own making: `make` is called for each task. Processors take it with
    /// [`store_as`](crate::processor::ProcessingContext::store_as). What it logs goes to a compacted changelog topic and comes back
    /// through [`restore`](StateStore::restore); what happens when is said at [`StateStore`]. One that wants to keep rows on disk
    /// does it in [`OpenStore::engine`], at [`flush`](StateStore::flush), with the offset that they reach; one that does not, like
    /// this, restores the whole changelog at each start.
    ///
    /// ```
    /// # use streams_core::{dsl::{Stores, StreamsBuilder}, error::{BoxError, StateError}, record::Record, topic::Topic};
    /// # use streams_core::processor::{Processor, ProcessorContext};
    /// # use streams_core::store::{ChangelogEntry, StateStore};
    /// # use streams_core::testing::TopologyTestDriver;
    /// # use streams_core::types::{Headers, Timestamp};
    /// # use std::{collections::BTreeMap, sync::Arc};
    /// /// How often each word came, in the order of the words.
    /// struct Ranking {
    ///     name: Arc<str>,
    ///     counts: BTreeMap<String, u64>,
    ///     unlogged: Vec<(String, Timestamp)>,
    ///     offset: Option<i64>,
    /// }
    ///
    /// impl Ranking {
    ///     fn add(&mut self, word: String, at: Timestamp) -> Option<&String> {
    ///         *self.counts.entry(word.clone()).or_default() += 1;
    ///         self.unlogged.push((word, at));
    ///         self.counts.keys().next()
    ///     }
    /// }
    ///
    /// impl StateStore for Ranking {
    ///     fn name(&self) -> &str {
    ///         &self.name
    ///     }
    ///
    ///     fn drain_changelog(
    ///         &mut self,
    ///         sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ///     ) -> Result<(), StateError> {
    ///         for (word, timestamp) in self.unlogged.drain(..) {
    ///             let count = self.counts[&word].to_be_bytes();
    ///             sink(ChangelogEntry { key: word.as_bytes(), value: Some(&count), timestamp, headers: &Headers::EMPTY })?;
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn committed(&mut self, offset: Option<i64>) {
    ///         self.offset = offset.or(self.offset);
    ///     }
    ///
    ///     fn restore(&mut self, key: &[u8], value: Option<&[u8]>, _: Timestamp) -> Result<(), StateError> {
    ///         let count = value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    ///         self.counts.insert(String::from_utf8_lossy(key).into_owned(), count);
    ///         Ok(())
    ///     }
    ///
    ///     fn offset(&self) -> Option<i64> {
    ///         self.offset
    ///     }
    ///
    ///     fn memory_bytes(&self) -> u64 {
    ///         self.counts.len() as u64 * 64
    ///     }
    ///
    ///     fn wipe(&mut self) -> Result<(), StateError> {
    ///         self.counts.clear();
    ///         self.offset = None;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// /// Forwards the first of all words so far.
    /// struct First;
    ///
    /// impl Processor<String, String, String, String> for First {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, String>,
    ///         record: Record<String, String>,
    ///     ) -> Result<(), BoxError> {
    ///         let ranking = context.store_as::<Ranking>("ranking")?;
    ///         let first = ranking.borrow_mut().add(record.value.clone(), record.timestamp).cloned();
    ///         Ok(context.forward(record.with_value(first.unwrap_or_default()))?)
    ///     }
    /// }
    ///
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const OUT: Topic<String, String> = Topic::new("out");
    /// let store = Stores::custom("ranking", |open| {
    ///     Ok(Ranking { name: open.name, counts: BTreeMap::new(), unlogged: Vec::new(), offset: None })
    /// });
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).process_with_stores(|| First, vec![store]).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// ["pear", "apple", "plum"].iter().for_each(|word| driver.input(&IN).pipe("k", *word));
    /// let firsts: Vec<String> = driver.output(&OUT).read_all().into_iter().map(|(_, first)| first).collect();
    /// assert_eq!(firsts, ["pear", "apple", "apple"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn custom<S: StateStore + Send + 'static>(
        name: &str,
        make: impl Fn(OpenStore) -> Result<S, StateError> + Send + Sync + 'static,
    ) -> StoreBuilder {
        let factory: StoreFactory = Arc::new(move |open| Ok(StoreInstance::shareable(make(open)?)));
        StoreBuilder(GraphStore {
            spec: store_spec(name.into(), StoreKind::KeyValue, factory),
            identity: Arc::new(()),
            default_place: false,
        })
    }
}

/// A store of a topology, and its options.
///
/// Clones are the same store: two processors that bring clones of one builder share it.
#[derive(Clone)]
pub struct StoreBuilder(pub(crate) GraphStore);

impl StoreBuilder {
    /// Name of the store.
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// Keeps the store in memory only; it is restored from its changelog at each start.
    pub fn in_memory(mut self) -> Self {
        self.0.spec.in_memory = true;
        self
    }

    /// Keeps the store on disk, if the application has an engine for it. The default.
    pub fn persistent(mut self) -> Self {
        self.0.spec.in_memory = false;
        self
    }

    /// Holds updates back until a commit, so that a key is logged once. Default: off.
    pub fn caching(mut self, caching: bool) -> Self {
        self.0.spec.caching = caching;
        self
    }

    /// Backs the store by a changelog topic. Default: on. Without it the store is lost with the machine.
    pub fn logging(mut self, logging: bool) -> Self {
        self.0.spec.logging = logging;
        self
    }

    /// Sets a property of the changelog topic.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.spec.changelog_config.insert(key.into(), value.into());
        self
    }

    /// The store as the arena topology wants it.
    pub fn into_spec(self) -> StoreSpec {
        self.0.spec
    }
}

/// A store in the graph. `identity` tells the same store from another of the same name.
#[derive(Clone)]
pub(crate) struct GraphStore {
    pub(crate) spec: StoreSpec,
    pub(crate) identity: Arc<()>,
    /// On disk or in memory as the application says for DSL stores.
    pub(crate) default_place: bool,
}

impl GraphStore {
    /// Whether the store keeps the history of its rows.
    pub(crate) fn is_versioned(&self) -> bool {
        matches!(self.spec.kind, StoreKind::Versioned { .. })
    }
}

/// A spec with Kafka Streams' defaults for a store that a processor uses.
pub(crate) fn store_spec(name: Arc<str>, kind: StoreKind, factory: StoreFactory) -> StoreSpec {
    StoreSpec {
        name,
        kind,
        in_memory: false,
        logging: true,
        caching: false,
        changelog_config: BTreeMap::new(),
        source_topic: None,
        global: false,
        processors: Vec::new(),
        fault: None,
        format: StoreFormat::Own,
        factory,
    }
}

/// Makes key-value stores with these serdes.
pub(crate) fn key_value_factory<K: 'static, V: Clone + 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    timestamped: bool,
) -> StoreFactory {
    Arc::new(move |open| Ok(StoreInstance::new(open_key_value(open, &keys, &values, timestamped)?)))
}

/// As [`key_value_factory`], for stores that may become global: values move between threads.
pub(crate) fn shared_key_value_factory<K: 'static, V: Clone + Send + 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    timestamped: bool,
) -> StoreFactory {
    Arc::new(move |open| Ok(StoreInstance::shareable(open_key_value(open, &keys, &values, timestamped)?)))
}

fn open_key_value<K: 'static, V: Clone + 'static>(
    open: OpenStore,
    keys: &SerdeRef<K>,
    values: &SerdeRef<V>,
    timestamped: bool,
) -> Result<KeyValueStore<K, V>, StateError> {
    let (options, (keys, values)) = (key_value_options(&open, timestamped), open.serdes(keys, values));
    let store = KeyValueStore::new(options, open.engine, keys, values)?;
    Ok(match open.headers {
        true => store.logging_headers_of_deletions(),
        false => store,
    })
}

/// The store of a foreign-key join's subscriptions: never cached, in the default place, its changelog with headers.
pub(crate) fn subscription_store(name: &Arc<str>) -> GraphStore {
    let factory: StoreFactory = Arc::new(move |open: OpenStore| {
        let options = KeyValueOptions {
            name: open.name,
            timestamped: true,
            caching: open.caching,
            logging: open.logging,
            tier_max_bytes: open.tier_max_bytes,
        };
        // As in Kafka Streams, rows in memory keep the headers of their records; rows on disk do not, unless
        // `dsl.store.format` says so.
        let store = match open.in_memory || open.headers {
            true => SubscriptionStore::header_aware(options, open.engine, Arc::new(Raw), Arc::new(Raw))?,
            false => {
                let rows = Arc::new(HeadersAside(Arc::new(Raw)));
                let store = SubscriptionStore::new(options, open.engine, Arc::new(Raw), rows)?;
                store.logging_headers_of_updates()
            }
        };
        Ok(StoreInstance::new(store))
    });
    let mut spec = store_spec(name.clone(), StoreKind::TimestampedKeyValue, factory);
    spec.format = StoreFormat::Dsl;
    GraphStore { spec, identity: Arc::new(()), default_place: true }
}

pub(super) fn key_value_options(open: &OpenStore, timestamped: bool) -> KeyValueOptions {
    KeyValueOptions {
        name: open.name.clone(),
        timestamped,
        caching: open.caching,
        logging: open.logging,
        tier_max_bytes: open.tier_max_bytes,
    }
}
