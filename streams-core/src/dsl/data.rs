//! The one bound that users meet: data that a default serde can write and read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A key or value that the default serde [`Auto`](crate::serdes::Auto) can write and read: every type with serde's
/// `Serialize` and `Deserialize`.
///
/// Asked for only where records leave or enter memory: sources, sinks, groupings, joins, repartitions, stores.
/// Types between two operators need nothing. A type without serde passes there with the `_with` variant and a
/// serde of its own (`Grouped::serdes`, `Materialized::serdes`, ...).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key or value of a topic or store",
    label = "needs `Serialize` and `Deserialize`",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]`, or name a serde with the `_with` variant of this operator"
)]
pub trait Data: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Data for T {}
