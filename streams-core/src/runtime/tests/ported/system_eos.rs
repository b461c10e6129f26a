//! The system test `streams_eos_test.py` (`EosTestClient`, `EosTestDriver`): three clients that come and go, or are killed with an open
//! transaction, over 20,000 keys; then every output is held against the input that was committed, record by record.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::crashes::Random;
use super::super::world::Instance;
use super::scene::{Row, Scene, tasks};
use crate::dsl::StreamsBuilder;
use crate::topic::Topic;
use crate::topology::Topology;

const DATA: Topic<String, i32> = Topic::new("data");
const ECHO: Topic<String, i32> = Topic::new("echo");
const MIN: Topic<String, i32> = Topic::new("min");
const SUM: Topic<String, i64> = Topic::new("sum");
const REPARTITION: Topic<String, i32> = Topic::new("repartition");
const MAX: Topic<String, i32> = Topic::new("max");
const CNT: Topic<String, i64> = Topic::new("cnt");
const MAX_NUMBER_OF_KEYS: u64 = 20_000;
const PARTITIONS: i32 = 5;
/// Records between two turns: the input is never drained, so that commits keep to their interval.
const RECORDS_A_TURN: usize = 10;

fn topology(with_repartitioning: bool) -> Topology {
    let builder = StreamsBuilder::new();
    let data = builder.stream(&DATA);
    data.clone().to(&ECHO);
    let grouped = data.clone().group_by_key();
    let min = |_: &String, value: i32, min: &mut i32| *min = value.min(*min);
    grouped.clone().aggregate(|| i32::MAX, min).to_stream().to(&MIN);
    let sum = |_: &String, value: i32, sum: &mut i64| *sum += i64::from(value);
    grouped.aggregate(|| 0, sum).to_stream().to(&SUM);
    if with_repartitioning {
        data.to(&REPARTITION);
        let grouped = builder.stream(&REPARTITION).group_by_key();
        let max = |_: &String, value: i32, max: &mut i32| *max = value.max(*max);
        grouped.clone().aggregate(|| i32::MIN, max).to_stream().to(&MAX);
        grouped.count().to_stream().to(&CNT);
    }
    builder.build().unwrap()
}

/// The driver, and the clients that run.
struct System {
    scene: Scene,
    random: Random,
    complex: bool,
    clients: BTreeMap<u8, Instance>,
}

impl System {
    fn new(complex: bool) -> Self {
        let topics =
            ["data", "echo", "min", "sum", "repartition", "max", "cnt"].map(|topic| (topic, PARTITIONS));
        Self { scene: Scene::new(&topics), random: Random::new(7), complex, clients: BTreeMap::new() }
    }

    /// Turns while the driver writes.
    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            for _ in 0..RECORDS_A_TURN {
                let key = self.random.below(MAX_NUMBER_OF_KEYS).to_string();
                self.scene.put(&DATA, &key, &(self.random.below(10_000) as i32));
            }
            let mut clients: Vec<&mut Instance> = self.clients.values_mut().collect();
            self.scene.world.turn(&mut clients).unwrap();
        }
    }

    /// Until the clients share all tasks, and for three seconds more.
    fn await_rebalance(&mut self) {
        let all = if self.complex { 2 * PARTITIONS } else { PARTITIONS } as usize;
        for _ in 0..2_000 {
            self.turns(1);
            let shares: Vec<usize> = self.clients.values().map(|client| tasks(client).len()).collect();
            let running = self.clients.values().all(Instance::is_running);
            if running && shares.iter().sum::<usize>() == all && !shares.contains(&0) {
                return self.turns(300);
            }
        }
        panic!("the clients do not share the tasks after 20 s");
    }

    fn add(&mut self, number: u8) {
        let mut config = self.scene.config(&format!("processor{number}"));
        config.commit_interval = Duration::from_secs(5);
        config.client_properties.insert("consumer.session.timeout.ms".to_owned(), "6000".to_owned());
        let client = self.scene.start(topology(self.complex), config);
        self.clients.insert(number, client);
        self.await_rebalance();
    }

    fn stop(&mut self, number: u8) {
        self.clients.remove(&number).unwrap().close();
        if !self.clients.is_empty() {
            self.await_rebalance();
        }
    }

    /// kill -9, in the middle of a transaction.
    fn abort(&mut self, number: u8) {
        let (stable, end) =
            (self.scene.stable_end("echo", 0), self.scene.world.kafka.end_offsets("echo").unwrap()[0]);
        assert!(stable < end, "a transaction is open");
        self.clients.remove(&number).unwrap().kill();
        self.await_rebalance();
    }

    /// What the driver's verifier looks at, after everything is stopped.
    fn verify(&self) {
        let scene = &self.scene;
        let (data, repartition) = (self.consumed(&DATA), self.consumed(&REPARTITION));
        assert!(data.len() > MAX_NUMBER_OF_KEYS as usize, "{} records", data.len());
        assert_eq!(by_partition(scene.rows(&ECHO)), by_partition(data.clone()));
        let mut seen: BTreeMap<String, (i32, i64, i32, i64)> = BTreeMap::new();
        let mut update = |row: &Row<String, i32>| {
            let (min, sum, max, cnt) = seen.entry(row.key.clone()).or_insert((i32::MAX, 0, i32::MIN, 0));
            (*min, *sum) = (row.value.min(*min), *sum + i64::from(row.value));
            (*max, *cnt) = (row.value.max(*max), *cnt + 1);
            (*min, *sum, *max, *cnt)
        };
        let running: Vec<_> = data.iter().map(|row| (row, update(row))).collect();
        let expected = |pick: fn(&(i32, i64, i32, i64)) -> i64| {
            by_partition(running.iter().map(|(row, all)| with(row, pick(all))))
        };
        let found =
            |rows: Vec<Row<String, i32>>| by_partition(rows.iter().map(|row| with(row, row.value.into())));
        assert_eq!(found(scene.rows(&MIN)), expected(|all| all.0.into()));
        assert_eq!(by_partition(scene.rows(&SUM)), expected(|all| all.1));
        if self.complex {
            // The repartition topic may be behind data, never different; it is in the same order.
            assert_eq!(by_partition(scene.rows(&REPARTITION)), by_partition(data));
            let mut seen: BTreeMap<&String, (i32, i64)> = BTreeMap::new();
            let mut update = |row: &'_ Row<String, i32>, key| {
                let (max, cnt) = seen.entry(key).or_insert((i32::MIN, 0));
                (*max, *cnt) = (row.value.max(*max), *cnt + 1);
                (*max, *cnt)
            };
            let running: Vec<_> = repartition.iter().map(|row| (row, update(row, &row.key))).collect();
            let max = running.iter().map(|(row, (max, _))| with(row, (*max).into()));
            assert_eq!(found(scene.rows(&MAX)), by_partition(max));
            assert_eq!(
                by_partition(scene.rows(&CNT)),
                by_partition(running.iter().map(|(row, (_, cnt))| with(row, *cnt)))
            );
        }
        self.verify_all_transactions_finished();
    }

    /// The records that the group committed as read.
    fn consumed(&self, topic: &Topic<String, i32>) -> Vec<Row<String, i32>> {
        let committed = |row: &Row<_, _>| self.scene.committed(topic.name(), row.partition).unwrap_or(0);
        let rows = self.scene.rows(topic).into_iter();
        rows.filter(|row| row.offset < committed(row)).collect()
    }

    fn verify_all_transactions_finished(&self) {
        for topic in self.scene.world.kafka.topics() {
            for (partition, end) in (0..).zip(self.scene.world.kafka.end_offsets(&topic).unwrap()) {
                assert_eq!(self.scene.stable_end(&topic, partition), end, "{topic}-{partition}");
            }
        }
    }
}

fn with(row: &Row<String, i32>, value: i64) -> Row<String, i64> {
    Row {
        partition: row.partition,
        offset: row.offset,
        timestamp: row.timestamp,
        key: row.key.clone(),
        value,
    }
}

/// Keys and values of each partition, in order.
fn by_partition<V>(rows: impl IntoIterator<Item = Row<String, V>>) -> BTreeMap<i32, Vec<(String, V)>> {
    super::scene::by_key(rows.into_iter().map(|row| (row.partition, (row.key, row.value))))
}

fn run_rebalance(complex: bool) {
    let mut system = System::new(complex);
    [1, 2, 3].into_iter().for_each(|number| system.add(number));
    system.stop(1);
    system.add(1);
    [2, 3, 1].into_iter().for_each(|number| system.stop(number));
    system.verify();
}

fn run_failure_and_recovery(complex: bool) {
    let mut system = System::new(complex);
    [1, 2, 3].into_iter().for_each(|number| system.add(number));
    for _ in 0..2 {
        system.abort(1);
        system.add(1);
    }
    system.abort(2);
    [3, 1].into_iter().for_each(|number| system.stop(number));
    system.verify();
}

#[test]
fn test_rebalance_simple() {
    run_rebalance(false);
}

#[test]
fn test_rebalance_complex() {
    run_rebalance(true);
}

#[test]
fn test_failure_and_recovery() {
    run_failure_and_recovery(false);
}

#[test]
fn test_failure_and_recovery_complex() {
    run_failure_and_recovery(true);
}
