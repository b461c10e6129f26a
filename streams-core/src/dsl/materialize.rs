//! From `Materialized` to a store: its name, and whether the user named it.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;

use super::graph::Graph;
use super::options::Materialized;
use super::stores::{GraphStore, key_value_factory, store_spec};
use super::versioned::versioned_factory;
use crate::topology::StoreKind;

/// The store of a table, and whether it has a name of the user's. An unnamed store uses up a number.
pub(crate) fn materialize<K: 'static, V: Clone + 'static>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    prefix: &str,
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
    let mut spec = match materialized.history {
        None => store_spec(name, StoreKind::TimestampedKeyValue, key_value_factory(keys, values, true)),
        Some(history) => {
            let kind = StoreKind::Versioned { history: history.retention };
            store_spec(name, kind, versioned_factory(keys, values, history))
        }
    };
    spec.in_memory = materialized.in_memory == Some(true);
    spec.logging = materialized.logging;
    spec.caching = materialized.caching && materialized.history.is_none();
    spec.changelog_config = materialized.changelog_config;
    let default_place = materialized.in_memory.is_none() && materialized.history.is_none();
    (GraphStore { spec, identity: Arc::new(()), default_place }, named)
}
