//! Records as librdkafka hands them out: an array of pointers, filled and freed again and again.

use std::ffi::c_void;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;
use streams_state::types::{Header, Headers};

use super::{Failure, text};
use crate::record::RawRecord;

/// A reused array of messages.
pub(crate) struct Batch {
    // Room for a whole batch; messages `next..filled` are ours to free.
    messages: Vec<*mut sys::rd_kafka_message_t>,
    next: usize,
    filled: usize,
}

// SAFETY: its messages have one owner, and may be read and freed on any thread; see the module's rules.
unsafe impl Send for Batch {}

/// A message of a batch. Freed when dropped.
pub(crate) struct Message(*mut sys::rd_kafka_message_t);

/// A message that says what happened to its partition instead.
pub(crate) struct MessageFailure {
    /// What happened; the end of the partition is one of them.
    pub(crate) failure: Failure,
    /// Where.
    pub(crate) offset: i64,
}

impl Batch {
    /// Room for `capacity` messages.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { messages: vec![std::ptr::null_mut(); capacity], next: 0, filled: 0 }
    }

    /// Whether the last fill used all the room: there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.messages.len()
    }

    /// Lets `fetch` write messages, after freeing what is left of the last ones. `fetch` gets an array and its
    /// length, and returns how many messages it wrote, which become the batch's own.
    pub(super) fn fill(&mut self, fetch: impl FnOnce(*mut *mut sys::rd_kafka_message_t, usize) -> isize) {
        self.clear();
        let count = fetch(self.messages.as_mut_ptr(), self.messages.len());
        self.next = 0;
        self.filled = usize::try_from(count).unwrap_or(0).min(self.messages.len());
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let message = *self.messages[..self.filled].get(self.next)?;
        self.next += 1;
        Some(Message(message))
    }

    /// Whether all messages were taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.filled
    }

    /// Frees the messages that were not taken.
    pub(crate) fn clear(&mut self) {
        while self.next().is_some() {}
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Message {
    /// The record, or what happened to the partition.
    pub(crate) fn read(&self) -> Result<RawRecord<'_>, MessageFailure> {
        // SAFETY: written by `fill`, ours, and not freed before `self` is dropped, which outlives the borrow.
        unsafe { read(&*self.0) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, freed once: a batch gives each message away once.
        unsafe { sys::rd_kafka_message_destroy(self.0) }
    }
}

/// Reads a message.
///
/// # Safety
/// `message` is a living message of a consumer.
pub(super) unsafe fn read(message: &sys::rd_kafka_message_t) -> Result<RawRecord<'_>, MessageFailure> {
    if message.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        // SAFETY: the string lives as long as the message, and is copied.
        let words = unsafe { text(sys::rd_kafka_message_errstr(message)) };
        let failure = Failure::new(RDKafkaErrorCode::from(message.err), words);
        return Err(MessageFailure { failure, offset: message.offset });
    }
    // SAFETY: key and payload point to that many bytes in the fetch buffer, which the message holds.
    unsafe {
        let key = slice(message.key, message.key_len);
        let value = slice(message.payload, message.len);
        let timestamp = sys::rd_kafka_message_timestamp(message, std::ptr::null_mut());
        let headers = if has_no_headers(message) { Headers::EMPTY } else { headers(message) };
        Ok(RawRecord { offset: message.offset, timestamp, key, value, headers })
    }
}

/// # Safety
/// `pointer` is null or points to `length` bytes that live for `'a`.
unsafe fn slice<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract of this function.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) })
}

/// Whether the record surely has no headers, found out without librdkafka's header parser, which allocates half a
/// kilobyte for each record only to learn that there are none.
///
/// # Safety
/// `message` is a living record of a consumer.
unsafe fn has_no_headers(message: &sys::rd_kafka_message_t) -> bool {
    // SAFETY: the epoch is known only for records of format 2 (brokers since 0.11). There the number of headers
    // follows the last byte of the value in the same buffer, as a varint of at least one byte; zero is one zero
    // byte. A null value has no address to look behind.
    unsafe {
        !message.payload.is_null()
            && sys::rd_kafka_message_leader_epoch(message) >= 0
            && *message.payload.cast::<u8>().add(message.len) == 0
    }
}

/// # Safety
/// `message` is a living record of a consumer.
#[cold]
unsafe fn headers(message: &sys::rd_kafka_message_t) -> Headers {
    let mut all = std::ptr::null_mut();
    // SAFETY: the headers belong to the message; name and value are copied before it is freed.
    unsafe {
        let found = sys::rd_kafka_message_headers(message, &raw mut all);
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Headers::EMPTY;
        }
        (0..)
            .map_while(|index| {
                let (mut key, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
                let found =
                    sys::rd_kafka_header_get_all(all, index, &raw mut key, &raw mut value, &raw mut size);
                (found == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR)
                    .then(|| Header { key: text(key), value: slice(value, size).map(<[u8]>::to_vec) })
            })
            .collect()
    }
}
