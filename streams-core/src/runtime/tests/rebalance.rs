//! Tasks move between threads and instances without losing or repeating anything.

use std::time::Duration;

use streams_state::types::TaskId;

use super::crashes::Random;
use super::world::{APP, Instance, World, expected, lines, word_count};
use crate::client::{ClientSupplier, ConsumerSettings, RecordSink, Slot};
use crate::config::StreamsConfig;
use crate::record::RawRecord;
use crate::runtime::GroupMembershipOperation;

#[test]
fn threads_of_one_instance_share_the_tasks() {
    let world = World::new(4);
    let input = lines(5, 200);
    input.iter().for_each(|line| world.line(line));
    let mut config = world.config("i1");
    config.num_stream_threads = 2;
    let mut one = world.instance_of(word_count(), config).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
    let tasks: Vec<usize> = one.threads.iter().map(|thread| thread.tasks.len()).collect();
    assert_eq!(tasks, [4, 4], "two sub-topologies of four partitions over two threads");
}

#[test]
fn a_second_instance_takes_its_share_and_gives_it_back() {
    let world = World::new(4);
    let mut input = Vec::new();
    let mut feed = |seed| {
        let more = lines(seed, 60);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
    };
    feed(1);
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    let mut two = world.instance("i2");
    feed(2);
    world.run_until_drained(&mut [&mut one, &mut two]);
    assert_eq!((one.threads[0].tasks.len(), two.threads[0].tasks.len()), (4, 4));
    one.close();
    feed(3);
    world.run_until_drained(&mut [&mut two]);
    assert_eq!(two.threads[0].tasks.len(), 8);
    assert_eq!(world.counts(), expected(&input));
}

/// Quick restarts move no tasks: the group waits for a member that said that it would be back.
#[test]
fn an_instance_that_remains_in_the_group_finds_its_tasks_again() {
    let world = World::new(4);
    let mut input = lines(1, 60);
    input.iter().for_each(|line| world.line(line));
    let (mut one, mut two) = (world.instance("i1"), world.instance("i2"));
    world.run_until_drained(&mut [&mut one, &mut two]);
    let tasks = |instance: &Instance| -> Vec<TaskId> {
        instance.threads[0].tasks.iter().map(|owned| owned.task.id()).collect()
    };
    let before = (tasks(&one), tasks(&two));
    one.close_with(GroupMembershipOperation::RemainInGroup);
    (0..50).for_each(|_| world.turn(&mut [&mut two]).unwrap());
    assert_eq!(tasks(&two), before.1, "nobody takes over");
    let mut one = world.instance("i1");
    let more = lines(2, 60);
    more.iter().for_each(|line| world.line(line));
    input.extend(more);
    world.run_until_drained(&mut [&mut one, &mut two]);
    assert_eq!((tasks(&one), tasks(&two)), before);
    assert_eq!(world.counts(), expected(&input));
}

#[test]
fn a_killed_instance_is_taken_over_after_its_session() {
    let world = World::new(4);
    let mut input = Vec::new();
    let mut one = world.instance("i1");
    let mut two = world.instance("i2");
    for round in 0..20 {
        let more = lines(round, 12);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
        world.turn(&mut [&mut one, &mut two]).unwrap();
    }
    one.kill();
    for _ in 0..6000 {
        world.turn(&mut [&mut two]).unwrap();
        if two.threads[0].tasks.len() == 8 && world.lag().values().all(|lag| *lag == 0) {
            break;
        }
    }
    assert_eq!(two.threads[0].tasks.len(), 8);
    assert_eq!(world.counts(), expected(&input));
}

/// A thread that was given a task waited for another thread of its process to let go of it, which waited for an assignment of a newer
/// generation, for which the group waited for the first: until `max.poll.interval.ms` was over.
#[test]
fn threads_that_join_one_after_the_other_come_to_run() {
    for seed in 0..100 {
        let (world, mut random) = (World::new(2), Random::new(seed));
        let mut instances: Vec<Instance> = Vec::new();
        for number in 0..3 {
            let mut config = world.config(&format!("i{number}"));
            config.num_stream_threads = 2;
            instances.push(world.instance_of(word_count(), config).unwrap());
            for _ in 0..random.below(40) {
                let instance = random.below(instances.len() as u64) as usize;
                instances[instance].threads[random.below(2) as usize].step(world.now()).unwrap();
                world.clock.advance(1);
            }
        }
        world.line("w1 w2");
        world.run_until_drained(&mut instances.iter_mut().collect::<Vec<_>>());
        assert_eq!(world.counts(), expected(&["w1 w2".to_owned()]), "{seed}");
    }
}

/// The settings of an instance whose first thread is the static member `member-1`.
fn member(world: &World, directory: &str) -> StreamsConfig {
    let mut config = world.config(directory);
    config.client_properties.insert("group.instance.id".to_owned(), "member".to_owned());
    config
}

/// A coordinator that had been frozen took a static member for another one of the same name and fenced it for good. The thread asked its
/// dead consumer to join again until it gave up.
#[test]
fn a_member_that_is_fenced_with_no_other_in_sight_joins_again() {
    let world = World::new(2);
    let mut input = lines(1, 30);
    input.iter().for_each(|line| world.line(line));
    let mut one = world.instance_of(word_count(), member(&world, "i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    for round in 2..5 {
        fence(&world);
        let more = lines(round, 30);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
        world.run_until_drained(&mut [&mut one]);
        world.clock.advance(20_000);
    }
    assert_eq!(world.counts(), expected(&input));
}

/// A consumer that takes the place of `member-1`, and goes.
fn fence(world: &World) {
    let mut other = world.kafka.consumer(&ConsumerSettings {
        group: Some(APP.to_owned()),
        group_instance: Some("member-1".to_owned()),
        ..ConsumerSettings::default()
    });
    let other = other.as_mut().unwrap();
    other.subscribe(&["lines".to_owned()]).unwrap();
    (0..3).for_each(|_| drop(other.poll(Duration::ZERO, &mut Nothing).unwrap()));
    other.close(Duration::from_secs(1)).unwrap();
}

/// Two brokers were killed within twenty seconds, and each had been the coordinator.
#[test]
fn a_member_that_is_fenced_twice_in_a_row_joins_again() {
    let world = World::new(2);
    let mut one = world.instance_of(word_count(), member(&world, "i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    let mut input = Vec::new();
    for round in 1..3 {
        fence(&world);
        let more = lines(round, 30);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
        world.run_until_drained(&mut [&mut one]);
    }
    assert_eq!(world.counts(), expected(&input));
}

struct Nothing;

impl RecordSink for Nothing {
    fn wants(&self, _: Slot) -> bool {
        false
    }

    fn record(&mut self, _: Slot, _: RawRecord<'_>) {}
}

/// Two that fence each other would do so for ever: one ends, and says why; the other goes on.
#[test]
fn of_two_with_the_same_group_instance_id_one_ends() {
    let world = World::new(2);
    let mut one = world.instance_of(word_count(), member(&world, "i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    let mut two = world.instance_of(word_count(), member(&world, "i2")).unwrap();
    let error = (0..3000).find_map(|_| world.turn(&mut [&mut one, &mut two]).err()).unwrap().to_string();
    assert!(
        error.contains("died three times within 20 s") && error.contains("same `group.instance.id`"),
        "{error}"
    );
    drop(one);
    let input = lines(1, 30);
    input.iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut two]);
    assert_eq!(world.counts(), expected(&input));
}
