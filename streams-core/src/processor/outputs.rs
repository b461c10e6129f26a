//! The typed edge between two nodes: one virtual call a hop, no allocation; the thread says which node it is in.

use std::sync::Arc;

use super::{Child, TaskContext};
use crate::error::{NodeResult, TaskError};
use crate::metrics::Mark;
use crate::record::Record;

/// Takes records of one type. Table edges carry `Change<V>` as the value.
pub trait Push<K, V> {
    /// Processes one record to its end: when this returns, all children have seen what came of it.
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult;
}

/// A node, behind its input type.
pub type BoxPush<K, V> = Box<dyn Push<K, V>>;

/// How a record is copied for a second child. Present only where the stream was forked.
pub type CopyRecord<K, V> = fn(&Record<K, V>) -> Record<K, V>;

/// Who is at work while a record is at a child, and after it has come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The child.
    pub there: Mark,
    /// The node itself.
    pub back: Mark,
}

/// A child, and what the thread says of itself on the way there and back: two stores.
pub(crate) struct Edge<K, V> {
    child: BoxPush<K, V>,
    hop: Hop,
}

impl<K: 'static, V: 'static> Edge<K, V> {
    /// Types the child.
    pub(crate) fn new(child: Child) -> NodeResult<Self> {
        let Child { name, push, hop } = child;
        Ok(Self { child: push.typed::<K, V>(&name)?, hop })
    }
}

impl<K, V> Edge<K, V> {
    /// The child processes the record to its end.
    #[inline]
    pub(crate) fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        context.metrics.at_work().set(self.hop.there);
        let result = self.child.push(context, record);
        context.metrics.at_work().set(self.hop.back);
        result
    }
}

/// The children of a node, in the order in which they were added.
pub struct Outputs<K, V> {
    children: Vec<(Arc<str>, Edge<K, V>)>,
    copy: Option<CopyRecord<K, V>>,
}

impl<K: 'static, V: 'static> Outputs<K, V> {
    /// Types the children. `copy` is needed with more than one child.
    pub fn new(children: Vec<Child>, copy: Option<CopyRecord<K, V>>) -> NodeResult<Self> {
        // A plain loop: a chain of iterators would be compiled anew for each type of record.
        let mut typed = Vec::with_capacity(children.len());
        for child in children {
            typed.push((child.name.clone(), Edge::new(child)?));
        }
        Ok(Self { children: typed, copy })
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Sends `record` to every child, in order.
    #[inline]
    pub fn forward(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        match self.children.as_mut_slice() {
            [] => Ok(()),
            [(_, only)] => only.push(context, record),
            [first @ .., (_, last)] => {
                let Some(copy) = self.copy else { return Err(not_cloneable(context)) };
                for (_, child) in first {
                    child.push(context, copy(&record))?;
                }
                last.push(context, record)
            }
        }
    }

    /// Sends `record` to the child of this name.
    pub fn forward_to(&mut self, context: &mut TaskContext, name: &str, record: Record<K, V>) -> NodeResult {
        match self.children.iter_mut().find(|(child, _)| &**child == name) {
            Some((_, child)) => child.push(context, record),
            None => Err(context.wiring_error(&format!("there is no child node `{name}` to forward to"))),
        }
    }
}

#[cold]
fn not_cloneable(context: &TaskContext) -> Box<TaskError> {
    context.wiring_error("a node with several children whose records cannot be cloned")
}

impl<K: Clone, V: Clone> Outputs<K, V> {
    /// The copy function of a cloneable record type.
    pub fn copy_of(record: &Record<K, V>) -> Record<K, V> {
        record.clone()
    }
}
