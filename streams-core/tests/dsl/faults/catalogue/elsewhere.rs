//! What cannot be said here, or is no fault of a topology.

use super::Here::{Elsewhere, Never, Type};
use super::Row;

pub(super) const ELSEWHERE: &[Row] = &[
    ("Windows: grace, difference, gap must not be negative", Type("`std::time::Duration` is never negative")),
    ("InternalTopologyBuilder: a sink cannot be a parent", Type("`add_sink` gives no `NodeRef`")),
    (
        "InternalTopologyBuilder: parent node is unknown (self-reference); cycles",
        Type(
            "a parent is a `NodeRef`, which only exists when the node does; an arena written by hand: topology/validate.rs",
        ),
    ),
    ("InternalTopologyBuilder: unrecognized reset format", Type("`OffsetReset` is an enum")),
    ("AutoOffsetReset: duration cannot be negative", Type("`std::time::Duration` is never negative")),
    ("Stores: retention, size, history cannot be negative", Type("`std::time::Duration` is never negative")),
    (
        "Materialized: store type with a pre-configured supplier",
        Type("there are no suppliers of bytes to configure"),
    ),
    ("*StoreBuilder: provided store must not be persistent", Type("stores are made from typed options")),
    (
        "Windowed serializers: inner class or window size missing or given twice",
        Type("windowed serdes are made from the inner serde and the size"),
    ),
    (
        "ApiUtils.checkSupplier: a new object each time",
        Type("`ProcessorSupplier::get` gives the processor away"),
    ),
    ("Suppressed: custom subclasses are not supported", Type("`Suppressed` is one struct")),
    (
        "InternalTopologyBuilder: applicationId hasn't been set",
        Type("the plan is made with an application id"),
    ),
    ("CopartitionedTopicsEnforcer: real counts differ", Elsewhere("topology/plan_tests.rs")),
    (
        "InternalTopicManager: internal topic exists with other counts",
        Elsewhere("runtime/tests/bad_input.rs"),
    ),
    (
        "InternalStreamsBuilder: null keyChangingChild",
        Never("a defect of Java: the rewrite finds its way here"),
    ),
    ("NullPointerException of arguments", Type("references are never null")),
    (
        "IllegalStateException of internal checks",
        Never("they say that Kafka Streams is wrong, not the topology"),
    ),
    (
        "InternalTopologyBuilder: a store that no processor uses",
        Never("allowed, as in Java: it is not made; a warning"),
    ),
];
