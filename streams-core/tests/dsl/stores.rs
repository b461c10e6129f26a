//! Stores of all forms in processors; what `dsl.store.format` changes.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use streams_core::dsl::{
    Consumed, JoinWindows, Materialized, SessionWindows, StoreBuilder, Stores, StreamsBuilder,
    TopologyConfig, WindowRetention,
};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_core::types::{Headers, ValueAndHeaders, Window};
use streams_state::store::WindowStore;

use crate::{driver, text};

const IN: Topic<String, Option<i64>> = Topic::new("in");
const LEFT: Topic<String, i64> = Topic::new("left");
const RIGHT: Topic<String, i64> = Topic::new("right");
const OUT: Topic<String, i64> = Topic::new("out");
const ROWS: Store<String, i64> = Store::new("rows");
const HEADED: Store<String, ValueAndHeaders<i64>> = Store::new("headed");
const TABLE: Store<String, i64> = Store::new("table");

fn named(name: &str) -> Headers {
    let mut headers = Headers::EMPTY;
    headers.add(name, None);
    headers
}

fn record(key: &str, value: Option<i64>, timestamp: i64, header: &str) -> Record<String, Option<i64>> {
    Record { key: text(key), value, timestamp, headers: named(header) }
}

fn windows(retention_ms: u64) -> WindowRetention {
    WindowRetention::new(Duration::from_millis(retention_ms), Duration::from_millis(10))
}

/// Puts each record at its time, and forwards the number of rows that its key has in the 20 ms before.
struct Count;

impl Processor<String, Option<i64>, String, i64> for Count {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        Record { key, value, timestamp, headers }: Record<String, Option<i64>>,
    ) -> Result<(), BoxError> {
        let store = context.window_store(&ROWS)?;
        let mut store = store.borrow_mut();
        store.put(&key, timestamp, value, timestamp, context.record_context())?;
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        store.fetch_range(&key, timestamp - 20, timestamp, &mut |start, value, _| {
            forward.push((start, *value));
            ControlFlow::Continue(())
        })?;
        store.fetch_range_backward(&key, timestamp - 20, timestamp, &mut |start, value, _| {
            backward.push((start, *value));
            ControlFlow::Continue(())
        })?;
        backward.reverse();
        assert_eq!(forward, backward);
        let value = forward.len() as i64;
        Ok(context.forward(Record { key, value, timestamp, headers })?)
    }
}

fn counts(store: StoreBuilder) -> (Vec<i64>, Vec<(String, i64, i64, i64)>) {
    let builder = StreamsBuilder::new();
    builder.add_state_store(store);
    builder.stream(&IN).process(|| Count, &["rows"]).to(&OUT);
    let driver = driver(&builder);
    let times =
        [("a", Some(1), 0), ("a", Some(2), 10), ("b", Some(3), 10), ("a", Some(4), 10), ("a", None, 10)];
    for (key, value, time) in times {
        driver.input(&IN).pipe_record(record(key, value, time, "h"));
    }
    let counts = driver.output(&OUT).read_all().into_iter().map(|(_, count)| count).collect();
    (counts, driver.window_store(&ROWS).rows())
}

#[test]
fn window_stores_keep_one_row_or_all() {
    let row = |key: &str, start, value| (text(key), start, value, start);
    for in_memory in [false, true] {
        let place = |store: StoreBuilder| if in_memory { store.in_memory() } else { store };
        let single = [row("a", 0, 1), row("b", 10, 3)];
        for store in [Stores::window(&ROWS, windows(100)), Stores::timestamped_window(&ROWS, windows(100))] {
            let (counted, rows) = counts(place(store));
            assert_eq!((counted, rows), (vec![1, 2, 1, 2, 1], single.to_vec()));
        }
        let (counted, rows) = counts(place(Stores::window(&ROWS, windows(100).retain_duplicates())));
        let all = [row("a", 0, 1), row("a", 10, 2), row("a", 10, 4), row("b", 10, 3)];
        assert_eq!((counted, rows), (vec![1, 2, 1, 3, 3], all.to_vec()));
    }
}

#[test]
fn a_window_store_cannot_forget_rows_within_their_window() {
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::window(&ROWS, windows(9)));
    builder.stream(&IN).process(|| Count, &["rows"]).to(&OUT);
    let error = builder.build().err().unwrap().to_string();
    assert!(error.contains("its retention of 9 ms is less than its window size of 10 ms"), "{error}");
}

#[test]
fn a_form_of_store_must_fit_its_table() {
    let builder = StreamsBuilder::new();
    builder.stream(&LEFT).group_by_key().count_with(Materialized::from(&TABLE).window_store(windows(100)));
    let error = builder.build().err().unwrap().to_string();
    assert!(error.contains("does not fit a table without windows"), "{error}");
}

/// Keeps each record with its headers in all three forms, and deletes where there is no value.
struct KeepHeaders;

const WINDOWS: Store<String, ValueAndHeaders<i64>> = Store::new("windows");
const SESSIONS: Store<String, ValueAndHeaders<i64>> = Store::new("sessions");

impl Processor<String, Option<i64>, String, i64> for KeepHeaders {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        Record { key, value, timestamp, headers }: Record<String, Option<i64>>,
    ) -> Result<(), BoxError> {
        let row = value.map(|value| ValueAndHeaders { value, headers });
        let session = Window { start: timestamp, end: timestamp };
        let update = context.record_context();
        context.store(&HEADED)?.borrow_mut().put(&key, row.clone(), timestamp, update)?;
        context.window_store(&WINDOWS)?.borrow_mut().put(&key, timestamp, row.clone(), timestamp, update)?;
        context.session_store(&SESSIONS)?.borrow_mut().put(&key, session, row, update)?;
        Ok(())
    }
}

#[test]
fn stores_that_keep_headers_log_them_as_those_of_the_record() {
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::timestamped_key_value_with_headers(&HEADED));
    builder.add_state_store(Stores::timestamped_window_with_headers(&WINDOWS, windows(100)));
    builder.add_state_store(Stores::session_with_headers(&SESSIONS, Duration::from_millis(100)));
    builder.stream(&IN).process(|| KeepHeaders, &["headed", "windows", "sessions"]);
    let driver = driver(&builder);
    driver.input(&IN).pipe_record(record("a", Some(1), 5, "first"));
    driver.input(&IN).pipe_record(record("b", Some(2), 6, "second"));
    driver.input(&IN).pipe_record(record("b", None, 6, "third"));
    let row = ValueAndHeaders { value: 1, headers: named("first") };
    assert_eq!(driver.store(&HEADED).rows(), [(text("a"), row.clone(), 5)]);
    assert_eq!(driver.window_store(&WINDOWS).rows(), [(text("a"), 5, row.clone(), 5)]);
    let session = Window { start: 5, end: 5 };
    assert_eq!(driver.session_store(&SESSIONS).rows(), [(text("a"), session, row)]);
    for store in ["headed", "windows", "sessions"] {
        assert_eq!(logged(&driver, store), ["first", "second", "third"], "{store}");
    }
}

/// Names of the headers of a changelog's records, `-` for none.
fn logged(driver: &TopologyTestDriver, store: &str) -> Vec<String> {
    let name = |headers: &Headers| headers.iter().next().map_or(text("-"), |header| header.key.clone());
    let topic = format!("test-{store}-changelog");
    driver.produced(&topic).iter().map(|record| name(&record.headers)).collect()
}

fn with_format(builder: &StreamsBuilder, dsl_store_headers: bool) -> TopologyTestDriver {
    let config = TopologyConfig { dsl_store_headers, ..TopologyConfig::default() };
    let driver = DriverConfig { statestore_cache_max_bytes: 0, ..DriverConfig::default() };
    TopologyTestDriver::with_config(builder.build_with(config).unwrap(), driver).unwrap()
}

#[test]
fn tables_in_the_form_for_headers_log_those_of_deletions() {
    for (dsl_store_headers, in_memory, deletion) in
        [(false, false, "-"), (true, false, "gone"), (true, true, "-")]
    {
        let builder = StreamsBuilder::new();
        let kept = Materialized::from(&Store::<String, Option<i64>>::new("table"));
        builder.table_with(&IN, Consumed::new(), if in_memory { kept.in_memory() } else { kept });
        let driver = with_format(&builder, dsl_store_headers);
        driver.input(&IN).pipe_record(record("a", Some(1), 0, "here"));
        driver.input(&IN).pipe_record(record("a", None, 1, "gone"));
        assert_eq!(logged(&driver, "table"), ["-", deletion]);
    }
}

#[test]
fn sessions_in_the_form_for_headers_log_those_of_deletions_when_they_grow() {
    for (dsl_store_headers, deletion) in [(false, "-"), (true, "second")] {
        let builder = StreamsBuilder::new();
        let sessions = SessionWindows::of_inactivity_gap_and_grace(Duration::from_millis(10), Duration::ZERO);
        let counted = builder.stream(&LEFT).group_by_key().windowed_by(sessions);
        counted.count_with(Materialized::from(&TABLE));
        let driver = with_format(&builder, dsl_store_headers);
        for (time, header) in [(0, "first"), (5, "second")] {
            let record = Record { key: text("a"), value: 1, timestamp: time, headers: named(header) };
            driver.input(&LEFT).pipe_record(record);
        }
        assert_eq!(logged(&driver, "table"), ["-", deletion, "-"]);
    }
}

type Joined = Rc<RefCell<WindowStore<String, ValueAndHeaders<i64>>>>;

#[test]
fn join_stores_keep_headers_in_memory_or_where_the_format_has_room() {
    for (dsl_store_headers, in_memory, kept) in
        [(false, false, false), (false, true, true), (true, false, true)]
    {
        let builder = StreamsBuilder::new();
        let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_millis(10));
        let right = builder.stream(&RIGHT);
        builder.stream(&LEFT).join_stream(right, windows, |left, right| left + right).to(&OUT);
        let config = TopologyConfig {
            dsl_store_headers,
            dsl_stores_in_memory: in_memory,
            ..TopologyConfig::default()
        };
        let driver = TopologyTestDriver::new(builder.build_with(config).unwrap()).unwrap();
        let headers = named("h");
        driver.input(&LEFT).pipe_record(Record { key: text("a"), value: 1, timestamp: 0, headers });
        driver.input(&RIGHT).pipe_at("a", 2, 1);
        assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 3)]);
        let names = driver.store_names();
        let name = names.iter().find(|name| name.contains("JOINTHIS")).unwrap();
        let store: Option<Joined> = driver.find_store_as(name);
        assert_eq!(store.is_some(), kept);
        if let Some(store) = store {
            let row = store.borrow_mut().fetch(&text("a"), 0).unwrap().map(|(row, _)| row.headers.clone());
            assert_eq!(row, Some(named("h")));
        }
        assert_eq!(logged(&driver, name), ["h"]);
    }
}
