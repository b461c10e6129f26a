//! Who wants to know when partitions come and go.

use streams_state::types::TopicPartition;

use super::partitions::Partitions;

/// Hears of the partitions of a consumer, from within its [`poll`](super::TopicConsumer::poll). With Kafka's eager protocol
/// all are given back before some are assigned anew. With [`Assignor::CooperativeSticky`](super::Assignor::CooperativeSticky) it hears
/// of those that come and go only, and the others are read on; a rebalance that brings none says so with an empty list.
///
/// ```
/// use streams_core::clients::{Partitions, RebalanceListener};
/// use streams_core::types::TopicPartition;
///
/// struct CommitFirst;
///
/// impl RebalanceListener for CommitFirst {
///     fn revoked(&mut self, partitions: &[TopicPartition], consumer: &mut Partitions) {
///         if let Err(error) = consumer.commit() {
///             eprintln!("{partitions:?} will be read again: {error}");
///         }
///     }
/// }
/// ```
pub trait RebalanceListener: Send {
    /// These are ours now, and begin where the group's offsets or the reset policy say. The place to seek.
    fn assigned(&mut self, _partitions: &[TopicPartition], _consumer: &mut Partitions) {}

    /// These are given back after this. The last moment to commit.
    fn revoked(&mut self, _partitions: &[TopicPartition], _consumer: &mut Partitions) {}

    /// These are others' already: nothing can be committed.
    fn lost(&mut self, _partitions: &[TopicPartition]) {}
}
