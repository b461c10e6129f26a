//! What a stream thread measures of itself: `stream-thread-metrics` and `stream-state-updater-metrics`; and what it is at.
//!
//! In: laps of a clock that is a hook, so that virtual time needs none, and amounts, a few for each turn. They are gathered in plain fields;
//! out: sensors, twice a second ([`flush`](ThreadSensors::flush)). A record costs nothing here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use streams_state::types::Timestamp;

use super::ThreadState;
use super::clock::ThreadClocks;
use super::metrics::ThreadMetrics;
use crate::metrics::catalogue::{SensorSpec, state_updater, thread};
use crate::metrics::{Activity, AtWork, Batch, Mark, MetricValue, Metrics, OwnWork, Scope, Sensor};

/// A sensor, and what it has not got yet.
#[derive(Debug)]
pub(super) struct Gathered {
    sensor: Sensor,
    batch: Batch,
}

impl Gathered {
    pub(super) fn new(scope: &mut Scope, spec: &SensorSpec) -> Self {
        Self { sensor: scope.sensor(spec), batch: Batch::default() }
    }

    pub(super) fn add(&mut self, number: f64) {
        self.batch.add(number);
    }

    pub(super) fn merge(&mut self, batch: Batch) {
        self.batch.merge(batch);
    }

    /// `ns` of `total_ns` went to it.
    pub(super) fn share(&mut self, ns: u64, total_ns: u64) {
        self.batch.count += total_ns;
        self.batch.sum += ns as f64;
    }

    pub(super) fn flush(&mut self, now: Timestamp) {
        self.sensor.record_batch(std::mem::take(&mut self.batch), now);
    }
}

/// What a turn went to, ns.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    poll: u64,
    process: u64,
    punctuate: u64,
    commit: u64,
}

/// The sensors of a stream thread and of its restores.
#[derive(Debug)]
pub(crate) struct ThreadSensors {
    clocks: ThreadClocks,
    at_work: OwnWork,
    /// Keeps the metrics registered.
    _scopes: [Scope; 2],
    /// When the last lap ended, and the turn began.
    lap_at: u64,
    turn_at: u64,
    spent: Spent,
    blocked_ns: Arc<AtomicU64>,
    state: Arc<AtomicU8>,
    commit: Gathered,
    poll: Gathered,
    poll_records: Gathered,
    process_latency: Gathered,
    process_rate: Gathered,
    process_records: Gathered,
    punctuate: Gathered,
    /// Of poll, process, punctuate, commit.
    ratios: [Gathered; 4],
    task_created: Gathered,
    task_closed: Gathered,
    restore_call: Gathered,
    restore_records: Gathered,
    /// Of restores, of standby tasks (there are none), of checkpoints (there are none: engines keep offsets beside rows), of nothing.
    updater_ratios: [Gathered; 4],
}

impl ThreadSensors {
    /// Registers the metrics of the thread `id`, an id that is unique in the group, which starts at `now`.
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        (id, process_id): (&str, &str),
        counters: &Arc<ThreadMetrics>,
        now: Timestamp,
    ) -> Self {
        let mut own = Scope::new(metrics, thread::GROUP, &[("thread-id", id)]);
        let mut updater = updater_scope(metrics, id, counters);
        let (blocked_ns, state) = own_gauges(&mut own, now);
        let mut sensor = |spec| Gathered::new(&mut own, spec);
        let commit = sensor(&thread::COMMIT);
        let poll = sensor(&thread::POLL);
        let poll_records = sensor(&thread::POLL_RECORDS);
        let process_latency = sensor(&thread::PROCESS_LATENCY);
        let process_rate = sensor(&thread::PROCESS_RATE);
        let process_records = sensor(&thread::PROCESS_RECORDS);
        let punctuate = sensor(&thread::PUNCTUATE);
        let task_created = sensor(&thread::TASK_CREATED);
        let task_closed = sensor(&thread::TASK_CLOSED);
        let ratios =
            [&thread::POLL_RATIO, &thread::PROCESS_RATIO, &thread::PUNCTUATE_RATIO, &thread::COMMIT_RATIO]
                .map(sensor);
        own.retag(&[("thread-id", id), ("process-id", process_id)]);
        let numbered = state.clone();
        own.number(thread::THREAD_STATE, move || f64::from(numbered.load(Relaxed)));
        let mut sensor = |spec| Gathered::new(&mut updater, spec);
        let restore_call = sensor(&state_updater::RESTORE_CALL);
        let restore_records = sensor(&state_updater::RESTORE_RECORDS);
        let updater_ratios = [
            &state_updater::ACTIVE_RESTORE_RATIO,
            &state_updater::STANDBY_UPDATE_RATIO,
            &state_updater::CHECKPOINT_RATIO,
            &state_updater::IDLE_RATIO,
        ]
        .map(sensor);
        Self {
            clocks: ThreadClocks::NONE,
            at_work: OwnWork::new(counters.at_work.clone()),
            _scopes: [own, updater],
            lap_at: 0,
            turn_at: 0,
            spent: Spent::default(),
            blocked_ns,
            state,
            commit,
            poll,
            poll_records,
            process_latency,
            process_rate,
            process_records,
            punctuate,
            ratios,
            task_created,
            task_closed,
            restore_call,
            restore_records,
            updater_ratios,
        }
    }

    /// Measures time with `clocks` from now on.
    pub(super) fn measure_with(&mut self, clocks: ThreadClocks) {
        self.clocks = clocks;
    }

    /// The clock that measures.
    pub(super) fn clock(&self) -> fn() -> u64 {
        self.clocks.ns
    }

    /// Ns on a CPU of the thread that asks, where somebody knows.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        (self.clocks.cpu_ns)()
    }

    /// The thread is at this from now on, nodes of its tasks apart.
    pub(super) fn at(&self, activity: Activity) {
        self.at_work.set(Mark::of(activity));
    }

    /// Where the thread says what it is at.
    pub(super) fn place(&self) -> Arc<AtWork> {
        self.at_work.place()
    }

    /// What the thread does at the moment.
    pub(super) fn show_state(&self, state: ThreadState) {
        self.state.store(state.number(), Relaxed);
    }

    pub(super) fn begin_turn(&mut self) {
        self.at(Activity::Other);
        self.turn_at = self.clocks.now_ns();
        (self.lap_at, self.spent) = (self.turn_at, Spent::default());
    }

    /// Ns since the lap before.
    pub(super) fn lap(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.lap_at, self.clocks.now_ns());
        self.lap_at.saturating_sub(before)
    }

    /// Ns since the lap before; the thread is at `activity` from now on.
    pub(super) fn lap_to(&mut self, activity: Activity) -> u64 {
        self.at(activity);
        self.lap()
    }

    /// A poll, which began with this lap, brought `records`.
    pub(super) fn polled(&mut self, records: usize) {
        let ns = self.lap_to(Activity::Other);
        self.spent.poll += ns;
        self.poll.add(millis(ns));
        self.poll_records.add(records as f64);
        self.blocked_ns.fetch_add(ns, Relaxed);
    }

    /// Work on records took `ns`.
    pub(super) fn processed(&mut self, ns: u64) {
        self.spent.process += ns;
    }

    /// Punctuations of a task, which began with this lap, ended; `any`: there were some. What came of the task is sent next.
    pub(super) fn punctuated(&mut self, any: bool) -> u64 {
        let ns = self.lap_to(Activity::Sending);
        if any {
            self.spent.punctuate += ns;
            self.punctuate.add(millis(ns));
        }
        ns
    }

    /// The tasks of a turn processed `records` together.
    pub(super) fn process_ended(&mut self, records: usize) {
        self.process_records.add(records as f64);
        if records > 0 {
            self.process_latency.add(millis(self.spent.process) / records as f64);
            self.process_rate.merge(Batch { count: 1, sum: records as f64, ..Batch::of(records as f64) });
        }
    }

    /// A commit of `tasks`, which began with this lap, ended.
    pub(super) fn committed(&mut self, tasks: usize) {
        let ns = self.lap();
        self.spent.commit += ns;
        self.commit.add(millis(ns) / tasks.max(1) as f64);
    }

    /// The cluster was waited for, since this lap began.
    pub(super) fn waited(&mut self, since_ns: u64) {
        self.blocked_ns.fetch_add(self.clocks.now_ns().saturating_sub(since_ns), Relaxed);
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clocks.now_ns()
    }

    /// A round of the restores brought `records`.
    pub(super) fn restored(&mut self, records: u64) {
        self.restore_call.add(1.0);
        self.restore_records.add(records as f64);
    }

    pub(super) fn task_created(&mut self) {
        self.task_created.add(1.0);
    }

    pub(super) fn task_closed(&mut self) {
        self.task_closed.add(1.0);
    }

    /// The turn is over, in which stores were `restoring` or not. Returns its ns.
    pub(super) fn end_turn(&mut self, restoring: bool) -> u64 {
        let turn = self.clocks.now_ns().saturating_sub(self.turn_at);
        let Spent { poll, process, punctuate, commit } = self.spent;
        for (ratio, ns) in self.ratios.iter_mut().zip([poll, process, punctuate, commit]) {
            ratio.share(ns, turn);
        }
        let [restore, standby, checkpoint, idle] = &mut self.updater_ratios;
        let restore_ns = if restoring { turn } else { 0 };
        restore.share(restore_ns, turn);
        standby.share(0, turn);
        checkpoint.share(0, turn);
        idle.share(turn - restore_ns, turn);
        turn
    }

    /// Hands everything to the sensors.
    pub(super) fn flush(&mut self, now: Timestamp) {
        let all = [
            &mut self.commit,
            &mut self.poll,
            &mut self.poll_records,
            &mut self.process_latency,
            &mut self.process_rate,
            &mut self.process_records,
            &mut self.punctuate,
            &mut self.task_created,
            &mut self.task_closed,
            &mut self.restore_call,
            &mut self.restore_records,
        ];
        let ratios = self.ratios.iter_mut().chain(&mut self.updater_ratios);
        all.into_iter().chain(ratios).for_each(|gathered| gathered.flush(now));
    }
}

/// Gauges of the thread itself, and the cells that they show: ns that it was blocked, its state.
fn own_gauges(own: &mut Scope, now: Timestamp) -> (Arc<AtomicU64>, Arc<AtomicU8>) {
    let blocked_ns = Arc::new(AtomicU64::new(0));
    let state = Arc::new(AtomicU8::new(ThreadState::PartitionsRevoked.number()));
    let (blocked, shown) = (blocked_ns.clone(), state.clone());
    own.number(thread::BLOCKED_TIME_NS_TOTAL, move || blocked.load(Relaxed) as f64);
    own.number(thread::THREAD_START_TIME, move || now as f64);
    own.gauge(thread::STATE, move |_| {
        MetricValue::Text(ThreadState::of_number(shown.load(Relaxed)).to_string())
    });
    (blocked_ns, state)
}

/// The scope of the restores of a thread, with its gauges.
fn updater_scope(metrics: &Arc<Metrics>, id: &str, counters: &Arc<ThreadMetrics>) -> Scope {
    let id = id.replace("-StreamThread-", "-StateUpdater-");
    let mut updater = Scope::new(metrics, state_updater::GROUP, &[("thread-id", &id)]);
    let counters = counters.clone();
    updater.number(state_updater::ACTIVE_RESTORING_TASKS, move || counters.restoring.load(Relaxed) as f64);
    // Nothing is paused, and there are no standby tasks.
    for none in [
        state_updater::ACTIVE_PAUSED_TASKS,
        state_updater::STANDBY_PAUSED_TASKS,
        state_updater::STANDBY_UPDATING_TASKS,
    ] {
        updater.number(none, || 0.0);
    }
    updater
}

fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}
