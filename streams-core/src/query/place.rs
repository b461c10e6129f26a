//! A store in the hands of a query: in a task, or shared by all threads.

use std::cell::RefCell;

use streams_state::error::StateError;

use super::{FailureReason, QueryFailure};
use crate::processor::{GlobalStore, StoreInstance};

/// The store that a [`Query`](super::Query) reads.
pub struct QueriedStore<'a>(pub(crate) Place<'a>);

pub(crate) enum Place<'a> {
    /// In a task of the thread that answers.
    Task(&'a StoreInstance),
    /// Behind a lock.
    Global(&'a GlobalStore),
}

impl QueriedStore<'_> {
    /// Lets `read` look at the store if it is an `S`; `None` if it has another type. What it returns is copied: the store changes with
    /// the next record.
    ///
    /// # Errors
    /// What `read` said, as `STORE_EXCEPTION`.
    pub fn read<S: 'static, R>(
        &self,
        read: impl FnOnce(&mut S) -> Result<R, StateError>,
    ) -> Option<Result<R, QueryFailure>> {
        let answer = match &self.0 {
            Place::Task(instance) => read(&mut instance.typed.downcast_ref::<RefCell<S>>()?.borrow_mut()),
            Place::Global(store) => store.typed::<S>()?.read(read),
        };
        let failed = |error: StateError| QueryFailure::new(FailureReason::StoreException, error.to_string());
        Some(answer.map_err(failed))
    }

    /// As [`read`](Self::read); another type than `S` is a failure that names both.
    ///
    /// # Errors
    /// `UNKNOWN_QUERY_TYPE`, or what `read` said.
    pub fn read_as<S: 'static, R>(
        &self,
        query: &str,
        read: impl FnOnce(&mut S) -> Result<R, StateError>,
    ) -> Result<R, QueryFailure> {
        self.read(read).unwrap_or_else(|| Err(self.other_type(query, std::any::type_name::<S>())))
    }

    /// The type of the store.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.0 {
            Place::Task(instance) => instance.type_name,
            Place::Global(store) => store.type_name(),
        }
    }

    #[cold]
    fn other_type(&self, query: &str, wanted: &str) -> QueryFailure {
        let message = format!(
            "a {query} reads a {wanted}, and this store is a {}; use the `Store` constant that the topology was built with, \
             and a query for its kind",
            self.type_name()
        );
        QueryFailure::new(FailureReason::UnknownQueryType, message)
    }

    /// The store is of the right type, and cannot answer this form of the query.
    #[cold]
    pub(super) fn other_form(&self, why: &str) -> QueryFailure {
        let message = format!("this store ({}) cannot answer it: {why}", self.type_name());
        QueryFailure::new(FailureReason::UnknownQueryType, message)
    }
}
