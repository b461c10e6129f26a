//! Joins of two streams. Comes in: a step. Goes out: a stream.

use std::time::Duration;

use kstreams::dsl::{JoinWindows, StreamJoined};

use super::{Calls, Stream, key_for};
use crate::case::Step;
use crate::functions::{self, Text};

fn millis(step: &Step, field: &str) -> Option<Duration> {
    step.number(field).map(|number| Duration::from_millis(number.unsigned_abs()))
}

fn negative(step: &Step, field: &str) -> bool {
    step.number(field).is_some_and(|number| number < 0)
}

fn windows(step: &Step) -> JoinWindows {
    let difference = millis(step, "diff").unwrap_or_default();
    let mut windows = match millis(step, "grace") {
        Some(grace) => JoinWindows::of_time_difference_and_grace(difference, grace),
        None => JoinWindows::of_time_difference_with_no_grace(difference),
    };
    if let Some(before) = millis(step, "before") {
        windows =
            if negative(step, "before") { windows.starts_after(before) } else { windows.before(before) };
    }
    if let Some(after) = millis(step, "after") {
        windows = if negative(step, "after") { windows.ends_before(after) } else { windows.after(after) };
    }
    windows
}

fn joined(step: &Step) -> StreamJoined<Text, Text, Text> {
    let mut joined = StreamJoined::new();
    if let Some(store) = step.find("store") {
        joined = joined.store_name(store);
    }
    match step.find("type") {
        Some("inmemory") => joined = joined.in_memory(),
        Some(_) => joined = joined.persistent(),
        None => {}
    }
    match step.flag("logging") {
        Some(logging) => joined.logging(logging),
        None => joined,
    }
}

impl Calls {
    pub(super) fn stream_join(&self, step: &Step) -> Stream {
        let (left, right) = (self.stream(step, "left"), self.stream(step, "right"));
        let windows = windows(&step.part("window").unwrap_or_else(|| panic!("a join without a window")));
        let name = step.text("joiner").to_owned();
        let text = move |k: &Text, l: Option<&Text>, r: Option<&Text>| {
            let value = |side: Option<&Text>| side.and_then(|value| value.clone());
            functions::join(&name, key_for(&name, k), value(l).as_deref(), value(r).as_deref())
        };
        let joined = joined(step);
        match step.text("kind") {
            "inner" => {
                left.join_stream_with(right, windows, move |k, l, r| text(k, Some(l), Some(r)), joined)
            }
            "left" => left.left_join_stream_with(right, windows, move |k, l, r| text(k, Some(l), r), joined),
            _ => left.outer_join_stream_with(right, windows, text, joined),
        }
    }
}
