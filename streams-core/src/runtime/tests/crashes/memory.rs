//! What stores say of their size: the limits of a flush and of the process's memory are made of it.

use super::{Case, Line, Stage, aggregates, flush, joins, suppress, tables};
use crate::runtime::stream_thread::StreamThread;
use crate::task::StateManager;
use crate::topology::Topology;
use streams_state::types::Headers;

/// Name, memory and unflushed bytes and records of each store.
fn sizes(state: &StateManager) -> Vec<(String, u64, u64, u64)> {
    let stores = state.stores().iter();
    stores
        .map(|store| {
            let instance = store.instance.state.borrow();
            let unflushed = instance.unflushed();
            (store.name.to_string(), instance.memory_bytes(), unflushed.bytes, unflushed.records)
        })
        .collect()
}

/// What `look` sees in a thread that has processed `count` records, each of another key.
fn after<T>(topology: fn() -> Topology, count: i64, look: impl FnOnce(&mut StreamThread) -> T) -> T {
    // Enough that nothing is flushed before.
    let case = Case { partitions: 1, memory_max_bytes: 1 << 24, ..Case::new(topology) };
    let stage = Stage::new(&case, false);
    for number in 0..count {
        let side = if number % 2 == 0 { "L" } else { "R" };
        let value = Some(format!("{side}{number}{}", "x".repeat(100)));
        // Nothing closes: all rows wait.
        let line =
            Line { key: format!("k{number}"), value, timestamp: 100_000 + number, headers: Headers::EMPTY };
        stage.produce(&line);
    }
    let mut one = stage.start("i1", 1);
    stage.world.run_until_drained(&mut [&mut one]);
    look(&mut one.threads[0])
}

/// After `count` records: what each store counts, then that a flush gives everything to the engine.
fn counted(topology: fn() -> Topology, count: i64) -> Vec<(String, u64, u64, u64)> {
    after(topology, count, count_and_flush)
}

fn count_and_flush(thread: &mut StreamThread) -> Vec<(String, u64, u64, u64)> {
    let counted = thread.tasks.iter().flat_map(|owned| sizes(owned.task.state())).collect();
    flush(thread);
    for (name, _, bytes, records) in thread.tasks.iter().flat_map(|owned| sizes(owned.task.state())) {
        assert_eq!((bytes, records), (0, 0), "{name} after a flush");
    }
    counted
}

/// Session and versioned stores once shared the budget without giving anything back: each could take all of it.
#[test]
fn what_an_engine_has_leaves_memory_when_it_is_asked_for() {
    for topology in [aggregates::hopping_topology, aggregates::sessions_topology, tables::versioned_topology]
    {
        after(topology, 200, |thread| {
            flush(thread);
            for owned in thread.tasks.iter() {
                for store in owned.task.state().stores() {
                    let mut state = store.instance.state.borrow_mut();
                    state.flush().unwrap();
                    let before = state.memory_bytes();
                    state.shed(before / 2);
                    let left = state.memory_bytes();
                    assert!(before > 2_000 && left <= before / 2, "{}: {left} of {before}", store.name);
                }
            }
        });
    }
}

/// A buffer that does not spill is in memory alone: a flush writes nothing of it.
#[test]
fn a_buffer_in_memory_counts_its_memory() {
    let (few, many) = (counted(suppress::limited_topology, 40), counted(suppress::limited_topology, 200));
    let buffer = |stores: &[(String, u64, u64, u64)]| {
        stores.iter().find(|store| store.0.contains("SUPPRESS")).unwrap().clone()
    };
    assert!(buffer(&few).1 > 2_000 && buffer(&many).1 > 3 * buffer(&few).1, "{few:?} {many:?}");
}

#[test]
fn every_kind_of_store_counts_what_a_flush_would_write() {
    let topologies: [(&str, fn() -> Topology); 7] = [
        ("windows", aggregates::hopping_topology),
        ("windows on close", aggregates::hopping_on_close_topology),
        ("sessions", aggregates::sessions_topology),
        ("suppressed windows", suppress::spilled_topology),
        ("outer join", joins::outer),
        ("grace join", joins::grace),
        ("versioned tables", tables::versioned_topology),
    ];
    for (name, topology) in topologies {
        let (few, many) = (counted(topology, 40), counted(topology, 200));
        assert!(!few.is_empty());
        for (few, many) in few.iter().zip(&many) {
            // 20 or 40 rows of 100 bytes.
            assert!(few.1 > 2_000 && few.2 > 2_000 && few.3 >= 20, "{name}: {few:?}");
            assert!(
                many.1 > 3 * few.1 && many.2 > 3 * few.2 && many.3 > 3 * few.3,
                "{name}: {few:?} {many:?}"
            );
        }
    }
}
