//! Sources that read by pattern, in a driver: a topic that is seen for the first time joins the source whose pattern it matches.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::topology::{NodeKind, SourceTopic, Topology, TopologyError};

/// The patterns of a topology, and which topics were compared with them.
pub(super) struct PatternTopics {
    topology: Topology,
    application_id: String,
    seen: BTreeSet<Arc<str>>,
}

impl PatternTopics {
    /// The patterns of `topology`, and the topology to make a task of: the text of each pattern stands in it as if it were a
    /// topic, so that the task has a queue, of which each topic that matches gets a copy. `None`: there are no patterns.
    pub(super) fn new(topology: &Topology, application_id: &str) -> Option<(Self, Topology)> {
        let mut stood_in = Some(topology).filter(|topology| topology.has_patterns())?.clone();
        for node in &mut stood_in.nodes {
            if let NodeKind::Source { topics, pattern: Some(pattern), .. } = &mut node.kind {
                *topics = vec![SourceTopic { name: pattern.as_str().into(), internal: false }];
            }
        }
        let (topology, application_id) = (topology.clone(), application_id.to_owned());
        Some((Self { topology, application_id, seen: BTreeSet::new() }, stood_in))
    }

    /// The text of the pattern that `topic` matches, if it does and comes for the first time.
    ///
    /// # Errors
    /// It matches two.
    pub(super) fn first_match(&mut self, topic: &Arc<str>) -> Result<Option<Arc<str>>, TopologyError> {
        if !self.seen.insert(topic.clone()) {
            return Ok(None);
        }
        let resolved = self.topology.resolve_patterns(&self.application_id, &[topic.to_string()])?;
        Ok(resolved.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Source { topics, pattern: Some(pattern), .. } if !topics.is_empty() => {
                Some(pattern.as_str().into())
            }
            NodeKind::Source { .. } | NodeKind::Processor { .. } | NodeKind::Sink { .. } => None,
        }))
    }
}
