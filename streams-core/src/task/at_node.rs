//! A node that the task calls outside of records: the thread says that it is in it meanwhile.

use std::cell::RefCell;
use std::rc::Rc;

use streams_state::types::Timestamp;

use super::LifecycleNode;
use crate::error::NodeResult;
use crate::metrics::Mark;
use crate::processor::{Lifecycle, Punctuation, TaskContext};

/// Stands around a node where its task calls it.
pub(super) struct AtNode {
    mark: Mark,
    node: LifecycleNode,
}

impl AtNode {
    /// `node`, whose mark this is.
    pub(super) fn around(mark: Mark, node: LifecycleNode) -> LifecycleNode {
        Rc::new(RefCell::new(Self { mark, node }))
    }

    fn call<T>(
        &mut self,
        context: &mut TaskContext,
        work: impl FnOnce(&mut dyn Lifecycle, &mut TaskContext) -> NodeResult<T>,
    ) -> NodeResult<T> {
        let outer = context.metrics.at_work().get();
        context.metrics.at_work().set(self.mark);
        let result = work(&mut *self.node.borrow_mut(), context);
        context.metrics.at_work().set(outer);
        result
    }
}

impl Lifecycle for AtNode {
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call(context, |node, context| node.init(context))
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        self.call(context, |node, context| node.punctuate(context, punctuation, timestamp))
    }

    fn flush_cache(&mut self, context: &mut TaskContext, max: usize) -> NodeResult<bool> {
        self.call(context, |node, context| node.flush_cache(context, max))
    }

    fn close(&mut self, context: &mut TaskContext) -> NodeResult {
        self.call(context, |node, context| node.close(context))
    }
}
