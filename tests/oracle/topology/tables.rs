//! Tables: groupings, aggregations, and calls on tables. Comes in: a step. Goes out: a group, a table or a stream.

use kstreams::dsl::Materialized;

use super::{Calls, Table, Variable, function, key_for, materialized};
use crate::case::Step;
use crate::functions::{self, Text};

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

    pub(super) fn aggregation(&self, step: &Step) -> Table {
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
