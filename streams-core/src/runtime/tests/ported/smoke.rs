//! `SmokeTestClient` and `SmokeTestDriver`: one topology of many operators, clients that come and go, and a full check. Kafka Streams
//! compares last values; where no record cache merges updates, here every update is compared.

use std::time::Duration;

use super::super::crashes::Random;
use super::super::world::Instance;
use super::scene::Scene;
use super::smoke_model::{Model, check_exactly, check_last_values, check_nothing_lost};
use crate::config::StreamsConfig;
use crate::dsl::{BufferConfig, Consumed, KTable, Materialized, StreamsBuilder, Suppressed, TimeWindows};
use crate::topic::{Store, Topic};
use crate::topology::Topology;
use crate::types::Windowed;

pub(super) const DATA: Topic<String, i32> = Topic::new("data");
pub(super) const ECHO: Topic<String, i32> = Topic::new("echo");
pub(super) const MIN: Topic<String, i32> = Topic::new("min");
pub(super) const MIN_RAW: Topic<String, i32> = Topic::new("min-raw");
pub(super) const MIN_SUPPRESSED: Topic<String, i32> = Topic::new("min-suppressed");
pub(super) const SWS_RAW: Topic<String, i32> = Topic::new("sws-raw");
pub(super) const SWS_SUPPRESSED: Topic<String, i32> = Topic::new("sws-suppressed");
pub(super) const MAX: Topic<String, i32> = Topic::new("max");
pub(super) const DIF: Topic<String, i32> = Topic::new("dif");
pub(super) const SUM: Topic<String, i64> = Topic::new("sum");
pub(super) const CNT: Topic<String, i64> = Topic::new("cnt");
pub(super) const AVG: Topic<String, f64> = Topic::new("avg");
pub(super) const TAGG: Topic<String, i64> = Topic::new("tagg");

pub(super) const DAY_MS: i64 = 86_400_000;
const PARTITIONS: i32 = 5;
const END: i32 = i32::MAX;

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn is_flush(key: &String) -> bool {
    key == "flush"
}

fn streamify(table: KTable<Windowed<String>, i32>, topic: &Topic<String, i32>) {
    let rows = table.to_stream().filter_not(|windowed, _| is_flush(&windowed.key));
    rows.map(|windowed, value| (windowed.to_string(), value)).to(topic);
}

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let source = builder.stream(&DATA);
    source.clone().filter_not(|key, _| is_flush(key)).to(&ECHO);
    let data = source.filter(|_, value| *value != END);
    let grouped = data.group_by_key();

    let kept = Materialized::from(&Store::<String, i32>::new("uwin-min")).retention(hours(25));
    let minimum = |_: &String, value: i32, min: &mut i32| *min = value.min(*min);
    let min = grouped
        .clone()
        .windowed_by(TimeWindows::of_size_and_grace(hours(24), Duration::from_secs(60)))
        .aggregate_with(|| i32::MAX, minimum, kept);
    streamify(min.clone(), &MIN_RAW);
    let closed = || Suppressed::until_window_closes(BufferConfig::unbounded());
    streamify(min.clone().suppress(closed()), &MIN_SUPPRESSED);
    min.to_stream_keyed(|windowed, _| windowed.key.clone()).filter_not(|key, _| is_flush(key)).to(&MIN);

    let small = TimeWindows::of_size_and_grace(Duration::from_secs(2), Duration::from_secs(30));
    let sums = grouped
        .clone()
        .windowed_by(small.advance_by(Duration::from_secs(1)))
        .reduce(|one, other| one + other);
    streamify(sums.clone(), &SWS_RAW);
    streamify(sums.suppress(closed()), &SWS_SUPPRESSED);
    let min = builder.table_with(&MIN, Consumed::new(), &Store::<String, i32>::new("minStoreName"));

    let two_days = || TimeWindows::of_size_with_no_grace(hours(48));
    let maximum = |_: &String, value: i32, max: &mut i32| *max = value.max(*max);
    let kept = &Store::<String, i32>::new("uwin-max");
    let max = grouped.clone().windowed_by(two_days()).aggregate_with(|| i32::MIN, maximum, kept);
    max.to_stream_keyed(|windowed, _| windowed.key.clone()).filter_not(|key, _| is_flush(key)).to(&MAX);
    let max = builder.table_with(&MAX, Consumed::new(), &Store::<String, i32>::new("maxStoreName"));

    let add = |_: &String, value: i32, sum: &mut i64| *sum += i64::from(value);
    let kept = &Store::<String, i64>::new("win-sum");
    let sum = grouped.clone().windowed_by(two_days()).aggregate_with(|| 0, add, kept);
    sum.to_stream_keyed(|windowed, _| windowed.key.clone()).filter_not(|key, _| is_flush(key)).to(&SUM);
    let sum = builder.table(&SUM);

    let cnt = grouped.windowed_by(two_days()).count_with(&Store::<String, i64>::new("uwin-cnt"));
    cnt.to_stream_keyed(|windowed, _| windowed.key.clone()).filter_not(|key, _| is_flush(key)).to(&CNT);
    let cnt = builder.table_with(&CNT, Consumed::new(), &Store::<String, i64>::new("cntStoreName"));

    max.join(&min, |max, min| max - min).to_stream().filter_not(|key, _| is_flush(key)).to(&DIF);
    let avg = sum.join(&cnt, |sum, cnt| *sum as f64 / *cnt as f64);
    avg.to_stream().filter_not(|key, _| is_flush(key)).to(&AVG);

    let kept = Materialized::from(&Store::<String, i64>::new("cntByCnt")).in_memory();
    cnt.group_by(|_, cnt: &i64| (cnt.to_string(), 1_i64))
        .aggregate_with(|| 0, |_, one, all| *all += one, |_, one, all| *all -= one, kept)
        .to_stream()
        .to(&TAGG);
    builder.build().unwrap()
}

/// `SmokeTestDriver.generate`: values `n` to `n + count - 1` of each of `keys` keys, out of order within ten.
struct Driver {
    random: Random,
    data: Vec<(String, Vec<i32>)>,
    model: Model,
}

impl Driver {
    fn new(seed: u64, keys: i32, values: i32) -> Self {
        let mut random = Random::new(seed);
        let mut data = Vec::new();
        for key in 0..keys {
            let mut left: Vec<i32> = (key..key + values).collect();
            for at in 0..left.len() {
                let other = at + random.below(10.min(left.len() - at) as u64) as usize;
                left.swap(at, other);
            }
            left.reverse();
            data.push((format!("{key}-{}", key + values - 1), left));
        }
        Self { random, data, model: Model::default() }
    }

    fn left(&self) -> usize {
        self.data.iter().map(|(_, left)| left.len()).sum()
    }

    fn produce(&mut self, scene: &Scene, count: usize) {
        for _ in 0..count.min(self.left()) {
            let index = self.random.below(self.data.len() as u64) as usize;
            let (key, left) = &mut self.data[index];
            let value = left.pop().unwrap();
            scene.put(&DATA, key, &value);
            self.model.add(key, value, scene.world.now());
            if left.is_empty() {
                self.data.remove(index);
            }
        }
    }

    /// Lets all windows close.
    fn flush(&self, scene: &Scene) {
        let time = scene.world.now() + 2 * DAY_MS;
        for partition in 0..PARTITIONS {
            let value = 0_i32.to_be_bytes();
            scene.world.kafka.produce("data", Some(partition), Some(b"flush"), Some(&value), time).unwrap();
        }
    }
}

fn scene() -> Scene {
    let topics = [
        "data",
        "echo",
        "max",
        "min",
        "min-suppressed",
        "min-raw",
        "dif",
        "sum",
        "sws-raw",
        "sws-suppressed",
        "cnt",
        "avg",
        "tagg",
    ];
    Scene::new(&topics.map(|topic| (topic, PARTITIONS)))
}

fn turn(scene: &Scene, clients: &mut [Instance]) {
    scene.world.turn(&mut clients.iter_mut().collect::<Vec<_>>()).unwrap();
}

/// 10 keys, 1,000 values each, in 20 s; each second a client comes, and when there are three the oldest goes.
fn should_work_with_rebalance_(cache_max_bytes: u64) -> (Scene, Model) {
    let (scene, mut driver) = (scene(), Driver::new(3, 10, 1_000));
    let mut clients: Vec<Instance> = Vec::new();
    let mut created = 0;
    while driver.left() > 0 {
        let mut config = scene.config(&format!("streams-{created}"));
        config.statestore_cache_max_bytes = cache_max_bytes;
        config.client_properties.insert("consumer.session.timeout.ms".to_owned(), "10000".to_owned());
        clients.push(scene.start(topology(), config));
        created += 1;
        if clients.len() >= 3 {
            clients.remove(0).close();
        }
        for _ in 0..100 {
            driver.produce(&scene, 5);
            turn(&scene, &mut clients);
        }
    }
    assert!(created >= 20, "{created} clients");
    driver.flush(&scene);
    scene.settle(&mut clients.iter_mut().collect::<Vec<_>>());
    clients.into_iter().for_each(Instance::close);
    (scene, driver.model)
}

#[test]
fn should_work_with_rebalance() {
    let (scene, model) = should_work_with_rebalance_(0);
    check_exactly(&scene, &model);
    let (scene, model) = should_work_with_rebalance_(10 << 20);
    check_last_values(&scene, &model);
}

/// `streams_smoke_test.py`: 20 keys, 1,000 values each, 5 partitions. Client 1 ends or is killed, then client 2; client 3 finishes.
fn test_streams(config: impl Fn(&Scene, &str) -> StreamsConfig, crash: bool) -> (Scene, Model) {
    let (scene, mut driver) = (scene(), Driver::new(5, 20, 1_000));
    for number in 1..=3 {
        let mut client = [scene.start(topology(), config(&scene, &format!("processor{number}")))];
        let until = if number == 3 { 0 } else { driver.left() - 20_000 / 3 };
        while driver.left() > until {
            driver.produce(&scene, 10);
            turn(&scene, &mut client);
        }
        let [mut client] = client;
        match (number, crash) {
            (3, _) => {
                driver.flush(&scene);
                scene.settle(&mut [&mut client]);
                client.close();
            }
            (_, true) => client.kill(),
            (_, false) => client.close(),
        }
    }
    (scene, driver.model)
}

/// So long that a kill finds a transaction open.
fn exactly_once(scene: &Scene, client: &str) -> StreamsConfig {
    StreamsConfig { commit_interval: Duration::from_secs(2), ..scene.config(client) }
}

fn at_least_once(scene: &Scene, client: &str) -> StreamsConfig {
    scene.at_least_once(client, 2_000)
}

#[test]
fn test_streams_eos_v2() {
    let (scene, model) = test_streams(exactly_once, false);
    check_exactly(&scene, &model);
}

#[test]
fn test_streams_eos_v2_crash() {
    let (scene, model) = test_streams(exactly_once, true);
    check_exactly(&scene, &model);
}

#[test]
fn test_streams_at_least_once() {
    let (scene, model) = test_streams(at_least_once, false);
    check_exactly(&scene, &model);
}

#[test]
fn test_streams_at_least_once_crash() {
    let (scene, model) = test_streams(at_least_once, true);
    check_nothing_lost(&scene, &model);
}
