//! `BranchedKStream`: a stream on its way to several branches.

use std::sync::Arc;

use super::names;
use super::stream::KStream;
use super::upstream::{Changes, Upstream, operator};
use crate::operators::{BranchPredicate, BranchPredicates, PassThrough};
use crate::processor::ErasedPush;

/// A split stream. Each record goes to the first branch, in the order in which they were added, whose predicate
/// says yes; else to the default branch; else it is dropped, uncounted. Needs no `Clone`.
pub struct BranchedKStream<K, V> {
    source: KStream<K, V>,
    splitter: Upstream,
    branches: BranchPredicates<K, V>,
    count: usize,
}

impl<K: 'static, V: 'static> BranchedKStream<K, V> {
    pub(crate) fn new(source: KStream<K, V>) -> Self {
        let branches = BranchPredicates::<K, V>::new();
        let made = branches.clone();
        let make: super::graph::MakeProcessor = Arc::new(move |builder, children, _| {
            Ok(ErasedPush::new::<K, V>(Box::new(made.make(builder, children)?)))
        });
        let splitter = source.up.clone().add_processor(names::BRANCH, make, Changes::Nothing);
        Self { source, splitter, branches, count: 0 }
    }

    /// The stream of records that no earlier branch took and for which `predicate` says yes.
    pub fn branch(&mut self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> KStream<K, V> {
        self.count += 1;
        let suffix = self.count.to_string();
        self.add(&suffix, Some(Arc::new(predicate)))
    }

    /// As [`branch`](Self::branch); the node is called after the splitter and `name`.
    pub fn branch_as(
        &mut self,
        name: &str,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
    ) -> KStream<K, V> {
        self.count += 1;
        self.add(name, Some(Arc::new(predicate)))
    }

    /// The stream of records that no branch took.
    pub fn default_branch(mut self) -> KStream<K, V> {
        self.add("0", None)
    }

    /// As [`default_branch`](Self::default_branch); the node is called after the splitter and `name`.
    pub fn default_branch_as(mut self, name: &str) -> KStream<K, V> {
        self.add(name, None)
    }

    /// Records that no branch took are dropped. The same as letting the `BranchedKStream` go.
    pub fn no_default_branch(self) {}

    fn add(&mut self, suffix: &str, predicate: Option<BranchPredicate<K, V>>) -> KStream<K, V> {
        let name: Arc<str> = format!("{}{suffix}", self.splitter.name).into();
        self.splitter.graph().check_name(&name);
        self.splitter.graph().new_processor_name(&name);
        self.branches.add(name.clone(), predicate);
        let make = operator::<K, V, K, V, _>(|_, outputs| PassThrough(outputs));
        KStream {
            up: self.splitter.clone().add_node(name, make, Changes::Nothing),
            keys: self.source.keys.clone(),
            values: self.source.values.clone(),
        }
    }
}
