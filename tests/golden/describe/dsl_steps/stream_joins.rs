//! Joins of two streams. Comes in: a step and both streams. Goes out: the stream of pairs.

use std::time::Duration;

use streams_core::dsl::{JoinWindows, KStream, StreamJoined, WindowStoreSupplier};

use super::super::program::{Step, Unsupported, window_retention};
use super::{Item, Values, named};

fn millis(step: Step<'_>, field: &str) -> Option<Duration> {
    step.number(field).map(|number| Duration::from_millis(number.unsigned_abs()))
}

fn windows(step: Step<'_>) -> JoinWindows {
    let difference = millis(step, "diff").unwrap_or_default();
    let mut windows = match (step.has("legacy"), millis(step, "grace")) {
        (true, _) => JoinWindows::of(difference),
        (false, Some(grace)) => JoinWindows::of_time_difference_and_grace(difference, grace),
        (false, None) => JoinWindows::of_time_difference_with_no_grace(difference),
    };
    if let Some(before) = millis(step, "before") {
        windows = windows.before(before);
    }
    if let Some(after) = millis(step, "after") {
        windows = windows.after(after);
    }
    windows
}

fn supplier(name: &str, step: Step<'_>) -> WindowStoreSupplier {
    WindowStoreSupplier::new(name, window_retention(step).retain_duplicates())
}

fn joined<V1: Values, V2: Values>(step: Step<'_>) -> StreamJoined<String, V1, V2> {
    let mut joined = StreamJoined::new();
    if let Some(name) = step.text("storename") {
        joined = joined.store_name(name);
    }
    if let Some(name) = step.text("thisstore") {
        joined = joined.this_store_supplier(supplier(name, step));
    }
    if let Some(name) = step.text("otherstore") {
        joined = joined.other_store_supplier(supplier(name, step));
    }
    match step.text("storetype") {
        Some("in_memory") => joined = joined.in_memory(),
        Some(_) => joined = joined.persistent(),
        None => {}
    }
    for (key, value) in step.entries("cfg") {
        joined = joined.changelog_config(key, value);
    }
    joined.logging(step.text("logging") != Some("off"))
}

pub(super) fn stream_join<V1: Values, V2: Values>(
    left: KStream<String, V1>,
    right: KStream<String, V2>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    let left = named(left, step.text("joined").or(step.text("named")));
    let (windows, joined) = (windows(step), joined(step));
    Ok(V1::stream(match step.op() {
        "join" => left.join_stream_with(right, windows, |_, left, _| left.clone(), joined),
        "leftJoin" => left.left_join_stream_with(right, windows, |_, left, _| left.clone(), joined),
        "outerJoin" => {
            let value = |_: &String, left: Option<&V1>, _: Option<&V2>| left.cloned().unwrap_or_default();
            left.outer_join_stream_with(right, windows, value, joined)
        }
        _ => return step.unsupported(),
    }))
}
