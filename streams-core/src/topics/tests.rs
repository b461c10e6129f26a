//! Plans and applies on the embedded log.

use std::collections::BTreeMap;

use super::*;
use crate::client::embedded::{EmbeddedKafka, VirtualClock};
use crate::client::{ClientSupplier, NewTopic, TopicSetting};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::{Consumed, StreamsBuilder};
use crate::serdes::Auto;
use crate::topic::{Store, Topic};
use crate::topology::{TopicNeeds, TopologySnapshot};

const LINES: Topic<String, String> = Topic::new("lines");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("store");
const REPARTITION: &str = "wc-store-repartition";
const CHANGELOG: &str = "wc-store-changelog";

struct Fixture {
    kafka: EmbeddedKafka,
    needs: TopicNeeds,
    config: StreamsConfig,
    declared: BTreeMap<String, DeclaredTopic>,
}

impl Fixture {
    /// The word count, on a cluster without topics. What it needs went through a file.
    fn new() -> Self {
        let builder = StreamsBuilder::new();
        builder.stream(&LINES).group_by(|_, word| word.clone()).count_with(&STORE).to_stream().to(&COUNTS);
        let file = builder.build().unwrap().snapshot().to_json();
        Self {
            kafka: EmbeddedKafka::new(VirtualClock::new(0)),
            needs: TopologySnapshot::from_json(&file).unwrap().topics.unwrap(),
            config: StreamsConfig::new("wc", ProcessingGuarantee::ExactlyOnceV2),
            declared: BTreeMap::new(),
        }
    }

    /// The same with both topics of others declared, and everything created.
    fn applied() -> Self {
        let mut fixture = Self::new();
        for name in ["lines", "counts"] {
            fixture.declare(name, 3, &[]);
        }
        fixture.apply(ApplyOptions::default());
        fixture
    }

    fn declare(&mut self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let declared = DeclaredTopic { partitions: Some(partitions), config, ..DeclaredTopic::default() };
        self.declared.insert(name.to_owned(), declared);
    }

    fn wishes(&self) -> Wishes<'_> {
        Wishes { needs: &self.needs, config: &self.config, declared: &self.declared }
    }

    fn plan(&self) -> TopicsPlan {
        plan(&mut *self.kafka.admin().unwrap(), &self.wishes()).unwrap()
    }

    /// What differs, in words.
    fn differences(&self) -> Vec<String> {
        let topics = self.plan().topics.into_iter().flat_map(|topic| match topic.standing {
            Standing::Equal => Vec::new(),
            Standing::Missing => vec![format!("{} is missing", topic.wanted.name)],
            Standing::Differs(all) => {
                all.iter().map(|difference| format!("{}: {difference}", topic.wanted.name)).collect()
            }
        });
        topics.collect()
    }

    /// What was done, in words.
    fn apply(&self, options: ApplyOptions) -> Vec<String> {
        let words = |action: TopicAction| match action.action {
            Action::Created(wanted) => {
                format!("{} created with {}", action.topic, wanted.partitions.unwrap_or(-1))
            }
            Action::Altered(difference) => format!("{} altered: {difference}", action.topic),
            Action::Left { why, .. } => format!("{} left: {why}", action.topic),
        };
        apply(&self.kafka, &self.wishes(), options).unwrap().into_iter().map(words).collect()
    }

    fn partitions(&self, topic: &str) -> Option<i32> {
        let described = self.kafka.admin().unwrap().describe_topics(&[topic.to_owned()], ADMIN_TIMEOUT);
        described.unwrap().remove(0).map(|topic| topic.partitions)
    }

    fn setting(&self, topic: &str, key: &str) -> TopicSetting {
        let settings = self.kafka.admin().unwrap().describe_configs(&[topic.to_owned()], ADMIN_TIMEOUT);
        settings.unwrap().remove(0).unwrap().remove(key).unwrap()
    }

    fn set(&self, topic: &str, key: &str, value: &str) {
        let changes = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        self.kafka.admin().unwrap().alter_configs(topic, &changes, ADMIN_TIMEOUT).unwrap();
    }

    fn grow(&self, topic: &str, total: i32) {
        self.kafka.admin().unwrap().create_partitions(topic, total, ADMIN_TIMEOUT).unwrap();
    }
}

const ALL: ApplyOptions = ApplyOptions { alter: true, add_partitions: true };

#[test]
fn what_nobody_declares_is_missing_and_left() {
    let fixture = Fixture::new();
    let plan = fixture.plan();
    assert!(!plan.is_fulfilled());
    assert!(plan.unplanned.unwrap().contains("source topic `lines` (sub-topology 0) does not exist"));
    assert_eq!(fixture.differences(), ["counts is missing", "lines is missing"]);
    let done = fixture.apply(ALL);
    assert_eq!(done.len(), 2);
    assert!(done[1].starts_with("lines left: nobody declares"), "{done:?}");
    assert_eq!(fixture.kafka.admin().unwrap().list_topics(ADMIN_TIMEOUT).unwrap(), [""; 0]);
}

#[test]
fn declared_and_internal_topics_are_created_as_the_application_would() {
    let mut fixture = Fixture::new();
    fixture.config.topic_properties.insert("segment.ms".to_owned(), "600000".to_owned());
    fixture.declare("lines", 3, &[("retention.ms", "1000")]);
    fixture.declare("counts", 2, &[]);
    fixture.declare("dead", 1, &[]);
    assert_eq!(fixture.differences().len(), 5, "planned with the partitions that lines is declared to have");
    let done = fixture.apply(ApplyOptions::default());
    let created = |topic: &str, count: i32| done.contains(&format!("{topic} created with {count}"));
    for (topic, count) in [("lines", 3), ("counts", 2), ("dead", 1), (REPARTITION, 3), (CHANGELOG, 3)] {
        assert!(created(topic, count), "{topic}: {done:?}");
        assert_eq!(fixture.partitions(topic), Some(count));
    }
    assert_eq!(fixture.setting("lines", "retention.ms").value, "1000");
    assert_eq!(fixture.setting(REPARTITION, "retention.ms").value, "-1");
    assert_eq!(fixture.setting(CHANGELOG, "cleanup.policy").value, "compact");
    assert_eq!(fixture.setting(CHANGELOG, "segment.ms").value, "600000");
    assert!(fixture.plan().is_fulfilled());
    assert_eq!(fixture.apply(ALL), [""; 0], "a second time there is nothing to do");
}

#[test]
fn a_setting_is_altered_only_where_that_is_asked_for() {
    let mut fixture = Fixture::applied();
    fixture.set(CHANGELOG, "cleanup.policy", "delete");
    fixture.declare("lines", 3, &[("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]);
    let found = fixture.differences();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[2], format!("{CHANGELOG}: cleanup.policy is delete, wanted compact"));
    let done = fixture.apply(ApplyOptions { alter: false, add_partitions: true });
    assert!(
        done.len() == 3 && done.iter().all(|done| done.contains("left: settings are altered")),
        "{done:?}"
    );
    assert_eq!(fixture.setting(CHANGELOG, "cleanup.policy").value, "delete");
    let done = fixture.apply(ApplyOptions { alter: true, add_partitions: false });
    assert!(done.len() == 3 && done.iter().all(|done| done.contains(" altered: ")), "{done:?}");
    assert_eq!(fixture.setting("lines", "retention.ms").value, "1000");
    assert!(fixture.plan().is_fulfilled());
    fixture.set("lines", "cleanup.policy", "delete,compact");
    assert!(fixture.plan().is_fulfilled(), "the order of a list means nothing");
}

#[test]
fn partitions_of_internal_topics_with_records_are_never_touched() {
    let fixture = Fixture::applied();
    fixture.kafka.produce(CHANGELOG, Some(0), Some(b"k"), Some(b"v"), 0).unwrap();
    fixture.grow("lines", 6);
    // The user declared 3: as many as there were.
    let done = fixture.apply(ApplyOptions { alter: true, add_partitions: false });
    assert_eq!(done.len(), 3, "{done:?}");
    assert!(done[0].contains("lines left: partitions cannot be taken away"), "{done:?}");
    assert!(done[1].contains("left: its records are spread"), "{done:?}");
    assert!(done[2].contains("left: partitions are added where that is asked for only"), "{done:?}");
    let done = fixture.apply(ALL);
    assert!(done[1].starts_with(CHANGELOG) && done[1].contains("left: its records are spread"), "{done:?}");
    assert_eq!(done[2], format!("{REPARTITION} altered: partitions is 3, wanted 6"));
    assert_eq!((fixture.partitions(CHANGELOG), fixture.partitions(REPARTITION)), (Some(3), Some(6)));
}

#[test]
fn partitions_of_other_topics_are_added_where_that_is_asked_for() {
    let mut fixture = Fixture::applied();
    fixture.declare("counts", 5, &[]);
    fixture.kafka.produce("counts", Some(0), Some(b"k"), Some(b"v"), 0).unwrap();
    let done = fixture.apply(ApplyOptions { alter: true, add_partitions: false });
    assert_eq!(done, ["counts left: partitions are added where that is asked for only"]);
    assert_eq!(fixture.apply(ALL), ["counts altered: partitions is 3, wanted 5"]);
    assert_eq!(fixture.partitions("counts"), Some(5));
}

#[test]
fn replicas_are_compared_and_left() {
    let mut fixture = Fixture::applied();
    fixture.config.replication_factor = 3;
    assert_eq!(
        fixture.differences(),
        [CHANGELOG, REPARTITION].map(|topic| format!("{topic}: replication.factor is 1, wanted 3"))
    );
    assert!(fixture.apply(ALL).iter().all(|done| done.contains("kafka-reassign-partitions")));
}

#[test]
fn patterns_can_be_planned_by_the_application_only() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream_pattern_with::<String, String>("in-.*", Auto, Auto, Consumed::new());
    lines.group_by(|_, word| word.clone()).count_with(&STORE);
    let mut fixture = Fixture::new();
    fixture.needs = builder.build().unwrap().topic_needs();
    let unplanned = fixture.plan().unplanned.unwrap();
    assert!(unplanned.contains("`in-.*`: only the running application"), "{unplanned}");
}

#[test]
fn a_topic_that_the_cluster_refuses_is_an_error_that_names_it() {
    let mut fixture = Fixture::new();
    fixture.declare("lines", 3, &[("retention.mss", "1")]);
    let error = apply(&fixture.kafka, &fixture.wishes(), ALL).unwrap_err().to_string();
    assert!(error.contains("`lines`") && error.contains("`retention.mss` is no setting"), "{error}");
    let existing =
        NewTopic { name: "lines".to_owned(), partitions: 3, replication_factor: -1, config: BTreeMap::new() };
    fixture.kafka.admin().unwrap().create_topics(&[existing], ADMIN_TIMEOUT).unwrap()[0].as_ref().unwrap();
    assert!(fixture.differences()[1].ends_with("lines: retention.mss is unknown, wanted 1"));
}
