//! Steps 4 and 5: the operators. Each takes typed records and pushes typed records; none knows the DSL, the
//! client or the clock.
//!
//! A table edge carries `Change<V>` as the value. No operator holds a borrow of a store while it pushes.

// What all operators share.
mod change_serde;
mod null_check;
mod nullable;
mod table_store;
mod updates;
mod value_getter;
// In.
mod source;
// Record by record.
mod branch;
mod filter;
mod flat_map;
mod flat_map_values;
mod for_each;
mod map;
mod map_values;
mod pass_through;
mod peek;
mod print;
mod select_key;
// User processors.
mod fixed_key;
mod process;
mod value_transformer;
// With state.
mod aggregate;
mod emit_on_close;
mod foreign_key;
mod grace_join;
mod join_store;
mod join_window;
mod pane_aggregate;
mod retry;
mod self_join;
mod session_aggregate;
mod sliding_aggregate;
mod stream_stream_join;
mod stream_table_join;
mod suppress;
mod table_aggregate;
mod table_filter;
mod table_join;
mod table_map_values;
mod table_repartition_map;
mod table_source;
mod table_transform_values;
mod to_stream;
mod window_aggregate;
mod window_rule;
// Out.
mod partitioner;
mod sink;
mod sink_serdes;

pub(crate) use aggregate::{Aggregate, Fold, FoldOption, Reduce, ReduceOption, StreamAggregate};
pub(crate) use branch::{BranchPredicate, BranchPredicates};
pub(crate) use change_serde::ChangeSerde;
pub(crate) use emit_on_close::{CloseRule, Closed, EmitOnClose, SessionEmission, WindowEmission};
pub(crate) use filter::{Filter, NullKeyFilter};
pub(crate) use fixed_key::FixedKeyAdapter;
pub use fixed_key::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord};
pub(crate) use flat_map::FlatMap;
pub(crate) use flat_map_values::FlatMapValues;
pub(crate) use for_each::ForEach;
pub(crate) use foreign_key::{
    AskAgain, ForeignTableJoin, Response, ResponseJoin, ResponseSerde, Subscription, SubscriptionJoin,
    SubscriptionReceive, SubscriptionSend, SubscriptionSerde, SubscriptionStore,
};
pub(crate) use grace_join::GraceJoin;
pub(crate) use join_store::JoinStore;
pub(crate) use join_window::JoinWindow;
pub(crate) use map::Map;
pub(crate) use map_values::MapValues;
pub(crate) use null_check::NullCheck;
pub(crate) use nullable::Nullable;
pub(crate) use pane_aggregate::PaneAggregate;
pub use partitioner::{PartitionChoice, PartitionOutcome, Partitioner};
pub(crate) use pass_through::PassThrough;
pub(crate) use peek::Peek;
pub(crate) use print::Print;
pub use print::Printed;
pub(crate) use process::make_processor;
pub(crate) use retry::{Retry, RetryBuffer, RetryEnd, RetryPolicy};
pub(crate) use select_key::SelectKey;
pub(crate) use self_join::SelfJoin;
pub(crate) use session_aggregate::{
    SessionAggregate, SessionFold, SessionFoldOption, SessionGetter, SessionReduce, SessionReduceOption,
    SessionStoreRef, SessionWindowAggregate,
};
pub(crate) use sink::{Destination, Sink, TopicExtractor};
pub(crate) use sink_serdes::SinkSerdes;
pub(crate) use sliding_aggregate::SlidingAggregate;
pub use source::TimestampExtractor;
pub(crate) use source::{CompositeSource, Source, Timestamps};
pub(crate) use stream_stream_join::{
    JoinOf, JoinTime, LeftSide, RightSide, SideWindows, StreamStreamJoin, Waiting,
};
pub(crate) use stream_table_join::{OwnKey, SelectTableKey, SelectedKey, StreamTableJoin};
pub(crate) use suppress::{
    BufferLimits, ChangeBufferRef, Suppress, SuppressGetter, SuppressMeters, WhenFull,
};
pub(crate) use table_aggregate::{AddSubtract, AddSubtractOption, Adjust, MergeRemove, TableAggregate};
pub(crate) use table_filter::{FilterGetter, TableFilter};
pub(crate) use table_join::{Needs, Side, TableJoinGetter, TableJoinMerge, TableTableJoin};
pub(crate) use table_map_values::{MapValuesGetter, TableMapValues};
pub(crate) use table_repartition_map::TableRepartitionMap;
pub(crate) use table_source::TableSource;
pub(crate) use table_store::{TablePut, TableStore, versioned_instance};
pub(crate) use table_transform_values::{TableTransformValues, TransformValuesGetter, TransformerNode};
pub(crate) use to_stream::ToStream;
pub(crate) use updates::{Updates, update_context};
pub(crate) use value_getter::{BoxGetter, GlobalGetter, ReadResult, RowRef, StoreGetter, ValueGetter};
pub use value_transformer::ValueTransformerWithKey;
pub(crate) use window_aggregate::{
    Count, EachWindow, WindowAggregate, WindowGetter, WindowReduceOption, WindowStoreRef,
};
pub(crate) use window_rule::WindowRule;
pub use window_rule::Windows;
