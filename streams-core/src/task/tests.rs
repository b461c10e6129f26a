//! Tasks turned by hand: queues, turns, chains, stores, commits.

use std::sync::Arc;
use std::time::Duration;

use streams_state::types::{Headers, TopicPartition};

use super::toy::{Toy, add, sent};
use super::{FlushPolicy, OffsetMetadata, ProcessorMetadata, StreamTask};
use crate::client::CommittedOffset;
use crate::handler::{DeadLetterQueue, LogAndContinue, LogAndFail};
use crate::processor::PunctuationType::{StreamTime, WallClockTime};
use crate::record::RawRecord;

fn pipe(topics: &[&str]) -> Toy {
    Toy::default().source("source", topics).sink("sink", &["source"], "out")
}

/// Offsets to commit, by topic, with their partition times.
fn offsets(task: &StreamTask) -> Vec<(String, i64, i64)> {
    let offset = |(partition, committed): (TopicPartition, CommittedOffset)| {
        let time = OffsetMetadata::decode(&committed.metadata).partition_time;
        (partition.to_string(), committed.offset, time)
    };
    task.committable_offsets().into_iter().map(offset).collect()
}

fn commit(task: &mut StreamTask) {
    assert!(task.prepare_commit(usize::MAX).unwrap());
    let offsets = task.committable_offsets();
    task.post_commit(&offsets, &mut |_, _| None);
}

#[test]
fn the_lowest_head_timestamp_goes_first() {
    let mut task = pipe(&["a", "b"]).task();
    for (offset, timestamp) in [(0, 10), (1, 5), (2, 40)] {
        add(&mut task, 0, offset, timestamp, "a", "");
    }
    for (offset, timestamp) in [(0, 20), (1, 30)] {
        add(&mut task, 1, offset, timestamp, "b", "");
    }
    assert_eq!((task.buffered(0), task.buffered(1), task.total_buffered()), (3, 2, 5));
    assert_eq!(task.process(100).unwrap(), 5);
    assert_eq!(sent(&mut task), ["out: a=@10", "out: a=@5", "out: b=@20", "out: b=@30", "out: a=@40"]);
    assert_eq!((task.stream_time(), task.total_buffered()), (40, 0));
    assert_eq!(offsets(&task), [("a-3".to_owned(), 3, 40), ("b-3".to_owned(), 2, 30)]);
}

#[test]
fn equal_timestamps_take_turns_as_in_java() {
    let mut task = pipe(&["a", "b", "c"]).task();
    for (slot, key) in (0..).zip(["a", "b", "c"]) {
        (0..2).for_each(|offset| add(&mut task, slot, offset, 7, key, ""));
    }
    task.process(100).unwrap();
    let order: String = sent(&mut task).iter().map(|line| &line[5..6]).collect();
    assert_eq!(order, "acacbb");
}

#[test]
fn a_record_that_cannot_be_used_is_skipped_and_counts_as_consumed() {
    let mut task = pipe(&["a"]).task();
    add(&mut task, 0, 10, 1, "k", "bad");
    add(&mut task, 0, 11, -5, "k", "early");
    add(&mut task, 0, 12, 2, "k", "good");
    assert_eq!(task.process(1).unwrap(), 1);
    assert_eq!((sent(&mut task), task.dropped()), (vec!["out: k=good@2".to_owned()], 2));
    add(&mut task, 0, 13, 3, "k", "bad");
    // Alone, it takes a turn of its own, as in Kafka Streams.
    assert_eq!(task.process(100).unwrap(), 1);
    assert_eq!((task.dropped(), task.total_buffered()), (3, 0));
    assert_eq!(offsets(&task), [("a-3".to_owned(), 14, 2)]);
}

#[test]
fn skipped_records_before_a_waiting_one_are_committed() {
    let mut task = pipe(&["a"]).task();
    add(&mut task, 0, 4, 1, "k", "good");
    add(&mut task, 0, 5, 1, "k", "bad");
    add(&mut task, 0, 6, 1, "k", "bad");
    add(&mut task, 0, 9, 1, "k", "good");
    assert_eq!(task.process(1).unwrap(), 1);
    assert_eq!((task.dropped(), task.buffered(0)), (2, 1));
    assert_eq!(offsets(&task), [("a-3".to_owned(), 9, 1)]);
}

#[test]
fn a_bad_record_stops_the_task_if_the_handler_says_so() {
    let mut task = pipe(&["a"]).uninitialized(Arc::new(LogAndFail), None);
    task.init(0).unwrap();
    add(&mut task, 0, 5, 1, "k", "bad");
    let error = task.process(1).unwrap_err();
    assert_eq!(error.to_string(), "task 0_3, node `source`, record a-3@5: cannot deserialize the value: bad");
}

#[test]
fn dead_letters_carry_the_bytes_of_their_own_record() {
    let toy = Toy::default().source("source", &["a", "b"]).node("fail", &["source"], |context, record, _| {
        context.processing_failed("fail", format!("no {}", record.value).into())
    });
    let mut task = toy.uninitialized(Arc::new(DeadLetterQueue::new("dead")), None);
    task.init(0).unwrap();
    add(&mut task, 0, 0, 1, "k1", "v1");
    add(&mut task, 0, 1, 3, "k3", "bad");
    add(&mut task, 1, 0, 2, "k2", "v2");
    let null = RawRecord { offset: 1, timestamp: 9, key: None, value: Some(b"v4"), headers: Headers::EMPTY };
    task.add_record(1, null);
    task.process(100).unwrap();
    let mut dead = sent(&mut task);
    dead.sort();
    assert_eq!(dead, ["dead: k1=v1@1", "dead: k2=v2@2", "dead: k3=bad@3", "dead: null=v4@9"]);
}

#[test]
fn positions_move_past_markers_but_never_past_waiting_records() {
    let mut task = pipe(&["a", "b"]).task();
    task.start_at(0, Some(&CommittedOffset { offset: 7, metadata: String::new() }));
    assert!(!task.commit_needed());
    task.update_position(1, 5);
    assert!(!task.commit_needed(), "nothing was ever consumed of b");
    task.update_position(0, 9);
    assert_eq!(offsets(&task), [("a-3".to_owned(), 9, -1)]);
    add(&mut task, 0, 12, 100, "k", "v");
    task.update_position(0, 13);
    assert_eq!(offsets(&task), [("a-3".to_owned(), 12, -1)]);
    task.process(1).unwrap();
    task.update_position(0, 14);
    assert_eq!(offsets(&task), [("a-3".to_owned(), 14, 100)]);
    task.outbox().clear();
    let other = CommittedOffset { offset: 14, metadata: String::new() };
    task.post_commit(&[(TopicPartition::new("a", 0), other)], &mut |_, _| None);
    assert!(task.commit_needed(), "that was another task's partition");
    commit(&mut task);
    assert!(!task.commit_needed());
    assert_eq!(offsets(&task), []);
}

#[test]
fn time_and_metadata_survive_a_restart() {
    let mut task = pipe(&["a", "b"]).task();
    let mut processor = ProcessorMetadata::default();
    processor.put("store", 77);
    let metadata = OffsetMetadata { partition_time: 50, processor }.encode();
    task.start_at(0, Some(&CommittedOffset { offset: 7, metadata }));
    assert_eq!((task.stream_time(), task.processor_metadata().get("store")), (50, Some(77)));
    add(&mut task, 0, 7, 20, "k", "v");
    task.process(1).unwrap();
    assert_eq!(offsets(&task), [("a-3".to_owned(), 8, 50)]);
    commit(&mut task);
    task.processor_metadata().put("store", 78);
    assert_eq!(offsets(&task), [("a-3".to_owned(), 8, 50)], "metadata changed: all that was consumed");
}

#[test]
fn an_empty_partition_is_waited_for_while_it_has_lag() {
    let idle = Some(Duration::from_millis(100));
    let mut task = pipe(&["a", "b"]).uninitialized(Arc::new(LogAndContinue), idle);
    task.init(0).unwrap();
    assert!(!task.ready(0, &mut |_| Some(0)), "all are empty");
    add(&mut task, 0, 0, 1, "k", "v");
    add(&mut task, 0, 1, 2, "k", "v");
    assert!(!task.ready(10, &mut |_| None));
    assert!(!task.ready(10, &mut |_| Some(5)));
    assert!(!task.ready(20, &mut |_| Some(0)));
    assert!(!task.ready(119, &mut |_| Some(0)));
    assert!(task.ready(120, &mut |_| Some(0)));
    add(&mut task, 1, 0, 1, "k", "v");
    assert!(task.ready(121, &mut |_| unreachable!("every queue has a record")));
    // Turns of a, then of b: then b is empty, and the caller must ask again.
    assert_eq!((task.process(100).unwrap(), task.buffered(0)), (2, 1));
    assert!(!task.ready(122, &mut |_| Some(0)));
}

#[test]
fn max_task_idle_minus_one_never_waits() {
    let mut task = pipe(&["a", "b"]).task();
    assert!(!task.ready(0, &mut |_| None));
    add(&mut task, 0, 0, 1, "k", "v");
    assert!(task.ready(0, &mut |_| None));
}

#[test]
fn a_node_with_three_parents_is_one_node() {
    let toy = Toy::default()
        .source("one", &["a"])
        .source("two", &["b", "+c"])
        .node("bang", &["one"], |context, mut record, outputs| {
            record.value.push('!');
            outputs.forward(context, record)
        })
        .node("merge", &["one", "two", "bang"], |context, record, outputs| outputs.forward(context, record))
        .sink("out", &["merge"], "out")
        .sink("again", &["merge"], "+again");
    let mut task = toy.task();
    let topics: Vec<String> = task.partitions().iter().map(|partition| partition.to_string()).collect();
    assert_eq!(topics, ["a-3", "b-3", "app-c-3"]);
    (0..3).for_each(|slot| add(&mut task, slot, 0, i64::from(slot), "k", "v"));
    task.process(10).unwrap();
    assert_eq!(
        sent(&mut task),
        [
            "out: k=v!@0",
            "app-again: k=v!@0",
            "out: k=v@0",
            "app-again: k=v@0",
            "out: k=v@1",
            "app-again: k=v@1",
            "out: k=v@2",
            "app-again: k=v@2"
        ]
    );
}

#[test]
fn schedules_are_made_in_the_order_of_nodes_and_run_in_javas() {
    let toy = Toy::default()
        .source("source", &["a"])
        .ticks("t1", &["source"], StreamTime, 10)
        .ticks("t2", &["t1"], StreamTime, 10)
        .ticks("t3", &["t2"], StreamTime, 10)
        .sink("sink", &["t3"], "out");
    let mut task = toy.task();
    assert!(!task.punctuate_stream_time().unwrap(), "no record, no stream time");
    add(&mut task, 0, 0, 5, "k", "v");
    task.process(1).unwrap();
    assert!(task.punctuate_stream_time().unwrap());
    assert_eq!(sent(&mut task), ["out: k=v@5", "out: t1=tick@5", "out: t3=tick@5", "out: t2=tick@5"]);
    assert!(!task.punctuate_stream_time().unwrap());
    add(&mut task, 0, 1, 35, "k", "v");
    task.process(1).unwrap();
    task.punctuate_stream_time().unwrap();
    assert_eq!(sent(&mut task).len(), 4, "missed rounds are skipped");
}

#[test]
fn wall_clock_schedules_need_no_records() {
    let toy = Toy::default().source("source", &["a"]).ticks("t", &["source"], WallClockTime, 10).sink(
        "sink",
        &["t"],
        "out",
    );
    let mut task = toy.task();
    assert_eq!(task.next_wall_clock(), Some(1010));
    assert!(!task.punctuate_wall_clock(1009).unwrap());
    assert!(task.punctuate_wall_clock(1025).unwrap());
    assert_eq!((sent(&mut task), task.next_wall_clock()), (vec!["out: t=tick@1025".to_owned()], Some(1030)));
    assert!(task.commit_needed());
}

#[test]
fn changelogs_follow_their_stores() {
    let toy = Toy::default()
        .source("source", &["a"])
        .store("direct", |_| {})
        .store("silent", |spec| spec.logging = false)
        .store("reused", |spec| spec.source_topic = Some("a".into()))
        .put("p1", &["source"], &["direct"])
        .put("p2", &["p1"], &["silent"])
        .put("p3", &["p2"], &["reused"])
        .sink("sink", &["p3"], "out");
    let mut task = toy.task();
    let changelog = |task: &StreamTask, store: usize| {
        task.state().stores()[store].changelog.as_ref().map(|changelog| changelog.to_string())
    };
    assert_eq!(changelog(&task, 0).as_deref(), Some("app-direct-changelog-3"));
    assert_eq!(changelog(&task, 1), None);
    assert_eq!(changelog(&task, 2).as_deref(), Some("a-3"));
    add(&mut task, 0, 40, 5, "k", "v");
    task.process(1).unwrap();
    let partitions: Vec<Option<i32>> = task.outbox().records.iter().map(|record| record.partition).collect();
    assert_eq!(partitions, [None, Some(3)]);
    assert_eq!(sent(&mut task), ["out: k=v@5", "app-direct-changelog: k=v@5"]);
    assert!(task.prepare_commit(usize::MAX).unwrap());
    let offsets = task.committable_offsets();
    task.post_commit(&offsets, &mut |changelog, _| {
        (&*changelog.topic == "app-direct-changelog").then_some(11)
    });
    task.flush().unwrap();
    let reached: Vec<Option<i64>> =
        task.state().stores().iter().map(|store| store.restore_offset()).collect();
    assert_eq!(reached, [Some(11), None, Some(41)]);
}

#[test]
fn restored_rows_are_there_and_wiped_ones_are_not() {
    let toy =
        Toy::default().source("source", &["a"]).store("store", |_| {}).put("put", &["source"], &["store"]);
    let mut task = toy.uninitialized(Arc::new(LogAndFail), None);
    let state = task.state_mut();
    let record =
        RawRecord { offset: 0, timestamp: 5, key: Some(b"k"), value: Some(b"v"), headers: Headers::EMPTY };
    state.restore(0, &record).unwrap();
    state.restore(0, &RawRecord { key: None, ..record }).unwrap();
    state.restored(0, 2);
    assert_eq!(state.stores()[0].restore_offset(), Some(2));
    assert!(state.unflushed().records > 0);
    assert!(!state.flush_if_due(FlushPolicy { bytes_max: u64::MAX, records_max: 3, waits: true }).unwrap());
    state.wipe().unwrap();
    assert_eq!(state.stores()[0].restore_offset(), None);
}

#[test]
fn caches_are_flushed_in_registration_order_at_the_commit() {
    let toy = Toy::default()
        .source("source", &["a"])
        .store("late", |spec| spec.caching = true)
        .store("early", |spec| spec.caching = true)
        .store("lonely", |spec| spec.caching = true)
        .put("p1", &["source"], &["early", "lonely"])
        .put("p2", &["source"], &["late"])
        .sink("s1", &["p1"], "out-early")
        .sink("s2", &["p2"], "out-late");
    let mut task = toy.task();
    for (offset, value) in (0..).zip(["1", "2", "3"]) {
        add(&mut task, 0, offset, 5, "k", value);
    }
    task.process(10).unwrap();
    assert!(sent(&mut task).is_empty(), "caches hold updates back");
    assert!(task.prepare_commit(usize::MAX).unwrap());
    assert_eq!(
        sent(&mut task),
        ["out-early: k=3@5", "out-late: k=3@5", "app-early-changelog: k=3@5", "app-late-changelog: k=3@5"]
    );
}

/// Two caches; the flush of the second, `front`, fills the first, `back`.
fn a_loop_of_caches() -> Toy {
    Toy::default()
        .source("source", &["a"])
        .store("plain", |_| {})
        .store("back", |spec| spec.caching = true)
        .store("front", |spec| spec.caching = true)
        .put("reads back", &["source"], &["plain", "back"])
        .put("front", &["reads back"], &["front"])
        .put("writes back", &["front"], &["back"])
        .sink("sink", &["writes back"], "out")
}

/// A part goes on where the one before ended: `back` comes after all of `front`, as without parts.
#[test]
fn caches_are_flushed_in_parts_in_the_same_order() {
    let mut task = a_loop_of_caches().task();
    for (offset, key) in (0..).zip(["a", "b", "c"]) {
        add(&mut task, 0, offset, 5, key, "v");
    }
    task.process(3).unwrap();
    sent(&mut task);
    let mut parts = Vec::new();
    for all in [false, false, true] {
        assert_eq!(task.prepare_commit(2).unwrap(), all);
        parts.push(sent(&mut task));
    }
    let front = ["a", "b", "c"].map(|key| format!("app-front-changelog: {key}=v@5"));
    let back =
        ["a", "b", "c"].map(|key| [format!("out: {key}=v@5"), format!("app-back-changelog: {key}=v@5")]);
    assert_eq!(parts[0], front[..2]);
    assert_eq!(parts[1], [&back[0][0], &back[1][0], &back[0][1], &back[1][1], &front[2]].map(String::clone));
    assert_eq!(parts[2], back[2]);
    assert!(task.prepare_commit(2).unwrap() && sent(&mut task).is_empty());
}

#[test]
fn a_cache_filled_by_the_flush_of_a_later_one_is_flushed_in_the_same_commit() {
    let mut task = a_loop_of_caches().task();
    add(&mut task, 0, 0, 5, "k", "v");
    task.process(1).unwrap();
    sent(&mut task);
    assert!(task.prepare_commit(usize::MAX).unwrap());
    assert_eq!(task.state().cached_bytes(), 0);
    assert_eq!(sent(&mut task), ["out: k=v@5", "app-back-changelog: k=v@5", "app-front-changelog: k=v@5"]);
}

#[test]
fn a_requested_commit_ends_the_batch() {
    let toy = Toy::default().source("source", &["a"]).node("ask", &["source"], |context, record, _| {
        context.commit_requested = record.value == "commit";
        Ok(())
    });
    let mut task = toy.task();
    for (offset, value) in (0..).zip(["go", "commit", "go"]) {
        add(&mut task, 0, offset, 5, "k", value);
    }
    assert_eq!(task.process(10).unwrap(), 2);
    assert!(task.commit_requested());
    commit(&mut task);
    assert!(!task.commit_requested());
    assert_eq!(task.process(10).unwrap(), 1);
}

#[test]
fn close_reaches_every_node() {
    let toy = Toy::default().source("source", &["a"]).ticks("t", &["source"], StreamTime, 10);
    let mut task = toy.task();
    add(&mut task, 0, 0, 5, "k", "v");
    task.process(0).unwrap();
    task.close().unwrap();
}
