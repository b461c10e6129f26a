//! How a node with a store sends its table's updates on: at once, or when the store's cache is flushed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::store::CachedStore;
use streams_state::types::{Change, RecordContext};

use crate::error::NodeResult;
use crate::processor::{DropReason, Lifecycle, Outputs, TaskBuilder, TaskContext};
use crate::record::Record;

/// Context of an update made for `record`: that of the source record, with the record's own time and headers.
#[inline]
pub(crate) fn update_context<K, V>(context: &TaskContext, record: &Record<K, V>) -> RecordContext {
    RecordContext {
        source: context.record.source,
        offset: context.record.offset,
        timestamp: record.timestamp,
        headers: record.headers.clone(),
        source_bytes: context.record.source_bytes.clone(),
    }
}

/// Where the updates of a table go.
pub(crate) enum Updates<K, V> {
    /// To the children, with the record that made the update.
    AtOnce(Outputs<K, Change<V>>),
    /// Into the store's cache; a [`CacheForwarder`] sends them on.
    AtFlush,
}

impl<K: 'static, V: Clone + 'static> Updates<K, V> {
    /// Hands `outputs` to the cache of `store` if it has one.
    pub(crate) fn new<S: CachedStore<K, V> + 'static>(
        builder: &mut TaskBuilder<'_>,
        node: &Arc<str>,
        store: &Rc<RefCell<S>>,
        store_name: &str,
        outputs: Outputs<K, Change<V>>,
        send_old: bool,
    ) -> Self {
        if !store.borrow().caching() {
            return Self::AtOnce(outputs);
        }
        if send_old {
            store.borrow_mut().send_old_values();
        }
        let forwarder = CacheForwarder { node: node.clone(), store: store.clone(), outputs, send_old };
        builder.forwards_cache_of(store_name, Rc::new(RefCell::new(forwarder)));
        Self::AtFlush
    }

    /// Whether [`forward`](Self::forward) has somebody to send to.
    #[inline]
    pub(crate) fn wanted(&self) -> bool {
        match self {
            Self::AtOnce(outputs) => !outputs.is_empty(),
            Self::AtFlush => false,
        }
    }

    /// Sends an update on, unless the cache does it later.
    #[inline]
    pub(crate) fn forward(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        match self {
            Self::AtOnce(outputs) => outputs.forward(context, record),
            Self::AtFlush => Ok(()),
        }
    }
}

/// Sends on what a cache held back, each update with the context in which it was made.
struct CacheForwarder<S, K, V> {
    node: Arc<str>,
    store: Rc<RefCell<S>>,
    outputs: Outputs<K, Change<V>>,
    send_old: bool,
}

impl<S: CachedStore<K, V>, K: 'static, V: Clone + 'static> Lifecycle for CacheForwarder<S, K, V> {
    fn flush_cache(&mut self, context: &mut TaskContext, max: usize) -> NodeResult<bool> {
        for _ in 0..max {
            let popped = self.store.borrow_mut().pop_cached();
            let Some(update) = popped.map_err(|error| context.state_error(&self.node, error))? else {
                let refused = self.store.borrow_mut().take_refused();
                (0..refused).for_each(|_| context.drop_record(&self.node, DropReason::Late));
                return Ok(true);
            };
            let headers = update.context.headers.clone();
            let outer = std::mem::replace(&mut context.record, update.context);
            let change = Change { old: update.change.old.filter(|_| self.send_old), ..update.change };
            let record = Record { key: update.key, value: change, timestamp: update.timestamp, headers };
            let result = self.outputs.forward(context, record);
            context.record = outer;
            result?;
        }
        Ok(false)
    }
}
