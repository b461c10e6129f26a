//! What the threads of an instance and its handle see of each other: states, errors, tasks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::client_metrics::ClientMetrics;
use super::clock::SystemClock;
use super::close_options::GroupMembershipOperation;
use super::history::{Change, History};
use super::listener::{StateListener, StreamThreadExceptionResponse, UncaughtExceptionHandler};
use super::metadata::TaskMetadata;
use super::metrics::InstanceMetrics;
use super::shared::Shared;
use super::{State, StreamsError, ThreadState};
use crate::client::embedded::Clock;
use crate::metrics::{MetricConfig, Metrics};

/// What the threads and the handle see of each other.
pub(super) struct Instance {
    pub(super) status: Mutex<Status>,
    pub(super) changed: Condvar,
    pub(super) stop: AtomicBool,
    /// What becomes of the membership in the group when the instance stops.
    pub(super) membership: Mutex<GroupMembershipOperation>,
    pub(super) metrics: InstanceMetrics,
    /// The same and more under Kafka Streams' names.
    pub(super) registry: Arc<Metrics>,
    /// What it says of itself there, once it was started.
    pub(super) own_metrics: OnceLock<ClientMetrics>,
    /// What the threads work with, once they were started.
    pub(super) shared: OnceLock<Weak<Shared>>,
    pub(super) listener: Mutex<Option<StateListener>>,
    pub(super) handler: Mutex<Option<UncaughtExceptionHandler>>,
}

/// A thread, as the instance sees it.
pub(super) struct Member {
    /// Number of a stream thread; the thread of the global stores has none.
    pub(super) index: Option<usize>,
    pub(super) state: ThreadState,
    pub(super) tasks: Vec<TaskMetadata>,
    /// It is to end, and the others go on.
    pub(super) removed: Arc<AtomicBool>,
}

impl Member {
    pub(super) fn new(index: Option<usize>) -> Self {
        let (state, removed) = (ThreadState::PartitionsRevoked, Arc::new(AtomicBool::new(false)));
        Self { index, state, tasks: Vec::new(), removed }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.state != ThreadState::Dead
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }
}

pub(super) struct Status {
    pub(super) state: State,
    pub(super) threads: Vec<Member>,
    pub(super) error: Option<StreamsError>,
    /// The global stores hold what their topics had at the start; or there are none.
    pub(super) global_ready: bool,
    pub(super) history: History,
}

impl Status {
    /// The state that follows from those of the threads.
    fn by_threads(&self) -> State {
        let removed = self.threads.iter().all(Member::is_removed);
        let mut living = self.threads.iter().filter(|member| member.is_alive()).peekable();
        match (living.peek().is_none(), self.state) {
            (true, State::PendingShutdown) => State::NotRunning,
            (true, State::PendingError) => State::Error,
            (true, _) if removed => State::Running,
            (true, _) => State::PendingError,
            (false, _) if living.all(|member| member.state == ThreadState::Running) => State::Running,
            (false, _) => State::Rebalancing,
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Instance {
    /// One that was not started.
    pub(super) fn new(metrics: MetricConfig) -> Self {
        Self {
            status: Mutex::new(Status {
                state: State::Created,
                threads: Vec::new(),
                error: None,
                global_ready: true,
                history: History::default(),
            }),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            membership: Mutex::new(GroupMembershipOperation::LeaveGroup),
            metrics: InstanceMetrics::default(),
            registry: Arc::new(Metrics::new(metrics)),
            own_metrics: OnceLock::new(),
            shared: OnceLock::new(),
            listener: Mutex::new(None),
            handler: Mutex::new(None),
        }
    }

    /// Moves to `next` if that is legal, and tells the listener.
    pub(super) fn become_state(&self, next: State) -> bool {
        self.change(|_| Some(next))
    }

    /// Moves to the state that `decide` finds, if that is legal, and tells the listener. One at a time, from the look to the
    /// word: else a thread could move to what it found before another changed, and the listener hear it in another order.
    fn change(&self, decide: impl FnOnce(&mut Status) -> Option<State>) -> bool {
        let listener = lock(&self.listener);
        let moved = {
            let mut status = lock(&self.status);
            let next = decide(&mut status).filter(|next| status.state.may_become(*next));
            next.map(|next| {
                status.history.add(SystemClock.now_ms(), Change::State(next));
                (std::mem::replace(&mut status.state, next), next)
            })
        };
        self.changed.notify_all();
        let Some((old, next)) = moved else { return false };
        tracing::info!("state {old} -> {next}");
        if let Some(listener) = &*listener {
            listener(next, old);
        }
        true
    }

    /// Thread number `slot` is in `state`: the instance runs when all living threads do, or all were removed.
    pub(super) fn thread_became(&self, slot: usize, state: ThreadState) {
        let is_new = |status: &Status| status.threads.get(slot).is_some_and(|member| member.state != state);
        if !is_new(&lock(&self.status)) {
            return;
        }
        let mut failed = false;
        self.change(|status| {
            let member = status.threads.get_mut(slot)?;
            member.state = state;
            status.history.add(SystemClock.now_ms(), Change::Thread { thread: member.index, state });
            let next = status.by_threads();
            failed = next == State::PendingError;
            Some(next)
        });
        if failed {
            self.become_state(State::Error);
        }
    }

    /// The tasks of thread number `slot`, or whether they run, changed.
    pub(super) fn show_tasks(&self, slot: usize, tasks: Vec<TaskMetadata>) {
        let status = &mut *lock(&self.status);
        let Some(member) = status.threads.get_mut(slot) else { return };
        let ids = |only: fn(&TaskMetadata) -> bool| {
            tasks.iter().filter(|task| only(task)).map(|task| task.task_id).collect()
        };
        let change = Change::Tasks {
            thread: member.index,
            active: ids(|_| true),
            restoring: ids(|task| task.restoring),
        };
        status.history.add(SystemClock.now_ms(), change);
        member.tasks = tasks;
    }

    /// How a thread that ends in good order leaves.
    pub(super) fn membership(&self) -> GroupMembershipOperation {
        match self.stopping() {
            true => *lock(&self.membership),
            // The thread was removed: the others have its tasks now.
            false => GroupMembershipOperation::LeaveGroup,
        }
    }

    /// What to do about a failed thread.
    pub(super) fn ask(&self, error: &StreamsError) -> StreamThreadExceptionResponse {
        match &*lock(&self.handler) {
            Some(handler) => handler(error),
            None => StreamThreadExceptionResponse::ShutdownClient,
        }
    }

    /// Waits up to `timeout` for the instance to stop. Returns whether it does.
    pub(super) fn await_stop(&self, timeout: Duration) -> bool {
        let status = lock(&self.status);
        let waited = self
            .changed
            .wait_timeout_while(status, timeout, |status| status.state.is_running_or_rebalancing())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// Waits until the global stores are filled. `false`: the instance stops before.
    pub(super) fn await_global_stores(&self) -> bool {
        let status = lock(&self.status);
        let waiting = |status: &mut Status| !status.global_ready && status.state.is_running_or_rebalancing();
        let status = self.changed.wait_while(status, waiting).unwrap_or_else(PoisonError::into_inner);
        status.global_ready
    }

    pub(super) fn global_stores_ready(&self) {
        lock(&self.status).global_ready = true;
        self.changed.notify_all();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A thread failed and the instance stops because of it.
    pub(super) fn fail(&self, error: StreamsError) {
        lock(&self.status).error.get_or_insert(error);
        self.become_state(State::PendingError);
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Of two threads that began to run at once, one could be late with what it had found before the other ran: the instance
    /// stayed in REBALANCING for ever.
    #[test]
    fn threads_that_begin_to_run_at_once_leave_the_instance_running() {
        let instance = Instance::new(MetricConfig::default());
        {
            let mut status = lock(&instance.status);
            status.state = State::Rebalancing;
            status.threads = vec![Member::new(Some(0)), Member::new(Some(1))];
        }
        let arrived = AtomicUsize::new(0);
        let run = |slot: usize| {
            // The two meet without sleeping, so that what follows happens at the same time.
            let meet = |round: usize| {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 * round {
                    std::thread::yield_now();
                }
            };
            for round in 0..20_000 {
                meet(4 * round + 1);
                instance.thread_became(slot, ThreadState::Running);
                meet(4 * round + 2);
                assert_eq!(lock(&instance.status).state, State::Running);
                meet(4 * round + 3);
                instance.thread_became(slot, ThreadState::PartitionsRevoked);
                meet(4 * round + 4);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run(1));
            run(0);
        });
    }
}
