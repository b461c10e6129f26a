//! A member that does not poll: the others go on without it, and nothing of it counts any more.

use kstreams::client::{ClientSupplier, Fault, RebalanceEvent};

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    a_silent_member_loses_its_partitions,
    a_newcomer_waits_for_a_silent_member,
    a_lost_member_cannot_commit,
    a_lost_member_joins_anew,
    a_vanished_member_is_replaced,
];

/// Shortest times that a broker with default settings accepts.
const IMPATIENT: &[(&str, &str)] =
    &[("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000"), ("heartbeat.interval.ms", "500")];

/// A member that owned everything and fell silent, until the group is empty: an outsider can commit again.
fn silent(kafka: &dyn ClientSupplier, names: &Names, topic: &str) -> Member {
    let mut silent = Member::subscribe_with(kafka, &names.group(), "silent", &[topic], IMPATIENT);
    settle(&mut [&mut silent], &[2]);
    let mut outside = reader_of(kafka, &names.group());
    let place = [(at(topic, 0), committed(2))];
    assert_eq!(fault(outside.commit(&place, WAIT)), Fault::NotInGroup);
    eventually("the group to be empty", || outside.commit(&place, WAIT).ok());
    silent
}

/// The silent member, and one that took over.
fn taken_over(kafka: &dyn ClientSupplier, names: &Names, topic: &str) -> (Member, Member) {
    let silent = silent(kafka, names, topic);
    let mut active = Member::subscribe_with(kafka, &names.group(), "active", &[topic], IMPATIENT);
    settle(&mut [&mut active], &[2]);
    (silent, active)
}

fn a_silent_member_loses_its_partitions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    match silent(kafka, names, &topic).next_event() {
        RebalanceEvent::Lost(partitions) => assert_eq!(partitions.len(), 2),
        other => panic!("expected lost, got {other:?}"),
    }
}

fn a_newcomer_waits_for_a_silent_member(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let subscribe = |id| Member::subscribe_with(kafka, &names.group(), id, &[&topic], IMPATIENT);
    let mut silent = subscribe("silent");
    settle(&mut [&mut silent], &[2]);
    let mut active = subscribe("active");
    settle(&mut [&mut active], &[2]);
    assert_eq!(fault(silent.consumer.commit(&[(at(&topic, 0), committed(9))], WAIT)), Fault::NotInGroup);
    let event = silent.next_event();
    assert!(
        matches!(event, RebalanceEvent::Lost(_)),
        "a revocation that was never answered is a loss: {event:?}"
    );
    silent.answer(event);
    settle(&mut [&mut silent, &mut active], &[1, 1]);
}

fn a_lost_member_cannot_commit(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let (mut silent, mut active) = taken_over(kafka, names, &topic);
    active.consumer.commit(&[(at(&topic, 0), committed(2))], WAIT).unwrap();
    let answer = silent.consumer.commit(&[(at(&topic, 0), committed(9))], WAIT);
    assert_eq!(fault(answer), Fault::NotInGroup);
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    writer.begin();
    let proof = silent.consumer.group_metadata();
    let answer = writer.producer.send_offsets(&[(at(&topic, 0), committed(9))], &proof, WAIT);
    assert_eq!(fault(answer), Fault::NotInGroup);
    writer.abort();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(2)));
}

fn a_lost_member_joins_anew(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let (mut silent, mut active) = taken_over(kafka, names, &topic);
    settle(&mut [&mut silent, &mut active], &[1, 1]);
    let lost = silent.events.iter().filter(|event| matches!(event, RebalanceEvent::Lost(_))).count();
    assert_eq!(lost, 1, "{:?}", silent.events);
    let place = silent.owned[0].clone();
    silent.consumer.commit(&[(place, committed(1))], WAIT).unwrap();
}

fn a_vanished_member_is_replaced(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let subscribe = |id| Member::subscribe_with(kafka, &names.group(), id, &[&topic], IMPATIENT);
    let mut gone = subscribe("gone");
    settle(&mut [&mut gone], &[2]);
    drop(gone);
    let mut next = subscribe("next");
    settle(&mut [&mut next], &[2]);
}
