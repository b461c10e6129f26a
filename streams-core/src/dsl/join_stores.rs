//! The stores of a stream-stream join: a window store for each side, and one for records that wait for a partner.
//!
//! ```text
//!                 given by a supplier                            made by the join
//! window stores   place, rows and format of the supplier,        place of `StreamJoined`, format of `dsl.store.format`,
//!                 a compacted changelog                          changelog settings of `StreamJoined`, never compacted
//! waiting store   place of the left supplier, unless             place of `StreamJoined`
//!                 `StreamJoined` or headers leave it open;
//!                 changelog settings of `StreamJoined`
//! ```

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::store::{OuterJoinOptions, OuterJoinStore, WindowOptions, WindowStore};

use super::graph::Graph;
use super::join_windows::JoinWindows;
use super::stores::{GraphStore, store_spec};
use super::stream_joined::StreamJoined;
use super::window_retention::WindowRetention;
use super::window_store_supplier::{StorePlace, WindowStoreSupplier};
use crate::processor::StoreInstance;
use crate::topology::{OpenStore, StoreFactory, StoreFormat, StoreKind};

impl<K, L, R> StreamJoined<K, L, R>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
{
    /// The store of the left records.
    pub(super) fn this_store(&self, name: &Arc<str>, windows: &JoinWindows) -> GraphStore {
        self.window_store(self.this_supplier.as_ref(), name, &self.left, windows)
    }

    /// The store of the right records.
    pub(super) fn other_store(&self, name: &Arc<str>, windows: &JoinWindows) -> GraphStore {
        self.window_store(self.other_supplier.as_ref(), name, &self.right, windows)
    }

    fn window_store<V: Clone + 'static>(
        &self,
        supplier: Option<&WindowStoreSupplier>,
        name: &Arc<str>,
        values: &SerdeRef<V>,
        windows: &JoinWindows,
    ) -> GraphStore {
        let rows = supplier.map_or_else(|| WindowRetention::of_join(windows), |supplier| supplier.rows);
        let (keys, values) = (self.keys.clone(), values.clone());
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let options = WindowOptions { headers: true, ..rows.options(&open, true) };
            let ((keys, values), engine) = (open.serdes(&keys, &values), open.engine);
            Ok(match open.in_memory || open.headers {
                true => StoreInstance::new(WindowStore::header_aware(options, engine, keys, values)?),
                false => StoreInstance::new(WindowStore::new(options, engine, keys, values)?),
            })
        });
        let kind = StoreKind::Window { retention: rows.retention_ms(), duplicates: true };
        let Some(supplier) = supplier else {
            let mut store = self.own_store(name, kind, factory);
            store.spec.format = StoreFormat::Dsl;
            // Rows are never overwritten: there is nothing to compact.
            store.spec.changelog_config.insert("cleanup.policy".to_owned(), "delete".to_owned());
            return store;
        };
        let mut spec = store_spec(name.clone(), kind, factory);
        spec.in_memory = supplier.place == StorePlace::Memory;
        if supplier.place == StorePlace::DiskWithHeaders {
            spec.format = StoreFormat::Headers;
        }
        GraphStore { spec, identity: Arc::new(()), default_place: false }
    }

    /// The store of records that wait for a partner.
    pub(super) fn waiting_store(&self, name: &Arc<str>) -> GraphStore {
        let (keys, left, right) = (self.keys.clone(), self.left.clone(), self.right.clone());
        let factory: StoreFactory = Arc::new(move |open: OpenStore| {
            let ((keys, left), (_, right)) = (open.serdes(&keys, &left), open.serdes(&keys, &right));
            let options = OuterJoinOptions {
                name: open.name,
                logging: open.logging,
                memory_max_bytes: open.buffer_max_bytes,
            };
            let store = OuterJoinStore::new(options, open.engine, keys, left, right)?;
            Ok(StoreInstance::new(store))
        });
        let mut store = self.own_store(name, StoreKind::OuterJoin, factory);
        if store.default_place
            && let Some(supplier) = &self.this_supplier
        {
            store.spec.in_memory = supplier.place == StorePlace::Memory;
            // Kafka Streams does not know suppliers with headers again, and takes the default for these.
            store.default_place = supplier.place == StorePlace::DiskWithHeaders;
        }
        store
    }

    /// A store with the settings that are said here.
    fn own_store(&self, name: &Arc<str>, kind: StoreKind, factory: StoreFactory) -> GraphStore {
        let mut spec = store_spec(name.clone(), kind, factory);
        spec.in_memory = self.in_memory == Some(true);
        spec.logging = self.logging;
        spec.changelog_config = self.changelog_config.clone();
        GraphStore { spec, identity: Arc::new(()), default_place: self.in_memory.is_none() }
    }

    /// Notes what is wrong with the stores and names that the user gave, for a join below `node`.
    pub(super) fn check(&self, graph: &mut Graph, node: &str, windows: &JoinWindows) {
        if let Some(name) = &self.store_name {
            graph.check_name(name);
        }
        for supplier in [&self.this_supplier, &self.other_supplier].into_iter().flatten() {
            graph.check_name(&supplier.name);
            graph.note_fault("join", node, supplier.rows.fault_of_join(&supplier.name, windows));
        }
    }

    /// Notes the stores whose names Kafka Streams counts as generated: all, unless there is a base name.
    pub(super) fn note_unnamed(&self, graph: &mut Graph, stores: [Option<&GraphStore>; 3]) {
        if self.store_name.is_some() {
            return;
        }
        for GraphStore { spec, .. } in stores.into_iter().flatten() {
            graph.unnamed.stores.push(spec.name.to_string());
            if spec.logging {
                graph.unnamed.changelog_topics.push(format!("{}-changelog", spec.name));
            }
        }
    }
}
