//! The buffer of a stream-table join with grace: its store, and what the table must be.

use std::sync::Arc;

use streams_state::serdes::SerdeRef;
use streams_state::store::{GraceBuffer, GraceBufferOptions};
use streams_state::types::Timestamp;

use super::graph::{Graph, GraphId};
use super::stores::{GraphStore, store_spec};
use crate::processor::StoreInstance;
use crate::topology::{OpenStore, StoreKind};

/// Writes down what is wrong with the table of join `name`. `stores` are those that the join reads.
pub(super) fn check_grace(
    graph: &mut Graph,
    name: &str,
    grace: Timestamp,
    table: GraphId,
    stores: &[Arc<str>],
) {
    let mut fault = None;
    if graph.node(table).versioned == Some(false) {
        fault =
            Some("the table is not versioned; give it a history with `Materialized::versioned`".to_owned());
    }
    for store in stores {
        match graph.table_store_kind(store) {
            Some(StoreKind::Versioned { history }) if history >= grace => {}
            Some(StoreKind::Versioned { history }) => {
                fault = Some(format!(
                    "store `{store}` keeps {history} ms of history; keep at least the grace of {grace} ms"
                ));
            }
            _ => {
                fault = Some(format!(
                    "store `{store}` of the table is not versioned; give it a history with `Materialized::versioned`"
                ));
            }
        }
    }
    graph.faults.extend(fault.map(|fault| format!("join `{name}` has a grace period: {fault}")));
}

/// The buffer of join `name`. `named`: the user chose the name.
pub(super) fn grace_buffer<K: 'static, V: 'static>(
    graph: &mut Graph,
    name: &str,
    named: bool,
    grace: Timestamp,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
) -> GraphStore {
    let buffer = format!("{name}-Buffer");
    if !named {
        graph.unnamed.stores.push(buffer.clone());
        graph.unnamed.changelog_topics.push(format!("{buffer}-changelog"));
    }
    let factory = Arc::new(move |open: OpenStore| {
        let (keys, values) = open.serdes(&keys, &values);
        let options = GraceBufferOptions {
            name: open.name,
            grace,
            logging: open.logging,
            memory_max_bytes: open.buffer_max_bytes,
        };
        let store = GraceBuffer::new(options, open.engine, keys, values)?;
        Ok(StoreInstance::new(store))
    });
    let spec = store_spec(buffer.into(), StoreKind::GraceBuffer, factory);
    GraphStore { spec, identity: Arc::new(()), default_place: false }
}
