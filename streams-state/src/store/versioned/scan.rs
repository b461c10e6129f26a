//! All keys of a versioned store, for tests and inspection: Kafka Streams' versioned stores cannot be scanned.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use super::rows::parse_key;
use super::*;

impl<K: 'static, V: Clone + 'static> VersionedStore<K, V> {
    /// Visits all versions of all keys, keys in byte order, versions in order of time: key, value, valid from, valid
    /// to (excluded; `None` for the latest). Reads the whole store: not for the path of records.
    pub fn for_each_version(
        &mut self,
        visit: &mut dyn FnMut(&K, &V, Timestamp, Option<Timestamp>),
    ) -> Result<(), StateError> {
        for bytes in self.all_keys()? {
            let key =
                self.keys.deserialize(Some(&bytes)).map_err(|source| self.progress.serde_error(source))?;
            let visit_version =
                &mut |value: &V, from: Timestamp, to: Option<Timestamp>| visit(&key, value, from, to);
            self.versions(&key, Timestamp::MIN, Timestamp::MAX, visit_version)?;
        }
        Ok(())
    }

    fn all_keys(&self) -> Result<BTreeSet<Vec<u8>>, StateError> {
        let mut keys: BTreeSet<Vec<u8>> = self.tier.present().map(|slot| slot.key().to_vec()).collect();
        if !self.tier.is_complete() {
            self.engine.scan(Bound::Unbounded, Bound::Unbounded, &mut |row, _| {
                if let Some((_, key)) = parse_key(row) {
                    keys.insert(key.to_vec());
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(keys)
    }
}
