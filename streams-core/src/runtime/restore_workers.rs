//! Threads that restore changelog partitions, several at once, while stream threads go on with what is restored.
//!
//! In: jobs. Out: how far each is, read by the stream thread whose turn it is. A worker is started when a job finds none that is free, up to
//! a number, has a consumer of its own, and ends when no job waits. A job that is no longer wanted is taken back: who drops it waits until
//! its worker has let go of the engine.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streams_state::engine::Run;

use super::recover::{Phase, Recovery};
use super::restore::RestoreError;
use super::restore_job::RestoreJob;
use crate::client::{ClientError, ClientSupplier, Consumer, ConsumerSettings, Fault};
use crate::error::panic_text;

/// Wait of a worker's poll: how long it takes at most to notice that its job is taken back.
const POLL: Duration = Duration::from_millis(50);

/// Deadline for the close of a worker's consumer.
const CLOSE: Duration = Duration::from_secs(1);

/// How far a job is.
#[derive(Default)]
struct Progress {
    position: i64,
    records: u64,
    /// A client call that failed and is tried again.
    trouble: Option<ClientError>,
    outcome: Option<Result<(), RestoreError>>,
    /// The worker has let go of it.
    ended: bool,
}

/// What a job's worker and its owner share.
#[derive(Default)]
struct Desk {
    progress: Mutex<Progress>,
    ended: Condvar,
    taken_back: AtomicBool,
}

impl Desk {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, outcome: Result<(), RestoreError>) {
        let mut progress = self.progress();
        progress.outcome.get_or_insert(outcome);
        progress.ended = true;
        self.ended.notify_all();
    }
}

/// A job and where to tell of it.
struct Work {
    job: RestoreJob,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    running: usize,
    started: usize,
}

/// The workers of an instance.
pub(crate) struct RestoreWorkers {
    supplier: Arc<dyn ClientSupplier>,
    settings: ConsumerSettings,
    workers_max: usize,
    queue: Mutex<Queue>,
}

impl RestoreWorkers {
    /// At most `workers_max` threads, whose consumers are made with `settings`.
    pub(crate) fn new(
        supplier: Arc<dyn ClientSupplier>,
        settings: ConsumerSettings,
        workers_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self { supplier, settings, workers_max, queue: Mutex::default() })
    }

    /// Gives `job` to a worker.
    pub(crate) fn submit(self: &Arc<Self>, job: RestoreJob) -> Result<SubmittedJob, RestoreError> {
        let desk = Arc::new(Desk::default());
        (desk.progress().position, desk.progress().records) = job.progress();
        let mut queue = self.queue();
        queue.waiting.push_back(Work { job, desk: desk.clone() });
        let submitted = SubmittedJob { desk, workers: self.clone() };
        if queue.running < self.workers_max {
            let number = queue.started + 1;
            let workers = self.clone();
            let name = format!("{}-{number}", self.settings.client_id);
            let spawned = std::thread::Builder::new().name(name).spawn(move || workers.work(number));
            match spawned {
                Ok(_) => (queue.running, queue.started) = (queue.running + 1, number),
                // The workers that there are will come to it.
                Err(_) if queue.running > 0 => {}
                Err(error) => {
                    drop(queue);
                    let error =
                        ClientError::new(Fault::Retriable, "start a restore worker", error.to_string());
                    return Err(RestoreError::Client(error));
                }
            }
        }
        Ok(submitted)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of worker `number`.
    fn work(&self, number: usize) {
        let mut consumer = None;
        let mut room = Run::default();
        while let Some(Work { mut job, desk }) = self.next() {
            job.reuse(std::mem::take(&mut room));
            let restored = catch_unwind(AssertUnwindSafe(|| self.restore(job, &desk, number, &mut consumer)));
            desk.end(match restored {
                Ok(Ok(run)) => {
                    room = run;
                    Ok(())
                }
                Ok(Err(error)) => Err(error),
                Err(panic) => {
                    let said = ClientError::new(Fault::Invalid, "restore a store", panic_text(&*panic));
                    Err(RestoreError::Client(said))
                }
            });
        }
        if let Some(mut consumer) = consumer
            && let Err(error) = consumer.close(CLOSE)
        {
            tracing::debug!("closing the consumer of a restore worker: {error}");
        }
    }

    /// The next job; without one the worker is none any more.
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue();
        let work = queue.waiting.pop_front();
        queue.running -= usize::from(work.is_none());
        work
    }

    fn restore(
        &self,
        mut job: RestoreJob,
        desk: &Desk,
        number: usize,
        consumer: &mut Option<Box<dyn Consumer>>,
    ) -> Result<Run, RestoreError> {
        while !desk.taken_back.load(Ordering::Relaxed) {
            let done = match self.consumer(number, consumer) {
                Ok(consumer) => job.step(consumer, POLL),
                Err(error) => Err(RestoreError::Client(error)),
            };
            let mut progress = desk.progress();
            (progress.position, progress.records) = job.progress();
            match done {
                Ok(false) => {}
                Ok(true) => {
                    drop(progress);
                    return Ok(job.finish()?);
                }
                Err(RestoreError::Client(error))
                    if Recovery::of(&error, Phase::Restore, false) == Recovery::Retry =>
                {
                    progress.trouble = Some(error);
                    if consumer.is_none() {
                        // Nothing else waits here.
                        let _ = desk.ended.wait_timeout(progress, POLL);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Run::default())
    }

    fn consumer<'a>(
        &self,
        number: usize,
        consumer: &'a mut Option<Box<dyn Consumer>>,
    ) -> Result<&'a mut dyn Consumer, ClientError> {
        let made = match consumer.take() {
            Some(made) => made,
            None => {
                let client_id = format!("{}-{number}", self.settings.client_id);
                self.supplier.consumer(&ConsumerSettings { client_id, ..self.settings.clone() })?
            }
        };
        Ok(&mut **consumer.insert(made))
    }
}

/// A job that was given to the workers. Dropped, it is taken back.
pub(crate) struct SubmittedJob {
    desk: Arc<Desk>,
    workers: Arc<RestoreWorkers>,
}

impl SubmittedJob {
    /// Next offset, and records so far.
    pub(crate) fn progress(&self) -> (i64, u64) {
        let progress = self.desk.progress();
        (progress.position, progress.records)
    }

    /// Whether it is done; an error if it failed, or if a call failed that is tried again.
    pub(crate) fn poll(&self) -> Result<bool, RestoreError> {
        let mut progress = self.desk.progress();
        if let Some(outcome) = progress.outcome.take() {
            outcome?;
            progress.outcome = Some(Ok(()));
            return Ok(true);
        }
        progress.trouble.take().map_or(Ok(false), |error| Err(RestoreError::Client(error)))
    }
}

impl Drop for SubmittedJob {
    fn drop(&mut self) {
        self.desk.taken_back.store(true, Ordering::Relaxed);
        let mut queue = self.workers.queue();
        let waiting = queue.waiting.len();
        queue.waiting.retain(|work| !Arc::ptr_eq(&work.desk, &self.desk));
        if queue.waiting.len() < waiting {
            return;
        }
        drop(queue);
        let ended = self.desk.ended.wait_while(self.desk.progress(), |progress| !progress.ended);
        drop(ended);
    }
}
