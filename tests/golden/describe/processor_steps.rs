//! Programs of the Processor API, step by step.

use std::collections::BTreeMap;

use serde_json::Value;
use streams_core::dsl::{Consumed, NodeRef, StoreBuilder, Stores};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::topic::{Store, Topic};
use streams_core::topology::{Topology, TopologyError};

use super::program::{Step, Unsupported, store_builder};

type Node = NodeRef<String, i64>;

/// Passes every record on.
struct Pass;

impl Processor<String, i64, String, i64> for Pass {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(context.forward(record)?)
    }
}

/// Feeds a global or read-only store.
struct Keep;

impl Processor<String, i64, (), ()> for Keep {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A program on its way.
#[derive(Default)]
struct Program {
    topology: Topology,
    nodes: BTreeMap<String, Node>,
    /// Stores that processors bring: the same name is the same store.
    brought: BTreeMap<String, StoreBuilder>,
}

/// Builds a program. The inner error is the program's own fault.
pub(crate) fn build(golden: &Value) -> Result<Result<Topology, TopologyError>, Unsupported> {
    let mut program = Program::default();
    for step in golden["steps"].as_array().into_iter().flatten().map(Step) {
        if let Err(error) = program.run(step)? {
            return Ok(Err(error));
        }
    }
    Ok(program.topology.validate().map(|()| program.topology))
}

impl Program {
    fn run(&mut self, step: Step<'_>) -> Result<Result<(), TopologyError>, Unsupported> {
        Ok(match step.op() {
            "addSource" => self.add_source(step),
            "addProcessor" => self.add_processor(step),
            "addSink" => self.add_sink(step),
            "addGlobalStore" => self.add_fed_store(step, true)?,
            "addReadOnlyStateStore" => self.add_fed_store(step, false)?,
            "addStateStore" => self.topology.add_state_store(store_builder(step)?, &step.list("processors")),
            "connect" => {
                self.topology.connect_processor_and_state_stores(step.must("name"), &step.list("stores"))
            }
            _ => return step.unsupported(),
        })
    }

    /// The parents. One that is not there cannot be written down in Rust: it does not compile.
    fn parents(&self, step: Step<'_>) -> Result<Vec<Node>, TopologyError> {
        let parents = step.list("parents").into_iter();
        parents
            .map(|name| match self.nodes.get(name) {
                Some(node) => Ok(node.clone()),
                None => Err(TopologyError::new(format!("`{name}` has no NodeRef"))),
            })
            .collect()
    }

    fn add_source(&mut self, step: Step<'_>) -> Result<(), TopologyError> {
        let topics: Vec<Topic<String, i64>> = step.list("topics").into_iter().map(Topic::named).collect();
        let consumed = match step.text("reset") {
            Some("latest") => Consumed::new().latest(),
            _ => Consumed::new(),
        };
        if let Some(pattern) = step.text("pattern") {
            let node = self.topology.add_source_pattern(step.must("name"), pattern, consumed)?;
            self.nodes.insert(step.must("name").to_owned(), node);
            return Ok(());
        }
        let topics: Vec<&Topic<String, i64>> = topics.iter().collect();
        let node = self.topology.add_source_with(step.must("name"), &topics, consumed)?;
        self.nodes.insert(step.must("name").to_owned(), node);
        Ok(())
    }

    fn add_fed_store(
        &mut self,
        step: Step<'_>,
        global: bool,
    ) -> Result<Result<(), TopologyError>, Unsupported> {
        let (store, source, processor) = (store_builder(step)?, step.must("name"), step.must("processor"));
        let (topic, consumed) = (Topic::<String, i64>::named(step.must("topic")), Consumed::new());
        let topology = &mut self.topology;
        Ok(match global {
            true => topology.add_global_store(store, source, &topic, consumed, processor, || Keep),
            false => topology.add_read_only_state_store(store, source, &topic, consumed, processor, || Keep),
        })
    }

    fn add_processor(&mut self, step: Step<'_>) -> Result<(), TopologyError> {
        let (name, parents) = (step.must("name"), self.parents(step)?);
        let node = self.topology.add_processor(name, || Pass, &parents.iter().collect::<Vec<_>>())?;
        self.nodes.insert(name.to_owned(), node);
        for store in step.text("provides").into_iter().flat_map(|names| names.split(',')) {
            let make = || Stores::key_value(&Store::<String, i64>::named(store));
            let builder = self.brought.entry(store.to_owned()).or_insert_with(make).clone();
            self.topology.add_state_store(builder, &[name])?;
        }
        Ok(())
    }

    fn add_sink(&mut self, step: Step<'_>) -> Result<(), TopologyError> {
        let (name, parents) = (step.must("name"), self.parents(step)?);
        let parents: Vec<&Node> = parents.iter().collect();
        match step.text("topic") {
            Some(topic) => self.topology.add_sink(name, &Topic::<String, i64>::named(topic), &parents),
            None => self.topology.add_sink_extractor(name, "Extractor", |_, _, _| String::new(), &parents),
        }
    }
}
