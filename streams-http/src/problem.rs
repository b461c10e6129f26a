//! Why a question about a store has no answer: a status code, Kafka Streams' name for the reason, and a sentence.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use streams_core::query::{FailureReason, QueryError, QueryFailure};

/// A question without an answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: StatusCode,
    reason: Option<FailureReason>,
    message: String,
}

impl Problem {
    fn of(code: StatusCode, message: String) -> Self {
        Self { code, reason: None, message }
    }

    /// The request makes no sense.
    pub(crate) fn bad(message: String) -> Self {
        Self::of(StatusCode::BAD_REQUEST, message)
    }

    /// `after` is not what an answer gave.
    pub(crate) fn bad_after(error: &serde_json::Error) -> Self {
        Self::bad(format!("`after` is not the `next` of an answer of this store: {error}"))
    }

    /// There is no such store, or row.
    pub(crate) fn not_found(message: String) -> Self {
        Self::of(StatusCode::NOT_FOUND, message)
    }

    /// The row may be on another instance.
    pub(crate) fn elsewhere(partitions: &[i32]) -> Self {
        let message = format!(
            "no partition that is here has a row of this key; partitions {partitions:?} are not on this instance, ask the \
             one that has them, or again in a moment"
        );
        QueryFailure::new(FailureReason::NotPresent, message).into()
    }

    /// The thread that asked the store is gone.
    pub(crate) fn internal(message: String) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<QueryFailure> for Problem {
    fn from(failure: QueryFailure) -> Self {
        let code = match failure.reason {
            FailureReason::NotActive => StatusCode::SERVICE_UNAVAILABLE,
            FailureReason::NotUpToBound => StatusCode::PRECONDITION_FAILED,
            FailureReason::NotPresent => StatusCode::MISDIRECTED_REQUEST,
            FailureReason::DoesNotExist => StatusCode::NOT_FOUND,
            FailureReason::UnknownQueryType | FailureReason::StoreException => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self { code, reason: Some(failure.reason), message: failure.message }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let code = match error {
            QueryError::Failure(failure) => return failure.into(),
            QueryError::UnknownStore { .. } => StatusCode::NOT_FOUND,
            QueryError::NotStarted { .. } | QueryError::Stopped { .. } | QueryError::ThreadEnded { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            QueryError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        };
        Self::of(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = match self.reason {
            Some(reason) => json!({"error": self.message, "reason": reason.as_str()}),
            None => json!({"error": self.message}),
        };
        (self.code, Json(json)).into_response()
    }
}
