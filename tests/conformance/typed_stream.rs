//! Batches and records that are awaited: order, bounds, commits, bad records, and the end.

use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::clients::{BatchStream, ConsumerConfig, ConsumerError, TopicConsumer};
use kstreams::topic::Topic;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    records_are_awaited_in_order,
    batches_are_committed_by_their_offsets,
    a_stream_that_nobody_reads_stops_fetching,
    a_stream_that_nobody_reads_stays_in_its_group,
    a_dropped_stream_leaves_the_group,
    a_closed_stream_leaves_the_group,
    a_bad_record_comes_once_and_waits,
    automatic_commits_take_what_was_taken,
    revoked_batches_are_not_handed_out,
    a_stream_answers_questions,
];

fn filled(kafka: &dyn ClientSupplier, names: &Names, count: i64) -> String {
    let topic = create(kafka, names, 1);
    fill(names, &topic, count);
    topic
}

fn one_by_one(names: &Names) -> ConsumerConfig {
    ConsumerConfig { max_poll_records: 1, ..member_config(names) }
}

fn records_are_awaited_in_order(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 100);
    let config = ConsumerConfig { max_poll_records: 7, ..member_config(names) };
    let mut records = member(names, &topic, config).into_records(2);
    let offsets = block_on(async {
        let mut offsets = Vec::new();
        while offsets.len() < 100 {
            offsets.push(records.next().await.unwrap().unwrap().offset);
        }
        offsets
    });
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    records.close(WAIT).unwrap();
}

fn batches_are_committed_by_their_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 3);
    let mut batches = member(names, &topic, one_by_one(names)).into_batches(4);
    block_on(async {
        for _ in 0..2 {
            let batch = unwrap_batch(batches.next().await);
            batches.commit(batch.offsets()).await.unwrap().unwrap();
        }
    });
    batches.close(WAIT).unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)).unwrap().offset, 2);
}

/// Waits until the stream has fetched as far as it may, and gives where that is.
fn held_back(batches: &BatchStream<String, String>, topic: &str, until: i64) {
    let place = at(topic, 0);
    eventually("the position", || {
        let place = place.clone();
        let position = batches.with(move |consumer| consumer.position(&place)).wait(WAIT).unwrap();
        (position.is_ok_and(|position| position == until)).then_some(())
    });
}

fn a_stream_that_nobody_reads_stops_fetching(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 50);
    let mut batches = member(names, &topic, one_by_one(names)).into_batches(3);
    held_back(&batches, &topic, 3);
    std::thread::park_timeout(Duration::from_millis(200));
    held_back(&batches, &topic, 3);
    block_on(async {
        for offset in 0..50 {
            assert_eq!(unwrap_batch(batches.next().await)[0].offset, offset);
        }
    });
}

fn a_stream_that_nobody_reads_stays_in_its_group(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    for number in 0..20 {
        producer.record().key("k").value(number.to_string()).partition(number % 2).send().unwrap();
    }
    producer.close(WAIT).unwrap();
    let batches = member(names, &topic, one_by_one(names)).into_batches(2);
    let owned = || batches.with(|consumer| consumer.assignment().len()).wait(WAIT).unwrap();
    eventually("the assignment", || (owned() == 2).then_some(()));
    // It answers the rebalance that another one causes, although nobody takes its batches.
    let mut other = member(names, &topic, member_config(names));
    eventually("a shared group", || {
        other.poll(LOOK).unwrap();
        (owned() == 1 && other.assignment().len() == 1).then_some(())
    });
}

fn a_dropped_stream_leaves_the_group(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let batches = member(names, &topic, member_config(names)).into_batches(2);
    let mut other = member(names, &topic, member_config(names));
    join(&mut [&mut other], &[1]);
    drop(batches);
    join(&mut [&mut other], &[2]);
}

fn a_closed_stream_leaves_the_group(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let batches = member(names, &topic, member_config(names)).into_batches(2);
    let mut other = member(names, &topic, member_config(names));
    join(&mut [&mut other], &[1]);
    batches.close(WAIT).unwrap();
    join(&mut [&mut other], &[2]);
}

fn a_bad_record_comes_once_and_waits(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    for value in [&1_i64.to_be_bytes()[..], b"many", &3_i64.to_be_bytes()] {
        let headers = kstreams::types::Headers::EMPTY;
        writer.try_send(&topic, 0, (Some(b"k"), Some(value), Some(TIME)), &headers).unwrap();
    }
    writer.flush();
    let typed = Topic::<String, i64>::named(topic.as_str());
    let consumer = TopicConsumer::subscribe(&names.supplier(), &[&typed], member_config(names)).unwrap();
    let mut records = consumer.into_records(4);
    block_on(async {
        assert_eq!(records.next().await.unwrap().unwrap().value, 1);
        let bad = match records.next().await.unwrap() {
            Err(ConsumerError::BadRecord(bad)) => bad,
            other => panic!("expected the bad record, got {other:?}"),
        };
        assert_eq!(bad.offset, 1);
        records.batches().skip(&bad).await.unwrap().unwrap();
        assert_eq!(records.next().await.unwrap().unwrap().value, 3);
    });
}

fn automatic_commits_take_what_was_taken(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 10);
    let config = ConsumerConfig {
        enable_auto_commit: true,
        auto_commit_interval: Duration::ZERO,
        ..one_by_one(names)
    };
    let mut batches = member(names, &topic, config).into_batches(5);
    block_on(async {
        for _ in 0..3 {
            unwrap_batch(batches.next().await);
        }
    });
    let committed = || committed_of(kafka, &names.group(), &at(&topic, 0)).map_or(0, |known| known.offset);
    eventually("the commit", || (committed() == 2).then_some(()));
    held_back(&batches, &topic, 8);
    assert_eq!(committed(), 2, "the third batch is in hand, the others are not taken");
    batches.close(WAIT).unwrap();
    assert_eq!(committed(), 3, "who closes is done");
}

fn revoked_batches_are_not_handed_out(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    for number in 0..20 {
        producer.record().key("k").value(number.to_string()).partition(number % 2).send().unwrap();
    }
    producer.close(WAIT).unwrap();
    let mut batches = member(names, &topic, one_by_one(names)).into_batches(4);
    eventually("the assignment", || {
        (batches.with(|consumer| consumer.assignment().len()).wait(WAIT) == Some(2)).then_some(())
    });
    let mut other = member(names, &topic, member_config(names));
    let mut seen = Vec::new();
    eventually("a shared group", || {
        seen.extend(other.poll(LOOK).unwrap());
        (other.assignment().len() == 1).then_some(())
    });
    eventually("the other's records", || {
        seen.extend(other.poll(LOOK).unwrap());
        (seen.len() >= 10).then_some(())
    });
    // Nothing was committed before, so that each of them begins anew, and no batch of both partitions is left over.
    let theirs = other.assignment()[0].partition;
    block_on(async {
        for offset in 0..10 {
            let batch = unwrap_batch(batches.next().await);
            assert_eq!((batch[0].partition, batch[0].offset), (1 - theirs, offset));
        }
    });
}

fn a_stream_answers_questions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = filled(kafka, names, 4);
    let mut batches = member(names, &topic, one_by_one(names)).into_batches(1);
    let place = at(&topic, 0);
    block_on(async {
        unwrap_batch(batches.next().await);
        let ends = batches.with({
            let place = place.clone();
            move |consumer| consumer.ends(&place)
        });
        assert_eq!(ends.await.unwrap().unwrap(), (0, 4));
    });
}
