//! `TimeWindowedKStream`: grouped records over windows in time, on their way to an aggregation.

use std::borrow::Cow;
use std::sync::Arc;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::store::Combine;
use streams_state::types::{Change, Window, Windowed};

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan, TableKind};
use super::grouped::KGroupedStream;
use super::materialized::Materialized;
use super::names;
use super::paned::PanedKStream;
use super::table::{KTable, MakeGetter};
use super::window_stores::{WindowPlan, materialize_window, window_serde};
use super::windows::{EmitStrategy, FixedWindows};
use crate::error::NodeResult;
use crate::operators::{
    Aggregate, CloseRule, Closed, Count, EachWindow, EmitOnClose, Fold, FoldOption, NullCheck, PaneAggregate,
    Reduce, SlidingAggregate, Updates, WindowAggregate, WindowEmission, WindowGetter, WindowReduceOption,
    WindowStoreRef,
};
use crate::outcome::Outcome;
use crate::processor::{Child, ErasedPush, TaskBuilder};
use crate::topic::Store;

/// A grouped stream over windows: from `windowed_by` with [`TimeWindows`](super::TimeWindows),
/// [`SlidingWindows`](super::SlidingWindows), [`UnlimitedWindows`](super::UnlimitedWindows) or
/// [`Windows`](super::Windows) of one's own.
///
/// Aggregations give a table with a row for each key and window. Records for windows that have closed are dropped,
/// counted. Null keys are dropped, counted; null values, too, with sliding windows, else they are aggregated. The
/// timestamp of a row is the largest of its records'.
pub struct TimeWindowedKStream<K, V> {
    pub(super) grouped: KGroupedStream<K, V>,
    windows: FixedWindows,
    emit: EmitStrategy,
}

impl<K: Clone + 'static, V: Clone + 'static> Clone for TimeWindowedKStream<K, V> {
    /// Forks the windowed stream.
    fn clone(&self) -> Self {
        Self { grouped: self.grouped.clone(), windows: self.windows.clone(), emit: self.emit }
    }
}

impl<K: 'static, V: 'static> TimeWindowedKStream<K, V> {
    pub(crate) fn new(grouped: KGroupedStream<K, V>, windows: FixedWindows, fault: Option<String>) -> Self {
        grouped.up.graph().note_fault("windowed_by", &grouped.up.name, fault);
        Self { grouped, windows, emit: EmitStrategy::default() }
    }

    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.grouped = self.grouped.named(name);
        self
    }

    /// When results are sent on. Default: at each update.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{EmitStrategy, StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let tens = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
    /// let windowed = builder.stream(&IN).group_by_key().windowed_by(tens);
    /// let counts = windowed.emit_strategy(EmitStrategy::OnWindowClose).count();
    /// counts.to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 3);
    /// driver.input(&IN).pipe_at("a", 1, 5);
    /// assert!(driver.output(&OUT).read_all().is_empty());
    /// driver.input(&IN).pipe_at("a", 1, 12);
    /// assert_eq!(driver.output(&OUT).read_all(), [("[a@0/10]".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit_strategy(mut self, strategy: EmitStrategy) -> Self {
        let fault = self.windows.refuses(strategy).map(str::to_owned);
        self.grouped.up.graph().note_fault("windowed_by", &self.grouped.up.name, fault);
        self.emit = strategy;
        self
    }

    /// Aggregates parts of windows, of which windows are combined: one update of the store for each record, however many windows
    /// have it. For [`TimeWindows`](super::TimeWindows) that advance by less than their size; what changes is said at
    /// [`PanedKStream`].
    pub fn in_panes(self) -> PanedKStream<K, V> {
        let fault = self
            .windows
            .advance()
            .is_none()
            .then(|| "in_panes: only TimeWindows can be cut into panes; aggregate without it".to_owned());
        self.grouped.up.graph().note_fault("in_panes", &self.grouped.up.name, fault);
        PanedKStream::new(self)
    }
}

impl<K: Clone + 'static, V: Clone + 'static> TimeWindowedKStream<K, V> {
    /// Counts the records of each key and window.
    ///
    /// Key: that of the group, and the window. Value: the count. Time: the largest of the counted records. Repartition: see the
    /// grouping. State: a window store with a generated name; name it with [`count_with`](Self::count_with). Null: null keys are
    /// dropped, counted; null values count, but not with sliding windows.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const COUNTS: Store<String, i64> = Store::new("counts");
    /// let builder = StreamsBuilder::new();
    /// let tens = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
    /// builder.stream(&IN).group_by_key().windowed_by(tens).count_with(&COUNTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [3, 5, 12].map(|time| driver.input(&IN).pipe_at("a", 1, time));
    /// assert_eq!(driver.window_store(&COUNTS).fetch(&"a".to_owned(), 0), Some(2));
    /// assert_eq!(driver.window_store(&COUNTS).fetch(&"a".to_owned(), 10), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(self) -> KTable<Windowed<K>, i64> {
        self.aggregated(names::AGGREGATE, Materialized::unnamed(), None, (Count, None))
    }

    /// As [`count`](Self::count), kept as said.
    pub fn count_with(self, materialized: impl Into<Materialized<K, i64>>) -> KTable<Windowed<K>, i64> {
        let materialized = materialized.into();
        self.use_up_name(&materialized);
        self.aggregated(names::AGGREGATE, materialized, None, (Count, None))
    }

    /// Kafka Streams uses up a number for a count without a name, but not for sliding windows, and names must agree.
    pub(super) fn use_up_name(&self, materialized: &Materialized<K, i64>) {
        if materialized.options.name.is_none() && matches!(self.windows, FixedWindows::Placed { .. }) {
            self.grouped.up.graph().new_store_name(names::AGGREGATE);
        }
    }

    /// Merges the values of each key and window: the first is the result, each next is merged into it.
    ///
    /// Key: that of the group, and the window. Value: what `reducer` makes of the row and the record. Time: the largest of the merged
    /// records. Repartition: see the grouping. State: a window store. Null: null keys are dropped, counted; for values that may
    /// be null there is [`reduce_opt`](Self::reduce_opt).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{SlidingWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const SUMS: Topic<String, i64> = Topic::new("sums");
    /// let builder = StreamsBuilder::new();
    /// let near = SlidingWindows::of_time_difference_with_no_grace(Duration::from_millis(10));
    /// let sums = builder.stream(&IN).group_by_key().windowed_by(near).reduce(|one, two| one + two);
    /// sums.to_stream_keyed(|windowed, _| windowed.to_string()).to(&SUMS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 20);
    /// driver.input(&IN).pipe_at("a", 2, 25);
    /// let sums = driver.output(&SUMS).read_key_values();
    /// assert_eq!((sums["[a@10/20]"], sums["[a@15/25]"], sums["[a@21/31]"]), (1, 3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<R: Outcome<V>>(
        self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V>
    where
        V: Data,
    {
        self.reduce_with(reducer, Materialized::unnamed())
    }

    /// As [`reduce`](Self::reduce), kept as said.
    pub fn reduce_with<R: Outcome<V>>(
        self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, V>>,
    ) -> KTable<Windowed<K>, V> {
        let values = self.grouped.values.clone();
        self.aggregated(names::REDUCE, materialized.into(), Some(values), (EachWindow(Reduce(reducer)), None))
    }

    /// Folds the records of each key and window into an aggregate that starts as `init()` and is changed in place.
    ///
    /// Key: that of the group, and the window. Value: the aggregate. Time: the largest of the folded records. Repartition: see the
    /// grouping. State: a window store. Null: null keys are dropped, counted; null values are folded, but dropped, counted, with
    /// sliding windows.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const LISTS: Store<String, Vec<i64>> = Store::new("lists");
    /// let builder = StreamsBuilder::new();
    /// let hopping = TimeWindows::of_size_with_no_grace(Duration::from_millis(10)).advance_by(Duration::from_millis(5));
    /// let windowed = builder.stream(&IN).group_by_key().windowed_by(hopping);
    /// windowed.aggregate_with(Vec::new, |_, value, list| list.push(value), &LISTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe_at("a", 1, 3);
    /// driver.input(&IN).pipe_at("a", 2, 7);
    /// let lists = driver.window_store(&LISTS);
    /// assert_eq!(lists.fetch(&"a".to_owned(), 0).unwrap(), [1, 2]);
    /// assert_eq!(lists.fetch(&"a".to_owned(), 5).unwrap(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Data + Clone, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_with(init, add, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<A: Clone + 'static, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        self.aggregated(names::AGGREGATE, materialized.into(), None, (EachWindow(Fold { init, add }), None))
    }

    /// Folds the records of each key and window into `A::default()`, in the store `store`. Else as
    /// [`aggregate`](Self::aggregate).
    pub fn fold<A, KS, VS, RA: Outcome<()>>(
        self,
        store: &Store<K, A, KS, VS>,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A>
    where
        A: Default + Clone + 'static,
        KS: Serde<K> + Default,
        VS: Serde<A> + Default,
    {
        self.aggregate_with(A::default, add, store)
    }

    /// As [`aggregate`](Self::aggregate), where the aggregate may be missing: at the start, and again when `add` returns
    /// `None`, which deletes the row.
    ///
    /// ```
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// # use std::time::Duration;
    /// const MOVES: Topic<String, i64> = Topic::new("moves");
    /// const SUMS: Store<String, i64> = Store::new("sums");
    /// let builder = StreamsBuilder::new();
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let add = |_: &String, cents: i64, sum: Option<i64>| Some(sum.unwrap_or(0) + cents).filter(|sum| *sum != 0);
    /// builder.stream(&MOVES).group_by_key().windowed_by(minutes).aggregate_opt_with(|| None, add, &SUMS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&MOVES).pipe_at("a", 5, 1_000);
    /// assert_eq!(driver.window_store(&SUMS).fetch(&"a".to_owned(), 0), Some(5));
    /// driver.input(&MOVES).pipe_at("a", -5, 2_000);
    /// assert_eq!(driver.window_store(&SUMS).fetch(&"a".to_owned(), 0), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate_opt<A: Data + Clone, RA: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_opt_with(init, add, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    pub fn aggregate_opt_with<A: Clone + 'static, RA: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<Windowed<K>, A> {
        self.aggregated(
            names::AGGREGATE,
            materialized.into(),
            None,
            (EachWindow(FoldOption { init, add }), None),
        )
    }

    /// Adds the aggregation: store name, node name, repartition if needed, node. With `combine` it keeps panes, if windows overlap.
    pub(super) fn aggregated<A, G>(
        self,
        prefix: &str,
        mut materialized: Materialized<K, A>,
        inherited: Option<SerdeRef<A>>,
        (aggregate, combine): (G, Option<Combine<K, A>>),
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        G: for<'a> Aggregate<K, Cow<'a, V>, A> + Send + Sync + 'static,
    {
        let Self { grouped, windows, emit } = self;
        let keys = materialized.keys.take().unwrap_or_else(|| grouped.keys.clone());
        let rows = materialized.rows(inherited);
        let panes = windows.advance().filter(|advance| combine.is_some() && *advance < windows.size());
        let plan = WindowPlan { windows, emit, panes };
        let (serdes, kept) = ((keys.clone(), rows.clone()), (&plan, combine));
        let (store, named_store) =
            materialize_window(&mut grouped.up.graph(), materialized, serdes, prefix, kept);
        let store_name = store.spec.name.clone();
        let name = grouped.up.graph().name_or(&grouped.up.pending, prefix);
        let up = grouped.repartitioned(&store_name, named_store);
        let table = up.graph().add_table(TableKind::Aggregate, Some(store), true);
        let fork = Fork::allowed::<Windowed<K>, Change<A>>();
        let (grace, size) = (plan.windows.grace(), plan.windows.size());
        let serdes = (grouped.keys, grouped.values);
        let make = window_aggregation(plan, store_name.clone(), serdes, Arc::new(aggregate));
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.grace = Some(grace);
        let id = up.graph().add(&[up.node], node);
        KTable {
            up: up.moved_to(id, name, fork, false),
            table,
            keys: window_serde(keys, size),
            values: Some(rows),
            getter: window_getter(store_name),
        }
    }
}

/// Reads a windowed table from its store.
pub(crate) fn window_getter<K: 'static, A: Clone + 'static>(store: Arc<str>) -> MakeGetter<Windowed<K>, A> {
    Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
        Ok(Box::new(WindowGetter(builder.store(node, &store)?)))
    })
}

/// Makes the node of an aggregation over `plan`, of keys and values with these serdes.
pub(crate) fn window_aggregation<K, V, A, G>(
    plan: WindowPlan,
    store_name: Arc<str>,
    (keys, values): (SerdeRef<K>, SerdeRef<V>),
    aggregate: Arc<G>,
) -> MakeProcessor
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    G: for<'a> Aggregate<K, Cow<'a, V>, A> + Send + Sync + 'static,
{
    Arc::new(move |builder, children, node: &Plan| {
        let store: WindowStoreRef<K, A> = builder.store(&node.name, &store_name)?;
        if builder.may_go_on() {
            store.borrow_mut().undo_failed_updates();
        }
        let emission = emission(builder, children, node, &plan, (&store_name, &store))?;
        let (aggregate, name) = (aggregate.clone(), node.name.clone());
        let (keys, send_old, stream_time) = (NullCheck::new(&keys), node.send_old, -1);
        Ok(match &plan.windows {
            FixedWindows::Placed { rule, grace, .. } => {
                let of_windows = WindowAggregate::<K, V, A, G> {
                    name,
                    keys,
                    aggregate,
                    rule: rule.clone(),
                    grace: *grace,
                    store,
                    send_old,
                    emission,
                    stream_time,
                    windows: Vec::new(),
                    input: std::marker::PhantomData,
                };
                match plan.panes {
                    Some(_) => ErasedPush::handled::<K, V>(PaneAggregate::new(of_windows)),
                    None => ErasedPush::handled::<K, V>(of_windows),
                }
            }
            FixedWindows::Sliding(windows) => ErasedPush::handled::<K, V>(SlidingAggregate {
                name,
                keys,
                values: NullCheck::new(&values),
                aggregate,
                difference: windows.difference,
                grace: windows.grace,
                store,
                send_old,
                emission,
                stream_time,
            }),
        })
    })
}

/// Where and when the rows of the store are sent on.
fn emission<K: 'static, A: Clone + 'static>(
    builder: &mut TaskBuilder<'_>,
    children: Vec<Child>,
    node: &Plan,
    plan: &WindowPlan,
    (store_name, store): (&Arc<str>, &WindowStoreRef<K, A>),
) -> NodeResult<WindowEmission<K, A>> {
    let outputs = node.outputs(children)?;
    if plan.emit == EmitStrategy::OnWindowUpdate {
        let updates = Updates::new(builder, &node.name, store, store_name, outputs, node.send_old);
        return Ok(WindowEmission::OnUpdate(updates));
    }
    let rule = match &plan.windows {
        FixedWindows::Placed { rule, size, .. } => CloseRule::Placed {
            rule: rule.clone(),
            size: *size,
            windows: <(Vec<Window>, Vec<Window>)>::default(),
        },
        FixedWindows::Sliding(windows) => CloseRule::Sliding { difference: windows.difference },
    };
    let closed = Closed::new(builder.context, node.name.clone(), store_name.clone());
    Ok(WindowEmission::OnClose(Box::new(EmitOnClose { closed, rule, outputs, rows: Vec::new() })))
}

impl<K: Clone + 'static, T: Clone + 'static> TimeWindowedKStream<K, Option<T>> {
    /// As [`reduce`](Self::reduce) for values that may be null. Null values reach the reducer (not with sliding windows, which drop
    /// them, counted); a `None` from it deletes the row.
    ///
    /// ```
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// # use std::time::Duration;
    /// const MOVES: Topic<String, Option<i64>> = Topic::new("moves");
    /// const SUMS: Store<String, i64> = Store::new("sums");
    /// let builder = StreamsBuilder::new();
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let windowed = builder.stream(&MOVES).group_by_key().windowed_by(minutes);
    /// windowed.reduce_opt_with(|sum, more| more.map(|more| sum + more), &SUMS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&MOVES).pipe_at("a", 5, 1_000);
    /// driver.input(&MOVES).pipe_at("a", 2, 2_000);
    /// assert_eq!(driver.window_store(&SUMS).fetch(&"a".to_owned(), 0), Some(7));
    /// driver.input(&MOVES).pipe_at("a", None, 3_000);
    /// assert_eq!(driver.window_store(&SUMS).fetch(&"a".to_owned(), 0), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let aggregate = EachWindow(WindowReduceOption(reducer));
        self.aggregated(names::REDUCE, materialized.into(), None, (aggregate, None))
    }
}
