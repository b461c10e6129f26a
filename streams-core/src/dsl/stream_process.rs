//! User processors in a `KStream`.

use std::any::TypeId;
use std::sync::Arc;

use super::graph::{Fork, GraphKind, GraphNode, MakeProcessor, Plan, Untold};
use super::names;
use super::stores::StoreBuilder;
use super::stream::KStream;
use super::upstream::Upstream;
use crate::operators::{FixedKeyAdapter, FixedKeyProcessor, make_processor};
use crate::processor::{Processor, ProcessorSupplier, connected_stores};

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Runs a processor of yours on each record: one instance per task, made by `supplier`. `stores` are names of stores that it
    /// may use, added before with `add_state_store` or made by a table.
    ///
    /// Key, value, time: whatever it forwards. Repartition: yes, before the next grouping or join;
    /// [`process_values`](Self::process_values) keeps the key. State: its stores. Null: it gets all records.
    ///
    /// ```
    /// # use streams_core::processor::{Processor, ProcessorContext, StoreRef};
    /// # use streams_core::testing::TopologyTestDriver;
    /// # use streams_core::{dsl::{Stores, StreamsBuilder}, error::BoxError, record::Record, topic::{Store, Topic}};
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// const LAST: Store<String, i64> = Store::new("last");
    ///
    /// /// Forwards the difference to the last value of the key.
    /// #[derive(Default)]
    /// struct Difference {
    ///     last: Option<StoreRef<String, i64>>,
    /// }
    ///
    /// impl Processor<String, i64, String, i64> for Difference {
    ///     fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
    ///         self.last = Some(context.store(&LAST)?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let mut last = self.last.as_ref().ok_or("init came first")?.borrow_mut();
    ///         let before = last.get(&record.key)?.map_or(0, |(value, _)| *value);
    ///         last.put(&record.key, Some(record.value), record.timestamp, context.record_context())?;
    ///         drop(last);
    ///         let difference = record.value - before;
    ///         Ok(context.forward(record.with_value(difference))?)
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::key_value(&LAST));
    /// builder.stream(&IN).process(Difference::default, &[LAST.name()]).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", 10);
    /// driver.input(&IN).pipe("a", 15);
    /// assert_eq!(driver.output(&OUT).read_all()[1], ("a".to_owned(), 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn process<P, K2, V2>(self, supplier: impl ProcessorSupplier<P>, stores: &[&str]) -> KStream<K2, V2>
    where
        P: Processor<K, V, K2, V2> + 'static,
        K2: 'static,
        V2: 'static,
    {
        let up = self.add_user_processor(supplier, names::PROCESSOR, Stores::named(stores), true);
        KStream { up, keys: None, values: None }
    }

    /// As [`process`](Self::process), for a processor that brings its stores. Two processors that bring clones
    /// of one builder share the store.
    pub fn process_with_stores<P, K2, V2>(
        self,
        supplier: impl ProcessorSupplier<P>,
        stores: Vec<StoreBuilder>,
    ) -> KStream<K2, V2>
    where
        P: Processor<K, V, K2, V2> + 'static,
        K2: 'static,
        V2: 'static,
    {
        let up = self.add_user_processor(supplier, names::PROCESSOR, Stores::brought(stores), true);
        KStream { up, keys: None, values: None }
    }

    /// As [`process`](Self::process), for a processor that keeps the key: no repartition follows.
    pub fn process_values<P, V2>(self, supplier: impl ProcessorSupplier<P>, stores: &[&str]) -> KStream<K, V2>
    where
        P: FixedKeyProcessor<K, V, V2> + 'static,
        V2: 'static,
    {
        self.add_values_processor(supplier, Stores::named(stores))
    }

    /// As [`process_values`](Self::process_values), for a processor that brings its stores.
    pub fn process_values_with_stores<P, V2>(
        self,
        supplier: impl ProcessorSupplier<P>,
        stores: Vec<StoreBuilder>,
    ) -> KStream<K, V2>
    where
        P: FixedKeyProcessor<K, V, V2> + 'static,
        V2: 'static,
    {
        self.add_values_processor(supplier, Stores::brought(stores))
    }

    fn add_values_processor<P, V2>(
        self,
        supplier: impl ProcessorSupplier<P>,
        stores: Stores,
    ) -> KStream<K, V2>
    where
        P: FixedKeyProcessor<K, V, V2> + 'static,
        V2: 'static,
    {
        let keys = self.keys.clone();
        let supplier = move || FixedKeyAdapter(supplier.get());
        let up = self.add_user_processor::<_, K, V2>(supplier, names::PROCESS_VALUES, stores, false);
        KStream { up, keys, values: None }
    }

    fn add_user_processor<P, K2, V2>(
        self,
        supplier: impl ProcessorSupplier<P>,
        prefix: &str,
        stores: Stores,
        changes_key: bool,
    ) -> Upstream
    where
        P: Processor<K, V, K2, V2> + 'static,
        K2: 'static,
        V2: 'static,
    {
        let Stores { connect, brought } = stores;
        let mut graph = self.up.graph();
        // Unlike all other operators, a named processor uses up no number.
        let name: Arc<str> = match &self.up.pending {
            Some(name) => {
                graph.check_name(name);
                name.as_str().into()
            }
            None => graph.new_processor_name(prefix),
        };
        let mut store_names = connect.clone();
        store_names.extend(brought.iter().map(|store| store.0.spec.name.clone()));
        let make: MakeProcessor = Arc::new(move |builder, children, plan: &Plan| {
            let outputs = plan.outputs::<K2, V2>(children)?;
            let stores = connected_stores(builder, &plan.name, &store_names)?;
            Ok(make_processor::<_, K, V, K2, V2>(builder, plan.name.clone(), supplier.get(), stores, outputs))
        });
        let brought = brought.into_iter().map(|store| store.0).collect();
        let kind = GraphKind::Processor { make, table: None, stores: brought, connect };
        let fork = Fork::default();
        let mut node = GraphNode::new(name.clone(), kind, fork.clone());
        node.untold = match changes_key {
            true => Untold::Record(TypeId::of::<K2>(), TypeId::of::<V2>()),
            false => Untold::Value,
        };
        let id = graph.add(&[self.up.node], node);
        drop(graph);
        self.up.moved_to(id, name, fork, changes_key)
    }
}

/// The stores of a processor: those that it is connected to and those that it brings.
struct Stores {
    connect: Vec<Arc<str>>,
    brought: Vec<StoreBuilder>,
}

impl Stores {
    fn named(names: &[&str]) -> Self {
        Self { connect: names.iter().map(|name| (*name).into()).collect(), brought: Vec::new() }
    }

    fn brought(stores: Vec<StoreBuilder>) -> Self {
        Self { connect: Vec::new(), brought: stores }
    }
}
