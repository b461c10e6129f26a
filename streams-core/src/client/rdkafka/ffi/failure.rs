//! What librdkafka says of a call that failed. In: its codes and error objects. Out: a plain value.

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;

use super::text;

/// A failed call, as librdkafka tells it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Its code.
    pub(crate) code: RDKafkaErrorCode,
    /// Its words.
    pub(crate) text: String,
    /// The client is dead.
    pub(crate) fatal: bool,
    /// The same call may be tried again.
    pub(crate) retriable: bool,
    /// The transaction has to be aborted.
    pub(crate) requires_abort: bool,
}

impl Failure {
    /// A failure of our own making, or one that librdkafka only gives a code for.
    pub(crate) fn new(code: RDKafkaErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), fatal: false, retriable: false, requires_abort: false }
    }

    /// Nothing for "no error".
    pub(super) fn of(code: sys::rd_kafka_resp_err_t) -> Option<Self> {
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: takes a code, returns a string that lives as long as the program.
        let words = unsafe { text(sys::rd_kafka_err2str(code)) };
        Some(Self::new(code.into(), words))
    }

    /// `Err` unless the code says "no error".
    pub(super) fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), Self> {
        Self::of(code).map_or(Ok(()), Err)
    }

    /// `Err` unless the error object is null. Frees it.
    ///
    /// # Safety
    /// `error` is null or an error object that nobody else will free.
    pub(super) unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, ours; freed once, after everything was copied out of it.
        unsafe {
            let failure = Self::read(error);
            sys::rd_kafka_error_destroy(error);
            Err(failure)
        }
    }

    /// Reads an error object that somebody else owns.
    ///
    /// # Safety
    /// `error` is a living error object.
    pub(super) unsafe fn read(error: *const sys::rd_kafka_error_t) -> Self {
        // SAFETY: the getters only read the living object.
        unsafe {
            Self {
                code: sys::rd_kafka_error_code(error).into(),
                text: text(sys::rd_kafka_error_string(error)),
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            }
        }
    }
}
