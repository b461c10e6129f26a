//! A client as its owner holds it: turns failures into errors that name the broker, and is destroyed elsewhere.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::classify::fault;
use super::ffi::{Failure, Native};
use super::refusal::{self, Peer};
use crate::client::{ClientError, Fault};

/// Owns a client. Declare it last in a struct: queues and topics must be dropped before it.
pub(super) struct Handle {
    native: Option<Arc<Native>>,
    peer: Peer,
    patience: Duration,
}

/// Longest wait until a closed client is gone: what is left of it then are threads that wait for a broker.
const PATIENCE_MAX: Duration = Duration::from_secs(3);

impl Handle {
    /// Owns `native`, which is `peer` to the cluster.
    pub(super) fn new(native: Arc<Native>, peer: Peer) -> Self {
        Self { native: Some(native), peer, patience: Duration::ZERO }
    }

    /// The client.
    pub(super) fn native(&self) -> &Arc<Native> {
        self.native.as_ref().expect("taken by drop only")
    }

    /// How long dropping this may wait until the client is gone, at most [`PATIENCE_MAX`]. Zero at first.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience.min(PATIENCE_MAX);
    }

    /// Notes a topic that this client writes, for errors.
    pub(super) fn writes(&mut self, topic: &str) {
        self.peer.writes.push(topic.to_owned());
    }

    /// Who this client is, by its last token if that says it.
    fn peer(&self) -> Peer {
        let principal = self.peer.principal.clone().or_else(|| self.native().token_principal());
        Peer { principal, ..self.peer.clone() }
    }

    /// The error of a failed call. A failure for want of a connection names the address and the reason.
    pub(super) fn error(&self, call: impl Into<String>, failure: Failure) -> ClientError {
        let call = call.into();
        if failure.code == Code::Authentication
            && let Some(words) = self.native().token_renewed_too_soon()
        {
            // What was sent on the connection before it was closed may have happened.
            let lost = Failure { code: Code::BrokerTransportFailure, ..failure };
            let message =
                format!("connects anew with a new token, since the old one was about to expire ({words})");
            return ClientError::new(fault(&lost), call, message);
        }
        if let Some(message) = self.refused(&failure) {
            return ClientError::new(Fault::Denied, call, message);
        }
        let by_connection = matches!(
            failure.code,
            Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::TimedOutQueue
                | Code::WaitingForCoordinator
                | Code::WaitCache
        );
        if by_connection
            && !failure.fatal
            && !failure.requires_abort
            && let Some(reason) = self.native().last_broker_failure()
        {
            let address = &self.peer.address;
            let message = format!(
                "no broker answers at {address} ({reason}); is Kafka running there, and is `bootstrap.servers` right?"
            );
            return ClientError::new(Fault::Unreachable, call, message);
        }
        let fault = fault(&failure);
        let message = refusal::not_allowed(&self.peer(), &call, &failure).unwrap_or(failure.text);
        ClientError::new(fault, call, message)
    }

    /// Why no broker lets this client in, if that is the failure.
    fn refused(&self, failure: &Failure) -> Option<String> {
        let native = self.native();
        let by_code =
            matches!(failure.code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL);
        if !by_code && !native.is_turned_away() {
            return None;
        }
        let words = native.last_broker_failure().or_else(|| native.last_refusal());
        let words = words.unwrap_or_else(|| failure.text.clone());
        Some(refusal::turned_away(&self.peer(), &words, native.bad_certificate().as_ref()))
    }

    /// The error of a call that only reads, which may always be tried again.
    pub(super) fn read_error(&self, call: impl Into<String>, failure: Failure) -> ClientError {
        let mut error = self.error(call, failure);
        if error.fault == Fault::Unknown {
            error.fault = Fault::Retriable;
        }
        error
    }

    /// Notes that a broker answered.
    pub(super) fn check<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.is_ok() {
            self.native().broker_answered();
        }
        result
    }
}

impl Drop for Handle {
    /// Destroying a client joins its threads, which may take long when a broker is away: a thread of its own does
    /// it, and is waited for only as long as patience lasts.
    fn drop(&mut self) {
        let Some(native) = self.native.take() else { return };
        native.purge();
        let (done, wait) = mpsc::channel();
        let destroyer = thread::Builder::new().name("kafka-client-close".into()).spawn(move || {
            drop(native);
            let _ = done.send(());
        });
        match destroyer {
            Ok(_) => {
                if !self.patience.is_zero() && wait.recv_timeout(self.patience).is_err() {
                    tracing::warn!("a Kafka client was not closed within {:?}", self.patience);
                }
            }
            // The closure, and with it the client, was dropped here instead.
            Err(error) => tracing::warn!("closed a Kafka client without a thread: {error}"),
        }
    }
}
