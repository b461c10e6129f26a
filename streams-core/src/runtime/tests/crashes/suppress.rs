//! Updates that wait: until their window closes, for some time, on disk.

use std::time::Duration;

use super::{Case, IN, OUT, check};
use crate::dsl::{BufferConfig, StreamsBuilder, Suppressed, TimeWindows};
use crate::topology::Topology;
use streams_state::types::Windowed;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn windows(suppressed: Suppressed<Windowed<String>>) -> Topology {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).map_values(|value| value.unwrap_or_default()).group_by_key();
    let tumbling = TimeWindows::of_size_and_grace(ms(10_000), ms(5_000));
    let counts = grouped.windowed_by(tumbling).aggregate(String::new, |_, value, all| all.push_str(&value));
    counts.suppress(suppressed).to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
    builder.build().unwrap()
}

/// A table whose rows come and go.
fn rows(suppressed: Suppressed<String>) -> Topology {
    let builder = StreamsBuilder::new();
    let values = builder.stream(&IN).map_values(|value| value.filter(|value| !value.ends_with('-')));
    values.to_table_opt().suppress(suppressed).to_stream().to(&OUT);
    builder.build().unwrap()
}

pub(super) fn closed_topology() -> Topology {
    windows(Suppressed::until_window_closes(BufferConfig::unbounded()))
}

pub(super) fn limited_topology() -> Topology {
    rows(Suppressed::until_time_limit(ms(20_000), BufferConfig::unbounded()))
}

pub(super) fn spilled_topology() -> Topology {
    windows(Suppressed::until_window_closes(BufferConfig::max_bytes(1 << 20).spill_to_disk_when_full()))
}

#[test]
fn until_windows_close() {
    assert!(check(Case::new(closed_topology)) > 200);
    assert!(check(Case { headers: true, ..Case::new(closed_topology) }) > 200);
}

/// Commits decide what a record cache gives to the buffer, and when; the last result of a window is the same.
#[test]
fn until_windows_close_below_a_cache() {
    check(Case { caching: true, changelogs: false, ..Case::new(closed_topology) });
}

#[test]
fn spilled_until_windows_close() {
    let topology = || {
        let spill = BufferConfig::max_bytes(300).spill_to_disk_when_full();
        windows(Suppressed::until_window_closes(spill))
    };
    assert!(check(Case { keys: 12, step: 500, ..Case::new(topology) }) > 200);
}

#[test]
fn until_a_time_limit() {
    assert!(check(Case { nulls: 5, keys: 12, ..Case::new(limited_topology) }) > 200);
    assert!(check(Case { nulls: 5, keys: 12, headers: true, ..Case::new(limited_topology) }) > 200);
    let spilled = || {
        let spill = BufferConfig::max_bytes(200).spill_to_disk_when_full();
        rows(Suppressed::until_time_limit(ms(20_000), spill))
    };
    assert!(check(Case { nulls: 5, keys: 12, ..Case::new(spilled) }) > 200);
}

/// The counts of records and bytes decide what is emitted: they must come back exactly.
#[test]
fn until_the_buffer_is_full() {
    let records = || rows(Suppressed::until_time_limit(ms(40_000), BufferConfig::max_records(4)));
    assert!(check(Case { nulls: 5, keys: 12, ..Case::new(records) }) > 200);
    let bytes = || rows(Suppressed::until_time_limit(ms(40_000), BufferConfig::max_bytes(400)));
    assert!(check(Case { nulls: 5, keys: 12, headers: true, ..Case::new(bytes) }) > 200);
}

/// Who reads a suppressed table sees what was sent on last: the prior values come back, too.
#[test]
fn read_as_downstream_knows_it() {
    let topology = || {
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&IN);
        let wait = Suppressed::until_time_limit(ms(20_000), BufferConfig::unbounded());
        let left =
            stream.clone().filter(|_, value| value.as_ref().is_some_and(|value| value.starts_with('L')));
        let rows = left
            .map_values(|value| value.filter(|value| !value.ends_with('-')))
            .to_table_opt()
            .suppress(wait);
        let right = stream.map_values(|value| value.unwrap_or_default());
        let right = right.filter(|_, value| value.starts_with('R'));
        right.left_join_table(&rows, |one, row| Some(format!("{one}/{row:?}"))).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case { nulls: 5, ..Case::new(topology) }) > 200);
}
