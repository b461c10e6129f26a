//! `MockProcessorContext`: one processor under test, alone, on the context that it has in a task.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::engine::InMemoryEngine;
use streams_state::error::StateError;
use streams_state::types::{Headers, RecordContext, TaskId, Timestamp};

use crate::dsl::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, StoreBuilder};
use crate::error::{BoxError, NodeResult};
use crate::metrics::Mark;
use crate::processor::{
    Child, ConnectedStores, ErasedPush, Hop, Outputs, ProcessingContext, Processor, ProcessorContext,
    Punctuation, PunctuationType, Push, TaskContext,
};
use crate::record::Record;
use crate::topology::OpenStore;

/// Runs one processor alone: what it forwards is captured, its stores are in memory, and time stands where the test puts it.
/// Kafka Streams' `MockProcessorContext`. For more than one node see [`TopologyTestDriver`](super::TopologyTestDriver).
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::Stores;
/// use streams_core::error::BoxError;
/// use streams_core::processor::{Processor, ProcessorContext, Punctuation, PunctuationType};
/// use streams_core::record::Record;
/// use streams_core::testing::MockProcessorContext;
/// use streams_core::topic::Store;
///
/// const SUMS: Store<String, i64> = Store::new("sums");
///
/// /// Sums by key; large ones go to the child `large`, and all are forwarded every minute.
/// struct Sum;
///
/// impl Processor<String, i64, String, i64> for Sum {
///     fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
///         context.schedule(Duration::from_secs(60), PunctuationType::WallClockTime)?;
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///         record: Record<String, i64>,
///     ) -> Result<(), BoxError> {
///         let sums = context.store(&SUMS)?;
///         let sum = sums.borrow_mut().get(&record.key)?.map_or(0, |(sum, _)| *sum) + record.value;
///         sums.borrow_mut().put(&record.key, Some(sum), record.timestamp, context.record_context())?;
///         if sum > 100 {
///             context.forward_to("large", record.with_value(sum))?;
///             context.commit();
///         }
///         Ok(())
///     }
///
///     fn punctuate(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///         _: Punctuation,
///         at: i64,
///     ) -> Result<(), BoxError> {
///         let mut sums = Vec::new();
///         context.store(&SUMS)?.borrow_mut().for_each(&mut |key, sum, _| sums.push((key, *sum)))?;
///         Ok(sums.into_iter().try_for_each(|(key, sum)| context.forward(Record::new(key, sum, at)))?)
///     }
/// }
///
/// let mut context = MockProcessorContext::new().children(&["large"]);
/// context.add_store(Stores::key_value(&SUMS))?;
/// let mut sum = Sum;
/// sum.init(&mut context.context())?;
/// context.set_record_metadata("payments", 0, 17);
/// context.process(&mut sum, Record::new("ada".to_owned(), 90, 1_000))?;
/// assert!(context.forwarded().is_empty() && !context.commit_requested());
/// context.process(&mut sum, Record::new("ada".to_owned(), 20, 2_000))?;
/// assert_eq!(context.forwarded_to("large")[0].value, 110);
/// assert!(context.commit_requested());
/// context.advance_wall_clock(&mut sum, Duration::from_secs(60))?;
/// assert_eq!(context.forwarded()[0], Record::new("ada".to_owned(), 110, 60_000));
/// # Ok::<(), BoxError>(())
/// ```
pub struct MockProcessorContext<K, V> {
    task: TaskContext,
    stores: ConnectedStores,
    outputs: Outputs<K, V>,
    /// An error of `forward`.
    failed: NodeResult,
    /// What each child got; the first child has no name.
    got: Vec<(Arc<str>, Captured<K, V>)>,
}

type Captured<K, V> = Rc<RefCell<Vec<Record<K, V>>>>;

/// A child that keeps what it gets.
struct Capture<K, V>(Captured<K, V>);

impl<K, V> Push<K, V> for Capture<K, V> {
    fn push(&mut self, _: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        self.0.borrow_mut().push(record);
        Ok(())
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Default for MockProcessorContext<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + 'static, V: Clone + 'static> MockProcessorContext<K, V> {
    /// A context of task 0_0 of the application `test`, at wall-clock time 0, before the first record, without stores.
    pub fn new() -> Self {
        let task = TaskId { subtopology: 0, partition: 0 };
        let context = TaskContext::new(task, "test".into(), Rc::new(|_| Ok(Some(1))));
        let (got, outputs) = captures(&[""]);
        Self { task: context, stores: Vec::new(), outputs, failed: Ok(()), got }
    }

    /// The names of the child nodes, for processors that forward to one of them.
    #[must_use]
    pub fn children(mut self, names: &[&str]) -> Self {
        let all: Vec<&str> = [""].iter().chain(names).copied().collect();
        (self.got, self.outputs) = captures(&all);
        self
    }

    /// Connects a store, which is made in memory and logs nothing.
    ///
    /// # Errors
    /// The store cannot be made.
    pub fn add_store(&mut self, store: StoreBuilder) -> Result<(), StateError> {
        let spec = store.into_spec();
        let instance = (spec.factory)(OpenStore {
            name: spec.name.clone(),
            engine: Box::new(InMemoryEngine::new()),
            in_memory: spec.in_memory,
            headers: false,
            caching: false,
            logging: false,
            tier_max_bytes: 1 << 24,
            buffer_max_bytes: 1 << 24,
            changelog: spec.serde_topic("test"),
        })?;
        self.stores.push((spec.name, instance.typed));
        Ok(())
    }

    /// What the processor gets in hand: for its `init` and `punctuate`, and to look at its stores.
    pub fn context(&mut self) -> ProcessorContext<'_, K, V> {
        ProcessorContext {
            processing: ProcessingContext { task: &mut self.task, stores: &self.stores },
            outputs: &mut self.outputs,
            failed: &mut self.failed,
        }
    }

    /// The same for a [`FixedKeyProcessor`].
    pub fn fixed_key_context(&mut self) -> FixedKeyContext<'_, K, V> {
        FixedKeyContext::of(self.context())
    }

    /// Gives `record` to `processor`, as a task does: its time and headers are those of the context meanwhile, and stream time
    /// advances. No schedule is called.
    ///
    /// # Errors
    /// What the processor said.
    pub fn process<KIn, VIn>(
        &mut self,
        processor: &mut impl Processor<KIn, VIn, K, V>,
        record: Record<KIn, VIn>,
    ) -> Result<(), BoxError> {
        self.take_record(record.timestamp, &record.headers);
        processor.process(&mut self.context(), record)
    }

    /// As [`process`](Self::process), for a processor of values.
    ///
    /// # Errors
    /// What the processor said.
    pub fn process_values<VIn>(
        &mut self,
        processor: &mut impl FixedKeyProcessor<K, VIn, V>,
        record: Record<K, VIn>,
    ) -> Result<(), BoxError> {
        self.take_record(record.timestamp, &record.headers);
        processor.process(&mut self.fixed_key_context(), FixedKeyRecord::of(record))
    }

    fn take_record(&mut self, timestamp: Timestamp, headers: &Headers) {
        (self.task.record.timestamp, self.task.record.headers) = (timestamp, headers.clone());
        self.task.stream_time = self.task.stream_time.max(timestamp);
    }

    /// Where the next records come from.
    pub fn set_record_metadata(&mut self, topic: &str, partition: i32, offset: i64) {
        self.task.topics = vec![topic.into()];
        self.task.task.partition = partition;
        self.task.record = RecordContext { offset, source: 0, ..self.task.record.clone() };
    }

    /// Moves stream time to `time`, if it is later, and calls the schedules of `processor` that are due.
    ///
    /// # Errors
    /// What the processor said.
    pub fn advance_stream_time<KIn, VIn>(
        &mut self,
        processor: &mut impl Processor<KIn, VIn, K, V>,
        time: Timestamp,
    ) -> Result<(), BoxError> {
        self.task.stream_time = self.task.stream_time.max(time);
        let (kind, time) = (PunctuationType::StreamTime, self.task.stream_time);
        self.punctuate(kind, time, |context, due| processor.punctuate(context, due, time))
    }

    /// Moves the wall clock by `by`, and calls the schedules of `processor` that are due.
    ///
    /// # Errors
    /// What the processor said.
    pub fn advance_wall_clock<KIn, VIn>(
        &mut self,
        processor: &mut impl Processor<KIn, VIn, K, V>,
        by: std::time::Duration,
    ) -> Result<(), BoxError> {
        self.task.wall_time += by.as_millis() as Timestamp;
        let (kind, time) = (PunctuationType::WallClockTime, self.task.wall_time);
        self.punctuate(kind, time, |context, due| processor.punctuate(context, due, time))
    }

    /// Calls `work` for each schedule of `kind` that is due at `time`, once, with the context that a punctuation has.
    fn punctuate(
        &mut self,
        kind: PunctuationType,
        time: Timestamp,
        mut work: impl FnMut(&mut ProcessorContext<'_, K, V>, Punctuation) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        while let Some(due) = self.task.punctuations.next_due(kind, time) {
            let record = std::mem::replace(&mut self.task.record, RecordContext::none(time));
            let worked = work(&mut self.context(), due.punctuation);
            self.task.record = record;
            self.task.punctuations.done(kind, due, time);
            worked?;
        }
        Ok(())
    }

    /// The records that were forwarded to all children, in order.
    pub fn forwarded(&self) -> Vec<Record<K, V>> {
        self.forwarded_to("")
    }

    /// The records that the child of this name got, in order: those forwarded to it, and those forwarded to all. Empty for a
    /// name that [`children`](Self::children) did not say.
    pub fn forwarded_to(&self, child: &str) -> Vec<Record<K, V>> {
        let got = self.got.iter().find(|(name, _)| &**name == child);
        got.map(|(_, records)| records.borrow().clone()).unwrap_or_default()
    }

    /// Forgets what was forwarded.
    pub fn reset_forwards(&mut self) {
        self.got.iter().for_each(|(_, records)| records.borrow_mut().clear());
    }

    /// Whether a commit was asked for since the start or the last reset.
    pub fn commit_requested(&self) -> bool {
        self.task.commit_requested
    }

    /// Forgets that a commit was asked for.
    pub fn reset_commit(&mut self) {
        self.task.commit_requested = false;
    }
}

/// Children of these names that keep what they get.
fn captures<K: Clone + 'static, V: Clone + 'static>(
    names: &[&str],
) -> (Vec<(Arc<str>, Captured<K, V>)>, Outputs<K, V>) {
    let got: Vec<(Arc<str>, Captured<K, V>)> =
        names.iter().map(|name| ((*name).into(), Captured::default())).collect();
    let children = got.iter().map(|(name, records)| Child {
        name: name.clone(),
        push: ErasedPush::new::<K, V>(Box::new(Capture(records.clone()))),
        hop: Hop { there: Mark::NONE, back: Mark::NONE },
    });
    match Outputs::new(children.collect(), Some(Outputs::copy_of)) {
        Ok(outputs) => (got, outputs),
        Err(_) => unreachable!("the children were made for the same types"),
    }
}
