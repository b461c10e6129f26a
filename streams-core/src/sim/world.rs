//! What all parts of a simulation share: time, the cluster, what is still to happen, and what was seen.
//!
//! An application runs in coroutines. Where it calls the cluster or its disk it comes to a [`Link`], which lets time pass (others run
//! meanwhile), looks whether something is to happen to this call, and writes it into the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::random::Random;
use super::schedule::{Event, Schedule};
use super::step::{CallFault, FaultKind, Step};
use crate::client::embedded::{Clock, EmbeddedKafka, Request, VirtualClock};
use crate::client::{ClientError, Fault};

/// A cell of the table: what happened at which step.
pub type Cell = (Step, FaultKind);

/// What a coroutine tells the one who turns it.
#[derive(Debug)]
pub(super) enum Pause {
    /// Go on at this time.
    Until(i64),
    /// The process dies here.
    Crash,
    /// The application ended, well or with an error.
    Ended(Result<(), String>),
}

/// Shared by everything of one run.
pub(super) struct World {
    pub(super) kafka: EmbeddedKafka,
    pub(super) clock: VirtualClock,
    /// A commit that was answered may not show yet.
    pub(super) markers_are_late: bool,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    pub(super) random: Random,
    latency_ms: i64,
    /// Faults of calls that did not come up yet.
    armed: Vec<Armed>,
    calls: BTreeMap<(usize, Option<Step>), u32>,
    /// Until when no broker answers.
    pub(super) outage_until: i64,
    /// Copies of requests on their way, with the time of their arrival.
    pub(super) late: Vec<(i64, Request)>,
    /// Error of the clock of each instance, ms.
    pub(super) skew: BTreeMap<usize, i64>,
    /// Instances whose disk failed: their threads may end.
    pub(super) disk_failed: BTreeSet<usize>,
    /// Until when a thread of each instance stood still.
    pub(super) stood_until: BTreeMap<usize, i64>,
    /// The thread that wrote last with each producer.
    pub(super) writers: BTreeMap<i64, usize>,
    /// Group members of each instance.
    pub(super) members: BTreeMap<usize, BTreeSet<(String, String)>>,
    pub(super) cells: BTreeMap<Cell, u64>,
    /// What broke a rule while it ran.
    pub(super) violations: Vec<String>,
    trace: DefaultHasher,
    pub(super) calls_made: u64,
    /// The last calls, as text, if they are wanted.
    pub(super) log: Option<Vec<String>>,
}

struct Armed {
    instance: usize,
    step: Option<Step>,
    nth: u32,
    fault: CallFault,
}

impl World {
    pub(super) fn new(schedule: &Schedule, log: bool) -> Self {
        let clock = VirtualClock::new(START_MS);
        let kafka = EmbeddedKafka::new(clock.clone());
        kafka.delay_markers(schedule.marker_ms);
        let armed = schedule.events.iter().filter_map(|event| match event {
            Event::Call { instance, step, nth, fault } => {
                Some(Armed { instance: *instance, step: *step, nth: *nth, fault: *fault })
            }
            Event::At(..) => None,
        });
        let state = State {
            random: Random::new(schedule.seed ^ 0x5eed),
            latency_ms: schedule.latency_ms,
            armed: armed.collect(),
            calls: BTreeMap::new(),
            outage_until: 0,
            late: Vec::new(),
            skew: BTreeMap::new(),
            disk_failed: BTreeSet::new(),
            stood_until: BTreeMap::new(),
            writers: BTreeMap::new(),
            members: BTreeMap::new(),
            cells: BTreeMap::new(),
            violations: Vec::new(),
            trace: DefaultHasher::new(),
            calls_made: 0,
            log: log.then(Vec::new),
        };
        Self { kafka, clock, markers_are_late: schedule.marker_ms > 0, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ms since the epoch.
    pub(super) fn clock_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Ms since the start.
    pub(super) fn elapsed(&self) -> i64 {
        self.clock.now_ms() - START_MS
    }

    /// Into the trace, and into the log, if there is one.
    pub(super) fn note(&self, what: std::fmt::Arguments<'_>) {
        let at = self.elapsed();
        let mut state = self.state();
        let text = what.to_string();
        (at, &text).hash(&mut state.trace);
        if let Some(log) = &mut state.log {
            log.push(format!("{at:>7} {text}"));
        }
    }

    /// A rule was broken.
    pub(super) fn violation(&self, text: String) {
        self.note(format_args!("VIOLATION {text}"));
        self.state().violations.push(text);
    }

    /// Where the first open transaction of a thread begins, of those of a partition: producers and first offsets.
    pub(super) fn first_of(&self, thread: usize, open: &[(i64, i64)]) -> Option<i64> {
        let writers = &self.state().writers;
        let own = open.iter().filter(|(producer, _)| writers.get(producer) == Some(&thread));
        own.map(|(_, first)| *first).min()
    }

    /// No more faults: what is broken heals.
    pub(super) fn heal(&self) {
        let (mut state, now) = (self.state(), self.clock.now_ms());
        state.armed.clear();
        state.outage_until = state.outage_until.min(now);
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.state().trace.finish()
    }
}

/// Time at the start, ms since the epoch. Far from 0, so that clocks may jump back.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// Where one thread of an instance meets the world.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) world: Arc<World>,
    pub(super) instance: usize,
    /// Whether the process is dead.
    pub(super) dead: Arc<AtomicBool>,
}

impl Link {
    /// A call comes up: time passes, and it is decided what becomes of it. What happens before a call has happened then.
    pub(super) fn call(&self, step: Step) -> Option<CallFault> {
        let latency = {
            let mut state = self.world.state();
            let limit = state.latency_ms as u64 + 1;
            state.random.below(limit) as i64
        };
        if latency > 0 && step != Step::StoreWrite {
            self.pause(latency);
        }
        let fault = self.take_fault(step);
        match fault {
            Some(CallFault::CrashBefore) => self.crash(step),
            Some(CallFault::Stall(ms)) => {
                let until = self.world.clock_ms() + ms;
                let mut state = self.world.state();
                let stood = state.stood_until.entry(self.instance).or_default();
                *stood = until.max(*stood);
                drop(state);
                self.pause(ms);
            }
            Some(_) | None => return fault,
        }
        None
    }

    /// A call that nothing but a crash or a stall may happen to.
    pub(super) fn around<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        let fault = self.call(step);
        let answer = work();
        self.done(step, fault);
        answer
    }

    /// The call has happened.
    pub(super) fn done(&self, step: Step, fault: Option<CallFault>) {
        if fault == Some(CallFault::CrashAfter) {
            self.crash(step);
        }
    }

    /// The fault for this call, counted as a cell that was hit.
    fn take_fault(&self, step: Step) -> Option<CallFault> {
        let instance = self.instance;
        let found = {
            let mut state = self.world.state();
            state.calls_made += 1;
            let mut count = |key| {
                let calls = state.calls.entry((instance, key)).or_default();
                *calls += 1;
                *calls - 1
            };
            let (of_step, of_all) = (count(Some(step)), count(None));
            let hit = state.armed.iter().position(|armed| {
                armed.instance == instance
                    && match armed.step {
                        Some(wanted) => wanted == step && armed.nth == of_step,
                        None => armed.nth == of_all,
                    }
            });
            let fault = hit.map(|at| state.armed.swap_remove(at).fault);
            let fault = fault.filter(|fault| step.faults().contains(&fault.kind()));
            if let Some(fault) = fault {
                *state.cells.entry((step, fault.kind())).or_default() += 1;
                if matches!(fault.kind(), FaultKind::DiskFull | FaultKind::Damaged) {
                    state.disk_failed.insert(instance);
                }
            }
            fault
        };
        match found {
            Some(fault) => self.world.note(format_args!("i{instance} {step:?}: {fault:?}")),
            None if step != Step::Poll => self.world.note(format_args!("i{instance} {step:?}")),
            None => {}
        }
        found
    }

    /// Lets `ms` pass; others run meanwhile.
    pub(super) fn pause(&self, ms: i64) {
        if may_pause() {
            self.wait(Pause::Until(self.world.clock.now_ms() + ms.max(0)));
        }
    }

    /// The process dies: this does not return to a live one.
    fn crash(&self, step: Step) {
        self.world.note(format_args!("i{} dies at {step:?}", self.instance));
        if may_pause() {
            self.wait(Pause::Crash);
        }
    }

    /// Lets others run. A process that is killed meanwhile does nothing more: what is dropped with a coroutine goes on behind its pause.
    fn wait(&self, pause: Pause) {
        generator::co_yield_with(pause);
        if self.dead.load(Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new(generator::Error::Cancel));
        }
    }

    /// Waits for the cluster, up to `timeout`.
    pub(super) fn reach(&self, call: &str, timeout: Duration) -> Result<(), ClientError> {
        let (until, now) = (self.world.state().outage_until, self.world.clock.now_ms());
        if until <= now {
            return Ok(());
        }
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        self.pause(timeout_ms.min(until - now));
        match until - now > timeout_ms || !may_pause() {
            true => Err(ClientError::new(Fault::Unreachable, call, "simulated: no broker answers")),
            false => Ok(()),
        }
    }

    /// Ms since the epoch, as this instance believes.
    pub(super) fn now(&self) -> i64 {
        let skew = self.world.state().skew.get(&self.instance).copied().unwrap_or(0);
        self.world.clock.now_ms() + skew
    }
}

/// The coroutine that runs, by a number that no other one has.
pub(super) fn this_thread() -> usize {
    generator::get_local_data().addr()
}

/// Whether this is a coroutine of an instance that lives: not while it is torn down.
pub(super) fn may_pause() -> bool {
    generator::is_generator() && !std::thread::panicking()
}
