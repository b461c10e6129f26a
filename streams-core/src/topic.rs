//! Typed names: a topic or a store is a constant that carries its types and serdes, so that source, sink, test
//! driver and query cannot disagree.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

/// A topic with keys `K` and values `V`, read and written with serdes `KS` and `VS`.
///
/// ```
/// use streams_core::topic::Topic;
/// const LINES: Topic<(), String> = Topic::new("lines");
/// assert_eq!(LINES.name(), "lines");
/// ```
pub struct Topic<K, V, KS = Auto, VS = Auto> {
    name: Cow<'static, str>,
    types: PhantomData<fn() -> (K, V, KS, VS)>,
}

impl<K, V, KS, VS> Topic<K, V, KS, VS> {
    /// A topic of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// A topic whose name is known at run time only.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), types: PhantomData }
    }

    /// Name of the topic.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K, V, KS: Serde<K> + Default, VS: Serde<V> + Default> Topic<K, V, KS, VS> {
    /// Serde of the key.
    pub fn key_serde(&self) -> SerdeRef<K> {
        Arc::new(KS::default())
    }

    /// Serde of the value.
    pub fn value_serde(&self) -> SerdeRef<V> {
        Arc::new(VS::default())
    }
}

impl<K, V, KS, VS> Clone for Topic<K, V, KS, VS> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

/// A key-value store of `V` by `K`, with serdes `KS` and `VS`.
pub struct Store<K, V, KS = Auto, VS = Auto> {
    name: Cow<'static, str>,
    types: PhantomData<fn() -> (K, V, KS, VS)>,
}

impl<K, V, KS, VS> Store<K, V, KS, VS> {
    /// A store of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// A store whose name is known at run time only.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), types: PhantomData }
    }

    /// Name of the store.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K, V, KS: Serde<K> + Default, VS: Serde<V> + Default> Store<K, V, KS, VS> {
    /// Serde of the key.
    pub fn key_serde(&self) -> SerdeRef<K> {
        Arc::new(KS::default())
    }

    /// Serde of the value.
    pub fn value_serde(&self) -> SerdeRef<V> {
        Arc::new(VS::default())
    }
}

impl<K, V, KS, VS> Clone for Store<K, V, KS, VS> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}
