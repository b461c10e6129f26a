//! Builds every recorded program that this library can express, and compares all that was recorded of it. What it
//! cannot express is counted and printed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use streams_core::topology::{NodeId, SourceTopic, StoreSpec, Topology, TopologyError};

use super::golden::{APPLICATION, Unsupported, entries, strings, topic_defaults, topologies};
use super::{dsl_steps, processor_steps};

/// At least so many programs can be expressed; raise it with the operators.
const SUPPORTED: usize = 183;

/// What became of one program.
pub(crate) enum Outcome {
    /// Built, and all that was recorded is equal.
    Equal,
    /// Refused, as by Kafka Streams.
    Refused,
    /// Needs this, which the library does not have.
    Unsupported(String),
    /// Differs so.
    Different(String),
}

/// How many programs of this repository's catalogue may need what the library does not have.
pub(crate) fn unsupported_allowed(programs: usize) -> usize {
    programs.saturating_sub(SUPPORTED)
}

/// Builds one recorded program and compares.
pub(crate) fn compare(golden: &Value) -> Outcome {
    let built = match golden["api"].as_str() {
        Some("processor") => processor_steps::build(golden),
        _ => dsl_steps::build(golden),
    };
    match (built, golden["error_message"].as_str()) {
        (Err(Unsupported(what)), _) => Outcome::Unsupported(what),
        (Ok(Err(_)), Some(_)) => Outcome::Refused,
        (Ok(Ok(_)), Some(message)) => Outcome::Different(format!("built, but Kafka Streams says: {message}")),
        (Ok(Err(error)), None) => Outcome::Different(error.to_string()),
        (Ok(Ok(topology)), None) => match differences(golden, &topology) {
            differences if differences.is_empty() => Outcome::Equal,
            differences => Outcome::Different(differences.join("\n")),
        },
    }
}

#[test]
fn every_program_gives_the_topology_of_kafka_streams() {
    let mut unsupported: BTreeMap<String, usize> = BTreeMap::new();
    let (mut equal, mut refused, mut different) = (0, 0, Vec::new());
    let all = topologies();
    for golden in &all {
        match compare(golden) {
            Outcome::Equal => equal += 1,
            Outcome::Refused => refused += 1,
            Outcome::Unsupported(what) => *unsupported.entry(what).or_default() += 1,
            Outcome::Different(how) => different.push(format!("{}: {how}", golden["name"])),
        }
    }
    let skipped: usize = unsupported.values().sum();
    println!(
        "{} programs: {equal} equal, {refused} refused as by Kafka Streams, {skipped} unsupported: {unsupported:?}",
        all.len()
    );
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n\n"));
    let allowed = unsupported_allowed(all.len());
    assert!(skipped <= allowed, "only {equal} + {refused} of {} are supported", all.len());
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
    compare("co-partition groups", our_groups(topology), their_groups(golden));
    compare("internal topics", our_internal_topics(golden, topology), their_internal_topics(golden));
    differences
}

fn full(topology: &Topology, topic: &str) -> String {
    let internal = topology.repartition_topics.contains_key(topic);
    SourceTopic { name: topic.into(), internal }.full_name(APPLICATION).to_string()
}

fn our_parts(topology: &Topology) -> String {
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

fn their_parts(golden: &Value) -> String {
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

fn our_groups(topology: &Topology) -> String {
    let groups = topology.copartition_groups.iter();
    let full: BTreeSet<BTreeSet<String>> =
        groups.map(|group| group.iter().map(|topic| full(topology, topic)).collect()).collect();
    merged(full)
}

fn their_groups(golden: &Value) -> String {
    let groups = golden["copartition_groups"].as_array().unwrap().iter();
    merged(groups.map(|group| strings(group).into_iter().map(str::to_owned).collect()).collect())
}

/// Groups that share a topic are one.
fn merged(groups: BTreeSet<BTreeSet<String>>) -> String {
    let mut merged: Vec<BTreeSet<String>> = Vec::new();
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
    format!("{merged:?}")
}

fn our_internal_topics(golden: &Value, topology: &Topology) -> String {
    // The catalogue knows no topics of users; one that is joined with a fixed number of partitions must have as many.
    let fixed = topology.repartition_topics.values().filter_map(|topic| topic.partitions);
    let plans = std::iter::once(2)
        .chain(fixed)
        .map(|count| topology.plan(APPLICATION, &|_| Some(count), &topic_defaults(golden)));
    let plan = plans.reduce(|plan, next| plan.or(next));
    match plan.unwrap_or_else(|| Err(TopologyError::new("no plan"))) {
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
