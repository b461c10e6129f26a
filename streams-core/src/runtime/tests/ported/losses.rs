//! Three tests of 2026: `AtLeastOnceDeliveryMessageLossIntegrationTest` (KAFKA-19479), `SelfManagedOffsetRecoveryIntegrationTest` and
//! `StateUpdaterFailureIntegrationTest`: a record that the broker refuses is not committed as sent, rows without an offset are not
//! believed, and a disk that fails in the wrong moment ends threads, not guarantees.

use std::collections::BTreeMap;

use super::super::crashes::{Failure, Kept};
use super::scene::{Scene, by_key, stored, tasks};
use crate::client::NewTopic;
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::StreamsBuilder;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const INPUT: Topic<String, String> = Topic::new("input");
const OUTPUT: Topic<String, String> = Topic::new("output");
const LARGE_RECORD_COUNT: usize = 50_000;

/// 50,000 records of which one is larger than the output topic takes: only the broker knows. Neither it nor what follows may be
/// committed as read; with a topology that cuts it down all come out.
#[test]
fn should_not_commit_offsets_when_producer_fails_with_message_too_large() {
    for (guarantee, large) in [
        (ProcessingGuarantee::AtLeastOnce, 0),
        (ProcessingGuarantee::AtLeastOnce, 30_000),
        (ProcessingGuarantee::AtLeastOnce, LARGE_RECORD_COUNT - 1),
        (ProcessingGuarantee::ExactlyOnceV2, 30_000),
    ] {
        let scene = Scene::new(&[("input", 1)]);
        let config = [("max.message.bytes".to_owned(), "10000".to_owned())].into();
        let output = NewTopic { name: "output".to_owned(), partitions: 1, replication_factor: 1, config };
        scene.world.kafka.create_topic_with(&output).unwrap();
        for number in 0..LARGE_RECORD_COUNT {
            let filler = if number == large { "x".repeat(20_000) } else { String::new() };
            scene.put(&INPUT, &number.to_string(), &format!("item-{number}{filler}"));
        }
        let config = || StreamsConfig { processing_guarantee: guarantee, ..scene.at_least_once("i1", 100) };
        let copying = |cut: bool| {
            let builder = StreamsBuilder::new();
            let whole = builder.stream(&INPUT);
            whole
                .map_values(move |text| if cut { text.trim_end_matches('x').to_owned() } else { text })
                .to(&OUTPUT);
            builder.build().unwrap()
        };
        let mut one = scene.start(copying(false), config());
        let mut failed = Vec::new();
        for _ in 0..1_000 {
            failed.extend(scene.turn_threads(&mut [&mut one]));
        }
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed[0].to_string().contains("max.message.bytes=10000"), "{}", failed[0]);
        let committed = scene.committed("input", 0).unwrap_or(0);
        assert!(committed <= large as i64, "{guarantee:?}: {committed} committed, {large} was refused");
        drop(one);
        let mut two = scene.start(copying(true), config());
        scene.settle(&mut [&mut two]);
        let found = scene.per_key(&OUTPUT);
        assert_eq!(found.len(), LARGE_RECORD_COUNT, "none is lost");
        assert!(found.iter().all(|(key, values)| values.iter().all(|value| *value == format!("item-{key}"))));
        let twice = found.values().filter(|values| values.len() > 1).count();
        assert!(guarantee == ProcessingGuarantee::AtLeastOnce || twice == 0, "{twice}");
    }
}

const COUNTS: Store<String, i64> = Store::new("counts-store");
const BY_VALUE: Store<String, i64> = Store::new("counts-store-2");
const COUNTED: Topic<String, Option<i64>> = Topic::new("output-topic");
const COUNTED_BY_VALUE: Topic<String, Option<i64>> = Topic::new("output-topic-2");

fn counting(two: bool) -> Topology {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&INPUT);
    stream.clone().group_by_key().count_with(&COUNTS).to_stream().to(&COUNTED);
    if two {
        stream.group_by(|_, value| value.clone()).count_with(&BY_VALUE).to_stream().to(&COUNTED_BY_VALUE);
    }
    builder.build().unwrap()
}

/// Three records, an end, something done to the disk, two records more: what was committed is counted once, and each count was sent
/// once.
fn should_recover(
    config: impl Fn(&Scene) -> StreamsConfig,
    two: bool,
    clean: bool,
    harm: impl Fn(&Scene, &Kept),
) {
    let kept = Kept::default();
    let topics = [("input", 3), ("output-topic", 3), ("output-topic-2", 3)];
    let scene = Scene { disk: std::sync::Arc::new(kept.clone()), ..Scene::new(&topics) };
    let put = |rows: &[(&str, &str)]| {
        rows.iter().for_each(|(key, value)| scene.put(&INPUT, &(*key).to_owned(), &(*value).to_owned()));
    };
    let mut one = scene.start(counting(two), config(&scene));
    put(&[("A", "v1"), ("B", "v1"), ("A", "v2")]);
    scene.settle(&mut [&mut one]);
    if clean {
        one.close()
    } else {
        one.kill()
    }
    harm(&scene, &kept);
    let mut one = scene.start(counting(two), config(&scene));
    put(&[("A", "v3"), ("C", "v1")]);
    scene.settle(&mut [&mut one]);
    let counts = |rows: &[(&str, i64)]| -> BTreeMap<String, i64> {
        rows.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    };
    assert_eq!(stored(&[&one], &COUNTS), counts(&[("A", 3), ("B", 1), ("C", 1)]));
    let each =
        |key: &str, counts: i64| (1..=counts).map(|count| (key.to_owned(), Some(count))).collect::<Vec<_>>();
    assert_eq!(scene.per_key(&COUNTED), by_key([each("A", 3), each("B", 1), each("C", 1)].concat()));
    if two {
        assert_eq!(stored(&[&one], &BY_VALUE), counts(&[("v1", 3), ("v2", 1), ("v3", 1)]));
    }
}

fn exactly_once(scene: &Scene) -> StreamsConfig {
    scene.config("i1")
}

#[test]
fn should_recover_from_unclean_shutdown_with_alos() {
    should_recover(|scene| scene.at_least_once("i1", 100), false, false, |_, _| {});
}

#[test]
fn should_recover_from_unclean_shutdown_with_eos() {
    should_recover(exactly_once, false, false, |_, _| {});
}

/// Rows without an offset may be anything: here one that is in no changelog.
#[test]
fn should_recover_from_missing_offsets_in_column_family_with_eos() {
    for clean in [true, false] {
        should_recover(exactly_once, false, clean, |_, kept| {
            kept.forget_offsets("counts-store", (b"stray", &[0; 16]));
        });
    }
}

#[test]
fn should_recover_multiple_stores_from_unclean_shutdown() {
    should_recover(exactly_once, true, false, |_, kept| {
        kept.forget_offsets("counts-store", (b"stray", &[0; 16]));
    });
}

/// The disk refuses what a thread wants to write while its tasks are given to another thread, or while they are closed: both end, with
/// the words of the disk, and nothing is lost.
#[test]
fn correctly_handle_flush_errors_during_rebalance() {
    for calls in 0..12 {
        let kept = Kept::default();
        let scene = Scene {
            disk: std::sync::Arc::new(kept.clone()),
            ..Scene::new(&[("input", 6), ("output-topic", 6)])
        };
        let start =
            || scene.start(counting(false), StreamsConfig { num_stream_threads: 2, ..scene.config("i1") });
        let mut one = start();
        let put =
            |from: i32| (from..from + 30).for_each(|n| scene.put(&INPUT, &format!("k{n}"), &String::new()));
        put(0);
        scene.settle(&mut [&mut one]);
        kept.fail_after(calls, Failure::Refused);
        let mut removed = one.threads.remove(1);
        let closed = removed
            .close(std::time::Duration::from_secs(1), crate::runtime::GroupMembershipOperation::LeaveGroup);
        let mut failed: Vec<_> = closed.err().into_iter().collect();
        put(30);
        for _ in 0..200 {
            failed.extend(scene.turn_threads(&mut [&mut one]));
        }
        for mut thread in one.threads.drain(..) {
            failed.extend(
                thread
                    .close(
                        std::time::Duration::from_secs(1),
                        crate::runtime::GroupMembershipOperation::LeaveGroup,
                    )
                    .err(),
            );
        }
        assert!(failed.iter().all(|error| error.to_string().contains("as it was told")), "{failed:?}");
        assert!(failed.len() <= 1 && (calls > 6 || failed.len() == 1), "{calls}: {failed:?}");
        drop((removed, one));
        kept.heal();
        let mut again = start();
        scene.settle(&mut [&mut again]);
        assert_eq!(tasks(&again).len(), 6);
        assert_eq!(stored(&[&again], &COUNTS), (0..60).map(|n| (format!("k{n}"), 1)).collect());
        assert_eq!(scene.per_key(&COUNTED).values().map(Vec::len).sum::<usize>(), 60);
    }
}

/// A restore that fails ends the thread; all tasks are closed, those as well that did not restore yet: another thread of the same
/// process may open them.
#[test]
fn should_close_tasks_that_are_left_in_the_state_updater_on_shutdown() {
    let kept = Kept::default();
    let topics = [("input", 2), ("output-topic", 2)];
    let scene = Scene { disk: std::sync::Arc::new(kept.clone()), ..Scene::new(&topics) };
    (0..20).for_each(|n| scene.put(&INPUT, &format!("k{n}"), &String::new()));
    let mut one = scene.start(counting(false), scene.config("i1"));
    scene.settle(&mut [&mut one]);
    one.close();
    let mut failures = 0;
    for calls in 0..40 {
        let mut one = scene.start(counting(false), scene.config("i2"));
        one.threads[0].restorer.bulk_min_records = 1;
        kept.fail_after(calls, Failure::Refused);
        for _ in 0..50 {
            failures += scene.turn_threads(&mut [&mut one]).len();
        }
        kept.heal();
        drop(one);
        // The same directory, in the same process.
        let mut again = scene.start(counting(false), scene.config("i2"));
        scene.settle(&mut [&mut again]);
        assert_eq!(stored(&[&again], &COUNTS).len(), 20);
        again.close();
        let directory = scene.world.root.path().join("i2");
        kept.delete(&directory);
        std::fs::remove_dir_all(directory).unwrap();
    }
    assert!(failures > 10, "{failures}");
}
