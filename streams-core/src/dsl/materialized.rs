//! How a table is kept: what a user says of its store, and what the builder makes of it (`materialize`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::serdes::{Auto, Serde, SerdeRef};
use streams_state::types::Timestamp;

use super::Data;
use super::supplied::Supplied;
use super::windows::millis;
use crate::topic::Store;
use crate::topology::StoreFactory;

/// How a table is kept. A [`Store`] constant converts into it: named, logged, cached, on disk.
///
/// ```
/// use streams_core::dsl::Materialized;
/// use streams_core::topic::Store;
///
/// const COUNTS: Store<String, i64> = Store::new("counts");
/// let counts = Materialized::from(&COUNTS).in_memory().caching(false);
/// ```
pub struct Materialized<K, V> {
    pub(crate) keys: Option<SerdeRef<K>>,
    pub(crate) values: SerdeRef<V>,
    /// The user chose `values`; else a serde that the operator's input has goes before it.
    own_values: bool,
    /// Makes the stores, if they are not what the table would be kept in by itself.
    pub(crate) form: Option<StoreForm<K, V>>,
    pub(crate) options: StoreOptions,
}

/// Makes stores of one form with these serdes. Code for a form is compiled only for tables that ask for it.
pub(crate) type StoreForm<K, V> = Box<dyn FnOnce(SerdeRef<K>, SerdeRef<V>) -> StoreFactory>;

/// What is said about a table's store without its types.
pub(crate) struct StoreOptions {
    pub(crate) name: Option<String>,
    pub(crate) in_memory: Option<bool>,
    pub(crate) caching: bool,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
    /// How long windows are kept, ms.
    pub(crate) retention: Option<Timestamp>,
    pub(crate) history: Option<History>,
    /// The form of store, if the user gave one.
    pub(crate) supplied: Option<Supplied>,
}

impl StoreOptions {
    fn named(name: Option<String>) -> Self {
        Self {
            name,
            in_memory: None,
            caching: true,
            logging: true,
            changelog_config: BTreeMap::new(),
            retention: None,
            history: None,
            supplied: None,
        }
    }

    pub(crate) fn name_or_none(&self) -> &str {
        self.name.as_deref().unwrap_or("(unnamed)")
    }
}

/// How long a versioned table keeps the versions of its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct History {
    /// In milliseconds of stream time.
    pub(crate) retention: Timestamp,
    /// Milliseconds of history that expire together.
    pub(crate) segment_interval: Timestamp,
}

impl<K, V> Materialized<K, V> {
    fn of(name: Option<String>, keys: Option<SerdeRef<K>>, values: SerdeRef<V>, own_values: bool) -> Self {
        Self { keys, values, own_values, form: None, options: StoreOptions::named(name) }
    }

    /// Kept under a generated name, with the serdes of `topic`.
    pub(crate) fn of_topic<KS, VS>(topic: &crate::topic::Topic<K, V, KS, VS>) -> Self
    where
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        Self::of(None, Some(topic.key_serde()), topic.value_serde(), true)
    }

    /// Serde of the rows: the user's, else the one that the operator's input has, else the default one.
    pub(crate) fn rows(&self, inherited: Option<SerdeRef<V>>) -> SerdeRef<V> {
        inherited.filter(|_| !self.own_values).unwrap_or_else(|| self.values.clone())
    }

    /// Whether the serde of the values is the user's.
    pub(crate) fn has_own_values(&self) -> bool {
        self.own_values
    }

    /// Kept under a generated name, with the serdes of the operator.
    pub fn unnamed() -> Self
    where
        V: Data,
    {
        Self::of(None, None, Arc::new(Auto), false)
    }

    /// Kept under this name, with the serdes of the operator: for keys that a [`Store`] constant cannot name, such as those of
    /// windowed tables.
    pub fn named(name: impl Into<String>) -> Self
    where
        V: Data,
    {
        Self::of(Some(name.into()), None, Arc::new(Auto), false)
    }

    /// Kept under a generated name, with these serdes.
    pub fn serdes(keys: impl Serde<K>, values: impl Serde<V>) -> Self {
        Self::of(None, Some(Arc::new(keys)), Arc::new(values), true)
    }

    /// Kept in memory only, and restored from the changelog at each start.
    pub fn in_memory(mut self) -> Self {
        self.options.in_memory = Some(true);
        self
    }

    /// Kept on disk, if the application has an engine for it. The default, unless `dsl.store.suppliers.class` says otherwise.
    pub fn persistent(mut self) -> Self {
        self.options.in_memory = Some(false);
        self
    }

    /// Whether updates are held back until a commit, so that each key is logged and forwarded once. Default:
    /// on; `statestore.cache.max.bytes=0` turns it off for all stores.
    pub fn caching(mut self, caching: bool) -> Self {
        self.options.caching = caching;
        self
    }

    /// Whether a changelog topic backs the store. Default: on. Without it the table is lost with the machine.
    pub fn logging(mut self, logging: bool) -> Self {
        self.options.logging = logging;
        self
    }

    /// How long a windowed store keeps its windows, by event time. Default: as long as records may still change them. `build`
    /// refuses less than that. Other stores ignore it.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.options.retention = Some(millis(retention));
        self
    }

    /// Sets a property of the changelog topic.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.changelog_config.insert(key.into(), value.into());
        self
    }
}

impl<K, V, KS, VS> From<&Store<K, V, KS, VS>> for Materialized<K, V>
where
    KS: Serde<K> + Default,
    VS: Serde<V> + Default,
{
    fn from(store: &Store<K, V, KS, VS>) -> Self {
        Self::of(Some(store.name().to_owned()), Some(store.key_serde()), store.value_serde(), true)
    }
}
