//! Sending records, and the reports of their delivery.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;
use streams_state::types::Headers;

use super::queue::{Event, EventKind};
use super::{Failure, Native, name};

/// A producer's handle of a topic: saves the lookup by name for each record.
pub(crate) struct Topic {
    pointer: NonNull<sys::rd_kafka_topic_t>,
    native: Arc<Native>,
}

// SAFETY: rd_kafka_topic_t locks internally; see the module's rules.
unsafe impl Send for Topic {}

/// A record to send.
pub(crate) struct Outgoing<'a> {
    /// Partition.
    pub(crate) partition: i32,
    /// Timestamp in ms; 0 is librdkafka's word for "now".
    pub(crate) timestamp: i64,
    /// Key.
    pub(crate) key: Option<&'a [u8]>,
    /// Value.
    pub(crate) value: Option<&'a [u8]>,
    /// Headers.
    pub(crate) headers: &'a Headers,
    /// Comes back in the record's [`Delivery`].
    pub(crate) tag: Tag,
}

/// What the owner of a producer calls a record by: its topic and its number. Travels as librdkafka's opaque pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Index of the topic.
    pub(crate) topic: u32,
    /// Number of the record.
    pub(crate) number: u32,
}

impl Tag {
    fn to_opaque(self) -> *mut c_void {
        const { assert!(usize::BITS == 64, "a pointer holds topic and number of a record") };
        std::ptr::without_provenance_mut((self.topic as usize) << 32 | self.number as usize)
    }

    fn of_opaque(opaque: *const c_void) -> Self {
        let bits = opaque.addr();
        Self { topic: (bits >> 32) as u32, number: bits as u32 }
    }
}

/// What became of a record.
pub(crate) struct Delivery {
    /// The tag it was sent with.
    pub(crate) tag: Tag,
    /// Partition.
    pub(crate) partition: i32,
    /// Its offset, or why it was not written.
    pub(crate) offset: Result<i64, Failure>,
}

impl Topic {
    /// A handle for the topic of this name.
    pub(crate) fn new(native: &Arc<Native>, topic: &str) -> Result<Self, Failure> {
        let topic = name(topic);
        // SAFETY: living client, the string is copied, null stands for default settings; the reference is ours.
        let pointer = unsafe { sys::rd_kafka_topic_new(native.rk(), topic.as_ptr(), std::ptr::null_mut()) };
        let Some(pointer) = NonNull::new(pointer) else {
            // SAFETY: reads this thread's last error.
            let code = unsafe { sys::rd_kafka_last_error() };
            return Err(Failure::of(code)
                .unwrap_or_else(|| Failure::new(RDKafkaErrorCode::InvalidTopic, "no such topic")));
        };
        Ok(Self { pointer, native: Arc::clone(native) })
    }

    /// For calls.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.pointer.as_ptr()
    }

    /// Queues a record. Its bytes are copied.
    pub(crate) fn send(&self, record: &Outgoing<'_>) -> Result<(), Failure> {
        use sys::rd_kafka_vtype_t as vtype;
        let headers = if record.headers.is_empty() {
            std::ptr::null_mut()
        } else {
            // SAFETY: makes an object that is ours until the record is accepted.
            unsafe { native_headers(record.headers) }
        };
        let tag = record.tag.to_opaque();
        let arguments = [
            argument(vtype::RD_KAFKA_VTYPE_RKT, Value { rkt: self.pointer.as_ptr() }),
            argument(vtype::RD_KAFKA_VTYPE_PARTITION, Value { i32_: record.partition }),
            argument(vtype::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
            argument(vtype::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: record.timestamp }),
            argument(vtype::RD_KAFKA_VTYPE_KEY, bytes(record.key)),
            argument(vtype::RD_KAFKA_VTYPE_VALUE, bytes(record.value)),
            argument(vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: tag }),
            argument(vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers }),
        ];
        let count = if headers.is_null() { arguments.len() - 1 } else { arguments.len() };
        // SAFETY: `count` initialised arguments, each with the member of the union that its type says; key and
        // value are read and copied by the call (MSG_F_COPY). Headers are the record's if it was accepted, else
        // still ours, and freed here. The error object is ours.
        unsafe {
            let error = sys::rd_kafka_produceva(self.native.rk(), arguments.as_ptr(), count);
            if !error.is_null() && !headers.is_null() {
                sys::rd_kafka_headers_destroy(headers);
            }
            Failure::take(error)
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.pointer.as_ptr()) }
    }
}

use sys::rd_kafka_vu_s__bindgen_ty_1 as Value;

fn argument(vtype: sys::rd_kafka_vtype_t, u: Value) -> sys::rd_kafka_vu_t {
    sys::rd_kafka_vu_t { vtype, u }
}

/// Null for `None`; an address, even for no bytes, for `Some`: an empty value is not a tombstone.
fn bytes(bytes: Option<&[u8]>) -> Value {
    let (ptr, size) = bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: ptr.cast_mut().cast(), size } }
}

/// # Safety
/// The caller frees the headers, or gives them away.
#[cold]
unsafe fn native_headers(headers: &Headers) -> *mut sys::rd_kafka_headers_t {
    // SAFETY: names and values are copied; lengths are those of the slices. Adding cannot fail: the list is new
    // and not read-only.
    unsafe {
        let native = sys::rd_kafka_headers_new(headers.iter().len());
        for header in headers.iter() {
            let (value, size) =
                header.value.as_deref().map_or((std::ptr::null(), 0), |value| (value.as_ptr(), value.len()));
            sys::rd_kafka_header_add(
                native,
                header.key.as_ptr().cast(),
                header.key.len().cast_signed(),
                value.cast(),
                size.cast_signed(),
            );
        }
        native
    }
}

impl Event {
    /// Hands the reports of a [`EventKind::Deliveries`] event to `take`.
    pub(crate) fn deliveries(&mut self, mut take: impl FnMut(Delivery)) {
        if self.kind() != EventKind::Deliveries {
            return;
        }
        let mut messages = [std::ptr::null(); 256];
        loop {
            // SAFETY: the array is as long as it is said to be.
            let count = unsafe {
                sys::rd_kafka_event_message_array(self.as_ptr(), messages.as_mut_ptr(), messages.len())
            };
            if count == 0 {
                return;
            }
            for &message in &messages[..count] {
                // SAFETY: the messages belong to the event and live until it is dropped.
                let message = unsafe { &*message };
                let tag = Tag::of_opaque(message._private);
                let offset = match message.err {
                    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(message.offset),
                    code => Err(Failure::of(code)
                        .unwrap_or_else(|| Failure::new(RDKafkaErrorCode::Unknown, "not delivered"))),
                };
                take(Delivery { tag, partition: message.partition, offset });
            }
        }
    }
}
