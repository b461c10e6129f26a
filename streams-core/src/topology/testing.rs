//! Topologies for tests: nodes that cannot run, only their shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    InternalTopic, NodeId, SinkTopic, SourceTopic, StoreFactory, StoreId, StoreKind, StoreSpec, Topology,
};
use crate::error::NodeResult;
use crate::processor::TaskBuilder;

/// Builds a topology by names.
#[derive(Default)]
pub(crate) struct Sketch {
    topology: Topology,
}

fn no_task<T>(builder: &TaskBuilder<'_>) -> NodeResult<T> {
    Err(builder.context.wiring_error("a sketch does not run"))
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn topology(self) -> Topology {
        self.topology
    }

    fn ids(&self, names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| self.topology.find_node(name).unwrap()).collect()
    }

    fn internal(&self, topic: &str) -> bool {
        self.topology.repartition_topics.contains_key(topic)
    }

    pub(crate) fn source(mut self, name: &str, topics: &[&str]) -> Self {
        let topics = topics
            .iter()
            .map(|topic| SourceTopic { name: (*topic).into(), internal: self.internal(topic) })
            .collect();
        let factory = Arc::new(|builder: &mut TaskBuilder<'_>, _: Vec<_>| no_task(builder));
        self.topology.add_source_node(name, topics, None, factory);
        self
    }

    pub(crate) fn processor(mut self, name: &str, parents: &[&str]) -> Self {
        let parents = self.ids(parents);
        let factory = Arc::new(|builder: &mut TaskBuilder<'_>, _: Vec<_>| no_task(builder));
        self.topology.add_processor_node(name, &parents, &[], factory);
        self
    }

    pub(crate) fn sink(mut self, name: &str, topic: &str, parents: &[&str]) -> Self {
        let topic = SinkTopic::Static { name: topic.into(), internal: self.internal(topic) };
        let parents = self.ids(parents);
        self.topology.add_sink_node(
            name,
            &parents,
            topic,
            Arc::new(|builder: &mut TaskBuilder<'_>| no_task(builder)),
        );
        self
    }

    pub(crate) fn dynamic_sink(mut self, name: &str, text: &str, parents: &[&str]) -> Self {
        let parents = self.ids(parents);
        let factory = Arc::new(|builder: &mut TaskBuilder<'_>| no_task(builder));
        self.topology.add_sink_node(name, &parents, SinkTopic::Dynamic(text.into()), factory);
        self
    }

    fn add_store(&mut self, name: &str, processors: &[&str], global: bool) -> StoreId {
        let factory: StoreFactory = Arc::new(|open| {
            let source = streams_state::serdes::SerdeError::new("a sketch does not run");
            Err(streams_state::error::StateError::Serde { store: open.name.to_string(), source })
        });
        let store = self.topology.add_store(StoreSpec {
            name: name.into(),
            kind: StoreKind::KeyValue,
            in_memory: true,
            logging: !global,
            caching: false,
            changelog_config: BTreeMap::new(),
            source_topic: None,
            global,
            processors: Vec::new(),
            fault: None,
            format: crate::topology::StoreFormat::Own,
            factory,
        });
        for node in self.ids(processors) {
            self.topology.connect_processor_and_store(node, store);
        }
        store
    }

    pub(crate) fn store(mut self, name: &str, processors: &[&str]) -> Self {
        self.add_store(name, processors, false);
        self
    }

    pub(crate) fn global_store(mut self, name: &str, processor: &str) -> Self {
        self.add_store(name, &[processor], true);
        self
    }

    /// The last store added, to change it.
    pub(crate) fn with_store(mut self, change: impl FnOnce(&mut StoreSpec)) -> Self {
        change(self.topology.stores.last_mut().unwrap());
        self
    }

    pub(crate) fn repartition(mut self, name: &str, partitions: Option<i32>) -> Self {
        self.topology.add_repartition_topic(InternalTopic { name: name.into(), partitions });
        self
    }

    pub(crate) fn copartition(mut self, topics: &[&str]) -> Self {
        self.topology.add_copartition_group(topics.iter().map(|topic| (*topic).into()).collect());
        self
    }
}
