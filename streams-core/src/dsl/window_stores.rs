//! The stores of windowed tables, and the serdes of their keys.

use std::sync::Arc;

use streams_state::serdes::{SerdeRef, SessionWindowed, TimeWindowed};
use streams_state::store::{Combine, SessionOptions, SessionStore, WindowOptions, WindowStore};
use streams_state::types::{Timestamp, Windowed};

use super::graph::Graph;
use super::materialize::materialize_as;
use super::materialized::{Materialized, StoreOptions};
use super::store_forms::session_options;
use super::stores::GraphStore;
use super::windows::{EmitStrategy, FixedWindows, SessionWindows};
use crate::processor::StoreInstance;
use crate::topology::{OpenStore, StoreFactory, StoreKind};

/// What a windowed aggregation is made over.
#[derive(Clone)]
pub(crate) struct WindowPlan {
    pub(crate) windows: FixedWindows,
    pub(crate) emit: EmitStrategy,
    /// The store keeps panes of windows that advance by this, ms.
    pub(crate) panes: Option<Timestamp>,
}

/// Serde of the keys of windows of `size` ms.
pub(crate) fn window_serde<K: 'static>(keys: SerdeRef<K>, size: Timestamp) -> SerdeRef<Windowed<K>> {
    Arc::new(TimeWindowed::new(keys, size))
}

/// Serde of the keys of sessions.
pub(crate) fn session_serde<K: 'static>(keys: SerdeRef<K>) -> SerdeRef<Windowed<K>> {
    Arc::new(SessionWindowed::new(keys))
}

/// How long the rows are kept: as the user says, but not for less than `least`.
fn retention(graph: &mut Graph, options: &StoreOptions, least: Timestamp) -> Timestamp {
    let name = options.name_or_none();
    if options.history.is_some() {
        graph
            .faults
            .push(format!("store `{name}`: a windowed table cannot be versioned; leave out `versioned`"));
    }
    let retention = options.retention.unwrap_or(least);
    if retention < least {
        graph.faults.push(format!(
            "store `{name}`: a retention of {retention} ms is less than its windows and their grace need; give {least} ms \
             or more, or none"
        ));
    }
    retention
}

/// The window store of a table, and whether it has a name of the user's. An unnamed store uses up a number. `combine` is for panes.
pub(crate) fn materialize_window<K: 'static, V: Clone + 'static>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    (keys, values): (SerdeRef<K>, SerdeRef<V>),
    prefix: &str,
    (plan, combine): (&WindowPlan, Option<Combine<K, V>>),
) -> (GraphStore, bool) {
    let retention = retention(graph, &materialized.options, plan.windows.least_retention());
    let rows = materialized.options.rows_of_windows(graph, retention, plan.windows.size());
    let ordered_by_time = plan.emit == EmitStrategy::OnWindowClose;
    let panes = plan.panes.zip(combine);
    let factory: StoreFactory = Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = WindowOptions { ordered_by_time, ..rows.options(&open, true) };
        let mut store = WindowStore::new(options, open.engine, keys, values)?;
        if let Some((advance, combine)) = &panes {
            store = store.in_panes(*advance, combine.clone());
        }
        Ok(StoreInstance::new(match open.headers {
            true => store.logging_headers_of_deletions(),
            false => store,
        }))
    });
    let kind = StoreKind::TimestampedWindow { retention };
    let (mut store, named) = materialize_as(graph, materialized.options, prefix, kind, factory);
    if let (FixedWindows::Sliding(_), EmitStrategy::OnWindowClose) = (&plan.windows, plan.emit) {
        store.spec.caching = false;
    }
    (store, named)
}

/// The session store of a table, and whether it has a name of the user's. An unnamed store uses up a number.
pub(crate) fn materialize_session<K: 'static, V: Clone + 'static>(
    graph: &mut Graph,
    materialized: Materialized<K, V>,
    (keys, values): (SerdeRef<K>, SerdeRef<V>),
    prefix: &str,
    (windows, emit): (SessionWindows, EmitStrategy),
) -> (GraphStore, bool) {
    let retention = retention(graph, &materialized.options, windows.close_after());
    let kept = materialized.options.retention_of_sessions(graph, retention);
    let factory: StoreFactory = Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = SessionOptions {
            time_index: emit == EmitStrategy::OnWindowClose,
            ..session_options(&open, kept)
        };
        let store = SessionStore::new(options, open.engine, keys, values)?;
        Ok(StoreInstance::new(match open.headers {
            true => store.logging_headers_of_deletions(),
            false => store,
        }))
    });
    let kind = StoreKind::Session { retention };
    let (mut store, named) = materialize_as(graph, materialized.options, prefix, kind, factory);
    if emit == EmitStrategy::OnWindowClose {
        store.spec.caching = false;
    }
    (store, named)
}
