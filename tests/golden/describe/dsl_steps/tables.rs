//! Steps on groups and tables.

use streams_core::dsl::{
    KGroupedStream, KGroupedTable, KTable, Materialized, TableJoined, ValueTransformerWithKey,
};
use streams_core::error::BoxError;
use streams_core::processor::ProcessingContext;

use super::super::program::{Step, Unsupported};
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

pub(super) fn on_grouped_table(
    mut grouped: KGroupedTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        grouped = grouped.named(name);
    }
    let kept = materialized(step)?;
    Ok(Item::Table(match (step.op(), kept) {
        ("count", None) => grouped.count(),
        ("count", Some(kept)) => grouped.count_with(kept),
        ("reduce", None) => grouped.reduce(|one, _| one, |one, _| one),
        ("reduce", Some(kept)) => grouped.reduce_with(|one, _| one, |one, _| one, kept),
        ("aggregate", None) => grouped.aggregate(|| 0, |_, _, _: &mut i64| {}, |_, _, _| {}),
        ("aggregate", Some(kept)) => grouped.aggregate_with(|| 0, |_, _, _| {}, |_, _, _| {}, kept),
        _ => return step.unsupported(),
    }))
}

/// Keeps the value.
struct Keep;

impl ValueTransformerWithKey<String, i64, i64> for Keep {
    fn transform(
        &mut self,
        _context: &mut ProcessingContext<'_>,
        _key: &String,
        value: Option<&i64>,
    ) -> Result<Option<i64>, BoxError> {
        Ok(value.copied())
    }
}

pub(super) fn on_table(mut table: KTable<String, i64>, step: Step<'_>) -> Result<Item, Unsupported> {
    if step.op() == "groupBy" {
        let table = match step.text("grouped") {
            Some(name) => table.named(name),
            None => table,
        };
        return Ok(Item::GroupedTable(table.group_by(|key, value| (key.clone(), *value))));
    }
    if let Some(name) = step.text("named") {
        table = table.named(name);
    }
    let kept = materialized(step)?;
    Ok(match (step.op(), kept) {
        // Kafka Streams ignores the stores that a supplier of transformers brings.
        ("transformValues", None) => Item::Table(table.transform_values(|| Keep, &step.list("stores"))),
        ("transformValues", Some(kept)) => {
            Item::Table(table.transform_values_with(|| Keep, &step.list("stores"), kept))
        }
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

pub(super) fn foreign_key_join(
    mut table: KTable<String, i64>,
    other: &KTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("joined") {
        table = table.named(name);
    }
    let foreign_key = |key: &String, _: &i64| key.clone();
    let kept = materialized(step)?.unwrap_or_else(Materialized::unnamed);
    Ok(Item::Table(match step.op() {
        "join" => table.join_foreign_key_with(other, foreign_key, |l, _| *l, TableJoined::new(), kept),
        "leftJoin" => {
            table.left_join_foreign_key_with(other, foreign_key, |l, _| *l, TableJoined::new(), kept)
        }
        _ => return step.unsupported(),
    }))
}
