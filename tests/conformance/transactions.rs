//! Transactions as readers see them: commit, abort, markers, the last stable offset.

use kstreams::client::{ClientSupplier, OffsetSpec};

use crate::harness::cases;
use crate::support::*;

cases![
    committed_records_are_seen_by_all,
    open_records_are_seen_by_uncommitted_readers_only,
    aborted_records_are_seen_by_uncommitted_readers_only,
    a_commit_marker_takes_an_offset,
    an_abort_marker_takes_an_offset,
    every_partition_written_gets_a_marker,
    an_open_transaction_holds_the_stable_offset_back,
    records_behind_an_open_transaction_wait,
    a_decision_releases_what_waited,
    two_open_transactions_release_one_by_one,
    one_aborts_while_the_other_commits,
    a_mixed_log_is_filtered_record_by_record,
    all_partitions_of_a_transaction_are_decided_at_once,
    an_aborted_transaction_is_followed_by_a_new_one,
    an_empty_transaction_leaves_nothing,
    an_aborted_empty_transaction_leaves_nothing,
    a_commit_sends_what_was_queued,
    a_commit_tells_the_last_offsets,
    an_abort_drops_what_was_queued,
    the_position_moves_past_a_commit_marker,
    the_position_moves_past_aborted_records,
    an_uncommitted_position_moves_past_markers,
    a_reader_may_begin_at_a_marker,
    a_reader_waiting_at_an_open_transaction_gets_it_when_committed,
    many_small_transactions_keep_order,
];

fn transaction(writer: &mut Writer, topic: &str, values: &[&str], commit: bool) {
    writer.begin();
    for value in values {
        writer.send(topic, 0, "k", value);
    }
    writer.flush();
    if commit { writer.commit() } else { writer.abort() }
}

fn writer(kafka: &dyn ClientSupplier, names: &Names, suffix: &str) -> Writer {
    Writer::transactional(kafka, &names.transactional_id(suffix))
}

fn stable(kafka: &dyn ClientSupplier, topic: &str) -> i64 {
    end(kafka, topic, 0, OffsetSpec::Stable)
}

/// A broker answers a commit before the marker is in every log: waits for the marker.
#[track_caller]
fn await_stable(kafka: &dyn ClientSupplier, topic: &str, offset: i64) {
    eventually(&format!("stable offset {offset}"), || (stable(kafka, topic) == offset).then_some(()));
}

fn committed_records_are_seen_by_all(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    transaction(&mut writer(kafka, names, "a"), &topic, &["1", "2"], true);
    await_stable(kafka, &topic, 3);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["1", "2"]);
    assert_eq!(texts(&read(kafka, &topic, Uncommitted)), ["1", "2"]);
}

fn open_records_are_seen_by_uncommitted_readers_only(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    writer.send(&topic, 0, "k", "open");
    writer.flush();
    assert_eq!(texts(&read(kafka, &topic, Uncommitted)), ["open"]);
    assert_eq!(texts(&read(kafka, &topic, Committed)), [""; 0]);
    writer.abort();
}

fn aborted_records_are_seen_by_uncommitted_readers_only(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    transaction(&mut writer(kafka, names, "a"), &topic, &["1", "2"], false);
    await_stable(kafka, &topic, 3);
    assert_eq!(texts(&read(kafka, &topic, Uncommitted)), ["1", "2"]);
    assert_eq!(texts(&read(kafka, &topic, Committed)), [""; 0]);
}

fn a_commit_marker_takes_an_offset(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &["1", "2"], true);
    transaction(&mut writer, &topic, &["3"], true);
    await_stable(kafka, &topic, 5);
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [0, 1, 3]);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 5);
}

fn an_abort_marker_takes_an_offset(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &["1"], false);
    transaction(&mut writer, &topic, &["2"], true);
    await_stable(kafka, &topic, 4);
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [2]);
    assert_eq!(offsets(&read(kafka, &topic, Uncommitted)), [0, 2]);
}

fn every_partition_written_gets_a_marker(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    writer.send(&topic, 0, "k", "1");
    writer.send(&topic, 2, "k", "2");
    writer.send(&topic, 2, "k", "3");
    writer.commit();
    let ends =
        || (0..3).map(|partition| end(kafka, &topic, partition, OffsetSpec::Stable)).collect::<Vec<_>>();
    eventually("markers in the partitions written, and no other", || (ends() == [2, 0, 3]).then_some(()));
}

fn an_open_transaction_holds_the_stable_offset_back(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    Writer::plain(kafka).try_write(&topic, 0, (None, Some(b"0"), Some(TIME))).unwrap();
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    writer.send(&topic, 0, "k", "1");
    writer.flush();
    assert_eq!(stable(kafka, &topic), 1);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 2);
    writer.commit();
    await_stable(kafka, &topic, 3);
}

fn records_behind_an_open_transaction_wait(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut open = writer(kafka, names, "a");
    open.begin();
    open.send(&topic, 0, "k", "open");
    open.flush();
    Writer::plain(kafka).try_write(&topic, 0, (None, Some(b"plain"), Some(TIME))).unwrap();
    transaction(&mut writer(kafka, names, "b"), &topic, &["committed"], true);
    assert_eq!(texts(&read(kafka, &topic, Committed)), [""; 0]);
    assert_eq!(texts(&read(kafka, &topic, Uncommitted)), ["open", "plain", "committed"]);
    open.abort();
    await_stable(kafka, &topic, 5);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["plain", "committed"]);
}

fn a_decision_releases_what_waited(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut open = writer(kafka, names, "a");
    open.begin();
    open.send(&topic, 0, "k", "first");
    open.flush();
    Writer::plain(kafka).try_write(&topic, 0, (None, Some(b"second"), Some(TIME))).unwrap();
    let mut consumer = reader(kafka, Committed);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    assert_eq!(consumer.poll(LOOK, &mut Everything::default()).unwrap().records, 0);
    open.commit();
    assert_eq!(texts(&poll_records(&mut *consumer, 2)), ["first", "second"]);
}

fn two_open_transactions_release_one_by_one(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let (mut one, mut two) = (writer(kafka, names, "a"), writer(kafka, names, "b"));
    for (writer, value) in [(&mut one, "1"), (&mut two, "2")] {
        writer.begin();
        writer.send(&topic, 0, "k", value);
        writer.flush();
    }
    assert_eq!(stable(kafka, &topic), 0);
    one.commit();
    await_stable(kafka, &topic, 1);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["1"]);
    two.commit();
    await_stable(kafka, &topic, 4);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["1", "2"]);
}

fn one_aborts_while_the_other_commits(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let (mut good, mut bad) = (writer(kafka, names, "a"), writer(kafka, names, "b"));
    good.begin();
    bad.begin();
    for number in 0..6 {
        let (writer, value) = if number % 2 == 0 { (&mut good, "good") } else { (&mut bad, "bad") };
        writer.send(&topic, 0, "k", value);
        writer.flush();
    }
    good.commit();
    bad.abort();
    await_stable(kafka, &topic, 8);
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [0, 2, 4]);
    assert_eq!(offsets(&read(kafka, &topic, Uncommitted)), [0, 1, 2, 3, 4, 5]);
}

fn a_mixed_log_is_filtered_record_by_record(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut plain = Writer::plain(kafka);
    let mut writer = writer(kafka, names, "a");
    let mut expected = Vec::new();
    for round in 0..10 {
        let commits = round % 3 != 1;
        writer.begin();
        for number in 0..3 {
            let value = format!("{round}.{number}");
            writer.send(&topic, 0, "k", &value);
            writer.flush();
            expected.extend(commits.then_some(value));
        }
        plain.send(&topic, 0, "k", &format!("plain {round}"));
        plain.flush();
        expected.push(format!("plain {round}"));
        if commits { writer.commit() } else { writer.abort() }
    }
    await_stable(kafka, &topic, 50);
    assert_eq!(texts(&read(kafka, &topic, Committed)), expected);
    assert_eq!(read(kafka, &topic, Uncommitted).len(), 40);
}

fn all_partitions_of_a_transaction_are_decided_at_once(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = writer(kafka, names, "a");
    for (commit, expected) in [(true, 1), (false, 1), (true, 2)] {
        writer.begin();
        writer.send(&topic, 0, "k", "v");
        writer.send(&topic, 1, "k", "v");
        writer.flush();
        if commit {
            writer.commit()
        } else {
            writer.abort()
        }
        for partition in 0..2 {
            eventually("the marker", || {
                let place = |spec| end(kafka, &topic, partition, spec);
                (place(OffsetSpec::Stable) == place(OffsetSpec::End)).then_some(())
            });
            assert_eq!(read_from(kafka, &topic, partition, 0, Committed).len(), expected);
        }
    }
}

fn an_aborted_transaction_is_followed_by_a_new_one(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    for round in 0..5 {
        transaction(&mut writer, &topic, &["lost"], false);
        transaction(&mut writer, &topic, &[&round.to_string()], true);
    }
    await_stable(kafka, &topic, 20);
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["0", "1", "2", "3", "4"]);
}

fn an_empty_transaction_leaves_nothing(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &[], true);
    transaction(&mut writer, &topic, &["1"], true);
    await_stable(kafka, &topic, 2);
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [0]);
}

fn an_aborted_empty_transaction_leaves_nothing(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &[], false);
    transaction(&mut writer, &topic, &["1"], true);
    await_stable(kafka, &topic, 2);
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [0]);
}

fn a_commit_sends_what_was_queued(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    for _ in 0..1000 {
        writer.send(&topic, 0, "k", "v");
    }
    writer.commit();
    await_stable(kafka, &topic, 1001);
    assert_eq!(read(kafka, &topic, Committed).len(), 1000);
}

fn a_commit_tells_the_last_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    for _ in 0..3 {
        writer.send(&topic, 1, "k", "v");
    }
    writer.commit();
    assert_eq!((writer.acked(&topic, 0), writer.acked(&topic, 1)), (None, Some(2)));
    writer.begin();
    writer.send(&topic, 1, "k", "v");
    writer.commit();
    assert_eq!(writer.acked(&topic, 1), Some(4), "after the marker");
}

fn an_abort_drops_what_was_queued(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    writer.begin();
    for _ in 0..100 {
        writer.send(&topic, 0, "k", "lost");
    }
    writer.abort();
    transaction(&mut writer, &topic, &["kept"], true);
    eventually("the marker", || {
        let place = |spec| end(kafka, &topic, 0, spec);
        (place(OffsetSpec::Stable) == place(OffsetSpec::End)).then_some(())
    });
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["kept"]);
}

/// Polls until the position is `offset`, and gives what was read.
#[track_caller]
fn read_until_position(
    kafka: &dyn ClientSupplier,
    topic: &str,
    isolation: Isolation,
    offset: i64,
) -> Vec<Read> {
    let mut consumer = reader(kafka, isolation);
    let place = at(topic, 0);
    consumer.assign(&[(place.clone(), 0, 0)]).unwrap();
    let mut sink = Everything::default();
    eventually("the position", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (consumer.position(&place).unwrap() == offset).then_some(())
    });
    sink.0
}

fn the_position_moves_past_a_commit_marker(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    transaction(&mut writer(kafka, names, "a"), &topic, &["1", "2"], true);
    await_stable(kafka, &topic, 3);
    assert_eq!(read_until_position(kafka, &topic, Committed, 3).len(), 2);
}

fn the_position_moves_past_aborted_records(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &["1"], true);
    transaction(&mut writer, &topic, &["2", "3"], false);
    transaction(&mut writer, &topic, &["4"], false);
    await_stable(kafka, &topic, 7);
    assert_eq!(texts(&read_until_position(kafka, &topic, Committed, 7)), ["1"]);
}

fn an_uncommitted_position_moves_past_markers(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    transaction(&mut writer(kafka, names, "a"), &topic, &["1"], false);
    await_stable(kafka, &topic, 2);
    assert_eq!(read_until_position(kafka, &topic, Uncommitted, 2).len(), 1);
}

fn a_reader_may_begin_at_a_marker(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &["1"], true);
    transaction(&mut writer, &topic, &["2"], true);
    await_stable(kafka, &topic, 4);
    assert_eq!(offsets(&read_from(kafka, &topic, 0, 1, Committed)), [2]);
    assert_eq!(offsets(&read_from(kafka, &topic, 0, 3, Committed)), [0; 0]);
}

fn a_reader_waiting_at_an_open_transaction_gets_it_when_committed(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    transaction(&mut writer, &topic, &["1"], true);
    await_stable(kafka, &topic, 2);
    let mut consumer = reader(kafka, Committed);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    poll_records(&mut *consumer, 1);
    writer.begin();
    writer.send(&topic, 0, "k", "2");
    writer.flush();
    assert_eq!(consumer.poll(LOOK, &mut Everything::default()).unwrap().records, 0);
    writer.commit();
    assert_eq!(texts(&poll_records(&mut *consumer, 1)), ["2"]);
}

fn many_small_transactions_keep_order(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = writer(kafka, names, "a");
    for number in 0..30 {
        transaction(&mut writer, &topic, &[&number.to_string()], true);
    }
    await_stable(kafka, &topic, 60);
    let values = texts(&read(kafka, &topic, Committed));
    assert_eq!(values, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
}
