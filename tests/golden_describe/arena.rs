//! Rebuilds each recorded topology from its recorded nodes, without the DSL, and compares what follows from them:
//! sub-topologies, internal topics and the text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use streams_core::processor::TaskBuilder;
use streams_core::topology::{
    InternalTopic, SinkTopic, SourceTopic, StoreFactory, StoreKind, StoreSpec, TopicKind, Topology,
};

use super::golden::{APPLICATION, entries, strings, topic_defaults, topologies};

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
        let added = match node["type"].as_str().unwrap() {
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
        added.unwrap();
    }

    fn add_stores(&self, topology: &mut Topology) {
        let global: BTreeSet<&str> = strings(&self.golden["global_stores"]).into_iter().collect();
        let local = entries(&self.golden["stores"]).map(|(name, _)| name);
        for name in local.chain(global.iter().copied()) {
            let golden = &self.golden["stores"][name];
            let logging = golden["logging"].as_bool().unwrap_or(false);
            let changelog = self.golden["store_to_changelog"][name].as_str();
            let factory: StoreFactory = Arc::new(|_| panic!("made for its shape only"));
            let store = topology
                .add_store(StoreSpec {
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
                })
                .unwrap();
            for node in strings(&self.golden["node_insertion_order"]) {
                if strings(&self.nodes[node]["stores"]).contains(&name) {
                    topology.connect_processor_and_store(topology.find_node(node).unwrap(), store);
                }
            }
        }
    }
}

/// Recorded topologies that can be rebuilt: those without an error and without patterns.
fn rebuilt() -> Vec<(String, Value, Topology)> {
    topologies()
        .into_iter()
        .filter(|golden| golden["error"].is_null() && !golden["nodes"].to_string().contains("\"pattern\""))
        .map(|golden| (golden["name"].as_str().unwrap().to_owned(), Rebuilt::new(&golden).topology(), golden))
        .map(|(name, topology, golden)| (name, golden, topology))
        .collect()
}

#[test]
fn the_text_of_every_topology_is_kafka_streams() {
    let all = rebuilt();
    assert!(all.len() > 250, "only {} topologies", all.len());
    let different: Vec<String> = all
        .iter()
        .filter(|(_, golden, topology)| topology.describe().to_string() != golden["describe"])
        .map(|(name, golden, topology)| {
            format!(
                "{name}\n--- ours\n{}\n--- Kafka Streams\n{}",
                topology.describe(),
                golden["describe"].as_str().unwrap()
            )
        })
        .collect();
    assert!(different.is_empty(), "{} of {} differ, first: {}", different.len(), all.len(), different[0]);
}

#[test]
fn sub_topologies_are_kafka_streams() {
    for (name, golden, topology) in rebuilt() {
        let parts: Vec<_> = topology.subtopologies().into_iter().filter(|part| part.has_tasks()).collect();
        let expected = golden["subtopologies"].as_array().unwrap();
        assert_eq!(parts.len(), expected.len(), "{name}");
        for (part, expected) in parts.iter().zip(expected) {
            let full = |topics: &[SourceTopic]| -> BTreeSet<String> {
                topics.iter().map(|topic| topic.full_name(APPLICATION).to_string()).collect()
            };
            let set = |value: &Value| strings(value).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(u64::from(part.id), expected["id"].as_u64().unwrap(), "{name}");
            assert_eq!(full(&part.source_topics), set(&expected["source_topics"]), "{name}");
            assert_eq!(full(&part.sink_topics), set(&expected["sink_topics"]), "{name}");
            let stores: BTreeSet<String> =
                part.stores.iter().map(|store| topology.store(*store).name.to_string()).collect();
            assert_eq!(stores, set(&expected["state_stores"]), "{name}");
        }
    }
}

#[test]
fn internal_topics_are_kafka_streams() {
    for (name, golden, topology) in rebuilt() {
        let plan = topology
            .plan(APPLICATION, &|_| Some(2), &topic_defaults(&golden))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected: BTreeMap<&str, (TopicKind, &Value)> = BTreeMap::new();
        for part in golden["subtopologies"].as_array().unwrap() {
            let reused = strings(&part["source_topics_used_as_changelog"]);
            let changelogs = entries(&part["changelog_topics"]).filter(|(topic, _)| !reused.contains(topic));
            expected.extend(changelogs.map(|(topic, golden)| (topic, (TopicKind::Changelog, golden))));
            let repartition = entries(&part["repartition_topics"]);
            expected.extend(repartition.map(|(topic, golden)| (topic, (TopicKind::Repartition, golden))));
        }
        let ours: Vec<&str> = plan.internal_topics.iter().map(|topic| &*topic.name).collect();
        assert_eq!(ours, expected.keys().copied().collect::<Vec<_>>(), "{name}");
        for topic in &plan.internal_topics {
            let (kind, golden_topic) = expected[&*topic.name];
            assert_eq!(topic.kind, kind, "{name}: {}", topic.name);
            if let Some(partitions) = golden_topic["partitions"].as_i64() {
                assert_eq!(i64::from(topic.partitions), partitions, "{name}: {}", topic.name);
            }
            if is_key_value(&golden, &topic.name) {
                let config: BTreeMap<String, String> = entries(&golden_topic["config"])
                    .map(|(key, value)| (key.to_owned(), value.as_str().unwrap().to_owned()))
                    .collect();
                assert_eq!(topic.config, config, "{name}: {}", topic.name);
            }
        }
    }
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
