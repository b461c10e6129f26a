//! Windows and sessions, emitted on update and on close; cogroups.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Case, IN, OUT, check, input, uninterrupted};
use crate::dsl::{
    EmitStrategy, KGroupedStream, KTable, Materialized, SessionWindows, SlidingWindows, StreamsBuilder,
    TimeWindows,
};
use crate::topology::Topology;
use streams_state::types::Windowed;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn tumbling() -> TimeWindows {
    TimeWindows::of_size_and_grace(ms(10_000), ms(5_000))
}

fn hopping() -> TimeWindows {
    tumbling().advance_by(ms(3_000))
}

fn sliding() -> SlidingWindows {
    SlidingWindows::of_time_difference_and_grace(ms(7_000), ms(5_000))
}

fn sessions() -> SessionWindows {
    SessionWindows::of_inactivity_gap_and_grace(ms(6_000), ms(5_000))
}

type Grouped = KGroupedStream<String, String>;
type Counts = KTable<Windowed<String>, String>;

/// From the input, grouped, to the output.
fn of(make: impl Fn(Grouped) -> Counts) -> Topology {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).map_values(|value| value.unwrap_or_default()).group_by_key();
    make(grouped).to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
    builder.build().unwrap()
}

/// All values of a window, in the order in which they came.
fn add(_: &String, value: String, all: &mut String) {
    all.push_str(&value);
    all.push(' ');
}

fn merge(_: &String, one: String, other: String) -> String {
    format!("({one}+{other})")
}

macro_rules! windows {
    ($($name:ident: $windows:expr, $strategy:ident;)*) => {$(
        #[test]
        fn $name() {
            let topology = || of(|grouped| {
                let windowed = grouped.windowed_by($windows).emit_strategy(EmitStrategy::$strategy);
                windowed.aggregate(String::new, add)
            });
            assert!(check(Case::new(topology)) > 200);
            assert!(check(Case { headers: true, ..Case::new(topology) }) > 200);
        }
    )*};
}

windows! {
    tumbling_windows: tumbling(), OnWindowUpdate;
    hopping_windows: hopping(), OnWindowUpdate;
    sliding_windows: sliding(), OnWindowUpdate;
    tumbling_windows_on_close: tumbling(), OnWindowClose;
    hopping_windows_on_close: hopping(), OnWindowClose;
    sliding_windows_on_close: sliding(), OnWindowClose;
}

pub(super) fn hopping_topology() -> Topology {
    of(|grouped| grouped.windowed_by(hopping()).aggregate(String::new, add))
}

pub(super) fn hopping_on_close_topology() -> Topology {
    of(|grouped| {
        let windowed = grouped.windowed_by(hopping()).emit_strategy(EmitStrategy::OnWindowClose);
        windowed.aggregate(String::new, add)
    })
}

pub(super) fn sessions_topology() -> Topology {
    session_topology(EmitStrategy::OnWindowUpdate)
}

fn session_topology(strategy: EmitStrategy) -> Topology {
    of(|grouped| {
        let windowed = grouped.windowed_by(sessions()).emit_strategy(strategy);
        windowed.aggregate(String::new, add, merge)
    })
}

#[test]
fn session_windows() {
    let topology = || session_topology(EmitStrategy::OnWindowUpdate);
    assert!(check(Case::new(topology)) > 200);
    assert!(check(Case { headers: true, ..Case::new(topology) }) > 200);
}

#[test]
fn session_windows_on_close() {
    let topology = || session_topology(EmitStrategy::OnWindowClose);
    assert!(check(Case::new(topology)) > 200);
    assert!(check(Case { headers: true, ..Case::new(topology) }) > 200);
}

/// What caches hold back and forward depends on commits; what the last update of a window says does not.
#[test]
fn cached_windows_and_sessions_end_the_same() {
    let sliding = || of(|grouped| grouped.windowed_by(sliding()).aggregate(String::new, add));
    check(Case { caching: true, ..Case::new(hopping_topology) });
    check(Case { caching: true, ..Case::new(sliding) });
    check(Case { caching: true, ..Case::new(sessions_topology) });
}

#[test]
fn in_memory_windows_and_sessions() {
    let windows = || {
        of(|grouped| {
            let kept = Materialized::named("windows").in_memory();
            grouped.windowed_by(hopping()).aggregate_with(String::new, add, kept)
        })
    };
    check(Case::new(windows));
    let windows = || {
        of(|grouped| {
            let kept = Materialized::named("sessions").in_memory();
            grouped.windowed_by(sessions()).aggregate_with(String::new, add, merge, kept)
        })
    };
    check(Case::new(windows));
}

/// Over a repartition topic: the key stays, so each partition has one writer, and its order is that of the input.
#[test]
fn windows_behind_a_repartition() {
    let topology = || {
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&IN).map_values(|value| value.unwrap_or_default()).repartition();
        let windowed =
            stream.group_by_key().windowed_by(tumbling()).emit_strategy(EmitStrategy::OnWindowClose);
        windowed.aggregate(String::new, add).to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case::new(topology)) > 200);
}

#[test]
fn cogroups() {
    fn sides() -> (StreamsBuilder, Grouped, Grouped) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&IN).map_values(|value| value.unwrap_or_default());
        let left = stream.clone().filter(|_, value| value.starts_with('L')).group_by_key();
        let right = stream.filter(|_, value| value.starts_with('R')).group_by_key();
        (builder, left, right)
    }
    let plain = || {
        let (builder, left, right) = sides();
        let all = left.cogroup(add).cogroup(right, |key, value, all| add(key, format!("~{value}"), all));
        all.aggregate(String::new).to_stream().to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case::new(plain)) > 200);
    let windowed = || {
        let (builder, left, right) = sides();
        let all = left.cogroup(add).cogroup(right, |key, value, all| add(key, format!("~{value}"), all));
        let all = all.windowed_by(hopping()).aggregate(String::new);
        all.to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case::new(windowed)) > 200);
    let sessioned = || {
        let (builder, left, right) = sides();
        let all = left.cogroup(add).cogroup(right, |key, value, all| add(key, format!("~{value}"), all));
        let all = all.windowed_by(sessions()).aggregate(String::new, merge);
        all.to_stream_keyed(|windowed, _| windowed.to_string()).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case::new(sessioned)) > 200);
}

/// All values of a window, in their own order: does not ask in which order they came.
fn sets(strategy: EmitStrategy, in_panes: bool) -> Topology {
    of(|grouped| {
        let windowed = grouped.windowed_by(hopping()).emit_strategy(strategy);
        let add = |_: &String, value: String, set: &mut BTreeSet<String>| {
            set.insert(value);
        };
        let all = match in_panes {
            true => windowed.in_panes().aggregate(BTreeSet::new, add, |_, one, two| &one | two),
            false => windowed.aggregate(BTreeSet::new, add),
        };
        all.map_values(|set| set.iter().map(|value| format!("{value} ")).collect())
    })
}

/// Windows of 10 s by 3 s: two panes a slide. Interrupted or not, in panes or not, the outputs are the same.
#[test]
fn hopping_windows_in_panes() {
    fn same(strategy: EmitStrategy, topologies: [fn() -> Topology; 2]) {
        let [rows, panes] = topologies.map(Case::new);
        assert!(check(panes) > 200, "{strategy:?}");
        check(Case { caching: true, ..panes });
        let lines = input(&rows, 1);
        assert_eq!(
            uninterrupted(&panes, &lines).outputs,
            uninterrupted(&rows, &lines).outputs,
            "{strategy:?}"
        );
    }
    same(
        EmitStrategy::OnWindowUpdate,
        [|| sets(EmitStrategy::OnWindowUpdate, false), || sets(EmitStrategy::OnWindowUpdate, true)],
    );
    same(
        EmitStrategy::OnWindowClose,
        [|| sets(EmitStrategy::OnWindowClose, false), || sets(EmitStrategy::OnWindowClose, true)],
    );
}
