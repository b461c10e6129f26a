//! Foreign-key joins of `KTable`: each row with the row of another table that it points to.
//!
//! Here are the calls and their options, in `plan` the nodes and names that come of them. What is sent where:
//! `operators/foreign_key`.

mod plan;

use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use self::plan::ForeignKeyJoin;
use super::Data;
use super::materialized::Materialized;
use super::table::KTable;
use crate::error::BoxError;
use crate::operators::{PartitionChoice, Partitioner, Response, Subscription};
use crate::outcome::OptionalOutcome;

/// Chooses a partition by topic, key and the topic's number of partitions; `None` leaves it to the default.
type KeyPartitioner<K> = Arc<dyn Fn(&str, &K, i32) -> Result<Option<i32>, BoxError> + Send + Sync>;

/// Where the two internal topics of a foreign-key join put their records: needed if the tables' topics are
/// partitioned by something else than murmur2 of the key. The join is named with `.named(..)` on the left table.
///
/// ```
/// use streams_core::dsl::TableJoined;
/// let by_length = |_: &str, key: &String, partitions: i32| key.len() as i32 % partitions;
/// let joined: TableJoined<i64, String> = TableJoined::new().other_partitioner(by_length);
/// ```
pub struct TableJoined<K, KO> {
    partitioner: Option<KeyPartitioner<K>>,
    other_partitioner: Option<KeyPartitioner<KO>>,
    confirm_deletions: bool,
}

impl<K, KO> Default for TableJoined<K, KO> {
    fn default() -> Self {
        Self { partitioner: None, other_partitioner: None, confirm_deletions: false }
    }
}

impl<K, KO> TableJoined<K, KO> {
    /// No options: subscriptions go by murmur2 of the foreign key, answers to the partition that the left row came from.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the left table's topic is partitioned: chooses the partition of an answer by topic, primary key and number of
    /// partitions. `None` leaves it to the default. Rarely needed, as answers find back by themselves.
    pub fn partitioner<C: OptionalOutcome<i32>>(
        mut self,
        partitioner: impl Fn(&str, &K, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.partitioner =
            Some(Arc::new(move |topic, key, count| partitioner(topic, key, count).into_option()));
        self
    }

    /// How the other table's topic is partitioned: chooses the partition of a subscription by topic, foreign key and number
    /// of partitions. `None` leaves it to the default.
    pub fn other_partitioner<C: OptionalOutcome<i32>>(
        mut self,
        partitioner: impl Fn(&str, &KO, i32) -> C + Send + Sync + 'static,
    ) -> Self {
        self.other_partitioner =
            Some(Arc::new(move |topic, key, count| partitioner(topic, key, count).into_option()));
        self
    }

    /// An inner join deletes every result whose rows are gone, even if both tables change at the same time.
    ///
    /// Kafka Streams can keep such a result for good: if a row of the other table is deleted while an update of the left row,
    /// under the same foreign key, is on its way, then the answer to the deletion comes for a left value that is no longer
    /// there, and is dropped; and the update finds no row and is not answered. That is the default here, too, so that results
    /// are the same. With this option such an answer is not dropped: the row subscribes once more and is answered in any case,
    /// at the price of one more record in each of the two topics. A left join needs no such thing.
    pub fn confirm_deletions(mut self) -> Self {
        self.confirm_deletions = true;
        self
    }

    /// These serdes for the values of the left and the other table on their way through the internal topics, for types that the
    /// default serdes cannot write, where none travels with the table.
    ///
    /// ```
    /// # use streams_core::{dsl::{Materialized, StreamsBuilder, TableJoined}, testing::TopologyTestDriver, topic::Topic};
    /// # use streams_core::serdes::{Auto, Serde, SerdeError};
    /// /// No serde of serde's.
    /// #[derive(Clone)]
    /// struct Cents(i64);
    /// struct AsNumber;
    ///
    /// impl Serde<Cents> for AsNumber {
    ///     fn serialize(&self, cents: &Cents, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
    ///         Auto.serialize(&cents.0, out)
    ///     }
    ///     fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Cents, SerdeError> {
    ///         Auto.deserialize(bytes).map(Cents)
    ///     }
    /// }
    ///
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const NAMES: Topic<i64, String> = Topic::new("names");
    /// const OUT: Topic<String, Option<String>> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let (orders, names) = (builder.table(&ORDERS).map_values(|cents| Cents(*cents)), builder.table(&NAMES));
    /// let joined = TableJoined::new().serdes(AsNumber, Auto);
    /// orders
    ///     .join_foreign_key_with(&names, |_, cents| cents.0, |_, name| name.clone(), joined, Materialized::unnamed())
    ///     .to_stream()
    ///     .to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&NAMES).pipe(7, "seven");
    /// driver.input(&ORDERS).pipe("a", 7);
    /// assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), Some("seven".to_owned()))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serdes<V, VO>(
        self,
        values: impl Serde<V>,
        other_values: impl Serde<VO>,
    ) -> TableJoinedSerdes<K, KO, V, VO> {
        let (values, other_values) = (Arc::new(values), Arc::new(other_values));
        TableJoinedSerdes { joined: self, values, other_values, own_serdes: true }
    }

    fn confirms_deletions(&self) -> bool {
        self.confirm_deletions
    }

    /// The partitioner of the registration topic. A row without foreign key goes anywhere: it is only answered.
    fn of_subscriptions(&self) -> Option<Partitioner<Option<KO>, Subscription<K>>>
    where
        K: 'static,
        KO: 'static,
    {
        let partitioner = self.other_partitioner.clone()?;
        Some(Arc::new(move |topic, key: &Option<KO>, _: &Subscription<K>, count| {
            key.as_ref().map_or(Ok(None), |key| partitioner(topic, key, count)).map(PartitionChoice::from)
        }))
    }

    /// The partitioner of the response topic.
    fn of_responses<VO: 'static>(&self) -> Partitioner<K, Response<VO>>
    where
        K: 'static,
    {
        match self.partitioner.clone() {
            Some(partitioner) => Arc::new(move |topic, key: &K, _: &Response<VO>, count| {
                partitioner(topic, key, count).map(PartitionChoice::from)
            }),
            None => Arc::new(|_, _: &K, response: &Response<VO>, _| Ok(response.primary_partition.into())),
        }
    }
}

/// A [`TableJoined`] and the serdes of the values of both tables: from [`TableJoined::serdes`], or the default ones.
pub struct TableJoinedSerdes<K, KO, V, VO> {
    joined: TableJoined<K, KO>,
    values: SerdeRef<V>,
    other_values: SerdeRef<VO>,
    /// The user chose the serdes; else those that travel with the tables go before them.
    own_serdes: bool,
}

impl<K, KO, V: Data, VO: Data> From<TableJoined<K, KO>> for TableJoinedSerdes<K, KO, V, VO> {
    fn from(joined: TableJoined<K, KO>) -> Self {
        Self { own_serdes: false, ..joined.serdes(Auto, Auto) }
    }
}

impl<K, V> KTable<K, V>
where
    K: Clone + 'static,
    V: Clone + 'static,
{
    /// Joins each row with the row of `other` that it points to: `foreign_key` takes the key of `other` from the value. Rows that
    /// point nowhere, or to a row that is not there, have no result.
    ///
    /// Key: that of the left row. Value: what `joiner` says. Time: that of the change that made the result, or of the other row
    /// if the left row changed and the other one is later. Repartition: two internal topics, one to where the other row lives and
    /// one back; the two tables need not have the same number of partitions. State: both tables' stores, and one with a row for
    /// each left row; the result has one only if somebody reads it or [`join_foreign_key_with`](Self::join_foreign_key_with)
    /// names one. Null: a foreign key `None` is dropped, counted; a row that is deleted or points elsewhere deletes its result.
    /// A result may be deleted that never was there; and see [`TableJoined::confirm_deletions`] for one that may stay.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<i64, (String, i64)> = Topic::new("orders");
    /// const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    /// const OUT: Topic<i64, Option<String>> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let customers = builder.table(&CUSTOMERS);
    /// builder
    ///     .table(&ORDERS)
    ///     .join_foreign_key(&customers, |(id, _)| id.clone(), |(_, cents), name| format!("{name}: {cents}"))
    ///     .to_stream()
    ///     .to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe(1, ("c7".to_owned(), 500));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada");
    /// driver.input(&ORDERS).pipe(2, ("c7".to_owned(), 40));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada L.");
    /// let results = driver.output(&OUT).read_key_values();
    /// assert_eq!(results[&1].as_deref(), Some("Ada L.: 500"));
    /// assert_eq!(results[&2].as_deref(), Some("Ada L.: 40"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        V: Data,
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: OptionalOutcome<KO>,
    {
        self.join_foreign_key_with_key(other, move |_, value| foreign_key(value), joiner)
    }

    /// As [`join_foreign_key`](Self::join_foreign_key), with the key of the row to look at, too.
    pub fn join_foreign_key_with_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        V: Data,
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: OptionalOutcome<KO>,
    {
        self.join_foreign_key_with(other, foreign_key, joiner, TableJoined::new(), Materialized::unnamed())
    }

    /// As [`join_foreign_key_with_key`](Self::join_foreign_key_with_key), with all options. The joiner may also return an
    /// `Option`, and a `Result` of it: `None` is no result.
    pub fn join_foreign_key_with<KO, VO, VR, F, R>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> R + Send + Sync + 'static,
        joined: impl Into<TableJoinedSerdes<K, KO, V, VO>>,
        materialized: impl Into<Materialized<K, VR>>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Clone + 'static,
        VR: Clone + 'static,
        F: OptionalOutcome<KO>,
        R: OptionalOutcome<VR>,
    {
        let joiner = move |value: &V, other: Option<&VO>| {
            other.map_or(Ok(None), |other| joiner(value, other).into_option())
        };
        self.joined_foreign_key(other, foreign_key, joiner, false, joined.into(), materialized.into())
    }

    /// Joins each row with the row of `other` that it points to; the joiner is told if there is none.
    ///
    /// As [`join_foreign_key`](Self::join_foreign_key), but each left row has a result: also one that points nowhere, which is not
    /// counted as dropped.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<i64, (Option<String>, i64)> = Topic::new("orders");
    /// const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    /// const OUT: Topic<i64, Option<String>> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let customers = builder.table(&CUSTOMERS);
    /// let label = |(_, cents): &(_, i64), name: Option<&String>| format!("{}: {cents}", name.map_or("?", |name| name));
    /// builder.table(&ORDERS).left_join_foreign_key(&customers, |(id, _)| id.clone(), label).to_stream().to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe(1, (None, 500));
    /// driver.input(&CUSTOMERS).pipe("c7", "Ada");
    /// driver.input(&ORDERS).pipe(1, (Some("c7".to_owned()), 500));
    /// let results: Vec<_> = driver.output(&OUT).read_all().into_iter().map(|(_, label)| label).collect();
    /// assert_eq!(results, [Some("?: 500".to_owned()), Some("Ada: 500".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        V: Data,
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: OptionalOutcome<KO>,
    {
        self.left_join_foreign_key_with_key(other, move |_, value| foreign_key(value), joiner)
    }

    /// As [`left_join_foreign_key`](Self::left_join_foreign_key), with the key of the row to look at, too.
    pub fn left_join_foreign_key_with_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        V: Data,
        KO: 'static,
        VO: Data + Clone,
        VR: Data + Clone,
        F: OptionalOutcome<KO>,
    {
        let materialized = Materialized::unnamed();
        self.left_join_foreign_key_with(other, foreign_key, joiner, TableJoined::new(), materialized)
    }

    /// As [`left_join_foreign_key_with_key`](Self::left_join_foreign_key_with_key), with all options. The joiner may also
    /// return an `Option`, and a `Result` of it: `None` is no result.
    pub fn left_join_foreign_key_with<KO, VO, VR, F, R>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> R + Send + Sync + 'static,
        joined: impl Into<TableJoinedSerdes<K, KO, V, VO>>,
        materialized: impl Into<Materialized<K, VR>>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Clone + 'static,
        VR: Clone + 'static,
        F: OptionalOutcome<KO>,
        R: OptionalOutcome<VR>,
    {
        let joiner = move |value: &V, other: Option<&VO>| joiner(value, other).into_option();
        self.joined_foreign_key(other, foreign_key, joiner, true, joined.into(), materialized.into())
    }

    fn joined_foreign_key<KO, VO, VR, F>(
        self,
        other: &KTable<KO, VO>,
        foreign_key: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> Result<Option<VR>, BoxError> + Send + Sync + 'static,
        left_join: bool,
        joined: TableJoinedSerdes<K, KO, V, VO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR>
    where
        KO: 'static,
        VO: Clone + 'static,
        VR: Clone + 'static,
        F: OptionalOutcome<KO>,
    {
        let TableJoinedSerdes { joined, values, other_values, own_serdes } = joined;
        let (inherited, inherited_other) = (|_: &SerdeRef<V>| !own_serdes, |_: &SerdeRef<VO>| !own_serdes);
        ForeignKeyJoin {
            values: self.values.clone().filter(inherited).unwrap_or(values),
            other_values: other.values.clone().filter(inherited_other).unwrap_or(other_values),
            other: other.clone(),
            left: self,
            foreign_key: Arc::new(move |key: &K, value: &V| foreign_key(key, value).into_option()),
            joiner: Arc::new(joiner),
            left_join,
            joined,
            materialized,
        }
        .add()
    }
}
