//! Rows of an engine that no store wrote, and what became of them. Regressions; `tests/fuzz` of the workspace found them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use streams_state::engine::{Engine, InMemoryEngine};
use streams_state::serdes::Raw;
use streams_state::store::{
    GraceBuffer, GraceBufferOptions, SessionOptions, SessionStore, StateStore, WindowOptions, WindowStore,
};

fn engine(rows: &[(&[u8], &[u8])]) -> Box<dyn Engine> {
    let mut engine = InMemoryEngine::new();
    engine.apply(&mut rows.iter().map(|(key, value)| (*key, Some(*value))), Some(1)).unwrap();
    Box::new(engine)
}

/// A store of panes listed all segments up to a number that no time has, and ran out of memory.
#[test]
fn a_window_store_refuses_segments_that_have_no_time() {
    let row = [&[0xfe; 8][..], &[0; 20]].concat();
    let options = WindowOptions::new("windows", 1000, 10);
    let opened =
        WindowStore::<Vec<u8>, Vec<u8>>::new(options, engine(&[(&row, b"v")]), Arc::new(Raw), Arc::new(Raw));
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("a segment that this store did not write"), "{error}");
}

/// The store looked for the segment behind the last one that there can be, and found the same again, for ever.
#[test]
fn a_session_store_opens_over_the_last_segment_that_there_can_be() {
    let row = [&[2][..], &[0xff; 8], b"key"].concat();
    let session = [&[0; 8][..], &i64::MAX.to_be_bytes(), &[0; 4]].concat();
    let options = SessionOptions { segment_interval: 1, ..SessionOptions::new("sessions", 1000) };
    let mut store = SessionStore::<Vec<u8>, Vec<u8>>::new(
        options,
        engine(&[(&row, &session)]),
        Arc::new(Raw),
        Arc::new(Raw),
    )
    .unwrap();
    store.for_each(&mut |_, _, _| ()).unwrap();
}

/// Counting one record more went over the end of the number.
#[test]
fn a_buffer_with_a_count_that_cannot_be_takes_records() {
    let state = [&0_i64.to_be_bytes()[..], &[0; 4], &[0xff; 8]].concat();
    let options = GraceBufferOptions { name: "b".into(), grace: 0, logging: false, memory_max_bytes: 1000 };
    let mut buffer = GraceBuffer::<Vec<u8>, Vec<u8>>::new(
        options,
        engine(&[(&[0], &state)]),
        Arc::new(Raw),
        Arc::new(Raw),
    )
    .unwrap();
    buffer.restore(&[0; 14], Some(b"value"), 0).unwrap();
    assert_eq!(buffer.num_records(), u64::MAX);
}
