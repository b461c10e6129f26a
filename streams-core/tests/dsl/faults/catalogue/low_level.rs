//! Faults of topologies that are made node by node.

use streams_core::dsl::{Consumed, NodeRef, StoreBuilder, Stores};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::serdes::Auto;
use streams_core::topology::Topology;

use super::super::Silent;
use super::Here::LowLevel;
use super::{In, Kept, Row};

fn source(topology: &mut Topology, name: &'static str) -> NodeRef<String, i64> {
    topology.add_source(name, &[&In::new(name)])
}

fn processor(topology: &mut Topology, name: &str, parents: &[&NodeRef<String, i64>]) -> NodeRef<String, i64> {
    topology.add_processor(name, || Silent, parents)
}

fn store(name: &'static str) -> StoreBuilder {
    Stores::key_value(&Kept::new(name))
}

/// Adds a global store, with the names of its source and its processor.
fn global_store(topology: &mut Topology, name: &'static str, [source, processor]: [&'static str; 2]) {
    topology.add_global_store(store(name), source, &In::new(source), Consumed::new(), processor, || Fill);
}

/// Feeds a store.
struct Fill;

impl Processor<String, i64, (), ()> for Fill {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

pub(super) const LOW_LEVEL: &[Row] = &[
    (
        "addSource: topics cannot be empty",
        LowLevel("source `l1` has no topic; name at least one", |topology| {
            let l1 = topology.add_source::<String, i64, Auto, Auto>("l1", &[]);
            processor(topology, "l1-p", &[&l1]);
        }),
    ),
    (
        "addSource: processor is already added",
        LowLevel("two nodes are called `l2`; give one of them another name", |topology| {
            let first = source(topology, "l2");
            let second = topology.add_source("l2", &[&In::new("l2-other")]);
            processor(topology, "l2-p", &[&first, &second]);
        }),
    ),
    (
        "addSource: topic has already been registered by another source",
        LowLevel("topic `l3` is read by the sources `l3` and `l3-again`; read each once", |topology| {
            source(topology, "l3");
            topology.add_source("l3-again", &[&In::new("l3-own"), &In::new("l3")]);
        }),
    ),
    (
        "addSource: the same topic twice in one source",
        LowLevel("source `l4` names topic `l4` 2 times; name each topic once", |topology| {
            topology.add_source("l4", &[&In::new("l4"), &In::new("l4")]);
        }),
    ),
    (
        "addSource, all of it a second time: already added, which is told once",
        LowLevel("two nodes are called `l5`", |topology| {
            source(topology, "l5");
            source(topology, "l5");
        }),
    ),
    (
        "addSource: an illegal topic (fails at the broker in Java)",
        LowLevel("topic of source `l6`: the name `l 6` contains ' '", |topology| {
            topology.add_source("l6", &[&In::new("l 6")]);
        }),
    ),
    (
        "addSource with a pattern: PatternSyntaxException",
        LowLevel("the topic pattern `l7(` is no regular expression", |topology| {
            let many = topology.add_source_pattern::<String, i64>("l7", "l7(", Consumed::new());
            processor(topology, "l7-p", &[&many]);
        }),
    ),
    (
        "addSource: pattern will match a topic that has already been registered by another source",
        LowLevel("topic `l8-1` matches the pattern `l8-.*` of source `l8`", |topology| {
            source(topology, "l8-1");
            topology.add_source_pattern::<String, i64>("l8", "l8-.*", Consumed::new());
        }),
    ),
    (
        "addProcessor: predecessorNames cannot be empty",
        LowLevel("node `l9` has no parent, so no record can reach it", |topology| {
            let l9 = processor(topology, "l9", &[]);
            processor(topology, "l9-below", &[&l9]);
        }),
    ),
    (
        "addSink: predecessorNames cannot be empty",
        LowLevel("node `l10` has no parent, so no record can reach it", |topology| {
            topology.add_sink::<String, i64, _, _, _>("l10", &In::new("l10-out"), &[]);
        }),
    ),
    (
        "addProcessor: parent node is unknown",
        LowLevel(
            "the parent `l11` of `l11-p` is a node of another topology; add it to this one",
            |topology| {
                let stranger = source(&mut Topology::new(), "l11");
                let node = processor(topology, "l11-p", &[&stranger]);
                processor(topology, "l11-below", &[&node]);
            },
        ),
    ),
    (
        "addProcessor: parent node is unknown, but one of its name and place is there",
        LowLevel("the parent `always` of `l12` is a node of another topology", |topology| {
            let stranger = source(&mut Topology::new(), "always");
            processor(topology, "l12", &[&stranger]);
        }),
    ),
    (
        "addProcessor: processor is already added",
        LowLevel("two nodes are called `l13-p`", |topology| {
            let l13 = source(topology, "l13");
            let (first, second) =
                (processor(topology, "l13-p", &[&l13]), processor(topology, "l13-p", &[&l13]));
            topology.add_state_store(store("l13-store"), &["l13-p"]);
            topology.add_sink("l13-out", &In::new("l13-out"), &[&first, &second]);
        }),
    ),
    (
        "addSink: processor is already added; a store goes to the processor of the name",
        LowLevel("two nodes are called `l14-p`", |topology| {
            let l14 = source(topology, "l14");
            processor(topology, "l14-p", &[&l14]);
            topology.add_sink("l14-p", &In::new("l14-out"), &[&l14]);
            topology.add_state_store(store("l14-store"), &["l14-p"]);
        }),
    ),
    (
        "addStateStore: a different StateStore has already been added",
        LowLevel("two different stores are called `l15-store`", |topology| {
            let l15 = source(topology, "l15");
            processor(topology, "l15-p", &[&l15]);
            let second = store("l15-store");
            topology.add_state_store(store("l15-store"), &["l15-p"]);
            topology.add_state_store(second.clone(), &["l15-p"]).add_state_store(second, &["l15-p"]);
        }),
    ),
    (
        "addStateStore: processor is not added yet",
        LowLevel("processor `l16`, which shall use `l16-store`, is unknown; add it first", |topology| {
            topology.add_state_store(store("l16-store"), &["l16"]);
        }),
    ),
    (
        "addStateStore: an illegal name (changelog topic)",
        LowLevel("store `l/17`: the name `l/17` contains '/'", |topology| {
            topology.add_state_store(store("l/17"), &[]);
        }),
    ),
    (
        "connectProcessorAndStateStores: processor is not added yet",
        LowLevel("processor `l18`, which shall use `l18-one` and `l18-two`, is unknown", |topology| {
            topology.add_state_store(store("l18-one"), &[]).add_state_store(store("l18-two"), &[]);
            topology.connect_processor_and_state_stores("l18", &["l18-one", "l18-two"]);
        }),
    ),
    (
        "connectProcessorAndStateStores: StateStore is not added yet",
        LowLevel("store `l19-store`, which `l19-p` shall use, is unknown; add it first", |topology| {
            let l19 = source(topology, "l19");
            processor(topology, "l19-p", &[&l19]);
            topology.connect_processor_and_state_stores("l19-p", &["l19-store"]);
        }),
    ),
    (
        "connectProcessorAndStateStores: stateStoreNames cannot be empty",
        LowLevel("`l20-p` shall use stores, but none is named; name at least one", |topology| {
            let l20 = source(topology, "l20");
            processor(topology, "l20-p", &[&l20]);
            topology.connect_processor_and_state_stores("l20-p", &[]);
        }),
    ),
    (
        "connectProcessorAndStateStores: state stores cannot be connected to sources or sinks",
        LowLevel("store `l21-store` is connected to `l21`, which is a source or a sink", |topology| {
            source(topology, "l21");
            topology.add_state_store(store("l21-store"), &["l21"]);
        }),
    ),
    (
        "connectProcessorAndStateStores: global StateStore can be used without being specified",
        LowLevel("global store `l22-store` is connected to several processors", |topology| {
            let l22 = source(topology, "l22");
            processor(topology, "l22-p", &[&l22]);
            global_store(topology, "l22-store", ["l22-global", "l22-fill"]);
            topology.connect_processor_and_state_stores("l22-p", &["l22-store"]);
        }),
    ),
    (
        "addGlobalStore: sourceName and processorName must be different",
        LowLevel("two nodes are called `l23`", |topology| {
            global_store(topology, "l23-store", ["l23", "l23"]);
        }),
    ),
    (
        "addGlobalStore: a different StateStore has already been added",
        LowLevel("two different stores are called `l24-store`", |topology| {
            global_store(topology, "l24-store", ["l24", "l24-fill"]);
            topology.add_state_store(store("l24-store"), &[]);
        }),
    ),
    (
        "addReadOnlyStateStore: processor is already added",
        LowLevel("two nodes are called `l25`", |topology| {
            source(topology, "l25");
            let copied = In::new("l25-copied");
            topology.add_read_only_state_store(
                store("l25-store"),
                "l25-copy",
                &copied,
                Consumed::new(),
                "l25",
                || Fill,
            );
        }),
    ),
];
