//! Tables: groupings, aggregations, and calls on tables. Comes in: a step. Goes out: a group, a table or a stream.

use kstreams::dsl::{CogroupedKStream, KGroupedStream, KGroupedTable, Materialized};

use super::{Calls, Table, Variable, function, key_for, materialized};
use crate::case::Step;
use crate::functions::{self, Text};
use crate::transformers::CaseTransformer;

impl Calls {
    pub(super) fn regroup(&self, step: &Step) -> Variable {
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

    pub(super) fn regroup_table(&self, step: &Step) -> Variable {
        let name = function(step);
        Variable::GroupedTable(
            self.named_table(step).group_by(move |k: &Text, v: &String| {
                (functions::key(&name, k.as_deref(), Some(v)), v.clone())
            }),
        )
    }

    pub(super) fn cogroup(&self, step: &Step) -> Variable {
        let grouped = |field| match self.variables.get(step.text(field)) {
            Some(Variable::Grouped(grouped)) => grouped.clone(),
            _ => panic!("`{}` is no group", step.text(field)),
        };
        let add = aggregator(step.text("fn"));
        Variable::Cogrouped(match (step.op(), self.variables.get(step.text("in"))) {
            ("cogroupAdd", Some(Variable::Cogrouped(cogrouped))) => {
                cogrouped.clone().cogroup_opt(grouped("group"), add)
            }
            _ => grouped("in").cogroup_opt(add),
        })
    }

    pub(super) fn aggregation(&self, step: &Step) -> Table {
        match self.variables.get(step.text("in")) {
            Some(Variable::Grouped(grouped)) => of_stream(grouped.clone(), step),
            Some(Variable::GroupedTable(grouped)) => of_table(grouped.clone(), step),
            Some(Variable::Cogrouped(cogrouped)) => of_cogroup(cogrouped.clone(), step),
            _ => panic!("`{}` is no group", step.text("in")),
        }
    }

    pub(super) fn transform_values(&self, step: &Step) -> Table {
        let table = self.named_table(step);
        let store = step.find("store").map(str::to_owned);
        let stores: Vec<&str> = step.find("store").into_iter().collect();
        let supplier = move || CaseTransformer::new(store.clone());
        match materialized(step) {
            Some(materialized) => table.transform_values_with(supplier, &stores, materialized),
            None => table.transform_values(supplier, &stores),
        }
    }

    pub(super) fn on_table(&self, step: &Step) -> Variable {
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
}

/// An adder that may be given no aggregate and may give none.
pub(super) fn aggregator<V: Into<Text>>(
    name: &str,
) -> impl Fn(&Text, V, Option<String>) -> Option<String> + Send + Sync + use<V> {
    let name = name.to_owned();
    move |k, v, a| functions::aggregate(&name, k.as_deref(), v.into().as_deref(), a.as_deref())
}

fn reducer(name: &str) -> impl Fn(String, String) -> Option<String> + Send + Sync + use<> {
    let name = name.to_owned();
    move |a, v| functions::reduce(&name, Some(&a), Some(&v))
}

pub(super) fn init(step: &Step) -> impl Fn() -> Option<String> + Send + Sync + use<> {
    let init = step.text("init").to_owned();
    move || functions::init(&init)
}

fn of_stream(mut grouped: KGroupedStream<Text, Text>, step: &Step) -> Table {
    if let Some(name) = step.find("name") {
        grouped = grouped.named(name);
    }
    match step.op() {
        "count" => {
            let counts = match materialized(step) {
                Some(materialized) => grouped.count_with(materialized),
                None => grouped.count(),
            };
            counts.map_values(|count| count.to_string())
        }
        "reduce" => match (reducer(step.text("adder")), materialized(step)) {
            (reducer, Some(materialized)) => grouped.reduce_opt_with(reducer, materialized),
            (reducer, None) => grouped.reduce_opt(reducer),
        },
        _ => {
            let (init, add) = (init(step), aggregator(step.text("adder")));
            match (materialized(step), step.find("name")) {
                (Some(materialized), _) => grouped.aggregate_opt_with(init, add, materialized),
                (None, Some(_)) => grouped.aggregate_opt_with(init, add, Materialized::unnamed()),
                (None, None) => grouped.aggregate_opt(init, add),
            }
        }
    }
}

fn of_table(mut grouped: KGroupedTable<Text, String>, step: &Step) -> Table {
    if let Some(name) = step.find("name") {
        grouped = grouped.named(name);
    }
    match step.op() {
        "count" => {
            let counts = match materialized(step) {
                Some(materialized) => grouped.count_with(materialized),
                None => grouped.count(),
            };
            counts.map_values(|count| count.to_string())
        }
        "reduce" => {
            let (add, subtract) = (reducer(step.text("adder")), reducer(step.text("subtractor")));
            match materialized(step) {
                Some(materialized) => grouped.reduce_opt_with(add, subtract, materialized),
                None => grouped.reduce_opt(add, subtract),
            }
        }
        _ => {
            let subtract = aggregator(step.text("subtractor"));
            let subtract = move |k: &Text, v: String, a: String| subtract(k, v, Some(a));
            let (init, add) = (init(step), aggregator(step.text("adder")));
            match materialized(step) {
                Some(materialized) => grouped.aggregate_opt_with(init, add, subtract, materialized),
                None => grouped.aggregate_opt(init, add, subtract),
            }
        }
    }
}

fn of_cogroup(mut cogrouped: CogroupedKStream<Text, String>, step: &Step) -> Table {
    if let Some(name) = step.find("name") {
        cogrouped = cogrouped.named(name);
    }
    match materialized(step) {
        Some(materialized) => cogrouped.aggregate_opt_with(init(step), materialized),
        None => cogrouped.aggregate_opt(init(step)),
    }
}
