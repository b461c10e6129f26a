//! The compiled plan: nodes, stores and internal topics. The DSL writes it, the runtime reads it.

mod access;
mod builder;
mod copartition;
mod describe;
mod drawing;
mod error;
mod internal_topic;
mod java_order;
mod needs;
mod pattern;
mod plan;
mod plan_diff;
mod settings;
mod snapshot;
mod spec;
mod subtopology;
#[cfg(test)]
mod testing;
mod validate;

pub use access::{AccessOptions, Acl, AclOperation, AclResource};
pub use describe::{NodeDescription, NodeDescriptionKind, SubtopologyDescription, TopologyDescription};
pub use error::TopologyError;
pub use internal_topic::{
    PlannedTopic, TopicDefaults, changelog_topic_config, changelog_topic_name, internal_topic_name,
    repartition_topic_config,
};
pub(crate) use java_order::HashOrder;
pub use needs::TopicNeeds;
pub use pattern::SourcePattern;
pub use plan::{TopicCounts, TopicPlan};
pub use plan_diff::{PlanChange, PlanDiff, Severity};
pub use settings::BuiltWith;
pub use snapshot::{StoreSnapshot, SubtopologySnapshot, TopologySnapshot};
pub use spec::{
    InternalTopic, Node, NodeId, NodeKind, OffsetReset, OpenStore, ProcessorFactory, SinkFactory, SinkTopic,
    SourceFactory, SourceTopic, StoreFactory, StoreFormat, StoreId, StoreKind, StoreSpec, TopicKind,
    Topology,
};
pub use subtopology::SubTopology;
pub use validate::validate_name;
