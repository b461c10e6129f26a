//! Joins of tables. Comes in: a step. Goes out: a table.

use super::{Calls, Table, materialized};
use crate::case::Step;
use crate::functions;

impl Calls {
    /// By primary key.
    pub(super) fn join_tables(&self, step: &Step) -> Table {
        let (mut left, right) = (self.table(step, "left"), self.table(step, "right"));
        if let Some(name) = step.find("name") {
            left = left.named(name);
        }
        let name = step.text("joiner").to_owned();
        let join = move |l: Option<&String>, r: Option<&String>| {
            functions::join(&name, None, l.map(String::as_str), r.map(String::as_str))
        };
        match (step.text("kind"), materialized(step)) {
            ("inner", None) => left.join_opt(&right, move |_, l, r| join(Some(l), Some(r))),
            ("inner", Some(kept)) => left.join_opt_with(&right, move |_, l, r| join(Some(l), Some(r)), kept),
            ("left", None) => left.left_join_opt(&right, move |_, l, r| join(Some(l), r)),
            ("left", Some(kept)) => left.left_join_opt_with(&right, move |_, l, r| join(Some(l), r), kept),
            (_, None) => left.outer_join_opt(&right, move |_, l, r| join(l, r)),
            (_, Some(kept)) => left.outer_join_opt_with(&right, move |_, l, r| join(l, r), kept),
        }
    }
}
