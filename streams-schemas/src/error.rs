//! What can go wrong between a serde and its schemas, one sentence each, and whose fault it is.

use std::time::Duration;

use streams_state::serdes::{SerdeError, SerdeErrorKind};

use crate::schema::{SchemaId, SchemaKind};

/// An error of the registry, of a schema, or of bytes that do not fit theirs.
///
/// A serde hands it on inside of a [`SerdeError`]: `error.downcast_ref::<SchemaError>()` gives it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A setting is wrong or unknown.
    #[error("schema registry: setting `{key}`: {message}")]
    Config {
        /// The setting.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// No answer until the deadline: nobody listens, the network is cut, or the registry fails.
    #[error("schema registry {url}: no answer to {request} for {}: {message}", in_seconds(.waited))]
    Unavailable {
        /// Where it was asked last, without user and password.
        url: String,
        /// What was asked: `GET /schemas/ids/7`.
        request: String,
        /// How long it was tried.
        waited: Duration,
        /// What happened last.
        message: String,
    },
    /// The registry does not know the id. It may have been written to another one, or come there in a moment.
    #[error(
        "schema registry {url} has no schema with id {id}; were the records written with another registry? \
         ({message})"
    )]
    UnknownId {
        /// The registry.
        url: String,
        /// The id.
        id: SchemaId,
        /// What the registry said.
        message: String,
    },
    /// The registry does not know the subject, the version, or this schema under the subject.
    #[error(
        "schema registry {url}: {what} of subject `{subject}` is not registered ({message}){}",
        way_out(what)
    )]
    NotRegistered {
        /// The registry.
        url: String,
        /// The subject.
        subject: String,
        /// What was asked for: `version latest`, `this schema`.
        what: String,
        /// What the registry said.
        message: String,
    },
    /// User, password, token or rights are wrong.
    #[error(
        "schema registry {url} refuses {request} with status {status}: {message}; check `basic.auth.user.info` or \
         `bearer.auth.token`, and what that user may do"
    )]
    Denied {
        /// The registry.
        url: String,
        /// What was asked.
        request: String,
        /// The HTTP status, 401 or 403.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// One side does not accept the other's certificate, or what is said is not TLS.
    #[error(
        "schema registry {url}: TLS failed: {message}; check `ssl.ca.location`, and `ssl.certificate.location` \
         if the registry wants to know who asks"
    )]
    Tls {
        /// The registry.
        url: String,
        /// What was said.
        message: String,
    },
    /// The subject's compatibility level forbids the schema.
    #[error("subject `{subject}`: the registry refuses the schema, it is not compatible: {reason}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// What is incompatible, as the registry says it.
        reason: String,
    },
    /// Any other refusal.
    #[error("schema registry {url} refuses {request} with status {status}: {message}")]
    Refused {
        /// The registry.
        url: String,
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// What answers is no registry.
    #[error(
        "schema registry {url}: the answer to {request} is not what a schema registry says: {message}; is the \
         address that of its API?"
    )]
    NotARegistry {
        /// Who answered.
        url: String,
        /// What was asked.
        request: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// A schema that the application brings is wrong.
    #[error("the {kind} schema of `{name}` is wrong: {message}")]
    InvalidSchema {
        /// Avro, Protobuf or JSON Schema.
        kind: SchemaKind,
        /// The record, message or type.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// No topic, so no subject: the serde was used beside a topology, and its subjects are named by topic.
    #[error(
        "a serde whose subjects are named by topic writes without a topic; bind it first: \
         `serde.for_topic(topic, part)`"
    )]
    NoTopic,
    /// The bytes do not begin as a registry's do.
    #[error(
        "{found}; records of a schema registry begin with byte 0 and 4 bytes of schema id: these were written \
         without one, or with another serde"
    )]
    NotFramed {
        /// What is there instead.
        found: String,
    },
    /// The record was written with a schema of another kind.
    #[error("schema {id} is a schema of {found}, where {expected} is read")]
    OtherKind {
        /// The schema.
        id: SchemaId,
        /// Its kind.
        found: SchemaKind,
        /// The serde's.
        expected: SchemaKind,
    },
    /// The record, written with schema `id`, cannot be read as what the application expects.
    #[error("schema {id}: {message}")]
    Unreadable {
        /// The schema that the record was written with.
        id: SchemaId,
        /// What does not fit.
        message: String,
    },
    /// The value cannot be written with its schema.
    #[error("the value does not fit its {kind} schema: {message}")]
    Unwritable {
        /// Avro, Protobuf or JSON Schema.
        kind: SchemaKind,
        /// What does not fit.
        message: String,
    },
}

fn in_seconds(waited: &Duration) -> String {
    format!("{:.1} s", waited.as_secs_f64())
}

fn way_out(what: &str) -> &'static str {
    match what {
        "this schema" => "; register it, or set `auto.register.schemas=true`",
        _ => "",
    }
}

impl SchemaError {
    /// The one table: error -> whose fault it is. Only for what is the record's a handler is asked; an unknown id may become
    /// known, so the record is not lost for it.
    #[must_use]
    pub fn kind(&self) -> SerdeErrorKind {
        match self {
            Self::Unavailable { .. } | Self::UnknownId { .. } => SerdeErrorKind::Unavailable,
            Self::Config { .. }
            | Self::NotRegistered { .. }
            | Self::Denied { .. }
            | Self::Tls { .. }
            | Self::Incompatible { .. }
            | Self::Refused { .. }
            | Self::NotARegistry { .. }
            | Self::InvalidSchema { .. }
            | Self::NoTopic => SerdeErrorKind::Setup,
            Self::NotFramed { .. }
            | Self::OtherKind { .. }
            | Self::Unreadable { .. }
            | Self::Unwritable { .. } => SerdeErrorKind::Record,
        }
    }
}

impl From<SchemaError> for SerdeError {
    fn from(error: SchemaError) -> Self {
        SerdeError::of(error.kind(), error)
    }
}
