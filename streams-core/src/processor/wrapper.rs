//! Processor wrapper: code of yours around every processor of a topology, the DSL's own included.
//!
//! In: a processor's name, once for each task. Out: what stands around it there. Sources, sinks and the processors that feed
//! global stores are not wrapped, as in Kafka Streams (`processor.wrapper.class`).

use std::any::Any;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};

use super::{BoxPush, Downstream, Push, TaskContext};
use crate::error::{BoxError, NodeResult};
use crate::record::Record;

/// Wraps the processors of a topology: to trace, to measure, to change or to replace them. Kafka Streams' `ProcessorWrapper`; any
/// `Fn(&str) -> Option<Box<dyn WrappedProcessor>>` is one.
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use streams_core::{dsl::StreamsBuilder, error::BoxError, testing::TopologyTestDriver, topic::Topic};
/// # use streams_core::processor::{WrappedCall, WrappedProcessor};
/// const IN: Topic<String, i64> = Topic::new("in");
/// const OUT: Topic<String, i64> = Topic::new("out");
///
/// /// Writes down what a processor gets.
/// struct Trace(String, Arc<Mutex<Vec<String>>>);
///
/// impl WrappedProcessor for Trace {
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
/// assert_eq!(*seen.lock().unwrap(), ["double got Some(1)", "large got Some(2)"]);
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

/// Stands around one processor of one task. Made with the task, dropped with it.
pub trait WrappedProcessor {
    /// A record comes: [`WrappedCall::proceed`] hands it to the processor; without it the processor never sees it. An error
    /// goes to the processing exception handler, as one of the processor.
    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError>;
}

/// A record on its way into a wrapped processor.
pub struct WrappedCall<'a> {
    call: &'a mut dyn Call,
    context: &'a mut TaskContext,
    /// An error of the processor or below: kept here, because user code may swallow what `proceed` returns.
    failed: NodeResult,
}

impl WrappedCall<'_> {
    /// Key of the record, if it is of type `K` and the record was not handed over yet.
    pub fn key<K: 'static>(&self) -> Option<&K> {
        self.call.key()?.downcast_ref()
    }

    /// Value of the record, likewise. At processors of tables it is a [`Change`](crate::types::Change).
    pub fn value<V: 'static>(&self) -> Option<&V> {
        self.call.value()?.downcast_ref()
    }

    /// Value of the record, to change it before the processor gets it.
    pub fn value_mut<V: 'static>(&mut self) -> Option<&mut V> {
        self.call.value_mut()?.downcast_mut()
    }

    /// Event time of the record, ms since the epoch; `None` after it was handed over.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.call.timestamp()
    }

    /// Headers of the record; `None` after it was handed over.
    pub fn headers(&self) -> Option<&Headers> {
        self.call.headers()
    }

    /// Where the record in work came from: topic (none in a punctuation), partition and offset.
    pub fn record_metadata(&self) -> Option<(&str, i32, i64)> {
        self.context.record_metadata()
    }

    /// Hands the record to the processor; when it returns, it and all nodes below are done with it. Does nothing the second time.
    pub fn proceed(&mut self) -> Result<(), Downstream> {
        match self.call.proceed(self.context) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.failed = Err(error);
                Err(Downstream)
            }
        }
    }
}

/// A call whose record types are not named.
trait Call {
    fn key(&self) -> Option<&dyn Any>;
    fn value(&self) -> Option<&dyn Any>;
    fn value_mut(&mut self) -> Option<&mut dyn Any>;
    fn timestamp(&self) -> Option<Timestamp>;
    fn headers(&self) -> Option<&Headers>;
    fn proceed(&mut self, context: &mut TaskContext) -> NodeResult;
}

struct TypedCall<'a, K, V> {
    record: Option<Record<K, V>>,
    processor: &'a mut BoxPush<K, V>,
}

impl<K: 'static, V: 'static> Call for TypedCall<'_, K, V> {
    fn key(&self) -> Option<&dyn Any> {
        self.record.as_ref().map(|record| &record.key as &dyn Any)
    }

    fn value(&self) -> Option<&dyn Any> {
        self.record.as_ref().map(|record| &record.value as &dyn Any)
    }

    fn value_mut(&mut self) -> Option<&mut dyn Any> {
        self.record.as_mut().map(|record| &mut record.value as &mut dyn Any)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.record.as_ref().map(|record| record.timestamp)
    }

    fn headers(&self) -> Option<&Headers> {
        self.record.as_ref().map(|record| &record.headers)
    }

    fn proceed(&mut self, context: &mut TaskContext) -> NodeResult {
        match self.record.take() {
            Some(record) => self.processor.push(context, record),
            None => Ok(()),
        }
    }
}

/// A processor with its wrapper around it.
pub(super) struct Wrapped<K, V> {
    pub(super) name: Arc<str>,
    pub(super) processor: BoxPush<K, V>,
    pub(super) wrapper: Box<dyn WrappedProcessor>,
}

impl<K: 'static, V: 'static> Push<K, V> for Wrapped<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let mut typed = TypedCall { record: Some(record), processor: &mut self.processor };
        let mut call = WrappedCall { call: &mut typed, context, failed: Ok(()) };
        let result = self.wrapper.process(&mut call);
        call.failed?;
        match result {
            Ok(()) => Ok(()),
            Err(error) => context.processing_failed(&self.name, error),
        }
    }
}
