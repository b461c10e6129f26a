//! The store of one side of a stream-stream join, in one of two forms: rows with the headers of their records, or slim.
//!
//! As in Kafka Streams rows in memory keep the headers, and rows on disk do not unless `dsl.store.format` says so. The
//! join itself never looks at them: they are for processors and tests that read the store.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use streams_state::error::StateError;
use streams_state::store::{RowVisitor, WindowStore};
use streams_state::types::{RecordContext, Timestamp, ValueAndHeaders};

use crate::error::NodeResult;
use crate::processor::TaskBuilder;

/// A window store with a row for each record.
pub(crate) enum JoinStore<K, V> {
    Slim(Rc<RefCell<WindowStore<K, V>>>),
    WithHeaders(Rc<RefCell<WindowStore<K, ValueAndHeaders<V>>>>),
}

impl<K: 'static, V: Clone + 'static> JoinStore<K, V> {
    /// The store `name`, for `node`, in the form in which it was made.
    pub(crate) fn find(builder: &TaskBuilder<'_>, node: &str, name: &str) -> NodeResult<Self> {
        match builder.store(node, name) {
            Ok(store) => Ok(Self::WithHeaders(store)),
            Err(_) => Ok(Self::Slim(builder.store(node, name)?)),
        }
    }

    /// Adds a row at the time of `update`. `false`: it came too late.
    pub(crate) fn put(
        &self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        update: &RecordContext,
    ) -> Result<bool, StateError> {
        match self {
            Self::Slim(store) => store.borrow_mut().put(key, timestamp, value, timestamp, update),
            Self::WithHeaders(store) => {
                let row = value.map(|value| ValueAndHeaders { value, headers: update.headers.clone() });
                store.borrow_mut().put(key, timestamp, row, timestamp, update)
            }
        }
    }

    /// Visits the rows of `key` in `from..=to`, in order of time.
    #[inline]
    pub(crate) fn fetch_range(
        &self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<(), StateError> {
        match self {
            Self::Slim(store) => store.borrow_mut().fetch_range(key, from, to, visit),
            Self::WithHeaders(store) => {
                let visit = &mut |start: Timestamp,
                                  row: &ValueAndHeaders<V>,
                                  timestamp: Timestamp|
                 -> ControlFlow<()> { visit(start, &row.value, timestamp) };
                store.borrow_mut().fetch_range(key, from, to, visit)
            }
        }
    }
}
