//! Offsets in transactions: pending until the decision, fenced by the generation.

use std::time::Duration;

use kstreams::client::{ClientSupplier, CommittedOffset, Fault, GroupMetadata, ProducerSettings};

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    offsets_of_a_committed_transaction_count,
    offsets_of_an_aborted_transaction_do_not,
    offsets_of_an_open_transaction_make_others_wait,
    other_partitions_do_not_wait,
    metadata_travels_with_transactional_offsets,
    offsets_and_records_are_decided_together,
    a_transaction_of_offsets_only_commits,
    the_last_offsets_of_a_transaction_count,
    a_stale_generation_is_refused,
    an_unknown_member_is_refused,
    a_refused_transaction_can_be_aborted_and_done_again,
    a_fenced_transaction_frees_its_offsets,
    a_transaction_commits_while_its_member_revokes,
    offsets_of_a_group_without_members_are_accepted,
    acknowledgements_that_come_while_offsets_are_sent_are_kept,
];

fn writer(kafka: &dyn ClientSupplier, names: &Names) -> Writer {
    Writer::transactional(kafka, &names.transactional_id("a"))
}

/// A group's offset for partition 0, once it is `expected`: a commit is answered before its marker is everywhere.
#[track_caller]
fn await_committed(kafka: &dyn ClientSupplier, names: &Names, topic: &str, expected: Option<i64>) {
    let group = names.group();
    eventually("the committed offset", || {
        let offset = committed_of(kafka, &group, &at(topic, 0)).map(|known| known.offset);
        (offset == expected).then_some(())
    });
}

fn offsets_of_a_committed_transaction_count(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    writer.begin();
    let proof = member.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT).unwrap();
    writer.commit();
    await_committed(kafka, names, &topic, Some(5));
}

fn offsets_of_an_aborted_transaction_do_not(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut member = sole_member(kafka, &names.group(), &topic, 1);
    member.consumer.commit(&[(at(&topic, 0), committed(2))], WAIT).unwrap();
    let mut writer = writer(kafka, names);
    writer.begin();
    let proof = member.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT).unwrap();
    writer.abort();
    await_committed(kafka, names, &topic, Some(2));
}

fn offsets_of_an_open_transaction_make_others_wait(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    writer.begin();
    let proof = member.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT).unwrap();
    let mut other = reader_of(kafka, &names.group());
    assert!(other.committed(&[at(&topic, 0)], Duration::from_millis(700)).is_err(), "it is not decided");
    writer.commit();
    assert_eq!(other.committed(&[at(&topic, 0)], WAIT).unwrap(), [Some(committed(5))]);
}

fn other_partitions_do_not_wait(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut member = sole_member(kafka, &names.group(), &topic, 2);
    member.consumer.commit(&[(at(&topic, 1), committed(1))], WAIT).unwrap();
    let mut writer = writer(kafka, names);
    writer.begin();
    let proof = member.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT).unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 1)), Some(committed(1)));
    writer.abort();
}

fn metadata_travels_with_transactional_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    writer.begin();
    let offset = CommittedOffset { offset: 5, metadata: "AgAAAYzCUXgA".to_owned() };
    let proof = member.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), offset.clone())], &proof, WAIT).unwrap();
    writer.commit();
    await_committed(kafka, names, &topic, Some(5));
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(offset));
}

fn offsets_and_records_are_decided_together(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    for (offset, commit) in [(1, true), (2, false), (3, true)] {
        writer.begin();
        writer.send(&topic, 0, "k", &offset.to_string());
        let proof = member.consumer.group_metadata();
        writer.producer.send_offsets(&[(at(&topic, 0), committed(offset))], &proof, WAIT).unwrap();
        writer.flush();
        if commit {
            writer.commit()
        } else {
            writer.abort()
        }
        await_committed(kafka, names, &topic, Some(if commit { offset } else { offset - 1 }));
    }
    eventually("the records", || (texts(&read(kafka, &topic, Committed)) == ["1", "3"]).then_some(()));
}

fn a_transaction_of_offsets_only_commits(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    for offset in 1..5 {
        writer.begin();
        let proof = member.consumer.group_metadata();
        writer.producer.send_offsets(&[(at(&topic, 0), committed(offset))], &proof, WAIT).unwrap();
        writer.commit();
    }
    await_committed(kafka, names, &topic, Some(4));
    assert_eq!(read(kafka, &topic, Uncommitted), [], "no marker is in a topic that was not written");
}

fn the_last_offsets_of_a_transaction_count(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut writer = writer(kafka, names);
    writer.begin();
    for offset in [9, 4] {
        let proof = member.consumer.group_metadata();
        writer.producer.send_offsets(&[(at(&topic, 0), committed(offset))], &proof, WAIT).unwrap();
    }
    writer.commit();
    await_committed(kafka, names, &topic, Some(4));
}

/// The answer of a transaction that commits an offset with this proof, and is aborted if it was refused.
fn commit_with(writer: &mut Writer, topic: &str, proof: &GroupMetadata) -> Result<(), Fault> {
    writer.begin();
    let answer = writer.producer.send_offsets(&[(at(topic, 0), committed(5))], proof, WAIT);
    let answer = answer.and_then(|()| writer.try_commit()).map_err(|error| error.fault);
    if answer.is_err() {
        writer.abort();
    }
    answer
}

fn a_stale_generation_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut first = sole_member(kafka, &names.group(), &topic, 2);
    let stale = first.consumer.group_metadata();
    let mut second = Member::subscribe(kafka, &names.group(), "second", &[&topic]);
    settle(&mut [&mut first, &mut second], &[1, 1]);
    let mut writer = writer(kafka, names);
    assert_eq!(commit_with(&mut writer, &topic, &stale), Err(Fault::NotInGroup));
    await_committed(kafka, names, &topic, None);
}

fn an_unknown_member_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let unknown = GroupMetadata { member: "nobody".to_owned(), ..member.consumer.group_metadata() };
    let mut writer = writer(kafka, names);
    assert_eq!(commit_with(&mut writer, &topic, &unknown), Err(Fault::NotInGroup));
}

fn a_refused_transaction_can_be_aborted_and_done_again(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let proof = member.consumer.group_metadata();
    let wrong = GroupMetadata { generation: proof.generation + 7, ..proof.clone() };
    let mut writer = writer(kafka, names);
    assert_eq!(commit_with(&mut writer, &topic, &wrong), Err(Fault::NotInGroup));
    assert_eq!(commit_with(&mut writer, &topic, &proof), Ok(()));
    await_committed(kafka, names, &topic, Some(5));
}

fn a_fenced_transaction_frees_its_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut member = sole_member(kafka, &names.group(), &topic, 1);
    member.consumer.commit(&[(at(&topic, 0), committed(2))], WAIT).unwrap();
    let mut old = writer(kafka, names);
    old.begin();
    let proof = member.consumer.group_metadata();
    old.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT).unwrap();
    let _new = writer(kafka, names);
    await_committed(kafka, names, &topic, Some(2));
}

fn a_transaction_commits_while_its_member_revokes(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut first = sole_member(kafka, &names.group(), &topic, 2);
    let mut second = Member::subscribe(kafka, &names.group(), "second", &[&topic]);
    let event = eventually("the revocation", || {
        second.turn();
        first.poll()
    });
    let mut writer = writer(kafka, names);
    writer.begin();
    let proof = first.consumer.group_metadata();
    writer.producer.send_offsets(&[(at(&topic, 0), committed(3))], &proof, WAIT).unwrap();
    writer.commit();
    first.answer(event);
    settle(&mut [&mut first, &mut second], &[1, 1]);
    await_committed(kafka, names, &topic, Some(3));
}

fn offsets_of_a_group_without_members_are_accepted(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let outside = reader_of(kafka, &names.group()).group_metadata();
    assert_eq!((outside.generation, outside.member.as_str()), (-1, ""));
    let mut writer = writer(kafka, names);
    assert_eq!(commit_with(&mut writer, &topic, &outside), Ok(()));
    await_committed(kafka, names, &topic, Some(5));
}

/// librdkafka's producer forgot the acknowledgements that came while it waited for the answer to the offsets: changelogs had gaps in
/// what was known of them, and restores replayed more than they had to.
fn acknowledgements_that_come_while_offsets_are_sent_are_kept(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let settings = ProducerSettings {
        transactional_id: Some(names.transactional_id("a")),
        properties: [("linger.ms".to_owned(), "0".to_owned())].into(),
        ..Default::default()
    };
    let mut writer = Writer::with(kafka, settings);
    writer.producer.init_transactions(WAIT).unwrap();
    for _ in 0..20 {
        writer.deliveries = Default::default();
        writer.begin();
        writer.send(&topic, 0, "k", "v");
        let group = GroupMetadata { group: names.group(), generation: -1, ..Default::default() };
        writer.producer.send_offsets(&[(at(&topic, 0), committed(1))], &group, WAIT).unwrap();
        writer.commit();
        assert!(writer.acked(&topic, 0).is_some(), "the acknowledgement is lost");
    }
}
