//! `CogroupedKStream`: several grouped streams, on their way to one aggregate.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::{Serde, SerdeRef};
use streams_state::types::{Change, Timestamp};

use super::Data;
use super::graph::{
    Fork, Graph, GraphId, GraphKind, GraphNode, GraphRef, MakeProcessor, Plan, TableId, TableKind,
};
use super::grouped::KGroupedStream;
use super::materialize::materialize;
use super::materialized::Materialized;
use super::names::{self, RepartitionNames};
use super::session_windowed::session_aggregation;
use super::stores::GraphStore;
use super::table::KTable;
use super::upstream::{Upstream, operator, repartition_node};
use super::window_stores::WindowPlan;
use super::windowed::window_aggregation;
use super::windows::{EmitStrategy, SessionWindows, Windowing};
use crate::error::BoxError;
use crate::operators::{
    EachWindow, FoldOption, NullCheck, PassThrough, SessionFoldOption, StreamAggregate, TableStore,
};
use crate::outcome::Outcome;
use crate::processor::ErasedPush;
use crate::topic::Store;

/// Makes the first aggregate of a key; `None`: there is none until an adder makes one.
pub(super) type Init<A> = Arc<dyn Fn() -> Option<A> + Send + Sync>;

/// Makes one aggregate of two sessions that become one.
pub(super) type Merge<K, A> = Arc<dyn Fn(&K, Option<A>, A) -> Result<Option<A>, BoxError> + Send + Sync>;

/// Several grouped streams with a common key type, each with its way to be added to a common aggregate.
///
/// Aggregations drop records with a null key or a null value, counted. The timestamp of a row is the largest of its
/// records'. With caching (the default) a key's changes are forwarded once per commit.
pub struct CogroupedKStream<K, A> {
    pub(super) graph: GraphRef,
    groups: Vec<Group<K, A>>,
    pub(super) keys: SerdeRef<K>,
    pending: Option<String>,
}

/// One of the streams.
struct Group<K, A> {
    up: Upstream,
    /// Name of the grouping, which names its repartition topic.
    name: Option<String>,
    /// The repartition that an earlier aggregation added; shared by clones.
    parent: Rc<Cell<Option<GraphId>>>,
    input: Arc<dyn GroupInput<K, A>>,
}

/// A grouped stream and its adder, with the type of its values erased. Each kind of aggregation is a method.
pub(super) trait GroupInput<K, A>: Send + Sync {
    /// Allows several children below the grouped stream.
    fn allow(&self, fork: &Fork);

    /// The repartition of the stream.
    fn repartition(&self, names: RepartitionNames, fork: Fork) -> GraphNode;

    /// The node that adds the stream's records to the rows of `store`.
    fn aggregate(&self, init: Init<A>, store: Arc<str>) -> MakeProcessor;

    /// The same over windows: `store` is a window store.
    fn aggregate_windows(&self, init: Init<A>, plan: WindowPlan, store: Arc<str>) -> MakeProcessor;

    /// The same over sessions: `store` is a session store.
    fn aggregate_sessions(
        &self,
        init: Init<A>,
        merge: Merge<K, A>,
        windows: SessionWindows,
        store: Arc<str>,
    ) -> MakeProcessor;
}

/// The adder of one stream.
struct TypedInput<K, V, F> {
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    add: Arc<F>,
}

impl<K, V, A, F, R> GroupInput<K, A> for TypedInput<K, V, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    F: Fn(&K, V, Option<A>) -> R + Send + Sync + 'static,
    R: Outcome<Option<A>>,
{
    fn allow(&self, fork: &Fork) {
        fork.allow::<K, V>();
    }

    fn repartition(&self, names: RepartitionNames, fork: Fork) -> GraphNode {
        repartition_node(names, self.keys.clone(), self.values.clone(), None, None, true, fork)
    }

    fn aggregate(&self, init: Init<A>, store: Arc<str>) -> MakeProcessor {
        let (keys, values, add) = (self.keys.clone(), self.values.clone(), self.add.clone());
        let add = move |key: &K, value: V, aggregate: Option<A>| add(key, value, aggregate);
        let aggregate = Arc::new(FoldOption { init: move || init(), add });
        Arc::new(move |builder, children, plan: &Plan| {
            let outputs = plan.outputs(children)?;
            let rows = TableStore::open(builder, &plan.name, &store)?;
            let updates = rows.updates(builder, &plan.name, &store, outputs, plan.send_old);
            Ok(ErasedPush::handled::<K, V>(StreamAggregate {
                name: plan.name.clone(),
                keys: NullCheck::new(&keys),
                values: NullCheck::new(&values),
                aggregate: aggregate.clone(),
                store: rows,
                send_old: plan.send_old,
                updates,
            }))
        })
    }

    fn aggregate_windows(&self, init: Init<A>, plan: WindowPlan, store: Arc<str>) -> MakeProcessor {
        let add = self.add.clone();
        let add = move |key: &K, value: V, aggregate: Option<A>| add(key, value, aggregate);
        let aggregate = Arc::new(EachWindow(FoldOption { init: move || init(), add }));
        window_aggregation(plan, store, (self.keys.clone(), self.values.clone()), aggregate)
    }

    fn aggregate_sessions(
        &self,
        init: Init<A>,
        merge: Merge<K, A>,
        windows: SessionWindows,
        store: Arc<str>,
    ) -> MakeProcessor {
        let add = self.add.clone();
        let add = move |key: &K, value: V, aggregate: Option<A>| add(key, value, aggregate);
        let merge = move |key: &K, aggregate: Option<A>, session: A| merge(key, aggregate, session);
        let aggregate = Arc::new(SessionFoldOption { init: move || init(), add, merge });
        session_aggregation((windows, EmitStrategy::OnWindowUpdate), store, self.keys.clone(), aggregate)
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KGroupedStream<K, V> {
    /// Starts an aggregate that other grouped streams of the same key type join with
    /// [`CogroupedKStream::cogroup`]; `adder` puts a value into it, in place.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const REFUNDS: Topic<String, i64> = Topic::new("refunds");
    /// const BALANCE: Store<String, i64> = Store::new("balance");
    /// let builder = StreamsBuilder::new();
    /// let orders = builder.stream(&ORDERS).group_by_key();
    /// let refunds = builder.stream(&REFUNDS).group_by_key();
    /// orders
    ///     .cogroup(|_, cents, balance| *balance += cents)
    ///     .cogroup(refunds, |_, cents, balance| *balance -= cents)
    ///     .aggregate_with(|| 0, &BALANCE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("ada", 50);
    /// driver.input(&REFUNDS).pipe("ada", 8);
    /// assert_eq!(driver.store(&BALANCE).get(&"ada".to_owned()), Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cogroup<A: Clone + 'static, RA: Outcome<()>>(
        self,
        adder: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> CogroupedKStream<K, A> {
        CogroupedKStream::new(&self).cogroup(self, adder)
    }

    /// As [`cogroup`](Self::cogroup), where the aggregate may be missing: at the start, and again when `adder` returns
    /// `None`, which deletes the row.
    pub fn cogroup_opt<A: Clone + 'static, RA: Outcome<Option<A>>>(
        self,
        adder: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
    ) -> CogroupedKStream<K, A> {
        CogroupedKStream::new(&self).cogroup_opt(self, adder)
    }
}

impl<K, A> CogroupedKStream<K, A> {
    /// Name of the first stream, for sentences about faults.
    pub(super) fn first_name(&self) -> Arc<str> {
        self.groups.first().map_or_else(|| "cogroup".into(), |group| group.up.name.clone())
    }
}

impl<K: Clone + 'static, A: Clone + 'static> Clone for CogroupedKStream<K, A> {
    /// Forks all of the grouped streams.
    fn clone(&self) -> Self {
        let fork = |group: &Group<K, A>| {
            group.input.allow(&group.up.fork);
            Group {
                up: group.up.clone(),
                name: group.name.clone(),
                parent: group.parent.clone(),
                input: group.input.clone(),
            }
        };
        Self {
            graph: self.graph.clone(),
            groups: self.groups.iter().map(fork).collect(),
            keys: self.keys.clone(),
            pending: self.pending.clone(),
        }
    }
}

impl<K: Clone + 'static, A: Clone + 'static> CogroupedKStream<K, A> {
    /// No stream yet; builder and key are those of `first`.
    fn new<V>(first: &KGroupedStream<K, V>) -> Self {
        Self { graph: first.up.graph.clone(), groups: Vec::new(), keys: first.keys.clone(), pending: None }
    }

    /// Names the aggregation that follows.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.pending = Some(name.into());
        self
    }

    /// Aggregates by windows in time: as [`KGroupedStream::windowed_by`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::{StreamsBuilder, TimeWindows}, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const REFUNDS: Topic<String, i64> = Topic::new("refunds");
    /// const BALANCE: Store<String, i64> = Store::new("balance");
    /// let builder = StreamsBuilder::new();
    /// let refunds = builder.stream(&REFUNDS).group_by_key();
    /// let orders = builder.stream(&ORDERS).group_by_key().cogroup(|_, cents, balance| *balance += cents);
    /// orders
    ///     .cogroup(refunds, |_, cents, balance| *balance -= cents)
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_millis(10)))
    ///     .aggregate_with(|| 0, &BALANCE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe_at("ada", 50, 11);
    /// driver.input(&REFUNDS).pipe_at("ada", 8, 17);
    /// assert_eq!(driver.window_store(&BALANCE).fetch(&"ada".to_owned(), 10), Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn windowed_by<W: Windowing>(self, windows: W) -> W::Cogrouped<K, A> {
        windows.over_cogrouped(self)
    }

    /// Adds a stream: `adder` puts its values into the aggregate, in place. It is called only while there is an aggregate,
    /// which matters only with [`aggregate_opt`](Self::aggregate_opt). A stream that is there already gets a new adder.
    ///
    /// See [`KGroupedStream::cogroup`] for an example.
    pub fn cogroup<V: Clone + 'static, RA: Outcome<()>>(
        self,
        grouped: KGroupedStream<K, V>,
        adder: impl Fn(&K, V, &mut A) -> RA + Send + Sync + 'static,
    ) -> Self {
        self.cogroup_opt(grouped, move |key, value, aggregate| {
            let Some(mut aggregate) = aggregate else { return RA::With::of_value(None) };
            adder(key, value, &mut aggregate).map_value(|()| Some(aggregate))
        })
    }

    /// As [`cogroup`](Self::cogroup), where the aggregate may be missing: at the start, and again when `adder` returns
    /// `None`, which deletes the row.
    pub fn cogroup_opt<V: Clone + 'static, RA: Outcome<Option<A>>>(
        mut self,
        grouped: KGroupedStream<K, V>,
        adder: impl Fn(&K, V, Option<A>) -> RA + Send + Sync + 'static,
    ) -> Self {
        let KGroupedStream { up, keys, values, name } = grouped;
        if let Some(first) = self.groups.first()
            && !first.up.check_same_builder(&up, "cogroup")
        {
            return self;
        }
        let input: Arc<dyn GroupInput<K, A>> = Arc::new(TypedInput { keys, values, add: Arc::new(adder) });
        match self.groups.iter_mut().find(|group| Rc::ptr_eq(&group.up.repartition, &up.repartition)) {
            Some(group) => group.input = input,
            None => self.groups.push(Group { up, name, parent: Rc::default(), input }),
        }
        self
    }

    /// Folds the records of all streams into one aggregate for each key, which starts as `init()`.
    ///
    /// Key: that of the groups. Value: the aggregate. Time: the largest of the added records. Repartition: see the
    /// groupings; if more than one of them changes its key, all but one of those need a name
    /// ([`named`](super::KStream::named) before the grouping). State: a store with a generated name;
    /// [`aggregate_with`](Self::aggregate_with) names it. Null: null keys and values are dropped, counted. See
    /// [`KGroupedStream::cogroup`] for an example.
    pub fn aggregate(self, init: impl Fn() -> A + Send + Sync + 'static) -> KTable<K, A>
    where
        A: Data,
    {
        self.aggregate_with(init, Materialized::unnamed())
    }

    /// As [`aggregate`](Self::aggregate), kept as said. See [`KGroupedStream::cogroup`] for an example.
    pub fn aggregate_with(
        self,
        init: impl Fn() -> A + Send + Sync + 'static,
        materialized: impl Into<Materialized<K, A>>,
    ) -> KTable<K, A> {
        self.aggregate_opt_with(move || Some(init()), materialized)
    }

    /// Folds the records of all streams into `A::default()`, in the store `store`. Else as
    /// [`aggregate`](Self::aggregate).
    pub fn fold<KS, VS>(self, store: &Store<K, A, KS, VS>) -> KTable<K, A>
    where
        A: Default,
        KS: Serde<K> + Default,
        VS: Serde<A> + Default,
    {
        self.aggregate_with(A::default, store)
    }

    /// As [`aggregate`](Self::aggregate), where the first aggregate may be missing.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::{Store, Topic}};
    /// const LOGINS: Topic<String, String> = Topic::new("logins");
    /// const LOGOUTS: Topic<String, String> = Topic::new("logouts");
    /// const ONLINE: Store<String, String> = Store::new("online");
    /// let builder = StreamsBuilder::new();
    /// let logouts = builder.stream(&LOGOUTS).group_by_key();
    /// let logins = builder.stream(&LOGINS).group_by_key();
    /// logins
    ///     .cogroup_opt(|_, place, _| Some(place))
    ///     .cogroup_opt(logouts, |_, _, _| None)
    ///     .aggregate_opt_with(|| None, &ONLINE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&LOGINS).pipe("ada", "London");
    /// assert_eq!(driver.store(&ONLINE).get(&"ada".to_owned()).as_deref(), Some("London"));
    /// driver.input(&LOGOUTS).pipe("ada", "London");
    /// assert_eq!(driver.store(&ONLINE).get(&"ada".to_owned()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate_opt(self, init: impl Fn() -> Option<A> + Send + Sync + 'static) -> KTable<K, A>
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
    ) -> KTable<K, A> {
        let mut materialized = materialized.into();
        let keys = materialized.keys.take().unwrap_or_else(|| self.keys.clone());
        let rows = materialized.rows(None);
        let prefix = names::COGROUP_AGGREGATE;
        let (store, named_store) =
            materialize(&mut self.graph.borrow_mut(), materialized, keys.clone(), rows.clone(), prefix);
        let (store_name, init): (_, Init<A>) = (store.spec.name.clone(), Arc::new(init));
        let node_store = store_name.clone();
        let make = move |input: &dyn GroupInput<K, A>| input.aggregate(init.clone(), node_store.clone());
        let (up, table) = self.cogrouped::<K>((store, named_store), None, &make);
        KTable::stored(up, table, keys, Some(rows), store_name)
    }

    /// Adds repartitions, a node for each stream, made by `make`, and the node where they meet. The rows of the result,
    /// keyed by `KR`, are in `store`. `grace` is that of their windows, if they have some.
    pub(super) fn cogrouped<KR: Clone + 'static>(
        self,
        (store, named_store): (GraphStore, bool),
        grace: Option<Timestamp>,
        make: &dyn Fn(&dyn GroupInput<K, A>) -> MakeProcessor,
    ) -> (Upstream, TableId) {
        let mut graph = self.graph.borrow_mut();
        let store_name = store.spec.name.clone();
        let place = |group: &Group<K, A>| group.place(&mut graph, &store_name, named_store);
        let places: Vec<GraphId> = self.groups.iter().map(place).collect();
        let mut topics = self.groups.iter().map(|group| &group.up.sources);
        let first = topics.next().cloned().unwrap_or_default();
        let others: Vec<Arc<str>> = topics.flat_map(|sources| sources.iter().cloned()).collect();
        graph.copartition_sources(&first, &others);
        let versioned = store.is_versioned();
        let table = graph.add_table(TableKind::Aggregate, Some(store), true);
        let mut nodes = Vec::new();
        for (number, (group, parent)) in self.groups.iter().zip(&places).enumerate() {
            let suffix = format!("-cogroup-agg-{number}");
            let name = graph.name_with_suffix_or(&self.pending, &suffix, names::COGROUP_AGGREGATE);
            let make = make(&*group.input);
            let kind =
                GraphKind::Processor { make, table: Some(table), stores: Vec::new(), connect: Vec::new() };
            let mut node = GraphNode::new(name, kind, Fork::default());
            node.versioned = Some(versioned);
            node.grace = grace;
            nodes.push(graph.add(&[*parent], node));
        }
        let name = graph.name_with_suffix_or(&self.pending, "-cogroup-merge", names::COGROUP_MERGE);
        let make = operator::<KR, Change<A>, KR, Change<A>, _>(|_, outputs| PassThrough(outputs));
        let fork = Fork::allowed::<KR, Change<A>>();
        let id = graph.add(&nodes, GraphNode::processor(name.clone(), make, fork.clone()));
        // In Kafka Streams, too, the source of what follows is this node: a join below does not ask for the same number of
        // partitions as the streams have.
        let sources = [name.clone()].into();
        (Upstream::new(&self.graph, id, name, sources, fork), table)
    }
}

impl<K, A> Group<K, A> {
    /// Where the stream's node goes: behind a repartition if the key may have changed.
    fn place(&self, graph: &mut Graph, store_name: &str, named_store: bool) -> GraphId {
        if !self.up.repartition_required {
            return self.up.node;
        }
        let prefix = self.name.as_deref().unwrap_or(store_name);
        if self.name.is_some() {
            graph.check_name(prefix);
        }
        let names = graph.repartition_names(prefix, self.name.is_some() || named_store);
        let id = self.parent.get().unwrap_or_else(|| {
            graph.add(&[self.up.node], self.input.repartition(names, self.up.fork.clone()))
        });
        self.parent.set(Some(id));
        id
    }
}
