//! An application under fault: its topics, its feed, its instances, and what must be true when it has come to rest.
//!
//! In: what a row does to it. Out: an [`Outcome`], after every committed record was compared with the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kstreams::client::rdkafka::RdKafka;
use kstreams::client::{Consumer, OffsetSpec};
use kstreams::types::TopicPartition;
use tempfile::TempDir;

use crate::Site;
use crate::feed::{Feed, Load, now};
use crate::model::{Log, Violations, Workload, compare_rows, replay};
use crate::process::{Instance, signal};
use crate::support::{
    Committed, Everything, Isolation, LOOK, Uncommitted, WAIT, create_with, reader, reader_of,
};
use crate::watch::Watch;

/// Partitions of all topics.
pub(crate) const PARTITIONS: i32 = 4;
/// Records a second.
const RATE: u64 = 1500;
/// Different keys.
const KEYS: u64 = 20_000;
/// After that long a group takes a member for dead.
pub(crate) const SESSION: Duration = Duration::from_secs(4);
/// After that long the broker aborts a transaction.
pub(crate) const TRANSACTION: Duration = Duration::from_secs(5);
/// From SIGTERM to the end of the process.
const END: Duration = Duration::from_secs(10);
/// Longest time from a fault until every partition commits again, or until all input has come out.
const RECOVERY: Duration = Duration::from_secs(90);

/// What a row found out.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    /// Processes killed: instances and brokers.
    pub(crate) kills: usize,
    /// Seconds from a start after `kill -9` until every output partition had a committed record that was fed after it.
    pub(crate) starts: Vec<f64>,
    /// The same for other faults, from the fault on.
    pub(crate) recoveries: Vec<f64>,
    /// Records of the input, and committed records of the outputs.
    pub(crate) records: (u64, u64),
    /// Records that came out twice; at least once allows that.
    pub(crate) duplicates: usize,
    /// What else is to be said.
    pub(crate) notes: Vec<String>,
    /// What is wrong.
    pub(crate) violations: Violations,
}

/// The application of one row.
pub(crate) struct Scene<'a> {
    /// Where it takes place.
    pub(crate) site: &'a Site,
    /// Clients of its own.
    pub(crate) kafka: RdKafka,
    /// Application id; begin of all names.
    pub(crate) name: String,
    /// What runs.
    pub(crate) workload: Workload,
    /// Different keys of the feed.
    pub(crate) keys: u64,
    /// Records a second.
    pub(crate) rate: u64,
    /// Variables of instances that start from now on.
    pub(crate) environment: BTreeMap<String, String>,
    /// Running, frozen and ended instances.
    pub(crate) instances: Vec<Instance>,
    /// What is known so far.
    pub(crate) outcome: Outcome,
    folder: TempDir,
    feed: Option<Feed>,
    fed: u64,
    watch: Watch,
    group: Box<dyn Consumer>,
    earlier_lives: Vec<(String, String)>,
}

impl<'a> Scene<'a> {
    /// Creates the topics. Nothing runs yet.
    pub(crate) fn new(site: &'a Site, row: &str, workload: Workload) -> Self {
        Self::with_inputs(site, row, workload, &[])
    }

    /// The same, with settings of the input topic.
    pub(crate) fn with_inputs(
        site: &'a Site,
        row: &str,
        workload: Workload,
        config: &[(&str, &str)],
    ) -> Self {
        let kafka = RdKafka::new(site.cluster.addresses.as_str(), BTreeMap::new());
        let name = format!("{row}-{}", site.run);
        let outputs = workload.outputs(&format!("{name}-out"));
        create_with(&kafka, &format!("{name}-in"), PARTITIONS, config);
        outputs.iter().for_each(|topic| create_with(&kafka, topic, PARTITIONS, &[]));
        let watch = Watch::start(&kafka, &outputs, PARTITIONS);
        let group = reader_of(&kafka, &name);
        let mut scene = Self {
            site,
            kafka,
            workload,
            keys: KEYS,
            rate: RATE,
            environment: BTreeMap::new(),
            instances: Vec::new(),
            outcome: Outcome::default(),
            folder: tempfile::Builder::new().prefix(&format!("kstreams-{row}-")).tempdir().unwrap(),
            feed: None,
            fed: 0,
            watch,
            group,
            earlier_lives: Vec::new(),
            name,
        };
        scene.set("WORKLOAD", workload.name());
        scene.set("BOOTSTRAP", &site.cluster.addresses);
        scene.set("APP_ID", &scene.name.clone());
        scene.set("INPUT", &scene.input());
        scene.set("OUTPUT", &scene.output());
        scene.set("COMMIT_MS", "100");
        scene.set("SESSION_MS", &SESSION.as_millis().to_string());
        scene.set("TXN_TIMEOUT_MS", &TRANSACTION.as_millis().to_string());
        scene
    }

    /// A variable of instances that start from now on.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.environment.insert(variable.to_owned(), value.to_owned());
    }

    /// The input topic.
    pub(crate) fn input(&self) -> String {
        format!("{}-in", self.name)
    }

    /// The output topic, or the begin of their names.
    pub(crate) fn output(&self) -> String {
        format!("{}-out", self.name)
    }

    /// The changelog of a store.
    pub(crate) fn changelog(&self, store: &str) -> String {
        format!("{}-{store}-changelog", self.name)
    }

    /// Starts an instance on a state directory of its own; its place in `instances`.
    pub(crate) fn start(&mut self, instance: &str) -> usize {
        let state_dir = self.directory(instance);
        self.start_on(instance, &state_dir, None)
    }

    /// The state directory of an instance.
    pub(crate) fn directory(&self, instance: &str) -> PathBuf {
        self.folder.path().join(instance)
    }

    /// Starts an instance on this directory, and lets it write files up to a size.
    pub(crate) fn start_on(&mut self, instance: &str, state_dir: &Path, file_blocks: Option<u32>) -> usize {
        self.instances.push(Instance::start(instance, state_dir, &self.environment, file_blocks));
        self.instances.len() - 1
    }

    /// Starts `count` instances and the feed, and waits until every partition has committed.
    pub(crate) fn begin(&mut self, count: usize) {
        let since = now();
        for number in 1..=count {
            self.start(&format!("i{number}"));
        }
        self.feed();
        if let Some(seconds) = self.await_commits("the first start", since) {
            self.outcome.notes.push(format!("first commits after {seconds:.1} s"));
        }
    }

    /// `kill -9` of an instance.
    pub(crate) fn kill(&mut self, index: usize) {
        self.instances[index].kill();
        self.outcome.kills += 1;
    }

    /// Starts an instance again that has ended, on its directory.
    pub(crate) fn start_again(&mut self, index: usize) {
        let old = &self.instances[index];
        let new = Instance::start(&old.name, &old.state_dir, &self.environment, None);
        let old = std::mem::replace(&mut self.instances[index], new);
        self.earlier_lives.push((old.name.clone(), old.said()));
    }

    /// Starts an instance again, and waits until every partition has committed what was fed since.
    pub(crate) fn start_again_and_wait(&mut self, index: usize) {
        let since = now();
        self.start_again(index);
        if let Some(seconds) = self.await_commits("the start after kill -9", since) {
            self.outcome.starts.push(seconds);
        }
    }

    /// Waits until every partition has committed what was fed since `since`, the time of a fault.
    pub(crate) fn recover(&mut self, fault: &str, since: i64) {
        if let Some(seconds) = self.await_commits(fault, since) {
            self.outcome.recoveries.push(seconds);
        }
    }

    fn await_commits(&mut self, after: &str, since: i64) -> Option<f64> {
        let begin = Instant::now();
        while !self.watch.all_since(since) {
            if begin.elapsed() > RECOVERY {
                let text = format!("after {after} not every partition committed within {RECOVERY:?}");
                self.outcome.violations.add("hang", text);
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Some((now() - since) as f64 / 1000.0)
    }

    /// Begins to feed, or goes on.
    pub(crate) fn feed(&mut self) {
        let topic = (self.input(), PARTITIONS);
        let (workload, keys, rate, seed) = (self.workload, self.keys, self.rate, self.site.seed);
        self.feed = Some(Feed::start(&self.kafka, Load { workload, topic, keys, rate, seed }, self.fed));
    }

    /// Stops to feed.
    pub(crate) fn stop_feed(&mut self) {
        self.fed = self.feed.take().map_or(self.fed, Feed::stop);
    }

    /// Waits until the group has committed the end of all that it reads, behind the markers of transactions. The stable end would not do: a
    /// commit moves it in one partition after the other, so that records of a repartition topic may come after its group's offsets.
    pub(crate) fn drain(&mut self) {
        let sources = [Some(self.input()), self.workload.repartition(&self.name)];
        let partitions: Vec<TopicPartition> =
            sources.iter().flatten().flat_map(|topic| partitions(topic)).collect();
        let begin = Instant::now();
        loop {
            let ends = self.group.list_offsets(&partitions, OffsetSpec::End, LOOK * 50);
            let committed = self.group.committed(&partitions, LOOK * 50);
            if let (Ok(ends), Ok(committed)) = (&ends, &committed) {
                let reached = |(end, offset): (&i64, &Option<_>)| {
                    offset.as_ref().map_or(0, |it: &kstreams::client::CommittedOffset| it.offset) >= *end
                };
                if ends.iter().zip(committed).all(reached) {
                    return;
                }
            }
            if begin.elapsed() > RECOVERY {
                let text = format!(
                    "input is not worked off after {RECOVERY:?}: ends {ends:?}, committed {committed:?}"
                );
                self.outcome.violations.add("hang", text);
                return;
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// SIGTERM to all instances; each must end well, soon.
    pub(crate) fn terminate(&mut self) {
        let begin = Instant::now();
        let mut living: Vec<&mut Instance> =
            self.instances.iter_mut().filter_map(|it| it.lives().then_some(it)).collect();
        living.iter().for_each(|instance| signal(instance.pid(), "TERM"));
        for instance in &mut living {
            let status = instance.ended_within(END.saturating_sub(begin.elapsed()));
            if !status.is_some_and(|status| status.success()) {
                let text = format!("{} after SIGTERM: {status:?}, {}", instance.name, instance.said());
                self.outcome.violations.add("end", text);
                instance.kill();
            }
        }
        if !living.is_empty() {
            self.outcome.notes.push(format!("SIGTERM to exit {:.1} s", begin.elapsed().as_secs_f64()));
        }
    }

    /// An instance must end by itself with status `code`, and say all of `words` on stderr.
    pub(crate) fn must_stop(&mut self, index: usize, code: i32, words: &[&str]) {
        let instance = &mut self.instances[index];
        let begin = Instant::now();
        let status = instance.ended_within(RECOVERY);
        let said = instance.said();
        let name = instance.name.clone();
        let violations = &mut self.outcome.violations;
        match status.map(|status| status.code()) {
            None => violations.add("goes on", format!("{name} must stop and still runs; it said {said}")),
            Some(Some(ended)) if ended == code => {}
            Some(ended) => {
                violations.add("end", format!("{name} ended with {ended:?}, not {code}; it said {said}"))
            }
        }
        for word in words.iter().filter(|word| !said.contains(**word)) {
            violations.add("words", format!("{name} does not say `{word}` but: {said}"));
        }
        self.outcome.notes.push(format!("stopped after {:.1} s", begin.elapsed().as_secs_f64()));
    }

    /// Brings the application to rest, and compares all that it committed with the model.
    pub(crate) fn finish(mut self) -> Outcome {
        self.stop_feed();
        self.drain();
        self.terminate();
        self.verify();
        self.end()
    }

    /// The outcome; what instances said stays on disk if there is something wrong.
    pub(crate) fn end(mut self) -> Outcome {
        if self.outcome.violations.count() > 0 {
            let lives = self.instances.iter().map(|instance| (instance.name.clone(), instance.said()));
            for (number, (name, said)) in self.earlier_lives.drain(..).chain(lives).enumerate() {
                std::fs::write(self.folder.path().join(format!("{number}-{name}.log")), said).unwrap();
            }
            self.folder.disable_cleanup(true);
            self.outcome.notes.push(format!("logs and state: {}", self.folder.path().display()));
        }
        self.outcome
    }

    /// Compares all that was committed with the model, once no transaction is open: what one has committed is there when its marker is.
    pub(crate) fn verify(&mut self) {
        let mut violations = std::mem::take(&mut self.outcome.violations);
        let (outputs, changelogs) = (self.workload.outputs(&self.output()), self.workload.stores());
        let changelogs = changelogs.iter().map(|store| self.changelog(store));
        let written = outputs.iter().cloned().chain(self.workload.repartition(&self.name)).chain(changelogs);
        written.for_each(|topic| self.no_open_transaction(&topic, &mut violations));
        let input = self.read(&self.input());
        let outputs: Vec<Log> = outputs.iter().map(|topic| self.read(topic)).collect();
        let count = |logs: &[Log]| logs.iter().flatten().map(Vec::len).sum::<usize>() as u64;
        self.outcome.records = (count(std::slice::from_ref(&input)), count(&outputs));
        let stores = self.workload.check(&input, &outputs, &mut violations);
        if self.outcome.records.1 == 0 {
            violations.add("lost", "nothing came out");
        }
        for (store, rows) in stores {
            let topic = self.changelog(store);
            compare_rows(&topic, &rows, &replay(&self.read(&topic)), &mut violations);
        }
        self.outcome.duplicates = violations.of("duplicate");
        if self.environment.get("GUARANTEE").is_some_and(|guarantee| guarantee == "at_least_once") {
            // What follows from duplicates: sums that are too large, and order.
            ["duplicate", "wrong value", "order"]
                .into_iter()
                .for_each(|kind| drop(violations.0.remove(kind)));
        }
        self.outcome.violations = violations;
    }

    /// The ends of all partitions of a topic.
    pub(crate) fn ends(&self, topic: &str) -> Vec<i64> {
        reader(&self.kafka, Uncommitted).list_offsets(&partitions(topic), OffsetSpec::End, WAIT).unwrap()
    }

    /// What the group has committed of the input, partition by partition.
    pub(crate) fn committed(&mut self) -> Vec<i64> {
        let committed = self.group.committed(&partitions(&self.input()), WAIT).unwrap();
        committed.into_iter().map(|offset| offset.map_or(0, |offset| offset.offset)).collect()
    }

    /// All committed records of a topic.
    pub(crate) fn read(&self, topic: &str) -> Log {
        read_topic(&self.kafka, topic, Committed)
    }

    /// The last stable offset of every partition reaches its end.
    fn no_open_transaction(&self, topic: &str, violations: &mut Violations) {
        let (mut consumer, begin) = (reader(&self.kafka, Uncommitted), Instant::now());
        loop {
            let stable = consumer.list_offsets(&partitions(topic), OffsetSpec::Stable, WAIT).unwrap();
            let end = consumer.list_offsets(&partitions(topic), OffsetSpec::End, WAIT).unwrap();
            if stable == end {
                return;
            }
            // Those of a dead instance that nobody replaced end by their timeout.
            if begin.elapsed() > TRANSACTION * 4 {
                violations.add("open transaction", format!("{topic}: stable ends {stable:?}, ends {end:?}"));
                return;
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

/// All partitions of a topic.
pub(crate) fn partitions(topic: &str) -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new(topic, partition)).collect()
}

/// All records of a topic that a reader of this isolation sees.
fn read_topic(kafka: &RdKafka, topic: &str, isolation: Isolation) -> Log {
    let (places, mut consumer) = (partitions(topic), reader(kafka, isolation));
    let begins = consumer.list_offsets(&places, OffsetSpec::Beginning, WAIT).unwrap();
    let ends = consumer.list_offsets(&places, OffsetSpec::Stable, WAIT).unwrap();
    let assignment: Vec<_> =
        places.iter().cloned().zip(begins).zip(0..).map(|((at, from), slot)| (at, from, slot)).collect();
    consumer.assign(&assignment).unwrap();
    let (mut sink, mut last) = (Everything::default(), (0, Instant::now()));
    while places.iter().zip(&ends).any(|(place, end)| consumer.position(place).unwrap() < *end) {
        consumer.poll(LOOK, &mut sink).unwrap();
        if sink.0.len() > last.0 {
            last = (sink.0.len(), Instant::now());
        }
        assert!(last.1.elapsed() < WAIT, "{topic} cannot be read to its end {ends:?}");
    }
    let mut log = vec![Vec::new(); PARTITIONS as usize];
    sink.0.into_iter().for_each(|record| log[record.slot as usize].push(record));
    log
}
