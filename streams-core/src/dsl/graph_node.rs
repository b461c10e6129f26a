//! The nodes of the logical graph: what each kind holds, and the factories beside it that know the types.

use std::any::{Any, TypeId};
use std::sync::{Arc, OnceLock};

use streams_state::types::Timestamp;

use super::names::RepartitionNames;
use super::stores::GraphStore;
use crate::error::NodeResult;
use crate::processor::{Child, CopyRecord, ErasedPush, Outputs, SourceNode, TaskBuilder};
use crate::record::Record;
use crate::topology::{OffsetReset, SinkTopic, SourcePattern};

/// Index of a graph node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct GraphId(pub(crate) usize);

/// Index of a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TableId(pub(crate) usize);

/// Set where a stream is cloned: its node may then copy records for several children.
#[derive(Clone, Default)]
pub(crate) struct Fork(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl Fork {
    /// Allows several children.
    pub(crate) fn allow<K: Clone + 'static, V: Clone + 'static>(&self) {
        self.0.get_or_init(|| {
            let copy: CopyRecord<K, V> = Record::clone;
            Box::new(copy)
        });
    }

    /// A fork that is allowed from the start: that of a table.
    pub(crate) fn allowed<K: Clone + 'static, V: Clone + 'static>() -> Self {
        let fork = Self::default();
        fork.allow::<K, V>();
        fork
    }

    /// How to copy a record, if the stream was cloned.
    pub(crate) fn copy<K: 'static, V: 'static>(&self) -> Option<CopyRecord<K, V>> {
        self.0.get().and_then(|copy| copy.downcast_ref::<CopyRecord<K, V>>().copied())
    }
}

/// What a factory is told when the topology is final.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) fork: Fork,
    /// A repartition filter drops null keys.
    pub(crate) drop_null_keys: bool,
    /// The table of this node has a store.
    pub(crate) materialized: bool,
    /// Somebody below wants old values.
    pub(crate) send_old: bool,
}

impl Plan {
    /// The children, typed.
    pub(crate) fn outputs<K: 'static, V: 'static>(&self, children: Vec<Child>) -> NodeResult<Outputs<K, V>> {
        Outputs::new(children, self.fork.copy::<K, V>())
    }
}

/// Makes a source node.
pub(crate) type MakeSource =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>, &Plan) -> NodeResult<Box<dyn SourceNode>> + Send + Sync>;
/// Makes a processor node.
pub(crate) type MakeProcessor =
    Arc<dyn Fn(&mut TaskBuilder<'_>, Vec<Child>, &Plan) -> NodeResult<ErasedPush> + Send + Sync>;

/// Makes a sink node.
pub(crate) type MakeSink = Arc<dyn Fn(&mut TaskBuilder<'_>, &Plan) -> NodeResult<ErasedPush> + Send + Sync>;

/// One of the sources merged into a source node, with the children that were its own.
#[derive(Clone)]
pub(crate) struct SourcePart {
    pub(crate) make: MakeSource,
    pub(crate) fork: Fork,
    pub(crate) children: Vec<GraphId>,
}

/// The factories of a repartition.
#[derive(Clone)]
pub(crate) struct RepartitionMakers {
    /// None for the changes of a table: their keys are never null.
    pub(crate) filter: Option<MakeProcessor>,
    pub(crate) sink: MakeSink,
    pub(crate) source: MakeSource,
    /// Types of key and value.
    pub(crate) types: (TypeId, TypeId),
}

/// A repartition: filter, sink, topic, source.
#[derive(Clone)]
pub(crate) struct Repartition {
    pub(crate) names: RepartitionNames,
    /// May be merged with others (all but those of `repartition()`).
    pub(crate) optimizable: bool,
    pub(crate) partitions: Option<i32>,
    pub(crate) makers: RepartitionMakers,
}

/// A stream-stream join: below the windows of both sides a node for each, and the node where their results meet.
#[derive(Clone)]
pub(crate) struct StreamJoinNode {
    pub(crate) this_windowed: GraphId,
    pub(crate) other_windowed: GraphId,
    pub(crate) this: Arc<str>,
    pub(crate) other: Arc<str>,
    pub(crate) make_this: MakeProcessor,
    pub(crate) make_other: MakeProcessor,
    pub(crate) make_merge: MakeProcessor,
    /// The one node of a self join on one store.
    pub(crate) make_self: MakeProcessor,
    /// Stores of the left node: the right window store, and the one of the records that wait.
    pub(crate) this_stores: Vec<GraphStore>,
    pub(crate) other_stores: Vec<GraphStore>,
    pub(crate) self_store: GraphStore,
    /// Values of both sides have the same type: only then can it be a join of a stream with itself.
    pub(crate) same_types: bool,
    /// `single.store.self.join` has found that both sides are the same stream.
    pub(crate) self_join: bool,
}

/// The source of a table and its node.
#[derive(Clone)]
pub(crate) struct TableSourceNode {
    pub(crate) source_name: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) reset: Option<OffsetReset>,
    pub(crate) make_source: MakeSource,
    pub(crate) make: MakeProcessor,
    pub(crate) table: TableId,
    pub(crate) global: bool,
    /// The source topic serves as changelog.
    pub(crate) reuse_topic: bool,
}

/// One side of a join of two tables.
#[derive(Clone)]
pub(crate) struct TableJoinSide {
    /// The table whose updates come in.
    pub(crate) parent: GraphId,
    pub(crate) name: Arc<str>,
    pub(crate) make: MakeProcessor,
    /// Stores in which the rows of the other side are.
    pub(crate) connect: Vec<Arc<str>>,
}

/// A join of two tables: a node for each side, and one where they meet.
#[derive(Clone)]
pub(crate) struct TableJoinNode {
    pub(crate) sides: [TableJoinSide; 2],
    pub(crate) merge: MakeProcessor,
    pub(crate) table: TableId,
}

/// What a graph node is.
#[derive(Clone)]
pub(crate) enum GraphKind {
    /// Parent of all sources and free stores.
    Root,
    /// Reads topics. Several sources of the same topics are merged into several parts.
    Source {
        topics: Vec<Arc<str>>,
        /// Instead of topics.
        pattern: Option<SourcePattern>,
        reset: Option<OffsetReset>,
        parts: Vec<SourcePart>,
    },
    /// Reads an internal topic that another sub-topology writes, without a filter for null keys: foreign-key joins.
    InternalSource { topic: Arc<str>, make: MakeSource },
    /// A table of a topic.
    TableSource(TableSourceNode),
    /// Any operator.
    Processor {
        make: MakeProcessor,
        /// The table that this node makes.
        table: Option<TableId>,
        /// Stores that come with this node.
        stores: Vec<GraphStore>,
        /// Names of other stores that it uses.
        connect: Vec<Arc<str>>,
    },
    /// A join of two tables.
    TableJoin(Box<TableJoinNode>),
    /// A join of two streams; its node name is that of the node where the results of both sides meet.
    StreamJoin(Box<StreamJoinNode>),
    /// A repartition.
    Repartition(Repartition),
    /// Writes a topic.
    Sink { topic: SinkTopic, make: MakeSink },
    /// A store without a node.
    StateStore(GraphStore),
}

/// What code of the user may change without the optimizer being told.
#[derive(Clone, Copy)]
pub(crate) enum Untold {
    Nothing,
    /// The value.
    Value,
    /// Key and value; the types that come out.
    Record(TypeId, TypeId),
}

/// A node of the graph.
#[derive(Clone)]
pub(crate) struct GraphNode {
    pub(crate) name: Arc<str>,
    pub(crate) kind: GraphKind,
    pub(crate) parents: Vec<GraphId>,
    pub(crate) children: Vec<GraphId>,
    pub(crate) priority: u32,
    pub(crate) changes_key: bool,
    pub(crate) changes_value: bool,
    /// What code of the user may change, if the optimizer is to know (`process_processvalue_fix`).
    pub(crate) untold: Untold,
    pub(crate) merge: bool,
    /// A left join below a repartition: records without a key must pass.
    pub(crate) keeps_null_keys: bool,
    /// A windowed aggregation: how long after its end a window closes, ms.
    pub(crate) grace: Option<Timestamp>,
    /// Types of keys and values that come out; known where repartitions may be moved to.
    pub(crate) types: Option<(TypeId, TypeId)>,
    /// Whether what comes out is a versioned table; `None`: as what goes in.
    pub(crate) versioned: Option<bool>,
    pub(crate) fork: Fork,
}

impl GraphNode {
    /// A node that is not yet in the graph.
    pub(crate) fn new(name: Arc<str>, kind: GraphKind, fork: Fork) -> Self {
        Self {
            name,
            kind,
            parents: Vec::new(),
            children: Vec::new(),
            priority: 0,
            changes_key: false,
            changes_value: false,
            untold: Untold::Nothing,
            merge: false,
            keeps_null_keys: false,
            grace: None,
            types: None,
            versioned: None,
            fork,
        }
    }

    /// A processor without stores.
    pub(crate) fn processor(name: Arc<str>, make: MakeProcessor, fork: Fork) -> Self {
        let kind = GraphKind::Processor { make, table: None, stores: Vec::new(), connect: Vec::new() };
        Self::new(name, kind, fork)
    }
}
