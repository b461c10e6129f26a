//! `KafkaStreams`: an application in this process. Starts and stops stream threads, and shows how they do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use streams_state::engine::EngineProvider;

use super::clock::SystemClock;
use super::global_thread::GlobalThread;
use super::housekeeping::{Housekeeper, ROUND};
use super::listener::{
    StateListener, StateRestoreListener, StreamThreadExceptionResponse, UncaughtExceptionHandler,
};
use super::metrics::{InstanceMetrics, MetricsSnapshot};
use super::shared::Shared;
use super::stream_thread::StreamThread;
use super::{State, StreamsError, ThreadState};
use crate::client::ClientSupplier;
use crate::client::embedded::Clock;
use crate::config::StreamsConfig;
use crate::error::panic_text;
use crate::topology::Topology;

/// Deadline of the clients' own close inside a thread.
const THREAD_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An application in this process.
///
/// ```no_run
/// # use std::{sync::Arc, time::Duration};
/// # use streams_core::{client::embedded::EmbeddedKafka, config::*, topology::Topology};
/// # use streams_core::runtime::{KafkaStreams, clock::SystemClock};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (topology, kafka) = (Topology::new(), EmbeddedKafka::new(SystemClock));
/// let config = StreamsConfig::new("word-count", ProcessingGuarantee::ExactlyOnceV2);
/// let mut streams = KafkaStreams::new(topology, config, Arc::new(kafka))?;
/// streams.start()?;
/// // ... until it is time to stop:
/// streams.close(Duration::from_secs(30))?;
/// # Ok(()) }
/// ```
pub struct KafkaStreams {
    config: StreamsConfig,
    topology: Arc<Topology>,
    supplier: Arc<dyn ClientSupplier>,
    engines: Option<Arc<dyn EngineProvider>>,
    restore_listener: Option<Arc<dyn StateRestoreListener>>,
    instance: Arc<Instance>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and the handle see of each other.
struct Instance {
    status: Mutex<Status>,
    changed: Condvar,
    stop: AtomicBool,
    metrics: InstanceMetrics,
    listener: Mutex<Option<StateListener>>,
    handler: Mutex<Option<UncaughtExceptionHandler>>,
}

struct Status {
    state: State,
    threads: Vec<ThreadState>,
    error: Option<StreamsError>,
    /// The global stores hold what their topics had at the start; or there are none.
    global_ready: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KafkaStreams {
    /// An application, not yet started. `supplier` makes its clients: the embedded log or Kafka.
    ///
    /// # Errors
    /// A topology that cannot run, with all its faults.
    pub fn new(
        mut topology: Topology,
        config: StreamsConfig,
        supplier: Arc<dyn ClientSupplier>,
    ) -> Result<Self, StreamsError> {
        topology.validate()?;
        if config.dsl_store_headers && !config.dsl_stores_in_memory {
            topology.keep_headers();
        }
        let instance = Instance {
            status: Mutex::new(Status {
                state: State::Created,
                threads: Vec::new(),
                error: None,
                global_ready: true,
            }),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            metrics: InstanceMetrics::default(),
            listener: Mutex::new(None),
            handler: Mutex::new(None),
        };
        Ok(Self {
            config,
            topology: Arc::new(topology),
            supplier,
            engines: None,
            restore_listener: None,
            instance: Arc::new(instance),
            threads: Vec::new(),
        })
    }

    /// Calls `listener` at each change of state with the new and the old one, in the order of the changes. The next change
    /// waits until it returns.
    pub fn set_state_listener(&mut self, listener: impl Fn(State, State) + Send + Sync + 'static) {
        *lock(&self.instance.listener) = Some(Box::new(listener));
    }

    /// Calls `listener` while stores restore. Set it before `start`.
    pub fn set_global_state_restore_listener(&mut self, listener: Arc<dyn StateRestoreListener>) {
        self.restore_listener = Some(listener);
    }

    /// Asks `handler` what to do about a thread that failed. Without one the instance stops.
    pub fn set_uncaught_exception_handler(
        &mut self,
        handler: impl Fn(&StreamsError) -> StreamThreadExceptionResponse + Send + Sync + 'static,
    ) {
        *lock(&self.instance.handler) = Some(Box::new(handler));
    }

    /// Keeps state in `engines` instead of what the configuration says. Set it before `start`.
    pub fn set_engines(&mut self, engines: Arc<dyn EngineProvider>) {
        self.engines = Some(engines);
    }

    /// Locks the state directory, looks at the topics, creates internal ones, and starts the threads.
    ///
    /// # Errors
    /// One clear sentence each: called twice; state directory in use, unwritable or of a newer format; no broker;
    /// source topic missing; co-partitioned topics with different counts; internal topic with a wrong count.
    pub fn start(&mut self) -> Result<(), StreamsError> {
        let state = self.state();
        if state != State::Created {
            return Err(StreamsError::IllegalState(format!(
                "start was called in state {state}; an application starts once, make a new one"
            )));
        }
        let engines = self.engines.clone().unwrap_or_else(|| default_engines(&self.config));
        let shared = Arc::new(Shared::prepare(
            self.config.clone(),
            self.topology.clone(),
            self.supplier.clone(),
            engines,
            self.restore_listener.clone(),
        )?);
        let global = !shared.global_stores.is_empty();
        // With nothing but global stores there is nothing that a stream thread could do, as in Kafka Streams.
        let planned = shared.planned();
        let idle = shared.subscription(&planned).is_empty() && !planned.topology.has_patterns();
        let count = if idle && global { 0 } else { self.config.num_stream_threads.max(1) };
        {
            let mut status = lock(&self.instance.status);
            status.threads = vec![ThreadState::PartitionsRevoked; count + usize::from(global)];
            status.global_ready = !global;
        }
        self.instance.become_state(State::Rebalancing);
        if global {
            self.threads.push(spawn_global(count, shared.clone(), self.instance.clone())?);
        }
        for index in 0..count {
            self.threads.push(spawn(index, shared.clone(), self.instance.clone())?);
        }
        self.threads.push(spawn_housekeeping(Arc::downgrade(&shared), self.instance.clone())?);
        Ok(())
    }

    /// State of the instance.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.instance.status).state
    }

    /// Figures at this moment.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.instance.metrics.snapshot()
    }

    /// Waits up to `timeout` for one of `states`. Returns whether it came.
    pub fn await_state(&self, states: &[State], timeout: Duration) -> bool {
        let status = lock(&self.instance.status);
        let waited = self
            .instance
            .changed
            .wait_timeout_while(status, timeout, |status| !states.contains(&status.state))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// The text of the error that stopped the instance, if one did.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        lock(&self.instance.status).error.as_ref().map(ToString::to_string)
    }

    /// Commits, closes all tasks and clients, and leaves the group, within `timeout`.
    ///
    /// # Errors
    /// The error that stopped the instance, if one did; or that the deadline passed: then threads go on to close in
    /// the background.
    pub fn close(&mut self, timeout: Duration) -> Result<(), StreamsError> {
        if self.state() == State::Created {
            self.instance.become_state(State::PendingShutdown);
            self.instance.become_state(State::NotRunning);
            return Ok(());
        }
        self.instance.become_state(State::PendingShutdown);
        self.instance.stop.store(true, Ordering::SeqCst);
        if !self.await_state(&[State::NotRunning, State::Error], timeout) {
            return Err(StreamsError::IllegalState(format!(
                "the application did not close within {timeout:?}; its threads go on to close in the background"
            )));
        }
        for thread in self.threads.drain(..) {
            // A thread reports its end itself; a panic was caught inside.
            let _ = thread.join();
        }
        match lock(&self.instance.status).error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for KafkaStreams {
    fn drop(&mut self) {
        self.instance.stop.store(true, Ordering::SeqCst);
    }
}

/// RocksDB if it is compiled in and the configuration does not ask for memory.
fn default_engines(config: &StreamsConfig) -> Arc<dyn EngineProvider> {
    #[cfg(feature = "rocksdb")]
    if !config.dsl_stores_in_memory {
        return Arc::new(streams_state::engine::RocksDbProvider::new(config.memory_max_bytes / 8));
    }
    let _ = config;
    Arc::new(streams_state::engine::InMemoryProvider)
}

impl Instance {
    /// Moves to `next` if that is legal, and tells the listener.
    fn become_state(&self, next: State) -> bool {
        // Held from before the change, so that the listener hears changes of several threads in their order.
        let listener = lock(&self.listener);
        let old = {
            let mut status = lock(&self.status);
            if !status.state.may_become(next) {
                return false;
            }
            std::mem::replace(&mut status.state, next)
        };
        tracing::info!("state {old} -> {next}");
        self.changed.notify_all();
        if let Some(listener) = &*listener {
            listener(next, old);
        }
        true
    }

    /// A thread changed: the instance runs when all living threads do.
    fn thread_became(&self, index: usize, state: ThreadState) {
        let next = {
            let mut status = lock(&self.status);
            match status.threads.get_mut(index) {
                Some(slot) if *slot != state => *slot = state,
                Some(_) | None => return,
            }
            let mut living = status.threads.iter().filter(|state| **state != ThreadState::Dead).peekable();
            match (living.peek().is_none(), status.state) {
                (true, State::PendingShutdown) => State::NotRunning,
                (true, State::PendingError) => State::Error,
                (true, _) => State::PendingError,
                (false, _) if living.all(|state| *state == ThreadState::Running) => State::Running,
                (false, _) => State::Rebalancing,
            }
        };
        self.become_state(next);
        if next == State::PendingError {
            self.become_state(State::Error);
        }
    }

    /// What to do about a failed thread.
    fn ask(&self, error: &StreamsError) -> StreamThreadExceptionResponse {
        match &*lock(&self.handler) {
            Some(handler) => handler(error),
            None => StreamThreadExceptionResponse::ShutdownClient,
        }
    }

    /// Waits up to `timeout` for the instance to stop. Returns whether it does.
    fn await_stop(&self, timeout: Duration) -> bool {
        let status = lock(&self.status);
        let waited = self
            .changed
            .wait_timeout_while(status, timeout, |status| status.state.is_running_or_rebalancing())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// Waits until the global stores are filled. `false`: the instance stops before.
    fn await_global_stores(&self) -> bool {
        let status = lock(&self.status);
        let waiting = |status: &mut Status| !status.global_ready && status.state.is_running_or_rebalancing();
        let status = self.changed.wait_while(status, waiting).unwrap_or_else(PoisonError::into_inner);
        status.global_ready
    }

    fn global_stores_ready(&self) {
        lock(&self.status).global_ready = true;
        self.changed.notify_all();
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A thread failed and the instance stops because of it.
    fn fail(&self, error: StreamsError) {
        lock(&self.status).error.get_or_insert(error);
        self.become_state(State::PendingError);
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn spawn(index: usize, shared: Arc<Shared>, instance: Arc<Instance>) -> Result<JoinHandle<()>, StreamsError> {
    let name = format!("{}-StreamThread-{}", shared.config.application_id, index + 1);
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            if instance.await_global_stores() {
                run_until_stopped(index, &shared, &instance);
            }
            // The last user of the state directory unlocks it: before the state says that all is closed.
            drop(shared);
            instance.thread_became(index, ThreadState::Dead);
        })
        .map_err(|error| StreamsError::IllegalState(format!("cannot start a stream thread: {error}")))
}

/// The thread of the global stores. It is not replaced when it fails: the instance stops, as in Kafka Streams.
fn spawn_global(
    index: usize,
    shared: Arc<Shared>,
    instance: Arc<Instance>,
) -> Result<JoinHandle<()>, StreamsError> {
    let name = format!("{}-GlobalStreamThread", shared.config.application_id);
    let work = move || {
        let ran = catch_unwind(AssertUnwindSafe(|| run_global(index, &shared, &instance)));
        let ended = ran.unwrap_or_else(|panic| {
            let thread = format!("{}-GlobalStreamThread", shared.config.application_id);
            Err(StreamsError::Panic { thread, message: panic_text(&*panic) })
        });
        if let Err(error) = ended {
            tracing::error!("the thread of the global stores failed: {error}");
            instance.ask(&error);
            instance.fail(error);
        }
        drop(shared);
        instance.thread_became(index, ThreadState::Dead);
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|error| StreamsError::IllegalState(format!("cannot start the global thread: {error}")))
}

fn run_global(index: usize, shared: &Arc<Shared>, instance: &Arc<Instance>) -> Result<(), StreamsError> {
    let clock = SystemClock;
    let mut thread = GlobalThread::new(shared.clone(), instance.metrics.thread(), clock.now_ms())?;
    while !instance.stopping() {
        if thread.is_ready() {
            instance.global_stores_ready();
            instance.thread_became(index, ThreadState::Running);
        }
        thread.step(clock.now_ms())?;
    }
    thread.close(THREAD_CLOSE_TIMEOUT)
}

/// Ends with the last stream thread: it holds the shared part weakly, and only during a round.
fn spawn_housekeeping(shared: Weak<Shared>, instance: Arc<Instance>) -> Result<JoinHandle<()>, StreamsError> {
    let work = move || {
        let mut housekeeper = Housekeeper::new(SystemClock.now_ms());
        while !instance.await_stop(ROUND) {
            let Some(shared) = shared.upgrade() else { return };
            housekeeper.round(&shared, SystemClock.now_ms());
        }
    };
    std::thread::Builder::new()
        .name("kstreams-housekeeping".to_owned())
        .spawn(work)
        .map_err(|error| StreamsError::IllegalState(format!("cannot start the housekeeping thread: {error}")))
}

/// Runs a thread, and a new one in its place where the handler says so.
fn run_until_stopped(index: usize, shared: &Arc<Shared>, instance: &Arc<Instance>) {
    loop {
        let Err(error) = run_thread(index, shared, instance) else { return };
        tracing::error!("stream thread {} failed: {error}", index + 1);
        match instance.ask(&error) {
            StreamThreadExceptionResponse::ReplaceThread if !instance.stopping() => {
                instance.thread_became(index, ThreadState::PartitionsRevoked);
            }
            StreamThreadExceptionResponse::ReplaceThread | StreamThreadExceptionResponse::ShutdownClient => {
                instance.fail(error);
                return;
            }
        }
    }
}

/// One life of a stream thread. A panic of user code is an error of this thread and commits nothing.
fn run_thread(index: usize, shared: &Arc<Shared>, instance: &Arc<Instance>) -> Result<(), StreamsError> {
    let clock = SystemClock;
    let mut thread = StreamThread::new(index, shared.clone(), instance.metrics.thread(), clock.now_ms())?;
    let turned = catch_unwind(AssertUnwindSafe(|| {
        while !instance.stopping() {
            thread.step(clock.now_ms())?;
            instance.thread_became(index, thread.state());
        }
        Ok(())
    }));
    match turned {
        Ok(Ok(())) => thread.close(THREAD_CLOSE_TIMEOUT),
        Ok(Err(error)) => {
            thread.abandon();
            Err(error)
        }
        Err(panic) => {
            thread.abandon();
            Err(StreamsError::Panic { thread: thread.name.clone(), message: panic_text(&*panic) })
        }
    }
}
