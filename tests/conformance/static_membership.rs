//! Members that keep their identity over restarts (`group.instance.id`, KIP-345).

use kstreams::client::{ClientSupplier, Fault, RebalanceEvent};

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    a_restarted_instance_takes_its_partitions_back,
    a_restart_does_not_disturb_the_others,
    a_replaced_instance_is_dead,
    a_replaced_instance_cannot_commit,
    an_instance_that_closes_leaves,
    instances_share_by_range,
];

fn pair(kafka: &dyn ClientSupplier, names: &Names, topic: &str) -> (Member, Member) {
    let mut one = Member::subscribe_as(kafka, &names.group(), "one", &[topic]);
    let mut two = Member::subscribe_as(kafka, &names.group(), "two", &[topic]);
    settle(&mut [&mut one, &mut two], &[2, 2]);
    (one, two)
}

fn a_restarted_instance_takes_its_partitions_back(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let (one, mut two) = pair(kafka, names, &topic);
    let owned = one.owned.clone();
    drop(one);
    let mut again = Member::subscribe_as(kafka, &names.group(), "one", &[&topic]);
    settle(&mut [&mut again, &mut two], &[2, 2]);
    assert_eq!(again.owned, owned);
    again.consumer.commit(&[(owned[0].clone(), committed(1))], WAIT).unwrap();
}

fn a_restart_does_not_disturb_the_others(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let (one, mut two) = pair(kafka, names, &topic);
    let generation = two.generation();
    two.events.clear();
    drop(one);
    let mut again = Member::subscribe_as(kafka, &names.group(), "one", &[&topic]);
    settle(&mut [&mut again, &mut two], &[2, 2]);
    assert_eq!(two.events, []);
    assert_eq!((again.generation(), two.generation()), (generation, generation));
}

/// An instance that still runs when another takes its place.
fn replaced(kafka: &dyn ClientSupplier, names: &Names, topic: &str) -> (Member, Member) {
    let mut old = Member::subscribe_as(kafka, &names.group(), "one", &[topic]);
    settle(&mut [&mut old], &[2]);
    let mut new = Member::subscribe_as(kafka, &names.group(), "one", &[topic]);
    settle(&mut [&mut new], &[2]);
    (old, new)
}

fn a_replaced_instance_is_dead(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let (mut old, mut new) = replaced(kafka, names, &topic);
    let fault = eventually("the news", || {
        new.turn();
        match old.consumer.poll(LOOK, &mut Everything::default()) {
            Err(error) => return Some(error.fault),
            Ok(polled) => polled.rebalance.into_iter().for_each(|event| {
                assert!(matches!(event, RebalanceEvent::Lost(_)), "{event:?}");
                old.answer(event);
            }),
        }
        None
    });
    assert_eq!(fault, Fault::ClientDead);
    assert_eq!(new.owned.len(), 2);
    // It has no place to give up: an application that closes in this moment closed well.
    old.consumer.close(WAIT).unwrap();
    new.turn();
    assert_eq!(new.owned.len(), 2);
}

fn a_replaced_instance_cannot_commit(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let (mut old, mut new) = replaced(kafka, names, &topic);
    let mut writer = Writer::transactional(kafka, &names.transactional_id("a"));
    writer.begin();
    let proof = old.consumer.group_metadata();
    let answer = writer.producer.send_offsets(&[(at(&topic, 0), committed(9))], &proof, WAIT);
    assert_eq!(fault(answer), Fault::NotInGroup);
    writer.abort();
    assert!(old.consumer.commit(&[(at(&topic, 0), committed(9))], WAIT).is_err());
    new.consumer.commit(&[(at(&topic, 0), committed(2))], WAIT).unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(2)));
}

fn an_instance_that_closes_leaves(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let (mut one, mut two) = pair(kafka, names, &topic);
    one.consumer.close(WAIT).unwrap();
    settle(&mut [&mut two], &[4]);
}

fn instances_share_by_range(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let mut two = Member::subscribe_as(kafka, &names.group(), "two", &[&topic]);
    let mut one = Member::subscribe_as(kafka, &names.group(), "one", &[&topic]);
    settle(&mut [&mut one, &mut two], &[2, 1]);
}
