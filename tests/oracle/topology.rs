//! A case's steps as calls of our DSL. Comes in: steps. Goes out: a topology, or what the DSL lacks, or why it refused.
//! Streams are `Text` by `Text`; tables hold `String` rows by `Text` keys, as a null row is a missing row.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kstreams::dsl::{
    BranchedKStream, Consumed, Data, GlobalKTable, KGroupedStream, KStream, KTable, Materialized,
    StoreBuilder, Stores, StreamsBuilder, TopologyConfig,
};
use kstreams::topic::{Store, Topic};
use kstreams::topology::{Topology, TopologyError};
use serde_json::{Value, json};

use crate::case::{Config, Step};
use crate::functions::{self, Text};
use crate::processors::CaseProcessorSupplier;

type Stream = KStream<Text, Text>;
type Table = KTable<Text, String>;

/// What peek and foreach saw, and the input item in work.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<(Vec<Value>, usize)>>);

impl Seen {
    /// From now on, records belong to input item `at`.
    pub(crate) fn at(&self, at: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = at;
    }

    /// All entries so far.
    pub(crate) fn entries(&self) -> Vec<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn add(&self, tag: &str, key: &Text, value: &Text) {
        let (entries, at) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(json!([tag, key, value, *at]));
    }
}

/// What a variable of a case holds.
enum Variable {
    Stream(Stream),
    Table(Table),
    Global(GlobalKTable<Text, String>),
    Grouped(KGroupedStream<Text, Text>),
}

/// The operators and options of `steps` that our DSL does not have.
pub(crate) fn unsupported(steps: &[Step]) -> Vec<String> {
    const OPERATORS: &[&str] = &[
        "stream",
        "table",
        "globalTable",
        "addStore",
        "filter",
        "filterNot",
        "map",
        "flatMap",
        "mapValues",
        "flatMapValues",
        "selectKey",
        "peek",
        "foreach",
        "split",
        "merge",
        "repartition",
        "to",
        "toDynamic",
        "process",
        "processValues",
        "toTable",
        "groupByKey",
        "groupBy",
        "count",
        "reduce",
        "aggregate",
        "tableFilter",
        "tableFilterNot",
        "tableMapValues",
        "toStream",
        "streamTableJoin",
        "streamGlobalJoin",
    ];
    let mut found = BTreeSet::new();
    for step in steps {
        let op = step.op();
        if !OPERATORS.contains(&op) {
            found.insert(op.to_owned());
        }
        if op == "streamTableJoin" && step.number("grace").is_some() {
            found.insert("streamTableJoin with grace".to_owned());
        }
        if step.part("mat").is_some_and(|mat| mat.number("history").is_some()) {
            found.insert("versioned store".to_owned());
        }
    }
    found.into_iter().collect()
}

/// Builds the topology of `steps`, all of which must be supported.
pub(crate) fn build(config: &Config, steps: &[Step], seen: &Seen) -> Result<Topology, TopologyError> {
    let mut options = TopologyConfig::optimized(&config.optimization).map_err(TopologyError::new)?;
    options.ensure_explicit_naming = config.explicit_naming;
    options.dsl_stores_in_memory = config.store_suppliers == "inmemory";
    let mut calls = Calls { builder: StreamsBuilder::new(), variables: HashMap::new(), seen: seen.clone() };
    steps.iter().for_each(|step| calls.step(step));
    calls.builder.build_with(&options)
}

/// The calls made so far.
struct Calls {
    builder: StreamsBuilder,
    variables: HashMap<String, Variable>,
    seen: Seen,
}

fn text_topic(name: &str) -> Topic<Text, Text> {
    Topic::named(name)
}

fn function(step: &Step) -> String {
    step.text("fn").to_owned()
}

/// The key, if the function may see it.
fn key_for<'a>(name: &str, key: &'a Text) -> Option<&'a str> {
    key.as_deref().filter(|_| name.starts_with("key"))
}

fn consumed<V>(step: &Step) -> Consumed<Text, V> {
    match step.find("name") {
        Some(name) => Consumed::new().named(name),
        None => Consumed::new(),
    }
}

fn materialized<V: Data>(step: &Step) -> Option<Materialized<Text, V>> {
    let options = step.part("mat")?;
    let mut materialized = match options.find("store") {
        Some(store) => Materialized::from(&Store::<Text, V>::named(store)),
        None => Materialized::unnamed(),
    };
    match options.find("type") {
        Some("inmemory") => materialized = materialized.in_memory(),
        Some(_) => materialized = materialized.persistent(),
        None => {}
    }
    if let Some(logging) = options.flag("logging") {
        materialized = materialized.logging(logging);
    }
    if let Some(caching) = options.flag("caching") {
        materialized = materialized.caching(caching);
    }
    Some(materialized)
}

fn store(step: &Step) -> StoreBuilder {
    let builder = Stores::key_value(&Store::<String, String>::named(step.text("store")));
    let builder = if step.text("type") == "inmemory" { builder.in_memory() } else { builder.persistent() };
    let builder = match step.flag("logging") {
        Some(logging) => builder.logging(logging),
        None => builder,
    };
    match step.flag("caching") {
        Some(caching) => builder.caching(caching),
        None => builder,
    }
}

impl Calls {
    fn stream(&self, step: &Step, field: &str) -> Stream {
        let stream = match self.variables.get(step.text(field)) {
            Some(Variable::Stream(stream)) => stream.clone(),
            _ => panic!("`{}` is no stream", step.text(field)),
        };
        match step.find("name") {
            Some(name) => stream.named(name),
            None => stream,
        }
    }

    fn table(&self, step: &Step, field: &str) -> Table {
        match self.variables.get(step.text(field)) {
            Some(Variable::Table(table)) => table.clone(),
            _ => panic!("`{}` is no table", step.text(field)),
        }
    }

    fn named_table(&self, step: &Step) -> Table {
        let table = self.table(step, "in");
        match step.find("name") {
            Some(name) => table.named(name),
            None => table,
        }
    }

    fn step(&mut self, step: &Step) {
        let result = match step.op() {
            "stream" | "table" | "globalTable" | "addStore" => self.source(step),
            "split" => {
                self.split(step);
                None
            }
            "to" | "toDynamic" | "foreach" => {
                self.end(step);
                None
            }
            "process" | "processValues" => Some(self.process(step)),
            "toTable" | "groupByKey" | "groupBy" => Some(self.regroup(step)),
            "count" | "reduce" | "aggregate" => Some(Variable::Table(self.aggregation(step))),
            "tableFilter" | "tableFilterNot" | "tableMapValues" | "toStream" => Some(self.on_table(step)),
            "streamTableJoin" => Some(Variable::Stream(self.table_join(step))),
            "streamGlobalJoin" => Some(Variable::Stream(self.global_join(step))),
            _ => Some(Variable::Stream(self.on_stream(step))),
        };
        if let (Some(result), Some(out)) = (result, step.find("out")) {
            self.variables.insert(out.to_owned(), result);
        }
    }

    fn source(&self, step: &Step) -> Option<Variable> {
        let topic = || Topic::<Text, String>::named(step.text("topic"));
        Some(match step.op() {
            "stream" => {
                let topics: Vec<Topic<Text, Text>> =
                    step.texts("topics").into_iter().map(text_topic).collect();
                let topics: Vec<&Topic<Text, Text>> = topics.iter().collect();
                Variable::Stream(self.builder.stream_with(&topics, consumed(step)))
            }
            "table" => Variable::Table(match materialized(step) {
                Some(materialized) => self.builder.table_with(&topic(), consumed(step), materialized),
                None => self.builder.table_consumed(&topic(), consumed(step)),
            }),
            "globalTable" => Variable::Global(match materialized(step) {
                Some(materialized) => self.builder.global_table_with(&topic(), consumed(step), materialized),
                None => self.builder.global_table_consumed(&topic(), consumed(step)),
            }),
            _ => {
                self.builder.add_state_store(store(step));
                return None;
            }
        })
    }

    /// Record by record: stream to stream.
    fn on_stream(&self, step: &Step) -> Stream {
        if step.op() == "merge" {
            let mut other = step.text("right");
            let right = match self.variables.get(std::mem::take(&mut other)) {
                Some(Variable::Stream(stream)) => stream.clone(),
                _ => panic!("`{}` is no stream", step.text("right")),
            };
            return self.stream(step, "left").merge(right);
        }
        let stream = self.stream(step, "in");
        match step.op() {
            "peek" => {
                let (seen, tag) = (self.seen.clone(), step.text("tag").to_owned());
                return stream.peek(move |key, value| seen.add(&tag, key, value));
            }
            "repartition" => return stream.repartition(),
            _ => {}
        }
        let name = function(step);
        match step.op() {
            "filter" => stream.filter(move |k, v| functions::predicate(&name, k.as_deref(), v.as_deref())),
            "filterNot" => {
                stream.filter_not(move |k, v| functions::predicate(&name, k.as_deref(), v.as_deref()))
            }
            "map" => stream.map(move |k, v| functions::map(&name, k.as_deref(), v.as_deref())),
            "flatMap" => stream.flat_map(move |k, v| functions::flat_map(&name, k.as_deref(), v.as_deref())),
            "selectKey" => stream.select_key(move |k, v| functions::key(&name, k.as_deref(), v.as_deref())),
            "mapValues" if name.starts_with("key") => stream
                .map_values_with_key(move |k, v| functions::map_value(&name, k.as_deref(), v.as_deref())),
            "mapValues" => stream.map_values(move |v| functions::map_value(&name, None, v.as_deref())),
            "flatMapValues" if name.starts_with("key") => stream.flat_map_values_with_key(move |k, v| {
                functions::flat_map_value(&name, k.as_deref(), v.as_deref())
            }),
            "flatMapValues" => {
                stream.flat_map_values(move |v| functions::flat_map_value(&name, None, v.as_deref()))
            }
            other => panic!("unknown operator `{other}`"),
        }
    }

    fn split(&mut self, step: &Step) {
        let mut split: BranchedKStream<Text, Text> = self.stream(step, "in").split();
        for branch in step.parts("branches") {
            let name = function(&branch);
            let predicate = move |k: &Text, v: &Text| functions::predicate(&name, k.as_deref(), v.as_deref());
            let stream = match branch.find("name") {
                Some(suffix) => split.branch_as(suffix, predicate),
                None => split.branch(predicate),
            };
            self.variables.insert(branch.text("out").to_owned(), Variable::Stream(stream));
        }
        let Some(default) = step.part("default") else {
            return split.no_default_branch();
        };
        let stream = match default.find("name") {
            Some(suffix) => split.default_branch_as(suffix),
            None => split.default_branch(),
        };
        self.variables.insert(default.text("out").to_owned(), Variable::Stream(stream));
    }

    fn end(&self, step: &Step) {
        let stream = self.stream(step, "in");
        match step.op() {
            "to" => stream.to(&text_topic(step.text("topic"))),
            "toDynamic" => {
                let name = function(step);
                stream.to_extractor_as(format!("extractor-{name}"), move |k, v, _| {
                    functions::topic(&name, k.as_deref(), v.as_deref())
                });
            }
            _ => {
                let (seen, tag) = (self.seen.clone(), step.text("tag").to_owned());
                stream.for_each(move |key, value| seen.add(&tag, key, &value));
            }
        }
    }

    fn process(&self, step: &Step) -> Variable {
        let stream = self.stream(step, "in");
        let supplier = CaseProcessorSupplier::new(step);
        let make = move || supplier.get();
        let brought: Vec<StoreBuilder> = match step.flag("supplied") {
            Some(true) => step.part("storeSpec").as_ref().map(store).into_iter().collect(),
            Some(false) | None => Vec::new(),
        };
        let named: Vec<&str> = step.find("store").into_iter().filter(|_| brought.is_empty()).collect();
        Variable::Stream(match (step.op(), brought.is_empty()) {
            ("process", true) => stream.process(make, &named),
            ("process", false) => stream.process_with_stores(make, brought),
            (_, true) => stream.process_values(make, &named),
            (_, false) => stream.process_values_with_stores(make, brought),
        })
    }

    fn regroup(&self, step: &Step) -> Variable {
        let stream = self.stream(step, "in");
        match step.op() {
            "toTable" => Variable::Table(match materialized(step) {
                Some(materialized) => stream.to_table_opt_with(materialized),
                None => stream.to_table_opt(),
            }),
            "groupByKey" => Variable::Grouped(stream.group_by_key()),
            _ => {
                let name = function(step);
                Variable::Grouped(
                    stream.group_by(move |k, v| functions::key(&name, k.as_deref(), v.as_deref())),
                )
            }
        }
    }

    fn aggregation(&self, step: &Step) -> Table {
        let grouped = match self.variables.get(step.text("in")) {
            Some(Variable::Grouped(grouped)) => grouped.clone(),
            _ => panic!("`{}` is no group", step.text("in")),
        };
        let grouped = match step.find("name") {
            Some(name) => grouped.named(name),
            None => grouped,
        };
        match step.op() {
            "count" => {
                let counts = match materialized(step) {
                    Some(materialized) => grouped.count_with(materialized),
                    None => grouped.count(),
                };
                counts.map_values(|count| count.to_string())
            }
            "reduce" => {
                let name = step.text("adder").to_owned();
                let reducer = move |a: String, v: String| functions::reduce(&name, Some(&a), Some(&v));
                match materialized(step) {
                    Some(materialized) => grouped.reduce_opt_with(reducer, materialized),
                    None => grouped.reduce_opt(reducer),
                }
            }
            _ => {
                let (init, add) = (step.text("init").to_owned(), step.text("adder").to_owned());
                let init = move || functions::init(&init);
                let add = move |k: &Text, v: Text, a: Option<String>| {
                    functions::aggregate(&add, k.as_deref(), v.as_deref(), a.as_deref())
                };
                match (materialized(step), step.find("name")) {
                    (Some(materialized), _) => grouped.aggregate_opt_with(init, add, materialized),
                    (None, Some(_)) => grouped.aggregate_opt_with(init, add, Materialized::unnamed()),
                    (None, None) => grouped.aggregate_opt(init, add),
                }
            }
        }
    }

    fn on_table(&self, step: &Step) -> Variable {
        let table = self.named_table(step);
        if step.op() == "toStream" {
            return Variable::Stream(match step.find("fn").map(str::to_owned) {
                Some(name) => table
                    .to_stream_keyed(move |k, v| functions::key(&name, k.as_deref(), v.map(String::as_str))),
                None => table.to_stream(),
            });
        }
        let (name, materialized) = (function(step), materialized(step));
        if step.op() == "tableMapValues" {
            let mapper = move |k: &Text, v: &String| {
                let key = key_for(&name, k);
                functions::map_value(&name, key, Some(v))
            };
            return Variable::Table(match materialized {
                Some(materialized) => table.map_values_opt_with(mapper, materialized),
                None => table.map_values_opt(mapper),
            });
        }
        let predicate = move |k: &Text, v: &String| functions::predicate(&name, k.as_deref(), Some(v));
        Variable::Table(match (step.op(), materialized) {
            ("tableFilter", None) => table.filter(predicate),
            ("tableFilter", Some(materialized)) => table.filter_with(predicate, materialized),
            (_, None) => table.filter_not(predicate),
            (_, Some(materialized)) => table.filter_not_with(predicate, materialized),
        })
    }

    fn table_join(&self, step: &Step) -> Stream {
        let (stream, table) = (self.stream(step, "left"), self.table(step, "right"));
        let name = step.text("joiner").to_owned();
        if step.text("kind") == "inner" {
            return stream.join_table_with_key(&table, move |k, l, r| {
                functions::join(&name, key_for(&name, k), l.as_deref(), Some(r))
            });
        }
        stream.left_join_table_with_key(&table, move |k, l, r| {
            functions::join(&name, key_for(&name, k), l.as_deref(), r.map(String::as_str))
        })
    }

    fn global_join(&self, step: &Step) -> Stream {
        let stream = self.stream(step, "left");
        let table = match self.variables.get(step.text("right")) {
            Some(Variable::Global(table)) => table,
            _ => panic!("`{}` is no global table", step.text("right")),
        };
        let (selector, name) = (function(step), step.text("joiner").to_owned());
        let selector = move |k: &Text, v: &Text| functions::key(&selector, k.as_deref(), v.as_deref());
        if step.text("kind") == "inner" {
            return stream.join_global_with_key(table, selector, move |k, l, r| {
                functions::join(&name, key_for(&name, k), l.as_deref(), Some(r))
            });
        }
        stream.left_join_global_with_key(table, selector, move |k, l, r| {
            functions::join(&name, key_for(&name, k), l.as_deref(), r.map(String::as_str))
        })
    }
}
