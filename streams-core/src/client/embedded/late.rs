//! For simulations: what may happen to a request and a member between a client and the log.
//!
//! A [`Request`] is the copy of a request that stays in the network after its client has given up on it, or has sent it again. It
//! arrives with the epoch that its producer had then.

use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::consumer::EmbeddedConsumer;
use super::kafka::EmbeddedKafka;
use super::producer::EmbeddedProducer;
use super::transactions::ProducerIdentity;
use crate::client::{
    ClientError, CommittedOffset, ConsumerSettings, GroupMetadata, OffsetSpec, ProducerSettings,
};

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) id: String,
    pub(super) identity: ProducerIdentity,
    /// Number of the transaction that it belongs to.
    pub(super) transaction: u64,
    pub(super) what: What,
}

/// What it asks for.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// EndTxn.
    End { commit: bool },
    /// TxnOffsetCommit.
    Offsets { offsets: Vec<(TopicPartition, CommittedOffset)>, group: GroupMetadata },
}

impl EmbeddedKafka {
    /// A consumer.
    pub(crate) fn own_consumer(&self, settings: &ConsumerSettings) -> Result<EmbeddedConsumer, ClientError> {
        EmbeddedConsumer::new(Arc::clone(self.shared()), settings)
    }

    /// A producer.
    pub(crate) fn own_producer(&self, settings: &ProducerSettings) -> Result<EmbeddedProducer, ClientError> {
        EmbeddedProducer::new(Arc::clone(self.shared()), settings)
    }

    /// A request arrives. Nobody waits for its answer. `Ok(true)`: it took effect in another transaction than its own.
    pub(crate) fn receive(&self, request: &Request) -> Result<bool, ClientError> {
        let Request { id, identity, transaction, what } = request;
        self.shared().change(|log, now| {
            let open = log.coordinator.open_number(id);
            match what {
                What::End { commit } => log.end_transaction(id, *identity, *commit, now),
                What::Offsets { offsets, group } => log.send_offsets(id, *identity, offsets, group, now),
            }?;
            Ok(open.is_some_and(|open| open != *transaction))
        })
    }

    /// Markers take up to this long from now on.
    pub(crate) fn delay_markers(&self, max_ms: i64) {
        self.shared().lock().0.markers.delay_max_ms = max_ms;
    }

    /// A member is not heard of any more, until it polls again.
    pub(crate) fn silence(&self, group: &str, member: &str) {
        let (mut log, now) = self.shared().lock();
        log.group(group).vanished(member, now.ms);
        log.stir();
    }

    /// Producers and first offsets of the open transactions of a partition, and its end; `None` if there is no such partition.
    pub(crate) fn open_transactions(&self, at: &TopicPartition) -> Option<(Vec<(i64, i64)>, i64)> {
        let shared = self.shared().lock();
        let partition = shared.0.partition("transactions", at).ok()?;
        Some((partition.open(), partition.end()))
    }

    /// Offset up to which all transactions of a partition are decided; `None` if there is no such partition.
    pub(crate) fn stable_offset(&self, at: &TopicPartition) -> Option<i64> {
        self.shared().lock().0.offset(at, OffsetSpec::Stable).ok()
    }
}
