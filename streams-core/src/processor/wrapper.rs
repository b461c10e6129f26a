//! Processor wrapper: code of yours around every processor of a topology, the DSL's own included.
//!
//! In: a processor's name, once for each task. Out: what stands around it there: around its init, its records, its schedules and its
//! close. Sources, sinks and the processors that feed global stores are not wrapped, as in Kafka Streams
//! (`processor.wrapper.class`).

use std::any::Any;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};

use super::{
    BoxPush, ConnectedStores, Downstream, ErasedPush, Lifecycle, ProcessingContext, Punctuation, Push,
    TaskBuilder, TaskContext,
};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
use crate::record::Record;

/// Wraps the processors of a topology: to trace, to measure, to change or to replace them. Kafka Streams' `ProcessorWrapper`; any
/// `Fn(&str) -> Option<Box<dyn WrappedProcessor>>` is one. A wrapper may use the stores of its processor, and more that
/// [`Topology::add_state_store`](crate::topology::Topology::add_state_store) connects to it by name.
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use streams_core::{dsl::StreamsBuilder, error::BoxError, testing::TopologyTestDriver, topic::Topic};
/// # use streams_core::processor::{WrappedCall, WrappedProcessor};
/// const IN: Topic<String, i64> = Topic::new("in");
/// const OUT: Topic<String, i64> = Topic::new("out");
///
/// /// Writes down where a processor works, and what it gets.
/// struct Trace(String, Arc<Mutex<Vec<String>>>);
///
/// impl WrappedProcessor for Trace {
///     fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
///         self.1.lock().unwrap().push(format!("{} in {}", self.0, call.task_id()));
///         Ok(call.proceed()?)
///     }
///
///     fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
///         self.1.lock().unwrap().push(format!("{} got {:?}", self.0, call.value::<i64>()));
///         Ok(call.proceed()?)
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// builder.stream(&IN).named("double").map_values(|value| value * 2).named("large").filter(|_, value| *value > 2).to(&OUT);
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let mut topology = builder.build()?;
/// topology.wrap_processors({
///     let seen = seen.clone();
///     move |name: &str| Some(Box::new(Trace(name.to_owned(), seen.clone())) as Box<dyn WrappedProcessor>)
/// });
///
/// let driver = TopologyTestDriver::new(topology)?;
/// driver.input(&IN).pipe("a", 1);
/// assert_eq!(*seen.lock().unwrap(), ["double in 0_0", "large in 0_0", "double got Some(1)", "large got Some(2)"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProcessorWrapper: Send + Sync + 'static {
    /// What stands around `processor` in a task that is being made; `None` leaves it as it is.
    fn wrap(&self, processor: &str) -> Option<Box<dyn WrappedProcessor>>;
}

impl<F> ProcessorWrapper for F
where
    F: Fn(&str) -> Option<Box<dyn WrappedProcessor>> + Send + Sync + 'static,
{
    fn wrap(&self, processor: &str) -> Option<Box<dyn WrappedProcessor>> {
        self(processor)
    }
}

/// Stands around one processor of one task. Made with the task, dropped with it. What it does not implement proceeds: the processor
/// works as if nobody stood around it.
pub trait WrappedProcessor {
    /// Once per task, before the first record: [`WrappedCall::proceed`] calls the processor's own `init`. Schedules that are
    /// made here are the wrapper's own. An error stops the task.
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        Ok(call.proceed()?)
    }

    /// A record comes: [`WrappedCall::proceed`] hands it to the processor; without it the processor never sees it. An error
    /// goes to the processing exception handler, as one of the processor.
    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        Ok(call.proceed()?)
    }

    /// A schedule is due at `timestamp`: one of the processor's, which [`WrappedCall::proceed`] calls, or one of the wrapper's own,
    /// of which the processor is not told. An error goes to the processing exception handler.
    fn punctuate(
        &mut self,
        call: &mut WrappedCall<'_>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(call.proceed()?)
    }

    /// Once, before the task goes away: [`WrappedCall::proceed`] closes the processor.
    fn close(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        Ok(call.proceed()?)
    }
}

/// A call on its way into a wrapped processor, with a record in it if it is one to `process`; and all that the processor's
/// [`ProcessingContext`] gives: its stores, schedules, metadata, commits. A wrapper forwards nothing; what the processor forwards is
/// what the wrappers of the nodes below get.
pub struct WrappedCall<'a> {
    call: &'a mut dyn Call,
    processing: ProcessingContext<'a>,
    /// An error of the processor or below: kept here, because user code may swallow what `proceed` returns.
    failed: NodeResult,
}

impl<'a> Deref for WrappedCall<'a> {
    type Target = ProcessingContext<'a>;

    fn deref(&self) -> &ProcessingContext<'a> {
        &self.processing
    }
}

impl<'a> DerefMut for WrappedCall<'a> {
    fn deref_mut(&mut self) -> &mut ProcessingContext<'a> {
        &mut self.processing
    }
}

impl WrappedCall<'_> {
    /// Key of the record, if it is of type `K` and the record was not handed over yet.
    pub fn key<K: 'static>(&self) -> Option<&K> {
        self.call.record()?.key.downcast_ref()
    }

    /// Value of the record, likewise. At processors of tables it is a [`Change`](crate::types::Change).
    pub fn value<V: 'static>(&self) -> Option<&V> {
        self.call.record()?.value.downcast_ref()
    }

    /// Value of the record, to change it before the processor gets it.
    pub fn value_mut<V: 'static>(&mut self) -> Option<&mut V> {
        self.call.record_mut()?.value.downcast_mut()
    }

    /// Event time of the record, ms since the epoch; `None` after it was handed over.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.call.record().map(|record| record.timestamp)
    }

    /// Event time of the record, to change it.
    pub fn timestamp_mut(&mut self) -> Option<&mut Timestamp> {
        self.call.record_mut().map(|record| record.timestamp)
    }

    /// Headers of the record; `None` after it was handed over.
    pub fn headers(&self) -> Option<&Headers> {
        self.call.record().map(|record| record.headers)
    }

    /// Headers of the record, to change them.
    pub fn headers_mut(&mut self) -> Option<&mut Headers> {
        self.call.record_mut().map(|record| record.headers)
    }

    /// Lets the processor do what it was called for: a record is handed to it, and when this returns, it and all nodes below are done
    /// with it. Does nothing the second time, nor for a schedule of the wrapper's own.
    pub fn proceed(&mut self) -> Result<(), Downstream> {
        match self.call.proceed(self.processing.task) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.failed = Err(error);
                Err(Downstream)
            }
        }
    }
}

/// The record of a call, to read.
struct RecordView<'r> {
    key: &'r dyn Any,
    value: &'r dyn Any,
    timestamp: Timestamp,
    headers: &'r Headers,
}

/// The record of a call, to change. Its key stays: it says in which partition the record is.
struct RecordViewMut<'r> {
    value: &'r mut dyn Any,
    timestamp: &'r mut Timestamp,
    headers: &'r mut Headers,
}

/// A call whose record types, if there is a record, are not named.
trait Call {
    fn record(&self) -> Option<RecordView<'_>> {
        None
    }

    fn record_mut(&mut self) -> Option<RecordViewMut<'_>> {
        None
    }

    fn proceed(&mut self, context: &mut TaskContext) -> NodeResult;
}

/// A record comes.
struct ProcessCall<'p, K, V> {
    record: Option<Record<K, V>>,
    processor: &'p mut BoxPush<K, V>,
}

impl<K: 'static, V: 'static> Call for ProcessCall<'_, K, V> {
    fn record(&self) -> Option<RecordView<'_>> {
        let Record { key, value, timestamp, headers } = self.record.as_ref()?;
        Some(RecordView { key, value, timestamp: *timestamp, headers })
    }

    fn record_mut(&mut self) -> Option<RecordViewMut<'_>> {
        let Record { value, timestamp, headers, .. } = self.record.as_mut()?;
        Some(RecordViewMut { value, timestamp, headers })
    }

    fn proceed(&mut self, context: &mut TaskContext) -> NodeResult {
        match self.record.take() {
            Some(record) => self.processor.push(context, record),
            None => Ok(()),
        }
    }
}

/// A call without a record.
struct OtherCall<F>(Option<F>);

impl<F: FnOnce(&mut TaskContext) -> NodeResult> Call for OtherCall<F> {
    fn proceed(&mut self, context: &mut TaskContext) -> NodeResult {
        match self.0.take() {
            Some(work) => work(context),
            None => Ok(()),
        }
    }
}

/// A node that the task calls outside of records, and its slot.
type Slotted = (usize, Rc<RefCell<dyn Lifecycle>>);

/// A wrapper as a node with schedules of its own: what the task calls in place of the processor's.
pub(super) struct Around {
    name: Arc<str>,
    slot: usize,
    wrapper: Box<dyn WrappedProcessor>,
    stores: ConnectedStores,
    inside: Vec<Slotted>,
}

impl Around {
    /// Calls the wrapper. A failure of the processor or below wins over what the wrapper made of it.
    fn call(
        &mut self,
        context: &mut TaskContext,
        call: &mut dyn Call,
        work: impl FnOnce(&mut dyn WrappedProcessor, &mut WrappedCall<'_>) -> Result<(), BoxError>,
    ) -> NodeResult<Result<(), BoxError>> {
        let outer = std::mem::replace(&mut context.node_slot, self.slot);
        let processing = ProcessingContext { task: context, stores: &self.stores };
        let mut call = WrappedCall { call, processing, failed: Ok(()) };
        let result = work(&mut *self.wrapper, &mut call);
        let WrappedCall { failed, processing, .. } = call;
        processing.task.node_slot = outer;
        failed.map(|()| result)
    }

    /// Calls the wrapper, which proceeds with `each` of the nodes inside.
    fn call_once(
        &mut self,
        context: &mut TaskContext,
        each: impl Fn(&mut dyn Lifecycle, &mut TaskContext) -> NodeResult,
        work: impl FnOnce(&mut dyn WrappedProcessor, &mut WrappedCall<'_>) -> Result<(), BoxError>,
    ) -> NodeResult {
        let inside = self.inside.clone();
        let mut call = OtherCall(Some(|context: &mut TaskContext| {
            inside.iter().try_for_each(|(slot, node)| {
                context.node_slot = *slot;
                each(&mut *node.borrow_mut(), context)
            })
        }));
        let result = self.call(context, &mut call, work)?;
        result.map_err(|error| context.error(&self.name, TaskErrorCause::Processing(error)))
    }

    /// A schedule is due: `call` proceeds with it, if it is the processor's.
    fn call_punctuate(
        &mut self,
        context: &mut TaskContext,
        call: &mut dyn Call,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        let result =
            self.call(context, call, |wrapper, call| wrapper.punctuate(call, punctuation, timestamp))?;
        result.or_else(|error| context.processing_failed(&self.name, error))
    }
}

impl Lifecycle for Around {
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call_once(context, |node, context| node.init(context), |wrapper, call| wrapper.init(call))
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        let mut own = OtherCall(None::<fn(&mut TaskContext) -> NodeResult>);
        self.call_punctuate(context, &mut own, punctuation, timestamp)
    }

    fn close(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call_once(context, |node, context| node.close(context), |wrapper, call| wrapper.close(call))
    }
}

/// A node that is wrapped, where the task calls it outside of records: its init and close are the wrapper's to call.
struct Inside {
    around: Rc<RefCell<Around>>,
    node: Rc<RefCell<dyn Lifecycle>>,
}

impl Lifecycle for Inside {
    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        let node = &self.node;
        let mut call = OtherCall(Some(|context: &mut TaskContext| {
            node.borrow_mut().punctuate(context, punctuation, timestamp)
        }));
        self.around.borrow_mut().call_punctuate(context, &mut call, punctuation, timestamp)
    }
}

/// Puts `wrapper` around the processor `name`, which is made: it takes records with `push`, registered the slots from `first` on, and
/// uses `stores`.
pub(crate) fn wrap_processor(
    builder: &mut TaskBuilder<'_>,
    name: Arc<str>,
    wrapper: Box<dyn WrappedProcessor>,
    stores: ConnectedStores,
    first: usize,
    push: ErasedPush,
) -> ErasedPush {
    let registered = builder.lifecycle.iter().enumerate().skip(first);
    let inside = registered.map(|(slot, node)| (slot, node.clone())).collect();
    let around =
        Rc::new(RefCell::new(Around { name, slot: builder.lifecycle.len(), wrapper, stores, inside }));
    for node in builder.lifecycle.iter_mut().skip(first) {
        *node = Rc::new(RefCell::new(Inside { around: around.clone(), node: node.clone() }));
    }
    builder.register(around.clone());
    push.wrapped(around)
}

/// A processor with its wrapper around it.
pub(super) struct Wrapped<K, V> {
    pub(super) processor: BoxPush<K, V>,
    pub(super) around: Rc<RefCell<Around>>,
}

impl<K: 'static, V: 'static> Push<K, V> for Wrapped<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let timestamp = std::mem::replace(&mut context.record.timestamp, record.timestamp);
        let headers = std::mem::replace(&mut context.record.headers, record.headers.clone());
        let mut call = ProcessCall { record: Some(record), processor: &mut self.processor };
        let mut around = self.around.borrow_mut();
        let result = around.call(context, &mut call, |wrapper, call| wrapper.process(call));
        context.record.timestamp = timestamp;
        context.record.headers = headers;
        result?.or_else(|error| context.processing_failed(&around.name, error))
    }
}
