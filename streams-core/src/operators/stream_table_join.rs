//! Enriches records with the row that a table, local or global, has at that moment.

use std::ops::Deref;
use std::sync::Arc;

use super::{BoxGetter, NullCheck, RowRef};
use crate::error::{BoxError, NodeResult};
use crate::outcome::Outcome;
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// The key under which a join looks into the table.
pub(crate) enum TableKey<'a, KT> {
    Own(&'a KT),
    Selected(KT),
}

impl<KT> Deref for TableKey<'_, KT> {
    type Target = KT;
    #[inline]
    fn deref(&self) -> &KT {
        match self {
            Self::Own(key) => key,
            Self::Selected(key) => key,
        }
    }
}

/// How a join finds the table's key of a record.
pub(crate) trait SelectTableKey<K, V, KT> {
    fn select<'a>(&self, key: &'a K, value: &V) -> Result<TableKey<'a, KT>, BoxError>;
}

/// The record's own key.
pub(crate) struct OwnKey;

impl<K, V> SelectTableKey<K, V, K> for OwnKey {
    #[inline]
    fn select<'a>(&self, key: &'a K, _value: &V) -> Result<TableKey<'a, K>, BoxError> {
        Ok(TableKey::Own(key))
    }
}

/// A key that user code takes from the record.
pub(crate) struct SelectedKey<F>(pub(crate) F);

impl<K, V, KT, F: Fn(&K, &V) -> R, R: Outcome<KT>> SelectTableKey<K, V, KT> for SelectedKey<F> {
    #[inline]
    fn select<'a>(&self, key: &'a K, value: &V) -> Result<TableKey<'a, KT>, BoxError> {
        (self.0)(key, value).into_result().map(TableKey::Selected)
    }
}

/// Joins a stream of `K, V` with a table of `KT, VT`. `join` gives the result, or nothing (an inner join
/// without a row).
pub(crate) struct StreamTableJoin<K, V, KT, VT, VO, S, J> {
    pub(crate) name: Arc<str>,
    pub(crate) values: NullCheck<V>,
    pub(crate) table_keys: NullCheck<KT>,
    pub(crate) table: BoxGetter<KT, VT>,
    pub(crate) select: Arc<S>,
    pub(crate) join: Arc<J>,
    /// A left join keeps records without a table key.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, VO>,
}

impl<K, V: 'static, KT: 'static, VT, VO, S, J> Push<K, V> for StreamTableJoin<K, V, KT, VT, VO, S, J>
where
    K: 'static,
    VO: 'static,
    S: SelectTableKey<K, V, KT>,
    J: Fn(&K, V, Option<&VT>) -> Result<Option<VO>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        if self.values.is_null(&record.value) {
            context.drop_record(&self.name, DropReason::NullValue);
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        let table_key = self.select.select(&key, &value);
        let table_key = table_key.map_err(|error| context.user_error(&self.name, error))?;
        let joined = if !self.table_keys.is_null(&table_key) {
            let join = &self.join;
            let mut value = Some(value);
            let mut joined = Ok(None);
            let mut visit = |row: RowRef<'_, VT>| {
                if let Some(value) = value.take() {
                    joined = join(&key, value, row.map(|(row, _)| row));
                }
            };
            let read = self.table.read_as_of(context, &table_key, timestamp, &mut visit);
            if let Err(cause) = read {
                return context.read_failed(&self.name, cause);
            }
            joined
        } else if self.left {
            (self.join)(&key, value, None)
        } else {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        };
        match joined.map_err(|error| context.user_error(&self.name, error))? {
            Some(value) => self.outputs.forward(context, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }
}
