//! What a node is: it takes a typed record and pushes typed records to its children.

mod amount;
mod context;
mod drops;
mod failures;
mod global_reads;
mod global_store;
mod handled;
mod metadata;
mod outbox;
mod outputs;
mod processing_context;
mod punctuation;
mod record_tracer;
mod time_heap;
mod user;
mod wiring;
mod wrapper;

pub use amount::Amount;
pub use context::{PartitionCounts, TaskContext};
pub use drops::{DropCounts, DropReason, Drops};
pub(crate) use failures::{Attempt, FailedAttempt};
pub use global_reads::{
    GlobalSessionStoreRef, GlobalStoreRef, GlobalStoreView, GlobalVersionedStoreRef, GlobalWindowStoreRef,
};
pub(crate) use global_store::SharedStore;
pub use global_store::{GlobalStore, Lend};
pub use handled::{HandledFailure, HandledFailures};
pub use metadata::ProcessorMetadata;
pub use outbox::{OutRecord, OutTopic, Outbox, Writer};
pub(crate) use outputs::Edge;
pub use outputs::{BoxPush, CopyRecord, Hop, Outputs, Push};
pub(crate) use processing_context::connected_stores;
pub use processing_context::{
    ConnectedStores, ProcessingContext, SessionStoreRef, StoreRef, VersionedStoreRef, WindowStoreRef,
};
pub use punctuation::{Due, Punctuation, PunctuationType, Punctuations};
pub(crate) use record_tracer::TracedSource;
pub use record_tracer::{RecordTracer, SpanIds};
pub(crate) use time_heap::TimeHeap;
pub use user::{Downstream, Processor, ProcessorContext, ProcessorSupplier};
pub use wiring::{Child, ErasedPush, Lifecycle, SourceNode, StoreInstance, TaskBuilder};
pub(crate) use wrapper::wrap_processor;
pub use wrapper::{ProcessorWrapper, WrappedCall, WrappedProcessor};
