//! Runs a user's [`Processor`]: the record's context while it works, its errors to the handler.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::types::{RecordContext, Timestamp};

use crate::error::{BoxError, NodeResult};
use crate::processor::{
    ConnectedStores, ErasedPush, Lifecycle, Outputs, ProcessingContext, Processor, ProcessorContext,
    Punctuation, Push, TaskBuilder, TaskContext,
};
use crate::record::Record;

/// A user processor as a node.
struct ProcessorNode<P, KIn, VIn, KOut, VOut> {
    name: Arc<str>,
    slot: usize,
    processor: P,
    stores: ConnectedStores,
    outputs: Outputs<KOut, VOut>,
    input: PhantomData<fn(KIn, VIn)>,
}

/// Makes the node of `processor` and registers it for init, punctuation and close.
pub(crate) fn make_processor<P, KIn, VIn, KOut, VOut>(
    builder: &mut TaskBuilder<'_>,
    name: Arc<str>,
    processor: P,
    stores: ConnectedStores,
    outputs: Outputs<KOut, VOut>,
) -> ErasedPush
where
    P: Processor<KIn, VIn, KOut, VOut> + 'static,
    KIn: 'static,
    VIn: 'static,
    KOut: 'static,
    VOut: 'static,
{
    let node = Rc::new(RefCell::new(ProcessorNode {
        name,
        slot: 0,
        processor,
        stores,
        outputs,
        input: PhantomData,
    }));
    let slot = builder.register(node.clone());
    node.borrow_mut().slot = slot;
    ErasedPush::new::<KIn, VIn>(Box::new(node))
}

impl<P, KIn, VIn, KOut, VOut> ProcessorNode<P, KIn, VIn, KOut, VOut>
where
    P: Processor<KIn, VIn, KOut, VOut>,
    KOut: 'static,
    VOut: 'static,
{
    /// Calls user code as this node. A failure of a node below wins over what user code made of it.
    fn call(
        &mut self,
        context: &mut TaskContext,
        work: impl FnOnce(&mut P, &mut ProcessorContext<'_, KOut, VOut>) -> Result<(), BoxError>,
    ) -> NodeResult {
        let outer = std::mem::replace(&mut context.node_slot, self.slot);
        let mut failed = Ok(());
        let result = work(
            &mut self.processor,
            &mut ProcessorContext {
                processing: ProcessingContext { task: context, stores: &self.stores },
                outputs: &mut self.outputs,
                failed: &mut failed,
            },
        );
        context.node_slot = outer;
        failed.map_err(|error| error.at(&self.name))?;
        result.map_err(|error| context.user_error(&self.name, error))
    }
}

impl<P, KIn, VIn, KOut, VOut> Push<KIn, VIn> for ProcessorNode<P, KIn, VIn, KOut, VOut>
where
    P: Processor<KIn, VIn, KOut, VOut>,
    KOut: 'static,
    VOut: 'static,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<KIn, VIn>) -> NodeResult {
        let timestamp = std::mem::replace(&mut context.record.timestamp, record.timestamp);
        let headers = std::mem::replace(&mut context.record.headers, record.headers.clone());
        let result = self.call(context, |processor, context| processor.process(context, record));
        context.record.timestamp = timestamp;
        context.record.headers = headers;
        context.settle(result)
    }
}

impl<P, KIn, VIn, KOut, VOut> Lifecycle for ProcessorNode<P, KIn, VIn, KOut, VOut>
where
    P: Processor<KIn, VIn, KOut, VOut>,
    KOut: 'static,
    VOut: 'static,
{
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call(context, |processor, context| processor.init(context))
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        let outer = std::mem::replace(&mut context.record, RecordContext::none(timestamp));
        let result =
            self.call(context, |processor, context| processor.punctuate(context, punctuation, timestamp));
        let result = context.settle(result);
        context.record = outer;
        result
    }

    fn close(&mut self, _context: &mut TaskContext) -> NodeResult {
        self.processor.close();
        Ok(())
    }
}
