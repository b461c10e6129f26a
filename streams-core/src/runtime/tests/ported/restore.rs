//! `RestoreIntegrationTest`: how many records a restore reads, and where processing begins. 10,000 keys over two partitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::put_record;
use super::super::world::{APP, Instance};
use super::scene::{Scene, on_each_disk, stored};
use crate::client::{ClientSupplier, CommittedOffset, ConsumerSettings};
use crate::dsl::{Consumed, Materialized, Stores, StreamsBuilder, TopologyConfig};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};
use crate::topology::Topology;
use crate::types::TopicPartition;

const INPUT: Topic<i32, i32> = Topic::new("input");
const STORE: Store<i32, i32> = Store::new("store");
const CHANGELOG: &str = "wc-store-changelog";
const KEYS: i32 = 10_000;
/// Records of a partition that the disk has at the start.
const CHECKPOINTED: i64 = 1_000;
/// Records of a partition behind the committed offset.
const LIMIT_DELTA: i64 = 1_000;

/// Key `n` is in partition `n % 2`, so that each has half of the keys.
fn write(scene: &Scene, topic: &str, keys: std::ops::Range<i32>) {
    for key in keys {
        let bytes = key.to_be_bytes();
        let row = (Some(&bytes[..]), Some(&bytes[..]));
        scene.world.kafka.produce(topic, Some(key % 2), row.0, row.1, 5).unwrap();
    }
}

/// What another client commits for the group.
fn commit(scene: &Scene, offset: i64) {
    let settings = ConsumerSettings { group: Some(APP.to_owned()), ..ConsumerSettings::default() };
    let committed = CommittedOffset { offset, metadata: String::new() };
    let offsets = [0, 1].map(|partition| (TopicPartition::new("input", partition), committed.clone()));
    scene.world.kafka.consumer(&settings).unwrap().commit(&offsets, Duration::ZERO).unwrap();
}

fn restored(scene: &Scene) -> u64 {
    scene.take_restored().values().sum()
}

/// Copies what comes into the store, and counts it.
struct Copy(Arc<AtomicUsize>);

impl Processor<i32, i32, (), ()> for Copy {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<i32, i32>,
    ) -> Result<(), BoxError> {
        put_record(context, &STORE, record)?;
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn read_only(received: Arc<AtomicUsize>) -> Topology {
    let mut topology = Topology::new();
    let (store, copy) = (Stores::key_value(&STORE), move || Copy(received.clone()));
    topology.add_read_only_state_store(
        store,
        "readOnlySource",
        &INPUT,
        Consumed::new(),
        "readOnlyProcessor",
        copy,
    );
    topology
}

fn table(received: Arc<AtomicUsize>, optimized: bool) -> Topology {
    let builder = StreamsBuilder::new();
    let count = move |_: &i32, _: Option<i32>| {
        received.fetch_add(1, Ordering::SeqCst);
    };
    builder.table_with(&INPUT, Consumed::new(), &STORE).to_stream().for_each(count);
    let config = TopologyConfig { reuse_ktable_source_topics: optimized, ..TopologyConfig::default() };
    builder.build_with(config).unwrap()
}

/// From 1,000 to 4,000 (committed) restored, from 4,000 to 5,000 processed, in each of two partitions.
fn should_restore_state_from_source_topic(topology: impl Fn(Arc<AtomicUsize>) -> Topology) {
    for bulk_min_records in [i64::MAX, 1] {
        on_each_disk(&[("input", 2)], |scene| {
            write(scene, "input", 0..2 * CHECKPOINTED as i32);
            let mut before = scene.start(topology(Arc::default()), scene.config("i1"));
            scene.settle(&mut [&mut before]);
            before.close();
            write(scene, "input", 2 * CHECKPOINTED as i32..KEYS);
            commit(scene, i64::from(KEYS) / 2 - LIMIT_DELTA);
            restored(scene);

            let received = Arc::new(AtomicUsize::new(0));
            let mut one = scene.start(topology(received.clone()), scene.config("i1"));
            one.threads[0].restorer.bulk_min_records = bulk_min_records;
            scene.settle(&mut [&mut one]);
            assert_eq!(restored(scene) as i64, i64::from(KEYS) - 2 * LIMIT_DELTA - 2 * CHECKPOINTED);
            assert_eq!(received.load(Ordering::SeqCst) as i64, 2 * LIMIT_DELTA);
            assert_eq!(stored(&[&one], &STORE), (0..KEYS).map(|key| (key, key)).collect());
        });
    }
}

#[test]
fn should_restore_state_from_source_topic_for_read_only_store() {
    should_restore_state_from_source_topic(read_only);
}

#[test]
fn should_restore_state_from_source_topic_for_global_table() {
    should_restore_state_from_source_topic(|received| table(received, true));
}

/// From 1,000 to 5,000 restored in each partition, then 10,000 records processed.
#[test]
fn should_restore_state_from_changelog_topic() {
    for bulk_min_records in [i64::MAX, 1] {
        on_each_disk(&[("input", 2)], |scene| {
            write(scene, "input", 0..2 * CHECKPOINTED as i32);
            let mut before = scene.start(table(Arc::default(), false), scene.config("i1"));
            scene.settle(&mut [&mut before]);
            before.close();
            // The marker of a transaction took an offset.
            let ends = scene.world.kafka.end_offsets(CHANGELOG).unwrap();
            assert!(ends.iter().all(|end| *end > CHECKPOINTED), "{ends:?}");
            write(scene, CHANGELOG, 2 * CHECKPOINTED as i32..KEYS);
            restored(scene);
            write(scene, "input", KEYS..2 * KEYS);
            let received = Arc::new(AtomicUsize::new(0));
            let mut one = scene.start(table(received.clone(), false), scene.config("i1"));
            one.threads[0].restorer.bulk_min_records = bulk_min_records;
            scene.settle(&mut [&mut one]);
            assert_eq!(restored(scene) as i64, i64::from(KEYS) - 2 * CHECKPOINTED);
            assert_eq!(received.load(Ordering::SeqCst) as i32, KEYS);
            assert_eq!(stored(&[&one], &STORE), (0..2 * KEYS).map(|key| (key, key)).collect());
        });
    }
}

#[test]
fn should_restore_null_record() {
    let (input, output) = (Topic::<i32, Option<Vec<u8>>>::new("input"), Topic::new("output"));
    on_each_disk(&[("input", 1), ("output", 1)], |scene| {
        let topology = || {
            let builder = StreamsBuilder::new();
            let kept = Materialized::from(&Store::<i32, Vec<u8>>::new("stateStore")).caching(false);
            let copied = builder.table_with(&Topic::<i32, Vec<u8>>::new("input"), Consumed::new(), kept);
            copied.to_stream().to(&output);
            builder.build().unwrap()
        };
        let rows = [(3, Some(vec![3])), (3, None), (1, Some(vec![1]))];
        rows.iter().for_each(|(key, value)| scene.put(&input, key, value));
        let mut one = scene.start(topology(), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        one.close();
        // Another instance has nothing on disk.
        restored(scene);
        scene.put(&input, &2, &Some(vec![0; 3]));
        let mut two = scene.start(topology(), scene.config("i2"));
        scene.settle(&mut [&mut two]);
        assert_eq!(restored(scene), 3, "the null is one of them");
        let found: Vec<_> = scene.rows(&output).into_iter().map(|row| (row.key, row.value)).collect();
        assert_eq!(found, [&rows[..], &[(2, Some(vec![0; 3]))]].concat());
        let kept = [(1, vec![1]), (2, vec![0; 3])];
        assert_eq!(stored(&[&two], &Store::<i32, Vec<u8>>::new("stateStore")), kept.into());
    });
}

#[test]
fn should_successfully_start_when_logging_disabled() {
    on_each_disk(&[("input", 2)], |scene| {
        let builder = StreamsBuilder::new();
        let kept = Materialized::from(&Store::<i32, i32>::new("reduce-store")).logging(false);
        builder.stream(&INPUT).group_by_key().reduce_with(|one, other| one + other, kept);
        let mut one = scene.start(builder.build().unwrap(), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        assert!(one.is_running());
        assert_eq!(scene.take_restored(), [].into(), "nothing to restore from");
        assert!(!scene.world.kafka.topics().iter().any(|topic| topic.ends_with("-changelog")));
    });
}

#[test]
fn should_process_data_from_stores_with_logging_disabled() {
    on_each_disk(&[("input", 2)], |scene| {
        (1..4).for_each(|key| scene.put(&INPUT, &key, &key));
        let (builder, received) = (StreamsBuilder::new(), Arc::new(AtomicUsize::new(0)));
        let (store, count) = (Stores::lru_map(&STORE, 10).logging(false), received.clone());
        builder.stream(&INPUT).process_with_stores(move || Copy(count.clone()), vec![store]);
        let mut one = scene.start(builder.build().unwrap(), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        assert_eq!(received.load(Ordering::SeqCst), 3);
        assert_eq!(stored(&[&one], &STORE), [(1, 1), (2, 2), (3, 3)].into());
    });
}

/// A second instance comes in the middle of a restore: the first hears that its restores are suspended, both that theirs end.
#[test]
fn should_invoke_user_defined_global_state_restore_listener() {
    let scene = Scene::new(&[("inputTopic", 5), ("outputTopic", 5)]);
    let (input, output) =
        (Topic::<i32, i32>::new("inputTopic"), Topic::<i32, Option<i32>>::new("outputTopic"));
    let start = |name: &str| -> Instance {
        let builder = StreamsBuilder::new();
        builder.stream(&input).group_by_key().reduce(|_, new| new).to_stream().to(&output);
        let mut config = scene.config(name);
        config.client_properties.insert("restore.consumer.max.poll.records".to_owned(), "1".to_owned());
        scene.start(builder.build().unwrap(), config)
    };
    (0..100).for_each(|key| scene.put(&input, &key, &key));
    let mut one = start("old");
    scene.settle(&mut [&mut one]);
    one.close();
    assert_eq!(scene.per_key(&output), (0..100).map(|key| (key, vec![Some(key)])).collect());

    scene.take_restored();
    let mut one = start("ks1");
    scene.turn_until(&mut [&mut one], |scene| scene.world.restores.0.lock().unwrap().len() == 5);
    scene.turns(&mut [&mut one], 5);
    assert!(!one.is_running(), "one record a poll");
    assert!(scene.world.restores.1.lock().unwrap().is_empty());
    let mut two = start("ks2");
    scene.settle(&mut [&mut one, &mut two]);
    let suspended = scene.world.restores.1.lock().unwrap().clone();
    assert!(!suspended.is_empty(), "ks1 gave up partitions that it was restoring");
    let heard = scene.world.restores.0.lock().unwrap().clone();
    assert!(heard.len() >= 5 + suspended.len(), "{heard:?}");
    let ended: u64 = scene.take_restored().values().sum();
    assert!(ended >= 100 - 10, "{ended}");
    assert_eq!(scene.per_key(&output).len(), 100);
}
