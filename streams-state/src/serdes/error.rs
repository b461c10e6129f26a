//! Why bytes could not be made or read, and whether that is the record's fault.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::format::FormatError;

/// Whose fault it is that bytes could not be made or read. What follows is decided by it, in one place: whether an exception
/// handler is asked about the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SerdeErrorKind {
    /// The record's: a handler decides about it.
    Record,
    /// Something that the serde needs does not answer, such as a schema registry. No handler is asked: the task goes back to
    /// the committed offsets and tries again, as long as `task.timeout.ms` says.
    Unavailable,
    /// The application's: a wrong password, a schema that was refused. It would fail with all records, so no handler is asked
    /// and the task stops.
    Setup,
}

/// Why bytes could not be made or read. Says what the error inside says; [`downcast_ref`](Self::downcast_ref) gives it.
#[derive(Debug, Clone)]
pub struct SerdeError {
    kind: SerdeErrorKind,
    error: Arc<dyn Error + Send + Sync>,
}

impl SerdeError {
    /// The record cannot be made or read, because of this text or error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(SerdeErrorKind::Record, error)
    }

    /// Something that the serde needs does not answer: no fault of the record, which must not be skipped.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(SerdeErrorKind::Unavailable, error)
    }

    /// An error of this kind.
    pub fn of(kind: SerdeErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: error.into().into() }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> SerdeErrorKind {
        self.kind
    }

    /// The error of a serde's own type, if it gave one.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for SerdeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SerdeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl From<FormatError> for SerdeError {
    fn from(error: FormatError) -> Self {
        SerdeError::new(error)
    }
}
