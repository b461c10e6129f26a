//! Every line counts once, whatever is killed when; a restart replays the tail, not everything.

use super::world::{World, expected, in_memory, lines, word_count};
use crate::config::ProcessingGuarantee;

#[test]
fn counts_every_word_once_and_lag_reaches_zero() {
    let world = World::new(2);
    let input = lines(1, 200);
    input.iter().for_each(|line| world.line(line));
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
    one.close();
}

#[test]
fn at_least_once_counts_every_word_when_nothing_fails() {
    let world = World::new(2);
    let input = lines(2, 100);
    input.iter().for_each(|line| world.line(line));
    let mut config = world.config("i1");
    config.processing_guarantee = ProcessingGuarantee::AtLeastOnce;
    config.commit_interval = std::time::Duration::from_millis(50);
    let mut one = world.instance_of(word_count(), config).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
}

/// Killed after every number of turns from 1 to 60, each time with new input: the open transaction is settled by the
/// restart's producer, the consumed records are processed again, the store forgets what was not committed.
#[test]
fn kill_at_any_turn_neither_loses_nor_repeats() {
    let world = World::new(2);
    let mut input = Vec::new();
    for turns in 1..60 {
        let more = lines(turns, 7);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
        let mut one = world.instance("i1");
        for _ in 0..turns {
            world.turn(&mut [&mut one]).unwrap();
        }
        one.kill();
    }
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
}

#[test]
fn without_state_on_disk_the_changelog_gives_everything_back() {
    let world = World::new(2);
    let input = lines(3, 300);
    for half in input.chunks(150) {
        half.iter().for_each(|line| world.line(line));
        let mut one = world.instance_with(word_count(), world.config("i1"), in_memory()).unwrap();
        world.run_until_drained(&mut [&mut one]);
        one.kill();
    }
    assert_eq!(world.counts(), expected(&input));
}

/// The listener heard only of stores that had something to restore; Kafka Streams tells of all.
#[test]
fn the_restore_listener_hears_of_empty_changelogs() {
    let world = World::new(2);
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    let heard = world.restores.0.lock().unwrap();
    let expected = ["wc-count-store-changelog-0", "wc-count-store-changelog-1"];
    assert_eq!(*heard, expected.map(|changelog| (changelog.to_owned(), 0, 0)));
}

/// After a clean close the stores hold everything with its changelog offset: the restart replays no record.
#[cfg(feature = "rocksdb")]
#[test]
fn a_restart_after_a_clean_close_replays_nothing() {
    let world = World::new(2);
    let input = lines(4, 200);
    input.iter().for_each(|line| world.line(line));
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    one.close();
    world.restores.0.lock().unwrap().clear();
    let mut again = world.instance("i1");
    world.line("w1");
    world.run_until_drained(&mut [&mut again]);
    let replayed: u64 = world.restores.0.lock().unwrap().iter().map(|(_, _, records)| records).sum();
    assert_eq!(replayed, 0, "{:?}", world.restores.0.lock().unwrap());
    let mut all = input;
    all.push("w1".to_owned());
    assert_eq!(world.counts(), expected(&all));
}
