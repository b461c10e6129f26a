//! Typed names: a topic or a store is a constant that carries its types and serdes, so that source, sink, test
//! driver and query cannot disagree.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use streams_state::serdes::{Auto, Given, Serde, SerdeRef};

/// Serdes that were given as values.
struct Serdes<K, V> {
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
}

impl<K, V> Clone for Serdes<K, V> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), values: self.values.clone() }
    }
}

/// A topic with keys `K` and values `V`, read and written with serdes `KS` and `VS`.
///
/// ```
/// use streams_core::topic::Topic;
/// const LINES: Topic<(), String> = Topic::new("lines");
/// assert_eq!(LINES.name(), "lines");
/// ```
pub struct Topic<K, V, KS = Auto, VS = Auto> {
    name: Cow<'static, str>,
    given: Option<Serdes<K, V>>,
    types: PhantomData<fn() -> (K, V, KS, VS)>,
}

impl<K, V, KS, VS> Topic<K, V, KS, VS> {
    /// A topic of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), given: None, types: PhantomData }
    }

    /// A topic whose name is known at run time only.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), given: None, types: PhantomData }
    }

    /// Name of the topic.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K, V> Topic<K, V, Given, Given> {
    /// A topic whose serdes are values: they may hold what is known at run time only.
    ///
    /// ```
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// use streams_core::serdes::{Auto, Serde, SerdeError};
    ///
    /// /// Text with a mark in front that the configuration says.
    /// struct Marked(String);
    ///
    /// impl Serde<String> for Marked {
    ///     fn serialize(&self, text: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
    ///         out.extend_from_slice(format!("{}{text}", self.0).as_bytes());
    ///         Ok(true)
    ///     }
    ///     fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
    ///         let text: String = Auto.deserialize(bytes)?;
    ///         let rest = text.strip_prefix(&self.0);
    ///         rest.map(str::to_owned).ok_or_else(|| SerdeError::new("the mark is missing"))
    ///     }
    /// }
    ///
    /// let topic = Topic::<String, String, _, _>::with_serdes("marked", Auto, Marked("v1:".to_owned()));
    /// let builder = StreamsBuilder::new();
    /// builder.stream(&topic).map_values(|text| text.to_uppercase()).to(&Topic::<String, String>::new("out"));
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&topic).pipe("a", "hello");
    /// assert_eq!(driver.output(&Topic::<String, String>::new("out")).read_all(), [("a".to_owned(), "HELLO".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_serdes(
        name: impl Into<Cow<'static, str>>,
        keys: impl Serde<K>,
        values: impl Serde<V>,
    ) -> Self {
        let given = Serdes { keys: Arc::new(keys), values: Arc::new(values) };
        Self { name: name.into(), given: Some(given), types: PhantomData }
    }
}

impl<K, V, KS: Serde<K> + Default, VS: Serde<V> + Default> Topic<K, V, KS, VS> {
    /// Serde of the key.
    pub fn key_serde(&self) -> SerdeRef<K> {
        self.given.as_ref().map_or_else(|| Arc::new(KS::default()) as SerdeRef<K>, |given| given.keys.clone())
    }

    /// Serde of the value.
    pub fn value_serde(&self) -> SerdeRef<V> {
        self.given
            .as_ref()
            .map_or_else(|| Arc::new(VS::default()) as SerdeRef<V>, |given| given.values.clone())
    }
}

impl<K, V, KS, VS> Clone for Topic<K, V, KS, VS> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), given: self.given.clone(), types: PhantomData }
    }
}

/// A key-value store of `V` by `K`, with serdes `KS` and `VS`.
pub struct Store<K, V, KS = Auto, VS = Auto> {
    name: Cow<'static, str>,
    given: Option<Serdes<K, V>>,
    types: PhantomData<fn() -> (K, V, KS, VS)>,
}

impl<K, V, KS, VS> Store<K, V, KS, VS> {
    /// A store of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), given: None, types: PhantomData }
    }

    /// A store whose name is known at run time only.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), given: None, types: PhantomData }
    }

    /// Name of the store.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K, V> Store<K, V, Given, Given> {
    /// A store whose serdes are values: they may hold what is known at run time only.
    /// See [`Topic::with_serdes`] for an example.
    pub fn with_serdes(
        name: impl Into<Cow<'static, str>>,
        keys: impl Serde<K>,
        values: impl Serde<V>,
    ) -> Self {
        let given = Serdes { keys: Arc::new(keys), values: Arc::new(values) };
        Self { name: name.into(), given: Some(given), types: PhantomData }
    }
}

impl<K, V, KS: Serde<K> + Default, VS: Serde<V> + Default> Store<K, V, KS, VS> {
    /// Serde of the key.
    pub fn key_serde(&self) -> SerdeRef<K> {
        self.given.as_ref().map_or_else(|| Arc::new(KS::default()) as SerdeRef<K>, |given| given.keys.clone())
    }

    /// Serde of the value.
    pub fn value_serde(&self) -> SerdeRef<V> {
        self.given
            .as_ref()
            .map_or_else(|| Arc::new(VS::default()) as SerdeRef<V>, |given| given.values.clone())
    }
}

impl<K, V, KS, VS> Clone for Store<K, V, KS, VS> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), given: self.given.clone(), types: PhantomData }
    }
}
