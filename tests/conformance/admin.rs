//! Topics come, are described, lose their records and go.

use kstreams::client::{AdminTopic, ClientSupplier, Fault, NewTopic, OffsetSpec};

use crate::harness::cases;
use crate::support::*;

cases![
    a_created_topic_is_described,
    a_topic_that_is_asked_for_twice_is_described_twice,
    a_missing_topic_is_described_as_none,
    all_topics_are_listed,
    descriptions_come_in_the_order_asked,
    a_topic_is_created_once,
    one_bad_topic_does_not_stop_the_others,
    impossible_partition_counts_are_refused,
    impossible_names_are_refused,
    names_that_differ_in_dot_and_underscore_collide,
    unknown_settings_are_refused,
    bad_values_of_settings_are_refused,
    a_default_partition_count_is_one,
    a_deleted_topic_is_gone,
    deleting_a_missing_topic_is_no_error,
    a_topic_created_again_begins_at_zero,
    a_topic_created_again_has_another_id,
    deleting_records_moves_the_beginning,
    deleting_all_records_empties_the_partition,
    deleting_records_twice_or_backwards_changes_nothing,
    deleting_records_after_the_end_is_out_of_range,
    deleting_records_leaves_other_partitions,
    deleting_records_behind_a_reader_does_not_hurt_it,
];

fn try_create(kafka: &dyn ClientSupplier, new: NewTopic) -> Fault {
    fault(admin(kafka).create_topics(&[new], WAIT).unwrap().remove(0))
}

fn a_created_topic_is_described(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 5);
    let described = admin(kafka).describe_topics(std::slice::from_ref(&topic), WAIT).unwrap();
    let id = described[0].as_ref().and_then(|topic| topic.id);
    assert_eq!(described, [Some(AdminTopic { name: topic, partitions: 5, replication_factor: 1, id })]);
    assert!(id.is_some());
}

fn a_topic_created_again_has_another_id(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [create(kafka, names, 1)];
    let id = || admin(kafka).describe_topics(&topics, WAIT).unwrap().remove(0).and_then(|topic| topic.id);
    let first = id();
    assert_eq!(first, id());
    admin(kafka).delete_topics(&topics, WAIT).unwrap();
    eventually("the topic to go", || id().is_none().then_some(()));
    create_with(kafka, &topics[0], 1, &[]);
    let second = eventually("the topic to come", id);
    assert_ne!(Some(second), first);
}

fn a_topic_that_is_asked_for_twice_is_described_twice(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let described =
        admin(kafka).describe_topics(&[topic.clone(), names.topic("missing"), topic], WAIT).unwrap();
    assert_eq!(described[0].as_ref().map(|topic| topic.partitions), Some(2));
    assert_eq!((&described[1], &described[2]), (&None, &described[0]));
}

fn a_missing_topic_is_described_as_none(kafka: &dyn ClientSupplier, names: &Names) {
    assert_eq!(admin(kafka).describe_topics(&[names.topic("missing")], WAIT).unwrap(), [None]);
}

fn all_topics_are_listed(kafka: &dyn ClientSupplier, names: &Names) {
    let [one, two, missing] = ["one", "two", "missing"].map(|topic| names.topic(topic));
    create_with(kafka, &one, 1, &[]);
    create_with(kafka, &two, 3, &[]);
    let listed = || admin(kafka).list_topics(WAIT).unwrap();
    eventually("both topics", || (listed().contains(&one) && listed().contains(&two)).then_some(()));
    assert!(!listed().contains(&missing));
    assert_eq!(listed().iter().filter(|topic| **topic == two).count(), 1, "not once for each partition");
    admin(kafka).delete_topics(std::slice::from_ref(&one), WAIT).unwrap();
    eventually("the topic to go", || (!listed().contains(&one)).then_some(()));
    assert!(listed().contains(&two));
}

fn descriptions_come_in_the_order_asked(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("z"), names.topic("missing"), names.topic("a")];
    create_with(kafka, &topics[0], 1, &[]);
    create_with(kafka, &topics[2], 2, &[]);
    let described = admin(kafka).describe_topics(&topics, WAIT).unwrap();
    let counts: Vec<_> = described.iter().map(|topic| topic.as_ref().map(|topic| topic.partitions)).collect();
    assert_eq!(counts, [Some(1), None, Some(2)]);
}

fn a_topic_is_created_once(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    assert_eq!(try_create(kafka, new_topic(&topic, 3, &[])), Fault::AlreadyExists);
}

fn one_bad_topic_does_not_stop_the_others(kafka: &dyn ClientSupplier, names: &Names) {
    let there = create(kafka, names, 1);
    let (good, also_good) = (names.topic("good"), names.topic("also-good"));
    let topics = [new_topic(&good, 1, &[]), new_topic(&there, 1, &[]), new_topic(&also_good, 1, &[])];
    let answers = admin(kafka).create_topics(&topics, WAIT).unwrap();
    let faults: Vec<_> = answers.into_iter().map(|answer| answer.err().map(|error| error.fault)).collect();
    assert_eq!(faults, [None, Some(Fault::AlreadyExists), None]);
}

fn impossible_partition_counts_are_refused(kafka: &dyn ClientSupplier, names: &Names) {
    assert_eq!(try_create(kafka, new_topic(&names.topic("t"), 0, &[])), Fault::Invalid);
}

fn impossible_names_are_refused(kafka: &dyn ClientSupplier, _: &Names) {
    for name in ["with space", "with/slash", "..", &"x".repeat(250)] {
        assert_eq!(try_create(kafka, new_topic(name, 1, &[])), Fault::Invalid, "{name}");
    }
}

fn names_that_differ_in_dot_and_underscore_collide(kafka: &dyn ClientSupplier, names: &Names) {
    create_with(kafka, &names.topic("a.b"), 1, &[]);
    assert_eq!(try_create(kafka, new_topic(&names.topic("a_b"), 1, &[])), Fault::Invalid);
}

fn unknown_settings_are_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let new = new_topic(&names.topic("t"), 1, &[("cleanup.polizei", "compact")]);
    assert_eq!(try_create(kafka, new), Fault::Invalid);
}

fn bad_values_of_settings_are_refused(kafka: &dyn ClientSupplier, names: &Names) {
    for (key, value) in [("cleanup.policy", "shred"), ("max.message.bytes", "many")] {
        assert_eq!(
            try_create(kafka, new_topic(&names.topic("t"), 1, &[(key, value)])),
            Fault::Invalid,
            "{key}"
        );
    }
}

fn a_default_partition_count_is_one(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, -1, &[]);
    let described = admin(kafka).describe_topics(std::slice::from_ref(&topic), WAIT).unwrap();
    assert_eq!(described[0].as_ref().map(|topic| topic.partitions), Some(1));
}

fn delete(kafka: &dyn ClientSupplier, topic: &String) {
    let mut admin = admin(kafka);
    admin.delete_topics(std::slice::from_ref(topic), WAIT).unwrap();
    eventually("the topic to be gone", || {
        admin.describe_topics(std::slice::from_ref(topic), WAIT).unwrap()[0].is_none().then_some(())
    });
}

fn a_deleted_topic_is_gone(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    delete(kafka, &topic);
    let mut consumer = reader(kafka, Uncommitted);
    assert_eq!(fault(consumer.list_offsets(&[at(&topic, 0)], OffsetSpec::End, WAIT)), Fault::UnknownTopic);
}

fn deleting_a_missing_topic_is_no_error(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    admin(kafka).delete_topics(&[names.topic("missing"), topic.clone()], WAIT).unwrap();
    eventually("the other topic to be gone", || {
        admin(kafka).describe_topics(std::slice::from_ref(&topic), WAIT).unwrap()[0].is_none().then_some(())
    });
}

fn a_topic_created_again_begins_at_zero(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    delete(kafka, &topic);
    create_with(kafka, &topic, 1, &[]);
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 0);
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 0, "k", "new");
    writer.flush();
    assert_eq!(texts(&read(kafka, &topic, Committed)), ["new"]);
}

fn three_records(kafka: &dyn ClientSupplier, names: &Names) -> String {
    let topic = create(kafka, names, 2);
    let mut writer = Writer::plain(kafka);
    for partition in 0..2 {
        for number in 0..3 {
            writer.send(&topic, partition, "k", &number.to_string());
        }
    }
    writer.flush();
    topic
}

fn delete_before(kafka: &dyn ClientSupplier, topic: &str, offset: i64) {
    admin(kafka).delete_records(&[(at(topic, 0), offset)], WAIT).unwrap();
}

fn bounds(kafka: &dyn ClientSupplier, topic: &str, partition: i32) -> (i64, i64) {
    (end(kafka, topic, partition, OffsetSpec::Beginning), end(kafka, topic, partition, OffsetSpec::End))
}

fn deleting_records_moves_the_beginning(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    delete_before(kafka, &topic, 2);
    assert_eq!(bounds(kafka, &topic, 0), (2, 3));
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [2]);
}

fn deleting_all_records_empties_the_partition(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    delete_before(kafka, &topic, 3);
    assert_eq!(bounds(kafka, &topic, 0), (3, 3));
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 0, "k", "new");
    writer.flush();
    assert_eq!(offsets(&read(kafka, &topic, Committed)), [3]);
}

fn deleting_records_twice_or_backwards_changes_nothing(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    for before in [2, 2, 1, 0] {
        delete_before(kafka, &topic, before);
        assert_eq!(bounds(kafka, &topic, 0), (2, 3));
    }
}

fn deleting_records_after_the_end_is_out_of_range(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    let answer = admin(kafka).delete_records(&[(at(&topic, 0), 4)], WAIT);
    assert_eq!(fault(answer), Fault::OffsetOutOfRange);
    assert_eq!(bounds(kafka, &topic, 0), (0, 3));
}

fn deleting_records_leaves_other_partitions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    delete_before(kafka, &topic, 3);
    assert_eq!(bounds(kafka, &topic, 1), (0, 3));
    assert_eq!(read_from(kafka, &topic, 1, 0, Committed).len(), 3);
}

fn deleting_records_behind_a_reader_does_not_hurt_it(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = three_records(kafka, names);
    let mut consumer = reader(kafka, Committed);
    consumer.assign(&[(at(&topic, 0), 0, 0)]).unwrap();
    poll_records(&mut *consumer, 3);
    delete_before(kafka, &topic, 3);
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 0, "k", "new");
    writer.flush();
    assert_eq!(offsets(&poll_records(&mut *consumer, 1)), [3]);
}
