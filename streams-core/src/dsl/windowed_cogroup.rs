//! Several grouped streams over windows, on their way to one aggregate for each key and window.

use std::sync::Arc;

use streams_state::types::Windowed;

use super::Data;
use super::cogrouped::{CogroupedKStream, GroupInput, Init, Merge};
use super::materialized::Materialized;
use super::names;
use super::session_windowed::session_getter;
use super::table::KTable;
use super::window_stores::{
    WindowPlan, materialize_session, materialize_window, session_serde, window_serde,
};
use super::windowed::window_getter;
use super::windows::{EmitStrategy, FixedWindows, SessionWindows};
use crate::outcome::Outcome;

/// Cogrouped streams over windows: from [`CogroupedKStream::windowed_by`].
///
/// Which records are dropped, and what the timestamp of a row is: as of a [`TimeWindowedKStream`](super::TimeWindowedKStream).
pub struct TimeWindowedCogroupedKStream<K, A> {
    cogrouped: CogroupedKStream<K, A>,
    windows: FixedWindows,
}

impl<K, A> TimeWindowedCogroupedKStream<K, A> {
    pub(crate) fn new(
        cogrouped: CogroupedKStream<K, A>,
        windows: FixedWindows,
        fault: Option<String>,
    ) -> Self {
        let name = cogrouped.first_name();
        cogrouped.graph.borrow_mut().note_fault("windowed_by", &name, fault);
        Self { cogrouped, windows }
    }
}

impl<K: Clone + 'static, A: Clone + 'static> Clone for TimeWindowedCogroupedKStream<K, A> {
    /// Forks all of the grouped streams.
    fn clone(&self) -> Self {
        Self { cogrouped: self.cogrouped.clone(), windows: self.windows.clone() }
    }
}

impl<K: Clone + 'static, A: Clone + 'static> TimeWindowedCogroupedKStream<K, A> {
    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.cogrouped = self.cogrouped.named(name);
        self
    }

    /// Folds the records of all streams into one aggregate for each key and window, which starts as `init()`. See
    /// [`CogroupedKStream::windowed_by`] for an example.
    ///
    /// Key: that of the groups, and the window. Value: the aggregate. Time: the largest of the added records. Repartition: as
    /// [`CogroupedKStream::aggregate`]. State: a window store. Null: null keys and values are dropped, counted; late records, too.
    pub fn aggregate(self, init: impl Fn() -> A + Send + Sync + 'static) -> KTable<Windowed<K>, A>
    where
        A: Data,
    {
        self.aggregate_with(init, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_opt_with(move || Some(init()), materialized)
    }

    /// As [`aggregate`](Self::aggregate), where the first aggregate may be missing.
    pub fn aggregate_opt(self, init: impl Fn() -> Option<A> + Send + Sync + 'static) -> KTable<Windowed<K>, A>
    where
        A: Data,
    {
        self.aggregate_opt_with(init, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    pub fn aggregate_opt_with(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let Self { cogrouped, windows } = self;
        let mut materialized = materialized.into();
        let keys = materialized.keys.take().unwrap_or_else(|| cogrouped.keys.clone());
        let rows = materialized.rows(None);
        let (size, grace) = (windows.size(), windows.grace());
        let plan = WindowPlan { windows, emit: EmitStrategy::OnWindowUpdate, panes: None };
        let serdes = (keys.clone(), rows.clone());
        let prefix = names::COGROUP_AGGREGATE;
        let mut graph = cogrouped.graph.borrow_mut();
        let store = materialize_window(&mut graph, materialized, serdes, prefix, (&plan, None));
        drop(graph);
        let (store_name, init): (Arc<str>, Init<A>) = (store.0.spec.name.clone(), Arc::new(init));
        let node_store = store_name.clone();
        let make = move |input: &dyn GroupInput<K, A>| {
            input.aggregate_windows(init.clone(), plan.clone(), node_store.clone())
        };
        let (up, table) = cogrouped.cogrouped::<Windowed<K>>(store, Some(grace), &make);
        let getter = window_getter(store_name);
        KTable { up, table, keys: window_serde(keys, size), values: Some(rows), getter }
    }
}

/// Cogrouped streams over sessions: from [`CogroupedKStream::windowed_by`].
///
/// Which records are dropped, and what the timestamp of a row is: as of a
/// [`SessionWindowedKStream`](super::SessionWindowedKStream).
pub struct SessionWindowedCogroupedKStream<K, A> {
    cogrouped: CogroupedKStream<K, A>,
    windows: SessionWindows,
}

impl<K, A> SessionWindowedCogroupedKStream<K, A> {
    pub(crate) fn new(cogrouped: CogroupedKStream<K, A>, windows: SessionWindows) -> Self {
        let name = cogrouped.first_name();
        cogrouped.graph.borrow_mut().note_fault("windowed_by", &name, windows.fault());
        Self { cogrouped, windows }
    }
}

impl<K: Clone + 'static, A: Clone + 'static> Clone for SessionWindowedCogroupedKStream<K, A> {
    /// Forks all of the grouped streams.
    fn clone(&self) -> Self {
        Self { cogrouped: self.cogrouped.clone(), windows: self.windows }
    }
}

impl<K: Clone + 'static, A: Clone + 'static> SessionWindowedCogroupedKStream<K, A> {
    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.cogrouped = self.cogrouped.named(name);
        self
    }

    /// Folds the records of all streams into one aggregate for each key and session, which starts as `init()`; `merge` makes one of
    /// two sessions that become one. See [`CogroupedKStream::aggregate`] for repartitions.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{SessionWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const CLICKS: Topic<String, i64> = Topic::new("clicks");
    /// const BUYS: Topic<String, i64> = Topic::new("buys");
    /// const VISITS: Store<String, i64> = Store::new("visits");
    /// let builder = StreamsBuilder::new();
    /// let buys = builder.stream(&BUYS).group_by_key();
    /// let clicks = builder.stream(&CLICKS).group_by_key().cogroup(|_, _, points| *points += 1);
    /// let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_millis(10));
    /// let both = clicks.cogroup(buys, |_, _, points| *points += 10).windowed_by(gap);
    /// both.aggregate_with(|| 0, |_, one, two| one + two, &VISITS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&CLICKS).pipe_at("ada", 0, 11);
    /// driver.input(&BUYS).pipe_at("ada", 0, 17);
    /// assert_eq!(driver.session_store(&VISITS).fetch(&"ada".to_owned())[0].1, 11);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<RM: Outcome<A>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> RM + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A>
    where
        A: Data,
    {
        self.aggregate_with(init, merge, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<RM: Outcome<A>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> RM + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let merge = move |key: &K, aggregate: Option<A>, session: A| match aggregate {
            Some(aggregate) => merge(key, aggregate, session).map_value(Some),
            None => RM::With::of_value(Some(session)),
        };
        self.aggregate_opt_with(move || Some(init()), merge, materialized)
    }

    /// As [`aggregate`](Self::aggregate), where aggregates may be missing.
    pub fn aggregate_opt<RM: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, A) -> RM + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A>
    where
        A: Data,
    {
        self.aggregate_opt_with(init, merge, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    pub fn aggregate_opt_with<RM: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, A) -> RM + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let Self { cogrouped, windows } = self;
        let mut materialized = materialized.into();
        let keys = materialized.keys.take().unwrap_or_else(|| cogrouped.keys.clone());
        let rows = materialized.rows(None);
        let serdes = (keys.clone(), rows.clone());
        let how = (windows, EmitStrategy::OnWindowUpdate);
        let prefix = names::COGROUP_AGGREGATE;
        let store = materialize_session(&mut cogrouped.graph.borrow_mut(), materialized, serdes, prefix, how);
        let (store_name, init): (Arc<str>, Init<A>) = (store.0.spec.name.clone(), Arc::new(init));
        let (node_store, merge): (_, Merge<K, A>) = (
            store_name.clone(),
            Arc::new(move |key, aggregate, session| merge(key, aggregate, session).into_result()),
        );
        let make = move |input: &dyn GroupInput<K, A>| {
            input.aggregate_sessions(init.clone(), merge.clone(), windows, node_store.clone())
        };
        let (up, table) = cogrouped.cogrouped::<Windowed<K>>(store, Some(windows.close_after()), &make);
        let getter = session_getter(store_name);
        KTable { up, table, keys: session_serde(keys), values: Some(rows), getter }
    }
}
