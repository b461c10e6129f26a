//! `StreamJoined`: serdes and stores of a stream-stream join.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::Data;

/// How a stream-stream join keeps its records. Its name is that of the operator, given with `.named(..)`.
///
/// ```
/// use streams_core::dsl::StreamJoined;
/// let joined: StreamJoined<String, i64, f64> = StreamJoined::new().store_name("payments").in_memory();
/// ```
pub struct StreamJoined<K, L, R> {
    pub(crate) keys: SerdeRef<K>,
    pub(crate) left: SerdeRef<L>,
    pub(crate) right: SerdeRef<R>,
    /// The user chose the serdes; else those that travel with the streams go before them.
    own_serdes: bool,
    pub(crate) store_name: Option<String>,
    pub(crate) left_store: Option<String>,
    pub(crate) right_store: Option<String>,
    pub(crate) in_memory: Option<bool>,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
}

impl<K: Data, L: Data, R: Data> Default for StreamJoined<K, L, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, L, R> StreamJoined<K, L, R> {
    /// No options.
    pub fn new() -> Self
    where
        K: Data,
        L: Data,
        R: Data,
    {
        Self { own_serdes: false, ..Self::serdes(Auto, Auto, Auto) }
    }

    /// These serdes for keys, left and right values: of the stores and of repartition topics, should some be needed.
    pub fn serdes(keys: impl Serde<K>, left: impl Serde<L>, right: impl Serde<R>) -> Self {
        Self {
            keys: Arc::new(keys),
            left: Arc::new(left),
            right: Arc::new(right),
            own_serdes: true,
            store_name: None,
            left_store: None,
            right_store: None,
            in_memory: None,
            logging: true,
            changelog_config: BTreeMap::new(),
        }
    }

    /// Base name of the stores: `<name>-this-join-store`, `<name>-other-join-store` and so on. Without it the names hold the
    /// counter of the builder, and change when operators are added above.
    pub fn store_name(mut self, name: impl Into<String>) -> Self {
        self.store_name = Some(name.into());
        self
    }

    /// Name of the store of the left stream's records, as it is.
    pub fn left_store(mut self, name: impl Into<String>) -> Self {
        self.left_store = Some(name.into());
        self
    }

    /// Name of the store of the right stream's records, as it is.
    pub fn right_store(mut self, name: impl Into<String>) -> Self {
        self.right_store = Some(name.into());
        self
    }

    /// Keeps the records in memory only, restored from the changelogs at each start.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = Some(true);
        self
    }

    /// Keeps the records on disk, if the application has an engine for it. The default, unless
    /// `dsl.store.suppliers.class` says otherwise.
    pub fn persistent(mut self) -> Self {
        self.in_memory = Some(false);
        self
    }

    /// Whether changelog topics back the stores. Default: on. Without them records that wait for a partner are lost with
    /// the machine.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// Sets a property of the changelog topics.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.changelog_config.insert(key.into(), value.into());
        self
    }

    /// The user's serdes, else those that travel with the streams, else the default ones.
    pub(crate) fn with_serdes_of(
        mut self,
        keys: Option<SerdeRef<K>>,
        left: Option<SerdeRef<L>>,
        right: Option<SerdeRef<R>>,
    ) -> Self {
        if !self.own_serdes {
            self.keys = keys.unwrap_or(self.keys);
            self.left = left.unwrap_or(self.left);
            self.right = right.unwrap_or(self.right);
        }
        self
    }
}
