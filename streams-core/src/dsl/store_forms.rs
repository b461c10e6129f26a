//! The other forms of store that a processor may bring: of windows and sessions, with a bound of rows, with headers.

use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::store::{KeyValueStore, SessionOptions, SessionStore, WindowStore};
use streams_state::types::{Timestamp, ValueAndHeaders};

use super::stores::{GraphStore, StoreBuilder, Stores, key_value_options, store_spec};
use super::window_retention::WindowRetention;
use super::windows::millis;
use crate::processor::StoreInstance;
use crate::topic::Store;
use crate::topology::{OpenStore, StoreFactory, StoreKind};

impl Stores {
    /// A window store, rows by key and start of a window: persistent, plain, logged, not cached. Kafka Streams'
    /// `persistentWindowStore` and, with [`in_memory`](StoreBuilder::in_memory), `inMemoryWindowStore`. Changelog records
    /// have the timestamp of the record in work.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::{Stores, StreamsBuilder, WindowRetention};
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    ///
    /// const LOGINS: Topic<String, String> = Topic::new("logins");
    /// const NEW: Topic<String, String> = Topic::new("new-devices");
    /// const DEVICES: Store<String, String> = Store::new("devices");
    ///
    /// /// Forwards a login from a device that was not seen in the last hour.
    /// struct NewDevices;
    ///
    /// impl Processor<String, String, String, String> for NewDevices {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, String>,
    ///         login: Record<String, String>,
    ///     ) -> Result<(), BoxError> {
    ///         let store = context.window_store(&DEVICES)?;
    ///         let (hour, now, mut known) = (3_600_000, login.timestamp, false);
    ///         store.borrow_mut().fetch_range(&login.key, now - hour, now, &mut |_, device, _| {
    ///             known |= *device == login.value;
    ///             std::ops::ControlFlow::Continue(())
    ///         })?;
    ///         store.borrow_mut().put(&login.key, now, Some(login.value.clone()), now, context.record_context())?;
    ///         if !known {
    ///             context.forward(login)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let hours = WindowRetention::new(Duration::from_secs(7200), Duration::from_secs(3600)).retain_duplicates();
    /// builder.add_state_store(Stores::window(&DEVICES, hours));
    /// builder.stream(&LOGINS).process(|| NewDevices, &["devices"]).to(&NEW);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for (device, time) in [("phone", 0), ("phone", 1000), ("laptop", 2000)] {
    ///     driver.input(&LOGINS).pipe_at("ada", device, time);
    /// }
    /// let new: Vec<String> = driver.output(&NEW).read_all().into_iter().map(|(_, device)| device).collect();
    /// assert_eq!(new, ["phone", "laptop"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn window<K, V, KS, VS>(store: &Store<K, V, KS, VS>, rows: WindowRetention) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let factory = window_factory(store.key_serde(), store.value_serde(), rows, false);
        window_builder(store.name(), false, rows, factory)
    }

    /// As [`window`](Self::window); changelog records have the timestamp of the value: as windowed DSL tables.
    pub fn timestamped_window<K, V, KS, VS>(
        store: &Store<K, V, KS, VS>,
        rows: WindowRetention,
    ) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let factory = window_factory(store.key_serde(), store.value_serde(), rows, true);
        window_builder(store.name(), true, rows, factory)
    }

    /// As [`timestamped_window`](Self::timestamped_window), with the headers of a record beside its value (KIP-1271). In
    /// the changelog they are the headers of the record; the serde of the store writes the value alone.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::{Stores, WindowRetention};
    /// use streams_core::topic::Store;
    /// use streams_core::types::ValueAndHeaders;
    ///
    /// const SEEN: Store<String, ValueAndHeaders<i64>> = Store::new("seen");
    /// let rows = WindowRetention::new(Duration::from_secs(60), Duration::from_secs(10));
    /// let store = Stores::timestamped_window_with_headers(&SEEN, rows).in_memory();
    /// ```
    pub fn timestamped_window_with_headers<K, V, KS, VS>(
        store: &Store<K, ValueAndHeaders<V>, KS, VS>,
        rows: WindowRetention,
    ) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (Arc::new(KS::default()), Arc::new(VS::default()));
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let (keys, values) = open.serdes(&keys, &values);
            let options = rows.options(&open, true);
            let store = WindowStore::header_aware(options, open.engine, keys, values)?;
            Ok(StoreInstance::shareable(store))
        });
        window_builder(store.name(), true, rows, factory)
    }

    /// A session store, aggregates by key and session: persistent, logged, not cached. Sessions are kept until stream
    /// time is `retention` after their end. Both ends of a session are inclusive.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::{Stores, StreamsBuilder};
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    /// use streams_core::types::Window;
    ///
    /// const CLICKS: Topic<String, i64> = Topic::new("clicks");
    /// const VISITS: Store<String, i64> = Store::new("visits");
    ///
    /// /// Adds each click to the session of its user that ended at most 30 ms before.
    /// struct Visits;
    ///
    /// impl Processor<String, i64, String, i64> for Visits {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         click: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let store = context.session_store(&VISITS)?;
    ///         let mut store = store.borrow_mut();
    ///         let now = click.timestamp;
    ///         let (mut visit, mut clicks) = (Window { start: now, end: now }, click.value);
    ///         let mut merged = Vec::new();
    ///         store.find_sessions(&click.key, now - 30, now, &mut |window, count| {
    ///             visit = Window { start: visit.start.min(window.start), end: visit.end.max(window.end) };
    ///             clicks += count;
    ///             merged.push(window);
    ///         })?;
    ///         for window in merged {
    ///             store.remove(&click.key, window, context.record_context())?;
    ///         }
    ///         store.put(&click.key, visit, Some(clicks), context.record_context())?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::session(&VISITS, Duration::from_secs(60)));
    /// builder.stream(&CLICKS).process(|| Visits, &["visits"]);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for time in [0, 20, 100] {
    ///     driver.input(&CLICKS).pipe_at("ada", 1, time);
    /// }
    /// let visits = driver.session_store(&VISITS).fetch(&"ada".to_owned());
    /// assert_eq!(visits, [(Window { start: 0, end: 20 }, 2), (Window { start: 100, end: 100 }, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session<K, V, KS, VS>(store: &Store<K, V, KS, VS>, retention: Duration) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let (retention, keys, values) = (millis(retention), store.key_serde(), store.value_serde());
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let (keys, values) = open.serdes(&keys, &values);
            let options = session_options(&open, retention);
            let store = SessionStore::new(options, open.engine, keys, values)?;
            Ok(StoreInstance::shareable(store))
        });
        builder(store.name(), StoreKind::Session { retention }, factory)
    }

    /// As [`session`](Self::session), with headers beside each aggregate (KIP-1271).
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::Stores;
    /// use streams_core::topic::Store;
    /// use streams_core::types::ValueAndHeaders;
    ///
    /// const VISITS: Store<String, ValueAndHeaders<i64>> = Store::new("visits");
    /// let store = Stores::session_with_headers(&VISITS, Duration::from_secs(60));
    /// ```
    pub fn session_with_headers<K, V, KS, VS>(
        store: &Store<K, ValueAndHeaders<V>, KS, VS>,
        retention: Duration,
    ) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let retention = millis(retention);
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (Arc::new(KS::default()), Arc::new(VS::default()));
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let (keys, values) = open.serdes(&keys, &values);
            let options = session_options(&open, retention);
            let store = SessionStore::header_aware(options, open.engine, keys, values)?;
            Ok(StoreInstance::shareable(store))
        });
        builder(store.name(), StoreKind::Session { retention }, factory)
    }

    /// A key-value store in memory that keeps `max_rows` rows, those that were used last: Kafka Streams' `lruMap`.
    ///
    /// A row that goes to make room is deleted in the changelog, too. `get` is a use, a scan is not. With
    /// [`caching`](StoreBuilder::caching) rows count from the flush on. The store is in memory even if it is asked not to be.
    ///
    /// ```
    /// use streams_core::dsl::{Stores, StreamsBuilder};
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    ///
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// const RECENT: Store<String, i64> = Store::new("recent");
    ///
    /// /// Forwards a value unless its key was among the last two.
    /// struct Fresh;
    ///
    /// impl Processor<String, i64, String, i64> for Fresh {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let store = context.store(&RECENT)?;
    ///         let known = store.borrow_mut().get(&record.key)?.is_some();
    ///         let update = context.record_context();
    ///         store.borrow_mut().put(&record.key, Some(record.value), record.timestamp, update)?;
    ///         if !known {
    ///             context.forward(record)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::lru_map(&RECENT, 2));
    /// builder.stream(&IN).process(|| Fresh, &["recent"]).to(&OUT);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)] {
    ///     driver.input(&IN).pipe(key, value);
    /// }
    /// let fresh: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    /// assert_eq!(fresh, [1, 2, 4, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lru_map<K, V, KS, VS>(store: &Store<K, V, KS, VS>, max_rows: usize) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let factory =
            lru_factory(store.key_serde(), store.value_serde(), max_rows, false, StoreInstance::shareable);
        builder(store.name(), StoreKind::KeyValue, factory).in_memory()
    }

    /// A timestamped key-value store that keeps the headers of a record with its value (KIP-1271). In the changelog they
    /// are the headers of the record; the serde of the store writes the value alone.
    ///
    /// ```
    /// use streams_core::dsl::{Stores, StreamsBuilder};
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    /// use streams_core::types::ValueAndHeaders;
    ///
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const SEEN: Store<String, ValueAndHeaders<i64>> = Store::new("seen");
    ///
    /// struct Keep;
    ///
    /// impl Processor<String, i64, String, i64> for Keep {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         Record { key, value, timestamp, headers }: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let row = ValueAndHeaders { value, headers };
    ///         context.store(&SEEN)?.borrow_mut().put(&key, Some(row), timestamp, context.record_context())?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::timestamped_key_value_with_headers(&SEEN));
    /// builder.stream(&IN).process(|| Keep, &["seen"]);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(driver.store(&SEEN).get(&"a".to_owned()).map(|row| row.value), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timestamped_key_value_with_headers<K, V, KS, VS>(
        store: &Store<K, ValueAndHeaders<V>, KS, VS>,
    ) -> StoreBuilder
    where
        K: 'static,
        V: Clone + Send + 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let (keys, values): (SerdeRef<K>, SerdeRef<V>) = (Arc::new(KS::default()), Arc::new(VS::default()));
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let (keys, values) = open.serdes(&keys, &values);
            let options = key_value_options(&open, true);
            let store = KeyValueStore::header_aware(options, open.engine, keys, values)?;
            Ok(StoreInstance::shareable(store))
        });
        builder(store.name(), StoreKind::TimestampedKeyValue, factory)
    }
}

fn builder(name: &str, kind: StoreKind, factory: StoreFactory) -> StoreBuilder {
    let spec = store_spec(name.into(), kind, factory);
    StoreBuilder(GraphStore { spec, identity: Arc::new(()), default_place: false })
}

fn window_builder(
    name: &str,
    timestamped: bool,
    rows: WindowRetention,
    factory: StoreFactory,
) -> StoreBuilder {
    let kind = match timestamped {
        true => StoreKind::TimestampedWindow { retention: rows.retention_ms() },
        false => StoreKind::Window { retention: rows.retention_ms(), duplicates: rows.retains_duplicates() },
    };
    let mut builder = builder(name, kind, factory);
    builder.0.spec.fault = rows.fault(name);
    builder
}

fn window_factory<K: 'static, V: Clone + Send + 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    rows: WindowRetention,
    timestamped: bool,
) -> StoreFactory {
    Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = rows.options(&open, timestamped);
        let store = WindowStore::new(options, open.engine, keys, values)?;
        Ok(StoreInstance::shareable(store))
    })
}

/// Makes stores in memory that keep `max_rows` rows.
pub(super) fn lru_factory<K: 'static, V: Clone + 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    max_rows: usize,
    timestamped: bool,
    instance: fn(KeyValueStore<K, V>) -> StoreInstance,
) -> StoreFactory {
    Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = key_value_options(&open, timestamped);
        let store = KeyValueStore::least_recently_used(options, max_rows, keys, values)?;
        Ok(instance(store))
    })
}

pub(super) fn session_options(open: &OpenStore, retention: Timestamp) -> SessionOptions {
    SessionOptions {
        in_memory_order: open.in_memory,
        caching: open.caching,
        logging: open.logging,
        tier_max_bytes: open.tier_max_bytes,
        ..SessionOptions::new(open.name.clone(), retention)
    }
}
