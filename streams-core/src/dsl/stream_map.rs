//! Operators of `KStream` that give records new keys and values.

use std::sync::Arc;

use super::names;
use super::stream::{KStream, sure};
use super::upstream::operator;
use crate::operators::Map;
use crate::outcome::Outcome;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Gives each record a new key and a new value.
    ///
    /// Key, value: what `mapper` says. Time: unchanged. Repartition: yes, before the next grouping or join; prefer
    /// [`map_values`](Self::map_values) if the key stays. State: none. Null: `mapper` gets it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const LENGTHS: Topic<String, i64> = Topic::new("lengths");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).map(|key, text| (key.to_uppercase(), text.len() as i64)).to(&LENGTHS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", "hello");
    /// assert_eq!(driver.output(&LENGTHS).read_all(), [("A".to_owned(), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<K2: 'static, V2: 'static, R: Outcome<(K2, V2)>>(
        self,
        mapper: impl Fn(&K, V) -> R + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let mapper = Arc::new(mapper);
        let make =
            operator::<K, V, K2, V2, _>(move |name, outputs| Map { name, mapper: mapper.clone(), outputs });
        self.other_keys(names::MAP, make, None)
    }

    /// Gives each record a new value.
    ///
    /// Key, time: unchanged. Value: what `mapper` says. Repartition: no. State: none. Null: `mapper` gets it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const LENGTHS: Topic<String, i64> = Topic::new("lengths");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).map_values(|text| text.len() as i64).to(&LENGTHS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", "hello");
    /// assert_eq!(driver.output(&LENGTHS).read_all(), [("a".to_owned(), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values<V2: 'static>(self, mapper: impl Fn(V) -> V2 + Send + Sync + 'static) -> KStream<K, V2> {
        self.try_map_values_with_key(move |_, value| sure(mapper(value)))
    }

    /// As [`map_values`](Self::map_values), with the key to look at.
    pub fn map_values_with_key<V2: 'static>(
        self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.try_map_values_with_key(move |key, value| sure(mapper(key, value)))
    }

    /// Makes any number of records of each, with new keys and values.
    ///
    /// Key, value: what `mapper` says. Time: that of the record. Repartition: yes, before the next grouping or join.
    /// State: none. Null: `mapper` gets it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    /// let builder = StreamsBuilder::new();
    /// let counts = builder.stream(&IN).flat_map(|_, text| {
    ///     text.split(' ').map(|word| (word.to_owned(), word.len() as i64)).collect::<Vec<_>>()
    /// });
    /// counts.to(&OUT);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", "to be");
    /// driver.input(&IN).pipe("b", "not");
    /// assert_eq!(driver.output(&OUT).len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flat_map<K2: 'static, V2: 'static, I>(
        self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        self.try_flat_map(move |key, value| sure(mapper(key, value)))
    }

    /// Makes any number of values of each, all under the record's key.
    ///
    /// Key: unchanged, cloned for each value but the last. Value: what `mapper` says. Time: that of the record.
    /// Repartition: no. State: none. Null: `mapper` gets it.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const WORDS: Topic<String, String> = Topic::new("words");
    /// let builder = StreamsBuilder::new();
    /// let words = builder.stream(&IN).flat_map_values(|text| {
    ///     text.split(' ').map(str::to_owned).collect::<Vec<_>>()
    /// });
    /// words.to(&WORDS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", "to be");
    /// let words = driver.output(&WORDS).read_all();
    /// assert_eq!(words[1], ("a".to_owned(), "be".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flat_map_values<V2: 'static, I>(
        self,
        mapper: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        K: Clone,
        I: IntoIterator<Item = V2> + 'static,
    {
        self.try_flat_map_values_with_key(move |_, value| sure(mapper(value)))
    }

    /// As [`flat_map_values`](Self::flat_map_values), with the key to look at.
    pub fn flat_map_values_with_key<V2: 'static, I>(
        self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        K: Clone,
        I: IntoIterator<Item = V2> + 'static,
    {
        self.try_flat_map_values_with_key(move |key, value| sure(mapper(key, value)))
    }

    /// Gives each record a new key.
    ///
    /// Key: what `selector` says. Value, time: unchanged. Repartition: yes, before the next grouping or join. State:
    /// none. Null: `selector` sees it. To group at once, [`group_by`](Self::group_by) does both.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// const ORDERS: Topic<String, (String, i64)> = Topic::new("orders");
    /// const BY_CUSTOMER: Topic<String, (String, i64)> = Topic::new("by-customer");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&ORDERS).select_key(|_, (customer, _)| customer.clone()).to(&BY_CUSTOMER);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe("order-1", ("ada".to_owned(), 500));
    /// assert_eq!(driver.output(&BY_CUSTOMER).read_all()[0].0, "ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select_key<K2: 'static>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        self.try_select_key(move |key, value| sure(selector(key, value)))
    }
}
