//! Joins of streams with tables, local and global.

use streams_core::dsl::{GlobalKTable, Joined, KStream, KTable};

use super::super::program::{Step, Unsupported};
use super::{Item, Values, named};

pub(super) fn join<V: Values>(
    stream: KStream<String, V>,
    table: &KTable<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    let joined = match step.has("grace") {
        true => Joined::new().grace(step.millis("grace")),
        false => Joined::new(),
    };
    let stream = named(stream, step.text("joined").or(step.text("named")));
    Ok(V::stream(match step.op() {
        "join" => stream.join_table_with(table, |_, value, _| value, joined),
        "leftJoin" => stream.left_join_table_with(table, |_, value, _| value, joined),
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
