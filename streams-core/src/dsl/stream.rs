//! `KStream`: an unbounded sequence of independent records, and its record-by-record operators.

use std::any::TypeId;
use std::convert::Infallible;
use std::sync::Arc;

use streams_state::serdes::{Auto, SerdeRef};

use super::Data;
use super::branched::BranchedKStream;
use super::graph::{Fork, GraphNode, MakeProcessor};
use super::names;
use super::upstream::{Changes, Upstream, operator};
use crate::operators::{Filter, ForEach, PassThrough, Peek, Print, Printed};
use crate::outcome::Outcome;

/// A stream of records with keys `K` and values `V`: facts, one after another.
///
/// Operators consume the stream and give the next one. To use a stream twice, fork it with `.clone()`, which its
/// keys and values must support too: each branch gets every record.
///
/// A record that an operator passes on keeps its timestamp and headers. Operators that may change the key mark
/// the stream; the next grouping or join then repartitions it through a topic of its own.
pub struct KStream<K, V> {
    pub(crate) up: Upstream,
    pub(crate) keys: Option<SerdeRef<K>>,
    pub(crate) values: Option<SerdeRef<V>>,
}

impl<K: Clone + 'static, V: Clone + 'static> Clone for KStream<K, V> {
    /// Forks the stream.
    fn clone(&self) -> Self {
        self.up.fork.allow::<K, V>();
        Self { up: self.up.clone(), keys: self.keys.clone(), values: self.values.clone() }
    }
}

/// A result that cannot fail, for the operators without `try_`.
pub(super) fn sure<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Names the operator that follows. An unnamed operator is called after its place in the program
    /// (`KSTREAM-FILTER-0000000003`), which moves when operators are added above it; named stores and repartition
    /// topics keep their data then.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.up.pending = Some(name.into());
        self
    }

    /// Keeps the records for which `predicate` says yes; the others are dropped, uncounted.
    ///
    /// Key, value, time: unchanged. Repartition: no. State: none. Null: the predicate sees it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const LARGE: Topic<String, i64> = Topic::new("large");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&ORDERS).filter(|_, cents| *cents > 1000).to(&LARGE);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("a", 500);
    /// driver.input(&ORDERS).pipe("b", 5000);
    /// assert_eq!(driver.output(&LARGE).read_all(), [("b".to_owned(), 5000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter<R: Outcome<bool>>(self, predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static) -> Self {
        self.filtered(predicate, false)
    }

    /// Keeps the records for which `predicate` says no; else as [`filter`](Self::filter).
    pub fn filter_not<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
    ) -> Self {
        self.filtered(predicate, true)
    }

    fn filtered<R: Outcome<bool>>(
        self,
        predicate: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        not: bool,
    ) -> Self {
        let predicate = Arc::new(predicate);
        let make = operator::<K, V, K, V, _>(move |name, outputs| Filter {
            name,
            predicate: predicate.clone(),
            not,
            outputs,
        });
        self.same(names::FILTER, make)
    }

    /// Looks at each record as it passes.
    ///
    /// Key, value, time: unchanged. Repartition: no. State: none. Null: `action` sees it. After a failure a record may
    /// be seen again.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).peek(|key, value| println!("{key} {value}")).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek<R: Outcome<()>>(self, action: impl Fn(&K, &V) -> R + Send + Sync + 'static) -> Self {
        let action = Arc::new(action);
        let make =
            operator::<K, V, K, V, _>(move |name, outputs| Peek { name, action: action.clone(), outputs });
        self.same(names::PEEK, make)
    }

    /// Hands each record to `action`, and ends the stream. For effects outside of Kafka, which are repeated when
    /// records are processed again after a failure.
    ///
    /// Repartition: no. State: none. Null: `action` gets it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic}; use std::sync::{Arc, atomic::{AtomicI64, Ordering}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// let builder = StreamsBuilder::new();
    /// let sum = Arc::new(AtomicI64::new(0));
    /// let total = sum.clone();
    /// builder.stream(&IN).for_each(move |_, value| {
    ///     total.fetch_add(value, Ordering::Relaxed);
    /// });
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 40);
    /// driver.input(&IN).pipe("b", 2);
    /// assert_eq!(sum.load(Ordering::Relaxed), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each<R: Outcome<()>>(self, action: impl Fn(&K, V) -> R + Send + Sync + 'static) {
        let action = Arc::new(action);
        let make = operator::<K, V, (), (), _>(move |name, _| ForEach { name, action: action.clone() });
        self.up.add_processor(names::FOR_EACH, make, Changes::Nothing);
    }

    /// Writes each record as a line, and ends the stream: for looking at it while a program is written.
    ///
    /// Repartition: no. State: none. Null: written as `null`.
    ///
    /// ```
    /// # use streams_core::{dsl::{Printed, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// let file = std::env::temp_dir().join(format!("kstreams-print-{}", std::process::id()));
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).print(Printed::to_file(&file).label("in"));
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 1);
    /// assert_eq!(std::fs::read_to_string(&file)?, "[in]: a, 1\n");
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn print(self, printed: Printed<K, V>) {
        let Printed { writer, label, text } = printed;
        let label: Arc<str> = label.map_or_else(|| self.up.name.clone(), Arc::from);
        let writer = match writer {
            Ok(writer) => writer,
            Err(fault) => return self.up.graph().note_fault("print", &self.up.name, Some(fault)),
        };
        let make = operator::<K, V, (), (), _>(move |name, _| {
            let (label, writer, text) = (label.clone(), writer.clone(), text.clone());
            Print { name, label, writer, text }
        });
        self.up.add_processor(names::PRINTER, make, Changes::Nothing);
    }

    /// Joins two streams of the same types into one. No order between them is kept.
    ///
    /// Key, value, time: unchanged. Repartition: no, but the next grouping or join repartitions if either side needs it.
    /// State: none. Null: passes. Serdes that came with a topic end here; the default ones follow.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const WEB: Topic<String, i64> = Topic::new("web");
    /// const SHOP: Topic<String, i64> = Topic::new("shop");
    /// const ALL: Topic<String, i64> = Topic::new("all");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&WEB).merge(builder.stream(&SHOP)).to(&ALL);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&WEB).pipe("a", 1);
    /// driver.input(&SHOP).pipe("b", 2);
    /// assert_eq!(driver.output(&ALL).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(self, other: KStream<K, V>) -> KStream<K, V> {
        let same = self.up.check_same_builder(&other.up, "merge");
        let name = self.up.graph().name_or(&self.up.pending, names::MERGE);
        let make = operator::<K, V, K, V, _>(|_, outputs| PassThrough(outputs));
        let fork = Fork::default();
        let mut node = GraphNode::processor(name.clone(), make, fork.clone());
        node.merge = true;
        node.types = Some((TypeId::of::<K>(), TypeId::of::<V>()));
        let other_node = if same { other.up.node } else { self.up.node };
        let id = self.up.graph().add(&[self.up.node, other_node], node);
        let mut sources = self.up.sources.to_vec();
        sources.extend(other.up.sources.iter().filter(|source| !self.up.sources.contains(source)).cloned());
        let mut up = self.up.moved_to(id, name, fork, other.up.repartition_required);
        up.sources = sources.into();
        KStream { up, keys: None, values: None }
    }

    /// Splits the stream: each record goes to the first branch that wants it. Needs no `Clone`.
    ///
    /// Key, value, time: unchanged. Repartition: no. State: none. Null: the predicates see it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const LARGE: Topic<String, i64> = Topic::new("large");
    /// const OTHER: Topic<String, i64> = Topic::new("other");
    /// let builder = StreamsBuilder::new();
    /// let mut split = builder.stream(&ORDERS).split();
    /// split.branch(|_, cents| *cents > 1000).to(&LARGE);
    /// split.default_branch().to(&OTHER);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("a", 500);
    /// driver.input(&ORDERS).pipe("b", 5000);
    /// assert_eq!(driver.output(&LARGE).read_all(), [("b".to_owned(), 5000)]);
    /// assert_eq!(driver.output(&OTHER).read_all(), [("a".to_owned(), 500)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(self) -> BranchedKStream<K, V> {
        BranchedKStream::new(self)
    }

    /// The next stream, of the same types, without a change that the optimizer cares about.
    pub(super) fn same(self, prefix: &str, make: MakeProcessor) -> Self {
        Self {
            up: self.up.add_processor(prefix, make, Changes::Nothing),
            keys: self.keys,
            values: self.values,
        }
    }

    /// The next stream, with other values.
    pub(super) fn other_values<V2>(self, prefix: &str, make: MakeProcessor) -> KStream<K, V2> {
        KStream { up: self.up.add_processor(prefix, make, Changes::Value), keys: self.keys, values: None }
    }

    /// The next stream, with other keys and values.
    pub(super) fn other_keys<K2: 'static, V2: 'static>(
        self,
        prefix: &str,
        make: MakeProcessor,
        values: Option<SerdeRef<V2>>,
    ) -> KStream<K2, V2> {
        KStream { up: self.up.add_processor(prefix, make, Changes::key::<K2, V2>()), keys: None, values }
    }

    /// The serdes of this stream, the default ones where none travels with it.
    pub(crate) fn serdes(&self) -> (SerdeRef<K>, SerdeRef<V>)
    where
        K: Data,
        V: Data,
    {
        let keys = self.keys.clone().unwrap_or_else(|| Arc::new(Auto));
        (keys, self.values.clone().unwrap_or_else(|| Arc::new(Auto)))
    }
}
