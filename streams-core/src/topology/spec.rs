//! The arena of a topology: nodes and stores addressed by index; names are labels for humans and topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use streams_state::engine::Engine;
use streams_state::error::StateError;
use streams_state::serdes::{Part, SerdeRef, for_topic};
use streams_state::types::Timestamp;

use super::builder::Noted;
use super::{BuiltWith, SourcePattern};
use crate::error::NodeResult;
use crate::processor::{
    Child, ErasedPush, ProcessorWrapper, RecordTracer, SourceNode, StoreInstance, TaskBuilder,
};

/// Index of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);

/// Index of a store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StoreId(pub u32);

/// Where a group starts that has no committed offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetReset {
    /// At the beginning. The default.
    Earliest,
    /// At the end.
    Latest,
    /// Stop with an error.
    None,
    /// At the first record that is at most this many ms old. Java's `AutoOffsetReset.byDuration`, in a configuration
    /// `by_duration:PT1H`.
    ByDuration(i64),
}

impl OffsetReset {
    /// A value of `auto.offset.reset`: `earliest`, `latest`, `none` or `by_duration:` and an ISO-8601 duration of days to
    /// seconds, `by_duration:P1DT2H3M4.5S`. `None` for all else.
    ///
    /// ```
    /// use streams_core::topology::OffsetReset;
    /// assert_eq!(OffsetReset::parse("by_duration:PT1H"), Some(OffsetReset::ByDuration(3_600_000)));
    /// assert_eq!(OffsetReset::parse("by_duration:1h"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            "none" => Some(Self::None),
            other => iso_duration_ms(other.strip_prefix("by_duration:")?).map(Self::ByDuration),
        }
    }
}

/// `P1DT2H3M4.5S` in ms. Not negative.
fn iso_duration_ms(text: &str) -> Option<i64> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    let mut total = 0_f64;
    let mut found = false;
    for (mut rest, units) in
        [(days, &[('D', 86_400_000.0)][..]), (time, &[('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)])]
    {
        for (letter, ms) in units {
            if let Some((number, after)) = rest.split_once(*letter) {
                let whole =
                    number.bytes().all(|byte| byte.is_ascii_digit() || (byte == b'.' && *letter == 'S'));
                total += number.parse::<f64>().ok().filter(|_| whole)? * ms;
                (rest, found) = (after, true);
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    found.then_some(total as i64)
}

/// A topic that a source reads. An internal one gets the application id as a prefix at run time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceTopic {
    /// Name, without the application's prefix.
    pub name: Arc<str>,
    /// Whether it is a repartition topic of this application.
    pub internal: bool,
}

/// Where a sink writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkTopic {
    /// Always this topic.
    Static {
        /// Name, without the application's prefix.
        name: Arc<str>,
        /// Whether it is a repartition topic of this application.
        internal: bool,
    },
    /// Chosen for each record; the text is what `describe()` prints for the extractor.
    Dynamic(Arc<str>),
}

/// Makes a source node for a task; its children are made already.
pub type SourceFactory =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>) -> NodeResult<Box<dyn SourceNode>> + Send + Sync>;
/// Makes a processor node for a task; its children are made already.
pub type ProcessorFactory =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>) -> NodeResult<ErasedPush> + Send + Sync>;
/// Makes a sink node for a task.
pub type SinkFactory = Arc<dyn Fn(&mut TaskBuilder<'_>) -> NodeResult<ErasedPush> + Send + Sync>;
/// Makes a store for a task.
pub type StoreFactory = Arc<dyn Fn(OpenStore) -> Result<StoreInstance, StateError> + Send + Sync>;

/// What a store is made with.
pub struct OpenStore {
    /// Name of the store.
    pub name: Arc<str>,
    /// Its engine, open.
    pub engine: Box<dyn Engine>,
    /// Whether the store is one in memory: some orders and bounds differ, as in Kafka Streams.
    pub in_memory: bool,
    /// Whether it has the form for rows with headers, as `dsl.store.format` says.
    pub headers: bool,
    /// Whether updates are held back until a commit (`false` if the application's cache size is 0).
    pub caching: bool,
    /// Whether updates go to a changelog.
    pub logging: bool,
    /// Bytes of memory that the tier of this store may use if no other store needs them.
    pub tier_max_bytes: u64,
    /// Bytes of memory that a store which spills may use.
    pub buffer_max_bytes: u64,
    /// The topic that has its rows, or would have them if it were logged: serdes may want to know.
    pub changelog: Arc<str>,
}

impl OpenStore {
    /// Serdes of the store's rows, as they are for its changelog.
    pub fn serdes<K: 'static, V: 'static>(
        &self,
        keys: &SerdeRef<K>,
        values: &SerdeRef<V>,
    ) -> (SerdeRef<K>, SerdeRef<V>) {
        (for_topic(keys, &self.changelog, Part::Key), for_topic(values, &self.changelog, Part::Value))
    }
}

/// What a node does.
#[derive(Clone)]
pub enum NodeKind {
    /// Reads topics.
    Source {
        /// Topics read.
        topics: Vec<SourceTopic>,
        /// Reads the topics that match; `topics` are those that are known to.
        pattern: Option<SourcePattern>,
        /// Reset policy of this source; `None` leaves it to `auto.offset.reset`.
        offset_reset: Option<OffsetReset>,
        /// Makes the node.
        factory: SourceFactory,
    },
    /// Processes records.
    Processor {
        /// Stores it uses.
        stores: Vec<StoreId>,
        /// Makes the node.
        factory: ProcessorFactory,
    },
    /// Writes a topic.
    Sink {
        /// Where it writes.
        topic: SinkTopic,
        /// Makes the node.
        factory: SinkFactory,
    },
}

/// A node of the topology.
#[derive(Clone)]
pub struct Node {
    /// Kafka Streams' name of the node, `KSTREAM-FILTER-0000000003`.
    pub name: Arc<str>,
    /// Parents, in the order in which they were connected.
    pub parents: Vec<NodeId>,
    /// Children, in the order in which they were added.
    pub children: Vec<NodeId>,
    /// What it does.
    pub kind: NodeKind,
}

/// The shape of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StoreKind {
    /// Key -> value.
    KeyValue,
    /// Key -> value and timestamp: what DSL tables use.
    TimestampedKeyValue,
    /// Key -> versions of the value.
    Versioned {
        /// How long versions are kept, and updates out of order accepted, in ms.
        history: Timestamp,
    },
    /// Key and window start -> value.
    Window {
        /// How long windows are kept, in ms.
        retention: Timestamp,
        /// Several values of one key and window start: the stores of stream-stream joins.
        duplicates: bool,
    },
    /// Key and window start -> value and timestamp: what windowed DSL tables use.
    TimestampedWindow {
        /// How long windows are kept, in ms.
        retention: Timestamp,
    },
    /// Key, start and end -> value.
    Session {
        /// How long sessions are kept after their end, in ms.
        retention: Timestamp,
    },
    /// Updates in order of time: what waits in a suppress, or to be tried again.
    Buffer,
    /// Records of a stream in order of time: what waits until a table had time to catch up.
    GraceBuffer,
    /// Time, side and key -> list of values: what waits for the other side of a left or outer join of streams.
    OuterJoin,
}

impl StoreKind {
    /// How long a windowed store keeps its windows, in ms; `None` for a store without windows.
    pub fn retention(self) -> Option<Timestamp> {
        match self {
            Self::Window { retention, .. }
            | Self::TimestampedWindow { retention }
            | Self::Session { retention } => Some(retention),
            Self::KeyValue
            | Self::TimestampedKeyValue
            | Self::Versioned { .. }
            | Self::Buffer
            | Self::GraceBuffer
            | Self::OuterJoin => None,
        }
    }
}

/// In which form a store keeps its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreFormat {
    /// As it was asked for.
    Own,
    /// As `dsl.store.format` says.
    Dsl,
    /// In the form that has room for headers: a store on disk with `dsl.store.format=HEADERS`.
    Headers,
}

/// A store of the topology.
#[derive(Clone)]
pub struct StoreSpec {
    /// Name.
    pub name: Arc<str>,
    /// Shape.
    pub kind: StoreKind,
    /// In memory only: the engine is the in-memory one whatever the application uses.
    pub in_memory: bool,
    /// Whether updates go to a changelog topic.
    pub logging: bool,
    /// Whether updates are held back until a commit.
    pub caching: bool,
    /// Own settings of the changelog topic.
    pub changelog_config: BTreeMap<String, String>,
    /// The source topic that serves as changelog, if `topology.optimization` said so.
    pub source_topic: Option<Arc<str>>,
    /// A global store: one copy per instance, fed by the global thread, no changelog.
    pub global: bool,
    /// Nodes that use it, in the order in which they were connected.
    pub processors: Vec<NodeId>,
    /// What is wrong with how it was asked for: [`Topology::validate`] reports it.
    pub fault: Option<String>,
    /// In which form it keeps its rows.
    pub format: StoreFormat,
    /// Makes it.
    pub factory: StoreFactory,
}

/// What an internal topic is for; decides its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicKind {
    /// Between two sub-topologies.
    Repartition,
    /// Backs a store.
    Changelog,
}

/// An internal topic: name without prefix, partition count if enforced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InternalTopic {
    /// Name, without the application's prefix.
    pub name: Arc<str>,
    /// Number of partitions, if the user enforced it.
    pub partitions: Option<i32>,
}

/// The compiled plan: what the DSL builds, or the `add_...` methods, node by node. Those never fail: what is wrong is noted,
/// they go on as if it were right, and [`validate`](Self::validate) tells all of it. So does everything that would run the
/// topology: `KafkaStreams::new`, `TopologyTestDriver::new`.
#[derive(Clone, Default)]
pub struct Topology {
    /// Nodes in insertion order.
    pub nodes: Vec<Node>,
    /// Stores in registration order.
    pub stores: Vec<StoreSpec>,
    /// Repartition topics by name without prefix.
    pub repartition_topics: BTreeMap<Arc<str>, InternalTopic>,
    /// Groups of topics (names without prefix) that must have the same number of partitions.
    pub copartition_groups: Vec<Vec<Arc<str>>>,
    /// What stands around the processors: `processor.wrapper.class`.
    pub processor_wrapper: Option<Arc<dyn ProcessorWrapper>>,
    /// What gives the spans of source records their ids.
    pub record_tracer: Option<Arc<dyn RecordTracer>>,
    /// Stores whose place nobody chose: the DSL's, for `dsl.store.suppliers.class`.
    pub default_places: Vec<StoreId>,
    /// What the DSL built it with; `None` for a topology made node by node.
    pub built_with: Option<BuiltWith>,
    /// Faults that nodes and stores do not show.
    pub(super) noted: Vec<Noted>,
}

impl Topology {
    /// An empty topology.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `wrapper` around each processor of each task, the DSL's own included; names, plan and stores stay as they are. Stores for
    /// the wrapper are added with [`add_state_store`](Self::add_state_store). Kafka Streams' `processor.wrapper.class`.
    pub fn wrap_processors(&mut self, wrapper: impl ProcessorWrapper) {
        self.processor_wrapper = Some(Arc::new(wrapper));
    }

    /// Gives each source record whose headers carry a trace ([`trace_context`](crate::trace_context)) a span, whose ids come from
    /// `tracer`, and has all that comes of the record carry that span: see [`RecordTracer`]. Without this call records carry on what
    /// they bring, and cost nothing more. Records of global stores get no span.
    pub fn trace_records(&mut self, tracer: impl RecordTracer) {
        self.record_tracer = Some(Arc::new(tracer));
    }

    /// The node `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        #[allow(clippy::indexing_slicing)]
        &self.nodes[id.0 as usize]
    }

    /// The store `id`.
    pub fn store(&self, id: StoreId) -> &StoreSpec {
        #[allow(clippy::indexing_slicing)]
        &self.stores[id.0 as usize]
    }

    /// The node of this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| &*node.name == name).map(|index| NodeId(index as u32))
    }

    /// The store of this name.
    pub fn find_store(&self, name: &str) -> Option<StoreId> {
        self.stores.iter().position(|store| &*store.name == name).map(|index| StoreId(index as u32))
    }
}
