//! `KGroupedStream`: records grouped by key, on their way to an aggregation.

use std::sync::Arc;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::types::Change;

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, Plan, TableKind};
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names;
use super::table::KTable;
use super::upstream::{Upstream, repartition_node};
use super::windows::Windowing;
use crate::operators::{
    Aggregate, Fold, FoldOption, NullCheck, Reduce, ReduceOption, StreamAggregate, TableStore,
};
use crate::outcome::Outcome;
use crate::processor::ErasedPush;
use crate::topic::Store;

/// A stream grouped by key. Aggregations give a table; `.clone()` it for several aggregations.
///
/// All aggregations drop records with a null key or a null value, counted. The timestamp of a row is the
/// largest of its records'. With caching (the default) a key's changes are forwarded once per commit.
pub struct KGroupedStream<K, V> {
    pub(super) up: Upstream,
    pub(super) keys: SerdeRef<K>,
    pub(super) values: SerdeRef<V>,
    /// Name of the grouping, which names its repartition topic.
    pub(super) name: Option<String>,
}

impl<K: Clone + 'static, V: Clone + 'static> Clone for KGroupedStream<K, V> {
    /// Forks the grouped stream.
    fn clone(&self) -> Self {
        self.up.fork.allow::<K, V>();
        Self {
            up: self.up.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            name: self.name.clone(),
        }
    }
}

impl<K: 'static, V: 'static> KGroupedStream<K, V> {
    /// Groups the stream at `up`, whose pending name is the name of the grouping.
    pub(crate) fn new(mut up: Upstream, keys: SerdeRef<K>, values: SerdeRef<V>) -> Self {
        let name = up.pending.take();
        up.repartition = std::rc::Rc::default();
        Self { up, keys, values, name }
    }

    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.up.pending = Some(name.into());
        self
    }

    /// Aggregates the records of each key by windows in time: [`TimeWindows`](super::TimeWindows),
    /// [`SlidingWindows`](super::SlidingWindows), [`SessionWindows`](super::SessionWindows),
    /// [`UnlimitedWindows`](super::UnlimitedWindows), or [`Windows`](super::Windows) of one's own.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const VIEWS: Topic<String, String> = Topic::new("views");
    /// const PER_MINUTE: Store<String, i64> = Store::new("per-minute");
    /// let builder = StreamsBuilder::new();
    /// let minutes = TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(10));
    /// builder.stream(&VIEWS).group_by_key().windowed_by(minutes).count_with(&PER_MINUTE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&VIEWS).pipe_at("home", "ada", 1_000);
    /// driver.input(&VIEWS).pipe_at("home", "bob", 61_000);
    /// driver.input(&VIEWS).pipe_at("home", "eve", 59_000); // late, but within the grace
    /// assert_eq!(driver.window_store(&PER_MINUTE).fetch(&"home".to_owned(), 0), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn windowed_by<W: Windowing>(self, windows: W) -> W::Stream<K, V> {
        windows.over(self)
    }
}

impl<K: Clone + 'static, V: 'static> KGroupedStream<K, V> {
    /// Counts the records of each key.
    ///
    /// Key: that of the group. Value: the count. Time: the largest of the counted records. Repartition: see the grouping. State: a
    /// store with a generated name; name it with [`count_with`](Self::count_with). Null: null keys and values are dropped, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const WORDS: Topic<(), String> = Topic::new("words");
    /// const COUNTS: Store<String, i64> = Store::new("counts");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&WORDS).group_by(|_, word| word.clone()).count_with(&COUNTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&WORDS).pipe((), "be");
    /// driver.input(&WORDS).pipe((), "be");
    /// assert_eq!(driver.store(&COUNTS).get(&"be".to_owned()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(self) -> KTable<K, i64> {
        self.counted(Materialized::unnamed())
    }

    /// As [`count`](Self::count), kept as said.
    pub fn count_with(self, materialized: impl Into<Materialized<K, i64>>) -> KTable<K, i64> {
        let materialized = materialized.into();
        if materialized.options.name.is_none() {
            // Kafka Streams uses up a number here, and names must agree.
            self.up.graph().new_store_name(names::AGGREGATE);
        }
        self.counted(materialized)
    }

    fn counted(self, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        let fold = Fold { init: || 0, add: |_: &K, _: V, count: &mut i64| *count += 1 };
        self.aggregated(names::AGGREGATE, materialized, None, fold)
    }

    /// Merges the values of each key: the first is the result, each next is merged into it.
    ///
    /// Key: that of the group. Value: what `reducer` makes of the row and the record. Time: the largest of the merged records.
    /// Repartition: see the grouping. State: a store. Null: null keys and values are dropped, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const LARGEST: Store<String, i64> = Store::new("largest");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).group_by_key().reduce_with(|one, two| one.max(two), &LARGEST);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [3, 7, 5].map(|value| driver.input(&IN).pipe("a", value));
    /// assert_eq!(driver.store(&LARGEST).get(&"a".to_owned()), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<R: Outcome<V>>(self, reducer: impl Fn(V, V) -> R + Send + Sync + 'static) -> KTable<K, V>
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
    ) -> KTable<K, V>
    where
        V: Clone,
    {
        let values = self.values.clone();
        self.aggregated(names::REDUCE, materialized.into(), Some(values), Reduce(reducer))
    }

    /// Folds the records of each key into an aggregate that starts as `init()` and is changed in place.
    ///
    /// Key: that of the group. Value: the aggregate. Time: the largest of the folded records. Repartition: see the grouping. State:
    /// a store with a generated name; [`fold`](Self::fold) and [`aggregate_with`](Self::aggregate_with) name it. Null: null keys and
    /// values are dropped, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const LISTS: Topic<String, Vec<i64>> = Topic::new("lists");
    /// let builder = StreamsBuilder::new();
    /// let lists = builder.stream(&IN).group_by_key().aggregate(Vec::new, |_, value, list| list.push(value));
    /// lists.to_stream().to(&LISTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// driver.input(&IN).pipe("a", 2);
    /// assert_eq!(driver.output(&LISTS).read_key_values()["a"], [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Data + Clone, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregated(names::AGGREGATE, Materialized::unnamed(), None, Fold { init, add })
    }

    /// As [`aggregate`](Self::aggregate), kept as said.
    pub fn aggregate_with<A: Clone + 'static, RA: Outcome<()>>(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        self.aggregated(names::AGGREGATE, materialized.into(), None, Fold { init, add })
    }

    /// Folds the records of each key into `A::default()`, in the store `store`. Else as [`aggregate`](Self::aggregate).
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const SUMS: Store<String, i64> = Store::new("sums");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).group_by_key().fold(&SUMS, |_, value, sum| *sum += value);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 40);
    /// driver.input(&IN).pipe("a", 2);
    /// assert_eq!(driver.store(&SUMS).get(&"a".to_owned()), Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fold<A, KS, VS, RA: Outcome<()>>(
        self,
        store: &Store<K, A, KS, VS>,
        add: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> KTable<K, A>
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
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const EVENTS: Topic<String, String> = Topic::new("events");
    /// const OPEN: Store<String, String> = Store::new("open");
    /// let builder = StreamsBuilder::new();
    /// let last = |_: &String, event: String, _: Option<String>| Some(event).filter(|event| event != "closed");
    /// builder.stream(&EVENTS).group_by_key().aggregate_opt_with(|| None, last, &OPEN);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&EVENTS).pipe("a", "opened");
    /// assert_eq!(driver.store(&OPEN).get(&"a".to_owned()).as_deref(), Some("opened"));
    /// driver.input(&EVENTS).pipe("a", "closed");
    /// assert_eq!(driver.store(&OPEN).get(&"a".to_owned()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate_opt<A: Data + Clone, RA: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregate_opt_with(init, add, Materialized::unnamed())
    }

    /// As [`aggregate_opt`](Self::aggregate_opt), kept as said.
    pub fn aggregate_opt_with<A: Clone + 'static, RA: Outcome<Option<A>>>(
        self,
        init: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        self.aggregated(names::AGGREGATE, materialized.into(), None, FoldOption { init, add })
    }

    /// Adds the aggregation: store name, node name, repartition if needed, node.
    fn aggregated<A, G>(
        self,
        prefix: &str,
        mut materialized: Materialized<K, A>,
        inherited: Option<SerdeRef<A>>,
        aggregate: G,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        G: Aggregate<K, V, A> + Send + Sync + 'static,
    {
        let keys = materialized.keys.take().unwrap_or_else(|| self.keys.clone());
        let rows = materialized.rows(inherited);
        let (store, named_store) =
            materialize(&mut self.up.graph(), materialized, keys.clone(), rows.clone(), prefix);
        let store_name = store.spec.name.clone();
        let name = self.up.graph().name_or(&self.up.pending, prefix);
        let up = self.repartitioned(&store_name, named_store);
        let versioned = store.is_versioned();
        let table = up.graph().add_table(TableKind::Aggregate, Some(store), true);
        let fork = Fork::allowed::<K, Change<A>>();
        let node_store = store_name.clone();
        let (key_serde, value_serde, aggregate) = (self.keys, self.values, Arc::new(aggregate));
        let make: super::graph::MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            let outputs = plan.outputs(children)?;
            let store = TableStore::open(builder, &plan.name, &node_store)?;
            let updates = store.updates(builder, &plan.name, &node_store, outputs, plan.send_old);
            Ok(ErasedPush::handled::<K, V>(StreamAggregate {
                name: plan.name.clone(),
                keys: NullCheck::new(&key_serde),
                values: NullCheck::new(&value_serde),
                aggregate: aggregate.clone(),
                store,
                send_old: plan.send_old,
                updates,
            }))
        });
        let kind = GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.versioned = Some(versioned);
        let id = up.graph().add(&[up.node], node);
        KTable::stored(up.moved_to(id, name, fork, false), table, keys, Some(rows), store_name)
    }

    /// Where the aggregation goes: behind a repartition if the key may have changed. A named grouping
    /// has one repartition for all its aggregations, an unnamed one has one for each.
    pub(crate) fn repartitioned(&self, store_name: &str, named_store: bool) -> Upstream {
        if !self.up.repartition_required {
            return self.up.clone();
        }
        let mut graph = self.up.graph();
        let prefix = self.name.as_deref().unwrap_or(store_name);
        if self.name.is_some() {
            graph.check_name(prefix);
        }
        let repartition = graph.repartition_names(prefix, self.name.is_some() || named_store);
        let source = repartition.source.clone();
        let id = match self.up.repartition.get().filter(|_| self.name.is_some()) {
            Some(id) => id,
            None => {
                let (keys, values) = (self.keys.clone(), self.values.clone());
                let fork = self.up.fork.clone();
                graph.push(repartition_node(repartition, keys, values, None, None, true, fork))
            }
        };
        self.up.repartition.set(Some(id));
        graph.attach(self.up.node, id);
        self.up.behind_repartition(id, source)
    }
}

impl<K: Clone + 'static, T: Clone + 'static> KGroupedStream<K, Option<T>> {
    /// As [`reduce`](Self::reduce) for values that may be null: null values are dropped, and a `None` from the reducer
    /// deletes the row.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const MOVES: Topic<String, Option<i64>> = Topic::new("moves");
    /// const STOCK: Store<String, i64> = Store::new("stock");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&MOVES).group_by_key().reduce_opt_with(|sum, more| Some(sum + more).filter(|sum| *sum > 0), &STOCK);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&MOVES).pipe("nut", 5);
    /// driver.input(&MOVES).pipe("nut", None);
    /// assert_eq!(driver.store(&STOCK).get(&"nut".to_owned()), Some(5));
    /// driver.input(&MOVES).pipe("nut", -5);
    /// assert_eq!((driver.store(&STOCK).get(&"nut".to_owned()), driver.dropped()), (None, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce_opt<R: Outcome<Option<T>>>(
        self,
        reducer: impl Fn(T, T) -> R + Send + Sync + 'static,
    ) -> KTable<K, T>
    where
        T: Data,
    {
        self.reduce_opt_with(reducer, Materialized::unnamed())
    }

    /// As [`reduce_opt`](Self::reduce_opt), kept as said.
    pub fn reduce_opt_with<R: Outcome<Option<T>>>(
        self,
        reducer: impl Fn(T, T) -> R + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, T>>,
    ) -> KTable<K, T> {
        self.aggregated(names::REDUCE, materialized.into(), None, ReduceOption(reducer))
    }
}
