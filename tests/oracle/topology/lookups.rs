//! Joins of a stream with a table, local or global. Comes in: a step. Goes out: a stream.

use std::time::Duration;

use kstreams::dsl::Joined;

use super::{Calls, Stream, Variable, function, key_for};
use crate::case::Step;
use crate::functions::{self, Text};

impl Calls {
    pub(super) fn table_join(&self, step: &Step) -> Stream {
        let (stream, table) = (self.stream(step, "left"), self.table(step, "right"));
        let name = step.text("joiner").to_owned();
        let joined = match step.number("grace") {
            Some(grace) => Joined::new().grace(Duration::from_millis(grace.unsigned_abs())),
            None => Joined::new(),
        };
        if step.text("kind") == "inner" {
            let joiner = move |k: &Text, l: Text, r: &String| {
                functions::join(&name, key_for(&name, k), l.as_deref(), Some(r))
            };
            return stream.join_table_with(&table, joiner, joined);
        }
        let joiner = move |k: &Text, l: Text, r: Option<&String>| {
            functions::join(&name, key_for(&name, k), l.as_deref(), r.map(String::as_str))
        };
        stream.left_join_table_with(&table, joiner, joined)
    }

    pub(super) fn global_join(&self, step: &Step) -> Stream {
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
