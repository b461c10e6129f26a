//! An answer that comes later: a thread waits for it with a deadline, a task awaits it.
//!
//! The side that answers holds the [`Resolver`]. When it is dropped without an answer, who waits learns that none will come.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// An answer that comes later. Awaiting it gives `None` if none will come, because the other side has ended.
#[must_use = "an answer comes to those who wait for it"]
pub struct Promise<T>(Arc<Slot<T>>);

/// The side that answers.
pub(super) struct Resolver<T>(Arc<Slot<T>>);

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    answer: Option<T>,
    ended: bool,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, answer: Option<T>) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.ended = true;
        state.answer = answer;
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Both sides of an answer.
pub(super) fn promise<T>() -> (Resolver<T>, Promise<T>) {
    let state = State { answer: None, ended: false, waker: None };
    let slot = Arc::new(Slot { state: Mutex::new(state), changed: Condvar::new() });
    (Resolver(slot.clone()), Promise(slot))
}

impl<T> Resolver<T> {
    /// Answers.
    pub(super) fn resolve(self, answer: T) {
        self.0.settle(Some(answer));
    }
}

impl<T> Drop for Resolver<T> {
    fn drop(&mut self) {
        self.0.settle(None);
    }
}

impl<T> Promise<T> {
    /// Waits for the answer. `None`: it did not come in time, or will not come.
    pub fn wait(&self, timeout: Duration) -> Option<T> {
        self.wait_until_settled(timeout).answer.take()
    }

    /// Whether nothing more will come.
    pub fn is_settled(&self) -> bool {
        self.0.lock().ended
    }

    /// Waits, and leaves the answer for others who ask.
    pub(super) fn look(&self, timeout: Duration) -> Option<T>
    where
        T: Clone,
    {
        self.wait_until_settled(timeout).answer.clone()
    }

    fn wait_until_settled(&self, timeout: Duration) -> MutexGuard<'_, State<T>> {
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), timeout, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<T> Future for Promise<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if state.ended {
            return Poll::Ready(state.answer.take());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
