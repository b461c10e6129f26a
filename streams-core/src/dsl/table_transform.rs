//! `KTable::transform_values`: rows made by a transformer of the user's.

use std::sync::Arc;

use super::graph::{MakeProcessor, Plan};
use super::materialized::Materialized;
use super::names;
use super::stores::StoreBuilder;
use super::table::{KTable, MakeGetter};
use super::table_derived::{Derivation, derived_store};
use crate::operators::{
    TableTransformValues, TransformValuesGetter, TransformerNode, ValueTransformerWithKey,
};
use crate::processor::{ErasedPush, ProcessorSupplier, TaskBuilder, connected_stores};

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Makes each row's value with a transformer of yours: one instance per task, made by `supplier`. `stores` are names
    /// of stores that it may use, added before with `add_state_store` or made by a table.
    ///
    /// Key, time: unchanged. Value: what the transformer says. Repartition: no. State: its stores, and a store of its own
    /// with [`transform_values_with`](Self::transform_values_with). Null: the transformer is called for a deleted row too,
    /// with `None`; its answer `None` deletes the row.
    ///
    /// Without a store of its own the transformer is called more often than rows change: once more for the old value of
    /// an update that an operator below wants, and for each look-up of a join below, by an instance of the join's own.
    ///
    /// ```
    /// # use streams_core::dsl::{Stores, StreamsBuilder, ValueTransformerWithKey};
    /// # use streams_core::{error::BoxError, processor::{ProcessingContext, StoreRef}, testing::TopologyTestDriver};
    /// # use streams_core::topic::{Store, Topic};
    /// const STOCK: Topic<String, i64> = Topic::new("stock");
    /// const TREND: Topic<String, i64> = Topic::new("trend");
    /// const LAST: Store<String, i64> = Store::new("last");
    ///
    /// /// The difference to the last value of the row.
    /// #[derive(Default)]
    /// struct Difference {
    ///     last: Option<StoreRef<String, i64>>,
    /// }
    ///
    /// impl ValueTransformerWithKey<String, i64, i64> for Difference {
    ///     fn init(&mut self, context: &mut ProcessingContext<'_>) -> Result<(), BoxError> {
    ///         self.last = Some(context.store(&LAST)?);
    ///         Ok(())
    ///     }
    ///
    ///     fn transform(
    ///         &mut self,
    ///         context: &mut ProcessingContext<'_>,
    ///         key: &String,
    ///         value: Option<&i64>,
    ///     ) -> Result<Option<i64>, BoxError> {
    ///         let mut last = self.last.as_ref().ok_or("init came first")?.borrow_mut();
    ///         let before = last.get(key)?.map_or(0, |(value, _)| *value);
    ///         let update = context.record_context();
    ///         last.put(key, value.copied(), update.timestamp, update)?;
    ///         Ok(value.map(|value| value - before))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::key_value(&LAST));
    /// let trend = builder.table(&STOCK).transform_values(Difference::default, &[LAST.name()]);
    /// trend.to_stream().filter(|_, row| row.is_some()).to(&TREND);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&STOCK).pipe("nut", 10);
    /// driver.input(&STOCK).pipe("nut", 15);
    /// assert_eq!(driver.output(&TREND).read_all()[1], ("nut".to_owned(), 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transform_values<T, V2>(
        self,
        supplier: impl ProcessorSupplier<T>,
        stores: &[&str],
    ) -> KTable<K, V2>
    where
        T: ValueTransformerWithKey<K, V, V2> + 'static,
        V2: Clone + 'static,
    {
        self.transformed(supplier, stores, None)
    }

    /// As [`transform_values`](Self::transform_values), for a transformer that brings its stores: Kafka Streams'
    /// `ValueTransformerWithKeySupplier.stores()`. Two that bring clones of one builder share the store. With `materialized` the
    /// table has a store of its own, as in [`transform_values_with`](Self::transform_values_with).
    pub fn transform_values_with_stores<T, V2>(
        self,
        supplier: impl ProcessorSupplier<T>,
        stores: Vec<StoreBuilder>,
        materialized: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        T: ValueTransformerWithKey<K, V, V2> + 'static,
        V2: Clone + 'static,
    {
        let names: Vec<String> = stores.iter().map(|store| store.name().to_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        stores.into_iter().for_each(|store| self.up.graph().add_state_store(store.0));
        self.transformed(supplier, &names, materialized)
    }

    /// As [`transform_values`](Self::transform_values), with a store of its own if `materialized` names one: then the
    /// transformer is called once for each update.
    pub fn transform_values_with<T, V2>(
        self,
        supplier: impl ProcessorSupplier<T>,
        stores: &[&str],
        materialized: impl Into<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        T: ValueTransformerWithKey<K, V, V2> + 'static,
        V2: Clone + 'static,
    {
        self.transformed(supplier, stores, Some(materialized.into()))
    }

    fn transformed<T, V2>(
        self,
        supplier: impl ProcessorSupplier<T>,
        stores: &[&str],
        materialized: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        T: ValueTransformerWithKey<K, V, V2> + 'static,
        V2: Clone + 'static,
    {
        let connect: Arc<[Arc<str>]> = stores.iter().map(|name| Arc::from(*name)).collect();
        let supplier = Arc::new(supplier);
        let (parent, names, through) = (self.getter.clone(), connect.clone(), supplier.clone());
        let getter: MakeGetter<K, V2> = Arc::new(move |builder: &mut TaskBuilder<'_>, node: &str| {
            let stores = connected_stores(builder, node, &names)?;
            let parent = parent(builder, node)?;
            let transformer = TransformerNode::register(builder, node.into(), through.get(), stores);
            Ok(Box::new(TransformValuesGetter { parent, transformer }))
        });
        let names = connect.clone();
        let make = move |store: Option<Arc<str>>| -> MakeProcessor {
            let (supplier, names) = (supplier.clone(), names.clone());
            Arc::new(move |builder, children, plan: &Plan| {
                let (store, updates) = derived_store::<K, V2>(builder, children, plan, &store)?;
                let stores = connected_stores(builder, &plan.name, &names)?;
                let transformer =
                    TransformerNode::register(builder, plan.name.clone(), supplier.get(), stores);
                Ok(ErasedPush::handled::<K, _>(TableTransformValues::<T, K, V, V2> {
                    name: plan.name.clone(),
                    transformer,
                    store,
                    send_old: plan.send_old,
                    updates,
                }))
            })
        };
        self.derived(Derivation {
            prefix: names::TABLE_TRANSFORM_VALUES,
            materialized,
            values: None,
            getter,
            send_old: false,
            make: &make,
            uses_number: false,
            connect: &connect,
        })
    }
}
