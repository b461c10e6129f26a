//! `KStream::with_retries`: a part of a topology whose failures are not final.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::{Part, Serde, SerdeRef, for_topic};
use streams_state::store::GraceBufferOptions;
use streams_state::types::Timestamp;

use super::Data;
use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan};
use super::retries::Retries;
use super::stores::{GraphStore, store_spec};
use super::stream::KStream;
use super::upstream::{Changes, operator};
use crate::operators::{Retry, RetryBuffer, RetryEnd, RetryPolicy};
use crate::processor::{ErasedPush, StoreInstance};
use crate::topology::{OpenStore, StoreKind, changelog_topic_name};

/// Records wait by wall clock, however late they are in event time.
const NO_GRACE_LIMIT: Timestamp = Timestamp::MAX;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Tries records again that fail in `work`, which builds a part of the topology, up to the stream that it gives back: after a
    /// delay the record enters that part anew, as it was. Other records go on meanwhile. After the last try, or a failure that is not
    /// worth one, the handler decides that `retries` name, else the `processing.exception.handler`: so it may go to a dead-letter
    /// topic, with the number of tries in its header `__kstreams.retries`.
    ///
    /// Key, value, time: what `work` makes of them; a record that comes late has its own timestamp and headers, and
    /// `__kstreams.retries`. Repartition: as `work`. Null: as `work`. State: records that wait are in the store `NAME-retry`, on disk
    /// and in its changelog, in the transaction of the task; they wait by wall clock and over restarts.
    ///
    /// **Order**: a record that waits is overtaken by later ones of its key. If order matters, fail the task instead.
    /// **Effects**: what `work` had done for the record before it failed (the first records of a `flat_map`, another branch, a count
    /// above the node that failed) stays, and is repeated: put into `work` what fails, and little else. Behind a repartition in
    /// `work`, and where a cache or buffer releases the record later, failures are final. Retries are not put into each other.
    ///
    /// ```
    /// # use streams_core::{dsl::{Retries, StreamsBuilder}, testing::TopologyTestDriver, topic::Topic};
    /// # use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const RECEIPTS: Topic<String, String> = Topic::new("receipts");
    /// const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
    /// let calls = AtomicU32::new(0);
    /// let charge = move |cents: i64| match (cents, calls.fetch_add(1, Ordering::Relaxed)) {
    ///     (..=0, _) => Err("nothing to pay"),
    ///     (_, 0) => Err("the bank is away"),
    ///     (_, _) => Ok(format!("{cents} paid")),
    /// };
    ///
    /// let builder = StreamsBuilder::new();
    /// let retries = Retries::new("charge", [1, 10].map(Duration::from_secs)).dead_letters_to(&DEAD_LETTERS);
    /// builder.stream(&ORDERS).with_retries(retries, |orders| orders.try_map_values(charge)).to(&RECEIPTS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("ada", 500);
    /// driver.input(&ORDERS).pipe("bob", 0);
    /// assert!(driver.output(&RECEIPTS).read_all().is_empty());
    /// driver.advance_wall_clock(Duration::from_secs(1));
    /// assert_eq!(driver.output(&RECEIPTS).read_all(), [("ada".to_owned(), "500 paid".to_owned())]);
    /// driver.advance_wall_clock(Duration::from_secs(10));
    /// let letter = &driver.output(&DEAD_LETTERS).read_records()[0];
    /// assert_eq!(letter.key.as_deref(), Some(&b"bob"[..]));
    /// assert_eq!(streams_core::dead_letter::retries(&letter.headers), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_retries<K2: 'static, V2: 'static>(
        self,
        retries: Retries,
        work: impl FnOnce(KStream<K, V>) -> KStream<K2, V2>,
    ) -> KStream<K2, V2>
    where
        K: Data + Clone,
        V: Data + Clone,
    {
        let (keys, values) = self.serdes();
        self.retried(retries, keys, values, work)
    }

    /// As [`with_retries`](Self::with_retries), with serdes for what waits: for types that the default serdes cannot write.
    pub fn with_retries_and_serdes<K2: 'static, V2: 'static>(
        self,
        keys: impl Serde<K>,
        values: impl Serde<V>,
        retries: Retries,
        work: impl FnOnce(KStream<K, V>) -> KStream<K2, V2>,
    ) -> KStream<K2, V2>
    where
        K: Clone,
        V: Clone,
    {
        self.retried(retries, Arc::new(keys), Arc::new(values), work)
    }

    fn retried<K2: 'static, V2: 'static>(
        self,
        retries: Retries,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
        work: impl FnOnce(KStream<K, V>) -> KStream<K2, V2>,
    ) -> KStream<K2, V2>
    where
        K: Clone,
        V: Clone,
    {
        let fault = retries.fault();
        let Retries { name, policy } = retries;
        let start: Arc<str> = format!("{name}-retry-start").into();
        let store = retry_store(&name);
        let make = make_retry(policy, keys.clone(), values.clone(), store.spec.name.clone());
        let kind = GraphKind::Processor { make, table: None, stores: vec![store], connect: Vec::new() };
        let fork = Fork::default();
        let mut graph = self.up.graph();
        graph.faults.extend(fault);
        let outer = graph.retries.replace(name.clone());
        graph.faults.extend(outer.as_ref().map(|outer| {
            format!(
                "retries `{name}` are within retries `{outer}`; put the one behind the other, not into it"
            )
        }));
        graph.check_name(&start);
        let id = graph.add(&[self.up.node], GraphNode::new(start.clone(), kind, fork.clone()));
        drop(graph);
        let up = self.up.moved_to(id, start, fork, false);
        let worked = work(KStream { up, keys: Some(keys), values: Some(values) });
        worked.up.graph().retries = outer;
        let end = operator::<K2, V2, K2, V2, _>(|_, outputs| RetryEnd(outputs));
        KStream {
            up: worked.up.add_node(format!("{name}-retry-end").into(), end, Changes::Nothing),
            keys: worked.keys,
            values: worked.values,
        }
    }
}

/// The store of what waits.
fn retry_store(name: &str) -> GraphStore {
    let factory = Arc::new(move |open: OpenStore| {
        let options = GraceBufferOptions {
            name: open.name.clone(),
            grace: NO_GRACE_LIMIT,
            logging: open.logging,
            memory_max_bytes: open.buffer_max_bytes,
        };
        let bytes: (SerdeRef<Vec<u8>>, SerdeRef<Vec<u8>>) =
            (Arc::new(streams_state::serdes::Raw), Arc::new(streams_state::serdes::Raw));
        Ok(StoreInstance::new(RetryBuffer::new(options, open.engine, bytes.0, bytes.1)?))
    });
    let spec = store_spec(format!("{name}-retry").into(), StoreKind::Buffer, factory);
    GraphStore { spec, identity: Arc::new(()), default_place: false }
}

/// The factory of the node where the part begins.
fn make_retry<K: Clone + 'static, V: Clone + 'static>(
    policy: RetryPolicy,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    store: Arc<str>,
) -> MakeProcessor {
    Arc::new(move |builder, children, plan: &Plan| {
        let context = &mut *builder.context;
        context.keeps_source |= policy.handler.as_ref().is_some_and(|handler| handler.wants_raw());
        let topic = changelog_topic_name(&context.application_id, &store);
        let node = Rc::new(RefCell::new(Retry {
            name: plan.name.clone(),
            slot: 0,
            policy: policy.clone(),
            keys: for_topic(&keys, &topic, Part::Key),
            values: for_topic(&values, &topic, Part::Value),
            buffer: builder.store(&plan.name, &store)?,
            calls: BTreeSet::new(),
            outputs: plan.outputs::<K, V>(children)?,
        }));
        let slot = builder.register(node.clone());
        node.borrow_mut().slot = slot;
        Ok(ErasedPush::new::<K, V>(Box::new(node)))
    })
}
