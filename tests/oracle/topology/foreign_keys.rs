//! Foreign-key joins of tables. Comes in: a step. Goes out: a table.

use kstreams::dsl::{Materialized, TableJoined};

use super::{Calls, Table, function, materialized};
use crate::case::Step;
use crate::functions::{self, Text};

impl Calls {
    pub(super) fn foreign_key_join(&self, step: &Step) -> Table {
        let (table, other) = (self.table(step, "left"), self.table(step, "right"));
        let table = match step.find("name") {
            Some(name) => table.named(name),
            None => table,
        };
        let (extractor, joiner) = (function(step), step.text("joiner").to_owned());
        let foreign_key = move |k: &Text, v: &String| -> Text {
            let key = k.as_deref().filter(|_| extractor.starts_with('k'));
            functions::key(&extractor, key, Some(v))
        };
        let materialized = materialized(step).unwrap_or_else(Materialized::unnamed);
        if step.text("kind") == "inner" {
            let join = move |l: &String, r: &String| functions::join(&joiner, None, Some(l), Some(r));
            return table.join_foreign_key_with(
                &other,
                foreign_key_of(foreign_key),
                join,
                TableJoined::new(),
                materialized,
            );
        }
        let join = move |l: &String, r: Option<&String>| {
            functions::join(&joiner, None, Some(l), r.map(String::as_str))
        };
        table.left_join_foreign_key_with(
            &other,
            foreign_key_of(foreign_key),
            join,
            TableJoined::new(),
            materialized,
        )
    }
}

/// The key of the other table, which may be null by itself.
fn foreign_key_of(
    extractor: impl Fn(&Text, &String) -> Text + Send + Sync + 'static,
) -> impl Fn(&Text, &String) -> Option<Text> + Send + Sync + 'static {
    move |key, value| Some(extractor(key, value))
}
