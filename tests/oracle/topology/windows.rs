//! Windows: windowed groups, their aggregations, calls on windowed tables, suppress. Comes in: a step. Goes out: a windowed
//! group, a table or a stream.

use std::time::Duration;

use kstreams::dsl::{
    BufferConfig, CogroupedKStream, EmitEarly, EmitStrategy, KGroupedStream, KTable,
    SessionWindowedCogroupedKStream, SessionWindowedKStream, SessionWindows, SlidingWindows, Strict,
    Suppressed, TimeWindowedCogroupedKStream, TimeWindowedKStream, TimeWindows, UnlimitedWindows,
};
use kstreams::types::Windowed;

use super::tables::{aggregator, init};
use super::{Calls, Variable, function, key_for, materialized};
use crate::case::Step;
use crate::functions::{self, Text};

/// A windowed table.
pub(super) type WindowedTable = KTable<Windowed<Text>, String>;

/// A group with windows.
#[derive(Clone)]
pub(super) enum WindowedGroup {
    Time(TimeWindowedKStream<Text, Text>),
    Session(SessionWindowedKStream<Text, Text>),
    TimeCogroup(TimeWindowedCogroupedKStream<Text, String>),
    SessionCogroup(SessionWindowedCogroupedKStream<Text, String>),
}

/// A windowed key as the cases write it.
fn text(windowed: &Windowed<Text>) -> String {
    let key = windowed.key.as_deref().unwrap_or("null");
    format!("{key}@{}-{}", windowed.window.start, windowed.window.end)
}

fn millis(step: &Step, field: &str) -> Duration {
    Duration::from_millis(step.number(field).unwrap_or(0).unsigned_abs())
}

fn time_windows(window: &Step) -> TimeWindows {
    let size = millis(window, "size");
    let windows = match window.number("grace") {
        Some(_) => TimeWindows::of_size_and_grace(size, millis(window, "grace")),
        None => TimeWindows::of_size_with_no_grace(size),
    };
    match window.number("advance") {
        Some(_) => windows.advance_by(millis(window, "advance")),
        None => windows,
    }
}

fn sliding_windows(window: &Step) -> SlidingWindows {
    let size = millis(window, "size");
    match window.number("grace") {
        Some(_) => SlidingWindows::of_time_difference_and_grace(size, millis(window, "grace")),
        None => SlidingWindows::of_time_difference_with_no_grace(size),
    }
}

fn session_windows(window: &Step) -> SessionWindows {
    let size = millis(window, "size");
    match window.number("grace") {
        Some(_) => SessionWindows::of_inactivity_gap_and_grace(size, millis(window, "grace")),
        None => SessionWindows::of_inactivity_gap_with_no_grace(size),
    }
}

fn unlimited_windows(window: &Step) -> UnlimitedWindows {
    UnlimitedWindows::new().start_on_ms(window.number("start").unwrap_or(0))
}

impl Calls {
    pub(super) fn windowed_by(&self, step: &Step) -> Variable {
        let window = step.part("window").expect("windowedBy has a window");
        let emit = step.find("emit").map(|emit| match emit {
            "close" => EmitStrategy::OnWindowClose,
            _ => EmitStrategy::OnWindowUpdate,
        });
        let windowed = match self.variables.get(step.text("in")) {
            Some(Variable::Grouped(grouped)) => windowed(grouped.clone(), &window),
            Some(Variable::Cogrouped(cogrouped)) => windowed_cogroup(cogrouped.clone(), &window),
            _ => panic!("`{}` is no group", step.text("in")),
        };
        Variable::WindowedGroup(match (windowed, emit) {
            (WindowedGroup::Time(windowed), Some(emit)) => WindowedGroup::Time(windowed.emit_strategy(emit)),
            (WindowedGroup::Session(windowed), Some(emit)) => {
                WindowedGroup::Session(windowed.emit_strategy(emit))
            }
            (windowed, _) => windowed,
        })
    }

    pub(super) fn suppress(&self, step: &Step) -> Variable {
        let buffer = step.part("buffer").expect("suppress has a buffer");
        let closes = step.text("until") == "windowCloses";
        match self.variables.get(step.text("in")) {
            Some(Variable::WindowedTable(table)) => {
                let suppressed = match closes {
                    true => Suppressed::until_window_closes(strict(&buffer)),
                    false => until_limit(step, &buffer),
                };
                let table = table.clone();
                Variable::WindowedTable(match step.find("name") {
                    Some(name) => table.named(name).suppress(suppressed),
                    None => table.suppress(suppressed),
                })
            }
            Some(Variable::Table(_)) => {
                Variable::Table(self.named_table(step).suppress(until_limit(step, &buffer)))
            }
            _ => panic!("`{}` is no table", step.text("in")),
        }
    }
}

fn windowed(grouped: KGroupedStream<Text, Text>, window: &Step) -> WindowedGroup {
    match window.text("type") {
        "time" => WindowedGroup::Time(grouped.windowed_by(time_windows(window))),
        "sliding" => WindowedGroup::Time(grouped.windowed_by(sliding_windows(window))),
        "unlimited" => WindowedGroup::Time(grouped.windowed_by(unlimited_windows(window))),
        "session" => WindowedGroup::Session(grouped.windowed_by(session_windows(window))),
        other => panic!("unknown windows `{other}`"),
    }
}

fn windowed_cogroup(grouped: CogroupedKStream<Text, String>, window: &Step) -> WindowedGroup {
    match window.text("type") {
        "time" => WindowedGroup::TimeCogroup(grouped.windowed_by(time_windows(window))),
        "sliding" => WindowedGroup::TimeCogroup(grouped.windowed_by(sliding_windows(window))),
        "unlimited" => WindowedGroup::TimeCogroup(grouped.windowed_by(unlimited_windows(window))),
        "session" => WindowedGroup::SessionCogroup(grouped.windowed_by(session_windows(window))),
        other => panic!("unknown windows `{other}`"),
    }
}

/// count, reduce and aggregate of a windowed group.
pub(super) fn aggregation(step: &Step, group: WindowedGroup) -> WindowedTable {
    match group {
        WindowedGroup::Time(group) => time_aggregation(step, group),
        WindowedGroup::Session(group) => session_aggregation(step, group),
        WindowedGroup::TimeCogroup(mut group) => {
            if let Some(name) = step.find("name") {
                group = group.named(name);
            }
            match materialized(step) {
                Some(materialized) => group.aggregate_opt_with(init(step), materialized),
                None => group.aggregate_opt(init(step)),
            }
        }
        WindowedGroup::SessionCogroup(mut group) => {
            if let Some(name) = step.find("name") {
                group = group.named(name);
            }
            match materialized(step) {
                Some(materialized) => group.aggregate_opt_with(init(step), merger(step), materialized),
                None => group.aggregate_opt(init(step), merger(step)),
            }
        }
    }
}

/// Calls on a windowed table.
pub(super) fn on_table(step: &Step, table: WindowedTable) -> Variable {
    let table = match step.find("name") {
        Some(name) => table.named(name),
        None => table,
    };
    if step.op() == "toStream" {
        return Variable::Stream(match step.find("fn").map(str::to_owned) {
            Some(name) => table
                .to_stream_keyed(move |k, v| functions::key(&name, Some(&text(k)), v.map(String::as_str))),
            None => table.to_stream_keyed(|k, _| Some(text(k))),
        });
    }
    let name = function(step);
    let materialized = materialized(step);
    if step.op() == "tableMapValues" {
        let mapper = move |k: &Windowed<Text>, v: &String| {
            let key = Some(text(k));
            functions::map_value(&name, key_for(&name, &key), Some(v))
        };
        return Variable::WindowedTable(match materialized {
            Some(materialized) => table.map_values_opt_with(mapper, materialized),
            None => table.map_values_opt(mapper),
        });
    }
    let predicate =
        move |k: &Windowed<Text>, v: &String| functions::predicate(&name, Some(&text(k)), Some(v));
    Variable::WindowedTable(match (step.op(), materialized) {
        ("tableFilter", None) => table.filter(predicate),
        ("tableFilter", Some(materialized)) => table.filter_with(predicate, materialized),
        (_, None) => table.filter_not(predicate),
        (_, Some(materialized)) => table.filter_not_with(predicate, materialized),
    })
}

fn limited(buffer: &Step) -> BufferConfig<EmitEarly> {
    let limit = |field| buffer.number(field).map(i64::unsigned_abs);
    let config = match (limit("maxRecords"), limit("maxBytes")) {
        (Some(records), None) => BufferConfig::max_records(records),
        (Some(records), Some(bytes)) => BufferConfig::max_records(records).with_max_bytes(bytes),
        (None, Some(bytes)) => BufferConfig::max_bytes(bytes),
        (None, None) => BufferConfig::unbounded().emit_early_when_full(),
    };
    match buffer.flag("logging") {
        Some(logging) => config.logging(logging),
        None => config,
    }
}

fn strict(buffer: &Step) -> BufferConfig<Strict> {
    limited(buffer).shut_down_when_full()
}

fn until_limit<K>(step: &Step, buffer: &Step) -> Suppressed<K> {
    let limit = millis(step, "limit");
    match buffer.find("full") {
        Some("emitEarly") => Suppressed::until_time_limit(limit, limited(buffer)),
        _ => Suppressed::until_time_limit(limit, strict(buffer)),
    }
}

fn time_aggregation(step: &Step, group: TimeWindowedKStream<Text, Text>) -> WindowedTable {
    let group = match step.find("name") {
        Some(name) => group.named(name),
        None => group,
    };
    match step.op() {
        "count" => {
            let counts = match materialized(step) {
                Some(materialized) => group.count_with(materialized),
                None => group.count(),
            };
            counts.map_values(|count| count.to_string())
        }
        "reduce" => {
            let name = step.text("adder").to_owned();
            let reducer = move |a: String, v: Text| functions::reduce(&name, Some(&a), v.as_deref());
            match materialized(step) {
                Some(materialized) => group.reduce_opt_with(reducer, materialized),
                None => group.reduce_opt(reducer),
            }
        }
        _ => {
            let (init, add) = (init(step), aggregator(step.text("adder")));
            match materialized(step) {
                Some(materialized) => group.aggregate_opt_with(init, add, materialized),
                None => group.aggregate_opt(init, add),
            }
        }
    }
}

fn session_aggregation(step: &Step, group: SessionWindowedKStream<Text, Text>) -> WindowedTable {
    let group = match step.find("name") {
        Some(name) => group.named(name),
        None => group,
    };
    match step.op() {
        "count" => {
            let counts = match materialized(step) {
                Some(materialized) => group.count_with(materialized),
                None => group.count(),
            };
            counts.map_values(|count| count.to_string())
        }
        "reduce" => {
            let name = step.text("adder").to_owned();
            let reducer = move |a: String, v: Text| functions::reduce(&name, Some(&a), v.as_deref());
            match materialized(step) {
                Some(materialized) => group.reduce_opt_with(reducer, materialized),
                None => group.reduce_opt(reducer),
            }
        }
        _ => {
            let (init, add, merge) = (init(step), aggregator(step.text("adder")), merger(step));
            match materialized(step) {
                Some(materialized) => group.aggregate_opt_with(init, add, merge, materialized),
                None => group.aggregate_opt(init, add, merge),
            }
        }
    }
}

/// Session merger of a step.
fn merger(step: &Step) -> impl Fn(&Text, Option<String>, String) -> Text + Send + Sync + 'static {
    let name = step.text("merger").to_owned();
    move |k: &Text, a: Option<String>, b: String| {
        functions::merge(&name, k.as_deref(), a.as_deref(), Some(&b))
    }
}
