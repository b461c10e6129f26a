//! What streams and tables have in common: their place in the graph and the name of what follows.

use std::any::TypeId;
use std::cell::{Cell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::SerdeRef;

use super::graph::{
    Fork, Graph, GraphId, GraphKind, GraphNode, GraphRef, MakeProcessor, MakeSink, MakeSource, Plan,
    Repartition, RepartitionMakers,
};
use super::names::RepartitionNames;
use crate::config::TimestampPolicy;
use crate::error::NodeResult;
use crate::operators::{
    Destination, NullCheck, NullKeyFilter, Partitioner, Sink, SinkSerdes, Source, Timestamps,
};
use crate::processor::{ErasedPush, Outputs, Push};
use crate::topology::internal_topic_name;

/// A place in the graph.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) graph: GraphRef,
    /// Node that new operators are added below.
    pub(crate) node: GraphId,
    /// Name of the stream, which names its repartition topics.
    pub(crate) name: Arc<str>,
    /// Source nodes of this sub-topology.
    pub(crate) sources: Arc<[Arc<str>]>,
    /// The key may have changed since the last topic.
    pub(crate) repartition_required: bool,
    pub(crate) fork: Fork,
    /// Name for the next operator.
    pub(crate) pending: Option<String>,
    /// The repartition that an earlier join of this stream added; shared by clones.
    pub(crate) repartition: Rc<Cell<Option<GraphId>>>,
}

impl Upstream {
    /// The place of a new node without parents' history.
    pub(crate) fn new(
        graph: &GraphRef,
        node: GraphId,
        name: Arc<str>,
        sources: Arc<[Arc<str>]>,
        fork: Fork,
    ) -> Self {
        Self {
            graph: graph.clone(),
            node,
            name,
            sources,
            repartition_required: false,
            fork,
            pending: None,
            repartition: Rc::default(),
        }
    }

    /// The graph, to change it. Never held across user code.
    pub(crate) fn graph(&self) -> RefMut<'_, Graph> {
        self.graph.borrow_mut()
    }

    /// Adds a processor below this place, under the pending name or a generated one.
    pub(crate) fn add_processor(self, prefix: &str, make: MakeProcessor, changes: Changes) -> Self {
        let name = self.graph().name_or(&self.pending, prefix);
        self.add_node(name, make, changes)
    }

    /// Adds a processor of this name below this place.
    pub(crate) fn add_node(self, name: Arc<str>, make: MakeProcessor, changes: Changes) -> Self {
        let fork = Fork::default();
        let mut node = GraphNode::processor(name.clone(), make, fork.clone());
        let changes_key = matches!(changes, Changes::Key(_, _));
        node.changes_key = changes_key;
        node.changes_value = changes == Changes::Value;
        if let Changes::Key(key, value) = changes {
            node.types = Some((key, value));
        }
        let id = self.graph().add(&[self.node], node);
        self.moved_to(id, name, fork, changes_key)
    }

    /// This place, moved on to `node`.
    pub(crate) fn moved_to(self, node: GraphId, name: Arc<str>, fork: Fork, changes_key: bool) -> Self {
        let repartition_required = self.repartition_required || changes_key;
        Self { repartition_required, ..Self::new(&self.graph, node, name, self.sources.clone(), fork) }
    }

    /// This place, behind the repartition `node`.
    pub(crate) fn behind_repartition(&self, node: GraphId, source: Arc<str>) -> Self {
        Self::new(&self.graph, node, source.clone(), [source].into(), self.fork.clone())
    }

    /// Whether `other` belongs to the same builder; notes a fault if not, and then its ids mean nothing here.
    pub(crate) fn check_same_builder(&self, other: &Upstream, what: &str) -> bool {
        let same = Rc::ptr_eq(&self.graph, &other.graph);
        if !same {
            let mut graph = self.graph();
            graph.mixed = true;
            graph.faults.push(format!(
                "{what} of `{}` and `{}`: both sides must come from the same StreamsBuilder; make them with one",
                self.name, other.name
            ));
        }
        same
    }
}

/// What a node changes, as far as the optimizer cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Changes {
    /// Neither key nor value.
    Nothing,
    /// The value.
    Value,
    /// The key; the types of keys and values after it.
    Key(TypeId, TypeId),
}

impl Changes {
    /// The key, and the stream is now one of `K, V`.
    pub(crate) fn key<K: 'static, V: 'static>() -> Self {
        Self::Key(TypeId::of::<K>(), TypeId::of::<V>())
    }
}

/// A factory for an operator that needs its name and its children only.
pub(crate) fn operator<K, V, K2, V2, N>(
    make: impl Fn(Arc<str>, Outputs<K2, V2>) -> N + Send + Sync + 'static,
) -> MakeProcessor
where
    K: 'static,
    V: 'static,
    K2: 'static,
    V2: 'static,
    N: Push<K, V> + 'static,
{
    Arc::new(move |_, children, plan: &Plan| {
        let node = make(plan.name.clone(), plan.outputs::<K2, V2>(children)?);
        Ok(ErasedPush::new::<K, V>(Box::new(node)))
    })
}

/// A factory for a source.
pub(crate) fn source<K: 'static, V: 'static>(
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    extractor: Option<Timestamps<K, V>>,
) -> MakeSource {
    Arc::new(move |_, children, plan: &Plan| {
        let outputs = plan.outputs::<K, V>(children)?;
        Ok(Box::new(Source {
            name: plan.name.clone(),
            keys: keys.clone(),
            values: values.clone(),
            extractor: extractor.clone(),
            head: None,
            outputs: Rc::new(std::cell::RefCell::new(outputs)),
        }))
    })
}

/// Behind a repartition topic event time is what was written, whatever `default.timestamp.extractor` says: an extractor
/// that ran again there would lose it.
pub(crate) fn repartitioned_times<K, V>() -> Timestamps<K, V> {
    Timestamps::Policy(TimestampPolicy::FailOnInvalid)
}

/// A factory for a sink to one topic.
pub(crate) fn sink<K, V, T>(
    topic: Arc<str>,
    internal: bool,
    keys: SerdeRef<K>,
    values: SerdeRef<T>,
    partitioner: Option<Partitioner<K, V>>,
) -> MakeSink
where
    K: 'static,
    V: Into<Option<T>> + 'static,
    T: 'static,
{
    Arc::new(move |builder, plan: &Plan| -> NodeResult<ErasedPush> {
        let topic = match internal {
            true => {
                let name = internal_topic_name(&builder.context.application_id, &topic);
                builder.context.outbox.topic(&name)
            }
            false => builder.context.outbox.topic(&topic),
        };
        Ok(ErasedPush::handled::<K, V>(Sink {
            name: plan.name.clone(),
            destination: Destination::Topic(topic),
            serdes: SinkSerdes::new(keys.clone(), values.clone()),
            partitioner: partitioner.clone(),
            by_base_key: !internal,
        }))
    })
}

/// A repartition node for a stream of `K, V`.
pub(crate) fn repartition_node<K: 'static, V: 'static>(
    names: RepartitionNames,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    partitioner: Option<Partitioner<K, V>>,
    partitions: Option<i32>,
    optimizable: bool,
    fork: Fork,
) -> GraphNode {
    let filter_keys = keys.clone();
    let filter: MakeProcessor = Arc::new(move |_, children, plan: &Plan| {
        let keys = plan.drop_null_keys.then(|| NullCheck::new(&filter_keys));
        let outputs = plan.outputs::<K, V>(children)?;
        Ok(ErasedPush::new::<K, V>(Box::new(NullKeyFilter { keys, outputs })))
    });
    let makers = RepartitionMakers {
        filter: Some(filter),
        sink: sink::<K, V, V>(names.topic.clone(), true, keys.clone(), values.clone(), partitioner),
        source: source(keys, values, Some(repartitioned_times())),
        types: (TypeId::of::<K>(), TypeId::of::<V>()),
    };
    let name = names.source.clone();
    GraphNode::new(name, GraphKind::Repartition(Repartition { names, optimizable, partitions, makers }), fork)
}
