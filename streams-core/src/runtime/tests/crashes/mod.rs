//! Whatever is killed when: a topology that is interrupted all the time gives what one gives that runs in one go.
//!
//! [`check`] runs a topology over random input twice. First in one go. Then with the same input in portions, while instances
//! are killed at random turns, closed, joined by others, given other numbers of threads, rewound, made to flush, and robbed of
//! their state on disk, which they restore record by record or in bulk, and whose engines fail and lose what was applied last;
//! and changelogs are compacted. The committed outputs of each key, in their order, must be equal, and so must what the changelogs hold in
//! the end: that is what the stores hold.
//!
//! What stream time an operator has seen is not kept over a restart (as in Kafka Streams), so input is late only within the grace.

mod aggregates;
mod disk;
mod joins;
mod kept;
mod late;
mod memory;
mod suppress;
mod tables;
mod waiting;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use streams_state::engine::EngineProvider;

pub(super) use self::kept::{Failure, Kept};
use self::waiting::Waiting;
use super::world::{APP, Instance, World};
use crate::config::StreamsConfig;
use crate::runtime::StreamsError;
use crate::runtime::recover::{Phase, state_error};
use crate::runtime::stream_thread::{StreamThread, Trouble};
use crate::task::FlushPolicy;
use crate::topic::Topic;
use crate::topology::Topology;
use streams_state::types::Headers;

/// Values of tables may be null.
pub(super) const IN: Topic<String, Option<String>> = Topic::new("in");
/// A row for each key but the first; read as a global table.
pub(super) const RATES: Topic<String, String> = Topic::new("rates");
pub(super) const OUT: Topic<String, Option<String>> = Topic::new("out");

/// In the names of versioned stores.
pub(super) const VERSIONED: &str = "history";

/// A topology, and what its input looks like.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) topology: fn() -> Topology,
    pub(super) partitions: i32,
    /// Records.
    pub(super) records: usize,
    pub(super) keys: u64,
    /// Time between records is below this, ms.
    pub(super) step: u64,
    /// Records are late by less than this, ms; 0: never.
    pub(super) late: u64,
    /// One of this many values is null; 0: none.
    pub(super) nulls: u64,
    pub(super) headers: bool,
    pub(super) caching: bool,
    /// `memory.max.bytes`: so little that rows leave memory.
    pub(super) memory_max_bytes: u64,
    /// A left or outer join: its outputs have no one order, and the headers of some are not given by the input.
    waiting: Option<Waiting>,
    /// Compare the changelogs, too: not where rows hold offsets of internal topics.
    pub(super) changelogs: bool,
}

impl Case {
    pub(super) const fn new(topology: fn() -> Topology) -> Self {
        Self {
            topology,
            partitions: 2,
            records: 260,
            keys: 5,
            step: 4_000,
            late: 5_000,
            memory_max_bytes: 4_000,
            nulls: 0,
            headers: false,
            caching: false,
            waiting: None,
            changelogs: true,
        }
    }
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A record of the input.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) timestamp: i64,
    pub(super) headers: Headers,
}

/// Left and right values, some of them null or late. The last record moves time on, so that everything that waits closes.
pub(super) fn input(case: &Case, seed: u64) -> Vec<Line> {
    let mut random = Random::new(seed);
    let mut time = 100_000;
    let mut lines = Vec::new();
    for number in 0..case.records {
        time += random.below(case.step) as i64;
        let late = if case.late > 0 && random.one_in(3) { random.below(case.late) as i64 } else { 0 };
        let side = if random.one_in(2) { "L" } else { "R" };
        let null = case.nulls > 0 && random.one_in(case.nulls);
        let mut headers = Headers::EMPTY;
        if case.headers && random.one_in(2) {
            headers.add("from", Some(number.to_be_bytes().to_vec()));
        }
        let value = if null { format!("{side}-") } else { format!("{side}{number}") };
        let key = format!("k{}", random.below(case.keys));
        lines.push(Line { key, value: Some(value), timestamp: time - late, headers });
    }
    for key in 0..3 * case.keys {
        time += 30_000;
        let key = format!("k{}", key % case.keys);
        lines.push(Line { key, value: Some("L0".to_owned()), timestamp: time, headers: Headers::EMPTY });
    }
    lines
}

/// A record of the output.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Output {
    /// `null` if it is.
    pub(super) value: String,
    pub(super) timestamp: i64,
    pub(super) headers: Headers,
}

/// The outputs of each key; and the rows that changelogs end with.
#[derive(PartialEq, Debug)]
pub(super) struct Results {
    pub(super) outputs: BTreeMap<String, Vec<Output>>,
    pub(super) changelogs: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Where an application runs.
pub(super) struct Stage {
    pub(super) world: World,
    kept: Kept,
    case: Case,
    rocks: bool,
}

impl Stage {
    pub(super) fn new(case: &Case, rocks: bool) -> Self {
        let world = World::new(1);
        world.kafka.create_topic("in", case.partitions).unwrap();
        world.kafka.create_topic("out", case.partitions).unwrap();
        world.kafka.create_topic("rates", 3).unwrap();
        for key in 1..case.keys {
            let (key, rate) = (format!("k{key}"), format!("rate{key}"));
            let (key, rate) = (Some(key.as_bytes()), Some(rate.as_bytes()));
            world.kafka.produce("rates", None, key, rate, 5).unwrap();
        }
        Self { world, kept: Kept::default(), case: *case, rocks }
    }

    pub(super) fn produce(&self, line: &Line) {
        let value = line.value.as_ref().map(|value| value.as_bytes());
        let record = (Some(line.key.as_bytes()), value, line.timestamp);
        self.world.kafka.produce_with_headers("in", None, record, &line.headers).unwrap();
    }

    fn engines(&self) -> Arc<dyn EngineProvider> {
        #[cfg(feature = "rocksdb")]
        if self.rocks {
            return super::world::engines();
        }
        assert!(!self.rocks);
        Arc::new(self.kept.clone())
    }

    fn config(&self, instance: &str, threads: usize) -> StreamsConfig {
        let mut config = self.world.config(instance);
        config.num_stream_threads = threads;
        config.dsl_store_headers = self.case.headers;
        config.memory_max_bytes = self.case.memory_max_bytes;
        if !self.case.caching {
            config.statestore_cache_max_bytes = 0;
        }
        config
    }

    pub(super) fn start(&self, instance: &str, threads: usize) -> Instance {
        let config = self.config(instance, threads);
        self.world.instance_with((self.case.topology)(), config, self.engines()).unwrap()
    }

    /// The state directory of an instance is gone, its process id, too.
    fn delete_state(&self, instance: &str) {
        let directory = self.world.root.path().join(instance);
        self.kept.delete(&directory);
        remove(&directory);
    }

    /// The group forgets members that were killed, and their transactions time out.
    pub(super) fn forget_the_dead(&self) {
        self.world.kafka.expire_members(APP);
        self.world.clock.advance(61_000);
    }

    /// Of each key of a changelog the last record stays, and of versioned tables all, as their `min.compaction.lag.ms` asks for.
    /// If `old`, tombstones go, too. A store on disk that is older than that (`delete.retention.ms`, a day) would never hear of
    /// them, as in Kafka Streams: it must be deleted.
    fn compact(&self, old: bool) {
        for round in 0..=u8::from(old) {
            self.world.clock.advance(i64::from(round) * 25 * 3_600_000);
            let topics = self.world.kafka.topics().into_iter().filter(|topic| topic.ends_with("-changelog"));
            for topic in topics.filter(|topic| !topic.contains(VERSIONED)) {
                self.world.kafka.compact(&topic).unwrap();
            }
        }
        if old {
            ["i1", "i2"].into_iter().for_each(|instance| self.delete_state(instance));
        }
    }

    pub(super) fn results(&self) -> Results {
        let mut outputs: BTreeMap<String, Vec<Output>> = BTreeMap::new();
        for record in self.world.kafka.read_all("out", true).unwrap() {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let value = record.value.map_or("null".to_owned(), text);
            let output = Output { value, timestamp: record.timestamp, headers: record.headers };
            outputs.entry(text(record.key.unwrap())).or_default().push(output);
        }
        let mut changelogs: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
        let topics = self.world.kafka.topics();
        for topic in topics.iter().filter(|topic| self.case.changelogs && topic.ends_with("-changelog")) {
            let rows = changelogs.entry(topic.clone()).or_default();
            for record in self.world.kafka.read_all(topic, true).unwrap() {
                let key = record.key.unwrap();
                match record.value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
        }
        Results { outputs, changelogs }
    }
}

fn remove(directory: &Path) {
    if directory.exists() {
        std::fs::remove_dir_all(directory).unwrap();
    }
}

fn done(result: Result<(), Trouble>) {
    match result {
        Ok(()) => {}
        Err(Trouble::Client(phase, error)) => panic!("{phase:?}: {error}"),
        Err(Trouble::Task(error)) => panic!("{error}"),
        Err(Trouble::Streams(error)) => panic!("{error}"),
    }
}

/// Commits, then everything goes to the engines.
pub(super) fn flush(thread: &mut StreamThread) {
    done(try_flush(thread));
}

fn try_flush(thread: &mut StreamThread) -> Result<(), Trouble> {
    match thread.commit() {
        Ok(_) => thread.flush_stores(FlushPolicy { records_max: 1, bytes_max: 1, waits: true }),
        // A rebalance is under way, or the member is not in the group yet: the step answers that.
        Err(Trouble::Client(Phase::Commit, _)) => thread.abort_and_rewind(),
        Err(trouble) => Err(trouble),
    }
}

/// A turn of all instances, and what may happen to a thread. An error of the disk ends a thread; damaged data do not, unless
/// they are found again and again.
fn turn(stage: &Stage, instances: &mut [Instance], random: &mut Random) -> Result<(), StreamsError> {
    let mut all: Vec<&mut Instance> = instances.iter_mut().collect();
    stage.world.turn(&mut all)?;
    for thread in instances.iter_mut().flat_map(|instance| &mut instance.threads) {
        let result = match random.below(24) {
            0 => thread.abort_and_rewind(),
            1 | 2 => try_flush(thread),
            _ => Ok(()),
        };
        result.or_else(|trouble| thread.recover(trouble))?;
    }
    Ok(())
}

fn is_of_the_disk(error: &StreamsError) -> bool {
    state_error(error).is_some() || error.to_string().contains("damaged again")
}

/// In one go.
pub(super) fn uninterrupted(case: &Case, lines: &[Line]) -> Results {
    let stage = Stage::new(case, false);
    lines.iter().for_each(|line| stage.produce(line));
    let mut one = stage.start("i1", 1);
    stage.world.run_until_drained(&mut [&mut one]);
    stage.results()
}

/// With everything that can happen in between.
pub(super) fn interrupted(case: &Case, lines: &[Line], seed: u64, rocks: bool) -> Results {
    let stage = Stage::new(case, rocks);
    let mut random = Random::new(seed + 1_000);
    let mut bulk = Random::new(seed + 2_000);
    let mut rest = lines.iter();
    let mut threads = 1;
    while rest.len() > 0 {
        let mut instances = vec![stage.start("i1", threads)];
        if random.one_in(4) {
            instances.push(stage.start("i2", 1));
        }
        for thread in instances.iter_mut().flat_map(|instance| &mut instance.threads) {
            thread.restorer.bulk_min_records = if bulk.one_in(2) { 1 } else { i64::MAX };
        }
        let mut failed = false;
        for _ in 0..random.below(40) {
            if random.one_in(2) {
                rest.by_ref().take(random.below(8) as usize).for_each(|line| stage.produce(line));
            }
            if !rocks && random.one_in(16) {
                let failure = if random.one_in(2) { Failure::Refused } else { Failure::Damaged };
                stage.kept.fail_after(random.below(60), failure);
            }
            if let Err(error) = turn(&stage, &mut instances, &mut random) {
                assert!(!rocks && is_of_the_disk(&error), "{error}");
                failed = true;
                break;
            }
        }
        stage.kept.heal();
        let several = instances.len() > 1 || threads > 1;
        let closed = random.one_in(4) && !failed;
        for instance in instances {
            if closed { instance.close() } else { instance.kill() }
        }
        if random.one_in(4) {
            stage.kept.lose(random.below(3) as usize);
        }
        let before = std::mem::replace(&mut threads, 1 + random.below(3) as usize);
        let robbed = random.one_in(3);
        if robbed {
            stage.delete_state(if random.one_in(3) { "i2" } else { "i1" });
        }
        let (compacted, old) = (random.one_in(4), random.one_in(2));
        if compacted {
            stage.compact(old);
        }
        if robbed || several || before != threads || (compacted && old) {
            stage.forget_the_dead();
        }
    }
    let mut one = stage.start("i1", threads);
    stage.world.run_until_drained(&mut [&mut one]);
    stage.results()
}

/// Both ways, for several seeds; gives the number of outputs. With caches only the last output of each key is the same.
pub(super) fn check(case: Case) -> usize {
    let (mut count, mut schedules) = (0, 0);
    for seed in 1..6 {
        let lines = input(&case, seed);
        let expected = uninterrupted(&case, &lines);
        count += expected.outputs.values().map(Vec::len).sum::<usize>();
        for rocks in 0..=u8::from(cfg!(feature = "rocksdb")) {
            let rocks = rocks == 1;
            let mut found = interrupted(&case, &lines, seed, rocks);
            schedules += 1;
            let mut outputs = expected.outputs.clone();
            if case.caching {
                only_rows(&mut outputs);
                only_rows(&mut found.outputs);
            }
            if let Some(waiting) = &case.waiting {
                for outputs in [&mut outputs, &mut found.outputs] {
                    let checked = waiting.check_headers(outputs, &lines);
                    assert_eq!(checked > 10, case.headers, "{checked} results had headers");
                    *outputs = waiting.apart(outputs);
                }
            }
            assert_equal(&outputs, &found.outputs, seed, rocks);
            let names = found.changelogs.keys().eq(expected.changelogs.keys());
            assert!(names, "changelogs {:?}", found.changelogs.keys());
            for (topic, rows) in &expected.changelogs {
                let found = found.changelogs.get(topic);
                assert_eq!(found, Some(rows), "seed {seed}, rocksdb {rocks}, changelog {topic}");
            }
        }
    }
    // Past the capture of the test's output, for the summary of `make test`.
    let words = format!("state schedules: {schedules}\n");
    std::io::stdout().write_all(words.as_bytes()).unwrap();
    count
}

/// Of each key the last output, if it is no deletion: a cache may swallow a row that comes and goes.
fn only_rows(outputs: &mut BTreeMap<String, Vec<Output>>) {
    outputs.values_mut().for_each(|outputs| drop(outputs.drain(..outputs.len() - 1)));
    outputs.retain(|_, outputs| outputs.iter().all(|last| !last.value.eq("null")));
}

/// The first difference, with what was before it.
fn assert_equal(
    expected: &BTreeMap<String, Vec<Output>>,
    found: &BTreeMap<String, Vec<Output>>,
    seed: u64,
    rocks: bool,
) {
    for (key, outputs) in expected {
        let empty = Vec::new();
        let found = found.get(key).unwrap_or(&empty);
        let same = outputs.iter().zip(found).take_while(|(one, other)| one == other).count();
        let next =
            |list: &[Output]| list.iter().skip(same.saturating_sub(2)).take(5).cloned().collect::<Vec<_>>();
        assert!(
            outputs == found,
            "seed {seed}, rocksdb {rocks}, key {key}: {} outputs expected, {} found, the first {same} are equal, then\n{:#?}\nbut\n{:#?}",
            outputs.len(),
            found.len(),
            next(outputs),
            next(found)
        );
    }
    assert!(expected.keys().eq(found.keys()), "seed {seed}: {:?}", found.keys());
}
