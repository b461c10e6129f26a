//! Input that is later than the grace. An operator forgets over a restart what stream time it has seen, as in Kafka Streams, so a
//! record that was too late may be taken after one. What holds all the same is here.

use std::time::Duration;

use super::{Case, IN, OUT, input, interrupted, uninterrupted};
use crate::dsl::{EmitStrategy, SessionWindows, StreamsBuilder, TimeWindows};
use crate::topology::Topology;

fn windows() -> Topology {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).map_values(|value| value.unwrap_or_default()).group_by_key();
    let tumbling = TimeWindows::of_size_and_grace(Duration::from_secs(10), Duration::from_secs(5));
    let counts = grouped.windowed_by(tumbling).emit_strategy(EmitStrategy::OnWindowClose).count();
    counts.to_stream_keyed(|windowed, _| windowed.to_string()).map_values(|_| None::<String>).to(&OUT);
    builder.build().unwrap()
}

fn sessions() -> Topology {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).map_values(|value| value.unwrap_or_default()).group_by_key();
    let gap = SessionWindows::of_inactivity_gap_and_grace(Duration::from_secs(6), Duration::from_secs(5));
    let counts = grouped.windowed_by(gap).emit_strategy(EmitStrategy::OnWindowClose).count();
    counts.to_stream_keyed(|windowed, _| windowed.to_string()).map_values(|_| None::<String>).to(&OUT);
    builder.build().unwrap()
}

/// How far windows were emitted is kept beside the committed offset: no window is emitted twice, and none is lost.
#[test]
fn closed_windows_are_emitted_once() {
    for seed in 1..6 {
        let case = Case { late: 60_000, ..Case::new(windows) };
        let lines = input(&case, seed);
        let expected = uninterrupted(&case, &lines).outputs;
        let found = interrupted(&case, &lines, seed, false).outputs;
        assert!(expected.keys().eq(found.keys()), "seed {seed}: {expected:?} {found:?}");
        let twice: Vec<_> = found.iter().filter(|(_, outputs)| outputs.len() != 1).collect();
        assert!(twice.is_empty(), "seed {seed}: {twice:?}");
    }
}

/// A late record may make an old session longer: that is another session.
#[test]
fn closed_sessions_are_emitted_once() {
    for seed in 1..6 {
        let case = Case { late: 60_000, ..Case::new(sessions) };
        let found = interrupted(&case, &input(&case, seed), seed, false).outputs;
        let twice: Vec<_> = found.iter().filter(|(_, outputs)| outputs.len() != 1).collect();
        assert!(found.len() > 50 && twice.is_empty(), "seed {seed}: {twice:?}");
    }
}
