//! Transactions of a producer, and what is known of their outcome.
//!
//! ```text
//!   Fresh --begin: init, fences older producers--> Ready --begin--> Open --commit, abort--> Ready
//!     ^                                                              |
//!     `------- outcome not known: the client is replaced ------------'--- fenced --> Fenced
//! ```
//!
//! After an unknown outcome no late request of the old client may touch a new transaction: the next one is begun by a new client of the
//! same id, whose init settles the old one.

use std::time::{Duration, Instant};

use super::batch::ConsumedOffsets;
use super::send_error::SendError;
use super::worker::{Worker, remaining};
use crate::client::{ClientError, CommittedOffset, Fault};
use crate::error::BoxError;

/// How long an abort may take that nobody asked for.
const ABORT: Duration = Duration::from_secs(10);

/// Where the transactions of a producer stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// The client was not initialized for transactions.
    Fresh,
    /// Between transactions.
    Ready,
    /// In a transaction.
    Open,
    /// A newer producer has the id: this one is at its end. What the client said.
    Fenced(String),
}

/// What became of a transaction that did not commit.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// It was aborted: nothing of it took effect. It may be done again, after the consumer went back to what is committed.
    #[error(
        "transaction of `{id}` aborted, nothing of it took effect: {source}; go back to the committed offsets (`rewind`) and do it again"
    )]
    Aborted {
        /// The transactional id.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// It may have been committed or not. The next `begin` settles it; after that the committed offsets of the group say which.
    #[error(
        "transaction of `{id}` may or may not have been committed: {source}; begin the next one, which settles it, and then go back to the committed offsets (`rewind`)"
    )]
    Unknown {
        /// The transactional id.
        id: String,
        /// Why.
        source: ClientError,
    },
    /// A newer producer has the transactional id. This one cannot write any more.
    #[error(
        "a newer producer has the transactional id `{id}`: {source}; close this one, or give each its own id"
    )]
    Fenced {
        /// The transactional id.
        id: String,
        /// What the client said.
        source: ClientError,
    },
    /// None was begun, so that nothing happened. The same call may be tried again.
    #[error("no transaction of `{id}` could be begun: {source}; try again when the cluster answers")]
    NotBegun {
        /// The transactional id.
        id: String,
        /// What the client said.
        source: ClientError,
    },
    /// The call makes no sense now; nothing happened.
    #[error("{0}")]
    Misused(String),
}

impl TransactionError {
    /// Whether nothing of the transaction took effect, for certain.
    pub fn is_aborted(&self) -> bool {
        match self {
            Self::Aborted { .. } | Self::NotBegun { .. } | Self::Misused(_) => true,
            Self::Unknown { .. } | Self::Fenced { .. } => false,
        }
    }
}

impl Worker {
    fn id(&self) -> String {
        self.settings.transactional_id.clone().unwrap_or_default()
    }

    /// Checks that a transaction is open.
    fn require_open(&self, call: &str) -> Result<(), TransactionError> {
        match &self.standing {
            Standing::Open => Ok(()),
            Standing::Fenced(said) => Err(self.fenced(ClientError::new(Fault::ProducerFenced, call, said))),
            Standing::Fresh | Standing::Ready => {
                Err(TransactionError::Misused(format!("{call}: no transaction of `{}` is open", self.id())))
            }
        }
    }

    fn fenced(&self, source: ClientError) -> TransactionError {
        TransactionError::Fenced { id: self.id(), source }
    }

    /// Begins a transaction; the first one fences older producers of the id and settles what they left.
    pub(super) fn begin(&mut self, deadline: Instant) -> Result<(), TransactionError> {
        match &self.standing {
            Standing::Open => {
                return Err(TransactionError::Misused(format!(
                    "begin: a transaction of `{}` is open; commit or abort it first",
                    self.id()
                )));
            }
            Standing::Fenced(said) => {
                return Err(self.fenced(ClientError::new(Fault::ProducerFenced, "begin", said)));
            }
            Standing::Fresh | Standing::Ready => {}
        }
        let fresh = self.standing == Standing::Fresh;
        let client = self.client();
        let begun = client.and_then(|client| {
            if fresh {
                client.init_transactions(remaining(deadline))?;
            }
            client.begin_transaction()
        });
        match begun {
            Ok(()) if Instant::now() < deadline => {
                self.standing = Standing::Open;
                self.failure = None;
                Ok(())
            }
            Ok(()) => {
                self.replace_client();
                let late = ClientError::new(Fault::Retriable, "begin", "the deadline is over");
                Err(TransactionError::NotBegun { id: self.id(), source: late })
            }
            Err(error) if error.fault == Fault::ProducerFenced && !fresh => Err(self.end_fenced(error)),
            Err(source) => {
                self.replace_client();
                Err(TransactionError::NotBegun { id: self.id(), source })
            }
        }
    }

    /// Adds consumed offsets to the transaction.
    pub(super) fn send_offsets(
        &mut self,
        consumed: &ConsumedOffsets,
        deadline: Instant,
    ) -> Result<(), TransactionError> {
        self.require_open("send offsets")?;
        let offsets: Vec<_> = consumed
            .offsets
            .iter()
            .map(|(at, offset)| (at.clone(), CommittedOffset { offset: *offset, metadata: String::new() }))
            .collect();
        let sent = match &mut self.producer {
            Some(client) => client.send_offsets(&offsets, &consumed.group, remaining(deadline)),
            None => Err(ClientError::new(Fault::ClientDead, "send offsets", "the client is gone")),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.fault == Fault::ProducerFenced => Err(self.end_fenced(error)),
            Err(error) => {
                // No commit was asked for, so that all of it is void whatever became of the offsets.
                self.abort(Instant::now() + ABORT)?;
                Err(TransactionError::Aborted { id: self.id(), source: error.into() })
            }
        }
    }

    /// Commits, after all records of the transaction are acknowledged.
    pub(super) fn commit(&mut self, deadline: Instant) -> Result<(), TransactionError> {
        self.require_open("commit")?;
        let committed = match (&self.failure, &mut self.producer) {
            (Some(_), _) => Err(ClientError::new(Fault::AbortTransaction, "commit", "a record failed")),
            (None, Some(client)) => client.commit_transaction(&mut self.deliveries, remaining(deadline)),
            (None, None) => Err(ClientError::new(Fault::ClientDead, "commit", "the client is gone")),
        };
        self.settle_deliveries();
        let error = match committed {
            Ok(()) => {
                self.standing = Standing::Ready;
                return Ok(());
            }
            Err(error) => error,
        };
        match error.fault {
            Fault::ProducerFenced => Err(self.end_fenced(error)),
            Fault::AbortTransaction => {
                let source = self.failure.clone().map_or_else(|| error.into(), BoxError::from);
                self.abort(Instant::now() + ABORT)?;
                Err(TransactionError::Aborted { id: self.id(), source })
            }
            Fault::Retriable
            | Fault::Unknown
            | Fault::NotInGroup
            | Fault::QueueFull
            | Fault::OffsetOutOfRange
            | Fault::UnknownTopic
            | Fault::AlreadyExists
            | Fault::Unreachable
            | Fault::Denied
            | Fault::BadRecord
            | Fault::ClientDead
            | Fault::Invalid => {
                self.give_up(&error);
                self.replace_client();
                Err(TransactionError::Unknown { id: self.id(), source: error })
            }
        }
    }

    /// Aborts. If that is not answered the client is replaced, and what it left is aborted by the next one or by its timeout.
    pub(super) fn abort(&mut self, deadline: Instant) -> Result<(), TransactionError> {
        self.require_open("abort")?;
        if let Some(error) = self.fenced_record() {
            return Err(self.end_fenced(error));
        }
        let record_failed = self.failure.is_some();
        let aborted = match &mut self.producer {
            Some(client) => client.abort_transaction(remaining(deadline)),
            None => Ok(()),
        };
        self.drain(Duration::ZERO);
        let void = ClientError::new(Fault::AbortTransaction, "abort", "its transaction was aborted");
        self.give_up(&void);
        self.failure = None;
        self.standing = Standing::Ready;
        match aborted {
            // Of a failed record librdkafka drops what is queued, on a thread of its own that may be so late as to drop records of
            // the next transaction.
            Ok(()) if record_failed => {
                self.replace_client();
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) if error.fault == Fault::ProducerFenced => Err(self.end_fenced(error)),
            Err(error) => {
                tracing::warn!("transaction of `{}`: {error}; a new client takes over", self.id());
                self.replace_client();
                Ok(())
            }
        }
    }

    /// What a record of the transaction said, if it was that a newer producer has the id.
    fn fenced_record(&self) -> Option<ClientError> {
        match &self.failure {
            Some(SendError::NotDelivered { source, .. }) if source.fault == Fault::ProducerFenced => {
                Some(source.clone())
            }
            Some(_) | None => None,
        }
    }

    fn end_fenced(&mut self, error: ClientError) -> TransactionError {
        self.give_up(&error);
        self.standing = Standing::Fenced(error.message.clone());
        self.fenced(error)
    }

    fn replace_client(&mut self) {
        self.producer = None;
        self.standing = Standing::Fresh;
    }
}
