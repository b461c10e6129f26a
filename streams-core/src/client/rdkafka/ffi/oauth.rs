//! Tokens for librdkafka: asked for on its background thread, in good time before the old one expires.

use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::UNIX_EPOCH;

use rdkafka::bindings as sys;

use super::native::{Reports, lock};
use super::{Failure, name, text};
use crate::client::rdkafka::tokens::{Token, TokenProvider};

/// Makes librdkafka ask `refresh`, on a queue that nobody but its background thread serves.
///
/// # Safety
/// `conf` is a living configuration whose opaque is the `Reports` of the client to be.
pub(super) unsafe fn prepare(conf: *mut sys::rd_kafka_conf_t) {
    // SAFETY: by the contract of this function.
    unsafe {
        sys::rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, Some(refresh));
        sys::rd_kafka_conf_enable_sasl_queue(conf, 1);
    }
}

/// Starts that thread.
///
/// # Safety
/// `rk` is a living client made of a configuration that was prepared.
pub(super) unsafe fn begin(rk: *mut sys::rd_kafka_t) -> Result<(), Failure> {
    // SAFETY: living client; the error object is ours.
    unsafe { Failure::take(sys::rd_kafka_sasl_background_callbacks_enable(rk)) }
}

/// A token is needed.
unsafe extern "C" fn refresh(rk: *mut sys::rd_kafka_t, _config: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque is the `Reports` that the client was made with, alive until its threads are joined.
    let Some(reports) = (unsafe { opaque.cast::<Reports>().cast_const().as_ref() }) else { return };
    let Some(provider) = &reports.tokens else { return };
    let given = token(&**provider).and_then(|token| {
        *lock(&reports.token_principal) = Some(format!("User:{}", token.principal));
        // SAFETY: living client: its own thread called.
        unsafe { hand_over(rk, &token) }
    });
    if let Err(words) = given {
        let words = format!("no OAUTHBEARER token: {words}");
        reports.note_failure(words.clone());
        tracing::warn!(target: "kstreams::rdkafka", "{words}");
        // SAFETY: living client; the string is copied.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(rk, name(&words).as_ptr()) };
    }
}

/// Asks the provider. A panic of it must not run into C.
fn token(provider: &dyn TokenProvider) -> Result<Token, String> {
    match catch_unwind(AssertUnwindSafe(|| provider.token())) {
        Ok(token) => token.map_err(|error| error.to_string()),
        Err(_) => Err("its provider panicked".to_owned()),
    }
}

/// Gives the token to librdkafka.
///
/// # Safety
/// `rk` is a living client.
unsafe fn hand_over(rk: *mut sys::rd_kafka_t, token: &Token) -> Result<(), String> {
    let expires =
        token.expires.duration_since(UNIX_EPOCH).map_err(|_| "it expired before 1970".to_owned())?;
    let expires = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
    let pairs: Vec<CString> =
        token.extensions.iter().flat_map(|(key, value)| [name(key), name(value)]).collect();
    let mut pointers: Vec<*const c_char> = pairs.iter().map(|text| text.as_ptr()).collect();
    let mut words = [0; 256];
    // SAFETY: strings live until the call returns, which copies them; the buffer is as long as it is said to be.
    unsafe {
        let code = sys::rd_kafka_oauthbearer_set_token(
            rk,
            name(token.value.trim()).as_ptr(),
            expires,
            name(&token.principal).as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len(),
            words.as_mut_ptr(),
            words.len(),
        );
        Failure::check(code).map_err(|_| text(words.as_ptr()))
    }
}
