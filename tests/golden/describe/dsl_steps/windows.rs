//! Windowed groups, windowed tables, and suppress.

use streams_core::dsl::{
    BufferConfig, CogroupedKStream, EmitStrategy, KGroupedStream, KStream, KTable,
    SessionWindowedCogroupedKStream, SessionWindowedKStream, SessionWindows, SlidingWindows, Suppressed,
    TimeWindowedCogroupedKStream, TimeWindowedKStream, TimeWindows, UnlimitedWindows,
};
use streams_core::serdes::{Auto, TimeWindowedSerde};
use streams_core::topic::Topic;
use streams_core::types::Windowed;

use super::super::program::{Step, Unsupported};
use super::{Item, Values, materialized};

/// A group with windows.
pub(super) enum Group<V> {
    Time(TimeWindowedKStream<String, V>),
    Session(SessionWindowedKStream<String, V>),
}

/// Cogrouped streams with windows.
pub(super) enum Cogroup {
    Time(TimeWindowedCogroupedKStream<String, i64>),
    Session(SessionWindowedCogroupedKStream<String, i64>),
}

/// A windowed table.
pub(super) type WindowedTable = KTable<Windowed<String>, i64>;

/// Rows of a windowed table.
pub(super) type WindowedRows = KStream<Windowed<String>, Option<i64>>;

/// The windows of a step.
enum Kind {
    Time(TimeWindows),
    Sliding(SlidingWindows),
    Unlimited,
    Session(SessionWindows),
}

fn kind(step: Step<'_>) -> Result<Kind, Unsupported> {
    let grace = || if step.has("grace") { step.millis("grace") } else { Default::default() };
    Ok(match step.must("kind") {
        "time" => {
            let windows = TimeWindows::of_size_and_grace(step.millis("size"), grace());
            Kind::Time(match step.has("advance") {
                true => windows.advance_by(step.millis("advance")),
                false => windows,
            })
        }
        "sliding" => {
            Kind::Sliding(SlidingWindows::of_time_difference_and_grace(step.millis("diff"), grace()))
        }
        "session" => Kind::Session(SessionWindows::of_inactivity_gap_and_grace(step.millis("gap"), grace())),
        "unlimited" => Kind::Unlimited,
        _ => return step.unsupported(),
    })
}

pub(super) fn windowed<V: Values>(
    grouped: KGroupedStream<String, V>,
    step: Step<'_>,
) -> Result<Group<V>, Unsupported> {
    let group = match kind(step)? {
        Kind::Time(windows) => Group::Time(grouped.windowed_by(windows)),
        Kind::Sliding(windows) => Group::Time(grouped.windowed_by(windows)),
        Kind::Unlimited => Group::Time(grouped.windowed_by(UnlimitedWindows::new())),
        Kind::Session(windows) => Group::Session(grouped.windowed_by(windows)),
    };
    let emit = match step.text("emit") {
        None => return Ok(group),
        Some("close") => EmitStrategy::OnWindowClose,
        Some(_) => EmitStrategy::OnWindowUpdate,
    };
    Ok(match group {
        Group::Time(group) => Group::Time(group.emit_strategy(emit)),
        Group::Session(group) => Group::Session(group.emit_strategy(emit)),
    })
}

pub(super) fn windowed_cogroup(
    cogrouped: CogroupedKStream<String, i64>,
    step: Step<'_>,
) -> Result<Item, Unsupported> {
    Ok(Item::WindowedCogroup(match kind(step)? {
        Kind::Time(windows) => Cogroup::Time(cogrouped.windowed_by(windows)),
        Kind::Sliding(windows) => Cogroup::Time(cogrouped.windowed_by(windows)),
        Kind::Unlimited => Cogroup::Time(cogrouped.windowed_by(UnlimitedWindows::new())),
        Kind::Session(windows) => Cogroup::Session(cogrouped.windowed_by(windows)),
    }))
}

/// An aggregation of a windowed group. What it computes does not matter here.
pub(super) fn on_windowed<V: Values>(group: &Group<V>, step: Step<'_>) -> Result<Item, Unsupported> {
    let kept = materialized(step)?;
    Ok(Item::WindowedTable(match group {
        Group::Time(group) => {
            let group = group.clone();
            let group = match step.text("named") {
                Some(name) => group.named(name),
                None => group,
            };
            match (step.op(), kept) {
                ("count", None) => group.count(),
                ("count", Some(kept)) => group.count_with(kept),
                ("reduce", kept) => V::reduce_time(group, kept),
                ("aggregate", None) => group.aggregate(|| 0, |_, _, _: &mut i64| {}),
                ("aggregate", Some(kept)) => group.aggregate_with(|| 0, |_, _, _| {}, kept),
                _ => return step.unsupported(),
            }
        }
        Group::Session(group) => {
            let group = group.clone();
            let group = match step.text("named") {
                Some(name) => group.named(name),
                None => group,
            };
            match (step.op(), kept) {
                ("count", None) => group.count(),
                ("count", Some(kept)) => group.count_with(kept),
                ("reduce", kept) => V::reduce_session(group, kept),
                ("aggregate", None) => group.aggregate(|| 0, |_, _, _: &mut i64| {}, |_, one, _| one),
                ("aggregate", Some(kept)) => group.aggregate_with(|| 0, |_, _, _| {}, |_, one, _| one, kept),
                _ => return step.unsupported(),
            }
        }
    }))
}

pub(super) fn on_windowed_cogroup(group: &Cogroup, step: Step<'_>) -> Result<Item, Unsupported> {
    if step.op() != "aggregate" {
        return step.unsupported();
    }
    let kept = materialized(step)?.unwrap_or_else(streams_core::dsl::Materialized::unnamed);
    Ok(Item::WindowedTable(match group {
        Cogroup::Time(group) => {
            let group = group.clone();
            let group = match step.text("named") {
                Some(name) => group.named(name),
                None => group,
            };
            group.aggregate_with(|| 0, kept)
        }
        Cogroup::Session(group) => {
            let group = group.clone();
            let group = match step.text("named") {
                Some(name) => group.named(name),
                None => group,
            };
            group.aggregate_with(|| 0, |_, one, _| one, kept)
        }
    }))
}

pub(super) fn on_windowed_table(mut table: WindowedTable, step: Step<'_>) -> Result<Item, Unsupported> {
    if let Some(name) = step.text("named") {
        table = table.named(name);
    }
    Ok(match step.op() {
        "suppress" if step.must("until") == "close" => {
            let mut buffer = match step.has("max") {
                true => {
                    BufferConfig::max_records(step.millis("max").as_millis() as u64).shut_down_when_full()
                }
                false => BufferConfig::unbounded(),
            };
            buffer = buffer.logging(step.text("logging") != Some("off"));
            for (key, value) in step.entries("cfg") {
                buffer = buffer.changelog_config(key, value);
            }
            Item::WindowedTable(table.suppress(Suppressed::until_window_closes(buffer)))
        }
        "suppress" => Item::WindowedTable(table.suppress(until_limit(step))),
        "filter" => Item::WindowedTable(table.filter(|_, _| true)),
        "mapValues" => Item::WindowedTable(table.map_values(|value| *value)),
        "toStream" if step.has("rekey") => Item::Rows(table.to_stream_keyed(|key, _| key.key.clone())),
        "toStream" => Item::WindowedRows(table.to_stream()),
        _ => return Err(Unsupported(format!("{} of a windowed table", step.op()))),
    })
}

/// Until a time limit, with a buffer that emits early.
pub(super) fn until_limit<K>(step: Step<'_>) -> Suppressed<K> {
    let limit = step.millis("limit");
    match step.has("max") {
        true => Suppressed::until_time_limit(
            limit,
            BufferConfig::max_records(step.millis("max").as_millis() as u64),
        ),
        false => Suppressed::until_time_limit(limit, BufferConfig::unbounded()),
    }
}

pub(super) fn on_windowed_rows(rows: WindowedRows, step: Step<'_>) -> Result<Item, Unsupported> {
    step.without(&["dynamic"])?;
    match step.op() {
        "to" => {
            let topic: Topic<Windowed<String>, i64, TimeWindowedSerde<Auto>> =
                Topic::named(step.must("topic"));
            match step.text("named") {
                Some(name) => rows.named(name).to(&topic),
                None => rows.to(&topic),
            }
            Ok(Item::Nothing)
        }
        _ => Err(Unsupported(format!("{} of windowed rows", step.op()))),
    }
}
