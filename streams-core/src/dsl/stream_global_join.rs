//! Joins of `KStream` with global tables: each record with a row that it names, wherever that lives.

use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::Data;
use super::global_table::GlobalKTable;
use super::graph::{Fork, GraphNode};
use super::names;
use super::stream::{KStream, sure};
use super::stream_join::{JoinParts, inner, left};
use crate::error::BoxError;
use crate::operators::SelectedKey;
use crate::outcome::Outcome;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Joins each record with the row that a global table has under the key that `selector` takes from the record; a record
    /// without a row goes no further, uncounted.
    ///
    /// Key, time: those of the record. Value: what `joiner` says. Repartition: no. State: the table's. Null: records with a null
    /// selected key or value are dropped, counted.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, (String, i64)> = Topic::new("orders");
    /// const RATES: Topic<String, i64> = Topic::new("rates");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let rates = builder.global_table(&RATES);
    /// let orders = builder.stream(&ORDERS);
    /// orders.join_global(&rates, |_, (currency, _)| currency.clone(), |(_, cents), rate| cents * rate).to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&RATES).pipe("EUR", 2);
    /// driver.input(&ORDERS).pipe("o1", ("EUR".to_owned(), 21));
    /// assert_eq!(driver.output(&OUT).read_all(), [("o1".to_owned(), 42)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_global<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(V, &VG) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
    {
        self.join_global_with_key(table, selector, move |_, value, row| joiner(value, row))
    }

    /// As [`join_global`](Self::join_global), with the stream's key to look at.
    pub fn join_global_with_key<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, &VG) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
    {
        self.try_join_global_with_key(table, selector, move |key, value, row| sure(joiner(key, value, row)))
    }

    /// As [`join_global_with_key`](Self::join_global_with_key), with a joiner that may fail.
    pub fn try_join_global_with_key<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>, E>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, &VG) -> Result<VO, E> + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
        E: Into<BoxError>,
    {
        let values = self.values_or_auto();
        self.joined_global(table, selector, inner(joiner), values, false)
    }

    /// As [`join_global_with_key`](Self::join_global_with_key), with a serde for the stream's values, which is asked which of them
    /// are null: for types that the default serdes do not know. Selector and joiner may fail.
    pub fn join_global_with<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>, O: Outcome<VO>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, &VG) -> O + Send + Sync + 'static,
        values: impl Serde<V>,
    ) -> KStream<K, VO> {
        let joiner = move |key: &K, value: V, row: &VG| joiner(key, value, row).into_result();
        self.joined_global(table, selector, inner(joiner), Arc::new(values), false)
    }

    /// As [`join_global`](Self::join_global), but the joiner is told if there is no row, and records without a selected key
    /// give a result too.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const RATES: Topic<String, i64> = Topic::new("rates");
    /// const ORDERS: Topic<String, (String, i64)> = Topic::new("orders");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let rates = builder.global_table(&RATES);
    /// builder
    ///     .stream(&ORDERS)
    ///     .left_join_global(&rates, |_, (currency, _)| currency.clone(), |(_, cents), rate| cents * rate.unwrap_or(&1))
    ///     .to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("o1", ("EUR".to_owned(), 21));
    /// assert_eq!(driver.output(&OUT).read_all(), [("o1".to_owned(), 21)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_global<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(V, Option<&VG>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
    {
        self.left_join_global_with_key(table, selector, move |_, value, row| joiner(value, row))
    }

    /// As [`left_join_global`](Self::left_join_global), with the stream's key to look at.
    pub fn left_join_global_with_key<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, Option<&VG>) -> VO + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
    {
        self.try_left_join_global_with_key(table, selector, move |key, value, row| {
            sure(joiner(key, value, row))
        })
    }

    /// As [`left_join_global_with_key`](Self::left_join_global_with_key), with a joiner that may fail.
    pub fn try_left_join_global_with_key<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>, E>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, Option<&VG>) -> Result<VO, E> + Send + Sync + 'static,
    ) -> KStream<K, VO>
    where
        V: Data,
        E: Into<BoxError>,
    {
        let values = self.values_or_auto();
        self.joined_global(table, selector, left(joiner), values, true)
    }

    /// As [`left_join_global_with_key`](Self::left_join_global_with_key), with a serde for the stream's values, which is asked which of them
    /// are null: for types that the default serdes do not know. Selector and joiner may fail.
    pub fn left_join_global_with<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>, O: Outcome<VO>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, V, Option<&VG>) -> O + Send + Sync + 'static,
        values: impl Serde<V>,
    ) -> KStream<K, VO> {
        let joiner = move |key: &K, value: V, row: Option<&VG>| joiner(key, value, row).into_result();
        self.joined_global(table, selector, left(joiner), Arc::new(values), true)
    }

    fn values_or_auto(&self) -> SerdeRef<V>
    where
        V: Data,
    {
        self.values.clone().unwrap_or_else(|| Arc::new(Auto))
    }

    fn joined_global<KG: 'static, VG: 'static, VO: 'static, R: Outcome<KG>>(
        self,
        table: &GlobalKTable<KG, VG>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        join: impl Fn(&K, V, Option<&VG>) -> Result<Option<VO>, BoxError> + Send + Sync + 'static,
        values: SerdeRef<V>,
        left: bool,
    ) -> KStream<K, VO> {
        self.up.check_same_builder(&table.up, "join with a global table");
        let parts = JoinParts {
            table_keys: table.keys.clone(),
            values,
            getter: table.getter.clone(),
            select: SelectedKey(selector),
            join,
            left,
        };
        // Kafka Streams calls both kinds of this join a left join.
        let name = self.up.graph().name_or(&self.up.pending, names::LEFT_JOIN);
        let fork = Fork::default();
        let mut node = GraphNode::processor(name.clone(), parts.make::<K, VO>(), fork.clone());
        node.keeps_null_keys = left;
        let id = self.up.graph().add(&[self.up.node], node);
        KStream { up: self.up.moved_to(id, name, fork, false), keys: self.keys, values: None }
    }
}
