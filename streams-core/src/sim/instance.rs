//! One instance of the application: its stream threads as coroutines over the real runtime.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use generator::{Generator, Gn};
use uuid::Uuid;

use super::consumer::SimConsumer;
use super::disk::Disk;
use super::producer::SimProducer;
use super::schedule::Schedule;
use super::world::{Link, Pause};
use crate::client::{
    Admin, ClientError, ClientSupplier, Consumer, ConsumerSettings, Producer, ProducerSettings,
};
use crate::config::StreamsConfig;
use crate::error::panic_text;
use crate::runtime::clock::ThreadClocks;
use crate::runtime::{
    GlobalThread, GroupMembershipOperation, Housekeeper, Shared, StreamThread, StreamsError, ThreadMetrics,
};
use crate::task::FlushPolicy;
use crate::topology::Topology;

/// Stack of a coroutine, in words: a topology may nest its operators deeply.
const STACK_WORDS: usize = 64 * 1024;
/// Time that a turn of the crank takes, ms.
const TURN_MS: i64 = 1;
/// Deadline of the clients' own close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Everything that is committed goes to the engines.
const FLUSH_ALL: FlushPolicy = FlushPolicy { records_max: 1, bytes_max: 1, waits: false };

/// Makes clients whose calls go through the link of an instance.
struct Clients(Link);

impl ClientSupplier for Clients {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        let inner = self.0.world.kafka.own_consumer(settings)?;
        Ok(Box::new(SimConsumer::new(inner, self.0.clone(), settings.group.is_some())))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        let inner = self.0.world.kafka.own_producer(settings)?;
        Ok(Box::new(SimProducer::new(inner, self.0.clone())))
    }

    /// Never waits: threads share it under a lock.
    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.0.world.kafka.admin()
    }

    fn describe(&self) -> String {
        "simulated cluster".to_owned()
    }
}

/// A coroutine that may be turned.
pub(super) type Actor = Generator<'static, (), Pause>;

/// An instance that runs.
pub(super) struct Instance {
    actors: Vec<Option<Actor>>,
    shared: Arc<Shared>,
    housekeeper: Housekeeper,
    closing: Arc<AtomicBool>,
    running: Arc<Vec<AtomicBool>>,
    dead: Arc<AtomicBool>,
}

/// What an instance is started with.
pub(super) struct Start<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) topology: Topology,
    pub(super) config: StreamsConfig,
    pub(super) disk: &'a Disk,
    pub(super) link: Link,
    /// Number of this process among all of the run.
    pub(super) life: u64,
}

impl Instance {
    /// Starts it, as a process would be.
    pub(super) fn start(start: Start<'_>) -> Result<Self, StreamsError> {
        let Start { schedule, topology, config, disk, link, life } = start;
        let process = Uuid::from_u128(u128::from(life));
        streams_state::directory::assign_process_id(&config.state_dir, &config.application_id, process)?;
        let threads = config.num_stream_threads;
        let engines = Arc::new(disk.of(link.clone()));
        let supplier = Arc::new(Clients(link.clone()));
        let shared = Arc::new(Shared::prepare(config, Arc::new(topology), supplier, engines, None)?);
        let housekeeper = Housekeeper::new(link.now());
        let closing = Arc::new(AtomicBool::new(false));
        let running = Arc::new((0..threads).map(|_| AtomicBool::new(false)).collect::<Vec<_>>());
        let mut actors = Vec::new();
        let global_ready = Arc::new(AtomicBool::new(shared.global_stores.is_empty()));
        for index in 0..threads {
            let thread = ThreadBody {
                index,
                shared: shared.clone(),
                link: link.clone(),
                closing: closing.clone(),
                running: running.clone(),
                global_ready: global_ready.clone(),
                flush_one_in: schedule.flush_one_in,
                bulk_restore: schedule.bulk_restore,
            };
            actors.push(Some(coroutine((life, index), move || thread.run())));
        }
        if !shared.global_stores.is_empty() {
            let (shared, link, closing) = (shared.clone(), link.clone(), closing.clone());
            let run = move || run_global(shared, &link, &closing, &global_ready);
            actors.push(Some(coroutine((life, threads), run)));
        }
        Ok(Self { actors, shared, housekeeper, closing, running, dead: link.dead })
    }

    /// Work that no record waits for.
    pub(super) fn housekeeping(&mut self, now: i64) {
        self.housekeeper.round(&self.shared, now);
    }

    /// Asks all threads to close.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Whether all stream threads have their tasks, restored.
    pub(super) fn is_running(&self) -> bool {
        self.running.iter().all(|running| running.load(Ordering::SeqCst))
    }

    /// Numbers of its threads.
    pub(super) fn threads(&self) -> std::ops::Range<usize> {
        0..self.actors.len()
    }

    /// Whether all threads ended.
    pub(super) fn is_over(&self) -> bool {
        self.actors.iter().all(Option::is_none)
    }

    /// Turns a thread on. A panic is an error of its own: the process lives on, and says so.
    pub(super) fn turn(&mut self, actor: usize) -> Option<Pause> {
        let actor = self.actors.get_mut(actor)?;
        let coroutine = actor.as_mut()?;
        let pause = coroutine.resume().unwrap_or_else(|| {
            let panic = coroutine.get_panic_data();
            let text = panic.map_or_else(|| "without a word".to_owned(), |panic| panic_text(&*panic));
            Pause::Ended(Err(format!("a thread panicked: {text}")))
        });
        if matches!(pause, Pause::Ended(_)) {
            *actor = None;
        }
        Some(pause)
    }

    /// kill -9: each coroutine ends where it stands. Nothing reaches the cluster or the disk any more.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.dead.store(true, Ordering::SeqCst);
    }
}

/// Threads of a process at most.
const THREADS_MAX: usize = 1 << 10;

/// A thread of a process: by the number of the process and its own.
fn coroutine(
    (life, index): (u64, usize),
    body: impl FnOnce() -> Result<(), StreamsError> + Send + 'static,
) -> Actor {
    let mut made =
        Gn::<()>::new_opt(STACK_WORDS, move || Pause::Ended(body().map_err(|error| error.to_string())));
    // Marks it as the one that a call deep below pauses, and tells it from the others; it points to nothing.
    made.set_local_data(std::ptr::without_provenance_mut(life as usize * THREADS_MAX + index + 1));
    made
}

struct ThreadBody {
    index: usize,
    shared: Arc<Shared>,
    link: Link,
    closing: Arc<AtomicBool>,
    running: Arc<Vec<AtomicBool>>,
    global_ready: Arc<AtomicBool>,
    flush_one_in: u64,
    bulk_restore: bool,
}

impl ThreadBody {
    /// The life of a stream thread, as in `runtime/threads.rs`.
    fn run(self) -> Result<(), StreamsError> {
        while !self.global_ready.load(Ordering::SeqCst) {
            if self.closing.load(Ordering::SeqCst) {
                return Ok(());
            }
            self.link.pause(10);
        }
        let metrics = Arc::new(ThreadMetrics::default());
        let mut thread = StreamThread::new(self.index, self.shared.clone(), metrics, self.link.now())?;
        thread.restorer.bulk_min_records = if self.bulk_restore { 1 } else { i64::MAX };
        let turned = self.turn(&mut thread);
        self.show(false);
        match turned {
            Ok(()) => thread.close(CLOSE_TIMEOUT, GroupMembershipOperation::LeaveGroup),
            Err(error) => {
                thread.abandon();
                Err(error)
            }
        }
    }

    fn turn(&self, thread: &mut StreamThread) -> Result<(), StreamsError> {
        while !self.closing.load(Ordering::SeqCst) {
            thread.step(self.link.now())?;
            let flush = self.flush_one_in > 0 && self.link.world.state().random.one_in(self.flush_one_in);
            if flush
                && !thread.going_back
                && let Err(trouble) = thread.commit().and_then(|_| thread.flush_stores(FLUSH_ALL))
            {
                thread.recover(trouble)?;
            }
            self.show(thread.state() == crate::runtime::ThreadState::Running);
            self.link.pause(TURN_MS);
        }
        Ok(())
    }

    fn show(&self, running: bool) {
        if let Some(shown) = self.running.get(self.index) {
            shown.store(running, Ordering::SeqCst);
        }
    }
}

fn run_global(
    shared: Arc<Shared>,
    link: &Link,
    closing: &AtomicBool,
    ready: &AtomicBool,
) -> Result<(), StreamsError> {
    let mut thread = GlobalThread::new(shared, Arc::default(), (ThreadClocks::NONE.ns, link.now()))?;
    while !closing.load(Ordering::SeqCst) {
        ready.fetch_or(thread.is_ready(), Ordering::SeqCst);
        thread.step(link.now())?;
        link.pause(TURN_MS);
    }
    thread.close(CLOSE_TIMEOUT)
}

/// Where an instance has its state.
pub(super) fn state_dir(root: &std::path::Path, instance: usize) -> PathBuf {
    root.join(format!("i{instance}"))
}
