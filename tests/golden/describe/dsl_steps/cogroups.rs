//! Cogrouped streams.

use streams_core::dsl::CogroupedKStream;

use super::super::program::{Step, Unsupported};
use super::{Item, materialized};

pub(super) fn cogroup(step: Step<'_>, groups: &[&Item]) -> Result<Item, Unsupported> {
    let mut cogrouped: Option<CogroupedKStream<String, i64>> = None;
    for group in groups {
        cogrouped = Some(match (group, cogrouped) {
            (Item::Grouped(group), None) => group.clone().cogroup(|_, _, _| {}),
            (Item::GroupedRows(group), None) => group.clone().cogroup(|_, _, _| {}),
            (Item::Grouped(group), Some(first)) => first.cogroup(group.clone(), |_, _, _| {}),
            (Item::GroupedRows(group), Some(first)) => first.cogroup(group.clone(), |_, _, _| {}),
            _ => return step.unsupported(),
        });
    }
    cogrouped.map(Item::Cogrouped).ok_or_else(|| Unsupported("cogroup of nothing".to_owned()))
}

pub(super) fn on_cogrouped(
    mut cogrouped: CogroupedKStream<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        cogrouped = cogrouped.named(name);
    }
    Ok(Item::Table(match (step.op(), materialized(step)?) {
        ("aggregate", None) => cogrouped.aggregate(|| 0),
        ("aggregate", Some(kept)) => cogrouped.aggregate_with(|| 0, kept),
        _ => return step.unsupported(),
    }))
}
