//! Consumer groups: who owns what in which generation, and what a group remembers.

use kstreams::client::{ClientSupplier, CommittedOffset, Fault, OffsetSpec, RebalanceEvent};
use kstreams::types::TopicPartition;

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    a_lone_member_owns_everything,
    two_members_share_by_range,
    an_odd_partition_goes_to_one_of_them,
    members_of_two_topics_own_the_same_partition_numbers,
    a_member_more_than_partitions_owns_none,
    members_of_different_topics_own_their_own,
    a_newcomer_makes_the_owner_revoke_all,
    a_leaver_gives_its_partitions_away,
    a_generation_is_higher_than_the_one_before,
    the_proof_of_membership_names_group_member_and_generation,
    two_groups_do_not_see_each_other,
    records_flow_after_the_assignment_is_taken_up,
    no_records_flow_while_an_assignment_waits,
    no_records_flow_after_a_revocation,
    reading_begins_where_the_assignment_is_taken_up,
    a_group_remembers_offsets_and_metadata,
    what_was_never_committed_is_none,
    a_commit_may_go_back,
    offsets_outlive_the_members,
    a_commit_of_an_outsider_is_refused,
    an_outsider_commits_into_an_empty_group,
    a_member_commits_while_it_revokes,
    a_commit_after_leaving_a_generation_uses_the_new_one,
    unsubscribing_gives_the_partitions_away,
    subscribing_again_joins_anew,
    subscribing_to_another_topic_moves_the_member,
    all_records_are_read_once_by_two_members,
    the_offsets_of_a_deleted_topic_are_forgotten,
];

fn numbers(owned: &[TopicPartition], topic: &str) -> Vec<i32> {
    owned.iter().filter(|at| &*at.topic == topic).map(|at| at.partition).collect()
}

fn write(kafka: &dyn ClientSupplier, topic: &str, partitions: i32, each: usize) {
    let mut writer = Writer::plain(kafka);
    for partition in 0..partitions {
        for number in 0..each {
            writer.send(topic, partition, "k", &format!("{partition}.{number}"));
        }
    }
    writer.flush();
}

fn a_lone_member_owns_everything(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let mut member = Member::subscribe(kafka, &names.group(), "m", &[&topic]);
    match member.next_event() {
        RebalanceEvent::Assigned(mut partitions) => {
            partitions.sort();
            assert_eq!(partitions, [at(&topic, 0), at(&topic, 1), at(&topic, 2)]);
        }
        other => panic!("expected an assignment, got {other:?}"),
    }
}

fn two_members_share_by_range(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[2, 2]);
    assert_eq!(numbers(&one.owned, &topic), [0, 1], "members in the order of their ids");
    assert_eq!(numbers(&two.owned, &topic), [2, 3]);
}

fn an_odd_partition_goes_to_one_of_them(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[2, 1]);
    assert_eq!((numbers(&one.owned, &topic), numbers(&two.owned, &topic)), (vec![0, 1], vec![2]));
}

fn members_of_two_topics_own_the_same_partition_numbers(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    for topic in &topics {
        create_with(kafka, topic, 4, &[]);
    }
    let subscribe = |id| Member::subscribe(kafka, &names.group(), id, &[&topics[0], &topics[1]]);
    let (mut one, mut two, mut three) = (subscribe("a"), subscribe("b"), subscribe("c"));
    settle(&mut [&mut one, &mut two, &mut three], &[4, 2, 2]);
    for member in [one, two, three] {
        assert_eq!(numbers(&member.owned, &topics[0]), numbers(&member.owned, &topics[1]));
    }
}

fn a_member_more_than_partitions_owns_none(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 0]);
    assert_eq!((one.owned.len(), two.owned.len()), (1, 0));
}

fn members_of_different_topics_own_their_own(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    create_with(kafka, &topics[0], 2, &[]);
    create_with(kafka, &topics[1], 3, &[]);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topics[0]]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topics[1]]);
    settle(&mut [&mut one, &mut two], &[2, 3]);
    assert_eq!((numbers(&one.owned, &topics[0]).len(), numbers(&two.owned, &topics[1]).len()), (2, 3));
}

fn a_newcomer_makes_the_owner_revoke_all(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut old = sole_member(kafka, &names.group(), &topic, 2);
    let mut new = Member::subscribe(kafka, &names.group(), "new", &[&topic]);
    old.events.clear();
    settle(&mut [&mut old, &mut new], &[1, 1]);
    match &old.events[..] {
        [RebalanceEvent::Revoked(revoked), .., RebalanceEvent::Assigned(assigned)] => {
            assert_eq!((revoked.len(), assigned.len()), (2, 1));
        }
        other => panic!("expected revoked and assigned, got {other:?}"),
    }
    assert!(new.events.iter().all(|event| !matches!(event, RebalanceEvent::Lost(_))), "{:?}", new.events);
}

fn a_leaver_gives_its_partitions_away(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    one.consumer.close(WAIT).unwrap();
    settle(&mut [&mut two], &[2]);
}

fn a_generation_is_higher_than_the_one_before(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = sole_member(kafka, &names.group(), &topic, 2);
    let first = one.generation();
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    let second = one.generation();
    two.consumer.close(WAIT).unwrap();
    settle(&mut [&mut one], &[2]);
    assert!(first < second && second < one.generation(), "{first} {second} {}", one.generation());
}

fn the_proof_of_membership_names_group_member_and_generation(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = sole_member(kafka, &names.group(), &topic, 2);
    let before = one.consumer.group_metadata();
    assert_eq!(before.group, names.group());
    assert!(before.generation > 0 && before.member.starts_with("sole"), "{before:?}");
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    let after = one.consumer.group_metadata();
    assert_eq!(after.member, before.member, "the member id stays");
    assert_ne!(after.member, two.consumer.group_metadata().member);
}

fn two_groups_do_not_see_each_other(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let (one, two) = (names.topic("g1"), names.topic("g2"));
    let mut member = sole_member(kafka, &one, &topic, 2);
    let _other = sole_member(kafka, &two, &topic, 2);
    member.turn();
    assert_eq!(member.owned.len(), 2);
    member.consumer.commit(&[(at(&topic, 0), committed(3))], WAIT).unwrap();
    assert_eq!(committed_of(kafka, &two, &at(&topic, 0)), None);
}

fn records_flow_after_the_assignment_is_taken_up(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    write(kafka, &topic, 2, 5);
    let mut member = sole_member(kafka, &names.group(), &topic, 2);
    eventually("the records", || {
        member.turn();
        (member.records.0.len() == 10).then_some(())
    });
    for slot in 0..2 {
        let of_slot: Vec<Read> = member.records.0.iter().filter(|r| r.slot == slot).cloned().collect();
        assert_eq!(texts(&of_slot), (0..5).map(|number| format!("{slot}.{number}")).collect::<Vec<_>>());
    }
}

fn no_records_flow_while_an_assignment_waits(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 1, 5);
    let mut member = Member::subscribe(kafka, &names.group(), "m", &[&topic]);
    let event = member.next_event();
    for _ in 0..5 {
        assert_eq!(member.poll(), None);
    }
    assert_eq!(member.records.0, []);
    member.answer(event);
    eventually("the records", || {
        member.turn();
        (member.records.0.len() == 5).then_some(())
    });
}

fn no_records_flow_after_a_revocation(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut old = sole_member(kafka, &names.group(), &topic, 2);
    let mut new = Member::subscribe(kafka, &names.group(), "new", &[&topic]);
    let event = eventually("the revocation", || {
        new.turn();
        old.poll()
    });
    assert!(matches!(event, RebalanceEvent::Revoked(_)), "{event:?}");
    write(kafka, &topic, 2, 5);
    for _ in 0..5 {
        assert_eq!(old.poll(), None);
    }
    assert_eq!(old.records.0, []);
    old.answer(event);
    settle(&mut [&mut old, &mut new], &[1, 1]);
}

fn reading_begins_where_the_assignment_is_taken_up(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    write(kafka, &topic, 1, 5);
    let mut member = Member::subscribe(kafka, &names.group(), "m", &[&topic]);
    member.next_event();
    member.consumer.complete_assign(&[(at(&topic, 0), 3, 9)]).unwrap();
    eventually("the records", || {
        member.poll();
        (member.records.0.len() >= 2).then_some(())
    });
    assert_eq!(offsets(&member.records.0), [3, 4]);
    assert_eq!(member.records.0[0].slot, 9);
    assert_eq!(member.consumer.position(&at(&topic, 0)).unwrap(), 5);
}

fn a_group_remembers_offsets_and_metadata(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut member = sole_member(kafka, &names.group(), &topic, 2);
    let with_text = CommittedOffset { offset: 17, metadata: "text".to_owned() };
    let commits = [(at(&topic, 0), with_text.clone()), (at(&topic, 1), committed(0))];
    member.consumer.commit(&commits, WAIT).unwrap();
    let known = member.consumer.committed(&[at(&topic, 1), at(&topic, 0)], WAIT).unwrap();
    assert_eq!(known, [Some(committed(0)), Some(with_text)]);
}

fn what_was_never_committed_is_none(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut outside = reader_of(kafka, &names.group());
    assert_eq!(outside.committed(&[at(&topic, 0)], WAIT).unwrap(), [None]);
    outside.commit(&[(at(&topic, 0), committed(3))], WAIT).unwrap();
    assert_eq!(outside.committed(&[at(&topic, 0), at(&topic, 1)], WAIT).unwrap(), [Some(committed(3)), None]);
}

fn a_commit_may_go_back(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut member = sole_member(kafka, &names.group(), &topic, 1);
    for offset in [8, 3] {
        member.consumer.commit(&[(at(&topic, 0), committed(offset))], WAIT).unwrap();
    }
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(3)));
}

fn offsets_outlive_the_members(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut member = sole_member(kafka, &names.group(), &topic, 1);
    member.consumer.commit(&[(at(&topic, 0), committed(8))], WAIT).unwrap();
    member.consumer.close(WAIT).unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(8)));
    let mut next = sole_member(kafka, &names.group(), &topic, 1);
    assert_eq!(next.consumer.committed(&[at(&topic, 0)], WAIT).unwrap(), [Some(committed(8))]);
}

fn a_commit_of_an_outsider_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let _member = sole_member(kafka, &names.group(), &topic, 1);
    let mut outside = reader_of(kafka, &names.group());
    assert_eq!(fault(outside.commit(&[(at(&topic, 0), committed(8))], WAIT)), Fault::NotInGroup);
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), None);
}

fn an_outsider_commits_into_an_empty_group(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut outside = reader_of(kafka, &names.group());
    outside.commit(&[(at(&topic, 0), committed(8))], WAIT).unwrap();
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(8)));
}

fn a_member_commits_while_it_revokes(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut old = sole_member(kafka, &names.group(), &topic, 2);
    let mut new = Member::subscribe(kafka, &names.group(), "new", &[&topic]);
    let event = eventually("the revocation", || {
        new.turn();
        old.poll()
    });
    old.consumer.commit(&[(at(&topic, 0), committed(4))], WAIT).unwrap();
    old.answer(event);
    settle(&mut [&mut old, &mut new], &[1, 1]);
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), Some(committed(4)));
}

fn a_commit_after_leaving_a_generation_uses_the_new_one(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = sole_member(kafka, &names.group(), &topic, 2);
    let mut two = Member::subscribe(kafka, &names.group(), "two", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    for member in [&mut one, &mut two] {
        let place = member.owned[0].clone();
        member.consumer.commit(&[(place, committed(6))], WAIT).unwrap();
    }
    for partition in 0..2 {
        assert_eq!(committed_of(kafka, &names.group(), &at(&topic, partition)), Some(committed(6)));
    }
}

fn unsubscribing_gives_the_partitions_away(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    one.consumer.unsubscribe().unwrap();
    eventually("the other to own all", || {
        one.turn();
        two.turn();
        (two.owned.len() == 2).then_some(())
    });
}

fn subscribing_again_joins_anew(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    write(kafka, &topic, 2, 1);
    let mut member = sole_member(kafka, &names.group(), &topic, 2);
    let before = member.generation();
    member.consumer.unsubscribe().unwrap();
    member.owned.clear();
    member.consumer.subscribe(std::slice::from_ref(&topic)).unwrap();
    eventually("a new generation", || {
        member.turn();
        (member.owned.len() == 2 && member.generation() > before).then_some(())
    });
    member.consumer.commit(&[(at(&topic, 0), committed(1))], WAIT).unwrap();
}

fn subscribing_to_another_topic_moves_the_member(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let other = names.topic("other");
    create_with(kafka, &other, 1, &[]);
    let mut member = sole_member(kafka, &names.group(), &topic, 2);
    member.consumer.subscribe(std::slice::from_ref(&other)).unwrap();
    eventually("the other topic", || {
        member.turn();
        (member.owned == [at(&other, 0)]).then_some(())
    });
}

fn all_records_are_read_once_by_two_members(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    write(kafka, &topic, 4, 50);
    let mut one = Member::subscribe(kafka, &names.group(), "a", &[&topic]);
    let mut two = Member::subscribe(kafka, &names.group(), "b", &[&topic]);
    settle(&mut [&mut one, &mut two], &[2, 2]);
    one.records.0.clear();
    two.records.0.clear();
    for member in [&mut one, &mut two] {
        for place in member.owned.clone() {
            member.consumer.seek(&place, 0).unwrap();
        }
    }
    eventually("all records", || {
        one.turn();
        two.turn();
        (one.records.0.len() + two.records.0.len() >= 200).then_some(())
    });
    let mut values = [texts(&one.records.0), texts(&two.records.0)].concat();
    values.sort();
    values.dedup();
    assert_eq!((values.len(), one.records.0.len(), two.records.0.len()), (200, 100, 100));
}

fn the_offsets_of_a_deleted_topic_are_forgotten(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    reader_of(kafka, &names.group()).commit(&[(at(&topic, 0), committed(8))], WAIT).unwrap();
    let mut admin = admin(kafka);
    admin.delete_topics(std::slice::from_ref(&topic), WAIT).unwrap();
    eventually("the topic to be gone", || {
        admin.describe_topics(std::slice::from_ref(&topic), WAIT).unwrap()[0].is_none().then_some(())
    });
    create_with(kafka, &topic, 1, &[]);
    eventually("the offset to be gone", || {
        committed_of(kafka, &names.group(), &at(&topic, 0)).is_none().then_some(())
    });
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 0);
}
