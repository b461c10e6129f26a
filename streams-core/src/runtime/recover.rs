//! Step 8: an error of a client call -> what happens to task, transaction and client. Decided here and nowhere else.

use streams_state::error::{Cure, StateError};

use super::StreamsError;
use crate::client::{ClientError, Fault};
use crate::error::TaskErrorCause;

/// What to do after a client call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// Try the same thing again at the next step.
    Retry,
    /// Abort the transaction, go back to the committed offsets, drop what was not committed.
    AbortAndRewind,
    /// The outcome is not known, or the producer is dead: make a new one with the same transactional id (which
    /// settles the old transaction), then go back to the committed offsets, whichever they are by then.
    ReplaceProducer,
    /// A changelog does not have the offset that is to be restored next, or is not there: look at it, stop if it is gone or
    /// another one, else go back to the committed offsets, and restore the stores that reach an offset which their changelog lost
    /// from its start. The other stores keep what they have.
    RebuildStores,
    /// The local state of a task is damaged: go back to the committed offsets, delete what the task has on disk, and
    /// restore it from its changelogs.
    RebuildTask,
    /// An input does not have the offset that is read next: go to where its reset policy says.
    ResetOffsets,
    /// The group does not know this member any more: give up all tasks, join anew.
    Rejoin,
    /// The consumer is dead, as one that was fenced: make a new one, give up all tasks, join anew. Stop if that does not last:
    /// then somebody else has the same `group.instance.id`.
    ReplaceConsumer,
    /// Nothing here helps: stop the thread with this error.
    Fatal,
}

/// Where in the work the call was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading input or serving the group.
    Poll,
    /// Finding out where tasks start.
    Assign,
    /// Sending records.
    Produce,
    /// Committing: offsets, transaction.
    Commit,
    /// Reading changelogs.
    Restore,
}

impl Recovery {
    /// The one table: fault and phase -> recovery.
    #[must_use]
    pub fn of(error: &ClientError, phase: Phase, exactly_once: bool) -> Recovery {
        match error.fault {
            Fault::Retriable | Fault::QueueFull | Fault::Unreachable => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Retry,
                Phase::Produce => Recovery::AbortAndRewind,
                // With transactions a call that did not end cleanly is taken for unknown (the EndTxn rule);
                // without, committing the same offsets again is harmless.
                Phase::Commit if exactly_once => Recovery::ReplaceProducer,
                Phase::Commit => Recovery::Retry,
            },
            Fault::Unknown => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Retry,
                Phase::Produce | Phase::Commit if exactly_once => Recovery::ReplaceProducer,
                Phase::Produce => Recovery::AbortAndRewind,
                Phase::Commit => Recovery::Retry,
            },
            Fault::AbortTransaction => Recovery::AbortAndRewind,
            Fault::ClientDead => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::ReplaceConsumer,
                Phase::Produce | Phase::Commit => Recovery::ReplaceProducer,
            },
            Fault::ProducerFenced => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Fatal,
                Phase::Produce | Phase::Commit => Recovery::ReplaceProducer,
            },
            Fault::NotInGroup => Recovery::Rejoin,
            Fault::OffsetOutOfRange => match phase {
                Phase::Restore => Recovery::RebuildStores,
                Phase::Poll | Phase::Assign => Recovery::ResetOffsets,
                Phase::Produce | Phase::Commit => Recovery::Fatal,
            },
            Fault::UnknownTopic => match phase {
                // Whether it is gone, or a broker does not know it yet, shows when it is looked at.
                Phase::Restore => Recovery::RebuildStores,
                Phase::Poll | Phase::Assign | Phase::Produce | Phase::Commit => Recovery::Fatal,
            },
            Fault::AlreadyExists => Recovery::Retry,
            Fault::Denied | Fault::BadRecord | Fault::Invalid => Recovery::Fatal,
        }
    }

    /// What to do about an error of state, wherever it came up.
    #[must_use]
    pub fn of_state(error: &StateError) -> Recovery {
        match error.cure() {
            Cure::Rebuild => Recovery::RebuildTask,
            Cure::Stop => Recovery::Fatal,
        }
    }

    /// What to do about an error that came of no client call.
    pub(crate) fn of_error(error: &StreamsError) -> Recovery {
        state_error(error).map_or(Recovery::Fatal, Recovery::of_state)
    }
}

/// The error of state in `error`, if it is one.
pub(crate) fn state_error(error: &StreamsError) -> Option<&StateError> {
    match error {
        StreamsError::State(error) => Some(error),
        StreamsError::Task(error) => match &error.cause {
            TaskErrorCause::State(error) => Some(error),
            TaskErrorCause::Deserialization { .. }
            | TaskErrorCause::Timestamp(_)
            | TaskErrorCause::Processing(_)
            | TaskErrorCause::Panic(_)
            | TaskErrorCause::Serialization { .. }
            | TaskErrorCause::TooLarge { .. }
            | TaskErrorCause::Unanswered { .. }
            | TaskErrorCause::Wiring(_) => None,
        },
        StreamsError::Topology(_)
        | StreamsError::MissingSourceTopic { .. }
        | StreamsError::InternalTopicMismatch { .. }
        | StreamsError::SourceTopicGrew { .. }
        | StreamsError::Client { .. }
        | StreamsError::Panic { .. }
        | StreamsError::IllegalState(_) => None,
    }
}

/// Whether the cluster gave no answer, so that `task.timeout.ms` says how long to try, and not a number of times. Reading
/// input is not among it: without a broker there is just nothing to read.
#[must_use]
pub(crate) fn may_answer_later(error: &ClientError, phase: Phase) -> bool {
    let unanswered =
        matches!(error.fault, Fault::Retriable | Fault::QueueFull | Fault::Unreachable | Fault::Unknown);
    unanswered && phase != Phase::Poll
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fault: Fault, phase: Phase, exactly_once: bool) -> Recovery {
        Recovery::of(&ClientError::new(fault, "call", "said"), phase, exactly_once)
    }

    #[test]
    fn an_unclear_commit_replaces_the_producer_only_with_transactions() {
        for fault in [Fault::Unknown, Fault::Retriable, Fault::Unreachable] {
            assert_eq!(of(fault, Phase::Commit, true), Recovery::ReplaceProducer, "{fault:?}");
            assert_eq!(of(fault, Phase::Commit, false), Recovery::Retry, "{fault:?}");
        }
    }

    #[test]
    fn a_changelog_that_lost_the_offset_rebuilds_the_store() {
        assert_eq!(of(Fault::OffsetOutOfRange, Phase::Restore, true), Recovery::RebuildStores);
    }

    #[test]
    fn only_damaged_state_is_deleted() {
        let (path, message) = (std::path::PathBuf::from("/state/app/0_0"), String::new());
        let corrupt = StateError::Corrupt { store: None, path: path.clone(), message: message.clone() };
        let full = StateError::Directory { path: path.clone(), message };
        let newer = StateError::NewerFormat { path, found: 2, supported: 1 };
        let recoveries = [corrupt, full, newer].map(|error| Recovery::of_error(&StreamsError::State(error)));
        assert_eq!(recoveries, [Recovery::RebuildTask, Recovery::Fatal, Recovery::Fatal]);
    }

    #[test]
    fn a_lost_membership_rejoins_in_every_phase() {
        for phase in [Phase::Poll, Phase::Assign, Phase::Produce, Phase::Commit, Phase::Restore] {
            assert_eq!(of(Fault::NotInGroup, phase, true), Recovery::Rejoin);
        }
    }
}
