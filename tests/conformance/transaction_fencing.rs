//! One producer for a transactional id: the newest. And what calls are refused in which state.

use std::time::Duration;

use kstreams::client::{ClientSupplier, Fault, OffsetSpec, ProducerSettings};
use kstreams::types::Headers;

use crate::harness::cases;
use crate::members::*;
use crate::support::*;

cases![
    a_second_producer_fences_the_first,
    a_fenced_producer_cannot_write,
    a_fenced_producer_cannot_send_offsets,
    fencing_aborts_the_open_transaction,
    fencing_leaves_committed_transactions,
    the_new_producer_works_at_once,
    other_transactional_ids_are_not_fenced,
    a_chain_of_producers_leaves_the_last,
    a_dead_producers_transaction_is_settled_by_its_successor,
    an_old_transaction_times_out,
    a_too_long_timeout_is_refused,
    a_transaction_begins_after_init_only,
    a_transaction_begins_once,
    nothing_is_sent_outside_of_a_transaction,
    nothing_is_committed_or_aborted_outside_of_a_transaction,
    a_producer_without_transactions_has_none,
];

fn id(names: &Names) -> String {
    names.transactional_id("a")
}

/// A producer with an open transaction that has written one record.
fn open(kafka: &dyn ClientSupplier, names: &Names, topic: &str) -> Writer {
    let mut writer = Writer::transactional(kafka, &id(names));
    writer.begin();
    writer.send(topic, 0, "k", "old");
    writer.flush();
    writer
}

fn a_second_producer_fences_the_first(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut old = open(kafka, names, &topic);
    let _new = Writer::transactional(kafka, &id(names));
    assert_eq!(fault(old.try_commit()), Fault::ProducerFenced);
    assert_eq!(fault(old.producer.begin_transaction()), Fault::ProducerFenced);
}

fn a_fenced_producer_cannot_write(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut old = open(kafka, names, &topic);
    let _new = Writer::transactional(kafka, &id(names));
    let record = (Some(&b"k"[..]), Some(&b"zombie"[..]), Some(TIME));
    assert_eq!(fault(old.try_write(&topic, 1, record)), Fault::ProducerFenced);
    assert_eq!(fault(old.try_commit()), Fault::ProducerFenced);
    assert_eq!(read_from(kafka, &topic, 1, 0, Uncommitted), []);
}

fn a_fenced_producer_cannot_send_offsets(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let member = sole_member(kafka, &names.group(), &topic, 1);
    let mut old = open(kafka, names, &topic);
    let _new = Writer::transactional(kafka, &id(names));
    let proof = member.consumer.group_metadata();
    let answer = old.producer.send_offsets(&[(at(&topic, 0), committed(5))], &proof, WAIT);
    assert_eq!(fault(answer), Fault::ProducerFenced);
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), None);
}

fn fencing_aborts_the_open_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let _old = open(kafka, names, &topic);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::Stable), 0);
    let _new = Writer::transactional(kafka, &id(names));
    assert_eq!(
        end(kafka, &topic, 0, OffsetSpec::Stable),
        2,
        "init answers when the old transaction is settled"
    );
    assert_eq!(read(kafka, &topic, Committed), []);
}

fn fencing_leaves_committed_transactions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    open(kafka, names, &topic).commit();
    let _new = Writer::transactional(kafka, &id(names));
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["old"]);
}

fn the_new_producer_works_at_once(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let _old = open(kafka, names, &topic);
    let mut new = Writer::transactional(kafka, &id(names));
    new.begin();
    new.send(&topic, 0, "k", "new");
    new.commit();
    eventually("the marker", || (end(kafka, &topic, 0, OffsetSpec::Stable) == 4).then_some(()));
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["new"]);
    assert_eq!(texts(&read(kafka, &topic, Uncommitted)), ["old", "new"]);
}

fn other_transactional_ids_are_not_fenced(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut one = open(kafka, names, &topic);
    let _other = Writer::transactional(kafka, &names.transactional_id("b"));
    one.commit();
}

fn a_chain_of_producers_leaves_the_last(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut chain: Vec<Writer> = (0..4).map(|_| open(kafka, names, &topic)).collect();
    chain.last_mut().unwrap().commit();
    for old in chain.iter_mut().take(3) {
        assert_eq!(fault(old.try_commit()), Fault::ProducerFenced);
    }
    eventually("the marker", || (end(kafka, &topic, 0, OffsetSpec::Stable) == 8).then_some(()));
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [6]);
}

fn a_dead_producers_transaction_is_settled_by_its_successor(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut dead = open(kafka, names, &topic);
    dead.producer.close(Duration::from_secs(1));
    drop(dead);
    let mut new = Writer::transactional(kafka, &id(names));
    new.begin();
    new.send(&topic, 0, "k", "new");
    new.commit();
    eventually("the new record", || (texts(&read(kafka, &topic, Committed)) == ["new"]).then_some(()));
}

fn an_old_transaction_times_out(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let settings = ProducerSettings {
        transactional_id: Some(id(names)),
        transaction_timeout: Some(Duration::from_secs(1)),
        ..ProducerSettings::default()
    };
    let mut writer = Writer::with(kafka, settings);
    writer.producer.init_transactions(WAIT).unwrap();
    writer.begin();
    writer.send(&topic, 0, "k", "late");
    writer.flush();
    eventually("the abort marker", || (end(kafka, &topic, 0, OffsetSpec::Stable) == 2).then_some(()));
    assert_eq!(read(kafka, &topic, Committed), []);
    assert_eq!(fault(writer.try_commit()), Fault::ProducerFenced);
}

fn a_too_long_timeout_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let settings = ProducerSettings {
        transactional_id: Some(id(names)),
        transaction_timeout: Some(Duration::from_secs(3600)),
        ..ProducerSettings::default()
    };
    assert!(Writer::with(kafka, settings).producer.init_transactions(WAIT).is_err());
}

fn a_transaction_begins_after_init_only(kafka: &dyn ClientSupplier, names: &Names) {
    let mut writer = Writer::fresh(kafka, &id(names));
    assert_eq!(fault(writer.producer.begin_transaction()), Fault::Invalid);
    writer.producer.init_transactions(WAIT).unwrap();
    writer.begin();
    writer.commit();
}

fn a_transaction_begins_once(kafka: &dyn ClientSupplier, names: &Names) {
    let mut writer = Writer::transactional(kafka, &id(names));
    writer.begin();
    assert_eq!(fault(writer.producer.begin_transaction()), Fault::Invalid);
}

fn nothing_is_sent_outside_of_a_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::transactional(kafka, &id(names));
    let record = (None, Some(&b"v"[..]), Some(TIME));
    assert_eq!(fault(writer.try_send(&topic, 0, record, &Headers::EMPTY)), Fault::Invalid);
    writer.begin();
    writer.commit();
    assert_eq!(fault(writer.try_send(&topic, 0, record, &Headers::EMPTY)), Fault::Invalid);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 0);
}

fn nothing_is_committed_or_aborted_outside_of_a_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let mut writer = Writer::transactional(kafka, &id(names));
    assert_eq!(fault(writer.try_commit()), Fault::Invalid);
    assert_eq!(fault(writer.producer.abort_transaction(WAIT)), Fault::Invalid);
    writer.begin();
    writer.commit();
    assert_eq!(fault(writer.try_commit()), Fault::Invalid);
}

fn a_producer_without_transactions_has_none(kafka: &dyn ClientSupplier, _: &Names) {
    let mut writer = Writer::plain(kafka);
    assert_eq!(fault(writer.producer.init_transactions(WAIT)), Fault::Invalid);
    assert_eq!(fault(writer.producer.begin_transaction()), Fault::Invalid);
    assert_eq!(fault(writer.try_commit()), Fault::Invalid);
}
