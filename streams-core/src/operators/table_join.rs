//! Joins two tables by key: each side's updates meet the other side's row of that moment, and a merge node keeps
//! and sends on what comes of both.

use std::sync::Arc;

use streams_state::types::{Change, NO_TIMESTAMP, Timestamp};

use super::{BoxGetter, ReadResult, RowRef, TableStore, Updates, ValueGetter, update_context};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Which rows a join needs to have a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Needs {
    /// No result without a row of this side.
    pub(crate) own: bool,
    /// No result without a row of the other side.
    pub(crate) other: bool,
}

impl Needs {
    /// Seen from the other side.
    pub(crate) fn flipped(self) -> Self {
        Self { own: self.other, other: self.own }
    }
}

/// One side of a join: updates of a table of `V1` meet rows of a table of `V2`. `join` is given rows as seen from
/// this side.
pub(crate) struct TableTableJoin<K, V2, VO, J> {
    pub(crate) name: Arc<str>,
    pub(crate) other: BoxGetter<K, V2>,
    pub(crate) side: Side<J>,
    /// The table whose updates come in is versioned: updates of the past are dropped, as the join is one of latest rows.
    pub(crate) versioned: bool,
    pub(crate) outputs: Outputs<K, Change<VO>>,
}

/// How one side joins.
pub(crate) struct Side<J> {
    pub(crate) join: J,
    pub(crate) needs: Needs,
    pub(crate) send_old: bool,
}

/// What a join makes of an update; `None`: nothing is sent.
type Joined<VO> = Option<(Change<VO>, Timestamp)>;

impl<J> Side<J> {
    fn joined<K, V1, V2, VO>(
        &self,
        key: &K,
        change: &Change<V1>,
        row: RowRef<'_, V2>,
    ) -> Result<Joined<VO>, BoxError>
    where
        J: Fn(&K, Option<&V1>, Option<&V2>) -> Result<Option<VO>, BoxError>,
    {
        if row.is_none() && (self.needs.other || (change.new.is_none() && change.old.is_none())) {
            return Ok(None);
        }
        let (other, time) = row.map_or((None, NO_TIMESTAMP), |(other, time)| (Some(other), time));
        let join = |own: Option<&V1>| match own {
            None if self.needs.own || other.is_none() => Ok(None),
            own => (self.join)(key, own, other),
        };
        let new = join(change.new.as_ref())?;
        let old = if self.send_old { join(change.old.as_ref())? } else { None };
        Ok(Some((Change { old, new, is_latest: change.is_latest }, time)))
    }
}

impl<K, V1, V2, VO, J> Push<K, Change<V1>> for TableTableJoin<K, V2, VO, J>
where
    K: 'static,
    VO: 'static,
    J: Fn(&K, Option<&V1>, Option<&V2>) -> Result<Option<VO>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V1>>) -> NodeResult {
        let Record { key, value: change, timestamp, headers } = record;
        if self.versioned && !change.is_latest {
            context.drop_record(&self.name, DropReason::Late);
            return Ok(());
        }
        let (side, mut joined) = (&self.side, Ok(None));
        let read = self.other.read(context, &key, &mut |row| joined = side.joined(&key, &change, row));
        if let Err(cause) = read {
            return context.read_failed(&self.name, cause);
        }
        match joined.map_err(|error| context.user_error(&self.name, error))? {
            None => Ok(()),
            Some((value, time)) => {
                let timestamp = timestamp.max(time);
                self.outputs.forward(context, Record { key, value, timestamp, headers })
            }
        }
    }
}

/// Where both sides of a join meet: keeps the rows if the table has a store.
pub(crate) struct TableJoinMerge<K, VO> {
    pub(crate) name: Arc<str>,
    pub(crate) store: Option<TableStore<K, VO>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, VO>,
}

impl<K: 'static, VO: Clone + 'static> Push<K, Change<VO>> for TableJoinMerge<K, VO> {
    fn push(&mut self, context: &mut TaskContext, mut record: Record<K, Change<VO>>) -> NodeResult {
        match &self.store {
            None if self.send_old => {}
            None => record.value.old = None,
            Some(store) => {
                let update = update_context(context, &record);
                let put = store
                    .put(&record.key, record.value.new.clone(), record.timestamp, &update)
                    .map_err(|error| context.state_error(&self.name, error))?;
                match put.accepted(context, &self.name) {
                    Some(is_latest) => record.value.is_latest = is_latest,
                    None => return Ok(()),
                }
            }
        }
        self.updates.forward(context, record)
    }
}

/// Reads the result of a join that has no store: joins the rows of both sides each time.
pub(crate) struct TableJoinGetter<K, V1, V2, J> {
    pub(crate) this: BoxGetter<K, V1>,
    pub(crate) other: BoxGetter<K, V2>,
    pub(crate) join: Arc<J>,
    pub(crate) needs: Needs,
}

impl<K, V1, V2, VO, J> ValueGetter<K, VO> for TableJoinGetter<K, V1, V2, J>
where
    V1: Clone,
    J: Fn(&K, Option<&V1>, Option<&V2>) -> Result<Option<VO>, BoxError>,
{
    /// A join has no past of its own, also if its tables have one: `read_as_of` reads the rows of today.
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, VO>),
    ) -> ReadResult {
        let mut own = None;
        self.this.read(context, key, &mut |row| own = row.map(|(value, time)| (value.clone(), time)))?;
        if own.is_none() && self.needs.own {
            visit(None);
            return Ok(());
        }
        let (join, needs, mut shown) = (&self.join, self.needs, Ok(()));
        self.other.read(context, key, &mut |row| {
            let own = own.as_ref().map(|(value, time)| (value, *time));
            if row.is_none() && (needs.other || own.is_none()) {
                return visit(None);
            }
            let time = |row: Option<Timestamp>| row.unwrap_or(NO_TIMESTAMP);
            let time = time(own.map(|(_, time)| time)).max(time(row.map(|(_, time)| time)));
            match join(key, own.map(|(value, _)| value), row.map(|(value, _)| value)) {
                Ok(joined) => visit(joined.as_ref().map(|joined| (joined, time))),
                Err(error) => shown = Err(error),
            }
        })?;
        shown.map_err(TaskErrorCause::Processing)
    }
}
