//! What is asked: a query for a store, which partitions are meant, and what they have to have seen.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::place::{Place, QueriedStore};
use super::{FailureReason, Position, PositionBound, QueryFailure, QueryResult};
use crate::error::panic_text;
use crate::processor::{GlobalStore, StoreInstance};
use crate::topic::Store;

/// How long a query may take if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a store with keys `K` and values `V`. A type of your own may: it is handed the store that the topology made.
///
/// ```
/// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
/// use streams_core::query::{QueriedStore, Query, QueryFailure, StateQueryRequest};
/// use streams_core::store::KeyValueStore;
///
/// const WORDS: Topic<String, String> = Topic::new("words");
/// const COUNTS: Store<String, i64> = Store::new("counts");
///
/// /// The sum of all counts.
/// struct Total;
///
/// impl Query<String, i64> for Total {
///     type Result = i64;
///     fn ask(&self, store: &QueriedStore<'_>) -> Result<i64, QueryFailure> {
///         store.read_as("Total", |store: &mut KeyValueStore<String, i64>| {
///             let mut total = 0;
///             store.for_each(&mut |_, count, _| total += count)?;
///             Ok(total)
///         })
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// builder.stream(&WORDS).group_by_key().count_with(&COUNTS);
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// ["a", "b", "a"].iter().for_each(|word| driver.input(&WORDS).pipe(*word, "x"));
/// let result = driver.query(&StateQueryRequest::in_store(&COUNTS).with_query(Total))?;
/// assert_eq!(result.partition_results[&0].result, Ok(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Query<K, V>: Send + Sync + 'static {
    /// What one partition answers.
    type Result: Send + 'static;

    /// Reads the store. The thread that owns it processes no records meanwhile.
    ///
    /// # Errors
    /// The store is not what the query is for, or failed.
    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure>;
}

/// A store that is to be asked: from [`StateQueryRequest::in_store`].
pub struct InStore<K, V> {
    store: String,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: 'static, V: 'static> InStore<K, V> {
    /// What it is asked.
    pub fn with_query<Q: Query<K, V>>(self, query: Q) -> StateQueryRequest<Q::Result> {
        StateQueryRequest {
            store: self.store,
            ask: Arc::new(move |store| query.ask(store)),
            partitions: None,
            stale: false,
            bound: PositionBound::unbounded(),
            execution_info: false,
            timeout: TIMEOUT,
        }
    }
}

/// How a query is put to a store.
type Ask<R> = Arc<dyn Fn(&QueriedStore<'_>) -> Result<R, QueryFailure> + Send + Sync>;

/// A query and where it goes. `R` is what one partition answers.
///
/// ```
/// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
/// use streams_core::query::{KeyQuery, StateQueryRequest};
///
/// const WORDS: Topic<String, String> = Topic::new("words");
/// const COUNTS: Store<String, i64> = Store::new("counts");
///
/// let builder = StreamsBuilder::new();
/// builder.stream(&WORDS).group_by_key().count_with(&COUNTS);
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// driver.input(&WORDS).pipe("ada", "hello");
///
/// let request = StateQueryRequest::in_store(&COUNTS).with_query(KeyQuery::with_key("ada"));
/// assert_eq!(driver.query(&request)?.found()?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StateQueryRequest<R> {
    store: String,
    ask: Ask<R>,
    partitions: Option<BTreeSet<i32>>,
    stale: bool,
    bound: PositionBound,
    execution_info: bool,
    timeout: Duration,
}

impl<R> Clone for StateQueryRequest<R> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            ask: self.ask.clone(),
            partitions: self.partitions.clone(),
            bound: self.bound.clone(),
            ..*self
        }
    }
}

impl<R> fmt::Debug for StateQueryRequest<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateQueryRequest")
            .field("store", &self.store)
            .field("partitions", &self.partitions)
            .field("stale", &self.stale)
            .field("bound", &self.bound)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl StateQueryRequest<()> {
    /// Asks this store: the constant that the topology was built with.
    pub fn in_store<K, V, KS, VS>(store: &Store<K, V, KS, VS>) -> InStore<K, V> {
        InStore { store: store.name().to_owned(), types: PhantomData }
    }
}

impl<R> StateQueryRequest<R> {
    /// Asks these partitions only; each has a result then, and be it `NOT_PRESENT`. Default: all that are here.
    #[must_use]
    pub fn with_partitions(mut self, partitions: impl IntoIterator<Item = i32>) -> Self {
        self.partitions = Some(partitions.into_iter().collect());
        self
    }

    /// Asks all partitions that are on this instance. The default.
    #[must_use]
    pub fn with_all_partitions(mut self) -> Self {
        self.partitions = None;
        self
    }

    /// Tasks that do not run answer, too, with what they have: while they restore, or change threads. Without it they answer
    /// `NOT_ACTIVE`. Their position is not known, so they are never up to a bound.
    #[must_use]
    pub fn enable_stale_stores(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Stores that have not seen this much answer `NOT_UP_TO_BOUND`.
    #[must_use]
    pub fn with_position_bound(mut self, bound: PositionBound) -> Self {
        self.bound = bound;
        self
    }

    /// Results say who answered.
    #[must_use]
    pub fn enable_execution_info(mut self) -> Self {
        self.execution_info = true;
        self
    }

    /// How long it may take. Default: 10 s. Threads come to queries between two batches of records.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Name of the store.
    #[must_use]
    pub fn store_name(&self) -> &str {
        &self.store
    }

    /// How long it may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The partitions that are meant; `None` is all that are here.
    #[must_use]
    pub fn partitions(&self) -> Option<&BTreeSet<i32>> {
        self.partitions.as_ref()
    }

    pub(crate) fn means(&self, partition: i32) -> bool {
        self.partitions.as_ref().is_none_or(|partitions| partitions.contains(&partition))
    }
}

/// Why a store is not up to date.
pub(crate) enum Stale {
    /// It can be read as it is.
    Behind(String),
    /// It cannot: its rows go past it.
    Unreadable(String),
}

/// A store of a task, or a global one, as the thread that may read it sees it.
pub(crate) struct Sight<'a> {
    pub(crate) place: Place<'a>,
    /// Partition of the store; a global store has none.
    pub(crate) partition: Option<i32>,
    /// Why it is not up to date, if it is not.
    pub(crate) stale: Option<Stale>,
    /// What it has seen, if that is known.
    pub(crate) position: Position,
    /// Who answers.
    pub(crate) by: &'a str,
}

impl<'a> Sight<'a> {
    pub(crate) fn task(instance: &'a StoreInstance, partition: i32, position: Position, by: &'a str) -> Self {
        Self { place: Place::Task(instance), partition: Some(partition), stale: None, position, by }
    }

    pub(crate) fn global(store: &'a GlobalStore, position: Position, by: &'a str) -> Self {
        Self { place: Place::Global(store), partition: None, stale: None, position, by }
    }
}

impl<R> StateQueryRequest<R> {
    /// Asks one store. A query that panics fails, and nobody else does.
    pub(crate) fn answer(&self, sight: Sight<'_>) -> QueryResult<R> {
        let Sight { place, partition, stale, position, by } = sight;
        let store = QueriedStore(place);
        let execution_info = match self.execution_info {
            true => vec![format!("answered by {by}, from {}", store.type_name())],
            false => Vec::new(),
        };
        let refused = match stale {
            Some(Stale::Behind(why)) if !self.stale => Some(why),
            Some(Stale::Unreadable(why)) => Some(why),
            Some(Stale::Behind(_)) | None => None,
        };
        let result = match refused {
            Some(why) => Err(QueryFailure::new(FailureReason::NotActive, why)),
            None if !self.bound.permits(&position, partition) => Err(self.behind(&position, partition)),
            None => catch_unwind(AssertUnwindSafe(|| (self.ask)(&store))).unwrap_or_else(|panic| {
                let message = format!("the query panicked: {}", panic_text(&*panic));
                Err(QueryFailure::new(FailureReason::StoreException, message))
            }),
        };
        QueryResult { result, position, execution_info }
    }

    #[cold]
    fn behind(&self, position: &Position, partition: Option<i32>) -> QueryFailure {
        let of = partition.map_or(String::new(), |partition| format!(" of partition {partition}"));
        let seen = if position.is_empty() { "nothing".to_owned() } else { position.to_string() };
        let message = format!(
            "store `{}`{of} has seen {seen}, and the bound is {}; ask again when it has read on",
            self.store,
            self.bound.position()
        );
        QueryFailure::new(FailureReason::NotUpToBound, message)
    }
}
