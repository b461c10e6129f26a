//! The tool on real state: counts of all kinds with RocksDB, on the embedded log. Catches a tool that disturbs a running application, that
//! finds differences where there are none, and that finds none where rows are wrong.
#![cfg(all(feature = "rocksdb", feature = "rdkafka"))]
#![allow(clippy::unwrap_used)]

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use streams_cli::{
    Inspection, Verdict, Verification, find, inspect, print_inspections, print_verdicts, verify,
};
use streams_core::client::ClientSupplier;
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dsl::{Materialized, SessionWindows, StreamsBuilder, TimeWindows};
use streams_core::runtime::clock::SystemClock;
use streams_core::runtime::{KafkaStreams, State};
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;
use streams_state::engine::{Engine, EngineProvider, RocksDbProvider};
use streams_state::types::TopicPartition;

const WORDS: Topic<String, String> = Topic::new("words");
const COUNTS: Store<String, i64> = Store::new("counts");
const MINUTES: Store<String, i64> = Store::new("minutes");
const VISITS: Store<String, i64> = Store::new("visits");
const LATEST: Store<String, String> = Store::new("latest");
/// All of them.
const STORES: [&str; 4] = ["counts", "latest", "minutes", "visits"];
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 60_000;

/// A store of each kind that is compared.
fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let words = builder.stream(&WORDS);
    let grouped = words.clone().group_by_key();
    grouped.clone().count_with(&COUNTS);
    let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    grouped.clone().windowed_by(minutes).count_with(&MINUTES);
    let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30));
    grouped.windowed_by(visits).count_with(&VISITS);
    words.to_table_with(Materialized::from(&LATEST).versioned(Duration::from_secs(3600)));
    builder.build().unwrap()
}

struct World {
    kafka: EmbeddedKafka,
    folder: tempfile::TempDir,
    streams: KafkaStreams,
}

impl World {
    /// An application that runs and has processed `rounds` of input.
    fn new(rounds: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kafka = EmbeddedKafka::new(SystemClock);
        kafka.create_topic("words", 2).unwrap();
        let mut config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = folder.path().join("state");
        let mut streams = KafkaStreams::new(topology(), config, Arc::new(kafka.clone())).unwrap();
        streams.start().unwrap();
        assert!(streams.await_state(&[State::Running], PATIENCE));
        let world = Self { kafka, folder, streams };
        world.feed(0..rounds);
        world
    }

    /// 50 records a round, each round a minute later; all are committed when this returns.
    fn feed(&self, rounds: std::ops::Range<i64>) {
        for round in rounds.clone() {
            for word in 0..50 {
                let (key, at) = (format!("word {}", word * (round + 3) % 37), round * MINUTE + word);
                let value = Some(key.as_bytes());
                self.kafka.produce("words", Some((word % 2) as i32), value, value, at).unwrap();
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let read = |partition| {
            let words = TopicPartition::new("words", partition);
            self.kafka.committed_offset("app", &words).map_or(0, |committed| committed.offset)
        };
        while read(0) + read(1) < 50 * rounds.end {
            assert!(Instant::now() < deadline, "{:?}", self.streams.metrics());
            std::thread::yield_now();
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn checkpoint(&self) -> PathBuf {
        let place = self.folder.path().join("monday");
        self.streams.checkpoint(&place).unwrap();
        place
    }

    fn inspect(&self, directory: &Path) -> Inspection {
        let found = find(directory, None).unwrap();
        assert_eq!(found.len(), 1);
        inspect(&found[0], &engines(), Some(&self.kafka)).unwrap()
    }

    fn verify(&self, directory: &Path) -> Verification {
        verify(&find(directory, Some("app")).unwrap()[0], &engines(), &self.kafka).unwrap()
    }
}

fn engines() -> RocksDbProvider {
    RocksDbProvider::new(8 << 20)
}

/// How many rows are equal; all must be.
fn rows(verification: &Verification) -> u64 {
    assert_eq!(verification.stores.len(), 8);
    let rows = verification.stores.iter().map(|store| match &store.verdict {
        Verdict::Equal { rows, .. } => *rows,
        other => panic!("{}: {other:?}", store.store),
    });
    rows.sum()
}

#[test]
fn inspects_a_running_application_and_its_checkpoints() {
    let mut world = World::new(20);
    let place = world.checkpoint();
    let live = world.inspect(&world.state());
    assert_eq!(live.tasks, world.inspect(&world.state().join("app")).tasks);
    let copy = world.inspect(&place);
    assert_eq!((&*live.application_id, live.taken_at, copy.taken_at.is_some()), ("app", None, true));
    for inspection in [&live, &copy] {
        let names: Vec<(&str, usize)> =
            inspection.tasks.iter().map(|task| (&*task.task, task.stores.len())).collect();
        assert_eq!(names, [("0_0", 4), ("0_1", 4)]);
        for store in inspection.tasks.iter().flat_map(|task| &task.stores) {
            assert_eq!(store.topic.as_deref(), Some(&*format!("app-{}-changelog", store.store)));
            assert!(store.kept && store.rows > 0 && store.bytes > 0 && store.offset > Some(0), "{store:?}");
            assert!(store.lag.unwrap() <= 2, "nothing but markers of transactions: {store:?}");
        }
    }
    world.feed(20..25);
    assert!(world.inspect(&place).tasks[0].stores.iter().all(|store| store.lag > Some(10)));
    let print = |json| {
        let mut text = Vec::new();
        print_inspections(std::slice::from_ref(&copy), json, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let text = print(false);
    assert!(text.contains("application app: checkpoint") && text.contains("app-visits-changelog"), "{text}");
    assert!(print(true).contains("\"application_id\": \"app\""));
    world.streams.close(PATIENCE).unwrap();
    let nothing = find(world.folder.path(), Some("app")).unwrap_err().to_string();
    assert!(nothing.contains("no state of application `app`"), "{nothing}");
}

#[test]
fn state_is_what_its_changelogs_say_until_a_row_is_changed() {
    let mut world = World::new(20);
    let place = world.checkpoint();
    let first = rows(&world.verify(&place));
    assert!(first > 100, "{first}");
    world.feed(20..40);
    world.streams.close(PATIENCE).unwrap();
    assert!(rows(&world.verify(&world.state())) > first);
    // Compaction takes records away that the older copy had seen: what came in their place is left out.
    for store in ["counts", "minutes", "visits"] {
        world.kafka.compact(&format!("app-{store}-changelog")).unwrap();
    }
    rows(&world.verify(&place));
    let all = rows(&world.verify(&world.state()));
    for (number, store) in STORES.iter().enumerate() {
        let restore = change_a_row(&world.state(), number);
        let verification = world.verify(&world.state());
        let differs = |verdict: &Verdict| matches!(verdict, Verdict::Differs(_));
        let differing = verification.stores.iter().filter(|store| differs(&store.verdict));
        let differing: Vec<(&str, &str)> = differing.map(|store| (&*store.task, &*store.store)).collect();
        assert_eq!(differing, [("0_1", *store)], "{verification:?}");
        let mut text = Vec::new();
        print_verdicts(&[verification], false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("DIFFERS in 1 of") && text.contains("first at key word "), "{text}");
        restore();
    }
    assert_eq!(rows(&world.verify(&world.state())), all);
}

/// A broker deletes old records of windowed changelogs: rows that are on disk still were once reported as wrong.
#[test]
fn rows_whose_records_the_broker_deleted_are_left_out() {
    let mut world = World::new(20);
    world.streams.close(PATIENCE).unwrap();
    let all = rows(&world.verify(&world.state()));
    for store in ["minutes", "visits", "latest"] {
        let changelog = TopicPartition::new(format!("app-{store}-changelog").as_str(), 1);
        let end = world.kafka.end_offsets(&changelog.topic).unwrap()[1];
        let mut admin = world.kafka.admin().unwrap();
        admin.delete_records(&[(changelog, end / 2)], PATIENCE).unwrap();
    }
    let cut = world.verify(&world.state());
    assert!(rows(&cut) < all && rows(&cut) > all / 2, "{cut:?}");
    let _restore = change_a_row(&world.state(), 1);
    let differing = world.verify(&world.state()).stores;
    let differing = differing.iter().filter(|store| matches!(store.verdict, Verdict::Differs(_))).count();
    assert_eq!(differing, 0, "a version may be of a record that is gone");
    let _restore = change_a_row(&world.state(), 2);
    let differing = world.verify(&world.state()).stores;
    let differing = differing.iter().filter(|store| matches!(store.verdict, Verdict::Differs(_)));
    assert_eq!(differing.map(|store| &*store.store).collect::<Vec<_>>(), ["minutes"]);
}

/// Flips a bit of the value of a store in task `0_1`. Gives what takes it back.
fn change_a_row(state: &Path, store: usize) -> impl FnOnce() + use<> {
    let task = state.join("app/0_1");
    let write = move |key: &[u8], value: &[u8]| {
        let mut all = engines().open(&task, &STORES).unwrap();
        let offset = all[store].offset().unwrap();
        all[store].apply(&mut std::iter::once((key, Some(value))), offset).unwrap();
    };
    let (key, value) = last_row(&*engines().read(&state.join("app/0_1")).unwrap()[store].1);
    let mut changed = value.clone();
    *changed.last_mut().unwrap() ^= 1;
    write(&key, &changed);
    move || write(&key, &value)
}

/// The last row that has a value.
fn last_row(engine: &dyn Engine) -> (Vec<u8>, Vec<u8>) {
    let mut last = None;
    let mut keep = |key: &[u8], value: &[u8]| {
        if value.len() > 12 {
            last = Some((key.to_vec(), value.to_vec()));
        }
        ControlFlow::Continue(())
    };
    engine.scan(Bound::Unbounded, Bound::Unbounded, &mut keep).unwrap();
    last.unwrap()
}

#[test]
fn the_binary_lists_state_and_says_what_it_lacks() {
    let mut world = World::new(1);
    world.streams.close(PATIENCE).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kstreams"));
        let output = command.args(arguments).arg("--state-dir").arg(world.state()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = run(&["state", "inspect"]);
    assert!(code == Some(0) && out.contains("app-counts-changelog"), "{out}");
    let (code, out, _) = run(&["state", "inspect", "--json"]);
    assert!(code == Some(0) && out.contains("\"task\": \"0_1\""), "{out}");
    let (code, _, error) = run(&["state", "verify"]);
    assert!(code == Some(2) && error.contains("give --bootstrap-server"), "{error}");
}
