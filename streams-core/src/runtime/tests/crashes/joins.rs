//! Stream-stream joins, stream-table joins with grace, global tables.

use std::time::Duration;

use super::waiting::Waiting;
use super::{Case, IN, OUT, RATES, check};
use crate::dsl::{
    JoinWindows, Joined, KStream, KTable, Materialized, StreamJoined, StreamsBuilder, WindowRetention,
    WindowStoreSupplier,
};
use crate::topic::Store;
use crate::topology::Topology;

pub(super) type Stream = KStream<String, String>;

const HISTORY: Store<String, String> = Store::new("history");

/// The values of the two sides.
pub(super) fn sides(builder: &StreamsBuilder) -> (Stream, Stream) {
    let stream = builder.stream(&IN).map_values(|value| value.unwrap_or_default());
    let left = stream.clone().filter(|_, value| value.starts_with('L'));
    (left, stream.filter(|_, value| value.starts_with('R')))
}

/// A table of one side.
pub(super) fn table(side: Stream, kept: Materialized<String, String>) -> KTable<String, String> {
    side.map_values(|value| Some(value).filter(|value| !value.ends_with('-'))).to_table_opt_with(kept)
}

fn windows() -> JoinWindows {
    JoinWindows::of_time_difference_and_grace(Duration::from_millis(6_000), Duration::from_millis(5_000))
}

fn topology(join: impl Fn(Stream, Stream) -> Stream) -> Topology {
    let builder = StreamsBuilder::new();
    let (left, right) = sides(&builder);
    join(left, right).map_values(Some).to(&OUT);
    builder.build().unwrap()
}

fn inner() -> Topology {
    topology(|left, right| left.join_stream(right, windows(), |left, right| format!("{left}/{right}")))
}

fn left() -> Topology {
    topology(|left, right| left.left_join_stream(right, windows(), |left, right| format!("{left}/{right:?}")))
}

pub(super) fn outer() -> Topology {
    outer_of(windows())
}

/// A case of a left or outer join with [`windows`].
fn waiting(topology: fn() -> Topology) -> Case {
    let waiting = Waiting { left_ms: Some(11_000), right_ms: Some(11_000) };
    Case { waiting: Some(waiting), ..Case::new(topology) }
}

/// Equal timestamps happen, and both stores keep duplicates.
const DENSE: u64 = 3;

#[test]
fn inner_joins() {
    assert!(check(Case::new(inner)) > 200);
    assert!(check(Case { headers: true, ..Case::new(inner) }) > 200);
    assert!(check(Case { step: DENSE, records: 60, late: 0, keys: 8, ..Case::new(inner) }) > 200);
}

#[test]
fn left_joins() {
    assert!(check(waiting(left)) > 200);
    assert!(check(Case { headers: true, ..waiting(left) }) > 200);
}

#[test]
fn outer_joins() {
    assert!(check(waiting(outer)) > 200);
    assert!(check(Case { headers: true, ..waiting(outer) }) > 200);
    assert!(check(Case { step: DENSE, records: 60, late: 0, keys: 20, ..waiting(outer) }) > 200);
    let asymmetric = || outer_of(windows().before(Duration::ZERO));
    assert!(
        check(Case {
            waiting: Some(Waiting { left_ms: Some(11_000), right_ms: None }),
            ..Case::new(asymmetric)
        }) > 200
    );
}

fn outer_of(windows: JoinWindows) -> Topology {
    topology(|left, right| {
        left.outer_join_stream(right, windows, |left, right| format!("{left:?}/{right:?}"))
    })
}

/// Windows away from their records: what waits is found again, whichever side looks first.
#[test]
fn windows_before_or_after_their_records() {
    fn far() -> JoinWindows {
        JoinWindows::of_time_difference_with_no_grace(Duration::from_millis(6_000))
    }
    const NEAR: Duration = Duration::from_millis(2_000);
    let waiting = Some(Waiting { left_ms: None, right_ms: None });
    let later = || outer_of(far().starts_after(NEAR));
    assert!(check(Case { waiting, ..Case::new(later) }) > 200);
    let earlier = || outer_of(far().ends_before(NEAR));
    assert!(check(Case { waiting, ..Case::new(earlier) }) > 200);
}

#[test]
fn joins_in_memory() {
    let in_memory = || {
        topology(|left, right| {
            let joined = StreamJoined::new().in_memory();
            let join =
                |_: &String, left: Option<&String>, right: Option<&String>| format!("{left:?}/{right:?}");
            left.outer_join_stream_with(right, windows(), join, joined)
        })
    };
    assert!(check(waiting(in_memory)) > 200);
}

#[test]
fn joins_over_supplied_stores() {
    let supplied = || {
        topology(|left, right| {
            let rows = WindowRetention::of_join(&windows());
            let small = rows.segment_interval(Duration::from_millis(7_000));
            let joined = StreamJoined::new()
                .this_store_supplier(WindowStoreSupplier::new("left", rows).in_memory())
                .other_store_supplier(WindowStoreSupplier::new("right", small).with_headers());
            let join =
                |_: &String, left: Option<&String>, right: Option<&String>| format!("{left:?}/{right:?}");
            left.outer_join_stream_with(right, windows(), join, joined)
        })
    };
    assert!(check(Case { headers: true, ..waiting(supplied) }) > 200);
}

#[test]
fn self_joins() {
    let own = || {
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&IN);
        let join = |one: &Option<String>, other: &Option<String>| Some(format!("{one:?}/{other:?}"));
        stream.clone().join_stream(stream, windows(), join).to(&OUT);
        let optimized = crate::dsl::TopologyConfig::optimized("all").unwrap();
        builder.build_with(optimized).unwrap()
    };
    assert!(check(Case::new(own)) > 200);
}

pub(super) fn grace() -> Topology {
    let builder = StreamsBuilder::new();
    let (left, right) = sides(&builder);
    let rows = table(right, Materialized::from(&HISTORY).versioned(Duration::from_millis(30_000)));
    let joined = Joined::new().grace(Duration::from_millis(8_000));
    left.left_join_table_with(&rows, |_, left, row| Some(format!("{left}/{row:?}")), joined).to(&OUT);
    builder.build().unwrap()
}

#[test]
fn joins_with_grace() {
    assert!(check(Case { nulls: 6, ..Case::new(grace) }) > 200);
    assert!(check(Case { nulls: 6, headers: true, ..Case::new(grace) }) > 200);
}

/// The global table is full before the first record of each start, with its state on disk or without.
#[test]
fn global_tables() {
    let global = || {
        let builder = StreamsBuilder::new();
        let rates = builder.global_table(&RATES);
        let join = |value, rate: Option<&String>| Some(format!("{value:?}/{rate:?}"));
        builder.stream(&IN).left_join_global(&rates, |key, _| key.clone(), join).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case::new(global)) > 200);
}
