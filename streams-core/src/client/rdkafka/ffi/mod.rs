//! The only unsafe code of the crate: safe faces over the parts of librdkafka's C API that the fast path needs.
//!
//! In: settings, names, bytes, deadlines. Out: owned values, or borrows that end before librdkafka frees what they
//! point to. It must never decide anything: what a failure means is said by `classify`, what happens next by the
//! clients above.
//!
//! Three rules make the blocks below sound, and are not repeated at each of them:
//! 1. **Handles are alive.** Every wrapper holds the `Arc<Native>` of its client; `rd_kafka_destroy` runs in
//!    `Native::drop`, after the last wrapper is gone.
//! 2. **Handles may cross threads.** librdkafka's client, queue and topic objects lock internally and may be used
//!    from any thread (its introduction, "Threads and callbacks"); events and messages have one owner here.
//! 3. **Strings from C are copied** (`text`) or borrowed from an object that outlives the borrow.

#![allow(unsafe_code)]

mod admin;
mod configs;
mod failure;
mod group;
mod list;
mod message;
mod metadata;
mod native;
mod oauth;
mod produce;
mod queue;
mod requests;
mod transaction;

pub(super) use admin::{ListedOffset, TopicDescription};
pub(super) use failure::Failure;
pub(super) use list::PartitionList;
pub(super) use message::{Batch, MessageFailure};
pub(super) use native::{BadCertificate, Kind, Native, SettingFault};
pub(super) use produce::{Delivery, Outgoing, Tag, Topic};
pub(super) use queue::{Event, EventKind, Queue, Signal, Wake};

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

/// Takes a broker out of the mock cluster that `client` was made with: rust-rdkafka has no call for it.
#[cfg(test)]
pub(super) fn remove_mock_broker<C: rdkafka::ClientContext>(
    client: &rdkafka::client::Client<C>,
    broker: i32,
) -> Result<(), Failure> {
    use rdkafka::bindings as sys;
    // SAFETY: living client, whose mock cluster lives as long; the call refuses a broker that it does not have.
    Failure::check(unsafe {
        let cluster = sys::rd_kafka_handle_mock_cluster(client.native_ptr());
        sys::rd_kafka_mock_broker_decommission(cluster, broker)
    })
}

/// A C string as an owned one; empty for null.
///
/// # Safety
/// `pointer` is null or points to a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and NUL-terminated by the contract of this function.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A name for C. A NUL inside is no name that Kafka knows: it ends the name there, and Kafka says it is unknown.
fn name(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// Milliseconds for C: rounded up, so that a short wait is not a spin.
fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
}
