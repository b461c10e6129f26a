//! What an application can watch: states, restores, and threads that fail.

use streams_state::types::TopicPartition;

use super::{State, StreamsError};

/// Watches the restore of stores from their changelogs, and of global stores from their topics. Called on the thread that
/// restores: must be quick.
pub trait StateRestoreListener: Send + Sync {
    /// `store` starts to restore its changelog partition, from offset `from` up to `to` (not included), be it nothing.
    fn on_restore_start(&self, _changelog: &TopicPartition, _store: &str, _from: i64, _to: i64) {}

    /// A batch was restored; the next offset is `position`.
    fn on_batch_restored(&self, _changelog: &TopicPartition, _store: &str, _position: i64, _records: u64) {}

    /// Done: `records` were restored in all.
    fn on_restore_end(&self, _changelog: &TopicPartition, _store: &str, _records: u64) {}

    /// The task moved away before it was done.
    fn on_restore_suspended(&self, _changelog: &TopicPartition, _store: &str, _records: u64) {}
}

/// What to do about a thread that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamThreadExceptionResponse {
    /// Start a new thread in its place. A poison record fails again: combine with a handler or a limit.
    ReplaceThread,
    /// Stop this instance; others take over its tasks. The default.
    ShutdownClient,
}

/// Called at each change of state, with the new and the old one.
pub type StateListener = Box<dyn Fn(State, State) + Send + Sync>;

/// Decides about a failed thread.
pub type UncaughtExceptionHandler = Box<dyn Fn(&StreamsError) -> StreamThreadExceptionResponse + Send + Sync>;
