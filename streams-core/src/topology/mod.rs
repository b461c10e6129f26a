//! The compiled plan: nodes, stores and internal topics. The DSL writes it, the runtime reads it.

mod builder;
mod error;
mod spec;

pub use error::TopologyError;
pub use spec::{
    InternalTopic, Node, NodeId, NodeKind, OffsetReset, OpenStore, ProcessorFactory, SinkFactory, SinkTopic,
    SourceFactory, SourceTopic, StoreFactory, StoreId, StoreKind, StoreSpec, TopicKind, Topology,
};
