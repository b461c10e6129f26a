//! The optimizer: exactly Kafka Streams' rewrites, in its order.
//!
//! Takes the graph as the DSL recorded it and changes edges, never types: a rewrite that would need other types is a
//! fault of the topology.

use std::collections::HashMap;
use std::sync::Arc;

use super::graph::{Graph, GraphId, GraphKind, GraphNode, Repartition};
use super::options::TopologyConfig;

/// Rewrites the graph as `config` says.
pub(crate) fn optimize(graph: &mut Graph, config: &TopologyConfig) {
    merge_duplicate_sources(graph);
    if config.reuse_ktable_source_topics {
        reuse_source_topics(graph);
    }
    if config.merge_repartition_topics {
        if config.process_processvalue_fix {
            graph.tell_changes_of_processors();
        }
        merge_repartition_topics(graph);
    }
    if config.single_store_self_join {
        join_itself_on_one_store(graph);
    }
}

/// A join of a stream with itself needs the window of one side only.
fn join_itself_on_one_store(graph: &mut Graph) {
    for join in (0..graph.nodes.len()).map(GraphId) {
        let ([parent], GraphKind::StreamJoin(node)) = (&*graph.node(join).parents, &graph.node(join).kind)
        else {
            continue;
        };
        if !node.same_types {
            continue;
        }
        let (parent, other) = (*parent, node.other_windowed);
        graph.unlink(parent, other);
        if let GraphKind::StreamJoin(node) = &mut graph.node_mut(join).kind {
            node.self_join = true;
        }
    }
}

/// Sources of the same topics become one node: Kafka would give each record to one of them only.
fn merge_duplicate_sources(graph: &mut Graph) {
    let mut by_topic: HashMap<Arc<str>, GraphId> = HashMap::new();
    for id in graph.node(Graph::ROOT).children.clone() {
        let children = graph.node(id).children.clone();
        let GraphKind::Source { topics, pattern, parts, .. } = &mut graph.node_mut(id).kind else { continue };
        if let [part] = parts.as_mut_slice() {
            part.children = children;
        }
        let mut topics = topics.clone();
        // No topic has such a name: a pattern is the same source as the same pattern only.
        topics.extend(pattern.as_ref().map(|pattern| Arc::from(format!("/{}/", pattern.as_str()))));
        let main = topics.iter().find_map(|topic| by_topic.get(topic)).copied();
        if let Some(main) = main {
            merge_source(graph, main, id);
        }
        by_topic.extend(topics.into_iter().map(|topic| (topic, main.unwrap_or(id))));
    }
}

/// Moves the children of `other` to `main`, with the part of the source that reads for them.
fn merge_source(graph: &mut Graph, main: GraphId, other: GraphId) {
    let (
        GraphKind::Source { topics, reset, .. },
        GraphKind::Source { topics: topics2, reset: reset2, parts, .. },
    ) = (&graph.node(main).kind, &graph.node(other).kind)
    else {
        return;
    };
    let same = topics.len() == topics2.len() && topics.iter().all(|topic| topics2.contains(topic));
    let (one, two) = (graph.node(main).name.clone(), graph.node(other).name.clone());
    let fault = if !same {
        let both = topics.iter().filter(|topic| topics2.contains(topic));
        let both = both.map(|topic| format!("`{topic}`")).collect::<Vec<_>>().join(", ");
        Some(format!(
            "sources `{one}` and `{two}` both read {both}, but not all the same topics; read each topic once and merge \
             the streams"
        ))
    } else if reset != reset2 {
        Some(format!(
            "sources `{one}` and `{two}` read the same topics with different reset policies; give both the same"
        ))
    } else {
        None
    };
    let mut moved = parts.clone();
    let more: Vec<Arc<str>> = topics2.iter().filter(|topic| !topics.contains(topic)).cloned().collect();
    // After a fault as if they agreed: so it is reported once, and what hangs below is looked at.
    graph.faults.extend(fault);
    for child in graph.node(other).children.clone() {
        graph.unlink(other, child);
        if graph.node(main).children.contains(&child) {
            // A node below both gets each record once, as in Kafka Streams.
            moved.iter_mut().for_each(|part| part.children.retain(|own| *own != child));
        }
        graph.link(main, child);
    }
    if let GraphKind::Source { parts, topics, .. } = &mut graph.node_mut(main).kind {
        parts.extend(moved);
        topics.extend(more);
    }
    graph.unlink(Graph::ROOT, other);
}

fn reuse_source_topics(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if let GraphKind::TableSource(source) = &mut node.kind {
            source.reuse_topic = true;
        }
    }
}

/// Repartitions below one key-changing node, with no change of values between, become one right below it.
fn merge_repartition_topics(graph: &mut Graph) {
    anchor_at_merges(graph);
    for (anchor, replaced) in std::mem::take(&mut graph.key_changers) {
        let Some(first) = replaced.first() else { continue };
        let GraphKind::Repartition(first) = graph.node(*first).kind.clone() else { continue };
        let single = single_repartition(graph, anchor, first);
        for repartition in replaced {
            if let Err(fault) = replace_repartition(graph, anchor, repartition, single) {
                graph.faults.push(fault);
            }
        }
        graph.link(anchor, single);
    }
}

/// The one repartition that takes the place of others, under the topic name of the first.
fn single_repartition(graph: &mut Graph, anchor: GraphId, first: Repartition) -> GraphId {
    let mut names = graph.repartition_names(&first.names.topic, true);
    names.topic = first.names.topic.clone();
    let (priority, fork) = (graph.node(anchor).priority, graph.node(anchor).fork.clone());
    let name = names.source.clone();
    let kind = GraphKind::Repartition(Repartition { names, ..first });
    let mut node = GraphNode::new(name, kind, fork);
    node.priority = priority;
    graph.push(node)
}

/// On the way up from `node` to `above`: the node right below `above`.
fn way_up(graph: &Graph, node: GraphId, above: GraphId) -> Option<GraphId> {
    graph.find_upwards(node, &|graph, node| graph.node(node).parents.contains(&above))
}

/// Moves one repartition up: what was below `anchor` on the way to it is now below `single`.
fn replace_repartition(
    graph: &mut Graph,
    anchor: GraphId,
    replaced: GraphId,
    single: GraphId,
) -> Result<(), String> {
    let names = [anchor, replaced].map(|node| graph.node(node).name.clone());
    let Some(child) = way_up(graph, replaced, anchor) else {
        return Err(format!(
            "merge.repartition.topics cannot find the way from `{}` to repartition `{}`; build without this rule",
            names[0], names[1]
        ));
    };
    if let GraphKind::Repartition(repartition) = &graph.node(replaced).kind
        && graph.node(anchor).types.is_some_and(|types| types != repartition.makers.types)
    {
        return Err(format!(
            "merge.repartition.topics would move repartition `{}` up to `{}`, where records have other types; build \
             without this rule",
            names[1], names[0]
        ));
    }
    graph.link(single, child);
    graph.unlink(anchor, child);
    let (children, parents) = (graph.node(replaced).children.clone(), graph.node(replaced).parents.clone());
    for below in &children {
        for parent in &parents {
            graph.link(*parent, *below);
        }
    }
    for parent in &parents {
        graph.unlink(*parent, replaced);
    }
    for below in &children {
        graph.unlink(replaced, *below);
    }
    let (old, new) = (graph.node(replaced).name.clone(), graph.node(single).name.clone());
    for group in &mut graph.copartition {
        if group.contains(&old) {
            group.retain(|source| *source != old && *source != new);
            group.push(new.clone());
        }
    }
    Ok(())
}

/// Where streams meet after their keys changed, the repartition belongs below the meeting point.
fn anchor_at_merges(graph: &mut Graph) {
    let mut moved = Vec::new();
    let mut anchors = Vec::new();
    for merge in graph.merge_nodes.clone() {
        let mut repartitions: Vec<GraphId> = Vec::new();
        for (changer, below) in &graph.key_changers {
            let all_below_merge = below.iter().all(|node| way_up(graph, *node, merge).is_some());
            if all_below_merge && way_up(graph, merge, *changer).is_some() {
                for node in below {
                    if !repartitions.contains(node) {
                        repartitions.push(*node);
                    }
                }
                moved.push(*changer);
            }
        }
        anchors.push((merge, repartitions));
    }
    for (merge, repartitions) in anchors {
        match graph.key_changers.iter_mut().find(|(node, _)| *node == merge) {
            Some((_, below)) => *below = repartitions,
            None => graph.key_changers.push((merge, repartitions)),
        }
    }
    graph.key_changers.retain(|(node, _)| !moved.contains(node));
}

/// The repartitions that must let records without a key pass: those above a left join.
pub(crate) fn keeps_null_keys(graph: &Graph) -> Vec<bool> {
    let mut keeps = vec![None; graph.nodes.len()];
    let mut stack = vec![(Graph::ROOT, false)];
    while let Some((id, done)) = stack.pop() {
        let children = &graph.node(id).children;
        let known = |child: &GraphId| keeps.get(child.0).copied().flatten();
        if done || children.iter().all(|child| known(child).is_some()) {
            let any =
                children.iter().any(|child| graph.node(*child).keeps_null_keys || known(child) == Some(true));
            if let Some(slot) = keeps.get_mut(id.0) {
                *slot = Some(any);
            }
            continue;
        }
        stack.push((id, true));
        stack.extend(children.iter().filter(|child| known(child).is_none()).map(|child| (*child, false)));
    }
    keeps.into_iter().map(|keep| keep == Some(true)).collect()
}
