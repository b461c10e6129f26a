//! Joins of tables.

use streams_core::dsl::KTable;

use super::super::program::{Step, Unsupported};
use super::{Item, materialized};

pub(super) fn join_tables(
    mut one: KTable<String, i64>,
    two: &KTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    step.without(&["fk"])?;
    if let Some(name) = step.text("joined").or(step.text("named")) {
        one = one.named(name);
    }
    Ok(Item::Table(match (step.op(), materialized(step)?) {
        ("join", None) => one.join(two, |value, _| *value),
        ("join", Some(kept)) => one.join_with(two, |value, _| *value, kept),
        ("leftJoin", None) => one.left_join(two, |value, _| *value),
        ("leftJoin", Some(kept)) => one.left_join_with(two, |value, _| *value, kept),
        ("outerJoin", None) => one.outer_join(two, |_, _| 0),
        ("outerJoin", Some(kept)) => one.outer_join_with(two, |_, _| 0, kept),
        _ => return step.unsupported(),
    }))
}
