use std::collections::BTreeMap;

use streams_state::types::{TaskId, TopicPartition};

use crate::topology::testing::Sketch;
use crate::topology::{TopicDefaults, TopicKind, TopicPlan, Topology, TopologyError};

fn plan(topology: &Topology, counts: &[(&str, i32)]) -> Result<TopicPlan, TopologyError> {
    let counts: BTreeMap<&str, i32> = counts.iter().copied().collect();
    topology.plan("app", &|topic| counts.get(topic).copied(), &TopicDefaults::default())
}

fn partitions_of(plan: &TopicPlan, topic: &str) -> i32 {
    plan.internal_topics.iter().find(|known| &*known.name == topic).unwrap().partitions
}

fn two_repartitions(first: Option<i32>, second: Option<i32>) -> Sketch {
    Sketch::new()
        .repartition("r1", first)
        .repartition("r2", second)
        .source("a", &["a"])
        .source("b", &["b"])
        .sink("to-r1", "r1", &["a"])
        .sink("to-r2", "r2", &["b"])
        .source("from-r1", &["r1"])
        .source("from-r2", &["r2"])
        .processor("join", &["from-r1", "from-r2"])
        .copartition(&["r1", "r2"])
}

#[test]
fn plans_tasks_changelogs_and_partitions() {
    let topology = Sketch::new()
        .source("a", &["a", "b"])
        .processor("p", &["a"])
        .store("s", &["p"])
        .store("local", &["p"])
        .with_store(|store| store.logging = false)
        .topology();
    let plan = plan(&topology, &[("a", 2), ("b", 3)]).unwrap();
    assert_eq!(plan.tasks.iter().map(TaskId::to_string).collect::<Vec<_>>(), ["0_0", "0_1", "0_2"]);
    assert_eq!(plan.tasks_of_subtopology(0), 3);
    let last = plan.tasks[2];
    assert_eq!(plan.partitions_of_task(last), [TopicPartition::new("b", 2)]);
    assert_eq!(plan.task_of_partition(&TopicPartition::new("b", 2)), Some(last));
    assert_eq!(plan.task_of_partition(&TopicPartition::new("a", 2)), None);
    assert_eq!(plan.internal_topics.len(), 1);
    assert_eq!(plan.internal_topics[0].kind, TopicKind::Changelog);
    assert_eq!(partitions_of(&plan, "app-s-changelog"), 3);
    let changelogs = plan.changelogs_of_task(last);
    assert_eq!(changelogs.len(), 1);
    assert_eq!(changelogs[0].1, TopicPartition::new("app-s-changelog", 2));
}

/// Found on a broker: a member was given the new partitions of a topic that had grown, ran, and read nothing.
#[test]
fn partitions_that_a_topic_got_later_are_seen() {
    let topology = Sketch::new().source("a", &["a", "b"]).processor("p", &["a"]).topology();
    let plan = plan(&topology, &[("a", 2), ("b", 3)]).unwrap();
    let given = |last| [("a", 0), ("a", 1), ("b", last)].map(|(topic, at)| TopicPartition::new(topic, at));
    assert_eq!(plan.grown(&given(2)), None);
    assert_eq!(plan.grown(&given(3)), Some((&TopicPartition::new("b", 3), 3)));
    // What nobody reads is no matter of this plan.
    assert_eq!(plan.grown(&[TopicPartition::new("other", 9)]), None);
}

#[test]
fn a_source_topic_that_serves_as_changelog_is_not_created() {
    let topology = Sketch::new()
        .source("a", &["a"])
        .processor("p", &["a"])
        .store("s", &["p"])
        .with_store(|store| {
            store.logging = false;
            store.source_topic = Some("a".into());
        })
        .topology();
    let plan = plan(&topology, &[("a", 2)]).unwrap();
    assert!(plan.internal_topics.is_empty());
    assert_eq!(plan.changelogs_of_task(plan.tasks[1])[0].1, TopicPartition::new("a", 1));
}

#[test]
fn repartition_topics_take_the_largest_count_upstream_through_several_hops() {
    let topology = Sketch::new()
        .repartition("r2", None)
        .repartition("r1", None)
        .source("from-r1", &["r1", "c"])
        .sink("to-r2", "r2", &["from-r1"])
        .source("a", &["a", "b"])
        .sink("to-r1", "r1", &["a"])
        .source("from-r2", &["r2"])
        .topology();
    let plan = plan(&topology, &[("a", 2), ("b", 5), ("c", 3)]).unwrap();
    assert_eq!(partitions_of(&plan, "app-r1"), 5);
    assert_eq!(partitions_of(&plan, "app-r2"), 5);
    assert_eq!(plan.source_counts.get("app-r2"), Some(&5));
    assert_eq!(topology.source_topic_names("app"), ["a", "app-r1", "app-r2", "b", "c"]);
}

#[test]
fn co_partitioned_repartition_topics_get_one_count() {
    let counts = [("a", 2), ("b", 5)];
    let largest = plan(&two_repartitions(None, None).topology(), &counts).unwrap();
    assert_eq!((partitions_of(&largest, "app-r1"), partitions_of(&largest, "app-r2")), (5, 5));
    let given = plan(&two_repartitions(Some(3), None).topology(), &counts).unwrap();
    assert_eq!((partitions_of(&given, "app-r1"), partitions_of(&given, "app-r2")), (3, 3));
    let error = plan(&two_repartitions(Some(3), Some(4)).topology(), &counts).unwrap_err();
    assert!(error.to_string().contains("`r1` 3, `r2` 4"), "{error}");
}

#[test]
fn repartition_topics_follow_the_users_topics_that_they_are_joined_with() {
    let sketch = |partitions| {
        Sketch::new()
            .repartition("r", partitions)
            .source("a", &["a"])
            .sink("to-r", "r", &["a"])
            .source("from-r", &["r"])
            .source("t", &["t"])
            .processor("join", &["from-r", "t"])
            .copartition(&["r", "t"])
            .topology()
    };
    let counts = [("a", 8), ("t", 3)];
    assert_eq!(partitions_of(&plan(&sketch(None), &counts).unwrap(), "app-r"), 3);
    let error = plan(&sketch(Some(4)), &counts).unwrap_err().to_string();
    assert!(error.contains("(`r` 4)") && error.contains("the 3 of") && error.contains("`t` 3"), "{error}");
}

#[test]
fn users_topics_with_different_counts_are_all_named() {
    let topology = Sketch::new()
        .source("a", &["a"])
        .source("b", &["b"])
        .source("c", &["c"])
        .processor("j1", &["a", "b"])
        .processor("j2", &["b", "c"])
        .copartition(&["a", "b"])
        .copartition(&["b", "c"])
        .topology();
    let error = plan(&topology, &[("a", 2), ("b", 2), ("c", 3)]).unwrap_err();
    assert_eq!(error.faults.len(), 1);
    assert!(error.to_string().contains("`a` 2, `b` 2, `c` 3"), "{error}");
}

#[test]
fn missing_input_topics_are_named_by_sub_topology() {
    let topology = Sketch::new().source("a", &["a", "gone"]).source("b", &["away"]).topology();
    let error = plan(&topology, &[("a", 1)]).unwrap_err();
    assert_eq!(
        error.faults,
        [
            "source topic `gone` (sub-topology 0) does not exist: create it, then start again",
            "source topic `away` (sub-topology 1) does not exist: create it, then start again",
        ]
    );
}

#[test]
fn a_repartition_topic_that_nothing_feeds_has_no_count() {
    let topology = Sketch::new().repartition("r", None).source("from-r", &["r"]).topology();
    let error = plan(&topology, &[]).unwrap_err().to_string();
    assert!(error.contains("`r`") && error.contains("Repartitioned"), "{error}");
}

#[test]
fn an_application_id_that_cannot_be_part_of_a_topic_is_refused_only_if_it_would_be() {
    let plan = |topology: Topology| topology.plan("a b", &|_| Some(1), &TopicDefaults::default());
    assert!(plan(Sketch::new().source("a", &["a"]).topology()).is_ok());
    let stateful = Sketch::new().source("a", &["a"]).processor("p", &["a"]).store("s", &["p"]).topology();
    let error = plan(stateful).unwrap_err().to_string();
    assert!(error.contains("application.id: the name `a b` contains ' '"), "{error}");
}
