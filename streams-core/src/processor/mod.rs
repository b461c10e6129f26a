//! What a node is: it takes a typed record and pushes typed records to its children.

mod context;
mod drops;
mod global_store;
mod metadata;
mod outbox;
mod outputs;
mod punctuation;
mod time_heap;
mod user;
mod wiring;
mod wrapper;

pub use context::{PartitionCounts, TaskContext};
pub use drops::{DropCounts, DropReason, Drops};
pub(crate) use global_store::SharedStore;
pub use global_store::{GlobalStore, GlobalStoreRef, Lend};
pub use metadata::ProcessorMetadata;
pub use outbox::{OutRecord, OutTopic, Outbox};
pub use outputs::{BoxPush, CopyRecord, Outputs, Push};
pub use punctuation::{Due, Punctuation, PunctuationType, Punctuations};
pub(crate) use time_heap::TimeHeap;
pub(crate) use user::connected_stores;
pub use user::{
    ConnectedStores, Downstream, Processor, ProcessorContext, ProcessorSupplier, SessionStoreRef, StoreRef,
    VersionedStoreRef, WindowStoreRef,
};
pub use wiring::{Child, ErasedPush, Lifecycle, SourceNode, StoreInstance, TaskBuilder};
pub use wrapper::{ProcessorWrapper, WrappedCall, WrappedProcessor};
