//! Runs the recorded steps through the DSL and compares names, order, description and stores with the recording.
//! Catches: a wrong index counter, a wrong build order, an optimizer that rewrites too much or too little.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use streams_core::dsl::{
    BranchedKStream, Consumed, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, GlobalKTable,
    KGroupedStream, KStream, KTable, Materialized, Repartitioned, StoreBuilder, Stores, StreamsBuilder,
    TopologyConfig,
};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::topic::{Store, Topic};
use streams_core::topology::{OffsetReset, Topology};

use super::golden::{APPLICATION, entries, strings, topologies};

type Key = Option<String>;
type Text = Option<String>;

/// What a step's id stands for. Counts are numbers, all else is text.
#[derive(Clone)]
enum Var {
    Stream(KStream<Key, Text>),
    Counts(KStream<Key, Option<i64>>),
    Table(KTable<Key, String>),
    CountTable(KTable<Key, i64>),
    Global(GlobalKTable<Key, String>),
    Grouped(KGroupedStream<Key, Text>),
    GroupedCounts(KGroupedStream<Key, Option<i64>>),
}

/// The same code for streams of text and of numbers.
macro_rules! stream {
    ($var:expr, $stream:ident => $same:expr) => {
        match $var {
            Var::Stream($stream) => Some(Var::Stream($same)),
            Var::Counts($stream) => Some(Var::Counts($same)),
            _ => None,
        }
    };
}

/// The same code for streams of text and of numbers, where the result is a stream of text, or nothing.
macro_rules! any_stream {
    ($var:expr, $stream:ident => $result:expr) => {
        match $var {
            Var::Stream($stream) => $result,
            Var::Counts($stream) => $result,
            _ => return None,
        }
    };
}

struct Same;

impl<V: 'static> Processor<Key, V, Key, Text> for Same {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Key, Text>,
        _: Record<Key, V>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<V: 'static> FixedKeyProcessor<Key, V, Text> for Same {
    fn process(
        &mut self,
        _: &mut FixedKeyContext<'_, '_, Key, Text>,
        _: FixedKeyRecord<Key, V>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

/// One recorded step.
struct Step<'a>(&'a Value);

impl Step<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    fn topic<V>(&self) -> Option<Topic<Key, V>> {
        self.text("topic").map(Topic::named)
    }

    fn consumed<V>(&self) -> Consumed<Key, V> {
        let mut consumed = Consumed::new();
        if let Some(name) = self.text("named") {
            consumed = consumed.named(name);
        }
        match self.text("reset") {
            Some("latest") => consumed.reset(OffsetReset::Latest),
            Some("none") => consumed.reset(OffsetReset::None),
            Some(_) => consumed.reset(OffsetReset::Earliest),
            None => consumed,
        }
    }

    /// `None`: not supported. `Some(None)`: no Materialized is passed.
    fn materialized<V>(&self) -> Option<Option<Materialized<Key, V>>>
    where
        V: serde::Serialize + serde::de::DeserializeOwned + 'static,
    {
        let named = |store: &str| Materialized::from(&Store::<Key, V>::named(store));
        let mut materialized = match (self.text("supplier"), self.text("store"), self.text("mat")) {
            (Some("kv_mem"), Some(store), _) => named(store).in_memory(),
            (Some("kv_rocks" | "kv_ts"), Some(store), _) => named(store).persistent(),
            (Some(_), _, _) => return None,
            (None, Some(store), _) => named(store),
            (None, None, Some("with")) => Materialized::unnamed(),
            (None, None, _) => return Some(None),
        };
        if self.text("logging") == Some("off") {
            materialized = materialized.logging(false);
        }
        for (key, value) in entries(&self.0["cfg"]) {
            materialized = materialized.changelog_config(key, value.as_str().unwrap());
        }
        match self.text("storetype") {
            None => {}
            Some("in_memory") => materialized = materialized.in_memory(),
            Some(_) => materialized = materialized.persistent(),
        }
        match self.0["caching"].as_str() {
            Some("off") => materialized = materialized.caching(false),
            Some("on") => materialized = materialized.caching(true),
            Some(_) | None => {}
        }
        Some(Some(materialized))
    }

    fn store(&self, name: &str) -> Option<StoreBuilder> {
        let name: Store<Key, String> = Store::named(name);
        let mut store = match self.text("kind").unwrap_or("kv_rocks") {
            "kv_rocks" => Stores::key_value(&name),
            "kv_ts" => Stores::timestamped_key_value(&name),
            "kv_mem" => Stores::key_value(&name).in_memory(),
            _ => return None,
        };
        if self.text("logging") == Some("off") {
            store = store.logging(false);
        }
        for (key, value) in entries(&self.0["cfg"]) {
            store = store.changelog_config(key, value.as_str().unwrap());
        }
        Some(store.caching(self.text("caching") == Some("on")))
    }
}

#[derive(Default)]
struct Interpreter {
    builder: StreamsBuilder,
    vars: HashMap<String, Var>,
    brought: HashMap<String, StoreBuilder>,
}

impl Interpreter {
    /// Runs one step. `None`: the DSL has no word for it yet.
    fn step(&mut self, step: &Step<'_>) -> Option<()> {
        let inputs: Vec<Var> =
            strings(&step.0["in"]).into_iter().map(|id| self.vars.get(id).cloned()).collect::<Option<_>>()?;
        let made = self.made(step, &inputs)?;
        if let (Some(var), Some(id)) = (made, step.text("id")) {
            self.vars.insert(id.to_owned(), var);
        }
        Some(())
    }

    fn made(&mut self, step: &Step<'_>, inputs: &[Var]) -> Option<Option<Var>> {
        let op = step.text("op")?;
        let Some(input) = inputs.first() else { return self.source(step, op) };
        let input = named(input.clone(), step.text("named").or(step.text("grouped")).or(step.text("joined")));
        match input {
            Var::Stream(_) | Var::Counts(_) => match op {
                "to" | "foreach" | "split" => self.sink(step, op, input).map(|()| None),
                "merge" | "join" | "leftJoin" => join(step, op, input, inputs.get(1)?.clone()).map(Some),
                "process" | "processValues" => self.process(step, op, input).map(Some),
                _ => on_stream(step, op, input).map(Some),
            },
            Var::Table(_) | Var::CountTable(_) => on_table(step, op, input).map(Some),
            Var::Grouped(grouped) => aggregate(step, op, grouped).map(Some),
            Var::GroupedCounts(grouped) if op == "count" => {
                Some(Some(Var::CountTable(match step.materialized()? {
                    None => grouped.count(),
                    Some(materialized) => grouped.count_with(materialized),
                })))
            }
            Var::GroupedCounts(_) | Var::Global(_) => None,
        }
    }

    fn source(&mut self, step: &Step<'_>, op: &str) -> Option<Option<Var>> {
        let builder = &self.builder;
        match op {
            "stream" if step.0["pattern"].is_null() => {
                let topics: Vec<Topic<Key, Text>> =
                    strings(&step.0["topics"]).into_iter().map(Topic::named).collect();
                let topics: Vec<&Topic<Key, Text>> = topics.iter().collect();
                Some(Some(Var::Stream(builder.stream_with(&topics, step.consumed()))))
            }
            "table" => Some(Some(Var::Table(match step.materialized()? {
                None => builder.table_consumed(&step.topic::<String>()?, step.consumed()),
                Some(materialized) => {
                    builder.table_with(&step.topic::<String>()?, step.consumed(), materialized)
                }
            }))),
            "globalTable" => Some(Some(Var::Global(match step.materialized()? {
                None => builder.global_table_consumed(&step.topic::<String>()?, step.consumed()),
                Some(materialized) => {
                    builder.global_table_with(&step.topic::<String>()?, step.consumed(), materialized)
                }
            }))),
            "addStateStore" => {
                builder.add_state_store(step.store(step.text("store")?)?);
                Some(None)
            }
            _ => None,
        }
    }

    fn sink(&mut self, step: &Step<'_>, op: &str, input: Var) -> Option<()> {
        match op {
            "to" if step.0["dynamic"].is_null() => match input {
                Var::Stream(stream) => stream.to(&step.topic::<String>()?),
                Var::Counts(stream) => stream.to(&step.topic::<i64>()?),
                _ => return None,
            },
            "to" => {
                any_stream!(input, stream => stream.to_extractor_as("Extractor", |_, _, _| String::new()))
            }
            "split" => match input {
                Var::Stream(stream) => self.split(step, stream.split(), Var::Stream),
                Var::Counts(stream) => self.split(step, stream.split(), Var::Counts),
                _ => return None,
            },
            _ => any_stream!(input, stream => stream.for_each(|_, _| {})),
        }
        Some(())
    }

    fn split<V: 'static>(
        &mut self,
        step: &Step<'_>,
        mut split: BranchedKStream<Key, V>,
        var: impl Fn(KStream<Key, V>) -> Var,
    ) {
        let id = step.text("id").unwrap();
        for (index, name) in (1..).zip(strings(&step.0["branches"])) {
            let branch = match name {
                "-" => split.branch(|_, _| true),
                name => split.branch_as(name, |_, _| true),
            };
            self.vars.insert(format!("{id}#{index}"), var(branch));
        }
        let default = match step.text("default") {
            None => return,
            Some("-") => split.default_branch(),
            Some(name) => split.default_branch_as(name),
        };
        self.vars.insert(format!("{id}#0"), var(default));
    }

    fn process(&mut self, step: &Step<'_>, op: &str, input: Var) -> Option<Var> {
        let stores = strings(&step.0["stores"]);
        let brought: Option<Vec<StoreBuilder>> = step.text("provides").map(|names| {
            let names = names.split(',');
            names
                .map(|name| {
                    let store = || Stores::key_value(&Store::<Key, String>::named(name));
                    self.brought.entry(name.to_owned()).or_insert_with(store).clone()
                })
                .collect()
        });
        Some(Var::Stream(any_stream!(input, stream => match (op, brought) {
            ("process", None) => stream.process(|| Same, &stores),
            ("process", Some(brought)) if stores.is_empty() => stream.process_with_stores(|| Same, brought),
            (_, None) => stream.process_values(|| Same, &stores),
            (_, Some(brought)) if stores.is_empty() => stream.process_values_with_stores(|| Same, brought),
            (_, Some(_)) => return None,
        })))
    }
}

fn named(var: Var, name: Option<&str>) -> Var {
    let Some(name) = name else { return var };
    match var {
        Var::Stream(stream) => Var::Stream(stream.named(name)),
        Var::Counts(stream) => Var::Counts(stream.named(name)),
        Var::Table(table) => Var::Table(table.named(name)),
        Var::CountTable(table) => Var::CountTable(table.named(name)),
        Var::Grouped(grouped) => Var::Grouped(grouped.named(name)),
        Var::GroupedCounts(grouped) => Var::GroupedCounts(grouped.named(name)),
        Var::Global(table) => Var::Global(table),
    }
}

fn on_stream(step: &Step<'_>, op: &str, input: Var) -> Option<Var> {
    let text = |_: &Key| -> Key { None };
    match op {
        "filter" => stream!(input, stream => stream.filter(|_, _| true)),
        "filterNot" => stream!(input, stream => stream.filter_not(|_, _| true)),
        "peek" => stream!(input, stream => stream.peek(|_, _| {})),
        "selectKey" => stream!(input, stream => stream.select_key(move |key, _| text(key))),
        "repartition" => {
            let partitions = step.0["partitions"].as_i64();
            stream!(input, stream => {
                let mut repartitioned = Repartitioned::new();
                if let Some(partitions) = partitions {
                    repartitioned = repartitioned.partitions(partitions as i32);
                }
                stream.repartition_with(repartitioned)
            })
        }
        "map" => Some(Var::Stream(any_stream!(input, stream => stream.map(|_, _| (None, None))))),
        "flatMap" => Some(Var::Stream(any_stream!(input, stream => stream.flat_map(|_, _| Vec::new())))),
        "mapValues" => Some(Var::Stream(any_stream!(input, stream => stream.map_values(|_| None)))),
        "flatMapValues" => {
            Some(Var::Stream(any_stream!(input, stream => stream.flat_map_values(|_| Vec::new()))))
        }
        "groupByKey" => match input {
            Var::Stream(stream) => Some(Var::Grouped(stream.group_by_key())),
            Var::Counts(stream) => Some(Var::GroupedCounts(stream.group_by_key())),
            _ => None,
        },
        "groupBy" => match input {
            Var::Stream(stream) => Some(Var::Grouped(stream.group_by(move |key, _| text(key)))),
            Var::Counts(stream) => Some(Var::GroupedCounts(stream.group_by(move |key, _| text(key)))),
            _ => None,
        },
        "toTable" => match input {
            Var::Stream(stream) => Some(Var::Table(match step.materialized()? {
                None => stream.to_table_opt(),
                Some(materialized) => stream.to_table_opt_with(materialized),
            })),
            Var::Counts(stream) => Some(Var::CountTable(match step.materialized()? {
                None => stream.to_table_opt(),
                Some(materialized) => stream.to_table_opt_with(materialized),
            })),
            _ => None,
        },
        _ => None,
    }
}

fn on_table(step: &Step<'_>, op: &str, input: Var) -> Option<Var> {
    match (op, input) {
        ("toStream", Var::Table(table)) if step.0["rekey"] == true => {
            Some(Var::Stream(table.to_stream_keyed(|key, _| key.clone())))
        }
        ("toStream", Var::CountTable(table)) if step.0["rekey"] == true => {
            Some(Var::Counts(table.to_stream_keyed(|key, _| key.clone())))
        }
        ("toStream", Var::Table(table)) => Some(Var::Stream(table.to_stream())),
        ("toStream", Var::CountTable(table)) => Some(Var::Counts(table.to_stream())),
        ("filter" | "filterNot", Var::Table(table)) => Some(Var::Table(match step.materialized()? {
            None => table.filter(|_, _| true),
            Some(materialized) => table.filter_with(|_, _| true, materialized),
        })),
        ("filter" | "filterNot", Var::CountTable(table)) => {
            Some(Var::CountTable(match step.materialized()? {
                None => table.filter(|_, _| true),
                Some(materialized) => table.filter_with(|_, _| true, materialized),
            }))
        }
        ("mapValues", Var::Table(table)) => Some(Var::Table(match step.materialized()? {
            None => table.map_values(|_| String::new()),
            Some(materialized) => table.map_values_with(|_| String::new(), materialized),
        })),
        ("mapValues", Var::CountTable(table)) => Some(Var::Table(match step.materialized()? {
            None => table.map_values(|_| String::new()),
            Some(materialized) => table.map_values_with(|_| String::new(), materialized),
        })),
        _ => None,
    }
}

fn aggregate(step: &Step<'_>, op: &str, grouped: KGroupedStream<Key, Text>) -> Option<Var> {
    let init = || None::<String>;
    let add = |_: &Key, _: Text, aggregate: Option<String>| aggregate;
    Some(match op {
        "count" => Var::CountTable(match step.materialized()? {
            // Java has `count(Named)`, which passes no Materialized.
            None => grouped.count(),
            Some(materialized) => grouped.count_with(materialized),
        }),
        "reduce" => Var::Table(match step.materialized()? {
            None => grouped.reduce_opt(|one, _| Some(one)),
            Some(materialized) => grouped.reduce_opt_with(|one, _| Some(one), materialized),
        }),
        "aggregate" => Var::Table(match step.materialized()? {
            None => grouped.aggregate_opt(init, add),
            Some(materialized) => grouped.aggregate_opt_with(init, add, materialized),
        }),
        _ => return None,
    })
}

fn join(step: &Step<'_>, op: &str, one: Var, two: Var) -> Option<Var> {
    if !step.0["grace"].is_null() {
        return None;
    }
    let left = op == "leftJoin";
    match (one, two) {
        (Var::Stream(one), Var::Stream(two)) if op == "merge" => Some(Var::Stream(one.merge(two))),
        (Var::Counts(one), Var::Counts(two)) if op == "merge" => Some(Var::Counts(one.merge(two))),
        (one, Var::Table(table)) => Some(Var::Stream(any_stream!(one, stream => match left {
            true => stream.left_join_table(&table, |_, _| None),
            false => stream.join_table(&table, |_, _| None),
        }))),
        (one, Var::CountTable(table)) => Some(Var::Stream(any_stream!(one, stream => match left {
            true => stream.left_join_table(&table, |_, _| None),
            false => stream.join_table(&table, |_, _| None),
        }))),
        (one, Var::Global(table)) => Some(Var::Stream(any_stream!(one, stream => match left {
            true => stream.left_join_global(&table, |key, _| key.clone(), |_, _| None),
            false => stream.join_global(&table, |key, _| key.clone(), |_, _| None),
        }))),
        _ => None,
    }
}

/// The topology of a recording, or the faults; `None` if the DSL has no word for one of its steps.
fn built(golden: &Value) -> Option<Result<Topology, String>> {
    if golden["api"] != "dsl" {
        return None;
    }
    let config = &golden["config"];
    let known = ["topology.optimization", "ensure.explicit.internal.resource.naming", "default.dsl.store"];
    if entries(config).any(|(key, _)| !known.contains(&key) && !key.starts_with("topic.")) {
        return None;
    }
    let mut interpreter = Interpreter::default();
    for step in golden["steps"].as_array().unwrap() {
        interpreter.step(&Step(step))?;
    }
    let optimization = config["topology.optimization"].as_str().unwrap_or("none");
    let config = TopologyConfig::optimized(optimization).map(|optimized| TopologyConfig {
        ensure_explicit_naming: config["ensure.explicit.internal.resource.naming"] == "true",
        dsl_stores_in_memory: config["default.dsl.store"] == "in_memory",
        ..optimized
    });
    Some(config.and_then(|config| interpreter.builder.build_with(&config).map_err(|error| error.to_string())))
}

/// What of a topology must be Kafka Streams', as text.
fn shape(topology: &Topology) -> String {
    let mut shape = String::new();
    for node in &topology.nodes {
        shape.push_str(&format!("node {}\n", node.name));
    }
    let mut stores = BTreeMap::new();
    for store in &topology.stores {
        stores.insert(&store.name, (store.logging, store.global));
    }
    stores.iter().for_each(|(name, (logging, global))| {
        shape.push_str(&format!("store {name} logging {} global {global}\n", *logging && !global));
    });
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for group in &topology.copartition_groups {
        let full = |topic: &Arc<str>| match topology.repartition_topics.contains_key(topic) {
            true => format!("{APPLICATION}-{topic}"),
            false => topic.to_string(),
        };
        let mut group: BTreeSet<String> = group.iter().map(full).collect();
        let (overlapping, apart) = groups.into_iter().partition(|other| !group.is_disjoint(other));
        groups = apart;
        group.extend::<Vec<String>>(overlapping.into_iter().flatten().collect());
        groups.push(group);
    }
    groups.sort();
    shape.push_str(&format!("copartition {groups:?}\n"));
    shape.push_str(&topology.describe().to_string());
    shape
}

fn golden_shape(golden: &Value) -> String {
    let mut shape = String::new();
    for node in strings(&golden["node_insertion_order"]) {
        shape.push_str(&format!("node {node}\n"));
    }
    let mut stores: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for (name, store) in entries(&golden["stores"]) {
        stores.insert(name, (store["logging"].as_bool().unwrap(), false));
    }
    for name in strings(&golden["global_stores"]) {
        stores.insert(name, (false, true));
    }
    stores.iter().for_each(|(name, (logging, global))| {
        shape.push_str(&format!("store {name} logging {logging} global {global}\n"));
    });
    let groups = golden["copartition_groups"].as_array().unwrap();
    let mut groups: Vec<BTreeSet<&str>> =
        groups.iter().map(|group| strings(group).into_iter().collect()).collect();
    groups.sort();
    shape.push_str(&format!("copartition {groups:?}\n"));
    shape.push_str(golden["describe"].as_str().unwrap());
    shape
}

#[test]
fn the_dsl_builds_what_kafka_streams_builds() {
    let mut compared = 0;
    let mut faults = Vec::new();
    for golden in topologies() {
        let name = golden["name"].as_str().unwrap();
        let Some(built) = built(&golden) else { continue };
        compared += 1;
        match (built, golden["error"].as_str()) {
            (Ok(topology), None) => {
                let (ours, theirs) = (shape(&topology), golden_shape(&golden));
                if ours != theirs {
                    faults.push(format!("{name}\n--- ours\n{ours}\n--- Kafka Streams\n{theirs}"));
                }
            }
            (Ok(_), Some(error)) => faults.push(format!("{name}: built, where Kafka Streams fails: {error}")),
            (Err(error), None) => faults.push(format!("{name}: {error}")),
            (Err(_), Some(_)) => {}
        }
    }
    assert!(faults.is_empty(), "{} of {compared} differ:\n{}", faults.len(), faults.join("\n\n"));
    assert!(compared >= 114, "only {compared} recordings compared");
}
