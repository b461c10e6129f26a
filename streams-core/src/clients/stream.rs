//! Batches and records to be awaited: a thread polls, a bounded queue holds it back.
//!
//! In: a [`TopicConsumer`]. Out: a [`Stream`] of its batches. While the queue is full the thread serves the membership and fetches
//! nothing. When partitions are given back, batches that nobody has taken are dropped: their records are read again by whoever
//! gets the partitions.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::batch::{Batch, ConsumedOffsets, ConsumedRecord};
use super::consumer::TopicConsumer;
use super::consumer_error::{BadRecord, ConsumerError};
use super::partitions::AutoCommit;
use super::promise::{Promise, promise};
use super::worker::deadline_after;
use crate::client::{ClientError, Fault};

/// One poll: after it the thread looks for what it was asked to do.
const LOOK: Duration = Duration::from_millis(20);
/// How long the thread may take to leave the group if nobody waits for it.
const LEAVE: Duration = Duration::from_secs(10);

type Call<K, V> = Box<dyn FnOnce(&mut TopicConsumer<K, V>) + Send>;

struct State<K, V> {
    batches: VecDeque<Result<Batch<K, V>, ConsumerError>>,
    calls: VecDeque<Call<K, V>>,
    /// How long the thread may take to close, once it was told to.
    closing: Option<Duration>,
    ended: bool,
    waker: Option<Waker>,
}

struct Shared<K, V> {
    state: Mutex<State<K, V>>,
    changed: Condvar,
    capacity: usize,
}

impl<K, V> Shared<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for it.
    fn change(&self, change: impl FnOnce(&mut State<K, V>)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Batches of a consumer, to be awaited: a [`Stream`] that ends after [`ConsumerError`]s that only a new consumer can cure. From
/// [`TopicConsumer::into_batches`].
///
/// A batch counts as done when the next one is asked for: that is what automatic commit commits.
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// use streams_core::clients::{BatchStream, ConsumerConfig, ConsumerError, TopicConsumer};
/// # use streams_core::runtime::clock::SystemClock;
/// use streams_core::topic::Topic;
///
/// const ORDERS: Topic<String, i64> = Topic::new("orders");
///
/// async fn add_up(mut orders: BatchStream<String, i64>) -> Result<i64, ConsumerError> {
///     let mut cents = 0;
///     while let Some(batch) = orders.next().await {
///         let batch = batch?;
///         cents += batch.iter().map(|order| order.value).sum::<i64>();
///         orders.commit(batch.offsets()).await;
///     }
///     Ok(cents)
/// }
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 1)?;
/// let orders = TopicConsumer::subscribe(&kafka, &[&ORDERS], ConsumerConfig::group("shop"))?.into_batches(8);
/// # drop(add_up(orders)); // dropping it leaves the group
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchStream<K, V> {
    shared: Arc<Shared<K, V>>,
    /// What counts as done, for automatic commit.
    done: Arc<Mutex<ConsumedOffsets>>,
    /// The batch that the program has in hand.
    in_hand: ConsumedOffsets,
}

impl<K: Send + 'static, V: Send + 'static> TopicConsumer<K, V> {
    /// Polls on a thread of its own. At most `capacity` batches (at least one) wait to be taken; each has at most
    /// `max.poll.records`.
    #[must_use]
    pub fn into_batches(mut self, capacity: usize) -> BatchStream<K, V> {
        let state = State {
            batches: VecDeque::new(),
            calls: VecDeque::new(),
            closing: None,
            ended: false,
            waker: None,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1) });
        let done = Arc::default();
        if self.config.enable_auto_commit {
            self.auto_commit = AutoCommit::Done(Arc::clone(&done));
        }
        let feeder = Feeder { consumer: Some(self), shared: shared.clone(), told: false };
        let thread = thread::Builder::new().name("topic-consumer".to_owned());
        if let Err(error) = thread.spawn(move || feeder.run()) {
            let error = ClientError::new(Fault::ClientDead, "poll", format!("no thread: {error}"));
            shared.change(|state| state.batches.push_back(Err(error.into())));
        }
        BatchStream { shared, done, in_hand: ConsumedOffsets::default() }
    }

    /// [`into_batches`](Self::into_batches), record by record.
    #[must_use]
    pub fn into_records(self, capacity: usize) -> RecordStream<K, V> {
        RecordStream { batches: self.into_batches(capacity), rest: Vec::new().into_iter() }
    }
}

/// The thread.
struct Feeder<K: 'static, V: 'static> {
    consumer: Option<TopicConsumer<K, V>>,
    shared: Arc<Shared<K, V>>,
    /// A partition stands still, and that was said.
    told: bool,
}

impl<K: 'static, V: 'static> Feeder<K, V> {
    fn run(mut self) {
        let Some(mut consumer) = self.consumer.take() else { return };
        loop {
            let (calls, room) = {
                let mut state = self.shared.lock();
                (std::mem::take(&mut state.calls), state.batches.len() < self.shared.capacity)
            };
            for call in calls {
                call(&mut consumer);
                self.told = false;
            }
            if self.shared.lock().closing.is_some() {
                break;
            }
            consumer.commit_automatically(false, deadline_after(LOOK));
            if !self.turn(&mut consumer, room) {
                break;
            }
        }
        let closing = self.shared.lock().closing.unwrap_or(LEAVE);
        if let Err(error) = consumer.close(closing) {
            self.shared.change(|state| state.batches.push_back(Err(error)));
        }
    }

    /// One poll. Whether there will be another.
    fn turn(&mut self, consumer: &mut TopicConsumer<K, V>, room: bool) -> bool {
        let begun = Instant::now();
        let max = if room { consumer.config.max_poll_records } else { 0 };
        let rebalances = consumer.rebalances;
        let polled = consumer.poll_up_to(max, begun + LOOK);
        if consumer.rebalances != rebalances {
            self.told = false;
            let gone = std::mem::take(&mut consumer.gone);
            self.shared.change(|state| {
                state.batches.iter_mut().flatten().for_each(|batch| batch.forget(&gone));
                state.batches.retain(|batch| batch.as_ref().map_or(true, |batch| !batch.is_empty()));
            });
        }
        match polled {
            Ok(batch) if !batch.is_empty() => {
                self.shared.change(|state| state.batches.push_back(Ok(batch)));
            }
            Ok(_) => self.rest(begun),
            Err(error) => return self.tell(error, begun),
        }
        true
    }

    /// Says an error once. Whether the thread goes on.
    fn tell(&mut self, error: ConsumerError, begun: Instant) -> bool {
        let halted = matches!(
            error,
            ConsumerError::BadRecord(_) | ConsumerError::NoOffset { .. } | ConsumerError::OutOfRange { .. }
        );
        let dead = matches!(&error, ConsumerError::Client(error) if error.fault == Fault::ClientDead);
        let room = self.shared.lock().batches.len() < self.shared.capacity;
        if dead || (room && !(halted && self.told)) {
            self.told = halted;
            self.shared.change(|state| state.batches.push_back(Err(error)));
        }
        self.rest(begun);
        !dead
    }

    /// Waits for something to do, if the poll did not.
    fn rest(&self, begun: Instant) {
        let left = LOOK.saturating_sub(begun.elapsed());
        let state = self.shared.lock();
        if !left.is_zero() && state.calls.is_empty() && state.closing.is_none() {
            drop(self.shared.changed.wait_timeout(state, left));
        }
    }
}

impl<K: 'static, V: 'static> Drop for Feeder<K, V> {
    /// However the thread ends, nobody waits for it.
    fn drop(&mut self) {
        let mut left = VecDeque::new();
        self.shared.change(|state| {
            state.ended = true;
            left = std::mem::take(&mut state.calls);
        });
    }
}

impl<K: 'static, V: 'static> BatchStream<K, V> {
    /// The next batch; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Batch<K, V>, ConsumerError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Has the thread do something with its consumer: commit, seek, ask for positions.
    pub fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut TopicConsumer<K, V>) -> T + Send + 'static,
    ) -> Promise<T> {
        let (resolver, answer) = promise();
        let mut ended = false;
        self.shared.change(|state| {
            ended = state.ended;
            if !ended {
                state.calls.push_back(Box::new(move |consumer| resolver.resolve(call(consumer))));
            }
        });
        answer
    }

    /// Commits offsets of a batch.
    pub fn commit(&self, offsets: &ConsumedOffsets) -> Promise<Result<(), ConsumerError>> {
        let offsets = offsets.clone();
        self.with(move |consumer| consumer.commit_offsets(&offsets))
    }

    /// Goes on after a record that does not parse.
    pub fn skip(&self, bad: &BadRecord) -> Promise<Result<(), ConsumerError>> {
        let bad = bad.clone();
        self.with(move |consumer| consumer.skip(&bad))
    }

    /// Ends the thread, which closes its consumer ([`TopicConsumer::close`]), and waits for that.
    ///
    /// # Errors
    /// The group was not left within `timeout`.
    pub fn close(mut self, timeout: Duration) -> Result<(), ConsumerError> {
        self.take_in_hand();
        let shared = Arc::clone(&self.shared);
        shared.change(|state| {
            state.batches.clear();
            state.closing = Some(timeout);
        });
        let running = |state: &mut State<K, V>| !state.ended;
        let waited = shared.changed.wait_timeout_while(shared.lock(), timeout, running);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.batches.pop_front() {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None if !waited.timed_out() => Ok(()),
            Some(Ok(_)) | None => {
                let message = format!("the group was not left within {timeout:?}");
                Err(ClientError::new(Fault::Unknown, "close", message).into())
            }
        }
    }

    /// What the program had in hand is done.
    fn take_in_hand(&mut self) {
        if !self.in_hand.is_empty() {
            let in_hand = std::mem::take(&mut self.in_hand);
            self.done.lock().unwrap_or_else(PoisonError::into_inner).merge(&in_hand);
        }
    }
}

impl<K: 'static, V: 'static> Stream for BatchStream<K, V> {
    type Item = Result<Batch<K, V>, ConsumerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.take_in_hand();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        match state.batches.pop_front() {
            Some(item) => {
                drop(state);
                shared.changed.notify_all();
                if let Ok(batch) = &item {
                    self.in_hand = batch.offsets.clone();
                }
                Poll::Ready(Some(item))
            }
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<K, V> Drop for BatchStream<K, V> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.closing.get_or_insert(LEAVE);
        });
    }
}

/// Records of a consumer, to be awaited: a [`Stream`]. From [`TopicConsumer::into_records`].
///
/// A record counts as done when the next batch is begun.
///
/// ```
/// # use streams_core::clients::{ConsumerError, RecordStream};
/// async fn first_over(mut orders: RecordStream<String, i64>, cents: i64) -> Result<Option<String>, ConsumerError> {
///     while let Some(order) = orders.next().await {
///         match order {
///             Ok(order) if order.value > cents => return Ok(Some(order.key)),
///             Ok(_) => {}
///             Err(ConsumerError::BadRecord(bad)) => drop(orders.batches().skip(&bad).await),
///             Err(error) => return Err(error),
///         }
///     }
///     Ok(None)
/// }
/// ```
pub struct RecordStream<K, V> {
    batches: BatchStream<K, V>,
    rest: std::vec::IntoIter<ConsumedRecord<K, V>>,
}

/// Nothing in it is pinned.
impl<K, V> Unpin for RecordStream<K, V> {}

impl<K: 'static, V: 'static> RecordStream<K, V> {
    /// The next record; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<ConsumedRecord<K, V>, ConsumerError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The batches below: to commit, seek, skip and close.
    pub fn batches(&self) -> &BatchStream<K, V> {
        &self.batches
    }

    /// [`BatchStream::close`].
    ///
    /// # Errors
    /// As [`BatchStream::close`].
    pub fn close(self, timeout: Duration) -> Result<(), ConsumerError> {
        self.batches.close(timeout)
    }
}

impl<K: 'static, V: 'static> Stream for RecordStream<K, V> {
    type Item = Result<ConsumedRecord<K, V>, ConsumerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(record) = self.rest.next() {
                return Poll::Ready(Some(Ok(record)));
            }
            match Pin::new(&mut self.batches).poll_next(context) {
                Poll::Ready(Some(Ok(batch))) => self.rest = batch.into_iter(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
