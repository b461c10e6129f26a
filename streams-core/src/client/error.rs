//! What a client call can answer besides success.

use std::fmt;

/// What kind of failure it was: the one thing the runtime decides by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It did not happen; the same call may be tried again.
    Retriable,
    /// It may have happened. After a transaction call: the EndTxn rule.
    Unknown,
    /// The transaction cannot commit; abort it and rewind.
    AbortTransaction,
    /// This producer was replaced by a newer one of the same transactional id, or its epoch expired.
    ProducerFenced,
    /// The group moved on: the member or its generation is no longer known.
    NotInGroup,
    /// The queue of the producer is full: serve deliveries, then try again.
    QueueFull,
    /// The offset asked for is not in the log.
    OffsetOutOfRange,
    /// The topic or partition does not exist.
    UnknownTopic,
    /// It exists already.
    AlreadyExists,
    /// No broker answers.
    Unreachable,
    /// Not allowed, by ACLs or credentials.
    Denied,
    /// This record cannot be sent (too large, invalid timestamp).
    BadRecord,
    /// The client is dead; a new one may work.
    ClientDead,
    /// A setting or request is wrong; trying again gives the same answer.
    Invalid,
}

/// A failed client call: the kind, the call, and what the client said.
#[derive(Clone, Debug)]
pub struct ClientError {
    /// The kind.
    pub fault: Fault,
    /// The call and its object: `commit transaction`, `create topic x`.
    pub call: String,
    /// What the client said.
    pub message: String,
}

impl ClientError {
    /// A failure of `call`.
    pub fn new(fault: Fault, call: impl Into<String>, message: impl Into<String>) -> Self {
        Self { fault, call: call.into(), message: message.into() }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.message)
    }
}

impl std::error::Error for ClientError {}
