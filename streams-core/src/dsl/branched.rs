//! `BranchedKStream`: a stream on its way to several branches.

use std::sync::Arc;

use super::graph::{MakeProcessor, Plan};
use super::names;
use super::stream::KStream;
use super::upstream::{Changes, Upstream, operator};
use crate::operators::{BranchPredicate, BranchPredicates, PassThrough};
use crate::outcome::Outcome;
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
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            Ok(ErasedPush::new::<K, V>(Box::new(made.make(plan.name.clone(), builder, children)?)))
        });
        let splitter = source.up.clone().add_processor(names::BRANCH, make, Changes::Nothing);
        Self { source, splitter, branches, count: 0 }
    }

    /// The stream of records that no earlier branch took and for which `predicate` says yes.
    ///
    /// Key, value, time: unchanged. Repartition: no. State: none. Null: the predicate sees it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const SIZES: Topic<String, i64> = Topic::new("sizes");
    /// const LARGE: Topic<String, i64> = Topic::new("large");
    /// const SMALL: Topic<String, i64> = Topic::new("small");
    /// let builder = StreamsBuilder::new();
    /// let mut sizes = builder.stream(&SIZES).split();
    /// sizes.branch(|_, size| *size >= 100).to(&LARGE);
    /// sizes.default_branch().to(&SMALL);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&SIZES).pipe("a", 100);
    /// driver.input(&SIZES).pipe("b", 7);
    /// assert_eq!(driver.output(&LARGE).read_all(), [("a".to_owned(), 100)]);
    /// assert_eq!(driver.output(&SMALL).read_all(), [("b".to_owned(), 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn branch<R: Outcome<bool>>(
        &mut self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KStream<K, V> {
        let suffix = (self.count + 1).to_string();
        self.branch_as(&suffix, predicate)
    }

    /// As [`branch`](Self::branch); the node is called after the splitter and `name`.
    pub fn branch_as<R: Outcome<bool>>(
        &mut self,
        name: &str,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> KStream<K, V> {
        self.count += 1;
        self.add(name, Some(Arc::new(move |key, value| predicate(key, value).into_result())))
    }

    /// The stream of records that no branch took. See [`branch`](Self::branch) for an example.
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
