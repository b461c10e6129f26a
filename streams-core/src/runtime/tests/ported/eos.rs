//! `EosIntegrationTest`: copies under exactly once, failing tasks, fenced members. What KAFKA-9274, 18943 and 16903 are about.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::scene::{Scene, by_key, on_each_disk, stored, tasks};
use crate::config::StreamsConfig;
use crate::dsl::{Stores, StreamsBuilder};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::runtime::recover::Phase;
use crate::runtime::stream_thread::Trouble;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const INPUT: Topic<i64, i64> = Topic::new("input");
const THROUGH: Topic<i64, i64> = Topic::new("through");
const OUTPUT: Topic<i64, i64> = Topic::new("output");
const SUMS: Store<i64, i64> = Store::new("store");

/// Values `from..to` for each key, key after key.
fn prepare_data(from: i64, to: i64, keys: &[i64]) -> Vec<(i64, i64)> {
    keys.iter().flat_map(|key| (from..to).map(|value| (*key, value))).collect()
}

fn write(scene: &Scene, data: &[(i64, i64)]) {
    data.iter().for_each(|(key, value)| scene.put(&INPUT, key, value));
}

/// The sum of each key after each record.
fn sums(data: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut sums = std::collections::BTreeMap::<i64, i64>::new();
    let mut add = |(key, value): &(i64, i64)| {
        let sum = sums.entry(*key).or_default();
        *sum += value;
        (*key, *sum)
    };
    data.iter().map(&mut add).collect()
}

struct Copies {
    restarts: i64,
    input_partitions: i32,
    through_partitions: Option<i32>,
    output_partitions: i32,
    transactional: bool,
}

/// 10 records of two keys each time, read one by one: all committed in order, and the offset behind the last marker.
fn run_simple_copy_test(copies: &Copies) {
    let through = copies.through_partitions.unwrap_or(1);
    let partitions =
        [("input", copies.input_partitions), ("through", through), ("output", copies.output_partitions)];
    on_each_disk(&partitions, |scene| {
        let mut all = Vec::new();
        for restart in 0..copies.restarts {
            let data = prepare_data(restart * 100, restart * 100 + 10, &[0, 1]);
            match copies.transactional {
                true => scene.put_in_transaction(&INPUT, &data, true),
                false => write(scene, &data),
            }
            all.extend(data);
            let builder = StreamsBuilder::new();
            let input = builder.stream(&INPUT);
            match copies.through_partitions {
                None => input.to(&OUTPUT),
                Some(_) => {
                    input.to(&THROUGH);
                    builder.stream(&THROUGH).to(&OUTPUT);
                }
            }
            let mut config = scene.config("i1");
            config.client_properties.insert("consumer.max.poll.records".to_owned(), "1".to_owned());
            let mut one = scene.start(builder.build().unwrap(), config);
            scene.settle(&mut [&mut one]);
            one.close();
            assert_eq!(scene.per_key(&OUTPUT), by_key(all.clone()));
        }
        for partition in 0..copies.input_partitions {
            let end = scene.world.kafka.end_offsets("input").unwrap()[partition as usize];
            assert_eq!(
                scene.committed("input", partition),
                Some(end).filter(|end| *end > 0),
                "input-{partition}"
            );
        }
        let marked = scene.rows(&INPUT).iter().map(|row| row.offset + 1).max();
        let end = scene.world.kafka.end_offsets("input").unwrap().into_iter().max();
        assert_eq!(marked < end, copies.transactional, "the end is a marker");
    });
}

const COPIES: Copies = Copies {
    restarts: 1,
    input_partitions: 1,
    through_partitions: None,
    output_partitions: 1,
    transactional: false,
};

#[test]
fn should_be_able_to_run_with_eos_enabled() {
    run_simple_copy_test(&COPIES);
}

#[test]
fn should_commit_correct_offset_if_input_topic_is_transactional() {
    run_simple_copy_test(&Copies { transactional: true, ..COPIES });
}

#[test]
fn should_be_able_to_restart_after_close() {
    run_simple_copy_test(&Copies { restarts: 2, ..COPIES });
}

#[test]
fn should_be_able_to_commit_to_multiple_partitions() {
    run_simple_copy_test(&Copies { output_partitions: 2, ..COPIES });
}

#[test]
fn should_be_able_to_commit_multiple_partition_offsets() {
    run_simple_copy_test(&Copies { input_partitions: 2, ..COPIES });
}

#[test]
fn should_be_able_to_run_with_two_subtopologies() {
    run_simple_copy_test(&Copies { through_partitions: Some(1), ..COPIES });
}

#[test]
fn should_be_able_to_run_with_two_subtopologies_and_multiple_partitions() {
    run_simple_copy_test(&Copies {
        input_partitions: 2,
        through_partitions: Some(2),
        output_partitions: 2,
        ..COPIES
    });
}

#[test]
fn should_be_able_to_perform_multiple_transactions() {
    let scene = Scene::new(&[("input", 1), ("output", 1)]);
    let builder = StreamsBuilder::new();
    builder.stream(&INPUT).to(&OUTPUT);
    let mut one = scene.start(builder.build().unwrap(), scene.config("i1"));
    scene.settle(&mut [&mut one]);
    let mut expected = Vec::new();
    for burst in [prepare_data(0, 5, &[0]), prepare_data(5, 8, &[0])] {
        write(&scene, &burst);
        expected.extend(burst);
        scene.settle(&mut [&mut one]);
        let found: Vec<_> = scene.rows(&OUTPUT).into_iter().map(|row| (row.key, row.value)).collect();
        assert_eq!(found, expected);
    }
    let end = scene.world.kafka.end_offsets("output").unwrap()[0];
    assert!(end >= 10, "two transactions have two markers: {end}");
}

/// Asks for a commit at each tenth value, and fails once when it is told to.
#[derive(Clone, Default)]
struct Shared {
    with_state: bool,
    fail: Arc<AtomicBool>,
    /// What the stores of tasks held when they were initialized.
    found_at_init: Arc<Mutex<Vec<Vec<(i64, i64)>>>>,
}

struct Copy(Shared);

impl Processor<i64, i64, i64, i64> for Copy {
    fn init(&mut self, context: &mut ProcessorContext<'_, i64, i64>) -> Result<(), BoxError> {
        if self.0.with_state {
            let mut found = Vec::new();
            let store = context.store(&SUMS)?;
            store.borrow_mut().for_each(&mut |key, sum, _| found.push((key, *sum)))?;
            self.0.found_at_init.lock().unwrap().push(found);
        }
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, i64, i64>,
        record: Record<i64, i64>,
    ) -> Result<(), BoxError> {
        if (record.value + 1) % 10 == 0 {
            context.commit();
        }
        let mut value = record.value;
        if self.0.with_state {
            let store = context.store(&SUMS)?;
            value += store.borrow_mut().get(&record.key)?.map_or(0, |(sum, _)| *sum);
            store.borrow_mut().put(&record.key, Some(value), record.timestamp, context.record_context())?;
        }
        if self.0.fail.swap(false, Ordering::SeqCst) {
            return Err("Injected test exception.".into());
        }
        Ok(context.forward(record.with_value(value))?)
    }
}

fn topology(shared: &Shared) -> Topology {
    let (builder, made) = (StreamsBuilder::new(), shared.clone());
    let store = || Stores::key_value(&SUMS);
    let supplier = move || Copy(made.clone());
    match shared.with_state {
        true => builder.stream(&INPUT).process_with_stores(supplier, vec![store()]).to(&OUTPUT),
        false => builder.stream(&INPUT).process(supplier, &[]).to(&OUTPUT),
    }
    builder.build().unwrap()
}

/// Commits only when asked to, up to 20 s, and transactions that live as long.
fn config(scene: &Scene, instance: &str, threads: usize, caching: bool) -> StreamsConfig {
    let mut config = scene.config(instance);
    config.num_stream_threads = threads;
    config.commit_interval = Duration::from_secs(20);
    if caching {
        config.statestore_cache_max_bytes = 1 << 20;
    }
    let ours = [("producer.transaction.timeout.ms", "20000"), ("consumer.max.poll.interval.ms", "30000")];
    config.client_properties.extend(ours.map(|(key, value)| (key.to_owned(), value.to_owned())));
    config
}

/// 10 + 5 + 5 records per partition. The task fails after 20 committed and 30 uncommitted records; the other thread takes over.
fn should_not_violate_eos_if_one_task_fails_(with_state: bool, caching: bool) {
    on_each_disk(&[("input", 2), ("output", 1)], |scene| {
        let shared = Shared { with_state, ..Shared::default() };
        let results = |data: &[(i64, i64)]| by_key(if with_state { sums(data) } else { data.to_vec() });
        let mut one = scene.start(topology(&shared), config(scene, "i1", 2, caching));
        scene.settle(&mut [&mut one]);
        assert!(one.threads.iter().all(|thread| thread.tasks.len() == 1), "a task each");

        let mut data = prepare_data(0, 10, &[0, 1]);
        write(scene, &data);
        scene.turns(&mut [&mut one], 10);
        assert_eq!(scene.per_key(&OUTPUT), results(&data), "each task asked for its commit");
        // With state there are two keys that only the transaction that is aborted has seen.
        let uncommitted = prepare_data(10, 15, if with_state { &[0, 1, 2, 3] } else { &[0, 1] });
        write(scene, &uncommitted);
        let committed = data.clone();
        data.extend(uncommitted);
        scene.turns(&mut [&mut one], 1);
        assert_eq!(scene.per_key(&OUTPUT), results(&committed), "nothing else is committed");
        let all = scene.uncommitted_rows(&OUTPUT).into_iter().map(|row| (row.key, row.value));
        assert_eq!(by_key(all), results(&data));

        shared.found_at_init.lock().unwrap().clear();
        shared.fail.store(true, Ordering::SeqCst);
        let after = prepare_data(15, 20, &[0, 1]);
        write(scene, &after);
        data.extend(after);
        let failed = scene.turn_threads(&mut [&mut one]);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed[0].to_string().contains("Injected test exception."), "{}", failed[0]);
        scene.settle(&mut [&mut one]);
        assert_eq!(one.threads.len(), 1);
        assert_eq!(scene.per_key(&OUTPUT), results(&data));
        let written = scene.uncommitted_rows(&OUTPUT).len();
        assert!(written >= data.len() + 5, "{written}: some came twice, and were aborted the first time");
        if with_state {
            let last = results(&data).into_iter().map(|(key, sums)| (key, *sums.last().unwrap()));
            assert_eq!(stored(&[&one], &SUMS), last.collect());
            // The task that came over began with what was committed, without the keys of the aborted transaction.
            let found = std::mem::take(&mut *shared.found_at_init.lock().unwrap());
            assert!(found == [[(0, 45)]] || found == [[(1, 45)]], "{found:?}");
        }
        one.close();
    });
}

#[test]
fn should_not_violate_eos_if_one_task_fails() {
    should_not_violate_eos_if_one_task_fails_(false, false);
}

#[test]
fn should_not_violate_eos_if_one_task_fails_with_state() {
    should_not_violate_eos_if_one_task_fails_(true, false);
    should_not_violate_eos_if_one_task_fails_(true, true);
}

/// 10 + 5 + 5 + 10 records per partition over two instances. One stalls in the middle of a transaction until the group has given
/// its task away; when it goes on, its commit is refused. With state, which is beyond the original, it comes back to what it has on disk.
fn should_not_violate_eos_if_one_task_gets_fenced_(with_state: bool) {
    on_each_disk(&[("input", 2), ("output", 1)], |scene| {
        let shared = Shared { with_state, ..Shared::default() };
        let results = |data: &[(i64, i64)]| by_key(if with_state { sums(data) } else { data.to_vec() });
        let start = |name| scene.start(topology(&shared), config(scene, name, 1, false));
        let (mut one, mut two) = (start("i1"), start("i2"));
        scene.settle(&mut [&mut one, &mut two]);
        assert_eq!((tasks(&one).len(), tasks(&two).len()), (1, 1));

        let mut data = prepare_data(0, 10, &[0, 1]);
        write(scene, &data);
        scene.turns(&mut [&mut one, &mut two], 10);
        assert_eq!(scene.per_key(&OUTPUT), results(&data));
        let more = prepare_data(10, 15, &[0, 1]);
        write(scene, &more);
        data.extend(more);
        scene.turns(&mut [&mut one, &mut two], 1);
        assert_eq!((scene.rows(&OUTPUT).len(), scene.uncommitted_rows(&OUTPUT).len()), (20, 30));

        // One stalls from here on.
        let more = prepare_data(15, 20, &[0, 1]);
        write(scene, &more);
        data.extend(more);
        scene.turn_until(&mut [&mut two], |scene| scene.rows(&OUTPUT).len() == 40);
        assert_eq!((tasks(&one).len(), tasks(&two).len()), (1, 2), "the one that stalls does not know");
        assert_eq!(scene.per_key(&OUTPUT), results(&data));
        assert_eq!(scene.uncommitted_rows(&OUTPUT).len(), 45, "5 of them written twice");
        let thread = &mut one.threads[0];
        let trouble = thread.commit().map(|_| ()).unwrap_err();
        assert!(matches!(trouble, Trouble::Client(Phase::Commit, _)), "a fenced member does not commit");
        thread.recover(trouble).unwrap();

        scene.turns(&mut [&mut one, &mut two], 100);
        assert_eq!((tasks(&one).len(), tasks(&two).len()), (1, 1), "it is back, and has a share");
        let more = prepare_data(20, 30, &[0, 1]);
        write(scene, &more);
        data.extend(more);
        scene.settle(&mut [&mut one, &mut two]);
        assert_eq!(scene.per_key(&OUTPUT), results(&data));
    });
}

#[test]
fn should_not_violate_eos_if_one_task_gets_fenced_using_isolated_app_instances() {
    should_not_violate_eos_if_one_task_gets_fenced_(false);
    should_not_violate_eos_if_one_task_gets_fenced_(true);
}
