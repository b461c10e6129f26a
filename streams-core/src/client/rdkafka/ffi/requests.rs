//! Requests of transactions that were not answered.
//!
//! librdkafka sends a request again when its connection breaks or no answer comes in time, and tells nobody. The first copy may still be
//! on its way: in the protocol that librdkafka speaks (without KIP-890) a broker takes an `EndTxn` that comes late for the end of the
//! *next* transaction, and old offsets for new ones. An interceptor sees each request go out, and end, with an answer or without.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering::Relaxed};

use rdkafka::bindings as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

/// Kafka's number of the search for a coordinator.
const FIND_COORDINATOR: i16 = 10;

/// Kafka's numbers of the requests that extend and end transactions.
const ADD_PARTITIONS_TO_TXN: i16 = 24;
const ADD_OFFSETS_TO_TXN: i16 = 25;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;

/// Kafka's numbers of the requests that come before a client is let in: SaslHandshake, ApiVersions, SaslAuthenticate.
const INTRODUCTIONS: [i16; 3] = [17, 18, 36];

/// Name of the interceptor.
const NAME: &CStr = c"kstreams";

/// The requests that add offsets to a transaction, with the search for the coordinators that take them, and what comes before.
const ADDING_OFFSETS: [i16; 6] = {
    let [handshake, versions, authentication] = INTRODUCTIONS;
    [handshake, versions, authentication, FIND_COORDINATOR, ADD_OFFSETS_TO_TXN, TXN_OFFSET_COMMIT]
};

/// The id of no broker.
const NO_BROKER: i32 = -1;

/// Requests of a producer that add offsets to transactions.
pub(crate) struct OffsetRequests {
    /// How many were sent (wraps).
    pub(crate) sent: u32,
    /// One waits for its answer.
    pub(crate) waiting: bool,
    /// The broker that offsets were sent to last: the coordinator of the group, as librdkafka knows it.
    pub(crate) coordinator: Option<i32>,
}

/// What became of the requests of a client.
pub(super) struct Requests {
    /// Set when the interceptor is in its place, taken back for good by the first request without an answer.
    all_answered: AtomicBool,
    /// A broker let this client in, and answered.
    any_answered: AtomicBool,
    /// How many of `ADDING_OFFSETS` were sent.
    offset_requests: AtomicU32,
    /// Which of `ADDING_OFFSETS` was sent after it had ended last, a bit each.
    offset_requests_waiting: AtomicU8,
    /// The broker that offsets were sent to last, within a transaction.
    offsets_sent_to: AtomicI32,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            all_answered: AtomicBool::default(),
            any_answered: AtomicBool::default(),
            offset_requests: AtomicU32::default(),
            offset_requests_waiting: AtomicU8::default(),
            offsets_sent_to: AtomicI32::new(NO_BROKER),
        }
    }
}

impl Requests {
    /// Looks at the requests of the client that is made with `conf`.
    ///
    /// # Safety
    /// `conf` is a living configuration that nobody else uses, and `self` outlives its client and does not move.
    pub(super) unsafe fn watch(&self, conf: *mut sys::rd_kafka_conf_t) {
        let opaque = (&raw const *self).cast_mut().cast();
        // SAFETY: the name is copied; the callback gets what it casts back. If it fails nothing counts as answered.
        unsafe { sys::rd_kafka_conf_interceptor_add_on_new(conf, NAME.as_ptr(), Some(on_new), opaque) };
    }

    /// Whether each request of transactions was answered as often as it was sent. `false` also if nobody looked.
    pub(super) fn all_answered(&self) -> bool {
        self.all_answered.load(Relaxed)
    }

    /// Whether a broker ever answered a request that is no introduction.
    pub(super) fn any_answered(&self) -> bool {
        self.any_answered.load(Relaxed)
    }

    /// What became of the requests that add offsets to transactions.
    pub(super) fn offsets(&self) -> OffsetRequests {
        OffsetRequests {
            sent: self.offset_requests.load(Relaxed),
            waiting: self.offset_requests_waiting.load(Relaxed) != 0,
            coordinator: Some(self.offsets_sent_to.load(Relaxed)).filter(|broker| *broker != NO_BROKER),
        }
    }

    fn offset_request_sent(&self, api_key: i16, broker_id: i32) {
        if let Some(bit) = offset_request_bit(api_key) {
            self.offset_requests_waiting.fetch_or(bit, Relaxed);
            self.offset_requests.fetch_add(1, Relaxed);
        }
        if api_key == TXN_OFFSET_COMMIT {
            self.offsets_sent_to.store(broker_id, Relaxed);
        }
    }

    fn offset_request_ended(&self, api_key: i16) {
        if let Some(bit) = offset_request_bit(api_key) {
            self.offset_requests_waiting.fetch_and(!bit, Relaxed);
        }
    }
}

fn offset_request_bit(api_key: i16) -> Option<u8> {
    ADDING_OFFSETS.iter().position(|kind| *kind == api_key).map(|place| 1 << place)
}

/// The client is being made, which is when interceptors may be added.
unsafe extern "C" fn on_new(
    rk: *mut sys::rd_kafka_t,
    _conf: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _words: *mut c_char,
    _words_len: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: `opaque` is that of `Requests::watch`, which outlives the client and its threads.
    unsafe {
        let added =
            sys::rd_kafka_interceptor_add_on_response_received(rk, NAME.as_ptr(), Some(on_end), opaque);
        if let Some(requests) = opaque.cast::<Requests>().as_ref() {
            requests.all_answered.store(added == OK, Relaxed);
        }
        if added != OK {
            return added;
        }
        sys::rd_kafka_interceptor_add_on_request_sent(rk, NAME.as_ptr(), Some(on_sent), opaque)
    }
}

/// A request has gone out, on the thread of its broker.
unsafe extern "C" fn on_sent(
    _rk: *mut sys::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    broker_id: i32,
    api_key: i16,
    _version: i16,
    _correlation: i32,
    _size: usize,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: as in `on_new`.
    if let Some(requests) = unsafe { opaque.cast::<Requests>().as_ref() } {
        requests.offset_request_sent(api_key, broker_id);
    }
    OK
}

/// A request has ended, on any thread, and perhaps for the second time: where its answer came, and where it is worked on. Without an
/// answer (`size` is 0) the connection is gone, or it took too long.
unsafe extern "C" fn on_end(
    _rk: *mut sys::rd_kafka_t,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _version: i16,
    _correlation: i32,
    size: usize,
    _round_trip: i64,
    _error: sys::rd_kafka_resp_err_t,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: as in `on_new`.
    let Some(requests) = (unsafe { opaque.cast::<Requests>().as_ref() }) else { return OK };
    if size > 0 && !requests.any_answered() && !INTRODUCTIONS.contains(&api_key) {
        requests.any_answered.store(true, Relaxed);
    }
    requests.offset_request_ended(api_key);
    let matters = matches!(api_key, ADD_PARTITIONS_TO_TXN | ADD_OFFSETS_TO_TXN | END_TXN | TXN_OFFSET_COMMIT);
    if matters && size == 0 {
        requests.all_answered.store(false, Relaxed);
    }
    OK
}
