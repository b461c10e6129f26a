//! The plan as a drawing: Mermaid for a README, DOT for Graphviz.
//!
//! In: the description of a topology. Out: text. Topics and stores are drawn as well as nodes, so that the way from one
//! sub-topology over an internal topic into the next one can be followed.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::describe::{NodeDescription, NodeDescriptionKind, SubtopologyDescription, TopologyDescription};

/// What is drawn beside nodes.
#[derive(Clone, Copy)]
enum Shape {
    Topic,
    Store,
}

/// One of the two languages.
trait Language {
    fn open(&self, out: &mut String);
    fn open_part(&self, out: &mut String, id: u32, title: &str);
    fn node(&self, out: &mut String, name: &str);
    fn close_part(&self, out: &mut String);
    fn shape(&self, out: &mut String, shape: Shape, name: &str);
    fn arrow(&self, out: &mut String, from: &str, to: &str);
    /// A node and a store that it uses.
    fn line(&self, out: &mut String, node: &str, store: &str);
    fn close(&self, out: &mut String);
}

struct Mermaid;
struct Dot;

impl TopologyDescription {
    /// The plan as a [Mermaid](https://mermaid.js.org) flowchart, which GitHub draws in Markdown.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to(&OUT);
    /// let drawing = builder.build()?.describe().to_mermaid();
    /// assert!(drawing.starts_with("flowchart TD\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_mermaid(&self) -> String {
        self.draw(&Mermaid)
    }

    /// The plan in Graphviz' DOT language: `dot -Tsvg plan.dot > plan.svg`.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).to(&OUT);
    /// let drawing = builder.build()?.describe().to_dot();
    /// assert!(drawing.starts_with("digraph topology {\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_dot(&self) -> String {
        self.draw(&Dot)
    }

    fn draw(&self, language: &dyn Language) -> String {
        let mut out = String::new();
        language.open(&mut out);
        let (mut topics, mut stores) = (BTreeSet::new(), BTreeSet::new());
        for part in &self.subtopologies {
            language.open_part(&mut out, part.id, &part.title());
            part.nodes.iter().for_each(|node| language.node(&mut out, &node.name));
            language.close_part(&mut out);
            for node in &part.nodes {
                topics.extend(node.topics());
                stores.extend(node.stores());
            }
        }
        topics.iter().for_each(|topic| language.shape(&mut out, Shape::Topic, topic));
        stores.iter().for_each(|store| language.shape(&mut out, Shape::Store, store));
        for node in self.subtopologies.iter().flat_map(|part| &part.nodes) {
            node.draw_edges(language, &mut out);
        }
        language.close(&mut out);
        out
    }
}

impl SubtopologyDescription {
    fn title(&self) -> String {
        match self.global {
            true => format!("global store {}", self.id),
            false => format!("sub-topology {}", self.id),
        }
    }
}

impl NodeDescription {
    fn topics(&self) -> Vec<&str> {
        match &self.kind {
            NodeDescriptionKind::Source(topics) => topics.iter().map(|topic| &**topic).collect(),
            NodeDescriptionKind::Sink(topic)
            | NodeDescriptionKind::DynamicSink(topic)
            | NodeDescriptionKind::PatternSource(topic) => vec![topic],
            NodeDescriptionKind::Processor(_) => Vec::new(),
        }
    }

    fn stores(&self) -> Vec<&str> {
        match &self.kind {
            NodeDescriptionKind::Processor(stores) => stores.iter().map(|store| &**store).collect(),
            NodeDescriptionKind::Source(_)
            | NodeDescriptionKind::PatternSource(_)
            | NodeDescriptionKind::Sink(_)
            | NodeDescriptionKind::DynamicSink(_) => Vec::new(),
        }
    }

    fn draw_edges(&self, language: &dyn Language, out: &mut String) {
        let (own, topics) = (node_id(&self.name), self.topics());
        let topics = topics.iter().map(|topic| shape_id(Shape::Topic, topic));
        match &self.kind {
            NodeDescriptionKind::Source(_) | NodeDescriptionKind::PatternSource(_) => {
                topics.for_each(|topic| language.arrow(out, &topic, &own));
            }
            NodeDescriptionKind::Sink(_) | NodeDescriptionKind::DynamicSink(_) => {
                topics.for_each(|topic| language.arrow(out, &own, &topic));
            }
            NodeDescriptionKind::Processor(_) => {}
        }
        for store in self.stores() {
            language.line(out, &own, &shape_id(Shape::Store, store));
        }
        self.successors.iter().for_each(|below| language.arrow(out, &own, &node_id(below)));
    }
}

fn node_id(name: &str) -> String {
    format!("node_{}", plain(name))
}

fn shape_id(shape: Shape, name: &str) -> String {
    match shape {
        Shape::Topic => format!("topic_{}", plain(name)),
        Shape::Store => format!("store_{}", plain(name)),
    }
}

/// `name` as both languages take it in an identifier. Different names stay different: what is not a letter or digit becomes its
/// number.
fn plain(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, character| {
        match character {
            letter if letter.is_ascii_alphanumeric() => text.push(letter),
            '-' => text.push('_'),
            other => text.push_str(&format!("_{:x}_", u32::from(other))),
        }
        text
    })
}

fn quoted(text: &str) -> String {
    text.replace('"', "'")
}

// Writing into a String cannot fail, so the results of `writeln!` are dropped.
impl Language for Mermaid {
    fn open(&self, out: &mut String) {
        out.push_str("flowchart TD\n");
    }

    fn open_part(&self, out: &mut String, id: u32, title: &str) {
        let _ = writeln!(out, "  subgraph part_{id} [\"{}\"]", quoted(title));
    }

    fn node(&self, out: &mut String, name: &str) {
        let _ = writeln!(out, "    {}[\"{}\"]", node_id(name), quoted(name));
    }

    fn close_part(&self, out: &mut String) {
        out.push_str("  end\n");
    }

    fn shape(&self, out: &mut String, shape: Shape, name: &str) {
        let (open, close) = match shape {
            Shape::Topic => ("([", "])"),
            Shape::Store => ("[(", ")]"),
        };
        let _ = writeln!(out, "  {}{open}\"{}\"{close}", shape_id(shape, name), quoted(name));
    }

    fn arrow(&self, out: &mut String, from: &str, to: &str) {
        let _ = writeln!(out, "  {from} --> {to}");
    }

    fn line(&self, out: &mut String, node: &str, store: &str) {
        let _ = writeln!(out, "  {node} --- {store}");
    }

    fn close(&self, _out: &mut String) {}
}

impl Language for Dot {
    fn open(&self, out: &mut String) {
        out.push_str("digraph topology {\n  node [shape=box];\n");
    }

    fn open_part(&self, out: &mut String, id: u32, title: &str) {
        let _ = writeln!(out, "  subgraph cluster_{id} {{\n    label=\"{}\";", quoted(title));
    }

    fn node(&self, out: &mut String, name: &str) {
        let _ = writeln!(out, "    {} [label=\"{}\"];", node_id(name), quoted(name));
    }

    fn close_part(&self, out: &mut String) {
        out.push_str("  }\n");
    }

    fn shape(&self, out: &mut String, shape: Shape, name: &str) {
        let drawn = match shape {
            Shape::Topic => "oval",
            Shape::Store => "cylinder",
        };
        let _ = writeln!(out, "  {} [shape={drawn}, label=\"{}\"];", shape_id(shape, name), quoted(name));
    }

    fn arrow(&self, out: &mut String, from: &str, to: &str) {
        let _ = writeln!(out, "  {from} -> {to};");
    }

    fn line(&self, out: &mut String, node: &str, store: &str) {
        let _ = writeln!(out, "  {node} -> {store} [dir=none];");
    }

    fn close(&self, out: &mut String) {
        out.push_str("}\n");
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::testing::Sketch;

    fn description() -> super::TopologyDescription {
        Sketch::new().source("a", &["in.1"]).processor("p", &["a"]).store("s", &["p"]).topology().describe()
    }

    #[test]
    fn draws_topics_nodes_and_stores_in_mermaid() {
        let expected = "flowchart TD\n  subgraph part_0 [\"sub-topology 0\"]\n    node_a[\"a\"]\n    \
                        node_p[\"p\"]\n  end\n  topic_in_2e_1([\"in.1\"])\n  store_s[(\"s\")]\n  \
                        topic_in_2e_1 --> node_a\n  node_a --> node_p\n  node_p --- store_s\n";
        assert_eq!(description().to_mermaid(), expected);
    }

    #[test]
    fn draws_topics_nodes_and_stores_in_dot() {
        let drawing = description().to_dot();
        assert!(drawing.contains("store_s [shape=cylinder, label=\"s\"];"), "{drawing}");
        assert!(drawing.contains("node_p -> store_s [dir=none];"), "{drawing}");
        assert!(drawing.ends_with("}\n"), "{drawing}");
    }
}
