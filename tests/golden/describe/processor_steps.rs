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
    /// What cannot be written down in Rust: it does not compile.
    unwritable: Vec<String>,
}

/// Builds a program. The inner error is the program's own fault.
pub(crate) fn build(golden: &Value) -> Result<Result<Topology, TopologyError>, Unsupported> {
    let mut program = Program::default();
    for step in golden["steps"].as_array().into_iter().flatten().map(Step) {
        program.run(step)?;
    }
    let Program { topology, unwritable: mut faults, .. } = program;
    faults.extend(topology.validate().err().into_iter().flat_map(|error| error.faults));
    Ok(if faults.is_empty() { Ok(topology) } else { Err(TopologyError { faults }) })
}

impl Program {
    fn run(&mut self, step: Step<'_>) -> Result<(), Unsupported> {
        match step.op() {
            "addSource" => self.add_source(step),
            "addProcessor" => self.add_processor(step),
            "addSink" => self.add_sink(step),
            "addGlobalStore" => self.add_fed_store(step, true)?,
            "addReadOnlyStateStore" => self.add_fed_store(step, false)?,
            "addStateStore" => {
                self.topology.add_state_store(store_builder(step)?, &step.list("processors"));
            }
            "connect" => {
                self.topology.connect_processor_and_state_stores(step.must("name"), &step.list("stores"));
            }
            _ => return step.unsupported(),
        }
        Ok(())
    }

    fn parents(&mut self, step: Step<'_>) -> Vec<Node> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            step.list("parents").into_iter().partition(|name| self.nodes.contains_key(*name));
        self.unwritable.extend(unknown.into_iter().map(|name| format!("`{name}` has no NodeRef")));
        known.into_iter().map(|name| self.nodes[name].clone()).collect()
    }

    fn add_source(&mut self, step: Step<'_>) {
        let topics: Vec<Topic<String, i64>> = step.list("topics").into_iter().map(Topic::named).collect();
        let consumed = match step.text("reset") {
            Some("latest") => Consumed::new().latest(),
            _ => Consumed::new(),
        };
        let name = step.must("name");
        let node = match step.text("pattern") {
            Some(pattern) => self.topology.add_source_pattern(name, pattern, consumed),
            None => self.topology.add_source_with(name, &topics.iter().collect::<Vec<_>>(), consumed),
        };
        self.nodes.insert(name.to_owned(), node);
    }

    fn add_fed_store(&mut self, step: Step<'_>, global: bool) -> Result<(), Unsupported> {
        let (store, source, processor) = (store_builder(step)?, step.must("name"), step.must("processor"));
        let (topic, consumed) = (Topic::<String, i64>::named(step.must("topic")), Consumed::new());
        let topology = &mut self.topology;
        match global {
            true => topology.add_global_store(store, source, &topic, consumed, processor, || Keep),
            false => topology.add_read_only_state_store(store, source, &topic, consumed, processor, || Keep),
        };
        Ok(())
    }

    fn add_processor(&mut self, step: Step<'_>) {
        let (name, parents) = (step.must("name"), self.parents(step));
        let node = self.topology.add_processor(name, || Pass, &parents.iter().collect::<Vec<_>>());
        self.nodes.insert(name.to_owned(), node);
        for store in step.text("provides").into_iter().flat_map(|names| names.split(',')) {
            let make = || Stores::key_value(&Store::<String, i64>::named(store));
            let builder = self.brought.entry(store.to_owned()).or_insert_with(make).clone();
            self.topology.add_state_store(builder, &[name]);
        }
    }

    fn add_sink(&mut self, step: Step<'_>) {
        let (name, parents) = (step.must("name"), self.parents(step));
        let parents: Vec<&Node> = parents.iter().collect();
        match step.text("topic") {
            Some(topic) => self.topology.add_sink(name, &Topic::<String, i64>::named(topic), &parents),
            None => self.topology.add_sink_extractor(name, "Extractor", |_, _, _| String::new(), &parents),
        };
    }
}
