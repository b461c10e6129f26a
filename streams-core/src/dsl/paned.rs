//! `PanedKStream`: grouped records over hopping windows that are kept in panes.

use std::sync::Arc;

use streams_state::types::Windowed;

use super::Data;
use super::materialized::Materialized;
use super::names;
use super::table::KTable;
use super::windowed::TimeWindowedKStream;
use crate::operators::{Count, EachWindow, Fold, Reduce};
use crate::outcome::Outcome;

/// A grouped stream over hopping windows, of which the store keeps parts: from [`TimeWindowedKStream::in_panes`].
///
/// A record falls into `size / advance` windows. Without panes the store has a row for each of them, and each record updates and logs
/// all; with panes it updates and logs one row: that of the pane, which is the stretch of time between two places where windows
/// start or end. A window is combined from its panes when it is sent on or read. The smaller the advance, the larger the gain;
/// windows that do not overlap are kept as ever. `cargo bench --bench record_path -- 'a minute'` (2 shared cores, ten records of each key
/// a commit, record cache on): 215 ns a record instead of 664 for a minute by 10 s, 866 instead of 4,601 for a minute by 1 s; without a
/// cache, where each record sends all of its windows on, about as many (794 and 822), but with one changelog record instead of 6.
///
/// What is sent on is the same, record for record: keys, values, old values, timestamps, order, with and without a cache, on update
/// and on close, for late and out-of-order records. The conditions, of which the library can check none:
/// - The result must not depend on the order of records: an aggregate of one part combined with that of another is that of all their
///   records. Counts, sums, minima, maxima, sets and sketches are so; "the last value" and lists in the order of arrival are not.
///   If records of a key come in the order of their timestamps it is enough that parts in this order can be combined.
/// - `combine` gets aggregates that started as `init()` on either side, and must count that once.
///
/// Key: that of the group, and the window. Value and time: as without panes. Repartition: see the grouping. State: a window store of
/// panes, which are kept as long as the last of their windows. Null: as without panes.
///
/// What differs: the store and its changelog have the names of ever, but panes in them, so the state of a Kafka Streams application
/// cannot be taken over. Reads, of processors and of the [`TopologyTestDriver`](crate::testing::TopologyTestDriver), see windows,
/// combined at each read: a read costs as much as a window has panes. Only the aggregation can write the store. A store whose
/// rows were written for other windows, or without panes, is refused with an error when such a row is met: give it another name,
/// or reset the application, when size or advance change. Functions that fail or delete rows (`aggregate_opt`, `reduce_opt`) have no
/// form in panes; `add` may fail as ever.
pub struct PanedKStream<K, V>(TimeWindowedKStream<K, V>);

impl<K: Clone + 'static, V: Clone + 'static> Clone for PanedKStream<K, V> {
    /// Forks the windowed stream.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: 'static, V: 'static> PanedKStream<K, V> {
    pub(super) fn new(windowed: TimeWindowedKStream<K, V>) -> Self {
        Self(windowed)
    }

    /// Names the aggregation that follows.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self(self.0.named(name))
    }
}

impl<K: Clone + 'static, V: Clone + 'static> PanedKStream<K, V> {
    /// As [`TimeWindowedKStream::count`], in panes.
    pub fn count(self) -> KTable<Windowed<K>, i64> {
        self.counted(Materialized::unnamed())
    }

    /// As [`count`](Self::count), kept as said.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// const COUNTS: Store<String, i64> = Store::new("counts");
    /// let builder = StreamsBuilder::new();
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60)).advance_by(Duration::from_secs(1));
    /// builder.stream(&CLICKS).group_by_key().windowed_by(minutes).in_panes().count_with(&COUNTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [59_000, 59_500, 61_000].map(|time| driver.input(&CLICKS).pipe_at("a", "click", time));
    /// assert_eq!(driver.window_store(&COUNTS).fetch(&"a".to_owned(), 0), Some(2));
    /// assert_eq!(driver.window_store(&COUNTS).fetch(&"a".to_owned(), 59_000), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count_with(self, materialized: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let materialized = materialized.into();
        self.0.use_up_name(&materialized);
        self.counted(materialized)
    }

    fn counted(self, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        let add = |_: &K, one: i64, two: &i64| one + two;
        self.0.aggregated(names::AGGREGATE, materialized, None, (Count, Some(Arc::new(add))))
    }

    /// As [`TimeWindowedKStream::reduce`], in panes: `reducer` merges values, and the parts of a window, too. It cannot fail.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::Topic};
    /// const HEAT: Topic<String, i64> = Topic::new("heat");
    /// const HOTTEST: Topic<String, i64> = Topic::new("hottest");
    /// let builder = StreamsBuilder::new();
    /// let hours = TimeWindows::of_size_with_no_grace(Duration::from_secs(3600)).advance_by(Duration::from_secs(60));
    /// let hottest = builder.stream(&HEAT).group_by_key().windowed_by(hours).in_panes().reduce(i64::max);
    /// hottest.to_stream_keyed(|windowed, _| windowed.to_string()).to(&HOTTEST);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&HEAT).pipe_at("a", 30, 60_000);
    /// driver.input(&HEAT).pipe_at("a", 20, 3_600_000);
    /// let hottest = driver.output(&HOTTEST).read_key_values();
    /// assert_eq!((hottest["[a@60000/3660000]"], hottest["[a@120000/3720000]"]), (30, 20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce(self, reducer: impl Fn(V, V) -> V + Send + Sync + 'static) -> KTable<Windowed<K>, V>
    where
        V: Data,
    {
        self.reduce_with(reducer, Materialized::unnamed())
    }

    /// As [`reduce`](Self::reduce), kept as said.
    pub fn reduce_with(
        self,
        reducer: impl Fn(V, V) -> V + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<Windowed<K>, V> {
        let (values, reducer) = (self.0.grouped.values.clone(), Arc::new(reducer));
        let of_records = reducer.clone();
        let reduce = EachWindow(Reduce(move |one, two| of_records(one, two)));
        let combine = Arc::new(move |_: &K, one, two: &V| reducer(one, two.clone()));
        self.0.aggregated(names::REDUCE, materialized.into(), Some(values), (reduce, Some(combine)))
    }

    /// As [`TimeWindowedKStream::aggregate`], in panes: `combine` merges the second of two parts of a window into the first, which is
    /// the earlier one.
    ///
    /// ```
    /// # use std::{collections::BTreeSet, time::Duration};
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const VIEWS: Topic<String, String> = Topic::new("views");
    /// const VISITORS: Store<String, BTreeSet<String>> = Store::new("visitors");
    /// let builder = StreamsBuilder::new();
    /// let tens = TimeWindows::of_size_with_no_grace(Duration::from_secs(10)).advance_by(Duration::from_secs(5));
    /// let windowed = builder.stream(&VIEWS).group_by_key().windowed_by(tens).in_panes();
    /// let add = |_: &String, visitor: String, visitors: &mut BTreeSet<String>| {
    ///     visitors.insert(visitor);
    /// };
    /// let combine = |_: &String, one: BTreeSet<String>, two: &BTreeSet<String>| &one | two;
    /// windowed.aggregate_with(BTreeSet::new, add, combine, &VISITORS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [("ann", 3_000), ("bob", 7_000), ("ann", 8_000)].map(|(who, time)| driver.input(&VIEWS).pipe_at("page", who, time));
    /// let visitors = driver.window_store(&VISITORS);
    /// assert_eq!(visitors.fetch(&"page".to_owned(), 0).unwrap().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Data + Clone, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        combine: impl Fn(&K, A, &A) -> A + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_with(init, add, combine, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<A: Clone + 'static, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        combine: impl Fn(&K, A, &A) -> A + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let aggregate = EachWindow(Fold { init, add });
        self.0.aggregated(names::AGGREGATE, materialized.into(), None, (aggregate, Some(Arc::new(combine))))
    }
}
