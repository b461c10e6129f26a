//! Queues of a client, the events that come out of them, and the wake-up of a thread that waits for several.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as sys;

use super::list::{Entry, entries, entry};
use super::message::{MessageFailure, read};
use super::{Batch, Failure, Native, millis, name, text};
use crate::record::RawRecord;

/// Wakes one thread that waits for any of several queues.
#[derive(Default)]
pub(crate) struct Wake {
    woken: Mutex<bool>,
    change: Condvar,
    interrupted: AtomicBool,
}

impl Wake {
    /// Forgets wake-ups so far. Look into the queues after this, then wait: nothing is missed.
    pub(crate) fn reset(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Waits for a wake-up since the last reset.
    pub(crate) fn wait(&self, timeout: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.change.wait_timeout_while(woken, timeout, |woken| !*woken));
    }

    /// Lets the thread go on whatever the queues hold: it looks for that with [`take_interrupt`](Self::take_interrupt).
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the thread was to go on, since the last call.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupted.swap(false, Ordering::AcqRel)
    }

    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.change.notify_one();
    }
}

/// Set by librdkafka when a queue stops being empty.
pub(crate) struct Signal {
    ready: AtomicBool,
    wake: Arc<Wake>,
}

impl Signal {
    /// A signal that also wakes `wake`. It starts as ready: what came before is not told.
    pub(crate) fn new(wake: &Arc<Wake>) -> Arc<Self> {
        Arc::new(Self { ready: AtomicBool::new(true), wake: Arc::clone(wake) })
    }

    /// Whether the queue may hold something.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says what the reader knows: `false` before it reads, `true` if it left something.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// A queue of a client.
pub(crate) struct Queue {
    pointer: NonNull<sys::rd_kafka_queue_t>,
    signal: Option<Arc<Signal>>,
    native: Arc<Native>,
}

// SAFETY: rd_kafka_queue_t locks internally; see the module's rules.
unsafe impl Send for Queue {}

impl Queue {
    fn wrap(native: &Arc<Native>, pointer: *mut sys::rd_kafka_queue_t) -> Option<Self> {
        Some(Self { pointer: NonNull::new(pointer)?, signal: None, native: Arc::clone(native) })
    }

    /// A queue of our own, for answers.
    pub(crate) fn new(native: &Arc<Native>) -> Option<Self> {
        // SAFETY: living client; the reference is ours.
        Self::wrap(native, unsafe { sys::rd_kafka_queue_new(native.rk()) })
    }

    /// The client's main queue: delivery reports.
    pub(crate) fn main(native: &Arc<Native>) -> Option<Self> {
        // SAFETY: living client; the reference is ours.
        Self::wrap(native, unsafe { sys::rd_kafka_queue_get_main(native.rk()) })
    }

    /// The consumer's queue: membership and errors.
    pub(crate) fn consumer(native: &Arc<Native>) -> Option<Self> {
        // SAFETY: living client; the reference is ours; null if it is no consumer.
        Self::wrap(native, unsafe { sys::rd_kafka_queue_get_consumer(native.rk()) })
    }

    /// The queue of one partition, no longer forwarded to the consumer's queue. Asked for before the partition is
    /// assigned, so that librdkafka sees the mark "forwarding is the application's" and leaves it alone.
    pub(crate) fn partition(native: &Arc<Native>, topic: &str, partition: i32) -> Option<Self> {
        let topic = name(topic);
        // SAFETY: living client; the string is copied; the reference is ours.
        let pointer = unsafe { sys::rd_kafka_queue_get_partition(native.rk(), topic.as_ptr(), partition) };
        let queue = Self::wrap(native, pointer)?;
        // SAFETY: living queue; null as destination means "forward no more".
        unsafe { sys::rd_kafka_queue_forward(queue.pointer.as_ptr(), std::ptr::null_mut()) };
        Some(queue)
    }

    /// Tells `signal` whenever this queue stops being empty.
    pub(crate) fn notify(&mut self, signal: Arc<Signal>) {
        // SAFETY: the signal lives in `self` until the callback was taken away (see `drop`), or replaced here:
        // librdkafka calls it under the queue's lock, which taking away needs too.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                self.pointer.as_ptr(),
                Some(queue_is_not_empty),
                Arc::as_ptr(&signal).cast_mut().cast(),
            );
        }
        self.signal = Some(signal);
    }

    /// The next event; waits up to `timeout` for it.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: living queue; the event is ours.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.pointer.as_ptr(), millis(timeout)) })
            .map(|pointer| Event { pointer, _native: Arc::clone(&self.native) })
    }

    /// Makes a `poll` of this queue return: the one that waits, or else the next one.
    pub(crate) fn interrupt(&self) {
        // SAFETY: living queue.
        unsafe { sys::rd_kafka_queue_yield(self.pointer.as_ptr()) }
    }

    /// Moves records that are here into `batch`. Never waits.
    pub(crate) fn consume(&self, batch: &mut Batch) {
        batch.fill(|array, length| {
            // SAFETY: `array` has room for `length` pointers; what the call writes is owned by the batch.
            unsafe { sys::rd_kafka_consume_batch_queue(self.pointer.as_ptr(), 0, array, length) }
        });
    }

    /// The queue, for calls.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.pointer.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: living queue. The callback goes first: after this no thread is inside it, so that the signal may
        // be dropped. The reference is given back once.
        unsafe {
            if self.signal.is_some() {
                sys::rd_kafka_queue_cb_event_enable(self.pointer.as_ptr(), None, std::ptr::null_mut());
            }
            sys::rd_kafka_queue_destroy(self.pointer.as_ptr());
        }
    }
}

/// Called by librdkafka's threads, under the lock of the queue: sets a flag, wakes a thread, takes no other lock.
unsafe extern "C" fn queue_is_not_empty(_rk: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `notify` passed a signal that lives until the callback is taken away.
    let signal = unsafe { &*opaque.cast_const().cast::<Signal>() };
    signal.ready.store(true, Ordering::Release);
    signal.wake.wake();
}

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    /// The group gives or takes partitions.
    Rebalance,
    /// The client, a broker or a partition failed.
    Error,
    /// A record that was not in its partition's queue.
    Fetch,
    /// Delivery reports.
    Deliveries,
    /// What the client says of its work.
    Statistics,
    /// Anything else.
    Other,
}

/// An event. Freed when dropped.
pub(crate) struct Event {
    pointer: NonNull<sys::rd_kafka_event_t>,
    _native: Arc<Native>,
}

impl Event {
    /// What it is about.
    pub(crate) fn kind(&self) -> EventKind {
        // SAFETY: living event.
        match unsafe { sys::rd_kafka_event_type(self.as_ptr()) } {
            sys::RD_KAFKA_EVENT_REBALANCE => EventKind::Rebalance,
            sys::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            sys::RD_KAFKA_EVENT_FETCH => EventKind::Fetch,
            sys::RD_KAFKA_EVENT_DR => EventKind::Deliveries,
            sys::RD_KAFKA_EVENT_STATS => EventKind::Statistics,
            _ => EventKind::Other,
        }
    }

    /// The event's error.
    pub(crate) fn failure(&self) -> Option<Failure> {
        // SAFETY: living event; the string is copied.
        unsafe {
            let mut failure = Failure::of(sys::rd_kafka_event_error(self.as_ptr()))?;
            failure.text = text(sys::rd_kafka_event_error_string(self.as_ptr()));
            Some(failure)
        }
    }

    /// The JSON of a [`EventKind::Statistics`] event.
    pub(crate) fn statistics(&self) -> String {
        // SAFETY: living event; the string is copied; null if it is of another kind.
        unsafe { text(sys::rd_kafka_event_stats(self.as_ptr())) }
    }

    /// The partitions of a rebalance or of a commit.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = Entry<'_>> {
        // SAFETY: the list belongs to the event, which outlives the borrow.
        unsafe { entries(sys::rd_kafka_event_topic_partition_list(self.as_ptr())) }
    }

    /// Topic, partition and offset that an error is about.
    pub(crate) fn place(&self) -> Option<(String, i32, i64)> {
        // SAFETY: the element is a copy made for us, freed once after it was read.
        unsafe {
            let element = sys::rd_kafka_event_topic_partition(self.as_ptr());
            let place = element.as_ref().map(|element| {
                let place = entry(element);
                (place.topic.to_owned(), place.partition, place.offset)
            });
            if !element.is_null() {
                sys::rd_kafka_topic_partition_destroy(element);
            }
            place
        }
    }

    /// The record of a [`EventKind::Fetch`] event, with its topic.
    pub(crate) fn message(&mut self) -> Option<(String, i32, Result<RawRecord<'_>, MessageFailure>)> {
        // SAFETY: the message belongs to the event, which outlives the borrow; its topic lives as long.
        unsafe {
            let message = sys::rd_kafka_event_message_next(self.as_ptr()).as_ref()?;
            let topic = text(sys::rd_kafka_topic_name(message.rkt));
            Some((topic, message.partition, read(message)))
        }
    }

    /// For calls.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.pointer.as_ptr()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) }
    }
}
