//! The three forms of store, behind one face: rows by key and time.

use std::sync::Arc;

use streams_state::engine::Engine;
use streams_state::format::session_key;
use streams_state::format::window_key::WindowKey;
use streams_state::serdes::Auto;
use streams_state::store::{
    KeyValueOptions, KeyValueStore, SessionOptions, SessionStore, StateStore, WindowOptions, WindowStore,
};
use streams_state::types::{RecordContext, Timestamp, ValueAndHeaders, Window};

/// Key and time.
pub(crate) type Place = (String, Timestamp);
type Value = ValueAndHeaders<i64>;

const RETENTION: i64 = 1000;
/// Small, so that rows are evicted.
const TIER_BYTES: u64 = 400;

pub(crate) trait Form {
    type Store: StateStore;
    /// Whether rows have a timestamp of their own.
    const TIMESTAMPED: bool;
    fn open(engine: Box<dyn Engine>, caching: bool) -> Self::Store;
    fn put(
        store: &mut Self::Store,
        place: &Place,
        row: Option<Value>,
        time: Timestamp,
        update: &RecordContext,
    );
    fn rows(store: &mut Self::Store) -> Vec<(Place, (Value, Timestamp))>;
    /// The key of the row's changelog record.
    fn key(place: &Place) -> Vec<u8>;
}

pub(crate) struct KeyValues;

impl Form for KeyValues {
    type Store = KeyValueStore<String, Value>;
    const TIMESTAMPED: bool = true;

    fn open(engine: Box<dyn Engine>, caching: bool) -> Self::Store {
        let options = KeyValueOptions {
            name: "s".into(),
            timestamped: true,
            caching,
            logging: true,
            tier_max_bytes: TIER_BYTES,
        };
        KeyValueStore::header_aware(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    }

    fn put(
        store: &mut Self::Store,
        place: &Place,
        row: Option<Value>,
        time: Timestamp,
        update: &RecordContext,
    ) {
        store.put(&format!("{}-{:04}", place.0, place.1), row, time, update).unwrap();
    }

    fn rows(store: &mut Self::Store) -> Vec<(Place, (Value, Timestamp))> {
        let mut rows = Vec::new();
        let visited = store.for_each(&mut |key, row, time| {
            let (key, at) = key.split_once('-').unwrap();
            rows.push(((key.to_owned(), at.parse().unwrap()), (row.clone(), time)));
        });
        visited.unwrap();
        rows
    }

    fn key(place: &Place) -> Vec<u8> {
        format!("{}-{:04}", place.0, place.1).into_bytes()
    }
}

pub(crate) struct Windows;

impl Form for Windows {
    type Store = WindowStore<String, Value>;
    const TIMESTAMPED: bool = true;

    fn open(engine: Box<dyn Engine>, caching: bool) -> Self::Store {
        let options = WindowOptions {
            caching,
            segment_interval: 100,
            tier_max_bytes: TIER_BYTES,
            ..WindowOptions::new("s", RETENTION, 10)
        };
        WindowStore::header_aware(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    }

    fn put(
        store: &mut Self::Store,
        place: &Place,
        row: Option<Value>,
        time: Timestamp,
        update: &RecordContext,
    ) {
        assert!(store.put(&place.0, place.1, row, time, update).unwrap());
    }

    fn rows(store: &mut Self::Store) -> Vec<(Place, (Value, Timestamp))> {
        let mut rows = Vec::new();
        store.all(&mut |key, start, row, time| rows.push(((key, start), (row.clone(), time)))).unwrap();
        rows.sort_by(|one, two| one.0.cmp(&two.0));
        rows
    }

    fn key((key, start): &Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        WindowKey { key: key.as_bytes(), start: *start, sequence: 0 }.encode(&mut bytes);
        bytes
    }
}

pub(crate) struct Sessions;

impl Form for Sessions {
    type Store = SessionStore<String, Value>;
    const TIMESTAMPED: bool = false;

    fn open(engine: Box<dyn Engine>, caching: bool) -> Self::Store {
        let options = SessionOptions {
            name: "s".into(),
            retention: RETENTION,
            segment_interval: 100,
            time_index: false,
            in_memory_order: false,
            caching,
            logging: true,
            tier_max_bytes: TIER_BYTES,
            expired_max_bytes: 1 << 20,
        };
        SessionStore::header_aware(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    }

    fn put(store: &mut Self::Store, place: &Place, row: Option<Value>, _: Timestamp, update: &RecordContext) {
        store.put(&place.0, session(place.1), row, update).unwrap();
    }

    fn rows(store: &mut Self::Store) -> Vec<(Place, (Value, Timestamp))> {
        let mut rows = Vec::new();
        store.for_each(&mut |key, window, row| rows.push(((key, window.start), (row.clone(), 0)))).unwrap();
        rows
    }

    fn key((key, start): &Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        session_key::encode(key.as_bytes(), session(*start), &mut bytes);
        bytes
    }
}

fn session(start: Timestamp) -> Window {
    Window { start, end: start + 10 }
}
