//! Builds every recorded program and compares all that was recorded of it. A program that this library cannot express
//! differs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use streams_core::topology::{NodeId, SourceTopic, StoreSpec, TopicPlan, Topology, TopologyError};

use super::program::{APPLICATION, Unsupported, entries, strings, topic_defaults};
use super::{dsl_steps, processor_steps};

/// Builds one recorded program and compares. The error says what differs.
pub(crate) fn compare(golden: &Value) -> Result<(), String> {
    let built = match golden["api"].as_str() {
        Some("processor") => processor_steps::build(golden),
        _ => dsl_steps::build(golden),
    };
    match (built, golden["error_message"].as_str()) {
        (Err(Unsupported(what)), _) => Err(format!("not supported: {what}")),
        (Ok(Err(_)), Some(_)) => Ok(()),
        (Ok(Ok(_)), Some(message)) => Err(format!("built, but Kafka Streams says: {message}")),
        // Kafka Streams builds it, and refuses it when it assigns tasks, whatever the topics have.
        (Ok(Err(error)), None) if input_counts(golden).is_none() => match &*error.faults {
            [fault] if fault.contains("different numbers of partitions") => Ok(()),
            _ => Err(error.to_string()),
        },
        (Ok(Err(error)), None) => Err(error.to_string()),
        (Ok(Ok(topology)), None) => match differences(golden, &topology) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(differences.join("\n")),
        },
    }
}

/// Numbers of partitions of the user's topics with which the program can run: that of a repartition topic which was
/// given one, for the topics that must have as many. `None`: there are none.
pub(super) fn input_counts(golden: &Value) -> Option<BTreeMap<String, i32>> {
    let parts = golden["subtopologies"].as_array().into_iter().flatten();
    let repartition: BTreeMap<&str, Option<i64>> = parts
        .flat_map(|part| entries(&part["repartition_topics"]))
        .map(|(name, topic)| (name, topic["partitions"].as_i64()))
        .collect();
    let mut counts = BTreeMap::new();
    for group in their_groups(golden) {
        let given: BTreeSet<i64> =
            group.iter().filter_map(|topic| repartition.get(&**topic).copied().flatten()).collect();
        if given.len() > 1 {
            return None;
        }
        let inputs = group.into_iter().filter(|topic| !repartition.contains_key(&**topic));
        let count = given.first().map_or(2, |count| *count as i32);
        counts.extend(inputs.map(|topic| (topic, count)));
    }
    Some(counts)
}

/// The plan of a topology where the user's topics have these numbers of partitions.
pub(super) fn plan(golden: &Value, topology: &Topology) -> Result<TopicPlan, TopologyError> {
    let counts = input_counts(golden).unwrap_or_default();
    let count = |topic: &str| Some(counts.get(topic).copied().unwrap_or(2));
    topology.plan(APPLICATION, &count, &topic_defaults(golden))
}

/// What differs between a topology and the recorded one.
fn differences(golden: &Value, topology: &Topology) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            differences.push(format!("{what}\n--- ours\n{ours}\n--- Kafka Streams\n{theirs}"));
        }
    };
    if let Err(error) = topology.validate() {
        compare("faults", error.to_string(), String::new());
    }
    let names: Vec<&str> = topology.nodes.iter().map(|node| &*node.name).collect();
    compare("nodes in order", names.join("\n"), strings(&golden["node_insertion_order"]).join("\n"));
    compare("description", topology.describe().to_string(), golden["describe"].as_str().unwrap().to_owned());
    compare("sub-topologies", our_parts(topology), their_parts(golden));
    compare("stores", our_stores(topology), their_stores(golden));
    compare(
        "co-partition groups",
        format!("{:?}", our_groups(topology)),
        format!("{:?}", their_groups(golden)),
    );
    compare("internal topics", our_internal_topics(golden, topology), their_internal_topics(golden));
    differences
}

fn full(topology: &Topology, topic: &str) -> String {
    let internal = topology.repartition_topics.contains_key(topic);
    SourceTopic { name: topic.into(), internal }.full_name(APPLICATION).to_string()
}

pub(super) fn our_parts(topology: &Topology) -> String {
    let parts = topology.subtopologies();
    let listed = parts.iter().filter(|part| part.has_tasks()).map(|part| {
        let topics = |topics: &[SourceTopic]| -> BTreeSet<String> {
            topics.iter().map(|topic| topic.full_name(APPLICATION).to_string()).collect()
        };
        let stores: BTreeSet<&str> = part.stores.iter().map(|store| &*topology.store(*store).name).collect();
        format!(
            "{}: {:?} -> {:?}, {stores:?}",
            part.id,
            topics(&part.source_topics),
            topics(&part.sink_topics)
        )
    });
    listed.collect::<Vec<_>>().join("\n")
}

pub(super) fn their_parts(golden: &Value) -> String {
    let parts = golden["subtopologies"].as_array().unwrap().iter();
    let set = |value: &Value| strings(value).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let listed = parts.map(|part| {
        let stores = set(&part["state_stores"]);
        format!(
            "{}: {:?} -> {:?}, {stores:?}",
            part["id"],
            set(&part["source_topics"]),
            set(&part["sink_topics"])
        )
    });
    listed.collect::<Vec<_>>().join("\n")
}

fn our_stores(topology: &Topology) -> String {
    let describe = |store: &StoreSpec| {
        let users: BTreeSet<&str> =
            store.processors.iter().map(|node: &NodeId| &*topology.node(*node).name).collect();
        let changelog = store.changelog_topic(APPLICATION);
        (
            store.name.to_string(),
            format!("logging {}, users {users:?}, changelog {changelog:?}", store.logging),
        )
    };
    let stores: BTreeMap<String, String> =
        topology.stores.iter().filter(|store| !store.global).map(describe).collect();
    format!("{stores:#?}")
}

fn their_stores(golden: &Value) -> String {
    let describe = |(name, store): (&str, &Value)| {
        let mut users: BTreeSet<&str> = strings(&store["processors"]).into_iter().collect();
        // Kafka Streams forgets the first users of a store that is added twice; its nodes still name the store.
        let parts = golden["nodes"].as_array().into_iter().flatten();
        let nodes = parts.flat_map(|part| entries(&part["nodes"]));
        users
            .extend(nodes.filter(|(_, node)| strings(&node["stores"]).contains(&name)).map(|(node, _)| node));
        let changelog = golden["store_to_changelog"][name].as_str().map(str::to_owned);
        // A store that no node uses has no changelog; ours would have this one.
        let unused = users.is_empty() && store["logging"] == true;
        let changelog = changelog.or_else(|| unused.then(|| format!("{APPLICATION}-{name}-changelog")));
        (name.to_owned(), format!("logging {}, users {users:?}, changelog {changelog:?}", store["logging"]))
    };
    format!("{:#?}", entries(&golden["stores"]).map(describe).collect::<BTreeMap<_, _>>())
}

/// Groups of topics, by full names, that must have the same number of partitions.
type Groups = Vec<BTreeSet<String>>;

fn our_groups(topology: &Topology) -> Groups {
    let groups = topology.copartition_groups.iter();
    let full: BTreeSet<BTreeSet<String>> =
        groups.map(|group| group.iter().map(|topic| full(topology, topic)).collect()).collect();
    merged(full)
}

fn their_groups(golden: &Value) -> Groups {
    let groups = golden["copartition_groups"].as_array().into_iter().flatten();
    merged(groups.map(|group| strings(group).into_iter().map(str::to_owned).collect()).collect())
}

/// Groups that share a topic are one.
fn merged(groups: BTreeSet<BTreeSet<String>>) -> Groups {
    let mut merged: Groups = Vec::new();
    for mut group in groups {
        merged.retain_mut(|known| {
            let apart = known.is_disjoint(&group);
            if !apart {
                group.append(known);
            }
            apart
        });
        merged.push(group);
    }
    merged.sort();
    merged
}

fn our_internal_topics(golden: &Value, topology: &Topology) -> String {
    match plan(golden, topology) {
        Err(error) => error.to_string(),
        Ok(plan) => {
            let topics = plan.internal_topics.iter().map(|topic| {
                let enforced = topology
                    .repartition_topics
                    .values()
                    .find(|known| format!("{APPLICATION}-{}", known.name) == *topic.name)
                    .and_then(|known| known.partitions);
                format!("{} {enforced:?} {:?}", topic.name, topic.config)
            });
            topics.collect::<Vec<_>>().join("\n")
        }
    }
}

fn their_internal_topics(golden: &Value) -> String {
    let mut topics: BTreeMap<&str, String> = BTreeMap::new();
    for part in golden["subtopologies"].as_array().unwrap() {
        let reused = strings(&part["source_topics_used_as_changelog"]);
        let all = entries(&part["changelog_topics"]).chain(entries(&part["repartition_topics"]));
        for (name, topic) in all.filter(|(name, _)| !reused.contains(name)) {
            let config: BTreeMap<&str, &str> =
                entries(&topic["config"]).map(|(key, value)| (key, value.as_str().unwrap())).collect();
            topics.insert(name, format!("{name} {:?} {config:?}", topic["partitions"].as_i64()));
        }
    }
    topics.into_values().collect::<Vec<_>>().join("\n")
}
