//! Rows that are sound, and laid out otherwise than the store that opens them.

use std::path::Path;
use std::sync::Arc;

use streams_state::engine::{Engine, Layout};
use streams_state::serdes::Auto;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore, WindowOptions, WindowStore};
use streams_state::types::RecordContext;

use super::open;

type Windows = WindowStore<String, i64>;

fn engine(directory: &Path) -> Box<dyn Engine> {
    open(directory, "0_0").unwrap().remove(0)
}

fn windows(directory: &Path, retention: i64, segment_interval: i64) -> Windows {
    let options = WindowOptions { segment_interval, ..WindowOptions::new("one", retention, 10) };
    WindowStore::new(options, engine(directory), Arc::new(Auto), Arc::new(Auto)).unwrap()
}

fn rows(store: &mut Windows) -> usize {
    let mut rows = 0;
    store.all(&mut |_, _, _, _| rows += 1).unwrap();
    rows
}

#[test]
fn a_store_with_another_layout_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut store = windows(path, 10_000, 1_000);
    for start in 0..20 {
        store.put(&"k".to_owned(), start * 100, Some(start), start, &RecordContext::none(start)).unwrap();
    }
    store.drain_changelog(&mut |_| Ok(())).unwrap();
    store.committed(Some(20));
    store.flush().unwrap();
    drop(store);

    let layout = engine(path).identity().unwrap().unwrap().layout;
    assert!(matches!(layout, Some(Layout::Window { segment_interval: 1_000, .. })), "{layout:?}");
    let mut longer = windows(path, 20_000, 1_000);
    assert_eq!((longer.offset(), rows(&mut longer)), (Some(20), 20), "rows do not depend on the retention");
    drop(longer);
    let mut other = windows(path, 10_000, 500);
    assert_eq!((other.offset(), rows(&mut other)), (None, 0));
}

#[test]
fn another_kind_of_store_does_not_read_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = windows(directory.path(), 10_000, 1_000);
    store.put(&"k".to_owned(), 5, Some(1), 5, &RecordContext::none(5)).unwrap();
    store.drain_changelog(&mut |_| Ok(())).unwrap();
    store.committed(Some(1));
    store.flush().unwrap();
    drop(store);
    let options = KeyValueOptions {
        name: "one".into(),
        timestamped: true,
        caching: false,
        logging: true,
        tier_max_bytes: 1 << 20,
    };
    let engine = engine(directory.path());
    let mut store =
        KeyValueStore::<String, i64>::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap();
    let mut rows = 0;
    store.for_each(&mut |_, _, _| rows += 1).unwrap();
    assert_eq!((store.offset(), rows), (None, 0));
}
