//! From `Materialized` to a store: its name, and whether the user named it.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;

use super::graph::Graph;
use super::materialized::{Materialized, StoreOptions};
use super::stores::{GraphStore, key_value_factory, store_spec};
use super::supplied::Supplied;
use crate::topology::{StoreFactory, StoreFormat, StoreKind};

/// The store of a table, and whether it has a name of the user's. An unnamed store uses up a number.
pub(crate) fn materialize<K: 'static, V: Clone + 'static>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    prefix: &str,
) -> (GraphStore, bool) {
    let Materialized { form, options, .. } = materialized;
    let factory = match form {
        None => key_value_factory(keys, values, true),
        Some(form) => form(keys, values),
    };
    materialize_unwindowed(graph, options, prefix, factory)
}

fn materialize_unwindowed(
    graph: &mut Graph,
    options: StoreOptions,
    prefix: &str,
    factory: StoreFactory,
) -> (GraphStore, bool) {
    let kind = match options.history {
        None => {
            options.check_unwindowed(graph);
            StoreKind::TimestampedKeyValue
        }
        Some(history) => StoreKind::Versioned { history: history.retention },
    };
    materialize_as(graph, options, prefix, kind, factory)
}

/// As [`materialize`], for a store of this kind.
pub(crate) fn materialize_as(
    graph: &mut Graph,
    options: StoreOptions,
    prefix: &str,
    kind: StoreKind,
    factory: StoreFactory,
) -> (GraphStore, bool) {
    let named = options.name.is_some();
    options.check_history(graph);
    let name: Arc<str> = match &options.name {
        Some(name) => {
            graph.check_name(name);
            name.as_str().into()
        }
        None => {
            let name = graph.new_store_name(prefix);
            graph.unnamed.stores.push(name.to_string());
            if options.logging {
                graph.unnamed.changelog_topics.push(format!("{name}-changelog"));
            }
            name
        }
    };
    let mut spec = store_spec(name, kind, factory);
    spec.format = match options.supplied {
        None => StoreFormat::Dsl,
        Some(Supplied::Headers) => StoreFormat::Headers,
        Some(Supplied::Lru(_) | Supplied::Window(_) | Supplied::Session(_)) => StoreFormat::Own,
    };
    spec.in_memory = options.in_memory == Some(true);
    spec.logging = options.logging;
    spec.caching = options.caching && options.history.is_none();
    spec.changelog_config = options.changelog_config;
    let default_place = options.in_memory.is_none() && options.history.is_none();
    (GraphStore { spec, identity: Arc::new(()), default_place }, named)
}
