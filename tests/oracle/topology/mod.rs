//! A case's steps as calls of our DSL. Comes in: steps. Goes out: a topology, or what the DSL lacks, or why it refused.
//! Streams are `Text` by `Text`; tables hold `String` rows by `Text` keys, as a null row is a missing row.

// Foreign-key joins of tables.
mod foreign_keys;
// Joins of a stream with a table.
mod lookups;
// Hopping windows in panes.
mod panes;
// Joins of two streams.
mod stream_joins;
// Calls on streams.
mod streams;
// Joins of tables.
mod table_joins;
// Calls on tables.
mod tables;
// Windows, and calls on windowed tables.
mod windows;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kstreams::dsl::{
    CogroupedKStream, Consumed, Data, GlobalKTable, KGroupedStream, KGroupedTable, KStream, KTable,
    Materialized, StoreBuilder, Stores, StreamsBuilder, TopologyConfig,
};
use kstreams::topic::{Store, Topic};
use kstreams::topology::{Topology, TopologyError};
use serde_json::{Value, json};

use crate::case::{Config, Step};
use crate::functions::Text;

use self::windows::{WindowedGroup, WindowedTable};

pub(crate) use self::panes::in_panes;

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
    WindowedGroup(WindowedGroup),
    WindowedTable(WindowedTable),
    GroupedTable(KGroupedTable<Text, String>),
    Cogrouped(CogroupedKStream<Text, String>),
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
        "windowedBy",
        "suppress",
        "tableGroupBy",
        "tableTransformValues",
        "tableTableJoin",
        "cogroup",
        "cogroupAdd",
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
        "streamStreamJoin",
        "streamGlobalJoin",
        "foreignKeyJoin",
    ];
    let mut found = BTreeSet::new();
    for step in steps {
        let op = step.op();
        if !OPERATORS.contains(&op) {
            found.insert(op.to_owned());
        }
    }
    found.into_iter().collect()
}

/// Builds the topology of `steps`, all of which must be supported; with the results `panes` in panes.
pub(crate) fn build(
    config: &Config,
    steps: &[Step],
    seen: &Seen,
    panes: BTreeSet<String>,
) -> Result<Topology, TopologyError> {
    let mut options = TopologyConfig::optimized(&config.optimization).map_err(TopologyError::new)?;
    options.ensure_explicit_naming = config.explicit_naming;
    options.dsl_stores_in_memory = config.store_suppliers == "inmemory";
    let (builder, variables, seen) = (StreamsBuilder::new(), HashMap::new(), seen.clone());
    let mut calls = Calls { builder, variables, seen, panes };
    steps.iter().for_each(|step| calls.step(step));
    calls.builder.build_with(options)
}

/// The calls made so far.
struct Calls {
    builder: StreamsBuilder,
    variables: HashMap<String, Variable>,
    seen: Seen,
    panes: BTreeSet<String>,
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

fn materialized<K: 'static, V: Data + Clone>(step: &Step) -> Option<Materialized<K, V>> {
    let options = step.part("mat")?;
    let mut materialized = match options.find("store") {
        Some(store) => Materialized::named(store),
        None => Materialized::unnamed(),
    };
    if let Some(retention) = options.number("retention") {
        materialized = materialized.retention(Duration::from_millis(retention.unsigned_abs()));
    }
    if let Some(history) = options.number("history") {
        materialized = materialized.versioned(Duration::from_millis(history.unsigned_abs()));
    }
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
            "windowedBy" => Some(self.windowed_by(step)),
            "count" | "reduce" | "aggregate" => Some(match self.variables.get(step.text("in")) {
                Some(Variable::WindowedGroup(WindowedGroup::Time(group)))
                    if step.find("out").is_some_and(|out| self.panes.contains(out)) =>
                {
                    Variable::WindowedTable(panes::aggregation(step, group.clone()))
                }
                Some(Variable::WindowedGroup(group)) => {
                    Variable::WindowedTable(windows::aggregation(step, group.clone()))
                }
                _ => Variable::Table(self.aggregation(step)),
            }),
            "tableFilter" | "tableFilterNot" | "tableMapValues" | "toStream" => {
                Some(match self.variables.get(step.text("in")) {
                    Some(Variable::WindowedTable(table)) => windows::on_table(step, table.clone()),
                    _ => self.on_table(step),
                })
            }
            "suppress" => Some(self.suppress(step)),
            "tableGroupBy" => Some(self.regroup_table(step)),
            "cogroup" | "cogroupAdd" => Some(self.cogroup(step)),
            "tableTransformValues" => Some(Variable::Table(self.transform_values(step))),
            "tableTableJoin" => Some(self.join_tables(step)),
            "foreignKeyJoin" => Some(Variable::Table(self.foreign_key_join(step))),
            "streamTableJoin" => Some(Variable::Stream(self.table_join(step))),
            "streamStreamJoin" => Some(Variable::Stream(self.stream_join(step))),
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
}
