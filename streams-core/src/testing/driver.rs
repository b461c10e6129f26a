//! `TopologyTestDriver`: a topology under test.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::Serde;
use streams_state::types::{Headers, Timestamp};

use super::crank::Crank;
use super::store::Place;
use super::{DriverConfig, ProducedRecord, TestInputTopic, TestOutputTopic, TestStore, TestVersionedStore};
use crate::error::NodeResult;
use crate::processor::{DropCounts, GlobalStoreView};
use crate::query::{QueryError, Sight, StateQueryRequest, StateQueryResult};
use crate::runtime::StreamsError;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

/// Runs a topology in a test: typed topics in and out, stores to look at, a clock to move.
///
/// Each piped record is processed to its end, repartition topics included, before the call returns. Record caches are
/// flushed after each record, so that nothing is held back.
///
/// ```
/// use streams_core::dsl::StreamsBuilder;
/// use streams_core::testing::TopologyTestDriver;
/// use streams_core::topic::{Store, Topic};
///
/// const WORDS: Topic<(), String> = Topic::new("words");
/// const COUNTS: Topic<String, i64> = Topic::new("counts");
/// const STORE: Store<String, i64> = Store::new("counts");
///
/// let builder = StreamsBuilder::new();
/// builder.stream(&WORDS).group_by(|_, word| word.clone()).count_with(&STORE).to_stream().to(&COUNTS);
///
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let words = driver.input(&WORDS);
/// words.pipe((), "a");
/// words.pipe((), "b");
/// words.pipe((), "a");
/// let counts = driver.output(&COUNTS).read_all();
/// assert_eq!(counts, [("a".to_owned(), 1), ("b".to_owned(), 1), ("a".to_owned(), 2)]);
/// assert_eq!(driver.store(&STORE).get(&"a".to_owned()), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TopologyTestDriver {
    pub(super) crank: Rc<RefCell<Crank>>,
}

impl TopologyTestDriver {
    /// A driver with the default [`DriverConfig`].
    ///
    /// # Errors
    /// A topology that cannot run, with all its faults, or a processor's `init` that failed.
    pub fn new(topology: Topology) -> Result<Self, StreamsError> {
        Self::with_config(topology, DriverConfig::default())
    }

    /// A driver with these settings.
    ///
    /// # Errors
    /// As [`new`](Self::new); or the engine cannot be opened.
    pub fn with_config(topology: Topology, config: DriverConfig) -> Result<Self, StreamsError> {
        topology.validate()?;
        Ok(Self { crank: Rc::new(RefCell::new(Crank::new(&topology, &config)?)) })
    }

    /// The input end of a source topic. Its records start at the wall clock of the driver.
    pub fn input<K, V, KS, VS>(&self, topic: &Topic<K, V, KS, VS>) -> TestInputTopic<K, V>
    where
        K: 'static,
        V: 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        TestInputTopic::new(self.crank.clone(), topic)
    }

    /// The output end of a topic that the topology writes. All ends of one topic share what is unread.
    pub fn output<K, V, KS, VS>(&self, topic: &Topic<K, V, KS, VS>) -> TestOutputTopic<K, V>
    where
        K: 'static,
        V: 'static,
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        TestOutputTopic::new(self.crank.clone(), topic)
    }

    /// Moves the wall clock, and runs the schedules that are due.
    ///
    /// # Panics
    /// A node failed. [`try_advance_wall_clock`](Self::try_advance_wall_clock) returns the error.
    #[track_caller]
    pub fn advance_wall_clock(&self, by: Duration) {
        if let Err(error) = self.try_advance_wall_clock(by) {
            panic!("{error}");
        }
    }

    /// Moves the wall clock, and runs the schedules that are due.
    ///
    /// # Errors
    /// A node failed. The driver cannot go on then.
    pub fn try_advance_wall_clock(&self, by: Duration) -> NodeResult {
        self.crank.borrow_mut().advance_wall_clock(by.as_millis() as i64)
    }

    /// The wall clock, ms since the epoch.
    pub fn wall_clock(&self) -> Timestamp {
        self.crank.borrow().wall_time()
    }

    /// A store of the topology.
    ///
    /// # Panics
    /// There is no such store, or it has other types.
    #[track_caller]
    pub fn store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> TestStore<K, V>
    where
        K: 'static,
        V: Clone + 'static,
    {
        if !self.store_names().iter().any(|name| &**name == store.name()) {
            let names = self.store_names();
            panic!("there is no store `{}`; the topology has {names:?}", store.name());
        }
        match self.find_store(store) {
            Some(typed) => typed,
            None => panic!(
                "store `{}` is not a key-value store of {} by {}",
                store.name(),
                std::any::type_name::<V>(),
                std::any::type_name::<K>()
            ),
        }
    }

    /// The store, or `None` if there is none of this name with these types.
    pub fn find_store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> Option<TestStore<K, V>>
    where
        K: 'static,
        V: Clone + 'static,
    {
        Place::find(&self.crank.borrow(), store.name()).map(TestStore)
    }

    /// A versioned store of the topology.
    ///
    /// # Panics
    /// There is no such versioned store, or it has other types.
    #[track_caller]
    pub fn versioned_store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> TestVersionedStore<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        match self.find_versioned_store(store) {
            Some(store) => store,
            None => panic!(
                "there is no versioned store `{}` of {} by {}",
                store.name(),
                std::any::type_name::<V>(),
                std::any::type_name::<K>()
            ),
        }
    }

    /// The versioned store, or `None` if there is none of this name with these types.
    pub fn find_versioned_store<K, V, KS, VS>(
        &self,
        store: &Store<K, V, KS, VS>,
    ) -> Option<TestVersionedStore<K, V>>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        Place::find(&self.crank.borrow(), store.name()).map(TestVersionedStore)
    }

    /// The store of this name as the type `S` that it was made with, whatever kind it is of; `None` if it has another type, or
    /// is global.
    pub fn find_store_as<S: 'static>(&self, name: &str) -> Option<Rc<RefCell<S>>> {
        match Place::find(&self.crank.borrow(), name)? {
            Place::Task(store) => Some(store),
            Place::Global(_) => None,
        }
    }

    /// The global store of this name as the type `S` that it was made with, whatever kind it is of; `None` if it has another
    /// type, or is not global.
    pub fn find_global_store_as<S: 'static>(&self, name: &str) -> Option<GlobalStoreView<S>> {
        self.crank.borrow().global_store(name)?.typed().map(GlobalStoreView)
    }

    /// Asks a store as [`KafkaStreams::query`](crate::runtime::KafkaStreams::query) does. It has partition 0 only.
    ///
    /// # Errors
    /// There is no such store.
    pub fn query<R>(&self, request: &StateQueryRequest<R>) -> Result<StateQueryResult<R>, QueryError> {
        let crank = self.crank.borrow();
        if let Some(store) = crank.global_store(request.store_name()) {
            let sight = Sight::global(store, crank.position(true), "the test driver");
            return Ok(StateQueryResult::global(request.answer(sight)));
        }
        let stores = crank.stores();
        let Some((_, store)) = stores.iter().find(|(name, _)| **name == *request.store_name()) else {
            let known = stores.iter().map(|(name, _)| name.to_string()).collect();
            return Err(QueryError::UnknownStore { store: request.store_name().to_owned(), known });
        };
        let sight = Sight::task(store, 0, crank.position(false), "the test driver");
        let results = request.means(0).then(|| (0, request.answer(sight)));
        Ok(StateQueryResult::of(request, results.into_iter().collect(), &[0]))
    }

    /// Names of all stores that nodes use, global ones included.
    pub fn store_names(&self) -> Vec<Arc<str>> {
        self.crank.borrow().stores().into_iter().map(|(name, _)| name).collect()
    }

    /// Number of records that were dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.crank.borrow().dropped()
    }

    /// Number of records that were dropped, by reason.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, processor::DropReason, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<Option<String>, String> = Topic::new("in");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).group_by_key().count();
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe(None::<String>, "no key");
    /// assert_eq!(driver.dropped_by_reason().get(DropReason::NullKey), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dropped_by_reason(&self) -> DropCounts {
        self.crank.borrow().dropped_by_reason()
    }

    /// Processes a record given as bytes, and all that follows from it.
    ///
    /// # Errors
    /// A node failed, or no source reads `topic`. The driver cannot go on then; what this record produced is dropped.
    pub fn pipe_raw(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Timestamp,
        headers: Headers,
    ) -> NodeResult {
        self.crank.borrow_mut().pipe(ProducedRecord {
            topic: topic.into(),
            partition: None,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            timestamp: Some(timestamp),
            headers,
            item: 0,
        })
    }

    /// Names of all topics written so far, in order of name: outputs, repartition topics and changelogs.
    pub fn produced_topics(&self) -> Vec<Arc<str>> {
        self.crank.borrow().topics()
    }

    /// All records written to a topic so far, as bytes, whether a test has read them or not.
    pub fn produced(&self, topic: &str) -> Vec<ProducedRecord> {
        self.crank.borrow().produced(topic).to_vec()
    }

    /// Gives committed updates of all stores to their engines, as a running application does now and then.
    ///
    /// # Errors
    /// An engine failed.
    pub fn flush_stores(&self) -> NodeResult {
        self.crank.borrow_mut().flush()
    }

    /// Closes the processors. Nothing can be piped afterwards; outputs can still be read.
    ///
    /// # Errors
    /// The first that a node's `close` returned.
    pub fn close(&self) -> NodeResult {
        self.crank.borrow_mut().close()
    }
}
