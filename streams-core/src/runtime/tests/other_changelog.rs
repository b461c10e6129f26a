//! Changelogs that are not what state on disk came from: deleted, created anew, cut off; and state in the wrong place.

use std::time::Duration;

use streams_state::error::StateError;
use streams_state::types::TopicPartition;

use super::crashes::flush;
use super::world::{Instance, LINES, STORE, World, dir, expected, lines};
use crate::client::{ClientSupplier, NewTopic};
use crate::dsl::StreamsBuilder;
use crate::runtime::StreamsError;
use crate::topic::Store;
use crate::topology::Topology;

const CHANGELOG: &str = "wc-count-store-changelog";
const TIMEOUT: Duration = Duration::from_secs(1);

/// An instance that has counted `lines`, with everything on disk.
fn counted(world: &World, lines: &[String]) -> Instance {
    let mut one = world.instance("i1");
    lines.iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut one]);
    one.threads.iter_mut().for_each(flush);
    one
}

fn delete(world: &World, create: bool) {
    let mut admin = world.kafka.admin().unwrap();
    admin.delete_topics(&[CHANGELOG.to_owned()], TIMEOUT).unwrap();
    if create {
        let (name, config) = (CHANGELOG.to_owned(), Default::default());
        let new = NewTopic { name, partitions: 2, replication_factor: -1, config };
        admin.create_topics(&[new], TIMEOUT).unwrap().remove(0).unwrap();
    }
}

/// The error of the first turn that fails.
fn failure(world: &World, instance: &mut Instance) -> StreamsError {
    let mut failed = (0..500).filter_map(|_| world.turn(&mut [&mut *instance]).err());
    failed.next().expect("it went on")
}

#[track_caller]
fn names_what_to_do(error: &StreamsError, happened: &str) {
    let text = error.to_string();
    for part in
        [happened, "task 1_", CHANGELOG, "`count-store`", "i1/wc/1_", "bring the topic back", "delete"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_deleted_changelog_is_not_made_anew_over_state_on_disk() {
    let world = World::new(2);
    counted(&world, &lines(1, 50)).close();
    delete(&world, false);
    let error = world.instance_of(super::world::word_count(), world.config("i1")).err().unwrap();
    names_what_to_do(&error, "was deleted since");
    assert!(!world.kafka.topics().contains(&CHANGELOG.to_owned()), "it was made");
}

#[test]
fn a_changelog_that_was_created_anew_stops_the_application() {
    let world = World::new(2);
    counted(&world, &lines(1, 50)).close();
    delete(&world, true);
    let mut one = world.instance("i1");
    let error = failure(&world, &mut one);
    names_what_to_do(&error, "was deleted and created anew");
    one.kill();
    assert!(dir(&world, "i1").join("wc/1_0/rocksdb/CURRENT").exists(), "the state is kept");
}

#[test]
fn a_changelog_that_is_created_anew_under_a_running_instance_stops_it() {
    let world = World::new(2);
    let mut one = counted(&world, &lines(1, 50));
    delete(&world, true);
    let rewound = one.threads[0].abort_and_rewind();
    assert!(rewound.is_err(), "the changelog does not have the offset");
    one.threads[0].going_back = true;
    let error = failure(&world, &mut one);
    names_what_to_do(&error, "was deleted and created anew");
}

#[test]
fn a_changelog_that_is_deleted_under_a_running_instance_stops_it() {
    let world = World::new(2);
    let mut one = counted(&world, &lines(1, 50));
    delete(&world, false);
    let rewound = one.threads[0].abort_and_rewind();
    assert!(rewound.is_err(), "there is no changelog");
    one.threads[0].going_back = true;
    let error = failure(&world, &mut one);
    names_what_to_do(&error, "was deleted since");
}

/// Two stores of one task; the changelog of one loses what the store would have to read next.
#[test]
fn a_changelog_that_lost_the_offset_rebuilds_its_store_only() {
    const OTHER: Store<String, i64> = Store::new("other-store");
    fn two() -> Topology {
        let builder = StreamsBuilder::new();
        let words = builder.stream(&LINES).group_by(|_, word: &String| word.clone());
        words.clone().count_with(&STORE);
        words.count_with(&OTHER);
        builder.build().unwrap()
    }
    let world = World::new(1);
    let count = |instance: &mut Instance, more: usize| {
        lines(3, more).iter().for_each(|line| world.line(line));
        world.run_until_drained(&mut [&mut *instance]);
    };
    let mut one = world.instance_of(two(), world.config("i1")).unwrap();
    count(&mut one, 20);
    one.threads.iter_mut().for_each(flush);
    count(&mut one, 20);
    one.kill();
    let changelog = TopicPartition::new(CHANGELOG, 0);
    let end = world.kafka.end_offsets(CHANGELOG).unwrap()[0];
    world.kafka.admin().unwrap().delete_records(&[(changelog, end - 2)], TIMEOUT).unwrap();
    world.restores.0.lock().unwrap().clear();
    let mut one = world.instance_of(two(), world.config("i1")).unwrap();
    count(&mut one, 1);
    let restores = world.restores.0.lock().unwrap().clone();
    let last = |topic: &str| restores.iter().rev().find(|(name, ..)| name.starts_with(topic)).unwrap().1;
    assert_eq!(last(CHANGELOG), end - 2, "from the start that is left: {restores:?}");
    let other = last("wc-other-store-changelog");
    assert!(other > 0 && other < end - 2, "the other store goes on from its own offset: {restores:?}");
}

#[test]
fn state_of_another_task_is_not_used() {
    let world = World::new(2);
    counted(&world, &lines(4, 60)).close();
    let app = dir(&world, "i1").join("wc");
    for (from, to) in [("1_0", "x"), ("1_1", "1_0"), ("x", "1_1")] {
        std::fs::rename(app.join(from), app.join(to)).unwrap();
    }
    let mut one = world.instance("i1");
    let more = lines(5, 60);
    more.iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&[lines(4, 60), more].concat()));
}

#[test]
fn two_applications_do_not_share_rows() {
    let corrupt = |error: &StateError| matches!(error, StateError::Corrupt { .. });
    let world = World::new(2);
    counted(&world, &lines(4, 60)).close();
    let provider = super::world::engines();
    let mut engines = provider.open(&dir(&world, "i1").join("wc/1_0"), &["count-store"]).unwrap();
    let mut identity = engines[0].identity().unwrap().unwrap();
    assert_eq!((identity.application_id.as_str(), identity.task.as_str()), ("wc", "1_0"));
    assert!(identity.changelog_id.is_some() && identity.layout.is_some());
    "other".clone_into(&mut identity.application_id);
    let path = dir(&world, "i1");
    let error = streams_state::engine::identity::claim(&mut *engines[0], identity, &path).unwrap_err();
    assert!(corrupt(&error) && error.to_string().contains("application `wc`"), "{error}");
}
