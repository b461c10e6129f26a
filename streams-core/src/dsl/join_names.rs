//! What the nodes and stores of a stream-stream join are called, counted as Kafka Streams does.

use std::sync::Arc;

use super::graph::Graph;
use super::names;
use super::stream_joined::StreamJoined;
use super::window_store_supplier::WindowStoreSupplier;

/// Whose records without a partner give a result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct JoinKind {
    pub(super) left: bool,
    pub(super) right: bool,
}

pub(super) const INNER: JoinKind = JoinKind { left: false, right: false };
pub(super) const LEFT: JoinKind = JoinKind { left: true, right: false };
pub(super) const OUTER: JoinKind = JoinKind { left: true, right: true };

/// Names of a join's nodes and stores, in the order in which Kafka Streams counts.
pub(super) struct JoinNames {
    pub(super) this_windowed: Arc<str>,
    pub(super) other_windowed: Arc<str>,
    pub(super) this: Arc<str>,
    pub(super) other: Arc<str>,
    pub(super) merge: Arc<str>,
    pub(super) this_store: Arc<str>,
    pub(super) other_store: Arc<str>,
    pub(super) waiting_store: Arc<str>,
}

impl JoinNames {
    /// Names of a join; `name` is the user's for its nodes. Uses up five numbers.
    pub(super) fn new<K, L, R>(
        graph: &mut Graph,
        kind: JoinKind,
        joined: &StreamJoined<K, L, R>,
        name: &Option<String>,
    ) -> Self {
        let this_suffix = if kind.right { "-outer-this-join" } else { "-this-join" };
        let other_suffix = if kind.left { "-outer-other-join" } else { "-other-join" };
        let this_windowed = graph.name_with_suffix_or(name, "-this-windowed", names::WINDOWED);
        let other_windowed = graph.name_with_suffix_or(name, "-other-windowed", names::WINDOWED);
        let this = graph.new_processor_name(if kind.right { names::OUTER_THIS } else { names::JOIN_THIS });
        let other = graph.new_processor_name(if kind.left { names::OUTER_OTHER } else { names::JOIN_OTHER });
        let merge = graph.name_with_suffix_or(name, "-merge", names::MERGE);
        let mut node_name = |generated: &Arc<str>, suffix: &str| -> Arc<str> {
            match name {
                Some(name) => {
                    let name = format!("{name}{suffix}");
                    graph.check_name(&name);
                    name.into()
                }
                None => generated.clone(),
            }
        };
        let (this_node, other_node) = (node_name(&this, this_suffix), node_name(&other, other_suffix));
        let store = |own: &Option<WindowStoreSupplier>, generated: &Arc<str>, suffix: &str| -> Arc<str> {
            match (own, &joined.store_name) {
                (Some(own), _) => own.name.clone(),
                (None, Some(base)) => format!("{base}{suffix}-store").into(),
                (None, None) => format!("{generated}-store").into(),
            }
        };
        // Kafka Streams names the store of waiting records after the number of the left one.
        let digits = this.rsplit('-').next().unwrap_or_default();
        let suffix = if kind.right { "-outer-shared-join" } else { "-left-shared-join" };
        let waiting_store = match (&joined.this_supplier, &joined.store_name) {
            (Some(own), _) => format!("{}{suffix}-store", own.name),
            (None, Some(base)) => format!("{base}{suffix}-store"),
            (None, None) => format!("{}{digits}-store", names::OUTER_SHARED),
        };
        JoinNames {
            this_store: store(&joined.this_supplier, &this, this_suffix),
            other_store: store(&joined.other_supplier, &other, other_suffix),
            waiting_store: waiting_store.into(),
            this_windowed,
            other_windowed,
            this: this_node,
            other: other_node,
            merge,
        }
    }
}
