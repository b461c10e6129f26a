//! Each record goes to the first branch whose predicate says yes, else to the default branch, else nowhere.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{BoxError, NodeResult};
use crate::processor::{Child, Edge, Push, TaskBuilder, TaskContext};
use crate::record::Record;

/// Decides whether a branch takes a record.
pub(crate) type BranchPredicate<K, V> = Arc<dyn Fn(&K, &V) -> Result<bool, BoxError> + Send + Sync>;
type Branches<K, V> = Vec<(Arc<str>, Option<BranchPredicate<K, V>>)>;

/// The branches of a splitter, in order, by the name of their child node. Grows while the DSL adds branches.
pub(crate) struct BranchPredicates<K, V>(Arc<Mutex<Branches<K, V>>>);

impl<K, V> Clone for BranchPredicates<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: 'static, V: 'static> BranchPredicates<K, V> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Adds a branch; without a predicate it is the default branch.
    pub(crate) fn add(&self, child: Arc<str>, predicate: Option<BranchPredicate<K, V>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((child, predicate));
    }

    /// The operator for a task.
    pub(crate) fn make(
        &self,
        splitter: Arc<str>,
        builder: &TaskBuilder<'_>,
        mut children: Vec<Child>,
    ) -> NodeResult<Branch<K, V>> {
        let branches = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut made = Branch { splitter, branches: Vec::new(), default: None };
        for (name, predicate) in branches {
            let Some(position) = children.iter().position(|child| child.name == name) else {
                return Err(builder.context.wiring_error(&format!("there is no branch node `{name}`")));
            };
            let node = Edge::new(children.swap_remove(position))?;
            match predicate {
                Some(predicate) => made.branches.push((predicate, node)),
                None => made.default = Some(node),
            }
        }
        Ok(made)
    }
}

/// Sends each record to one child.
pub(crate) struct Branch<K, V> {
    splitter: Arc<str>,
    branches: Vec<(BranchPredicate<K, V>, Edge<K, V>)>,
    default: Option<Edge<K, V>>,
}

impl<K, V> Push<K, V> for Branch<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        for (predicate, child) in &mut self.branches {
            match predicate(&record.key, &record.value) {
                Ok(true) => return child.push(context, record),
                Ok(false) => {}
                Err(error) => return context.processing_failed(&self.splitter, error),
            }
        }
        match &mut self.default {
            Some(child) => child.push(context, record),
            None => Ok(()),
        }
    }
}
