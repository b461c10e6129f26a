//! `KTable::suppress`: fewer updates, or only final ones.

use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};
use streams_state::store::{ChangeBuffer, ChangeBufferOptions};
use streams_state::types::{Change, Timestamp};

use super::Data;
use super::graph::{Fork, Graph, GraphId, GraphKind, GraphNode, MakeProcessor, Plan, TableKind};
use super::names;
use super::stores::{GraphStore, store_spec};
use super::suppressed::{Suppressed, Wait};
use super::table::{KTable, MakeGetter};
use super::upstream::Upstream;
use crate::metrics::catalogue::node::SUPPRESSION_EMIT;
use crate::metrics::catalogue::store;
use crate::operators::{ChangeBufferRef, Suppress, SuppressGetter, SuppressMeters};
use crate::processor::{ErasedPush, StoreInstance, TaskBuilder};
use crate::topology::{OpenStore, StoreFactory, StoreKind};

impl Graph {
    /// How long after its end a window of the table at `node` closes: the longest grace of the windowed aggregations above, one of
    /// which must be above on each way. `None`: there is none.
    pub(crate) fn window_grace(&self, node: GraphId) -> Option<Timestamp> {
        let node = self.node(node);
        if node.grace.is_some() {
            return node.grace;
        }
        let graces = node.parents.iter().map(|parent| self.window_grace(*parent));
        graces.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Names of a suppress and of its buffer. A given name uses up no number, and names the buffer, too.
    fn suppress_names(&mut self, given: &Option<String>, logging: bool) -> (Arc<str>, Arc<str>) {
        if let Some(name) = given {
            self.check_name(name);
            return (name.as_str().into(), format!("{name}-store").into());
        }
        let name = self.new_processor_name(names::SUPPRESS);
        let store = self.new_store_name(names::SUPPRESS);
        if logging {
            self.unnamed.changelog_topics.push(format!("{store}-changelog"));
        }
        (name, store)
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Holds updates back, so that downstream sees fewer of them, or only the final one of each window.
    ///
    /// Key, value: those of the last update. Time: that of the last update. Repartition: no. State: a buffer in memory, backed by a
    /// changelog; its limits and what happens when they are exceeded are part of `suppressed`. Null: deletions wait like other
    /// updates; those of a window that closes are dropped, for nobody saw a row. Everything goes by event time: what waits, waits
    /// until later records come. The name of the operator, if it has one, names the buffer, too: `<name>-store`.
    ///
    /// As in Kafka Streams, a join below does not check that the topics above this table have as many partitions as those of the
    /// other side, and gives no repartition topic above the number of the other side.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::dsl::{BufferConfig, StreamsBuilder, Suppressed, TimeWindows};
    /// # use streams_core::{testing::TopologyTestDriver, topic::Topic};
    /// const VIEWS: Topic<String, String> = Topic::new("views");
    /// const FINAL: Topic<String, i64> = Topic::new("final");
    /// let builder = StreamsBuilder::new();
    /// let tens = TimeWindows::of_size_and_grace(Duration::from_millis(10), Duration::from_millis(5));
    /// let counts = builder.stream(&VIEWS).group_by_key().windowed_by(tens).count();
    /// let finals = counts.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
    /// finals.to_stream_keyed(|windowed, _| windowed.to_string()).to(&FINAL);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// [1, 12, 3].map(|time| driver.input(&VIEWS).pipe_at("home", "ada", time));
    /// assert!(driver.output(&FINAL).read_all().is_empty());
    /// driver.input(&VIEWS).pipe_at("home", "ada", 15); // the grace of the first window is over
    /// assert_eq!(driver.output(&FINAL).read_all(), [("[home@0/10]".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn suppress(self, suppressed: Suppressed<K>) -> KTable<K, V>
    where
        V: Data,
    {
        let values = self.values.clone().unwrap_or_else(|| Arc::new(Auto));
        self.suppressed(suppressed, values)
    }

    /// As [`suppress`](Self::suppress), for values that the default serde cannot write.
    pub fn suppress_with(self, suppressed: Suppressed<K>, values: impl Serde<V>) -> KTable<K, V> {
        self.suppressed(suppressed, Arc::new(values))
    }

    fn suppressed(self, suppressed: Suppressed<K>, values: SerdeRef<V>) -> KTable<K, V> {
        let mut graph = self.up.graph();
        if graph.is_versioned(self.up.node) {
            let fault = "a versioned table cannot be suppressed, its updates may be out of order; leave out `versioned`";
            graph.note_fault("suppress", &self.up.name, Some(fault.to_owned()));
        }
        let grace = graph.window_grace(self.up.node);
        let (wait, window_end) = match suppressed.wait {
            Wait::Limit(wait) => {
                graph.check_time("suppress", &self.up.name, wait);
                (wait, None)
            }
            Wait::WindowClose(end) => (grace.unwrap_or(0), Some(end)),
        };
        if window_end.is_some() && grace.is_none() {
            let fault = "the table does not come of a windowed aggregation, so nothing says when its windows close; use \
                         `until_time_limit`";
            graph.note_fault("suppress", &self.up.name, Some(fault.to_owned()));
        }
        let (name, store_name) = graph.suppress_names(&self.up.pending, suppressed.logging);
        let factory = buffer_factory(self.keys.clone(), values.clone(), suppressed.spill);
        let mut spec = store_spec(store_name.clone(), StoreKind::Buffer, factory);
        // A buffer that may spill wants the engine on disk.
        spec.in_memory = suppressed.spill.is_none();
        spec.logging = suppressed.logging;
        spec.changelog_config = suppressed.changelog_config;
        let store = GraphStore { spec, identity: Arc::new(()), default_place: false };
        graph.send_old_values(self.table, true);
        let table = graph.add_table(TableKind::Derived { parent: self.table }, None, false);
        graph.table_mut(table).reads.push(store_name.clone());
        let (limits, buffer) = (suppressed.limits, store_name.clone());
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::handled::<K, Change<V>>(Suppress::<K, V> {
                name: plan.name.clone(),
                buffer: builder.store(&plan.name, &buffer)?,
                window_end,
                wait,
                limits,
                drops_tombstones: window_end.is_some(),
                send_old: plan.send_old,
                outputs: plan.outputs(children)?,
                stream_time: -1,
                meters: meters(builder, &plan.name, &buffer),
            }))
        });
        let fork = Fork::allowed::<K, Change<V>>();
        let kind =
            GraphKind::Processor { make, table: Some(table), stores: vec![store], connect: Vec::new() };
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.versioned = Some(false);
        let id = graph.add(&[self.up.node], node);
        drop(graph);
        let parent = self.getter;
        let getter: MakeGetter<K, V> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            let parent = parent(builder, node)?;
            let buffer: ChangeBufferRef<K, V> = builder.store(node, &store_name)?;
            Ok(Box::new(SuppressGetter { buffer, parent }))
        });
        // In Kafka Streams, too, the source of what follows is the table above: a join below does not ask for the same
        // number of partitions as its topics have.
        let sources = [self.up.name.clone()].into();
        KTable {
            up: Upstream { sources, ..self.up.moved_to(id, name, fork, false) },
            table,
            keys: self.keys,
            values: Some(values),
            getter,
        }
    }
}

/// Meters of what a suppression lets go, and of the records and bytes that it holds.
fn meters(builder: &mut TaskBuilder<'_>, node: &str, buffer: &str) -> SuppressMeters {
    let metrics = &mut builder.context.metrics;
    let [emitted] = metrics.node_meters(node, [&SUPPRESSION_EMIT]);
    let mut scope = metrics.scope(store::GROUP, &[("in-memory-suppression-state-id", buffer)]);
    let held = [&store::SUPPRESSION_BUFFER_COUNT, &store::SUPPRESSION_BUFFER_SIZE]
        .map(|spec| metrics.meter(&mut scope, spec));
    metrics.keep(scope);
    SuppressMeters { emitted, held }
}

/// Makes buffers of changes.
fn buffer_factory<K: 'static, V: 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    spill: Option<u64>,
) -> StoreFactory {
    Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = ChangeBufferOptions { name: open.name, logging: open.logging, spill };
        Ok(StoreInstance::new(ChangeBuffer::new(options, open.engine, keys, values)?))
    })
}
