//! Steps on groups and tables.

use streams_core::dsl::{KGroupedStream, KTable};

use super::super::golden::{Step, Unsupported};
use super::{Item, materialized};

pub(super) fn on_grouped(
    mut grouped: KGroupedStream<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        grouped = grouped.named(name);
    }
    let kept = materialized(step)?;
    Ok(Item::Table(match (step.op(), kept) {
        ("count", None) => grouped.count(),
        ("count", Some(kept)) => grouped.count_with(kept),
        ("reduce", None) => grouped.reduce(|one, _| one),
        ("reduce", Some(kept)) => grouped.reduce_with(|one, _| one, kept),
        ("aggregate", None) => grouped.aggregate(|| 0, |_, _, _: &mut i64| {}),
        ("aggregate", Some(kept)) => grouped.aggregate_with(|| 0, |_, _, _| {}, kept),
        _ => return step.unsupported(),
    }))
}

pub(super) fn on_grouped_rows(
    mut grouped: KGroupedStream<String, Option<i64>>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        grouped = grouped.named(name);
    }
    let kept = materialized(step)?;
    Ok(Item::Table(match (step.op(), kept) {
        ("count", None) => grouped.count(),
        ("count", Some(kept)) => grouped.count_with(kept),
        ("reduce", None) => grouped.reduce_opt(|one, _| Some(one)),
        ("reduce", Some(kept)) => grouped.reduce_opt_with(|one, _| Some(one), kept),
        ("aggregate", None) => grouped.aggregate(|| 0, |_, _, _: &mut i64| {}),
        ("aggregate", Some(kept)) => grouped.aggregate_with(|| 0, |_, _, _| {}, kept),
        _ => return step.unsupported(),
    }))
}

pub(super) fn on_table(mut table: KTable<String, i64>, step: Step<'_>) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        table = table.named(name);
    }
    let kept = materialized(step)?;
    Ok(match (step.op(), kept) {
        ("filter", None) => Item::Table(table.filter(|_, _| true)),
        ("filter", Some(kept)) => Item::Table(table.filter_with(|_, _| true, kept)),
        ("filterNot", None) => Item::Table(table.filter_not(|_, _| true)),
        ("filterNot", Some(kept)) => Item::Table(table.filter_not_with(|_, _| true, kept)),
        ("mapValues", None) => Item::Table(table.map_values(|value| *value)),
        ("mapValues", Some(kept)) => Item::Table(table.map_values_with(|value| *value, kept)),
        ("toStream", _) if step.has("rekey") => Item::Rows(table.to_stream_keyed(|key, _| key.clone())),
        ("toStream", _) => Item::Rows(table.to_stream()),
        _ => return Err(Unsupported(format!("{} of a table", step.op()))),
    })
}
