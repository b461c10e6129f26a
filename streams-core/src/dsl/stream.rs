//! `KStream`: an unbounded sequence of independent records, and its record-by-record operators.

use std::convert::Infallible;
use std::sync::Arc;

use streams_state::serdes::{Auto, SerdeRef};

use super::Data;
use super::branched::BranchedKStream;
use super::graph::{GraphNode, MakeProcessor};
use super::names;
use super::upstream::{Changes, Upstream, operator};
use crate::error::BoxError;
use crate::operators::{
    Filter, FlatMap, FlatMapValues, ForEach, Map, MapValues, PassThrough, Peek, SelectKey,
};

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

fn sure<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Names the operator that follows. An unnamed operator is called after its place in the program
    /// (`KSTREAM-FILTER-0000000003`), which moves when operators are added above it; named stores and
    /// repartition topics keep their data then.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.up.pending = Some(name.into());
        self
    }

    /// The next stream, of the same types, without a change that the optimizer cares about.
    fn same(self, prefix: &str, make: MakeProcessor) -> Self {
        Self {
            up: self.up.add_processor(prefix, make, Changes::Nothing),
            keys: self.keys,
            values: self.values,
        }
    }

    /// The next stream, with other values.
    fn other_values<V2>(self, prefix: &str, make: MakeProcessor) -> KStream<K, V2> {
        KStream { up: self.up.add_processor(prefix, make, Changes::Value), keys: self.keys, values: None }
    }

    /// The next stream, with other keys and values.
    fn other_keys<K2, V2>(
        self,
        prefix: &str,
        make: MakeProcessor,
        values: Option<SerdeRef<V2>>,
    ) -> KStream<K2, V2> {
        KStream { up: self.up.add_processor(prefix, make, Changes::Key), keys: None, values }
    }

    /// Keeps the records for which `predicate` says yes; the others are dropped, uncounted.
    pub fn filter(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.try_filter(move |key, value| sure(predicate(key, value)))
    }

    /// Keeps the records for which `predicate` says no.
    pub fn filter_not(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.try_filter(move |key, value| sure(!predicate(key, value)))
    }

    /// As [`filter`](Self::filter); an error goes to the processing exception handler.
    pub fn try_filter<E: Into<BoxError>>(
        self,
        predicate: impl Fn(&K, &V) -> Result<bool, E> + Send + Sync + 'static,
    ) -> Self {
        let predicate = Arc::new(predicate);
        let make = operator::<K, V, K, V, _>(move |name, outputs| Filter {
            name,
            predicate: predicate.clone(),
            outputs,
        });
        self.same(names::FILTER, make)
    }

    /// Gives each record a new key and value. The stream is repartitioned before the next grouping or join.
    pub fn map<K2: 'static, V2: 'static>(
        self,
        mapper: impl Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        self.try_map(move |key, value| sure(mapper(key, value)))
    }

    /// As [`map`](Self::map); an error goes to the processing exception handler.
    pub fn try_map<K2: 'static, V2: 'static, E: Into<BoxError>>(
        self,
        mapper: impl Fn(&K, V) -> Result<(K2, V2), E> + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let mapper = Arc::new(mapper);
        let make =
            operator::<K, V, K2, V2, _>(move |name, outputs| Map { name, mapper: mapper.clone(), outputs });
        self.other_keys(names::MAP, make, None)
    }

    /// Gives each record a new value.
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

    /// As [`map_values`](Self::map_values); an error goes to the processing exception handler.
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

    /// Makes any number of records of each, with new keys and values.
    pub fn flat_map<K2: 'static, V2: 'static, I>(
        self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        self.try_flat_map(move |key, value| sure(mapper(key, value)))
    }

    /// As [`flat_map`](Self::flat_map); an error goes to the processing exception handler.
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

    /// Makes any number of values of each, all under the record's key.
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

    /// As [`flat_map_values`](Self::flat_map_values); an error goes to the processing exception handler.
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

    /// Gives each record a new key.
    pub fn select_key<K2: 'static>(
        self,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        self.try_select_key(move |key, value| sure(selector(key, value)))
    }

    /// As [`select_key`](Self::select_key); an error goes to the processing exception handler.
    pub fn try_select_key<K2: 'static, E: Into<BoxError>>(
        mut self,
        selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let values = self.values.take();
        self.other_keys(names::KEY_SELECT, select_key(selector), values)
    }

    /// Looks at each record as it passes.
    pub fn peek(self, action: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        let action = Arc::new(action);
        let make = operator::<K, V, K, V, _>(move |_, outputs| Peek { action: action.clone(), outputs });
        self.same(names::PEEK, make)
    }

    /// Hands each record to `action`, and ends the stream. For effects outside of Kafka, which are repeated
    /// when records are processed again after a failure.
    pub fn for_each(self, action: impl Fn(&K, V) + Send + Sync + 'static) {
        self.try_for_each(move |key, value| {
            action(key, value);
            sure(())
        });
    }

    /// As [`for_each`](Self::for_each); an error goes to the processing exception handler.
    pub fn try_for_each<E: Into<BoxError>>(
        self,
        action: impl Fn(&K, V) -> Result<(), E> + Send + Sync + 'static,
    ) {
        let action = Arc::new(action);
        let make = operator::<K, V, (), (), _>(move |name, _| ForEach { name, action: action.clone() });
        self.up.add_processor(names::FOR_EACH, make, Changes::Nothing);
    }

    /// Joins two streams of the same types into one. No order between them is kept.
    pub fn merge(self, other: KStream<K, V>) -> KStream<K, V> {
        self.up.check_same_builder(&other.up, "merge");
        let name = self.up.graph().name_or(&self.up.pending, names::MERGE);
        let make = operator::<K, V, K, V, _>(|_, outputs| PassThrough(outputs));
        let mut node = GraphNode::processor(name.clone(), make, super::graph::Fork::default());
        node.merge = true;
        let fork = node.fork.clone();
        let id = self.up.graph().add(&[self.up.node, other.up.node], node);
        let mut sources = self.up.sources.to_vec();
        sources.extend(other.up.sources.iter().filter(|source| !self.up.sources.contains(source)).cloned());
        let mut up = self.up.moved_to(id, name, fork, other.up.repartition_required);
        up.sources = sources.into();
        KStream { up, keys: None, values: None }
    }

    /// Splits the stream: each record goes to the first branch that wants it.
    pub fn split(self) -> BranchedKStream<K, V> {
        BranchedKStream::new(self)
    }

    /// The serdes of this stream, the default ones where none travels with it.
    pub(crate) fn serdes(&self) -> (SerdeRef<K>, SerdeRef<V>)
    where
        K: Data,
        V: Data,
    {
        (
            self.keys.clone().unwrap_or_else(|| Arc::new(Auto)),
            self.values.clone().unwrap_or_else(|| Arc::new(Auto)),
        )
    }
}

/// The factory of a key selector.
pub(crate) fn select_key<K: 'static, V: 'static, K2: 'static, E: Into<BoxError>>(
    selector: impl Fn(&K, &V) -> Result<K2, E> + Send + Sync + 'static,
) -> MakeProcessor {
    let selector = Arc::new(selector);
    operator::<K, V, K2, V, _>(move |name, outputs| SelectKey { name, selector: selector.clone(), outputs })
}
