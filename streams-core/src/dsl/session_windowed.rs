//! `SessionWindowedKStream`: grouped records over sessions, on their way to an aggregation.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::types::{Change, Windowed};

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan, TableKind};
use super::grouped::KGroupedStream;
use super::materialized::Materialized;
use super::names;
use super::table::{KTable, MakeGetter};
use super::window_stores::{materialize_session, session_serde};
use super::windows::{EmitStrategy, SessionWindows};
use crate::operators::{
    Closed, NullCheck, SessionAggregate, SessionEmission, SessionFold, SessionFoldOption, SessionGetter,
    SessionReduce, SessionReduceOption, SessionStoreRef, SessionWindowAggregate, Updates,
};
use crate::outcome::Outcome;
use crate::processor::{ErasedPush, TaskBuilder};

/// A grouped stream over sessions: from `windowed_by` with [`SessionWindows`].
///
/// Aggregations give a table with a row for each key and session. A record that extends a session, or joins two, deletes the
/// rows of the old sessions and makes one for the new. Records for sessions that have closed are dropped, counted. Null keys are
/// dropped, counted; null values are aggregated. The timestamp of a row is the end of its session.
pub struct SessionWindowedKStream<K, V> {
    grouped: KGroupedStream<K, V>,
    windows: SessionWindows,
    emit: EmitStrategy,
}

impl<K: Clone + 'static, V: Clone + 'static> Clone for SessionWindowedKStream<K, V> {
    /// Forks the windowed stream.
    fn clone(&self) -> Self {
        Self { grouped: self.grouped.clone(), windows: self.windows, emit: self.emit }
    }
}

impl<K: 'static, V: 'static> SessionWindowedKStream<K, V> {
    pub(crate) fn new(grouped: KGroupedStream<K, V>, windows: SessionWindows) -> Self {
        grouped.up.graph().note_fault("windowed_by", &grouped.up.name, windows.fault());
        Self { grouped, windows, emit: EmitStrategy::default() }
    }

    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.grouped = self.grouped.named(name);
        self
    }

    /// When results are sent on. Default: at each update, deletions of merged sessions included. With
    /// [`EmitStrategy::OnWindowClose`] a session is sent on once, when gap and grace have passed, and nothing is cached.
    pub fn emit_strategy(mut self, strategy: EmitStrategy) -> Self {
        self.emit = strategy;
        self
    }
}

impl<K: Clone + 'static, V: 'static> SessionWindowedKStream<K, V> {
    /// Counts the records of each key and session.
    ///
    /// Key: that of the group, and the session. Value: the count. Time: the end of the session. Repartition: see the grouping. State: a
    /// session store with a generated name; name it with [`count_with`](Self::count_with). Null: null keys are dropped, counted; null
    /// values count.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{SessionWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// const VISITS: Store<String, i64> = Store::new("visits");
    /// let builder = StreamsBuilder::new();
    /// let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_millis(10));
    /// builder.stream(&CLICKS).group_by_key().windowed_by(gap).count_with(&VISITS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [1, 5, 40].map(|time| driver.input(&CLICKS).pipe_at("ada", "page", time));
    /// let visits = driver.session_store(&VISITS).fetch(&"ada".to_owned());
    /// let visits: Vec<_> = visits.iter().map(|(window, count)| (window.start, window.end, *count)).collect();
    /// assert_eq!(visits, [(1, 5, 2), (40, 40, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(self) -> KTable<Windowed<K>, i64> {
        self.counted(Materialized::unnamed())
    }

    /// As [`count`](Self::count), kept as said.
    pub fn count_with(self, materialized: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let materialized = materialized.into();
        if materialized.options.name.is_none() {
            // Kafka Streams uses up a number here, and names must agree.
            self.grouped.up.graph().new_store_name(names::AGGREGATE);
        }
        self.counted(materialized)
    }

    fn counted(self, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        let add = |_: &K, _: V, count: &mut i64| *count += 1;
        let fold = SessionFold { init: || 0, add, merge: |_: &K, one: i64, two: i64| one + two };
        self.aggregated(names::AGGREGATE, materialized, None, fold)
    }

    /// Merges the values of each key and session: the first is the result, each next is merged into it. Sessions that become one are
    /// merged by `reducer`, too.
    ///
    /// Key: that of the group, and the session. Value: what `reducer` makes of the row and the record. Time: the end of the session.
    /// Repartition: see the grouping. State: a session store. Null: null keys are dropped, counted; for values that may be null
    /// there is [`reduce_opt`](Self::reduce_opt).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{SessionWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const SUMS: Topic<String, Option<i64>> = Topic::new("sums");
    /// let builder = StreamsBuilder::new();
    /// let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_millis(10));
    /// let sums = builder.stream(&IN).group_by_key().windowed_by(gap).reduce(|one, two| one + two);
    /// sums.to_stream_keyed(|windowed, _| windowed.to_string()).to(&SUMS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 3);
    /// driver.input(&IN).pipe_at("a", 2, 5);
    /// let sums = driver.output(&SUMS).read_key_values();
    /// assert_eq!((sums["[a@3/3]"], sums["[a@3/5]"]), (None, Some(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<R: Outcome<V>>(
        self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V>
    where
        V: Data + Clone,
    {
        self.reduce_with(reducer, Materialized::unnamed())
    }

    /// As [`reduce`](Self::reduce), kept as said.
    pub fn reduce_with<R: Outcome<V>>(
        self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<Windowed<K>, V>
    where
        V: Clone,
    {
        let values = self.grouped.values.clone();
        self.aggregated(names::REDUCE, materialized.into(), Some(values), SessionReduce(reducer))
    }

    /// Folds the records of each key and session into an aggregate that starts as `init()` and is changed in place; `merge` makes
    /// one aggregate of two sessions that become one. It is also called for a session that merely grows, with `init()` as the first.
    ///
    /// Key: that of the group, and the session. Value: the aggregate. Time: the end of the session. Repartition: see the grouping.
    /// State: a session store. Null: null keys are dropped, counted; null values are folded.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{SessionWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const LISTS: Store<String, Vec<i64>> = Store::new("lists");
    /// let builder = StreamsBuilder::new();
    /// let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_millis(10));
    /// let windowed = builder.stream(&IN).group_by_key().windowed_by(gap);
    /// windowed.aggregate_with(Vec::new, |_, value, list| list.push(value), |_, one, two| [one, two].concat(), &LISTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 3);
    /// driver.input(&IN).pipe_at("a", 2, 7);
    /// let lists = driver.session_store(&LISTS).fetch(&"a".to_owned());
    /// assert_eq!(lists[0].1, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Data + Clone, RA: Outcome<()>, RM: Outcome<A>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> RM + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_with(init, add, merge, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<A: Clone + 'static, RA: Outcome<()>, RM: Outcome<A>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> RM + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let fold = SessionFold { init, add, merge };
        self.aggregated(names::AGGREGATE, materialized.into(), None, fold)
    }

    /// As [`aggregate`](Self::aggregate), where the aggregate may be missing: at the start, and again when `add` or `merge`
    /// returns `None`. A session whose aggregate is missing is not kept.
    ///
    /// ```
    /// # use streams_core::{dsl::{SessionWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// # use std::time::Duration;
    /// const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// const BASKETS: Store<String, i64> = Store::new("baskets");
    /// let builder = StreamsBuilder::new();
    /// let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(60));
    /// builder.stream(&CLICKS).group_by_key().windowed_by(visits).aggregate_opt_with(
    ///     || None,
    ///     |_, page, items| if page == "pay" { None } else { Some(items.unwrap_or(0) + 1) },
    ///     |_, one, two| Some(one.unwrap_or(0) + two),
    ///     &BASKETS,
    /// );
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&CLICKS).pipe_at("ada", "book", 1_000);
    /// driver.input(&CLICKS).pipe_at("ada", "pen", 2_000);
    /// assert_eq!(driver.session_store(&BASKETS).fetch(&"ada".to_owned())[0].1, 2);
    /// driver.input(&CLICKS).pipe_at("ada", "pay", 3_000);
    /// assert!(driver.session_store(&BASKETS).fetch(&"ada".to_owned()).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate_opt<A: Data + Clone, RA: Outcome<Option<A>>, RM: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, A) -> RM + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_opt_with(init, add, merge, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    pub fn aggregate_opt_with<A: Clone + 'static, RA: Outcome<Option<A>>, RM: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, A) -> RM + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        let fold = SessionFoldOption { init, add, merge };
        self.aggregated(names::AGGREGATE, materialized.into(), None, fold)
    }

    /// Adds the aggregation: store name, node name, repartition if needed, node.
    fn aggregated<A, G>(
        self,
        prefix: &str,
        mut materialized: Materialized<K, A>,
        inherited: Option<SerdeRef<A>>,
        aggregate: G,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        G: SessionAggregate<K, V, A> + Send + Sync + 'static,
    {
        let Self { grouped, windows, emit } = self;
        let keys = materialized.keys.take().unwrap_or_else(|| grouped.keys.clone());
        let rows = materialized.rows(inherited);
        let serdes = (keys.clone(), rows.clone());
        let (store, named_store) =
            materialize_session(&mut grouped.up.graph(), materialized, serdes, prefix, (windows, emit));
        let store_name = store.spec.name.clone();
        let name = grouped.up.graph().name_or(&grouped.up.pending, prefix);
        let up = grouped.repartitioned(&store_name, named_store);
        let table = up.graph().add_table(TableKind::Aggregate, Some(store), true);
        let fork = Fork::allowed::<Windowed<K>, Change<A>>();
        let make: MakeProcessor = session_aggregation::<K, V, A, G>(
            (windows, emit),
            store_name.clone(),
            grouped.keys,
            Arc::new(aggregate),
        );
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.grace = Some(windows.close_after());
        let id = up.graph().add(&[up.node], node);
        KTable {
            up: up.moved_to(id, name, fork, false),
            table,
            keys: session_serde(keys),
            values: Some(rows),
            getter: session_getter(store_name),
        }
    }
}

/// Reads a table of sessions from its store.
pub(crate) fn session_getter<K: 'static, A: Clone + 'static>(store: Arc<str>) -> MakeGetter<Windowed<K>, A> {
    Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
        Ok(Box::new(SessionGetter(builder.store(node, &store)?)))
    })
}

/// Makes the node of an aggregation over sessions, of keys with this serde.
pub(crate) fn session_aggregation<K, V, A, G>(
    (windows, emit): (SessionWindows, EmitStrategy),
    store_name: Arc<str>,
    keys: SerdeRef<K>,
    aggregate: Arc<G>,
) -> MakeProcessor
where
    K: Clone + 'static,
    V: 'static,
    A: Clone + 'static,
    G: SessionAggregate<K, V, A> + Send + Sync + 'static,
{
    Arc::new(move |builder, children, plan: &Plan| {
        let outputs = plan.outputs(children)?;
        let store: SessionStoreRef<K, A> = builder.store(&plan.name, &store_name)?;
        let emission = match emit {
            EmitStrategy::OnWindowUpdate => {
                let updates = Updates::new(builder, &plan.name, &store, &store_name, outputs, plan.send_old);
                SessionEmission::OnUpdate(updates)
            }
            EmitStrategy::OnWindowClose => SessionEmission::OnClose(
                Closed::new(builder.context, plan.name.clone(), store_name.clone()),
                outputs,
            ),
        };
        Ok(ErasedPush::handled::<K, V>(SessionWindowAggregate {
            name: plan.name.clone(),
            keys: NullCheck::new(&keys),
            aggregate: aggregate.clone(),
            gap: windows.gap,
            grace: windows.grace,
            store,
            send_old: plan.send_old,
            emission,
            stream_time: -1,
            merged: Vec::new(),
            input: std::marker::PhantomData,
        }))
    })
}

impl<K: Clone + 'static, T: Clone + 'static> SessionWindowedKStream<K, Option<T>> {
    /// As [`reduce`](Self::reduce) for values that may be null. Null values reach the reducer; a `None` from it leaves no session.
    pub fn reduce_opt<R: Outcome<Option<T>>>(
        self,
        reducer: impl Fn(T, Option<T>) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, T>
    where
        T: Data,
    {
        self.reduce_opt_with(reducer, Materialized::unnamed())
    }

    /// As [`reduce_opt`](Self::reduce_opt), kept as said.
    pub fn reduce_opt_with<R: Outcome<Option<T>>>(
        self,
        reducer: impl Fn(T, Option<T>) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, T>>,
    ) -> KTable<Windowed<K>, T> {
        self.aggregated(names::REDUCE, materialized.into(), None, SessionReduceOption(reducer))
    }
}
