//! Rebuilds a recorded topology from its recorded nodes, without the DSL, and compares what follows from them: sub-topologies,
//! internal topics and the text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use streams_core::processor::TaskBuilder;
use streams_core::topology::{
    InternalTopic, SinkTopic, SourceTopic, StoreFactory, StoreKind, StoreSpec, TopicKind, TopicPlan, Topology,
};

use super::catalogue::{our_parts, plan, their_parts};
use super::program::{entries, strings};

const PREFIX: &str = "app-";

struct Rebuilt<'a> {
    golden: &'a Value,
    repartition: BTreeMap<&'a str, &'a Value>,
    nodes: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Rebuilt<'a> {
    fn new(golden: &'a Value) -> Self {
        let parts = golden["subtopologies"].as_array().unwrap();
        let repartition = parts
            .iter()
            .flat_map(|part| entries(&part["repartition_topics"]))
            .map(|(name, topic)| (name.strip_prefix(PREFIX).unwrap(), topic));
        let groups = golden["nodes"].as_array().unwrap();
        let nodes = groups.iter().flat_map(|group| entries(&group["nodes"]));
        Self { golden, repartition: repartition.collect(), nodes: nodes.collect() }
    }

    fn topology(&self) -> Topology {
        let mut topology = Topology::new();
        for (name, topic) in &self.repartition {
            let partitions = topic["partitions"].as_i64().map(|count| count as i32);
            topology.add_repartition_topic(InternalTopic { name: (*name).into(), partitions });
        }
        for name in strings(&self.golden["node_insertion_order"]) {
            self.add_node(&mut topology, name);
        }
        self.add_stores(&mut topology);
        topology
    }

    /// A list of names as given for a node of the Processor API.
    fn given(&self, node: &str, list: &str) -> Option<Vec<&'a str>> {
        let mut steps = self.golden["steps"].as_array().into_iter().flatten();
        let given = steps.find(|step| step["name"] == node && step[list].is_array());
        given.map(|step| strings(&step[list]))
    }

    /// Parents as given, or in printed order where the steps do not tell.
    fn parents(&self, name: &str) -> Vec<&'a str> {
        if let Some(given) = self.given(name, "parents") {
            return given;
        }
        let text = self.golden["describe"].as_str().unwrap();
        let node = text.split("\n    ").skip_while(|line| !line.contains(&format!(": {name} ("))).skip(1);
        let above =
            node.take_while(|line| line.starts_with("  ")).find_map(|line| line.strip_prefix("  <-- "));
        above.map(|names| names.lines().next().unwrap_or("").split(", ").collect()).unwrap_or_default()
    }

    fn internal(&self, topic: &str) -> bool {
        self.repartition.contains_key(topic)
    }

    fn add_node(&self, topology: &mut Topology, name: &str) {
        let node = self.nodes[name];
        let parents: Vec<_> =
            self.parents(name).into_iter().map(|parent| topology.find_node(parent).unwrap()).collect();
        let cannot_run = |builder: &TaskBuilder<'_>| builder.context.wiring_error("made for its shape only");
        match node["type"].as_str().unwrap() {
            "source" => {
                let topics = self
                    .given(name, "topics")
                    .unwrap_or_else(|| strings(&node["topics"]))
                    .into_iter()
                    .map(|topic| SourceTopic { name: topic.into(), internal: self.internal(topic) })
                    .collect();
                topology.add_source_node(
                    name,
                    topics,
                    None,
                    Arc::new(move |builder, _| Err(cannot_run(builder))),
                )
            }
            "processor" => topology.add_processor_node(
                name,
                &parents,
                &[],
                Arc::new(move |builder, _| Err(cannot_run(builder))),
            ),
            "sink" => {
                let topic = match node["topic"].as_str() {
                    Some(topic) => SinkTopic::Static { name: topic.into(), internal: self.internal(topic) },
                    None => SinkTopic::Dynamic("Extractor".into()),
                };
                topology.add_sink_node(
                    name,
                    &parents,
                    topic,
                    Arc::new(move |builder| Err(cannot_run(builder))),
                )
            }
            other => panic!("a node of type {other}"),
        };
    }

    fn add_stores(&self, topology: &mut Topology) {
        let global: BTreeSet<&str> = strings(&self.golden["global_stores"]).into_iter().collect();
        let local = entries(&self.golden["stores"]).map(|(name, _)| name);
        for name in local.chain(global.iter().copied()) {
            let golden = &self.golden["stores"][name];
            let logging = golden["logging"].as_bool().unwrap_or(false);
            let changelog = self.golden["store_to_changelog"][name].as_str();
            let factory: StoreFactory = Arc::new(|_| panic!("made for its shape only"));
            let store = topology.add_store(StoreSpec {
                name: name.into(),
                kind: StoreKind::TimestampedKeyValue,
                in_memory: false,
                logging,
                caching: false,
                changelog_config: BTreeMap::new(),
                source_topic: changelog.filter(|_| !logging).map(Arc::from),
                global: global.contains(name),
                processors: Vec::new(),
                fault: None,
                format: streams_core::topology::StoreFormat::Own,
                factory,
            });
            for node in strings(&self.golden["node_insertion_order"]) {
                if strings(&self.nodes[node]["stores"]).contains(&name) {
                    topology.connect_processor_and_store(topology.find_node(node).unwrap(), store);
                }
            }
        }
    }
}

/// What differs between a recorded topology and the one rebuilt from its nodes. Nothing where Kafka Streams refused the
/// program, or where a node reads a pattern.
pub(super) fn differences(golden: &Value) -> Vec<String> {
    if !golden["error"].is_null() || golden["nodes"].to_string().contains("\"pattern\"") {
        return Vec::new();
    }
    let topology = Rebuilt::new(golden).topology();
    let mut differences = Vec::new();
    let mut compare = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            differences.push(format!("{what}\n--- ours\n{ours}\n--- Kafka Streams\n{theirs}"));
        }
    };
    compare(
        "description",
        sorted(&topology.describe().to_string()),
        sorted(golden["describe"].as_str().unwrap()),
    );
    compare("sub-topologies", our_parts(&topology), their_parts(golden));
    match plan(golden, &topology) {
        Ok(plan) => {
            compare("internal topics", our_internal_topics(golden, &plan), their_internal_topics(golden));
        }
        Err(error) => compare("plan", error.to_string(), String::new()),
    }
    differences
}

/// A description without its order, which follows the order in which nodes and stores were connected: that is not recorded.
fn sorted(description: &str) -> String {
    let words = |line: &str| -> Vec<String> {
        let mut words: Vec<String> = line
            .split([' ', ',', '[', ']', '(', ')'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        words.sort();
        words
    };
    // A node is three lines: itself, its children, its parents.
    let mut nodes: Vec<String> = description
        .split("\n    ")
        .fold(Vec::new(), |mut nodes: Vec<Vec<String>>, line| {
            match nodes.last_mut().filter(|_| line.starts_with("  ")) {
                Some(node) => node.push(words(line).join(" ")),
                None => nodes.push(vec![words(line).join(" ")]),
            }
            nodes
        })
        .into_iter()
        .map(|node| node.join("\n  "))
        .collect();
    nodes.sort();
    nodes.join("\n")
}

fn our_internal_topics(golden: &Value, plan: &TopicPlan) -> String {
    let listed = plan.internal_topics.iter().map(|topic| {
        let partitions = given_partitions(golden, &topic.name).map(|_| i64::from(topic.partitions));
        let config = is_key_value(golden, &topic.name).then_some(&topic.config);
        format!("{:?} {} {partitions:?} {config:?}", topic.kind, topic.name)
    });
    listed.collect::<Vec<_>>().join("\n")
}

fn their_internal_topics(golden: &Value) -> String {
    let mut expected: BTreeMap<&str, (TopicKind, &Value)> = BTreeMap::new();
    for part in golden["subtopologies"].as_array().unwrap() {
        let reused = strings(&part["source_topics_used_as_changelog"]);
        let changelogs = entries(&part["changelog_topics"]).filter(|(topic, _)| !reused.contains(topic));
        expected.extend(changelogs.map(|(topic, golden)| (topic, (TopicKind::Changelog, golden))));
        let repartition = entries(&part["repartition_topics"]);
        expected.extend(repartition.map(|(topic, golden)| (topic, (TopicKind::Repartition, golden))));
    }
    let listed = expected.into_iter().map(|(name, (kind, topic))| {
        let config: BTreeMap<&str, &str> =
            entries(&topic["config"]).map(|(key, value)| (key, value.as_str().unwrap())).collect();
        let config = is_key_value(golden, name).then_some(config);
        format!("{kind:?} {name} {:?} {config:?}", given_partitions(golden, name))
    });
    listed.collect::<Vec<_>>().join("\n")
}

/// The number of partitions that an internal topic was given.
fn given_partitions(golden: &Value, topic: &str) -> Option<i64> {
    let parts = golden["subtopologies"].as_array().into_iter().flatten();
    let mut all =
        parts.flat_map(|part| entries(&part["changelog_topics"]).chain(entries(&part["repartition_topics"])));
    all.find(|(name, _)| *name == topic).and_then(|(_, golden)| golden["partitions"].as_i64())
}

/// Whether `topic` is not the changelog of a windowed or versioned store, or of one with settings of its own (which
/// the recorded nodes do not tell).
fn is_key_value(golden: &Value, topic: &str) -> bool {
    let of_topic = entries(&golden["store_to_changelog"]).find(|(_, changelog)| *changelog == topic);
    let own_settings = golden["steps"].to_string().contains("\"cfg\"");
    of_topic.is_none_or(|(store, _)| {
        let store = &golden["stores"][store];
        !own_settings && store["window"] == false && store["versioned"] == false
    })
}
