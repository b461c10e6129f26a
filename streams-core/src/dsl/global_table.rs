//! `GlobalKTable`: a table of which every instance has all rows.

use streams_state::serdes::SerdeRef;

use super::table::MakeGetter;
use super::upstream::Upstream;

/// A table that each instance reads in full, from all partitions of its topic. A join with it needs neither the
/// same key nor the same number of partitions, and sees whatever rows have arrived.
pub struct GlobalKTable<K, V> {
    pub(crate) up: Upstream,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) getter: MakeGetter<K, V>,
    pub(crate) store: std::sync::Arc<str>,
}

impl<K, V> GlobalKTable<K, V> {
    /// Name of the store that holds the rows.
    pub fn queryable_store_name(&self) -> &str {
        &self.store
    }
}

impl<K, V> Clone for GlobalKTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            up: self.up.clone(),
            keys: self.keys.clone(),
            getter: self.getter.clone(),
            store: self.store.clone(),
        }
    }
}
