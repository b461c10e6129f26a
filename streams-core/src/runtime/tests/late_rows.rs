//! At least once: rows that reach a changelog late, behind those of another process that has the task by now. Can be caught: a
//! store that takes offsets of its own rows for the end of what it has; rows of dropped tasks that are sent all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::outage::Connection;
use super::ported::scene::stored;
use super::world::{Instance, STORE, World, engines, expected, lines, word_count};
use crate::config::{ProcessingGuarantee, StreamsConfig};

const CHANGELOG: &str = "wc-count-store-changelog";

fn config(world: &World, name: &str) -> StreamsConfig {
    let mut config = StreamsConfig {
        processing_guarantee: ProcessingGuarantee::AtLeastOnce,
        commit_interval: Duration::from_millis(100),
        ..world.config(name)
    };
    config.num_stream_threads = 1;
    config
}

fn instance(world: &World, name: &str) -> Instance {
    world.instance_of(word_count(), config(world, name)).unwrap()
}

/// The story: an instance that had been frozen wrote a row that it had held back. It took the offset of that row for the end of what its store had,
/// and so the rows that another had written between, which it had never seen, were missing when it got the task back: input was lost.
#[test]
fn a_store_keeps_its_offset_when_somebody_else_writes_to_its_changelog() {
    let world = World::new(2);
    let mut one = instance(&world, "i1");
    lines(1, 20).iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut one]);
    let ends = || world.kafka.end_offsets(CHANGELOG).unwrap();
    let holes = ends();
    for (partition, key) in [(0, b"zebra"), (1, b"okapi")] {
        let value = 40_i64.to_be_bytes();
        world.kafka.produce(CHANGELOG, Some(partition), Some(key), Some(&value), 0).unwrap();
    }
    lines(2, 20).iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut one]);
    let mut counts = stored(&[&one], &STORE);
    assert_eq!(counts.insert("zebra".to_owned(), 40), None, "nobody told it");
    assert_eq!(counts.insert("okapi".to_owned(), 40), None);

    // The group shares out anew. The store that stays restores what it does not have, the other one all.
    world.restores.0.lock().unwrap().clear();
    let mut two = instance(&world, "i2");
    world.run_until_drained(&mut [&mut one, &mut two]);
    let restore = |partition: usize, from| {
        (format!("{CHANGELOG}-{partition}"), from, u64::try_from(ends()[partition] - from).unwrap())
    };
    let stays = [restore(0, holes[0]), restore(1, holes[1])];
    let restores = world.restores.0.lock().unwrap().clone();
    let there = stays.iter().filter(|restore| restores.contains(restore)).count();
    assert_eq!(there, 1, "one of {stays:?} in {restores:?}");
    assert_eq!(stored(&[&one, &two], &STORE), counts);
}

/// A world in which instance `i1` has counted lines, and has sent what comes of more of them, which nobody has acknowledged.
struct HeldBack {
    world: World,
    holds: Arc<AtomicBool>,
    one: Instance,
    input: Vec<String>,
}

impl HeldBack {
    fn new(partitions: i32) -> Self {
        let world = World::new(partitions);
        let connection = Connection::new(&world, Arc::default());
        let holds = connection.holds.clone();
        let one = world.instance_from(word_count(), config(&world, "i1"), engines(), Arc::new(connection));
        let one = one.unwrap();
        let mut held = Self { world, holds, one, input: Vec::new() };
        held.feed(1);
        held.world.run_until_drained(&mut [&mut held.one]);
        held.holds.store(true, Ordering::SeqCst);
        held.feed(2);
        (0..50).for_each(|_| held.world.turn(&mut [&mut held.one]).unwrap());
        held
    }

    fn feed(&mut self, seed: u64) {
        let lines = lines(seed, 20);
        lines.iter().for_each(|line| self.world.line(line));
        self.input.extend(lines);
    }

    /// The network works again. The last row of each word must be its count.
    fn settle(mut self, two: &mut Instance) {
        self.holds.store(false, Ordering::SeqCst);
        self.world.run_until_drained(&mut [&mut self.one, two]);
        let mut rows = BTreeMap::new();
        for row in self.world.kafka.read_all(CHANGELOG, true).unwrap() {
            let count = i64::from_be_bytes(row.value.unwrap().try_into().unwrap());
            rows.insert(String::from_utf8(row.key.unwrap()).unwrap(), count);
        }
        assert_eq!(rows, expected(&self.input));
    }
}

/// Another process counts on from what is committed. What the one that had lost the task had held back would be the last word in the
/// changelog, and too low a count.
#[test]
fn what_lost_tasks_had_sent_and_nobody_acknowledged_is_dropped() {
    let mut held = HeldBack::new(1);
    // It stands still until another has its tasks.
    held.world.clock.advance(400_000);
    let mut two = instance(&held.world, "i2");
    held.feed(3);
    held.world.run_until_drained(&mut [&mut two]);
    held.world.turn(&mut [&mut held.one, &mut two]).unwrap();
    held.settle(&mut two);
}

/// The same where a task is given back, and the commit before does not succeed.
#[test]
fn what_revoked_tasks_had_sent_and_nobody_acknowledged_is_dropped() {
    let mut held = HeldBack::new(2);
    let mut two = instance(&held.world, "i2");
    held.feed(3);
    (0..100).for_each(|_| held.world.turn(&mut [&mut held.one, &mut two]).unwrap());
    assert_eq!(two.threads[0].tasks.len(), 2, "one of lines, one of counts");
    held.settle(&mut two);
}
