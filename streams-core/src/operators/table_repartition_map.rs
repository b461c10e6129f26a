//! Sends the changes of a table to where their rows are aggregated: under a new key, old and new value together if
//! both have it, else the old one first, so that it is subtracted before the new one is added.

use std::sync::Arc;

use streams_state::types::Change;

use super::NullCheck;
use crate::error::NodeResult;
use crate::outcome::Outcome;
use crate::processor::{Outputs, Push, TaskContext};
use crate::record::Record;

/// The node of `KTable::group_by`. Rows whose new key or value is null belong to no group.
pub(crate) struct TableRepartitionMap<K1, V1, F> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K1>,
    pub(crate) values: NullCheck<V1>,
    pub(crate) select: Arc<F>,
    /// The table is versioned: updates of the past are skipped, as an aggregate is one of latest rows.
    pub(crate) versioned: bool,
    pub(crate) outputs: Outputs<K1, Change<V1>>,
}

impl<K, V, K1, V1, F, R> Push<K, Change<V>> for TableRepartitionMap<K1, V1, F>
where
    K1: PartialEq + 'static,
    V1: 'static,
    F: Fn(&K, &V) -> R,
    R: Outcome<(K1, V1)>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let Record { key, value: change, timestamp, headers } = record;
        if self.versioned && !change.is_latest {
            return Ok(());
        }
        let group = |value: Option<V>| {
            let Some(value) = value else { return Ok(None) };
            let (key, value) = (self.select)(&key, &value).into_result()?;
            Ok((!self.keys.is_null(&key) && !self.values.is_null(&value)).then_some((key, value)))
        };
        let failed = |error| context.user_error(&self.name, error);
        let new = group(change.new).map_err(failed)?;
        let old = group(change.old).map_err(failed)?;
        let mut send = |key, old, new| {
            let value = Change::latest(old, new);
            self.outputs.forward(context, Record { key, value, timestamp, headers: headers.clone() })
        };
        match (old, new) {
            (None, None) => Ok(()),
            (Some((key, old)), None) => send(key, Some(old), None),
            (None, Some((key, new))) => send(key, None, Some(new)),
            (Some((key, old)), Some((new_key, new))) if key == new_key => send(key, Some(old), Some(new)),
            (Some((old_key, old)), Some((key, new))) => {
                send(old_key, Some(old), None)?;
                send(key, None, Some(new))
            }
        }
    }
}
