//! What is on disk after a clean end, an unclean one, and an end in the middle of a restore: `EosIntegrationTest` (checkpoints),
//! `EOSUncleanShutdownIntegrationTest`, and of `StandbyTaskEOSIntegrationTest` what needs no standbys. KAFKA-9891, 10362, 16017, 20504.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use streams_state::error::StateError;

use super::super::put_record;
use super::super::world::{APP, Instance};
use super::scene::{Scene, on_each_disk, stored};
use crate::dsl::{Stores, StreamsBuilder};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::runtime::StreamsError;
use crate::runtime::stream_thread::Trouble;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const INPUT: Topic<i64, i64> = Topic::new("input");
const OUTPUT: Topic<i64, i64> = Topic::new("output");
const STORE: Store<i64, i64> = Store::new("store");
const CHANGELOG: Topic<i64, i64> = Topic::new("wc-store-changelog");

/// Copies what comes into the store.
struct Keep;

impl Processor<i64, i64, (), ()> for Keep {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<i64, i64>,
    ) -> Result<(), BoxError> {
        put_record(context, &STORE, record)
    }
}

fn keeping() -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream(&INPUT).process_with_stores(|| Keep, vec![Stores::key_value(&STORE)]);
    builder.build().unwrap()
}

/// The offset behind the last record of a changelog partition, whatever markers follow.
fn behind_last_record(scene: &Scene, partition: i32) -> Option<i64> {
    let rows = scene.rows(&CHANGELOG).into_iter();
    rows.filter(|row| row.partition == partition).map(|row| row.offset + 1).max()
}

#[test]
fn should_write_latest_offsets_to_checkpoint_on_shutdown() {
    on_each_disk(&[("input", 2)], |scene| {
        (0..10).for_each(|value| [0, 1].iter().for_each(|key| scene.put(&INPUT, key, &value)));
        let mut one = scene.start(keeping(), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        one.close();
        for partition in 0..2 {
            let (offset, _) = scene.on_disk("i1", &format!("0_{partition}"), "store");
            assert_eq!(offset, behind_last_record(scene, partition), "partition {partition}");
            let end = scene.world.kafka.end_offsets(CHANGELOG.name()).unwrap()[partition as usize];
            assert!(offset.is_none_or(|offset| offset < end), "the end is a marker");
        }
        // Nothing is replayed, so that the offset is not one too low either.
        scene.take_restored();
        let mut again = scene.start(keeping(), scene.config("i1"));
        scene.settle(&mut [&mut again]);
        assert_eq!(scene.take_restored().values().sum::<u64>(), 0);
        assert_eq!(stored(&[&again], &STORE), [(0, 9), (1, 9)].into());
    });
}

/// The state of task 0_0 is found damaged.
fn corrupt(scene: &Scene, one: &mut Instance) {
    let path = scene.world.root.path().join("i1").join(APP).join("0_0");
    let error = StateError::Corrupt { store: None, path, message: "as the test says".to_owned() };
    one.threads[0].recover(Trouble::Streams(StreamsError::State(error))).unwrap();
}

/// 30,000 keys in two partitions, 100 records a poll. What a close in the middle of a restore leaves is what was restored, not what
/// the task had produced before (KAFKA-16017).
#[test]
fn should_checkpoint_restored_offsets_when_closing_clean_during_restoring() {
    for bulk_min_records in [i64::MAX, 1] {
        on_each_disk(&[("input", 2)], |scene| {
            (1..29_001).for_each(|key| scene.put(&INPUT, &key, &0));
            let start = || {
                let mut config = scene.config("i1");
                config.client_properties.insert("restore.consumer.max.poll.records".into(), "100".into());
                // So little that rows restored in bulk go to the disk in several runs.
                config.memory_max_bytes = 64 << 10;
                let mut one = scene.start(keeping(), config);
                one.threads[0].restorer.bulk_min_records = bulk_min_records;
                one
            };
            let mut one = start();
            scene.settle(&mut [&mut one]);
            (29_001..30_001).for_each(|key| scene.put(&INPUT, &key, &0));
            let produced = behind_last_record(scene, 0).unwrap();
            corrupt(scene, &mut one);
            scene.turns(&mut [&mut one], 20);
            let left = one.threads[0].restorer.left();
            assert!(left > 0 && left < 15_000, "in the middle of it: {left} left");
            one.close();

            let (offset, rows) = scene.on_disk("i1", "0_0", "store");
            let offset = offset.unwrap();
            assert!(offset > 100 && offset < produced, "restored up to {offset} of {produced}");
            let restored = scene.rows(&CHANGELOG).into_iter();
            let restored = restored.filter(|row| row.partition == 0 && row.offset < offset).count();
            assert_eq!(rows, restored, "the rows are those up to the offset");
            scene.take_restored();
            let mut again = start();
            scene.settle(&mut [&mut again]);
            let more = scene.take_restored()["wc-store-changelog-0"];
            assert!(more > 0 && more <= (produced - offset) as u64, "it goes on from there: {more}");
            assert_eq!(stored(&[&again], &STORE).len(), 30_000);
        });
    }
}

const LINES: Topic<String, String> = Topic::new("input-topic");
const AGGREGATED: Store<String, String> = Store::new("aggregated_value");

/// Fails at the third record, if it is told to.
fn aggregating(crash: bool) -> Topology {
    let (builder, seen) = (StreamsBuilder::new(), std::sync::atomic::AtomicUsize::new(0));
    let check = move |_: &String, _: &Option<String>| match crash && seen.fetch_add(1, Ordering::SeqCst) >= 2
    {
        true => Err("Crash on the 3 record"),
        false => Ok(()),
    };
    let aggregate =
        |key: &String, value: String, all: &mut String| all.push_str(&format!(",({key}: {value})"));
    let table =
        builder.stream(&LINES).group_by_key().aggregate_with(|| "()".to_owned(), aggregate, &AGGREGATED);
    table.to_stream().peek(check).to(&Topic::<String, Option<String>>::new("output"));
    builder.build().unwrap()
}

/// Kafka Streams wipes the state, or leaves none that it would believe. Here it stays (KAFKA-20504), and holds what is committed.
#[test]
fn should_work_with_unclean_shutdown_wipe_out_state_store() {
    on_each_disk(&[("input-topic", 1), ("output", 1)], |scene| {
        let line = |number: i32| scene.put(&LINES, &format!("k{number}"), &format!("v{number}"));
        let mut one = scene.start(aggregating(true), scene.config("i1"));
        line(1);
        scene.settle(&mut [&mut one]);
        line(2);
        line(3);
        let failed = scene.turn_threads(&mut [&mut one]);
        assert!(failed[0].to_string().contains("Crash on the 3 record"), "{}", failed[0]);
        drop(one);

        assert!(
            scene.world.root.path().join("i1").join(APP).join("0_0").is_dir(),
            "the state directory survives"
        );
        let (offset, rows) = scene.on_disk("i1", "0_0", "aggregated_value");
        assert!(
            offset.is_none_or(|offset| offset <= 1) && rows <= 1,
            "{offset:?}, {rows} rows: only k1 is committed"
        );

        scene.take_restored();
        let mut again = scene.start(aggregating(false), scene.config("i1"));
        scene.settle(&mut [&mut again]);
        let restored: u64 = scene.take_restored().values().sum();
        assert_eq!(restored, 1 - rows as u64, "only what the disk does not have");
        let expected = [1, 2, 3].map(|n| (format!("k{n}"), format!("(),(k{n}: v{n})")));
        assert_eq!(stored(&[&again], &AGGREGATED), expected.into());
    });
}

/// Drops what it has seen before, or skips if it is told to. Key 1 makes it skip from then on, after it wrote it down; and fail, unless
/// that is left to the commit.
#[derive(Clone)]
struct Deduplicate {
    skip: Arc<AtomicBool>,
    fails: bool,
}

impl Processor<i64, i64, i64, i64> for Deduplicate {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, i64, i64>,
        record: Record<i64, i64>,
    ) -> Result<(), BoxError> {
        if self.skip.load(Ordering::SeqCst) {
            return Ok(context.forward(record)?);
        }
        let store = context.store(&STORE)?;
        if store.borrow_mut().get(&record.key)?.is_some() {
            return Ok(());
        }
        store.borrow_mut().put(
            &record.key,
            Some(record.value),
            record.timestamp,
            context.record_context(),
        )?;
        self.skip.store(record.key == 1, Ordering::SeqCst);
        match self.fails && record.key == 1 {
            true => Err("Injected test error".into()),
            false => Ok(context.forward(record)?),
        }
    }
}

/// How the instance with the dirty write ends.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// The processor fails.
    Fails,
    /// It stalls, and the first that it does is a commit, which is refused.
    Fenced,
    /// It stalls, and the first that it does is a poll, which says that its membership is lost; it goes on.
    Lost,
}

/// The key that was written before the instance failed must not be known when it comes back to its disk: no committed record is about it.
/// There is no standby here: another instance takes over, and gives back.
fn should_wipe_out_state_directory_(ends: Ends) {
    let fails = ends == Ends::Fails;
    on_each_disk(&[("input", 1), ("output", 1)], |scene| {
        let dedup = Deduplicate { skip: Arc::default(), fails };
        let start = |name: &str| {
            let (builder, dedup) = (StreamsBuilder::new(), dedup.clone());
            let stores = vec![Stores::key_value(&STORE)];
            builder.stream(&INPUT).process_with_stores(move || dedup.clone(), stores).to(&OUTPUT);
            let mut config = scene.config(name);
            config.commit_interval = std::time::Duration::from_secs(20);
            config.client_properties.insert("consumer.max.poll.interval.ms".to_owned(), "30000".to_owned());
            scene.start(builder.build().unwrap(), config)
        };
        scene.put(&INPUT, &0, &0);
        let mut one = start("i1");
        scene.settle(&mut [&mut one]);
        scene.put(&INPUT, &1, &0);
        assert_eq!(scene.turn_threads(&mut [&mut one]).len(), usize::from(fails));
        let mut two = start("i2");
        scene.turn_until(&mut [&mut two], |scene| scene.rows(&OUTPUT).len() == 2);
        scene.settle(&mut [&mut two]);
        assert_eq!(scene.per_key(&OUTPUT), [(0, vec![0]), (1, vec![0])].into());
        // By now the group has given its task away, and its transaction was aborted.
        let mut recovered = match ends {
            Ends::Lost => {
                scene.turns(&mut [&mut one, &mut two], 50);
                two.close();
                one
            }
            Ends::Fails | Ends::Fenced => {
                if ends == Ends::Fenced {
                    let trouble = one.threads[0].commit().map(|_| ()).unwrap_err();
                    one.threads[0].recover(trouble).unwrap();
                }
                one.kill();
                two.close();
                start("i1")
            }
        };
        scene.settle(&mut [&mut recovered]);
        assert_eq!(stored(&[&recovered], &STORE), [(0, 0)].into());
        dedup.skip.store(false, Ordering::SeqCst);
        scene.put(&INPUT, &1, &0);
        assert_eq!(scene.turn_threads(&mut [&mut recovered]).len(), usize::from(fails));
        assert!(dedup.skip.load(Ordering::SeqCst), "it does not know the key");
    });
}

#[test]
fn should_wipe_out_standby_state_directory_if_checkpoint_is_missing() {
    should_wipe_out_state_directory_(Ends::Fails);
}

/// Beyond the original: it does not fail, but is not a member any more.
#[test]
fn should_wipe_out_state_directory_of_a_fenced_member() {
    should_wipe_out_state_directory_(Ends::Fenced);
    should_wipe_out_state_directory_(Ends::Lost);
}

/// A task directory with what does not belong there: Java's checkpoint of another topic, and the folder of a store.
#[test]
fn should_survive_with_one_task_as_standby() {
    on_each_disk(&[("input", 1), ("output", 1)], |scene| {
        let task = scene.world.root.path().join("i1").join(APP).join("0_0");
        std::fs::create_dir_all(task.join("rocksdb/KSTREAM-AGGREGATE-STATE-STORE-0000000001")).unwrap();
        std::fs::write(task.join(".checkpoint"), "0\n1\nunknown-topic 0 5\n").unwrap();
        scene.put(&INPUT, &0, &0);
        let mut one = scene.start(keeping(), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        assert_eq!(stored(&[&one], &STORE), [(0, 0)].into());
        one.close();
    });
}
