//! Stream-stream joins of `KStream`: pairs of records of two streams that are close in event time.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::types::NO_TIMESTAMP;

use super::Data;
use super::graph::{Fork, GraphId, GraphKind, GraphNode, MakeProcessor, Plan, StreamJoinNode};
use super::join_names::{INNER, JoinKind, JoinNames, LEFT, OUTER};
use super::join_windows::JoinWindows;
use super::stores::GraphStore;
use super::stream::{KStream, sure};
use super::stream_join::repartition_for_join;
use super::stream_joined::StreamJoined;
use super::upstream::{Upstream, operator};
use crate::error::BoxError;
use crate::operators::{
    JoinOf, JoinStore, JoinTime, JoinWindow, LeftSide, NullCheck, PassThrough, RightSide, SelfJoin,
    SideWindows, StreamStreamJoin, Waiting,
};
use crate::processor::{Child, ErasedPush, TaskBuilder};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Joins each record with the records of `other` that have its key and are in its window; each pair gives one result.
    ///
    /// Key: that of the pair. Value: what `joiner` says. Time: the later of the two. Repartition: each stream whose key may have
    /// changed; the topics of both must have the same number of partitions. State: two window stores. Null: records with
    /// a null key or value are dropped, counted; records that are too late for the stores, too.
    ///
    /// ```
    /// # use streams_core::{dsl::{JoinWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic}; use std::time::Duration;
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const PAYMENTS: Topic<String, i64> = Topic::new("payments");
    /// const OPEN: Topic<String, i64> = Topic::new("open");
    /// let builder = StreamsBuilder::new();
    /// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
    /// let payments = builder.stream(&PAYMENTS);
    /// builder.stream(&ORDERS).join_stream(payments, windows, |cents, paid| cents - paid).to(&OPEN);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe_at("o1", 500, 1_000);
    /// driver.input(&PAYMENTS).pipe_at("o1", 300, 31_000);
    /// driver.input(&PAYMENTS).pipe_at("o1", 200, 99_000);
    /// assert_eq!(driver.output(&OPEN).read_all(), [("o1".to_owned(), 200)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_stream<V2: Data + Clone, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&V, &V2) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        self.join_stream_with(other, windows, move |_, left, right| joiner(left, right), StreamJoined::new())
    }

    /// As [`join_stream`](Self::join_stream), with the key to look at and options for the stores.
    pub fn join_stream_with<V2: Clone + 'static, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, &V, &V2) -> VO + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        self.try_join_stream_with(
            other,
            windows,
            move |key, left, right| sure(joiner(key, left, right)),
            joined,
        )
    }

    /// As [`join_stream_with`](Self::join_stream_with), with a joiner that may fail.
    pub fn try_join_stream_with<V2: Clone + 'static, VO: 'static, E: Into<BoxError>>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, &V, &V2) -> Result<VO, E> + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        let join = move |key: &K, left: Option<&V>, right: Option<&V2>| match (left, right) {
            (Some(left), Some(right)) => joiner(key, left, right).map(Some).map_err(Into::into),
            (None, _) | (_, None) => Ok(None),
        };
        self.joined_stream(other, windows, join, joined, INNER)
    }

    /// As [`join_stream`](Self::join_stream), but a record of this stream that finds no partner gives a result, too: once stream time
    /// has passed its window and the grace, with its own timestamp. A record with a null key gives one at once.
    ///
    /// State: two window stores, and one for the records that wait.
    ///
    /// ```
    /// # use streams_core::{dsl::{JoinWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic}; use std::time::Duration;
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const PAYMENTS: Topic<String, i64> = Topic::new("payments");
    /// const OPEN: Topic<String, i64> = Topic::new("open");
    /// let builder = StreamsBuilder::new();
    /// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
    /// let open = |cents: &i64, paid: Option<&i64>| cents - paid.unwrap_or(&0);
    /// let payments = builder.stream(&PAYMENTS);
    /// builder.stream(&ORDERS).left_join_stream(payments, windows, open).to(&OPEN);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe_at("o1", 500, 1_000);
    /// assert!(driver.output(&OPEN).is_empty());
    /// driver.input(&PAYMENTS).pipe_at("o2", 1, 99_000);
    /// assert_eq!(driver.output(&OPEN).read_all(), [("o1".to_owned(), 500)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_stream<V2: Data + Clone, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&V, Option<&V2>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        let joined = StreamJoined::new();
        self.left_join_stream_with(other, windows, move |_, left, right| joiner(left, right), joined)
    }

    /// As [`left_join_stream`](Self::left_join_stream), with the key to look at and options for the stores.
    pub fn left_join_stream_with<V2: Clone + 'static, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, &V, Option<&V2>) -> VO + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        self.try_left_join_stream_with(
            other,
            windows,
            move |key, left, right| sure(joiner(key, left, right)),
            joined,
        )
    }

    /// As [`left_join_stream_with`](Self::left_join_stream_with), with a joiner that may fail.
    pub fn try_left_join_stream_with<V2: Clone + 'static, VO: 'static, E: Into<BoxError>>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, &V, Option<&V2>) -> Result<VO, E> + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        let join = move |key: &K, left: Option<&V>, right: Option<&V2>| {
            left.map(|left| joiner(key, left, right)).transpose().map_err(Into::into)
        };
        self.joined_stream(other, windows, join, joined, LEFT)
    }

    /// As [`left_join_stream`](Self::left_join_stream), for both streams: every record gives a result, with a partner or without.
    ///
    /// ```
    /// # use streams_core::{dsl::{JoinWindows, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic}; use std::time::Duration;
    /// const LEFT: Topic<String, String> = Topic::new("left");
    /// const RIGHT: Topic<String, String> = Topic::new("right");
    /// const OUT: Topic<String, String> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
    /// let text = |left: Option<&String>, right: Option<&String>| format!("{left:?} {right:?}");
    /// builder.stream(&LEFT).outer_join_stream(builder.stream(&RIGHT), windows, text).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&RIGHT).pipe_at("a", "r", 0);
    /// driver.input(&LEFT).pipe_at("b", "l", 5_000);
    /// assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), "None Some(\"r\")".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outer_join_stream<V2: Data + Clone, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        K: Data,
        V: Data,
    {
        let joined = StreamJoined::new();
        self.outer_join_stream_with(other, windows, move |_, left, right| joiner(left, right), joined)
    }

    /// As [`outer_join_stream`](Self::outer_join_stream), with the key to look at and options for the stores.
    pub fn outer_join_stream_with<V2: Clone + 'static, VO: 'static>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> VO + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        self.try_outer_join_stream_with(
            other,
            windows,
            move |key, left, right| sure(joiner(key, left, right)),
            joined,
        )
    }

    /// As [`outer_join_stream_with`](Self::outer_join_stream_with), with a joiner that may fail.
    pub fn try_outer_join_stream_with<V2: Clone + 'static, VO: 'static, E: Into<BoxError>>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        joiner: impl Fn(&K, Option<&V>, Option<&V2>) -> Result<VO, E> + Send + Sync + 'static,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO> {
        let join = move |key: &K, left: Option<&V>, right: Option<&V2>| {
            joiner(key, left, right).map(Some).map_err(Into::into)
        };
        self.joined_stream(other, windows, join, joined, OUTER)
    }

    fn joined_stream<V2, VO, J>(
        self,
        other: KStream<K, V2>,
        windows: JoinWindows,
        join: J,
        joined: StreamJoined<K, V, V2>,
        kind: JoinKind,
    ) -> KStream<K, VO>
    where
        V2: Clone + 'static,
        VO: 'static,
        J: Fn(&K, Option<&V>, Option<&V2>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
    {
        let same = self.up.check_same_builder(&other.up, "stream-stream join");
        // Both windows and the join itself hang below a stream, and each gets every record.
        self.up.fork.allow::<K, V>();
        other.up.fork.allow::<K, V2>();
        let joined = joined.with_serdes_of(self.keys, self.values, other.values);
        let name = self.up.pending.clone();
        let side = |suffix: &str| name.as_ref().map(|name| format!("{name}{suffix}"));
        let left = repartition_for_join(&self.up, side("-left"), &joined.keys, &joined.left);
        let right = repartition_for_join(&other.up, side("-right"), &joined.keys, &joined.right);
        // Without a common builder the other side's ids mean nothing; the topology is refused anyway.
        let right = if same { right } else { left.clone() };
        left.graph().check_time("join", &left.name, windows.retention_ms());
        left.graph().note_fault("join", &left.name, windows.fault());
        joined.check(&mut left.graph(), &left.name, &windows);
        let sources = left.graph().copartition_sources(&left.sources, &right.sources);
        let keys = joined.keys.clone();
        let parts = JoinParts { joined, windows, kind, join: Arc::new(join) };
        let fork = Fork::default();
        let (id, name) = parts.add(&left, &right, &name, fork.clone());
        let up = Upstream::new(&left.graph, id, name, sources, fork);
        KStream { up, keys: Some(keys), values: None }
    }
}

/// A join before it is in the graph.
struct JoinParts<K, L, R, J> {
    joined: StreamJoined<K, L, R>,
    windows: JoinWindows,
    kind: JoinKind,
    join: Arc<J>,
}

impl<K, L, R, VO, J> JoinParts<K, L, R, J>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    VO: 'static,
    J: Fn(&K, Option<&L>, Option<&R>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
{
    /// Adds the windows and the join below both streams.
    fn add(
        self,
        left: &Upstream,
        right: &Upstream,
        name: &Option<String>,
        fork: Fork,
    ) -> (GraphId, Arc<str>) {
        let names = JoinNames::new(&mut left.graph(), self.kind, &self.joined, name);
        let this_store = self.joined.this_store(&names.this_store, &self.windows);
        let other_store = self.joined.other_store(&names.other_store, &self.windows);
        let waits = (self.kind != INNER && self.windows.waits_for_close).then_some(&names.waiting_store);
        let waiting = waits.map(|name| self.joined.waiting_store(name));
        let stores = [Some(&this_store), Some(&other_store), waiting.as_ref()];
        self.joined.note_unnamed(&mut left.graph(), stores);
        let this_windowed = self.window::<L>(&names.this_windowed, &this_store, &self.joined.left);
        let other_windowed = self.window::<R>(&names.other_windowed, &other_store, &self.joined.right);
        let stores_of = |store: &GraphStore| {
            std::iter::once(store.clone()).chain(waiting.clone()).collect::<Vec<GraphStore>>()
        };
        let (left_side, right_side) = (self.side_windows(true), self.side_windows(false));
        let merge = names.merge.clone();
        let mut graph = left.graph();
        let this_windowed = graph.add(&[left.node], this_windowed);
        let other_windowed = graph.add(&[right.node], other_windowed);
        let waiting_name = waiting.as_ref().map(|store| store.spec.name.clone());
        let node = StreamJoinNode {
            this_windowed,
            other_windowed,
            make_this: self.make_side::<LeftSide>(
                &self.joined.left,
                &other_store,
                &waiting_name,
                left_side,
                &merge,
            ),
            make_other: self.make_side::<RightSide>(
                &self.joined.right,
                &this_store,
                &waiting_name,
                right_side,
                &merge,
            ),
            make_merge: operator::<K, VO, K, VO, _>(|_, outputs| PassThrough(outputs)),
            make_self: self.make_self(&this_store),
            this: names.this,
            other: names.other,
            this_stores: stores_of(&other_store),
            other_stores: stores_of(&this_store),
            self_store: this_store,
            same_types: TypeId::of::<L>() == TypeId::of::<R>(),
            self_join: false,
        };
        let mut node = GraphNode::new(merge.clone(), GraphKind::StreamJoin(Box::new(node)), fork);
        node.keeps_null_keys = self.kind != INNER;
        (graph.add(&[left.node, right.node], node), merge)
    }

    /// The node that keeps one side's records.
    fn window<V: Clone + 'static>(
        &self,
        name: &Arc<str>,
        store: &GraphStore,
        values: &SerdeRef<V>,
    ) -> GraphNode {
        let (keys, values, store_name) = (self.joined.keys.clone(), values.clone(), store.spec.name.clone());
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<K, V>(JoinWindow::<K, V> {
                name: plan.name.clone(),
                keys: NullCheck::new(&keys),
                values: NullCheck::new(&values),
                store: JoinStore::find(builder, &plan.name, &store_name)?,
                outputs: plan.outputs(children)?,
            }))
        });
        let kind =
            GraphKind::Processor { make, table: None, stores: vec![store.clone()], connect: Vec::new() };
        GraphNode::new(name.clone(), kind, Fork::allowed::<K, V>())
    }

    fn side_windows(&self, left: bool) -> SideWindows {
        let JoinWindows { before_ms, after_ms, grace_ms, .. } = self.windows;
        let (own_before, own_after) = if left { (before_ms, after_ms) } else { (after_ms, before_ms) };
        SideWindows {
            before_ms: own_before,
            after_ms: own_after,
            grace_ms,
            left_waits_ms: after_ms,
            right_waits_ms: before_ms,
            outer: if left { self.kind.left } else { self.kind.right },
        }
    }

    fn make_side<S: JoinOf<L, R> + 'static>(
        &self,
        values: &SerdeRef<S::This>,
        other: &GraphStore,
        waiting: &Option<Arc<str>>,
        windows: SideWindows,
        join_name: &Arc<str>,
    ) -> MakeProcessor {
        let (keys, values, join) = (self.joined.keys.clone(), values.clone(), self.join.clone());
        let (other, waiting, join_name) = (other.spec.name.clone(), waiting.clone(), join_name.clone());
        Arc::new(move |builder: &mut TaskBuilder<'_>, children: Vec<Child>, plan: &Plan| {
            let waiting: Waiting<K, L, R> = match &waiting {
                Some(store) => Some(builder.store(&plan.name, store)?),
                None => None,
            };
            Ok(ErasedPush::handled::<K, S::This>(StreamStreamJoin::<K, L, R, S, VO, J> {
                name: plan.name.clone(),
                keys: NullCheck::new(&keys),
                values: NullCheck::new(&values),
                other: JoinStore::find(builder, &plan.name, &other)?,
                waiting,
                time: builder.shared::<JoinTime>(&join_name),
                windows,
                join: join.clone(),
                results: Vec::new(),
                outputs: plan.outputs(children)?,
                side: PhantomData,
            }))
        })
    }

    /// The node that `single.store.self.join` puts in the place of both sides. Both streams are the same node then, so that their
    /// values have the same type.
    fn make_self(&self, store: &GraphStore) -> MakeProcessor {
        let (keys, values, join) = (self.joined.keys.clone(), self.joined.left.clone(), self.join.clone());
        let (store, windows) = (store.spec.name.clone(), self.windows);
        Arc::new(move |builder: &mut TaskBuilder<'_>, children: Vec<Child>, plan: &Plan| {
            let join = join.clone();
            let same = move |key: &K, left: Option<&L>, right: Option<&L>| {
                join(key, left, right.and_then(|right| (right as &dyn Any).downcast_ref::<R>()))
            };
            let store = JoinStore::find(builder, &plan.name, &store)?;
            Ok(ErasedPush::handled::<K, L>(SelfJoin {
                name: plan.name.clone(),
                keys: NullCheck::new(&keys),
                values: NullCheck::new(&values),
                store,
                before_ms: windows.before_ms,
                after_ms: windows.after_ms,
                retention_ms: windows.retention_ms(),
                join: Arc::new(same),
                stream_time: NO_TIMESTAMP,
                results: Vec::new(),
                outputs: plan.outputs::<K, VO>(children)?,
            }))
        })
    }
}
