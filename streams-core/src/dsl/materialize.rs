//! From `Materialized` to a store: its name, and whether the user named it.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;

use super::graph::Graph;
use super::options::Materialized;
use super::store_forms::lru_factory;
use super::stores::{GraphStore, key_value_factory, store_spec};
use super::supplied::Supplied;
use super::versioned::versioned_factory;
use crate::topology::{StoreFactory, StoreFormat, StoreKind};

/// The store of a table, and whether it has a name of the user's. An unnamed store uses up a number.
pub(crate) fn materialize<K: 'static, V: Clone + 'static>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    prefix: &str,
) -> (GraphStore, bool) {
    let (kind, factory) = match materialized.history {
        None => {
            let factory = match materialized.bound_of_rows(graph) {
                None => key_value_factory(keys, values, true),
                Some(max_rows) => lru_factory(keys, values, max_rows, true),
            };
            (StoreKind::TimestampedKeyValue, factory)
        }
        Some(history) => {
            let kind = StoreKind::Versioned { history: history.retention };
            (kind, versioned_factory(keys, values, history))
        }
    };
    materialize_as(graph, materialized, prefix, kind, factory)
}

/// As [`materialize`], for a store of this kind.
pub(crate) fn materialize_as<K, V>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    prefix: &str,
    kind: StoreKind,
    factory: StoreFactory,
) -> (GraphStore, bool) {
    let named = materialized.name.is_some();
    materialized.check_history(graph);
    let name: Arc<str> = match &materialized.name {
        Some(name) => {
            graph.check_name(name);
            name.as_str().into()
        }
        None => {
            let name = graph.new_store_name(prefix);
            graph.unnamed.stores.push(name.to_string());
            if materialized.logging {
                graph.unnamed.changelog_topics.push(format!("{name}-changelog"));
            }
            name
        }
    };
    let mut spec = store_spec(name, kind, factory);
    spec.format = match materialized.supplied {
        None => StoreFormat::Dsl,
        Some(Supplied::Headers) => StoreFormat::Headers,
        Some(Supplied::Lru(_) | Supplied::Window(_) | Supplied::Session(_)) => StoreFormat::Own,
    };
    spec.in_memory = materialized.in_memory == Some(true);
    spec.logging = materialized.logging;
    spec.caching = materialized.caching && materialized.history.is_none();
    spec.changelog_config = materialized.changelog_config;
    let default_place = materialized.in_memory.is_none() && materialized.history.is_none();
    (GraphStore { spec, identity: Arc::new(()), default_place }, named)
}
