//! What stores measure of their operations, in virtual time, with a clock of a ms for each look at it. Can be caught: an operation that is
//! not counted, counted twice or as another one; a time that is not that of the operation alone; hits and ages of other reads and records.

use std::ops::ControlFlow;
use std::time::Duration;

use streams_state::types::Window;

use super::metrics::{all, count_words, measured_of, metric, number};
use super::world::{World, word_count};
use crate::dsl::{SessionWindows, Stores, StreamsBuilder, TimeWindows, WindowRetention};
use crate::error::BoxError;
use crate::metrics::{Metric, RecordingLevel};
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};

/// A look at the clock is a ms later than the one before.
const TICK_NS: f64 = 1e6;

/// How often `operation` was done for each `put`: both are of the same time.
fn for_each_put(all: &[Metric], store: &str, operation: &str) -> f64 {
    let rate = |operation: &str| number(all, &format!("{operation}-rate"), &[store]);
    (rate(operation) / rate("put") * 1e6).round() / 1e6
}

#[test]
fn an_update_in_place_is_a_read_and_a_write() {
    let world = World::new(1);
    let mut instance = measured_of(word_count(), &world, RecordingLevel::Debug);
    count_words(&world, &mut instance);
    let all = all(&world, &instance);
    let number = |name: &str| number(&all, name, &["count-store"]);

    // One for each of the nine words: as many as the source of the second sub-topology read.
    let of_node = |metric: &&Metric| {
        metric.name.name == "process-rate" && metric.name.tag("processor-node-id").is_some()
    };
    let source = all.iter().filter(of_node).find(|metric| metric.name.tag("task-id") == Some("1_0"));
    assert_eq!(source.unwrap().value.number().unwrap(), number("put-rate"));
    assert_eq!(for_each_put(&all, "count-store", "get"), 1.0);
    for latency in ["get-latency-avg", "get-latency-max", "put-latency-avg", "put-latency-max"] {
        assert_eq!(number(latency), TICK_NS, "{latency}");
    }
    assert!(number("commit-rate") > 0.0);
    assert_eq!(number("commit-latency-max"), TICK_NS);
    for none in ["put-if-absent", "put-all", "delete", "all", "range", "prefix-scan", "flush", "restore"] {
        assert_eq!(number(&format!("{none}-rate")), 0.0, "{none}");
        assert!(number(&format!("{none}-latency-avg")).is_nan(), "{none}");
    }
    assert!(number("iterator-duration-avg").is_nan());

    // a b c a b c a b d: the first of each is a miss; what part was a hit is noted at each that is.
    let ratio = |kind: &str| number(&format!("hit-ratio-{kind}"));
    assert_eq!((ratio("min"), ratio("max")), (1.0 / 4.0, 5.0 / 8.0));
    let average = (1.0 / 4.0 + 2.0 / 5.0 + 3.0 / 6.0 + 4.0 / 7.0 + 5.0 / 8.0) / 5.0;
    assert!((ratio("avg") - average).abs() < 1e-9, "{}", ratio("avg"));
    let cache = metric(&all, "hit-ratio-avg", &["count-store"]);
    assert_eq!(
        (&*cache.name.group, cache.name.tag("record-cache-id")),
        ("stream-record-cache-metrics", Some("count-store"))
    );
    assert!(!metric(&all, "record-e2e-latency-avg", &["count-store"]).recorded);
}

#[test]
fn at_trace_stores_say_how_old_records_are() {
    let world = World::new(1);
    let mut instance = measured_of(word_count(), &world, RecordingLevel::Trace);
    count_words(&world, &mut instance);
    let all = all(&world, &instance);
    // Three words each of 0, 1 and 2 ms, put at once.
    let age = |kind: &str| number(&all, &format!("record-e2e-latency-{kind}"), &["count-store"]);
    assert_eq!((age("max") - age("min"), age("max") - age("avg")), (2.0, 1.0));
    assert!(age("min") >= 999_998.0 && age("max") < 1_010_000.0, "{} {}", age("min"), age("max"));
}

const EVENTS: Topic<String, i64> = Topic::new("lines");
const ROWS: Store<String, i64> = Store::new("rows");
const WINDOWS: Store<String, i64> = Store::new("windows");
const SESSIONS: Store<String, i64> = Store::new("sessions");
const PANES: Store<String, i64> = Store::new("panes");
const VERSIONS: Store<String, i64> = Store::new("versions");

/// Does a known number of operations for each record.
struct Clerk;

impl Clerk {
    fn rows(
        context: &ProcessorContext<'_, String, i64>,
        event: &Record<String, i64>,
    ) -> Result<(), BoxError> {
        let (store, update) = (context.store(&ROWS)?, context.record_context());
        let (mut rows, key, go_on) = (store.borrow_mut(), &event.key, ControlFlow::Continue(()));
        rows.put(key, Some(event.value), event.timestamp, update)?;
        rows.get(key)?;
        rows.get(&"nobody".to_owned())?;
        for _ in 0..3 {
            rows.put_if_absent(key, Some(1), event.timestamp, update)?;
        }
        rows.delete(key, update)?;
        rows.for_each(&mut |_, _, _| {})?;
        rows.for_each_backward(&mut |_, _, _| go_on)?;
        rows.range(None, Some(key), &mut |_, _, _| go_on)?;
        rows.range_backward(Some(key), None, &mut |_, _, _| go_on)?;
        rows.range(None, None, &mut |_, _, _| go_on)?;
        Ok(rows.prefix_scan(b"a", &mut |_, _, _| go_on)?)
    }

    fn windows(
        context: &ProcessorContext<'_, String, i64>,
        event: &Record<String, i64>,
    ) -> Result<(), BoxError> {
        let (store, update) = (context.window_store(&WINDOWS)?, context.record_context());
        let (mut rows, key, at) = (store.borrow_mut(), &event.key, event.timestamp);
        let go_on = ControlFlow::Continue(());
        rows.put(key, at, Some(event.value), at, update)?;
        rows.update(key, at, update, |row| *row = Some((2, at)))?;
        rows.fetch(key, at)?;
        rows.fetch_range(key, 0, at, &mut |_, _, _| go_on)?;
        rows.fetch_range_backward(key, 0, at, &mut |_, _, _| go_on)?;
        rows.fetch_keys((None, None), (0, at), &mut |_, _, _, _| go_on)?;
        Ok(rows.all(&mut |_, _, _, _| {})?)
    }

    fn sessions(
        context: &ProcessorContext<'_, String, i64>,
        event: &Record<String, i64>,
    ) -> Result<(), BoxError> {
        let (store, update) = (context.session_store(&SESSIONS)?, context.record_context());
        let (mut rows, key) = (store.borrow_mut(), &event.key);
        let window = Window { start: event.timestamp, end: event.timestamp };
        rows.put(key, window, Some(event.value), update)?;
        rows.remove(key, window, update)?;
        rows.put(key, window, Some(event.value), update)?;
        rows.fetch_session(key, window)?;
        rows.find_sessions(key, 0, event.timestamp, &mut |_, _| {})?;
        rows.backward_fetch(key, &mut |_, _| {})?;
        Ok(rows.find_sessions_ended(0, event.timestamp, &mut |_, _, _| {})?)
    }
}

impl Processor<String, i64, String, i64> for Clerk {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        event: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Self::rows(context, &event)?;
        Self::windows(context, &event)?;
        Self::sessions(context, &event)?;
        let store = context.versioned_store(&VERSIONS)?;
        let (mut rows, key, at) = (store.borrow_mut(), &event.key, event.timestamp);
        rows.put(key, Some(event.value), at)?;
        rows.get(key)?;
        rows.get_as_of(key, at)?;
        rows.delete(key, at)?;
        Ok(())
    }
}

/// The metrics of what `builder` has built, after four events of one key, a ms apart.
fn after_events(builder: StreamsBuilder) -> Vec<Metric> {
    let world = World::new(1);
    let mut instance = measured_of(builder.build().unwrap(), &world, RecordingLevel::Debug);
    for at in 0..4_i64 {
        world.kafka.produce("lines", Some(0), Some(b"k"), Some(&at.to_be_bytes()), at).unwrap();
    }
    world.run_until_drained(&mut [&mut instance]);
    (0..60).for_each(|_| world.turn(&mut [&mut instance]).unwrap());
    all(&world, &instance)
}

#[test]
fn aggregations_read_each_record_cache_once_for_a_record() {
    let builder = StreamsBuilder::new();
    let minute = Duration::from_secs(60);
    let stream = builder.stream(&EVENTS);
    let by_key = || stream.clone().group_by_key();
    by_key().windowed_by(TimeWindows::of_size_with_no_grace(minute)).count_with(&WINDOWS);
    by_key().windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(minute)).count_with(&SESSIONS);
    let panes = TimeWindows::of_size_with_no_grace(minute).advance_by(Duration::from_secs(20));
    by_key().windowed_by(panes).in_panes().count_with(&PANES);
    let all = after_events(builder);
    for store in ["windows", "sessions", "panes"] {
        // A miss, and three hits.
        let [min, max] = ["min", "max"].map(|kind| number(&all, &format!("hit-ratio-{kind}"), &[store]));
        assert_eq!((min, max), (1.0 / 2.0, 3.0 / 4.0), "{store}");
        assert_eq!(number(&all, "put-latency-max", &[store]), TICK_NS, "{store}");
    }
    assert_eq!(["windows", "sessions"].map(|store| for_each_put(&all, store, "fetch")), [1.0; 2]);
    // All but the first event merge with the session before.
    assert_eq!(for_each_put(&all, "sessions", "remove"), 3.0 / 4.0);
}

#[test]
fn each_operation_has_its_own_times() {
    let builder = StreamsBuilder::new();
    let minute = Duration::from_secs(60);
    builder.add_state_store(Stores::key_value(&ROWS));
    builder.add_state_store(Stores::window(&WINDOWS, WindowRetention::new(minute, Duration::from_secs(1))));
    builder.add_state_store(Stores::session(&SESSIONS, minute));
    builder.add_state_store(Stores::versioned(&VERSIONS, minute));
    let stores = ["rows", "windows", "sessions", "versions"];
    let clerk = builder.stream(&EVENTS).process::<_, String, i64>(|| Clerk, &stores);
    clerk.for_each(|_, _| {});
    let all = after_events(builder);

    let rows = ["get", "put-if-absent", "delete", "all", "range", "prefix-scan"];
    let counts = rows.map(|operation| for_each_put(&all, "rows", operation));
    assert_eq!(counts, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    // A put and an update; the update, and five reads.
    assert_eq!(for_each_put(&all, "windows", "fetch"), 6.0 / 2.0);
    assert_eq!(["fetch", "remove"].map(|operation| for_each_put(&all, "sessions", operation)), [2.0, 0.5]);
    assert_eq!(["get", "delete"].map(|operation| for_each_put(&all, "versions", operation)), [2.0, 1.0]);
    let windows = ["fetch", "put"].map(|operation| ("windows", operation));
    let sessions = ["fetch", "put", "remove"].map(|operation| ("sessions", operation));
    for (store, operation) in
        rows.map(|operation| ("rows", operation)).into_iter().chain(windows).chain(sessions)
    {
        for kind in ["avg", "max"] {
            let ns = number(&all, &format!("{operation}-latency-{kind}"), &[store]);
            assert_eq!(ns, TICK_NS, "{operation} of {store}");
        }
        assert_eq!(number(&all, "iterator-duration-max", &[store]), TICK_NS);
    }
    // They have no record caches.
    assert!(all.iter().all(|metric| metric.name.group != "stream-record-cache-metrics"));
}

#[test]
fn flushes_and_restores_are_timed() {
    let world = World::new(1);
    let mut first = measured_of(word_count(), &world, RecordingLevel::Debug);
    let words: Vec<String> = (0..1_100).map(|number| format!("w{number}")).collect();
    world.line(&words.join(" "));
    world.run_until_drained(&mut [&mut first]);
    (0..60).for_each(|_| world.turn(&mut [&mut first]).unwrap());
    let before = all(&world, &first);
    assert_eq!(number(&before, "flush-latency-avg", &["count-store"]), TICK_NS);
    assert_eq!(number(&before, "restore-rate", &["count-store"]), 0.0);
    first.close();

    let mut second = measured_of(word_count(), &world, RecordingLevel::Debug);
    world.line("w0");
    world.run_until_drained(&mut [&mut second]);
    (0..60).for_each(|_| world.turn(&mut [&mut second]).unwrap());
    let after = all(&world, &second);
    let [average, longest] =
        ["restore-latency-avg", "restore-latency-max"].map(|name| number(&after, name, &["count-store"]));
    assert!(average == longest && average >= TICK_NS, "once, and not at once: {average}, {longest}");
    assert_eq!(world.counts()["w0"], 2);
}
