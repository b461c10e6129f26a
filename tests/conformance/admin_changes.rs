//! Topics that exist are looked at and changed: settings, replicas, partitions. And who is in a group.

use std::collections::BTreeMap;

use kstreams::client::{ClientSupplier, Fault, OffsetSpec, TopicSetting};

use crate::harness::cases;
use crate::members::{Member, settle};
use crate::support::*;

cases![
    settings_are_those_of_the_topic_or_of_the_brokers,
    settings_of_a_missing_topic_are_none,
    an_altered_setting_leaves_the_others,
    bad_settings_alter_nothing,
    altering_a_missing_topic_is_refused,
    a_compacted_topic_refuses_records_without_keys_from_then_on,
    replicas_are_described,
    partitions_are_added_behind_the_others,
    partitions_are_never_taken_away,
    members_of_a_group_are_listed,
    nobody_is_in_a_group_that_does_not_exist,
];

type Settings = BTreeMap<String, TopicSetting>;

fn settings(kafka: &dyn ClientSupplier, topic: &str) -> Settings {
    admin(kafka).describe_configs(&[topic.to_owned()], WAIT).unwrap().remove(0).unwrap()
}

fn is(settings: &Settings, key: &str, value: &str, own: bool) -> bool {
    settings.get(key) == Some(&TopicSetting { value: value.to_owned(), own })
}

fn changes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn settings_are_those_of_the_topic_or_of_the_brokers(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("retention.ms", "5000"), ("cleanup.policy", "compact,delete")]);
    let settings = settings(kafka, &topic);
    assert!(is(&settings, "retention.ms", "5000", true), "{settings:?}");
    assert!(is(&settings, "cleanup.policy", "compact,delete", true), "{settings:?}");
    for (key, value) in [
        ("delete.retention.ms", "86400000"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.type", "CreateTime"),
        ("min.compaction.lag.ms", "0"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("min.insync.replicas", "1"),
        ("retention.bytes", "-1"),
        ("segment.bytes", "1073741824"),
        ("compression.type", "producer"),
    ] {
        assert!(is(&settings, key, value, false), "{key}: {:?}", settings.get(key));
    }
}

fn settings_of_a_missing_topic_are_none(kafka: &dyn ClientSupplier, names: &Names) {
    let (there, missing) = (create(kafka, names, 1), names.topic("missing"));
    let asked = [missing.clone(), there, missing];
    let answers = admin(kafka).describe_configs(&asked, WAIT).unwrap();
    assert_eq!(answers.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
}

fn an_altered_setting_leaves_the_others(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("t");
    create_with(kafka, &topic, 1, &[("retention.ms", "5000"), ("segment.ms", "7000")]);
    let new = changes(&[("retention.ms", "6000"), ("cleanup.policy", "compact")]);
    admin(kafka).alter_configs(&topic, &new, WAIT).unwrap();
    let settings = eventually("the new settings", || {
        Some(settings(kafka, &topic)).filter(|settings| is(settings, "retention.ms", "6000", true))
    });
    assert!(is(&settings, "cleanup.policy", "compact", true), "{settings:?}");
    assert!(is(&settings, "segment.ms", "7000", true), "{settings:?}");
}

fn bad_settings_alter_nothing(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let before = settings(kafka, &topic);
    for bad in [("retention.mss", "1"), ("cleanup.policy", "shred"), ("max.message.bytes", "many")] {
        let new = changes(&[("segment.ms", "7000"), bad]);
        assert_eq!(fault(admin(kafka).alter_configs(&topic, &new, WAIT)), Fault::Invalid, "{bad:?}");
    }
    assert_eq!(settings(kafka, &topic), before);
}

fn altering_a_missing_topic_is_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("missing");
    let answer = admin(kafka).alter_configs(&topic, &changes(&[("segment.ms", "7000")]), WAIT);
    assert_eq!(fault(answer), Fault::UnknownTopic);
    assert_eq!(fault(admin(kafka).create_partitions(&topic, 3, WAIT)), Fault::UnknownTopic);
}

fn a_compacted_topic_refuses_records_without_keys_from_then_on(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let keyless = (None, Some(&b"v"[..]), Some(TIME));
    Writer::plain(kafka).try_write(&topic, 0, keyless).unwrap();
    admin(kafka).alter_configs(&topic, &changes(&[("cleanup.policy", "compact")]), WAIT).unwrap();
    eventually("the refusal", || Writer::plain(kafka).try_write(&topic, 0, keyless).err());
}

fn replicas_are_described(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    let described = admin(kafka).describe_topics(&[topic], WAIT).unwrap().remove(0).unwrap();
    assert_eq!((described.partitions, described.replication_factor), (3, 1));
}

fn partitions_are_added_behind_the_others(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = Writer::plain(kafka);
    writer.send(&topic, 1, "k", "old");
    writer.flush();
    admin(kafka).create_partitions(&topic, 4, WAIT).unwrap();
    let describe = || admin(kafka).describe_topics(std::slice::from_ref(&topic), WAIT).unwrap().remove(0);
    eventually("the new partitions", || describe().filter(|topic| topic.partitions == 4));
    assert_eq!(texts(&read_from(kafka, &topic, 1, 0, Committed)), ["old"]);
    let mut writer = Writer::plain(kafka);
    eventually("a record in a new partition", || {
        writer.try_write(&topic, 3, (Some(b"k"), Some(b"new"), Some(TIME))).ok()
    });
    assert_eq!(end(kafka, &topic, 3, OffsetSpec::End), 1);
}

fn partitions_are_never_taken_away(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 3);
    for total in [0, 1, 2, 3] {
        assert_eq!(fault(admin(kafka).create_partitions(&topic, total, WAIT)), Fault::Invalid, "{total}");
    }
    let described = admin(kafka).describe_topics(&[topic], WAIT).unwrap().remove(0).unwrap();
    assert_eq!(described.partitions, 3);
}

fn members_of_a_group_are_listed(kafka: &dyn ClientSupplier, names: &Names) {
    let (topic, group) = (create(kafka, names, 2), names.group());
    let mut one = Member::subscribe(kafka, &group, "first", &[&topic]);
    let mut two = Member::subscribe_as(kafka, &group, "second", &[&topic]);
    settle(&mut [&mut one, &mut two], &[1, 1]);
    let mut members = admin(kafka).group_members(&group, WAIT).unwrap();
    members.sort_by(|one, two| one.instance.cmp(&two.instance));
    assert_eq!(members.len(), 2, "{members:?}");
    assert_eq!((members[0].client_id.as_str(), members[0].instance.as_deref()), ("first", None));
    assert!(members[1].instance.is_some() && members[0].id != members[1].id, "{members:?}");
    one.consumer.close(WAIT).unwrap();
    two.consumer.close(WAIT).unwrap();
    let empty = || admin(kafka).group_members(&group, WAIT).unwrap().is_empty().then_some(());
    eventually("the members to be gone", empty);
}

fn nobody_is_in_a_group_that_does_not_exist(kafka: &dyn ClientSupplier, names: &Names) {
    assert_eq!(admin(kafka).group_members(&names.group(), WAIT).unwrap(), []);
}
