//! What a failure of librdkafka means: one match from its codes to [`Fault`].
//!
//! In: a [`Failure`]. Out: its kind. Knows nothing of the call that failed; a caller that knows more (a commit whose
//! outcome is in doubt) says so itself.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::ffi::Failure;
use crate::client::Fault;

/// What the failure means.
///
/// Membership and fencing are told by the code whatever the flags say: after them the runtime does more than abort. What is not
/// allowed is not allowed in the next transaction either.
/// For the rest the flags come first: librdkafka sets them from the state of the transaction. A static member whose
/// place another took is dead, not only out of the group: it would fence the other in turn.
pub(super) fn fault(failure: &Failure) -> Fault {
    let by_code = by_code(failure.code);
    match by_code {
        Fault::NotInGroup if failure.fatal => Fault::ClientDead,
        Fault::NotInGroup | Fault::ProducerFenced | Fault::Denied => by_code,
        _ if failure.fatal => Fault::ClientDead,
        _ if failure.requires_abort => Fault::AbortTransaction,
        _ if failure.retriable => Fault::Retriable,
        _ => by_code,
    }
}

fn by_code(code: Code) -> Fault {
    match code {
        // A newer producer has our transactional id, or the coordinator gave up on our epoch (it timed out). With
        // transactions V1 the two cannot be told apart.
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced => Fault::ProducerFenced,
        // The group went on without us, or is about to; an offset commit of this generation has no effect.
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::AssignmentLost
        | Code::PollExceeded => Fault::NotInGroup,
        // The producer's state at the broker is gone or out of step: only a new transaction (and epoch) helps.
        Code::UnknownProducerId
        | Code::OutOfOrderSequenceNumber
        | Code::InvalidProducerIdMapping
        | Code::InvalidTransactionalState => Fault::AbortTransaction,
        // Records that were dropped by an abort or a close.
        Code::PurgeQueue | Code::PurgeInflight => Fault::AbortTransaction,
        // Timed out on the way or while we waited: it may have happened.
        Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut | Code::NetworkException => {
            Fault::Unknown
        }
        // No connection, or none that lasted. What was sent before it broke may have happened.
        Code::BrokerTransportFailure | Code::BrokerDestroy | Code::DestroyBroker => Fault::Unknown,
        // Nothing was sent.
        Code::AllBrokersDown | Code::Resolve => Fault::Unreachable,
        // The cluster or the client is busy with something that ends.
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotController
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::EligibleLeadersNotAvailable
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded
        | Code::ConcurrentTransactions
        | Code::ReassignmentInProgress
        | Code::FetchSessionIdNotFound
        | Code::InvalidFetchSessionEpoch
        | Code::StaleBrokerEpoch
        | Code::StaleControllerEpoch
        | Code::MemberIdRequired
        | Code::TimedOutQueue
        | Code::WaitingForCoordinator
        | Code::WaitCache
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::Interrupted
        | Code::Retry
        | Code::Outdated
        | Code::Partial
        | Code::NodeUpdate
        | Code::ISRInsufficient
        | Code::RebootstrapRequired => Fault::Retriable,
        Code::QueueFull => Fault::QueueFull,
        // `auto.offset.reset` is `error`: librdkafka reports that it would have to reset.
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset | Code::LogTruncation => {
            Fault::OffsetOutOfRange
        }
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::NoEnt => Fault::UnknownTopic,
        Code::TopicAlreadyExists => Fault::AlreadyExists,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::Authentication
        | Code::SSL => Fault::Denied,
        // This record, not the producer, is at fault.
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::InvalidMessage
        | Code::InvalidDifferentRecord => Fault::BadRecord,
        Code::Fatal | Code::CriticalSystemResource | Code::GaplessGuarantee | Code::Inconsistent => {
            Fault::ClientDead
        }
        // All others are requests that the broker or librdkafka finds wrong, and codes newer than this library.
        _ => Fault::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_decide_unless_the_code_says_fenced_or_out_of_the_group() {
        let mut failure = Failure::new(Code::UnknownTopicOrPartition, "");
        assert_eq!(fault(&failure), Fault::UnknownTopic);
        failure.retriable = true;
        assert_eq!(fault(&failure), Fault::Retriable);
        failure.requires_abort = true;
        assert_eq!(fault(&failure), Fault::AbortTransaction);
        failure.fatal = true;
        assert_eq!(fault(&failure), Fault::ClientDead);
        failure.code = Code::Fenced;
        assert_eq!(fault(&failure), Fault::ProducerFenced);
        failure.code = Code::FencedInstanceId;
        assert_eq!(fault(&failure), Fault::ClientDead);
        failure.code = Code::TopicAuthorizationFailed;
        assert_eq!(fault(&failure), Fault::Denied);
        failure.fatal = false;
        failure.code = Code::IllegalGeneration;
        assert_eq!(fault(&failure), Fault::NotInGroup);
    }

    #[test]
    fn a_timeout_is_in_doubt() {
        assert_eq!(fault(&Failure::new(Code::OperationTimedOut, "")), Fault::Unknown);
        assert_eq!(fault(&Failure::new(Code::BrokerTransportFailure, "")), Fault::Unknown);
    }
}
