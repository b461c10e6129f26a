//! The operators of `KStream` whose user code may fail and gives a result of any type: [`Outcome`](super::Outcome) could not
//! tell a value from a `Result`. An error goes to the `processing.exception.handler`.

use std::sync::Arc;

use super::names;
use super::stream::KStream;
use super::upstream::operator;
use crate::error::BoxError;
use crate::operators::{FlatMap, FlatMapValues, MapValues, SelectKey};

impl<K: 'static, V: 'static> KStream<K, V> {
    /// As [`map_values`](Self::map_values), with a mapper that may fail.
    ///
    /// An error goes to the processing exception handler: the task stops (the default), or the record is dropped and
    /// counted, or it goes to a dead-letter topic.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic}; use streams_core::record::Record;
    /// const IN: Topic<String, String> = Topic::new("in");
    /// const NUMBERS: Topic<String, i64> = Topic::new("numbers");
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&IN).try_map_values(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&IN).pipe("a", "42");
    /// assert_eq!(driver.output(&NUMBERS).read_all(), [("a".to_owned(), 42)]);
    /// let failed = driver.input(&IN).try_pipe(Record::new("b".to_owned(), "many".to_owned(), 0));
    /// assert!(failed.unwrap_err().to_string().contains("invalid digit"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_map_values<V2: 'static, E: Into<BoxError>>(
        self,
        mapper: impl Fn(V) -> Result<V2, E> + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.try_map_values_with_key(move |_, value| mapper(value))
    }

    /// As [`try_map_values`](Self::try_map_values), with the key to look at.
    pub fn try_map_values_with_key<V2: 'static, E: Into<BoxError>>(
        self,
        mapper: impl Fn(&K, V) -> Result<V2, E> + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let mapper = Arc::new(mapper);
        let make = operator::<K, V, K, V2, _>(move |name, outputs| MapValues {
            name,
            mapper: mapper.clone(),
            outputs,
        });
        self.other_values(names::MAP_VALUES, make)
    }

    /// As [`flat_map`](Self::flat_map), with a mapper that may fail.
    pub fn try_flat_map<K2: 'static, V2: 'static, I, E>(
        self,
        mapper: impl Fn(&K, V) -> Result<I, E> + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
        E: Into<BoxError>,
    {
        let mapper = Arc::new(mapper);
        let make = operator::<K, V, K2, V2, _>(move |name, outputs| FlatMap {
            name,
            mapper: mapper.clone(),
            outputs,
        });
        self.other_keys(names::FLAT_MAP, make, None)
    }

    /// As [`flat_map_values`](Self::flat_map_values), with a mapper that may fail.
    pub fn try_flat_map_values<V2: 'static, I, E>(
        self,
        mapper: impl Fn(V) -> Result<I, E> + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        K: Clone,
        I: IntoIterator<Item = V2> + 'static,
        E: Into<BoxError>,
    {
        self.try_flat_map_values_with_key(move |_, value| mapper(value))
    }

    /// As [`try_flat_map_values`](Self::try_flat_map_values), with the key to look at.
    pub fn try_flat_map_values_with_key<V2: 'static, I, E>(
        self,
        mapper: impl Fn(&K, V) -> Result<I, E> + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        K: Clone,
        I: IntoIterator<Item = V2> + 'static,
        E: Into<BoxError>,
    {
        let mapper = Arc::new(mapper);
        let make = operator::<K, V, K, V2, _>(move |name, outputs| FlatMapValues {
            name,
            mapper: mapper.clone(),
            outputs,
        });
        self.other_values(names::FLAT_MAP_VALUES, make)
    }

    /// As [`select_key`](Self::select_key), with a selector that may fail.
    pub fn try_select_key<K2: 'static, E: Into<BoxError>>(
        mut self,
        selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let values = self.values.take();
        self.other_keys(names::KEY_SELECT, select_key(selector), values)
    }
}

/// The factory of a key selector.
pub(super) fn select_key<K: 'static, V: 'static, K2: 'static, E: Into<BoxError>>(
    selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
) -> super::graph::MakeProcessor {
    let selector = Arc::new(selector);
    operator::<K, V, K2, V, _>(move |name, outputs| SelectKey { name, selector: selector.clone(), outputs })
}
