//! Joins of streams with tables, local and global.

use streams_core::dsl::{GlobalKTable, KStream, KTable};

use super::super::golden::{Step, Unsupported};
use super::{Item, Values, named};

pub(super) fn join<V: Values>(
    stream: KStream<String, V>,
    table: &KTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    step.without(&["grace"])?;
    let stream = named(stream, step.text("joined").or(step.text("named")));
    Ok(V::stream(match step.op() {
        "join" => stream.join_table(table, |value, _| value),
        "leftJoin" => stream.left_join_table(table, |value, _| value),
        _ => return step.unsupported(),
    }))
}

pub(super) fn join_global<V: Values>(
    stream: KStream<String, V>,
    table: &GlobalKTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    let stream = named(stream, step.text("named"));
    Ok(V::stream(match step.op() {
        "join" => stream.join_global(table, |key, _| key.clone(), |value, _| value),
        "leftJoin" => stream.left_join_global(table, |key, _| key.clone(), |value, _| value),
        _ => return step.unsupported(),
    }))
}
