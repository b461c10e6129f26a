//! Folds the records of a key into sessions: a record opens one, joins one, or joins two into one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::store::SessionStore;
use streams_state::types::{Change, Timestamp, Window, Windowed};

use super::{NullCheck, ReadResult, RowRef, SessionEmission, ValueGetter, update_context};
use crate::error::{BoxError, NodeResult};
use crate::outcome::Outcome;
use crate::processor::{DropReason, Push, TaskContext};
use crate::record::Record;

/// A session store, shared by the node that writes it and those that read it.
pub(crate) type SessionStoreRef<K, A> = Rc<RefCell<SessionStore<K, A>>>;

/// One way to fold sessions. `None` is an aggregate that is missing.
pub(crate) trait SessionAggregate<K, V, A> {
    /// What a session starts from.
    fn init(&self) -> Option<A>;
    /// A record is added to what its sessions came to.
    fn add(&self, key: &K, value: V, aggregate: Option<A>) -> Result<Option<A>, BoxError>;
    /// What came so far, merged with another session.
    fn merge(&self, key: &K, aggregate: Option<A>, session: A) -> Result<Option<A>, BoxError>;
}

/// `aggregate`: an initial value, changes in place, and a merger.
pub(crate) struct SessionFold<I, F, M> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) merge: M,
}

impl<K, V, A, I, F, M, RF, RM> SessionAggregate<K, V, A> for SessionFold<I, F, M>
where
    I: Fn() -> A,
    F: Fn(&K, V, &mut A) -> RF,
    M: Fn(&K, A, A) -> RM,
    RF: Outcome<()>,
    RM: Outcome<A>,
{
    fn init(&self) -> Option<A> {
        Some((self.init)())
    }

    fn add(&self, key: &K, value: V, aggregate: Option<A>) -> Result<Option<A>, BoxError> {
        let mut aggregate = aggregate.unwrap_or_else(|| (self.init)());
        (self.add)(key, value, &mut aggregate).into_result()?;
        Ok(Some(aggregate))
    }

    fn merge(&self, key: &K, aggregate: Option<A>, session: A) -> Result<Option<A>, BoxError> {
        match aggregate {
            Some(aggregate) => (self.merge)(key, aggregate, session).into_result().map(Some),
            None => Ok(Some(session)),
        }
    }
}

/// `aggregate_opt`: aggregates may be missing, and a missing result leaves no session.
pub(crate) struct SessionFoldOption<I, F, M> {
    pub(crate) init: I,
    pub(crate) add: F,
    pub(crate) merge: M,
}

impl<K, V, A, I, F, M, RF, RM> SessionAggregate<K, V, A> for SessionFoldOption<I, F, M>
where
    I: Fn() -> Option<A>,
    F: Fn(&K, V, Option<A>) -> RF,
    M: Fn(&K, Option<A>, A) -> RM,
    RF: Outcome<Option<A>>,
    RM: Outcome<Option<A>>,
{
    fn init(&self) -> Option<A> {
        (self.init)()
    }

    fn add(&self, key: &K, value: V, aggregate: Option<A>) -> Result<Option<A>, BoxError> {
        (self.add)(key, value, aggregate).into_result()
    }

    fn merge(&self, key: &K, aggregate: Option<A>, session: A) -> Result<Option<A>, BoxError> {
        (self.merge)(key, aggregate, session).into_result()
    }
}

/// `reduce`: the first value is the session's, later ones and other sessions are merged into it.
pub(crate) struct SessionReduce<F>(pub(crate) F);

impl<K, V, F: Fn(V, V) -> R, R: Outcome<V>> SessionAggregate<K, V, V> for SessionReduce<F> {
    fn init(&self) -> Option<V> {
        None
    }

    fn add(&self, key: &K, value: V, aggregate: Option<V>) -> Result<Option<V>, BoxError> {
        self.merge(key, aggregate, value)
    }

    fn merge(&self, _key: &K, aggregate: Option<V>, session: V) -> Result<Option<V>, BoxError> {
        match aggregate {
            Some(aggregate) => (self.0)(aggregate, session).into_result().map(Some),
            None => Ok(Some(session)),
        }
    }
}

/// `reduce_opt`: as [`SessionReduce`] over values that may be null; null values reach the reducer, as in Kafka Streams.
pub(crate) struct SessionReduceOption<F>(pub(crate) F);

impl<K, T, F, R> SessionAggregate<K, Option<T>, T> for SessionReduceOption<F>
where
    F: Fn(T, Option<T>) -> R,
    R: Outcome<Option<T>>,
{
    fn init(&self) -> Option<T> {
        None
    }

    fn add(&self, _key: &K, value: Option<T>, aggregate: Option<T>) -> Result<Option<T>, BoxError> {
        match aggregate {
            Some(aggregate) => (self.0)(aggregate, value).into_result(),
            None => Ok(value),
        }
    }

    fn merge(&self, key: &K, aggregate: Option<T>, session: T) -> Result<Option<T>, BoxError> {
        self.add(key, Some(session), aggregate)
    }
}

/// The aggregation of a grouped stream over sessions.
pub(crate) struct SessionWindowAggregate<K, V, A, G> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: NullCheck<K>,
    pub(crate) aggregate: Arc<G>,
    pub(crate) gap: Timestamp,
    pub(crate) grace: Timestamp,
    pub(crate) store: SessionStoreRef<K, A>,
    pub(crate) send_old: bool,
    pub(crate) emission: SessionEmission<K, A>,
    /// Largest timestamp that this node has seen.
    pub(crate) stream_time: Timestamp,
    /// The sessions that the record in work joins.
    pub(crate) merged: Vec<(Window, A)>,
    pub(crate) input: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, G> SessionWindowAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: 'static,
    A: Clone + 'static,
    G: SessionAggregate<K, V, A>,
{
    /// What the sessions in `merged` and the value come to.
    fn aggregated(&self, key: &K, value: V, merged: &[(Window, A)]) -> Result<Option<A>, BoxError> {
        let mut aggregate = self.aggregate.init();
        for (_, session) in merged {
            aggregate = self.aggregate.merge(key, aggregate, session.clone())?;
        }
        self.aggregate.add(key, value, aggregate)
    }

    /// Adds the record to the sessions in `merged`, which become `session`.
    fn join(
        &mut self,
        context: &mut TaskContext,
        record: Record<K, V>,
        merged: &mut Vec<(Window, A)>,
        session: Window,
    ) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value, timestamp, headers: _ } = record;
        let wanted = self.emission.wants_updates();
        // Before anything is removed: user code may fail.
        let aggregate = self.aggregated(&key, value, merged);
        let aggregate = aggregate.map_err(|error| context.user_error(&self.name, error))?;
        let grown = session != Window { start: timestamp, end: timestamp };
        for (window, value) in merged.drain(..).filter(|_| grown) {
            let removed = self.store.borrow_mut().remove(&key, window, &update);
            removed.map_err(|error| context.state_error(&self.name, error))?;
            if wanted {
                let change = Change::latest(self.send_old.then_some(value), None);
                self.emission.forward(context, Windowed { key: key.clone(), window }, change)?;
            }
        }
        let new = if wanted { aggregate.clone() } else { None };
        let put = self.store.borrow_mut().put(&key, session, aggregate, &update);
        if !put.map_err(|error| context.state_error(&self.name, error))? {
            context.drop_record(&self.name, DropReason::Late);
        }
        if !wanted {
            return Ok(());
        }
        self.emission.forward(context, Windowed { key, window: session }, Change::latest(None, new))
    }
}

impl<K, V, A, G> Push<K, V> for SessionWindowAggregate<K, V, A, G>
where
    K: Clone + 'static,
    V: 'static,
    A: Clone + 'static,
    G: SessionAggregate<K, V, A>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        if self.keys.is_null(&record.key) {
            context.drop_record(&self.name, DropReason::NullKey);
            return Ok(());
        }
        let (timestamp, headers) = (record.timestamp, record.headers.clone());
        self.stream_time = self.stream_time.max(timestamp);
        let close = self.stream_time.saturating_sub(self.grace).saturating_sub(self.gap);
        let mut session = Window { start: timestamp, end: timestamp };
        let mut merged = std::mem::take(&mut self.merged);
        let found = self.store.borrow_mut().find_sessions(
            &record.key,
            timestamp.saturating_sub(self.gap),
            timestamp.saturating_add(self.gap),
            &mut |window, value| {
                session.start = session.start.min(window.start);
                session.end = session.end.max(window.end);
                merged.push((window, value.clone()));
            },
        );
        found.map_err(|error| context.state_error(&self.name, error))?;
        if session.end < close {
            context.drop_record(&self.name, DropReason::Late);
        } else {
            self.join(context, record, &mut merged, session)?;
        }
        merged.clear();
        self.merged = merged;
        self.emission.close(context, &self.store, close, &headers)
    }
}

/// Reads a table of sessions from its store. The time of a row is the end of its session.
pub(crate) struct SessionGetter<K, A>(pub(crate) SessionStoreRef<K, A>);

impl<K: 'static, A: Clone + 'static> ValueGetter<Windowed<K>, A> for SessionGetter<K, A> {
    fn read(
        &mut self,
        _context: &mut TaskContext,
        key: &Windowed<K>,
        visit: &mut dyn FnMut(RowRef<'_, A>),
    ) -> ReadResult {
        let mut store = self.0.borrow_mut();
        visit(store.fetch_session(&key.key, key.window)?.map(|value| (value, key.window.end)));
        Ok(())
    }
}
