//! What a query gives: a result for each partition of the store that is here.

use std::collections::BTreeMap;

use streams_state::types::Timestamp;

use super::{FailureReason, Position, QueryFailure, StateQueryRequest};

/// A value and its timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ValueAndTimestamp<V> {
    /// The value.
    pub value: V,
    /// Its timestamp, ms.
    pub timestamp: Timestamp,
}

/// What one partition of a store says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryResult<R> {
    /// The result, or why there is none.
    pub result: Result<R, QueryFailure>,
    /// What the store has seen of its inputs: the result shows exactly this, and nothing after it.
    pub position: Position,
    /// Who answered, if it was asked for.
    pub execution_info: Vec<String>,
}

impl<R> QueryResult<R> {
    pub(crate) fn failed(failure: QueryFailure) -> Self {
        Self { result: Err(failure), position: Position::empty(), execution_info: Vec::new() }
    }

    /// Why it failed.
    pub fn failure_reason(&self) -> Option<FailureReason> {
        self.result.as_ref().err().map(|failure| failure.reason)
    }
}

/// What a query gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateQueryResult<R> {
    /// By partition of the store: those that were asked for, or all that are on this instance.
    pub partition_results: BTreeMap<i32, QueryResult<R>>,
    /// What a global store says, which has no partitions.
    pub global_result: Option<QueryResult<R>>,
    /// Partitions of the store that were meant and are not on this instance at the moment.
    pub elsewhere: Vec<i32>,
}

impl<R> StateQueryResult<R> {
    /// What the partitions that are here said. `all` are the partitions of the store, wherever they are.
    pub(crate) fn of(
        request: &StateQueryRequest<R>,
        mut results: BTreeMap<i32, QueryResult<R>>,
        all: &[i32],
    ) -> Self {
        let mut elsewhere = Vec::new();
        match request.partitions() {
            None => elsewhere.extend(all.iter().filter(|partition| !results.contains_key(partition))),
            Some(meant) => {
                for partition in meant {
                    let absent = || QueryResult::failed(absent(request.store_name(), *partition, all));
                    results.entry(*partition).or_insert_with(absent);
                }
            }
        }
        Self { partition_results: results, global_result: None, elsewhere }
    }

    /// What a global store said.
    pub(crate) fn global(result: QueryResult<R>) -> Self {
        Self { partition_results: BTreeMap::new(), global_result: Some(result), elsewhere: Vec::new() }
    }

    /// All results, the global one first.
    pub fn results(&self) -> impl Iterator<Item = &QueryResult<R>> {
        self.global_result.iter().chain(self.partition_results.values())
    }

    /// What all stores that answered have seen, together: a bound for later queries that are not to go back.
    pub fn position(&self) -> Position {
        self.results().fold(Position::empty(), |mut all, result| {
            all.merge(&result.position);
            all
        })
    }

    fn into_results(self) -> impl Iterator<Item = QueryResult<R>> {
        self.global_result.into_iter().chain(self.partition_results.into_values())
    }

    /// The failure that says that a part of the store is not here.
    fn absent(&self) -> Option<QueryFailure> {
        if self.global_result.is_some() || self.elsewhere.is_empty() {
            return None;
        }
        let message = format!(
            "partitions {:?} of the store are not on this instance, or are on their way to one of its threads; ask the \
             instance that has them, or again in a moment",
            self.elsewhere
        );
        Some(QueryFailure::new(FailureReason::NotPresent, message))
    }
}

/// Why a partition that was asked for has no result.
#[cold]
fn absent(store: &str, partition: i32, all: &[i32]) -> QueryFailure {
    if all.contains(&partition) {
        let message = format!(
            "partition {partition} of store `{store}` is not on this instance, or is on its way to one of its threads; ask the \
             instance that has it, or again in a moment"
        );
        return QueryFailure::new(FailureReason::NotPresent, message);
    }
    let message = format!("store `{store}` has no partition {partition}; it has {all:?}");
    QueryFailure::new(FailureReason::DoesNotExist, message)
}

impl<T> StateQueryResult<Option<T>> {
    /// What one of the partitions has of a key. `None`: all partitions of the store that were meant are here, and none has it.
    ///
    /// # Errors
    /// None that answered has it, and one could not answer, or is not here.
    pub fn found(self) -> Result<Option<T>, QueryFailure> {
        let mut failure = self.absent();
        for result in self.into_results() {
            match result.result {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(failed) => failure = Some(failed),
            }
        }
        failure.map_or(Ok(None), Err)
    }
}

impl<T> StateQueryResult<Vec<T>> {
    /// The rows of all partitions, one partition after the other.
    ///
    /// # Errors
    /// A partition could not answer, or is not here.
    pub fn rows(self) -> Result<Vec<T>, QueryFailure> {
        if let Some(failure) = self.absent() {
            return Err(failure);
        }
        let rows = self.into_results().map(|result| result.result).collect::<Result<Vec<_>, _>>();
        Ok(rows?.into_iter().flatten().collect())
    }
}
