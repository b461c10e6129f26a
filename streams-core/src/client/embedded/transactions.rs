//! The transaction coordinator: who holds a transactional id, and what its open transaction has touched.
//!
//! ```text
//! init_transactions: settle the open transaction, epoch + 1
//!        |
//!      Ready --first record or offsets--> Open --commit/abort--> Ready
//!                                           `--timeout--> aborted, epoch + 1: the producer is fenced
//! ```

use std::collections::{BTreeMap, BTreeSet};

use streams_state::types::TopicPartition;

use super::errors::{fenced, invalid};
use crate::client::ClientError;

/// `transaction.max.timeout.ms` of Kafka.
const TIMEOUT_MAX_MS: i64 = 900_000;

/// A producer id and its epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ProducerIdentity {
    pub(super) producer: i64,
    pub(super) epoch: i16,
}

/// A transaction that is not decided yet.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenTransaction {
    deadline_ms: i64,
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) groups: BTreeSet<String>,
}

impl OpenTransaction {
    /// Whether nothing was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.groups.is_empty()
    }
}

#[derive(Debug)]
struct TransactionalId {
    identity: ProducerIdentity,
    timeout_ms: i64,
    open: Option<OpenTransaction>,
    /// Transactions begun under this producer id and epoch.
    begun: u64,
}

/// All transactional ids.
#[derive(Debug, Default)]
pub(super) struct Coordinator {
    ids: BTreeMap<String, TransactionalId>,
    producers_made: i64,
}

impl Coordinator {
    /// A producer id that nobody has.
    pub(super) fn new_producer(&mut self) -> ProducerIdentity {
        let producer = self.producers_made;
        self.producers_made += 1;
        ProducerIdentity { producer, epoch: 0 }
    }

    /// The producer id under `id`.
    pub(super) fn producer_of(&self, id: &str) -> Option<i64> {
        self.ids.get(id).map(|state| state.identity.producer)
    }

    /// Takes the open transaction of `id` out, to be aborted before [`init`](Self::init).
    pub(super) fn take_open(&mut self, id: &str) -> Option<(i64, OpenTransaction)> {
        let state = self.ids.get_mut(id)?;
        state.open.take().map(|open| (state.identity.producer, open))
    }

    /// Gives `id` to a new producer, and fences the old one.
    pub(super) fn init(&mut self, id: &str, timeout_ms: i64) -> Result<ProducerIdentity, ClientError> {
        if timeout_ms <= 0 || timeout_ms > TIMEOUT_MAX_MS {
            let message = format!("transaction.timeout.ms={timeout_ms} is not within 1 to {TIMEOUT_MAX_MS}");
            return Err(invalid("init transactions", message));
        }
        let identity = match self.ids.get(id) {
            Some(state) if state.identity.epoch < i16::MAX - 1 => {
                ProducerIdentity { epoch: state.identity.epoch + 1, ..state.identity }
            }
            _ => self.new_producer(),
        };
        self.ids.insert(id.to_owned(), TransactionalId { identity, timeout_ms, open: None, begun: 0 });
        Ok(identity)
    }

    /// Whether `identity` still holds `id`.
    pub(super) fn check(&self, call: &str, id: &str, identity: ProducerIdentity) -> Result<(), ClientError> {
        match self.ids.get(id) {
            Some(state) if state.identity == identity => Ok(()),
            _ => Err(fenced(
                call,
                format!("a newer producer holds transactional id `{id}`, or its transaction timed out"),
            )),
        }
    }

    /// The open transaction of `id`, begun now if there is none.
    pub(super) fn open(&mut self, id: &str, now_ms: i64) -> Option<&mut OpenTransaction> {
        let state = self.ids.get_mut(id)?;
        let deadline_ms = now_ms + state.timeout_ms;
        state.begun += u64::from(state.open.is_none());
        Some(state.open.get_or_insert_with(|| OpenTransaction { deadline_ms, ..OpenTransaction::default() }))
    }

    /// Number of the open transaction of `id`, counted in its epoch; `None` if none is open.
    #[cfg(feature = "sim")]
    pub(super) fn open_number(&self, id: &str) -> Option<u64> {
        self.ids.get(id).filter(|state| state.open.is_some()).map(|state| state.begun)
    }

    /// Number of the transaction that a request of `id` belongs to now: the open one, or the one that it begins.
    #[cfg(feature = "sim")]
    pub(super) fn number(&self, id: &str) -> u64 {
        self.ids.get(id).map_or(1, |state| state.begun + u64::from(state.open.is_none()))
    }

    /// Ids whose transaction is open for too long.
    pub(super) fn expired(&self, now_ms: i64) -> Vec<String> {
        let late =
            |state: &TransactionalId| state.open.as_ref().is_some_and(|open| open.deadline_ms <= now_ms);
        self.ids.iter().filter(|(_, state)| late(state)).map(|(id, _)| id.clone()).collect()
    }

    /// When the next transaction times out.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        self.ids.values().filter_map(|state| state.open.as_ref()).map(|open| open.deadline_ms).min()
    }

    /// Fences whoever holds `id`.
    pub(super) fn fence(&mut self, id: &str) {
        if let Some(state) = self.ids.get_mut(id) {
            state.identity.epoch = state.identity.epoch.saturating_add(1);
        }
    }
}
