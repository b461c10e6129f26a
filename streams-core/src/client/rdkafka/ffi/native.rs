//! One librdkafka client: made from settings, logs into `tracing`, remembers why a broker did not answer.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::bindings as sys;

use super::requests::{OffsetRequests, Requests};
use super::{Failure, name, oauth, text};
use crate::client::rdkafka::tokens::TokenProvider;

/// What a client is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Reads, and may be a member of a group.
    Consumer,
    /// Writes, or administers.
    Producer,
}

/// Why librdkafka refused the settings.
#[derive(Debug)]
pub(crate) enum SettingFault {
    /// There is no setting of this name.
    Unknown(String),
    /// The value or the combination is wrong; librdkafka's words.
    Invalid(String),
}

/// A client of librdkafka. Dropping it closes connections and may block: see `dropper`.
pub(crate) struct Native {
    rk: NonNull<sys::rd_kafka_t>,
    // Boxed: librdkafka's callbacks keep its address.
    reports: Box<Reports>,
}

/// What a broker that has let a client in says when it is to authenticate a connection again within a second after it last did, which
/// librdkafka asks for when a token has about a second left. The connection is closed, and the next one begins with a newer token. From a
/// broker that never let it in, the same words say that there is no SASL at this address.
const TOO_SOON: &str = "current SASL state";

/// What the client's own threads tell: written by callbacks.
#[derive(Default)]
pub(super) struct Reports {
    last_broker_failure: Mutex<Option<String>>,
    /// The last failure that was a refusal, also after a success: librdkafka says the same words again only after half a minute.
    last_refusal: Mutex<Option<String>>,
    bad_certificate: Mutex<Option<BadCertificate>>,
    /// The last failure was no lost connection: a broker or this client refused.
    refused: AtomicBool,
    requests: Requests,
    /// Whom `oauth` asks for tokens.
    pub(super) tokens: Option<Arc<dyn TokenProvider>>,
    /// Whom the last token was for.
    pub(super) token_principal: Mutex<Option<String>>,
}

/// What OpenSSL found wrong with the certificate of a broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BadCertificate {
    /// The broker, `host:port`.
    pub(crate) broker: String,
    /// OpenSSL's number.
    pub(crate) error: i32,
}

impl Reports {
    /// Notes why a broker is not connected.
    pub(super) fn note_failure(&self, words: String) {
        let refused = words.contains("SSL") || words.contains("SASL") || words.contains("OAUTHBEARER");
        self.refused.store(refused, Ordering::Relaxed);
        if refused {
            *lock(&self.last_refusal) = Some(words.clone());
        }
        *lock(&self.last_broker_failure) = Some(words);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY: rd_kafka_t locks internally and may be used and destroyed from any thread; `Reports` has a mutex and atomics.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

impl Native {
    /// Makes a client. Starts its threads; connects in the background.
    pub(crate) fn new(
        kind: Kind,
        settings: &[(String, String)],
        tokens: Option<&Arc<dyn TokenProvider>>,
    ) -> Result<Self, SettingFault> {
        let reports = Box::new(Reports { tokens: tokens.cloned(), ..Reports::default() });
        let mut words = [0; 512];
        // SAFETY: `conf` is ours until rd_kafka_new succeeds, which then owns it; if a setting is wrong it is destroyed
        // here, once. `words` is as long as it is said to be. `reports` is boxed and outlives the client: it is
        // dropped after `Native::drop` has run.
        unsafe {
            let conf = sys::rd_kafka_conf_new();
            for (key, value) in settings {
                if let Err(fault) = set(conf, key, value) {
                    sys::rd_kafka_conf_destroy(conf);
                    return Err(fault);
                }
            }
            let (kind, events) = match kind {
                Kind::Consumer => (
                    sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
                    sys::RD_KAFKA_EVENT_REBALANCE | sys::RD_KAFKA_EVENT_OFFSET_COMMIT,
                ),
                Kind::Producer => (sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, sys::RD_KAFKA_EVENT_DR),
            };
            let events = events | sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_STATS;
            sys::rd_kafka_conf_set_events(conf, events);
            sys::rd_kafka_conf_set_log_cb(conf, Some(log));
            sys::rd_kafka_conf_set_opaque(conf, (&raw const *reports).cast_mut().cast());
            // Without TLS there is no such setting, and no certificate to look at.
            let _ = sys::rd_kafka_conf_set_ssl_cert_verify_cb(conf, Some(verify));
            if reports.tokens.is_some() {
                oauth::prepare(conf);
            }
            reports.requests.watch(conf);
            let rk = sys::rd_kafka_new(kind, conf, words.as_mut_ptr(), words.len());
            let Some(rk) = NonNull::new(rk) else {
                // Where it comes to its threads, librdkafka has freed the interceptors of `conf` by now, and destroying it would free
                // them again. So it is left behind: a few KB of a client that nobody can have.
                return Err(SettingFault::Invalid(text(words.as_ptr())));
            };
            if kind == sys::rd_kafka_type_t::RD_KAFKA_CONSUMER {
                // Errors of the client ride on the consumer's queue: one queue to serve.
                sys::rd_kafka_poll_set_consumer(rk.as_ptr());
            }
            let native = Self { rk, reports };
            if native.reports.tokens.is_some() {
                oauth::begin(rk.as_ptr()).map_err(|failure| SettingFault::Invalid(failure.text))?;
            }
            Ok(native)
        }
    }

    /// The handle, for calls.
    pub(super) fn rk(&self) -> *mut sys::rd_kafka_t {
        self.rk.as_ptr()
    }

    /// Why a broker could not be reached, if that happened since the last success.
    pub(crate) fn last_broker_failure(&self) -> Option<String> {
        lock(&self.reports.last_broker_failure).clone()
    }

    /// Why a broker refused this client last, now or before a success.
    pub(crate) fn last_refusal(&self) -> Option<String> {
        lock(&self.reports.last_refusal).clone()
    }

    /// Why a broker closed a connection whose token was about to expire, if that was its last refusal.
    pub(crate) fn token_renewed_too_soon(&self) -> Option<String> {
        let let_in = self.reports.requests.any_answered();
        self.last_refusal().filter(|words| let_in && words.contains(TOO_SOON))
    }

    /// What is wrong with the certificate of a broker, if that is why there is no connection.
    pub(crate) fn bad_certificate(&self) -> Option<BadCertificate> {
        lock(&self.reports.bad_certificate).clone()
    }

    /// Whom the last token was for.
    pub(crate) fn token_principal(&self) -> Option<String> {
        lock(&self.reports.token_principal).clone()
    }

    /// No broker ever answered a request, and one was refused: asking on is of no use.
    pub(crate) fn is_turned_away(&self) -> bool {
        self.reports.refused.load(Ordering::Relaxed) && !self.reports.requests.any_answered()
    }

    /// A broker answered: failures before are of no interest.
    pub(crate) fn broker_answered(&self) {
        *lock(&self.reports.last_broker_failure) = None;
        *lock(&self.reports.bad_certificate) = None;
        self.reports.refused.store(false, Ordering::Relaxed);
    }

    /// Whether all requests of transactions that this producer ever sent were answered: else copies may still be on their way.
    pub(crate) fn all_answered(&self) -> bool {
        self.reports.requests.all_answered()
    }

    /// What became of the requests that add offsets to transactions.
    pub(crate) fn offset_requests(&self) -> OffsetRequests {
        self.reports.requests.offsets()
    }

    /// The error that killed this client.
    pub(crate) fn fatal(&self) -> Option<Failure> {
        let mut words = [0; 512];
        // SAFETY: the buffer is as long as it is said to be.
        let code = unsafe { sys::rd_kafka_fatal_error(self.rk(), words.as_mut_ptr(), words.len()) };
        let mut failure = Failure::of(code)?;
        failure.fatal = true;
        // SAFETY: librdkafka terminates what it wrote.
        failure.text = unsafe { text(words.as_ptr()) };
        Some(failure)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the last use: every wrapper that knows this handle holds an `Arc` of it.
        unsafe { sys::rd_kafka_destroy(self.rk()) }
    }
}

/// Sets one property.
///
/// # Safety
/// `conf` is a living configuration that nobody else uses.
unsafe fn set(conf: *mut sys::rd_kafka_conf_t, key: &str, value: &str) -> Result<(), SettingFault> {
    let mut words = [0; 512];
    // SAFETY: strings are NUL-terminated and copied by the call; the buffer is as long as it is said to be.
    let result = unsafe {
        sys::rd_kafka_conf_set(
            conf,
            name(key).as_ptr(),
            name(value).as_ptr(),
            words.as_mut_ptr(),
            words.len(),
        )
    };
    match result {
        sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
        sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(SettingFault::Unknown(key.to_owned())),
        sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => {
            // SAFETY: librdkafka terminates what it wrote.
            let words = unsafe { text(words.as_ptr()) };
            Err(SettingFault::Invalid(format!("`{key}`: {words}")))
        }
    }
}

/// OpenSSL has looked at a certificate of a broker, and found `error` wrong with it. Notes that, and leaves it at its verdict.
unsafe extern "C" fn verify(
    rk: *mut sys::rd_kafka_t,
    broker: *const c_char,
    _broker_id: i32,
    error: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _size: usize,
    _words: *mut c_char,
    _words_size: usize,
    _opaque: *mut c_void,
) -> c_int {
    // SAFETY: `error` points to an int; the name is NUL-terminated; the opaque is as in `log`.
    unsafe {
        let found = *error;
        if found != 0
            && let Some(reports) = sys::rd_kafka_opaque(rk).cast::<Reports>().cast_const().as_ref()
        {
            *lock(&reports.bad_certificate) = Some(BadCertificate { broker: text(broker), error: found });
        }
        c_int::from(found == 0)
    }
}

/// librdkafka's log lines, from any of its threads. Levels are syslog's.
unsafe extern "C" fn log(
    rk: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes NUL-terminated strings.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    if !rk.is_null() && facility == "FAIL" {
        // SAFETY: the opaque of a client that logs is the `Reports` that `new` gave it, alive until its threads
        // are joined by rd_kafka_destroy.
        let reports = unsafe { sys::rd_kafka_opaque(rk).cast::<Reports>().cast_const().as_ref() };
        if let Some(reports) = reports {
            // `[thrd:..]: host:port/id: what failed (after 3ms in state ..)`: only what failed is news.
            let failure = line.split_once("]: ").map_or(line.as_str(), |(_, rest)| rest);
            let failure = failure.split_once(": ").map_or(failure, |(_, rest)| rest);
            let failure = failure.split(" (after ").next().unwrap_or(failure).to_owned();
            reports.note_failure(failure);
        }
    }
    match (level, facility.as_str()) {
        // Settings of the other kind of client in a shared property map are no news.
        (_, "CONFWARN") | (5.., _) => tracing::debug!(target: "kstreams::rdkafka", "{facility}: {line}"),
        // Connections come and go; what matters comes back as the error of a call.
        (_, "FAIL" | "ERROR") | (4, _) => tracing::info!(target: "kstreams::rdkafka", "{facility}: {line}"),
        _ => tracing::warn!(target: "kstreams::rdkafka", "{facility}: {line}"),
    }
}
