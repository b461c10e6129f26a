//! Tasks move between threads and instances without losing or repeating anything.

use streams_state::types::TaskId;

use super::crashes::Random;
use super::world::{Instance, World, expected, lines, word_count};
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
