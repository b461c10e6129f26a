//! Joins of tables, windowed or not. Comes in: a step. Goes out: a table.

use kstreams::dsl::KTable;

use super::{Calls, Variable, materialized};
use crate::case::Step;
use crate::functions;

impl Calls {
    /// By primary key.
    pub(super) fn join_tables(&self, step: &Step) -> Variable {
        let side = |field| self.variables.get(step.text(field));
        match (side("left"), side("right")) {
            (Some(Variable::Table(left)), Some(Variable::Table(right))) => {
                Variable::Table(join(step, left.clone(), right))
            }
            (Some(Variable::WindowedTable(left)), Some(Variable::WindowedTable(right))) => {
                Variable::WindowedTable(join(step, left.clone(), right))
            }
            _ => panic!("`{}` and `{}` are no tables of one kind", step.text("left"), step.text("right")),
        }
    }
}

fn join<K: Clone + 'static>(
    step: &Step,
    mut left: KTable<K, String>,
    right: &KTable<K, String>,
) -> KTable<K, String> {
    if let Some(name) = step.find("name") {
        left = left.named(name);
    }
    let name = step.text("joiner").to_owned();
    let join = move |l: Option<&String>, r: Option<&String>| {
        functions::join(&name, None, l.map(String::as_str), r.map(String::as_str))
    };
    match (step.text("kind"), materialized(step)) {
        ("inner", None) => left.join_opt(right, move |_, l, r| join(Some(l), Some(r))),
        ("inner", Some(kept)) => left.join_opt_with(right, move |_, l, r| join(Some(l), Some(r)), kept),
        ("left", None) => left.left_join_opt(right, move |_, l, r| join(Some(l), r)),
        ("left", Some(kept)) => left.left_join_opt_with(right, move |_, l, r| join(Some(l), r), kept),
        (_, None) => left.outer_join_opt(right, move |_, l, r| join(l, r)),
        (_, Some(kept)) => left.outer_join_opt_with(right, move |_, l, r| join(l, r), kept),
    }
}
