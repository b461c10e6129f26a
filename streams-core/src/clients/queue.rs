//! What waits for the thread of a producer: records, within `buffer.memory`, and calls, in the order in which they came.
//!
//! A record counts until it is acknowledged, not only until the thread takes it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streams_state::types::{Headers, Timestamp};

use super::metadata::RecordMetadata;
use super::promise::{Resolver, promise};
use super::send_error::SendError;
use super::worker::Worker;

/// A record for the thread.
pub(super) struct Outgoing {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
    /// What it counts in `buffer.memory`.
    pub(super) bytes: u64,
    pub(super) fate: Resolver<Result<RecordMetadata, SendError>>,
}

/// Something that the thread does with its producer.
type Call = Box<dyn FnOnce(&mut Worker) + Send>;

/// Something for the thread to do.
pub(super) enum Job {
    Send(Outgoing),
    Call(Call),
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: u64,
    /// No more records are taken.
    closing: bool,
    /// The thread is gone.
    ended: bool,
}

/// Why the queue did not take a record.
pub(super) enum Refusal {
    /// As many bytes wait.
    NoRoom(u64),
    Closed,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
    /// `buffer.memory`.
    pub(super) limit: u64,
}

impl Queue {
    pub(super) fn new(limit: u64) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), room: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a record; waits for room up to `max_block`.
    pub(super) fn push(&self, record: Outgoing, max_block: Duration) -> Result<(), Refusal> {
        let full = |state: &mut State| !state.closing && state.bytes + record.bytes > self.limit;
        let waited = self.room.wait_timeout_while(self.lock(), max_block, full);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closing {
            return Err(Refusal::Closed);
        }
        if full(&mut state) {
            return Err(Refusal::NoRoom(state.bytes));
        }
        state.bytes += record.bytes;
        state.jobs.push_back(Job::Send(record));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Has the thread call `call` after all that was queued before. `None`: no answer within `timeout`, or the thread is gone.
    pub(super) fn call<T: Send + 'static>(
        &self,
        timeout: Duration,
        call: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Option<T> {
        let (resolver, answer) = promise();
        let mut state = self.lock();
        if state.ended {
            return None;
        }
        state.jobs.push_back(Job::Call(Box::new(move |worker| resolver.resolve(call(worker)))));
        drop(state);
        self.work.notify_one();
        answer.wait(timeout)
    }

    /// Gives back the room of acknowledged records.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.room.notify_all();
    }

    /// Everything there is to do; waits for it if the thread is `idle`. `None`: there is nothing, and nothing will come.
    pub(super) fn take(&self, idle: bool) -> Option<VecDeque<Job>> {
        let mut state = self.lock();
        if idle {
            let nothing = |state: &mut State| state.jobs.is_empty() && !state.closing;
            state = self.work.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
        }
        if state.jobs.is_empty() && state.closing {
            return None;
        }
        Some(std::mem::take(&mut state.jobs))
    }

    /// Takes no more records; the thread ends after what is there.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Whether the thread is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// The thread is gone: what is left is not done.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        (state.closing, state.ended) = (true, true);
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        self.room.notify_all();
        drop(left);
    }
}
