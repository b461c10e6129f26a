//! Which partition a record goes to, where the default (murmur2 of the key bytes) is not wanted.

use std::sync::Arc;

use crate::error::BoxError;

/// A partitioner's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartitionChoice {
    /// Whatever the default partitioner says.
    Default,
    /// This partition.
    One(i32),
    /// All of these partitions, one copy each.
    Many(Vec<i32>),
    /// None: the record is dropped and counted.
    Drop,
}

impl From<i32> for PartitionChoice {
    fn from(partition: i32) -> Self {
        Self::One(partition)
    }
}

impl From<Option<i32>> for PartitionChoice {
    fn from(partition: Option<i32>) -> Self {
        partition.map_or(Self::Default, Self::One)
    }
}

/// Chooses by topic, key, value and the topic's number of partitions.
pub type Partitioner<K, V> =
    Arc<dyn Fn(&str, &K, &V, i32) -> Result<PartitionChoice, BoxError> + Send + Sync>;

/// What a function that chooses partitions returns: a partition, perhaps none (the default partitioner decides), a
/// [`PartitionChoice`], or a `Result` of any of these.
pub trait PartitionOutcome {
    #[doc(hidden)]
    fn into_choice(self) -> Result<PartitionChoice, BoxError>;
}

impl PartitionOutcome for i32 {
    fn into_choice(self) -> Result<PartitionChoice, BoxError> {
        Ok(self.into())
    }
}

impl PartitionOutcome for Option<i32> {
    fn into_choice(self) -> Result<PartitionChoice, BoxError> {
        Ok(self.into())
    }
}

impl PartitionOutcome for PartitionChoice {
    fn into_choice(self) -> Result<PartitionChoice, BoxError> {
        Ok(self)
    }
}

impl<C: Into<PartitionChoice>, E: Into<BoxError>> PartitionOutcome for Result<C, E> {
    fn into_choice(self) -> Result<PartitionChoice, BoxError> {
        self.map(Into::into).map_err(Into::into)
    }
}
