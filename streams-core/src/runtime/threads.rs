//! The lives of an instance's threads: started, replaced when they fail, ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::{SystemClock, ThreadClocks};
use super::global_thread::GlobalThread;
use super::housekeeping::{Housekeeper, ROUND};
use super::instance::{Instance, lock};
use super::listener::StreamThreadExceptionResponse;
use super::recover::Recovery;
use super::shared::Shared;
use super::stream_thread::StreamThread;
use super::{StreamsError, ThreadState, checkpoint};
use crate::client::embedded::Clock;
use crate::error::panic_text;

/// Deadline of the clients' own close inside a thread.
const THREAD_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Name of stream thread number `index`.
pub(super) fn thread_name(application_id: &str, index: usize) -> String {
    format!("{application_id}-StreamThread-{}", index + 1)
}

/// Name of the thread that feeds the global stores.
pub(super) fn global_thread_name(application_id: &str) -> String {
    format!("{application_id}-GlobalStreamThread")
}

/// Starts stream thread number `index`, which is member `slot` of the instance.
pub(super) fn spawn(
    (slot, index): (usize, usize),
    shared: Arc<Shared>,
    instance: Arc<Instance>,
) -> Result<JoinHandle<()>, StreamsError> {
    let name = thread_name(&shared.config.application_id, index);
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            if instance.await_global_stores() {
                run_until_stopped((slot, index), &shared, &instance);
            }
            // The last user of the state directory unlocks it: before the state says that all is closed.
            drop(shared);
            instance.show_tasks(slot, Vec::new());
            instance.thread_became(slot, ThreadState::Dead);
        })
        .map_err(|error| StreamsError::IllegalState(format!("cannot start a stream thread: {error}")))
}

/// The thread of the global stores. It is not replaced when it fails: the instance stops, as in Kafka Streams.
pub(super) fn spawn_global(
    index: usize,
    shared: Arc<Shared>,
    instance: Arc<Instance>,
) -> Result<JoinHandle<()>, StreamsError> {
    let name = global_thread_name(&shared.config.application_id);
    let work = move || {
        let ran = catch_unwind(AssertUnwindSafe(|| run_global(index, &shared, &instance)));
        let ended = ran.unwrap_or_else(|panic| {
            let thread = global_thread_name(&shared.config.application_id);
            Err(StreamsError::Panic { thread, message: panic_text(&*panic) })
        });
        if let Err(error) = ended {
            tracing::error!("the thread of the global stores failed: {error}");
            if Recovery::of_error(&error) == Recovery::RebuildTask {
                // The next start does not believe what is on disk.
                checkpoint::delete(&shared.directory.global_dir());
            }
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
    let clocks = (ThreadClocks::SYSTEM.ns, clock.now_ms());
    let mut thread = GlobalThread::new(shared.clone(), instance.metrics.global_thread(), clocks)?;
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
pub(super) fn spawn_housekeeping(
    shared: Weak<Shared>,
    instance: Arc<Instance>,
) -> Result<JoinHandle<()>, StreamsError> {
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
fn run_until_stopped((slot, index): (usize, usize), shared: &Arc<Shared>, instance: &Arc<Instance>) {
    while let Err(StreamThreadExceptionResponse::ReplaceThread) = run_thread((slot, index), shared, instance)
    {
    }
}

/// One life of a stream thread. A panic of user code is an error of this thread and commits nothing. An error: what is done about it.
fn run_thread(
    (slot, index): (usize, usize),
    shared: &Arc<Shared>,
    instance: &Arc<Instance>,
) -> Result<(), StreamThreadExceptionResponse> {
    let clock = SystemClock;
    let removed = lock(&instance.status).threads.get(slot).map(|member| member.removed.clone());
    let ends = || instance.stopping() || removed.as_ref().is_some_and(|it| it.load(Ordering::SeqCst));
    let failed = |error| decide((slot, index), error, instance);
    let mut thread = StreamThread::new(index, shared.clone(), instance.metrics.thread(), clock.now_ms())
        .map_err(failed)?;
    thread.sensors.measure_with(ThreadClocks::SYSTEM);
    let turned = catch_unwind(AssertUnwindSafe(|| {
        while !ends() {
            thread.step(clock.now_ms())?;
            if let Some(tasks) = thread.tasks.changed() {
                instance.show_tasks(slot, tasks);
            }
            instance.thread_became(slot, thread.state());
        }
        Ok(())
    }));
    let error = match turned {
        Ok(Ok(())) => return thread.close(THREAD_CLOSE_TIMEOUT, instance.membership()).map_err(failed),
        Ok(Err(error)) => error,
        Err(panic) => StreamsError::Panic { thread: thread.name.clone(), message: panic_text(&*panic) },
    };
    // Before it leaves the group: of an instance that is to stop no other thread takes over the record that failed.
    let response = failed(error);
    thread.abandon();
    Err(response)
}

/// Asks the handler about a thread that failed; the instance stops if it says so.
fn decide(
    (slot, index): (usize, usize),
    error: StreamsError,
    instance: &Instance,
) -> StreamThreadExceptionResponse {
    tracing::error!("stream thread {} failed: {error}", index + 1);
    instance.thread_failed();
    match instance.ask(&error) {
        StreamThreadExceptionResponse::ReplaceThread if !instance.stopping() => {
            instance.thread_became(slot, ThreadState::PartitionsRevoked);
            StreamThreadExceptionResponse::ReplaceThread
        }
        StreamThreadExceptionResponse::ReplaceThread | StreamThreadExceptionResponse::ShutdownClient => {
            instance.fail(error);
            StreamThreadExceptionResponse::ShutdownClient
        }
    }
}
