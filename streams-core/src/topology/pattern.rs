//! Pattern of topic names: what a source reads whose topics are not all known when the topology is built.
//!
//! In: names of topics that exist. Out: the topology with the topics that each pattern source reads now.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{NodeKind, SourceTopic, Topology, TopologyError};

/// Kafka's own topics, which no pattern matches (`exclude.internal.topics`).
const KAFKA_INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A regular expression that whole topic names are matched with, in the syntax of the `fancy-regex` crate: Java's, look-around
/// and back-references included.
#[derive(Clone)]
pub struct SourcePattern {
    text: Arc<str>,
    regex: fancy_regex::Regex,
}

impl SourcePattern {
    /// The pattern `text`.
    ///
    /// # Errors
    /// It is no regular expression; says why.
    pub fn new(text: &str) -> Result<Self, TopologyError> {
        match fancy_regex::Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(error) => {
                // It draws where; the last line says what.
                let error = error.to_string();
                let what = error.lines().last().map_or("", |line| line.trim_start_matches("error: "));
                Err(TopologyError::new(format!(
                    "the topic pattern `{text}` is no regular expression: {what}"
                )))
            }
        }
    }

    /// A pattern that no topic matches: stands where a faulty one was given.
    pub(crate) fn nothing() -> Option<Self> {
        let regex = fancy_regex::Regex::new("[^\\s\\S]").ok()?;
        Some(Self { text: "".into(), regex })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a topic of a cluster is one of those: all of its name matches, and it is not one that Kafka keeps for itself.
    pub(crate) fn takes(&self, topic: &str) -> bool {
        !KAFKA_INTERNAL.contains(&topic) && self.matches(topic)
    }

    /// Whether all of `topic` matches. A pattern that takes too many attempts on a name does not match it, with a warning.
    pub fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic).unwrap_or_else(|error| {
            tracing::warn!(topic, pattern = %self.text, "the topic is left out: {error}");
            false
        })
    }
}

impl fmt::Debug for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourcePattern({})", self.text)
    }
}

impl PartialEq for SourcePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SourcePattern {}

impl Topology {
    /// Whether a source reads topics by pattern.
    pub fn has_patterns(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, NodeKind::Source { pattern: Some(_), .. }))
    }

    /// The topology with the topics out of `existing` that its pattern sources read. Topics that a source names are not
    /// among them, nor Kafka's own and the internal ones of this application.
    ///
    /// # Errors
    /// A topic that two patterns match, as in Kafka Streams.
    pub fn resolve_patterns(&self, application_id: &str, existing: &[String]) -> Result<Self, TopologyError> {
        let mut taken: BTreeSet<Arc<str>> = self.named_topics().cloned().collect();
        let internal = self.internal_names(application_id);
        let mut resolved = self.clone();
        let mut faults = Vec::new();
        for node in &mut resolved.nodes {
            let NodeKind::Source { topics, pattern: Some(pattern), .. } = &mut node.kind else { continue };
            let free = existing.iter().filter(|name| !internal.contains(*name) && pattern.takes(name));
            let mut names: Vec<Arc<str>> = Vec::new();
            for name in free.filter(|name| !self.is_named(name)) {
                let name: Arc<str> = name.as_str().into();
                match taken.insert(name.clone()) {
                    true => names.push(name),
                    false => faults.push(format!(
                        "topic `{name}` matches the pattern `{}` of source `{}` and that of another source; make the \
                         patterns exclude each other",
                        pattern.as_str(),
                        node.name
                    )),
                }
            }
            names.sort();
            *topics = names.into_iter().map(|name| SourceTopic { name, internal: false }).collect();
        }
        if faults.is_empty() { Ok(resolved) } else { Err(TopologyError { faults }) }
    }

    /// Topics that sources name.
    fn named_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        let sources = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source { topics, pattern: None, .. } => Some(topics),
            NodeKind::Source { .. } | NodeKind::Processor { .. } | NodeKind::Sink { .. } => None,
        });
        sources.flatten().map(|topic| &topic.name)
    }

    fn is_named(&self, topic: &str) -> bool {
        self.named_topics().any(|name| &**name == topic)
    }

    fn internal_names(&self, application_id: &str) -> BTreeSet<String> {
        let repartition =
            self.repartition_topics.keys().map(|name| super::internal_topic_name(application_id, name));
        let changelogs =
            self.stores.iter().map(|store| super::changelog_topic_name(application_id, &store.name));
        repartition.chain(changelogs).collect()
    }

    /// Patterns that match a topic that another source names: Kafka Streams refuses them at build.
    pub(super) fn check_patterns(&self, faults: &mut Vec<String>) {
        for node in &self.nodes {
            let NodeKind::Source { pattern: Some(pattern), .. } = &node.kind else { continue };
            for topic in self.named_topics().filter(|topic| pattern.matches(topic)) {
                faults.push(format!(
                    "topic `{topic}` matches the pattern `{}` of source `{}` and is read by another source; make the \
                     pattern exclude it",
                    pattern.as_str(),
                    node.name
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SourcePattern;

    #[test]
    fn whole_names_match() {
        let pattern = SourcePattern::new("in-[0-9]+|other").unwrap();
        assert!(pattern.matches("in-12") && pattern.matches("other"));
        assert!(!pattern.matches("in-12x") && !pattern.matches("another"));
        let others = SourcePattern::new("(?!in-)(\\w)\\1.*").unwrap();
        assert!(others.matches("oops") && !others.matches("in-12") && !others.matches("abc"));
        assert!(SourcePattern::new("in(").unwrap_err().to_string().contains("`in(`"));
    }
}
