//! `KafkaStreams` as an application sees it, with real threads and the real clock on the embedded log: states, listeners,
//! failing threads, close. Conditions are awaited with a deadline. Catches what virtual time in one thread cannot: a
//! thread that does not end, a state that is never told, a lock that is not given back.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use kstreams::runtime::{CloseOptions, GroupMembershipOperation};

const LINES: Topic<(), String> = Topic::new("lines");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("store");
const PATIENCE: Duration = Duration::from_secs(30);

fn word_count() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream(&LINES)
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count_with(&STORE)
        .to_stream()
        .to(&COUNTS);
    builder.build().unwrap()
}

fn kafka() -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic("lines", 4).unwrap();
    kafka.create_topic("counts", 4).unwrap();
    kafka
}

fn feed(kafka: &EmbeddedKafka, lines: usize) {
    for line in 0..lines {
        let text = format!("a b{}", line % 7);
        kafka.produce("lines", Some((line % 4) as i32), None, Some(text.as_bytes()), line as i64).unwrap();
    }
}

fn config(folder: &tempfile::TempDir, name: &str, threads: usize) -> StreamsConfig {
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().join(name);
    config.num_stream_threads = threads;
    config
}

fn counts(kafka: &EmbeddedKafka) -> BTreeMap<String, i64> {
    let records = kafka.read_all("counts", true).unwrap().into_iter();
    let row = |(key, value): (Option<Vec<u8>>, Option<Vec<u8>>)| {
        (String::from_utf8(key.unwrap()).unwrap(), i64::from_be_bytes(value.unwrap().try_into().unwrap()))
    };
    records.map(|record| row((record.key, record.value))).collect()
}

fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn runs_tells_its_states_and_closes_in_time() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    feed(&kafka, 700);
    let states = Arc::new(Mutex::new(Vec::new()));
    let heard = states.clone();
    let mut streams =
        KafkaStreams::new(word_count(), config(&folder, "one", 2), Arc::new(kafka.clone())).unwrap();
    streams.set_state_listener(move |new, _| heard.lock().unwrap().push(new));
    assert_eq!(streams.state(), State::Created);
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Running], PATIENCE));
    await_that("700 lines", || counts(&kafka).get("a") == Some(&700));
    await_that("lag 0", || streams.metrics().lag == 0);
    assert_eq!(streams.metrics().tasks, 8);
    let began = Instant::now();
    streams.close(PATIENCE).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "close took {:?}", began.elapsed());
    let states = states.lock().unwrap();
    assert_eq!(states.first(), Some(&State::Rebalancing));
    assert_eq!(states[states.len() - 2..], [State::PendingShutdown, State::NotRunning]);
    assert_eq!(counts(&kafka).values().sum::<i64>(), 1400);
}

/// A process that ended after an application had been dropped was aborted by RocksDB at times, under which threads still worked.
#[test]
fn an_application_that_is_dropped_is_closed_before_the_program_goes_on() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    let states = Arc::new(Mutex::new(Vec::new()));
    for round in 1..=5 {
        let heard = states.clone();
        let mut streams =
            KafkaStreams::new(word_count(), config(&folder, "one", 2), Arc::new(kafka.clone())).unwrap();
        streams.set_state_listener(move |new, _| heard.lock().unwrap().push(new));
        streams.start().unwrap();
        feed(&kafka, 100);
        await_that("100 lines", || counts(&kafka).get("a") == Some(&(100 * round)));
        drop(streams);
        let states = states.lock().unwrap();
        assert_eq!(states[states.len() - 2..], [State::PendingShutdown, State::NotRunning]);
    }
}

#[test]
fn two_instances_share_the_work_and_take_over() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    let start = |name: &str| {
        let mut streams =
            KafkaStreams::new(word_count(), config(&folder, name, 1), Arc::new(kafka.clone())).unwrap();
        streams.start().unwrap();
        streams
    };
    feed(&kafka, 100);
    let (mut one, mut two) = (start("one"), start("two"));
    await_that("four tasks each", || one.metrics().tasks == 4 && two.metrics().tasks == 4);
    feed(&kafka, 100);
    await_that("200 lines", || counts(&kafka).get("a") == Some(&200));
    one.close(PATIENCE).unwrap();
    feed(&kafka, 100);
    await_that("300 lines", || counts(&kafka).get("a") == Some(&300));
    assert_eq!(two.metrics().tasks, 8);
    two.close(PATIENCE).unwrap();
    assert_eq!(counts(&kafka).values().sum::<i64>(), 600);
}

#[cfg(feature = "rocksdb")]
#[test]
fn another_instance_starts_from_a_checkpoint_that_was_taken_under_load() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    let start = |name: &str, config: StreamsConfig| {
        let mut streams = KafkaStreams::new(word_count(), config, Arc::new(kafka.clone())).unwrap();
        let restored = Arc::new(AtomicUsize::new(0));
        streams.set_global_state_restore_listener(Arc::new(Restored(restored.clone())));
        streams.start().unwrap();
        assert!(streams.await_state(&[State::Running], PATIENCE), "{name}");
        (streams, restored)
    };
    let mut without_cache = config(&folder, "one", 2);
    without_cache.statestore_cache_max_bytes = 0; // Each update is a changelog record.
    let (mut one, _) = start("one", without_cache);
    let place = folder.path().join("checkpoint");
    let closed = one.checkpoint(&folder.path().join("one/app")).unwrap_err().to_string();
    assert!(closed.contains("not an empty directory"), "{closed}");
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| feed(&kafka, 700)));
        await_that("1000 lines", || counts(&kafka).get("a").is_some_and(|count| *count > 1000));
        one.checkpoint(&place).unwrap()
    });
    assert_eq!(taken.tasks.iter().map(|task| &*task.task).collect::<Vec<_>>(), ["1_0", "1_1", "1_2", "1_3"]);
    await_that("14000 lines", || counts(&kafka).get("a") == Some(&14_000));
    one.close(PATIENCE).unwrap();
    let error = one.checkpoint(&place).unwrap_err().to_string();
    assert!(error.contains("in state NOT_RUNNING"), "{error}");

    let end: i64 = kafka.end_offsets("app-store-changelog").unwrap().iter().sum();
    let copied: i64 = taken.tasks.iter().filter_map(|task| task.stores[0].offset).sum();
    let mut from = config(&folder, "two", 1);
    from.state_start_from = Some(place);
    let (mut two, restored) = start("two", from);
    let restored = restored.load(Ordering::SeqCst) as i64;
    assert!(copied > 0 && restored <= end - copied, "{restored} of {end} restored, {copied} copied");
    feed(&kafka, 100);
    await_that("14100 lines", || counts(&kafka).get("a") == Some(&14_100));
    two.close(PATIENCE).unwrap();
    assert_eq!(counts(&kafka).values().sum::<i64>(), 28_200);
}

/// Counts what is restored.
#[cfg(feature = "rocksdb")]
struct Restored(Arc<AtomicUsize>);

#[cfg(feature = "rocksdb")]
impl StateRestoreListener for Restored {
    fn on_restore_end(&self, _: &kstreams::types::TopicPartition, _: &str, records: u64) {
        self.0.fetch_add(records as usize, Ordering::SeqCst);
    }
}

#[test]
fn threads_come_and_go_while_it_runs() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    let mut streams =
        KafkaStreams::new(word_count(), config(&folder, "one", 1), Arc::new(kafka.clone())).unwrap();
    assert_eq!(streams.add_stream_thread().unwrap(), None, "not before the start");
    streams.start().unwrap();
    let shares = |streams: &KafkaStreams| -> Vec<(String, usize)> {
        let threads = streams.metadata_for_local_threads().into_iter();
        threads.map(|thread| (thread.thread_name, thread.active_tasks.len())).collect()
    };
    let thread = |number: usize, tasks: usize| (format!("app-StreamThread-{number}"), tasks);
    await_that("all tasks", || shares(&streams) == [thread(1, 8)]);
    assert_eq!(streams.add_stream_thread().unwrap().as_deref(), Some("app-StreamThread-2"));
    await_that("half of them", || shares(&streams) == [thread(1, 4), thread(2, 4)]);
    let tasks = streams.metadata_for_local_threads().into_iter().flat_map(|thread| thread.active_tasks);
    let read: usize = tasks.map(|task| task.topic_partitions.len()).sum();
    assert_eq!(read, 8, "four lines, four repartitions");
    feed(&kafka, 100);
    await_that("100 lines", || counts(&kafka).get("a") == Some(&100));
    assert_eq!(streams.remove_stream_thread(PATIENCE).unwrap().as_deref(), Some("app-StreamThread-2"));
    await_that("all tasks again", || shares(&streams) == [thread(1, 8)]);
    await_that("running", || streams.state() == State::Running);
    feed(&kafka, 100);
    await_that("200 lines", || counts(&kafka).get("a") == Some(&200));
    assert_eq!(streams.remove_stream_thread(PATIENCE).unwrap().as_deref(), Some("app-StreamThread-1"));
    assert_eq!(streams.remove_stream_thread(PATIENCE).unwrap(), None);
    assert!(streams.state().is_running_or_rebalancing(), "an instance without threads waits for some");
    assert_eq!(streams.add_stream_thread().unwrap().as_deref(), Some("app-StreamThread-1"));
    feed(&kafka, 100);
    await_that("300 lines", || counts(&kafka).get("a") == Some(&300));
    assert_eq!(counts(&kafka).values().sum::<i64>(), 600, "nothing twice");
    streams.close(PATIENCE).unwrap();
    assert!(streams.metadata_for_local_threads().is_empty());
}

#[test]
fn local_state_is_deleted_only_while_it_does_not_run() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    feed(&kafka, 10);
    let application =
        || KafkaStreams::new(word_count(), config(&folder, "one", 1), Arc::new(kafka.clone())).unwrap();
    let task = folder.path().join("one/app/1_0");
    std::fs::create_dir_all(task.join("rows")).unwrap();
    std::fs::create_dir_all(folder.path().join("one/app/global")).unwrap();
    let mut streams = application();
    streams.clean_up().unwrap();
    assert!(!task.exists() && !folder.path().join("one/app/global").exists());
    streams.start().unwrap();
    let error = streams.clean_up().unwrap_err().to_string();
    assert!(error.contains("close the application first"), "{error}");
    assert!(application().clean_up().is_err(), "another handle of the same directory");
    await_that("10 lines", || counts(&kafka).get("a") == Some(&10));
    let restart =
        CloseOptions::timeout(PATIENCE).group_membership_operation(GroupMembershipOperation::RemainInGroup);
    streams.close_with(restart).unwrap();
    streams.clean_up().unwrap();
    let mut streams = application();
    streams.start().unwrap();
    feed(&kafka, 10);
    await_that("20 lines", || counts(&kafka).get("a") == Some(&20));
    streams.close(PATIENCE).unwrap();
}

/// Fails on the first records that it sees, then works.
fn fails_at_first(how: fn()) -> Topology {
    let failures = Arc::new(AtomicUsize::new(0));
    let builder = StreamsBuilder::new();
    let check = move |line: String| {
        if failures.fetch_add(1, Ordering::SeqCst) < 3 {
            how();
            return Err("not yet");
        }
        Ok(line)
    };
    builder
        .stream(&LINES)
        .try_map_values(check)
        .map_values(|_| 1)
        .map(|(), one: i64| ("a".to_owned(), one))
        .to(&COUNTS);
    builder.build().unwrap()
}

fn survives(how: fn()) {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    feed(&kafka, 40);
    let mut streams =
        KafkaStreams::new(fails_at_first(how), config(&folder, "one", 1), Arc::new(kafka.clone())).unwrap();
    let failures = Arc::new(AtomicUsize::new(0));
    let seen = failures.clone();
    streams.set_uncaught_exception_handler(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        StreamThreadExceptionResponse::ReplaceThread
    });
    streams.start().unwrap();
    await_that("40 records", || kafka.read_all("counts", true).unwrap().len() == 40);
    assert_eq!(failures.load(Ordering::SeqCst), 3);
    streams.close(PATIENCE).unwrap();
    assert_eq!(kafka.read_all("counts", true).unwrap().len(), 40, "each record once");
}

#[test]
fn a_thread_that_fails_is_replaced_and_nothing_repeats() {
    survives(|| {});
}

#[test]
fn a_thread_that_panics_is_replaced_and_nothing_repeats() {
    survives(|| panic!("user code panics"));
}

#[test]
fn without_a_handler_the_instance_stops_and_says_why() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    feed(&kafka, 4);
    let mut streams =
        KafkaStreams::new(fails_at_first(|| {}), config(&folder, "one", 1), Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    assert!(streams.await_state(&[State::Error], PATIENCE));
    let error = streams.error().unwrap();
    assert!(error.contains("lines-") && error.contains("not yet"), "{error}");
    assert!(streams.close(PATIENCE).is_err());
    assert_eq!(kafka.read_all("counts", true).unwrap().len(), 0);
}

#[test]
fn starting_twice_is_refused() {
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    let mut streams = KafkaStreams::new(word_count(), config(&folder, "one", 1), Arc::new(kafka)).unwrap();
    streams.start().unwrap();
    let error = streams.start().unwrap_err().to_string();
    assert!(error.contains("starts once"), "{error}");
    streams.close(PATIENCE).unwrap();
}

#[test]
fn a_global_table_is_full_before_the_threads_start_and_its_fault_stops_the_instance() {
    const RATES: Topic<String, i64> = Topic::new("rates");
    let (kafka, folder) = (kafka(), tempfile::tempdir().unwrap());
    kafka.create_topic("rates", 3).unwrap();
    let rate = |key: &str, value: &[u8]| {
        kafka.produce("rates", Some(1), Some(key.as_bytes()), Some(value), 0).unwrap();
    };
    (0..7).for_each(|number| rate(&format!("a b{number}"), &1_i64.to_be_bytes()));
    feed(&kafka, 700);
    let builder = StreamsBuilder::new();
    let rates = builder.global_table(&RATES);
    builder
        .stream(&LINES)
        .join_global(&rates, |(), line| line.clone(), |line, rate| (line, *rate))
        .map(|(), (line, rate)| (line, rate))
        .to(&COUNTS);
    let topology = builder.build().unwrap();
    let mut streams =
        KafkaStreams::new(topology, config(&folder, "one", 2), Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    await_that("700 joined lines", || kafka.read_all("counts", true).unwrap().len() == 700);
    assert!(streams.await_state(&[State::Running], PATIENCE));
    rate("bad", b"no number");
    assert!(streams.await_state(&[State::Error], PATIENCE));
    let error = streams.error().unwrap();
    assert!(error.contains("rates-1@7"), "{error}");
    assert!(streams.close(PATIENCE).is_err());
}
