//! `KafkaStreams`: an application in this process. Starts and stops stream threads, and shows how they do.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use streams_state::checkpoint::Checkpoint;
use streams_state::directory::StateDirectory;
use streams_state::engine::EngineProvider;

use super::clock::{SystemClock, ThreadClocks};
use super::close_options::CloseOptions;
use super::engines::default_engines;
use super::instance::{Instance, Member, Status, lock};
use super::listener::{StateRestoreListener, StreamThreadExceptionResponse};
use super::metadata::ThreadMetadata;
use super::metrics::MetricsSnapshot;
use super::monitor::StreamsMonitor;
use super::shared::Shared;
use super::threads::{global_thread_name, spawn, spawn_global, spawn_housekeeping, thread_name};
use super::{State, StreamsError};
use crate::client::ClientSupplier;
use crate::client::embedded::Clock;
use crate::config::StreamsConfig;
use crate::metrics::Metric;
use crate::query::{QueryError, StateQueryRequest, StateQueryResult};
use crate::topology::Topology;

/// How long `checkpoint` waits for the threads.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait of an application that is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(10);

/// An application in this process. Dropped without [`close`](Self::close) it closes, too, and waits up to 10 s: a process that ends while its
/// threads work leaves a transaction open for others to wait for, and may be aborted by RocksDB.
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
    /// What the threads work with; they hold it, so that the last of them unlocks the state directory.
    shared: Weak<Shared>,
    /// Holds it when all stream threads were removed.
    kept: Option<Arc<Shared>>,
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
        topology.apply(&config);
        let instance = Instance::new(config.metrics);
        Ok(Self {
            config,
            topology: Arc::new(topology),
            supplier,
            engines: None,
            restore_listener: None,
            instance: Arc::new(instance),
            threads: Vec::new(),
            shared: Weak::new(),
            kept: None,
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
        let engines = self.engines.clone().map_or_else(|| default_engines(&self.config), Ok)?;
        let shared = Shared::prepare(
            self.config.clone(),
            self.topology.clone(),
            self.supplier.clone(),
            engines,
            self.restore_listener.clone(),
        )?;
        let shared = shared.with_registry(self.instance.registry.clone());
        let shared = Arc::new(shared.with_restore_workers().with_client_clock(ThreadClocks::SYSTEM.ns));
        let global = !shared.global_stores.is_empty();
        // With nothing but global stores there is nothing that a stream thread could do, as in Kafka Streams.
        let planned = shared.planned();
        let idle = shared.subscription(&planned).is_empty() && !planned.topology.has_patterns();
        let count = if idle && global { 0 } else { self.config.num_stream_threads.max(1) };
        {
            let mut status = lock(&self.instance.status);
            let streams = (0..count).map(|index| Member::new(Some(index)));
            status.threads = streams.chain(global.then(|| Member::new(None))).collect();
            status.global_ready = !global;
        }
        self.instance.become_state(State::Rebalancing);
        if global {
            self.threads.push(spawn_global(count, shared.clone(), self.instance.clone())?);
        }
        for index in 0..count {
            self.threads.push(spawn((index, index), shared.clone(), self.instance.clone())?);
        }
        self.shared = Arc::downgrade(&shared);
        self.instance.shared.get_or_init(|| self.shared.clone());
        self.instance.show_itself(&shared, &self.topology);
        self.threads.push(spawn_housekeeping(self.shared.clone(), self.instance.clone())?);
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
        self.monitor().metrics()
    }

    /// All metrics at this moment, under Kafka Streams' names, sorted by group, name and tags. There are none before `start`.
    #[must_use]
    pub fn named_metrics(&self) -> Vec<Metric> {
        self.monitor().named_metrics()
    }

    /// A handle that looks and does not touch: for health checks and whatever else lives in other threads.
    #[must_use]
    pub fn monitor(&self) -> StreamsMonitor {
        StreamsMonitor::new(self.instance.clone(), self.topology.clone(), &self.config)
    }

    /// Asks a store of this instance while it runs. Each partition is read by the thread that owns it, between two batches of records:
    /// the answer shows what that thread has processed so far, committed or not, with what record caches hold back.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use streams_core::{client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::{Store, Topic}};
    /// # use streams_core::runtime::{KafkaStreams, State, clock::SystemClock};
    /// use streams_core::query::{KeyQuery, Position, PositionBound, StateQueryRequest};
    ///
    /// const WORDS: Topic<String, String> = Topic::new("words");
    /// const COUNTS: Store<String, i64> = Store::new("counts");
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("kstreams-query-{}", std::process::id()));
    /// # let kafka = Arc::new(EmbeddedKafka::new(SystemClock));
    /// # kafka.create_topic("words", 1)?;
    /// # kafka.produce("words", Some(0), Some(b"ada"), Some(b"x"), 0)?;
    /// # let builder = StreamsBuilder::new();
    /// # builder.stream(&WORDS).group_by_key().count_with(&COUNTS);
    /// # let mut config = StreamsConfig::new("counter", ProcessingGuarantee::ExactlyOnceV2);
    /// # config.state_dir = folder.clone();
    /// # let mut streams = KafkaStreams::new(builder.build()?, config, kafka)?;
    /// # streams.start()?;
    /// # assert!(streams.await_state(&[State::Running], Duration::from_secs(30)));
    /// let request = StateQueryRequest::in_store(&COUNTS).with_query(KeyQuery::with_key("ada"));
    /// let count: Option<i64> = streams.query(&request)?.found()?;
    ///
    /// // Read what was written: offset 0 of `words` must be in the store. Until then the answer is `NOT_UP_TO_BOUND`.
    /// let written = PositionBound::at(Position::empty().with("words", 0, 0));
    /// let request = request.with_position_bound(written);
    /// # while streams.query(&request)?.found().is_err() {}
    /// assert_eq!(streams.query(&request)?.found()?, Some(1));
    /// # streams.close(Duration::from_secs(30))?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// There is no such store; the application is not started, or stopped; a thread did not come to the query in time. What went
    /// wrong with one partition is in its result.
    pub fn query<R: Send + 'static>(
        &self,
        request: &StateQueryRequest<R>,
    ) -> Result<StateQueryResult<R>, QueryError> {
        self.monitor().query(request)
    }

    /// Waits up to `timeout` for one of `states`. Returns whether it came.
    pub fn await_state(&self, states: &[State], timeout: Duration) -> bool {
        self.monitor().await_state(states, timeout)
    }

    /// The text of the error that stopped the instance, if one did.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.monitor().error()
    }

    /// Commits, closes all tasks and clients, and leaves the group, within `timeout`.
    ///
    /// # Errors
    /// The error that stopped the instance, if one did; or that the deadline passed: then threads go on to close in
    /// the background.
    pub fn close(&mut self, timeout: Duration) -> Result<(), StreamsError> {
        self.close_with(CloseOptions::timeout(timeout))
    }

    /// As [`close`](Self::close), with options: an instance that will be back in a moment may remain in the group.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_with(&mut self, options: CloseOptions) -> Result<(), StreamsError> {
        let CloseOptions { timeout, membership } = options;
        *lock(&self.instance.membership) = membership;
        self.kept = None;
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

impl KafkaStreams {
    /// Deletes the local state of the application, which restores from its changelogs at the next start. For an application that
    /// does not run: before `start`, or after `close`.
    ///
    /// # Errors
    /// The application runs, here or in another process that has the state directory; or it cannot be deleted.
    pub fn clean_up(&self) -> Result<(), StreamsError> {
        let state = self.state();
        if !matches!(state, State::Created | State::NotRunning | State::Error) {
            return Err(StreamsError::IllegalState(format!(
                "clean_up was called in state {state}; close the application first"
            )));
        }
        Ok(StateDirectory::open(&self.config.state_dir, &self.config.application_id)?.wipe()?)
    }

    /// Copies the state of this instance, while it runs, into `directory`, which is new or empty. There it is whole, or not at all.
    ///
    /// Each thread commits and lets its stores' engines copy their files between two batches of records: links within a file system,
    /// however large they are. Then processing goes on, while this call gathers the copies and waits until they are on disk; to
    /// another file system they are copied here, not on the threads. The copy of a store holds committed rows and the offset of its
    /// changelog that they reach. A task that still restores is copied as far as it is; one that comes or goes in a rebalance at that
    /// moment may be missing. Stores in memory only are named but not kept.
    ///
    /// Another instance, on a new machine too, starts from it by [`state_start_from`](StreamsConfig::state_start_from)
    /// (`state.start.from`): its tasks restore only what their changelogs gained since.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use streams_core::{client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::{Store, Topic}};
    /// # use streams_core::runtime::{KafkaStreams, State, clock::SystemClock};
    /// # const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// # const COUNTS: Store<String, i64> = Store::new("counts");
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("kstreams-checkpoint-{}", std::process::id()));
    /// # let kafka = Arc::new(EmbeddedKafka::new(SystemClock));
    /// # kafka.create_topic("clicks", 1)?;
    /// # let topology = || {
    /// #     let builder = StreamsBuilder::new();
    /// #     builder.stream(&CLICKS).group_by_key().count_with(&COUNTS);
    /// #     builder.build()
    /// # };
    /// # let mut config = StreamsConfig::new("clicks", ProcessingGuarantee::ExactlyOnceV2);
    /// # config.state_dir = folder.join("state");
    /// let mut streams = KafkaStreams::new(topology()?, config.clone(), kafka.clone())?;
    /// streams.start()?;
    /// # assert!(streams.await_state(&[State::Running], Duration::from_secs(30)));
    /// let checkpoint = streams.checkpoint(&folder.join("monday"))?;
    /// for task in &checkpoint.tasks {
    ///     println!("{}: {} bytes in {} stores", task.task, task.bytes(), task.stores.len());
    /// }
    /// assert_eq!(checkpoint.tasks[0].stores[0].name, "counts");
    /// # streams.close(Duration::from_secs(30))?;
    ///
    /// // Elsewhere, with the directory `monday` brought there:
    /// config.state_start_from = Some(folder.join("monday"));
    /// # config.state_dir = folder.join("elsewhere");
    /// let mut streams = KafkaStreams::new(topology()?, config, kafka)?;
    /// streams.start()?;
    /// # streams.close(Duration::from_secs(30))?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The application does not run; `directory` is not empty or cannot be written; a thread did not answer within a minute: which.
    pub fn checkpoint(&self, directory: &Path) -> Result<Checkpoint, StreamsError> {
        let Some(shared) = self.shared.upgrade().filter(|_| self.state().is_running_or_rebalancing()) else {
            return Err(StreamsError::IllegalState(format!(
                "checkpoint was called in state {}; it is for an application that runs (a closed one left all its state \
                 in its state directory)",
                self.state()
            )));
        };
        let draft = shared.begin_checkpoint(directory)?;
        let living = || {
            let status = lock(&self.instance.status);
            status.threads.iter().filter(|member| member.is_alive()).map(|member| member.index).collect()
        };
        let waited = shared.checkpoints.wait(CHECKPOINT_TIMEOUT, living).map_err(|missing| {
            let thread = |index: &Option<usize>| match index {
                Some(index) => thread_name(&self.config.application_id, *index),
                None => global_thread_name(&self.config.application_id),
            };
            let missing: Vec<String> = missing.iter().map(thread).collect();
            StreamsError::IllegalState(format!(
                "no checkpoint was taken: {} did not come to a commit within {CHECKPOINT_TIMEOUT:?} (a long rebalance, a \
                 record that takes long, or a cluster that does not answer); try again",
                missing.join(", ")
            ))
        });
        let waited = waited.and_then(|()| match self.state().is_running_or_rebalancing() {
            true => Ok(()),
            false => Err(StreamsError::IllegalState(
                "no checkpoint was taken: the application stopped meanwhile".to_owned(),
            )),
        });
        shared.end_checkpoint(draft, waited, SystemClock.now_ms())
    }

    /// The stream threads of this instance that live, and their tasks.
    #[must_use]
    pub fn metadata_for_local_threads(&self) -> Vec<ThreadMetadata> {
        self.monitor().metadata_for_local_threads()
    }

    /// Starts one more stream thread, which gets its share of the tasks. Returns its name; `None` if the application does not
    /// run.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn add_stream_thread(&mut self) -> Result<Option<String>, StreamsError> {
        let Some(shared) = self.shared.upgrade() else { return Ok(None) };
        let (slot, index) = {
            let mut status = lock(&self.instance.status);
            if !status.state.is_running_or_rebalancing() {
                return Ok(None);
            }
            let taken = |index: &usize| {
                status.threads.iter().any(|member| member.is_alive() && member.index == Some(*index))
            };
            let index = (0..).find(|index| !taken(index)).unwrap_or(status.threads.len());
            status.threads.push(Member::new(Some(index)));
            (status.threads.len() - 1, index)
        };
        shared.threads.fetch_add(1, Ordering::Relaxed);
        self.instance.become_state(State::Rebalancing);
        let spawned = spawn((slot, index), shared, self.instance.clone());
        if spawned.is_err() {
            lock(&self.instance.status).threads.truncate(slot);
        }
        self.threads.push(spawned?);
        self.kept = None;
        Ok(Some(thread_name(&self.config.application_id, index)))
    }

    /// Ends the stream thread that came last: it commits and leaves the group, and the others take its tasks. Waits up to
    /// `timeout` for that. Returns its name; `None` if the application does not run, or has no stream thread.
    ///
    /// # Errors
    /// The deadline passed: then the thread goes on to close in the background.
    pub fn remove_stream_thread(&mut self, timeout: Duration) -> Result<Option<String>, StreamsError> {
        let (slot, index) = {
            let status = lock(&self.instance.status);
            let mut members = status.threads.iter().enumerate().rev();
            let living = members.find_map(|(slot, member)| {
                let stays = member.is_alive() && !member.is_removed();
                member.index.filter(|_| stays).map(|index| (slot, index, member.removed.clone()))
            });
            let Some((slot, index, removed)) = living else { return Ok(None) };
            if !status.state.is_running_or_rebalancing() {
                return Ok(None);
            }
            self.kept = self.shared.upgrade();
            removed.store(true, Ordering::SeqCst);
            (slot, index)
        };
        if let Some(shared) = &self.kept {
            shared.threads.fetch_sub(1, Ordering::Relaxed);
        }
        let name = thread_name(&self.config.application_id, index);
        let status = lock(&self.instance.status);
        let alive = |status: &mut Status| status.threads.get(slot).is_some_and(Member::is_alive);
        let (mut status, waited) = self
            .instance
            .changed
            .wait_timeout_while(status, timeout, alive)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && alive(&mut status) {
            return Err(StreamsError::IllegalState(format!(
                "{name} did not end within {timeout:?}; it goes on to close in the background"
            )));
        }
        if status.threads.iter().any(Member::is_alive) {
            self.kept = None;
        }
        Ok(Some(name))
    }
}

impl Drop for KafkaStreams {
    fn drop(&mut self) {
        // A close that did not end in time goes on in the background: it was waited for once.
        if self.state() != State::PendingShutdown
            && let Err(error) = self.close(DROP_TIMEOUT)
        {
            tracing::warn!("an application was dropped: {error}");
        }
    }
}
