//! Global stores of every kind: fed by a processor, read by others that are not connected to them, and by tests.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use streams_core::dsl::{Consumed, Materialized, StoreBuilder, Stores, StreamsBuilder, WindowRetention};
use streams_core::error::{BoxError, StateError};
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::store::{ChangelogEntry, StateStore};
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};
use streams_core::types::{Headers, Timestamp, ValueAndHeaders, Window, Windowed};

use crate::{driver, text};

const FACTS: Topic<String, i64> = Topic::new("facts");
const ASKED: Topic<String, String> = Topic::new("asked");
const ANSWERS: Topic<String, String> = Topic::new("answers");
const ROWS: Store<String, i64> = Store::new("rows");
const HEADED: Store<String, ValueAndHeaders<i64>> = Store::new("headed");

/// A processor that is one function.
struct By<F>(F);

type Feed = fn(&mut ProcessorContext<'_, (), ()>, Record<String, i64>) -> Result<(), BoxError>;
type Answer = fn(&ProcessorContext<'_, String, String>, &String) -> Result<String, BoxError>;

impl Processor<String, i64, (), ()> for By<Feed> {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        (self.0)(context, record)
    }
}

impl Processor<String, String, String, String> for By<Answer> {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let answer = (self.0)(context, &record.value)?;
        Ok(context.forward(record.with_value(answer))?)
    }
}

/// Feeds `store` with facts, asks about key `a`, and gives the answer.
fn answer(store: StoreBuilder, feed: Feed, ask: Answer) -> (TopologyTestDriver, String) {
    let builder = StreamsBuilder::new();
    builder.add_global_store(store, &FACTS, Consumed::new(), move || By(feed));
    builder.stream(&ASKED).process(move || By(ask), &[]).to(&ANSWERS);
    let driver = driver(&builder);
    for (key, value, time) in [("a", 1, 10), ("b", 2, 20), ("a", 3, 30), ("ab", 4, 30), ("a", 5, 40)] {
        driver.input(&FACTS).pipe_at(key, value, time);
    }
    driver.input(&ASKED).pipe("?", "a");
    let mut answers = driver.output(&ANSWERS).read_all();
    (driver, answers.pop().unwrap().1)
}

#[test]
fn key_value_stores_answer_all_that_they_can() {
    let put: Feed = |context, record| {
        let (store, time) = (context.store(&ROWS)?, record.timestamp);
        Ok(store.borrow_mut().put(&record.key, Some(record.value), time, context.record_context())?)
    };
    let ask: Answer = |context, key| {
        let rows = context.global_store(&ROWS)?;
        let (mut backward, mut range, mut prefixed) = (Vec::new(), Vec::new(), Vec::new());
        rows.for_each_backward(&mut |key, _, _| {
            backward.push(key);
            ControlFlow::Continue(())
        })?;
        rows.range_backward(Some(&text("a")), Some(&text("ab")), &mut |key, _, _| {
            range.push(key);
            ControlFlow::Continue(())
        })?;
        rows.prefix_scan(b"a", &mut |key, value, _| {
            prefixed.push((key, *value));
            ControlFlow::Continue(())
        })?;
        let count = rows.approximate_num_entries()?;
        Ok(format!("{:?} {count} {backward:?} {range:?} {prefixed:?}", rows.get(key)?))
    };
    let expected = r#"Some(5) 3 ["b", "ab", "a"] ["ab", "a"] [("a", 5), ("ab", 4)]"#;
    assert_eq!(answer(Stores::key_value(&ROWS), put, ask).1, expected);
    assert_eq!(answer(Stores::timestamped_key_value(&ROWS).in_memory(), put, ask).1, expected);
    let bounded = r#"Some(5) 2 ["ab", "a"] ["ab", "a"] [("a", 5), ("ab", 4)]"#;
    assert_eq!(answer(Stores::lru_map(&ROWS, 2), put, ask).1, bounded);
}

#[test]
fn window_stores() {
    let put: Feed = |context, record| {
        let (store, time) = (context.window_store(&ROWS)?, record.timestamp);
        store.borrow_mut().put(&record.key, time, Some(record.value), time, context.record_context())?;
        Ok(())
    };
    let ask: Answer = |context, key| {
        let rows = context.global_window_store(&ROWS)?;
        let (mut forward, mut backward, mut all) = (Vec::new(), Vec::new(), Vec::new());
        rows.fetch_range(key, 0, 30, &mut |start, value, _| {
            forward.push((start, *value));
            ControlFlow::Continue(())
        })?;
        rows.fetch_range_backward(key, 20, 99, &mut |start, value, _| {
            backward.push((start, *value));
            ControlFlow::Continue(())
        })?;
        rows.fetch_all_backward(0, 30, &mut |key, start, _, _| {
            all.push((key, start));
            ControlFlow::Continue(())
        })?;
        let one = rows.fetch(key, 10)?.map(|(value, _)| value);
        Ok(format!("{one:?} {forward:?} {backward:?} {all:?}"))
    };
    let (rows, found) = (
        WindowRetention::new(Duration::from_millis(100), Duration::from_millis(10)),
        "Some(1) [(10, 1), (30, 3)] [(40, 5), (30, 3)]",
    );
    // As in Kafka Streams: by key within a segment on disk, by time in memory.
    let on_disk = (Stores::window(&ROWS, rows), r#"[("b", 20), ("ab", 30), ("a", 30), ("a", 10)]"#);
    let store = Stores::timestamped_window(&ROWS, rows).in_memory();
    let in_memory = (store, r#"[("ab", 30), ("a", 30), ("b", 20), ("a", 10)]"#);
    for (store, all) in [on_disk, in_memory] {
        let (driver, answer) = answer(store, put, ask);
        assert_eq!(answer, format!("{found} {all}"));
        assert_eq!(driver.window_store(&ROWS).fetch(&text("b"), 20), Some(2));
    }
}

#[test]
fn session_stores() {
    let put: Feed = |context, record| {
        let window = Window { start: record.timestamp - 5, end: record.timestamp };
        let session = Windowed { key: record.key, window };
        let store = context.session_store(&ROWS)?;
        store.borrow_mut().put(&session.key, session.window, Some(record.value), context.record_context())?;
        Ok(())
    };
    let ask: Answer = |context, key| {
        let rows = context.global_session_store(&ROWS)?;
        let (mut forward, mut backward, mut ended, mut found) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        rows.fetch(key, &mut |window, value| forward.push((window.end, *value)))?;
        rows.backward_fetch(key, &mut |window, _| backward.push(window.end))?;
        rows.find_sessions_ended(20, 30, &mut |key, _, _| ended.push(key))?;
        rows.find_sessions_of_keys((None, Some(key)), 30, 99, &mut |_, window, _| found.push(window.start))?;
        let one = rows.fetch_session(key, Window { start: 25, end: 30 })?;
        ended.sort();
        Ok(format!("{one:?} {forward:?} {backward:?} {ended:?} {found:?}"))
    };
    let store = Stores::session(&ROWS, Duration::from_millis(100));
    let (driver, found) = answer(store, put, ask);
    assert_eq!(found, r#"Some(3) [(10, 1), (30, 3), (40, 5)] [40, 30, 10] ["a", "ab", "b"] [25, 35]"#);
    assert_eq!(driver.session_store(&ROWS).fetch(&text("b")), [(Window { start: 15, end: 20 }, 2)]);
}

#[test]
fn versioned_stores() {
    let put: Feed = |context, record| {
        let store = context.versioned_store(&ROWS)?;
        store.borrow_mut().put(&record.key, Some(record.value), record.timestamp)?;
        Ok(())
    };
    let ask: Answer = |context, key| {
        let rows = context.global_versioned_store(&ROWS)?;
        let mut versions = Vec::new();
        rows.versions(key, 0, 35, &mut |value, from, to| versions.push((*value, from, to)))?;
        Ok(format!("{:?} {:?} {versions:?}", rows.get(key)?, rows.get_as_of(key, 29)?))
    };
    let (driver, found) = answer(Stores::versioned(&ROWS, Duration::from_secs(60)), put, ask);
    assert_eq!(found, "Some((5, 40)) Some((1, 10)) [(1, 10, Some(30)), (3, 30, Some(40))]");
    assert_eq!(driver.versioned_store(&ROWS).get_as_of(&text("a"), 35), Some(3));
}

/// Old versions go by whole segments.
#[test]
fn versioned_stores_have_the_segments_that_they_are_given() {
    let put: Feed = |context, record| {
        context.versioned_store(&ROWS)?.borrow_mut().put(
            &record.key,
            Some(record.value),
            record.timestamp,
        )?;
        Ok(())
    };
    let ask: Answer = |context, key| {
        let mut versions = Vec::new();
        context
            .global_versioned_store(&ROWS)?
            .versions(key, 20, 99, &mut |value, _, _| versions.push(*value))?;
        Ok(format!("{versions:?}"))
    };
    let history = Duration::from_millis(5);
    let by = |interval| Stores::versioned_by_segments(&ROWS, history, Duration::from_millis(interval));
    assert_eq!(answer(by(1_000), put, ask).1, "[1, 3, 5]");
    assert_eq!(answer(by(5), put, ask).1, "[3, 5]");
}

#[test]
fn stores_with_headers() {
    let put: Feed = |context, record| {
        let mut headers = Headers::EMPTY;
        headers.add("by", Some(record.key.as_bytes().to_vec()));
        let (store, time) = (context.store(&HEADED)?, record.timestamp);
        let row = ValueAndHeaders { value: record.value, headers };
        Ok(store.borrow_mut().put(&record.key, Some(row), time, context.record_context())?)
    };
    let ask: Answer = |context, key| {
        let row = context.global_store(&HEADED)?.get(key)?.ok_or("there is such a row")?;
        Ok(format!("{} {}", row.value, row.headers.iter().count()))
    };
    assert_eq!(answer(Stores::timestamped_key_value_with_headers(&HEADED), put, ask).1, "5 1");
}

/// A sum, in memory only.
struct Sum {
    name: Arc<str>,
    sum: i64,
    offset: Option<i64>,
}

impl StateStore for Sum {
    fn name(&self) -> &str {
        &self.name
    }

    fn drain_changelog(
        &mut self,
        _: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        Ok(())
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.offset = offset.or(self.offset);
    }

    fn restore(&mut self, _: &[u8], _: Option<&[u8]>, _: Timestamp) -> Result<(), StateError> {
        Ok(())
    }

    fn offset(&self) -> Option<i64> {
        self.offset
    }

    fn memory_bytes(&self) -> u64 {
        8
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        (self.sum, self.offset) = (0, None);
        Ok(())
    }
}

#[test]
fn stores_of_ones_own() {
    let put: Feed = |context, record| {
        context.store_as::<Sum>("sum")?.borrow_mut().sum += record.value;
        Ok(())
    };
    let ask: Answer = |context, _| {
        let sum = context.global_store_as::<Sum>("sum")?.read(|store| store.sum)?;
        let other = context.global_window_store(&Store::<String, i64>::new("sum")).err();
        assert!(other.is_some_and(|error| error.to_string().contains("has another type than")));
        Ok(sum.to_string())
    };
    let store = Stores::custom("sum", |open| Ok(Sum { name: open.name, sum: 0, offset: None }));
    let (driver, found) = answer(store, put, ask);
    assert_eq!(found, "15");
    let sum = driver.find_global_store_as::<Sum>("sum").unwrap();
    assert_eq!(sum.read(|store| store.sum).unwrap(), 15);
    assert!(driver.find_store_as::<Sum>("sum").is_none(), "what lies in the task is a stand-in");
}

#[test]
fn a_global_table_may_have_a_bound_of_rows() {
    let builder = StreamsBuilder::new();
    let kept = Materialized::from(&ROWS).lru_map(2);
    let facts = builder.global_table_with(&FACTS, Consumed::new(), kept);
    let join = |asked: String, fact: Option<&i64>| format!("{asked}: {fact:?}");
    builder.stream(&ASKED).left_join_global(&facts, |_, asked| asked.clone(), join).to(&ANSWERS);
    let driver = driver(&builder);
    for key in ["a", "b", "c"] {
        driver.input(&FACTS).pipe(key, 1);
    }
    driver.input(&ASKED).pipe("?", "a");
    driver.input(&ASKED).pipe("?", "c");
    let answers: Vec<String> = driver.output(&ANSWERS).read_all().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers, ["a: None", "c: Some(1)"]);
}
