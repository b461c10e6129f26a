//! Interactive queries: what a running application holds in its stores, asked from outside of it.
//!
//! In: a [`StateQueryRequest`] with a [`Query`] for the types of a store. Out: for each partition of the store that is here a result or
//! the reason why there is none, and the [`Position`] in the inputs that it shows. Who asks whom: `runtime/queries.rs`. A query is a
//! closure over typed stores by then; it is run by the thread that owns them, between two batches, so that rows are never torn and
//! reading needs no lock on the path of a record.

// What comes back.
mod failure;
mod position;
mod result;
// Where it is asked.
mod place;
// What can be asked.
mod key_value;
mod request;
mod versioned;
mod windows;

pub use failure::{FailureReason, QueryError, QueryFailure};
pub use key_value::{KeyQuery, RangeQuery, ResultOrder, TimestampedKeyQuery, TimestampedRangeQuery};
pub use place::QueriedStore;
pub use position::{NoPosition, Position, PositionBound};
pub use request::{InStore, Query, StateQueryRequest};
pub use result::{QueryResult, StateQueryResult, ValueAndTimestamp};
pub use versioned::{MultiVersionedKeyQuery, VersionedKeyQuery, VersionedRecord};
pub use windows::{WindowKeyQuery, WindowRangeQuery};

pub(crate) use request::{Sight, Stale};
