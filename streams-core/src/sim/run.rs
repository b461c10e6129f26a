//! One run: whatever is due next happens, until the schedule is over, everything has healed, and the application is closed.

use std::sync::Arc;
use std::time::Duration;

use super::agenda::{Agenda, Wake};
use super::disk::Disk;
use super::instance::{Instance, Start, state_dir};
use super::leftovers::{lag, undecided};
use super::random::Random;
use super::schedule::{Act, Event, Schedule};
use super::simulation::{Input, Observed, Outcome, Simulation};
use super::world::{Link, Pause, START_MS, World};
use crate::config::{ProcessingGuarantee, StreamsConfig};

/// Within this time the input is fed, ms after the start.
const FEED_UNTIL_MS: u64 = 8_000;
/// When the last fault may happen, ms after the start.
const HEAL_MS: i64 = 30_000;
/// Within this time after the last fault everything must be processed: beyond all timeouts (I8).
const GRACE_MS: i64 = 180_000;
/// Within this time an instance that is asked to close must be closed (I10).
const CLOSE_MS: i64 = 30_000;
/// `transaction.timeout.ms`, and a little more.
const TRANSACTION_MS: i64 = 11_000;
/// Rounds of housekeeping, and looks whether all is done.
const ROUND_MS: i64 = 100;
/// Until a process that ended by itself is started again.
const RESTART_MS: i64 = 1_000;

/// A machine.
#[derive(Default)]
struct Machine {
    instance: Option<Instance>,
    /// Number of the process that runs.
    life: u64,
    frozen_until: i64,
    closing_since: Option<i64>,
}

/// One run.
pub(super) struct Run<'a> {
    simulation: &'a Simulation,
    schedule: &'a Schedule,
    world: std::sync::Arc<World>,
    disk: Disk,
    root: Option<tempfile::TempDir>,
    machines: Vec<Machine>,
    agenda: Agenda,
    /// When input comes and machines start.
    random: Random,
    input: Vec<Input>,
    starts: u64,
    /// The end: instances that close stay closed.
    leaving: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(simulation: &'a Simulation, schedule: &'a Schedule, log: bool) -> Self {
        let world = std::sync::Arc::new(World::new(schedule, log));
        let input = (simulation.input)(&mut Random::new(schedule.seed), schedule.records);
        let mut run = Self {
            simulation,
            schedule,
            world,
            disk: Disk::default(),
            root: directory(),
            machines: (0..schedule.instances).map(|_| Machine::default()).collect(),
            agenda: Agenda::new(schedule.seed.rotate_left(32)),
            random: Random::new(!schedule.seed),
            input,
            starts: 0,
            leaving: false,
        };
        if run.root.is_none() {
            run.world.violation("the run failed: no temporary directory".to_owned());
        }
        for (topic, partitions) in &simulation.topics {
            if let Err(error) = run.world.kafka.create_topic(topic, *partitions) {
                run.world.violation(format!("the run failed: {error}"));
            }
        }
        for number in 0..run.input.len() {
            let gap = FEED_UNTIL_MS / run.input.len() as u64;
            // Before the next one: what is due at the same time comes in any order.
            let at = run.random.below(gap + 1).min(gap.saturating_sub(1)) as i64;
            let begin = (FEED_UNTIL_MS * number as u64 / run.input.len() as u64) as i64;
            run.due_in(begin + at, Wake::Feed(number));
        }
        for instance in 0..schedule.instances {
            let at = run.random.below(300) as i64;
            run.due_in(at, Wake::Start(instance));
        }
        for event in &schedule.events {
            if let Event::At(at, act) = event {
                run.due_in(*at, Wake::Act(act.clone()));
            }
        }
        run
    }

    fn due_in(&mut self, ms: i64, wake: Wake) {
        let at = self.world.clock_ms() + ms;
        self.due_at(at, wake);
    }

    fn due_at(&mut self, at: i64, wake: Wake) {
        self.agenda.add(at, wake);
    }

    /// Everything until the end.
    pub(super) fn finish(mut self) -> Outcome {
        let failed = !self.world.state().violations.is_empty();
        if !failed {
            self.until(START_MS + HEAL_MS, |run| run.is_over());
            self.heal();
            let deadline = self.world.clock_ms() + GRACE_MS;
            if !self.until(deadline, |run| run.all_up() && run.all_done()) {
                let lag = self.lag();
                self.world.violation(match lag.is_empty() {
                    true => format!("I8: {GRACE_MS} ms after the last fault something waits still"),
                    false => format!("I8: {GRACE_MS} ms after the last fault not all is processed: {lag:?}"),
                });
            }
            self.close_all();
            self.check();
        }
        self.machines.clear();
        let (trace, virtual_ms) = (self.world.trace_hash(), self.world.elapsed());
        let mut state = self.world.state();
        Outcome {
            violations: std::mem::take(&mut state.violations),
            cells: std::mem::take(&mut state.cells),
            trace,
            calls: state.calls_made,
            virtual_ms,
            starts: self.starts,
            log: state.log.take().unwrap_or_default(),
        }
    }

    /// Does what is due, up to `deadline` or until `done`, which is asked now and then. Whether it was done.
    fn until(&mut self, deadline: i64, done: impl Fn(&Self) -> bool) -> bool {
        let mut asked = self.world.clock_ms();
        while let Some((at, wake)) = self.agenda.next(deadline) {
            self.world.clock.set(at.max(self.world.clock_ms()));
            self.wake(wake);
            if self.world.clock_ms() >= asked + ROUND_MS {
                asked = self.world.clock_ms();
                if done(self) {
                    return true;
                }
            }
        }
        self.world.clock.set(deadline.max(self.world.clock_ms()));
        done(self)
    }

    /// Whether nothing of the schedule is left, and all is processed.
    fn is_over(&self) -> bool {
        !self.agenda.has_events()
            && self.world.clock_ms() >= self.world.state().outage_until
            && self.all_up()
            && self.all_done()
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Turn { instance, life, actor } => self.turn(instance, life, actor),
            Wake::Housekeeping { instance, life } => self.housekeeping(instance, life),
            Wake::Act(act) => self.act(act),
            Wake::Start(instance) => self.start(instance),
            Wake::Feed(number) => self.feed(number),
            Wake::Arrival(request) => {
                let answer = self.world.kafka.receive(&request);
                if let Ok(true) = answer {
                    let text = "I6: a request of one transaction took effect in the next";
                    self.world.violation(format!("{text}: {request:?}"));
                }
                self.world.note(format_args!("late: {request:?}: {:?}", answer.map_err(|error| error.fault)));
            }
        }
        let late = std::mem::take(&mut self.world.state().late);
        for (at, request) in late {
            self.due_at(at, Wake::Arrival(request));
        }
    }

    fn feed(&mut self, number: usize) {
        let Some(Input { topic, key, value, timestamp }) = self.input.get(number).cloned() else { return };
        if let Err(error) =
            self.world.kafka.produce(&topic, None, key.as_deref(), value.as_deref(), timestamp)
        {
            self.world.violation(format!("the run failed: {error}"));
        }
    }

    fn link(&self, instance: usize) -> Link {
        Link { world: self.world.clone(), instance, dead: Arc::default() }
    }

    fn state_dir(&self, instance: usize) -> std::path::PathBuf {
        self.root.as_ref().map(|root| state_dir(root.path(), instance)).unwrap_or_default()
    }

    fn config(&self, instance: usize) -> StreamsConfig {
        let schedule = self.schedule;
        let guarantee = match schedule.exactly_once {
            true => ProcessingGuarantee::ExactlyOnceV2,
            false => ProcessingGuarantee::AtLeastOnce,
        };
        let mut config = StreamsConfig::new(self.simulation.name.as_str(), guarantee);
        config.state_dir = self.state_dir(instance);
        config.num_stream_threads = schedule.threads;
        config.commit_interval = Duration::from_millis(schedule.commit_interval_ms.max(1) as u64);
        config.repartition_purge_interval = Duration::from_millis(300);
        config.state_cleanup_delay = Duration::from_secs(365 * 86_400);
        let settings = [
            ("main.consumer.max.poll.interval.ms", "30000"),
            ("main.consumer.session.timeout.ms", "6000"),
            ("producer.transaction.timeout.ms", "10000"),
        ];
        config.client_properties.extend(settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
        (self.simulation.configure)(&mut config, &mut Random::new(schedule.seed ^ 0xc0f1));
        config
    }

    fn start(&mut self, number: usize) {
        if self.leaving {
            return;
        }
        match self.machines.get(number).map(|machine| &machine.instance) {
            // Its supervisor waits for the old process to end.
            Some(Some(instance)) if instance.is_closing() => {
                return self.due_in(ROUND_MS, Wake::Start(number));
            }
            Some(None) => {}
            Some(Some(_)) | None => return,
        }
        self.starts += 1;
        let life = self.starts;
        self.world.note(format_args!("i{number} starts"));
        let started = Instance::start(Start {
            schedule: self.schedule,
            topology: (self.simulation.topology)(),
            config: self.config(number),
            disk: &self.disk,
            link: self.link(number),
            life,
        });
        let Some(machine) = self.machines.get_mut(number) else { return };
        match started {
            Ok(instance) => {
                let threads = instance.threads();
                (machine.life, machine.closing_since) = (life, None);
                machine.instance = Some(instance);
                for actor in threads {
                    self.due_in(0, Wake::Turn { instance: number, life, actor });
                }
                self.due_in(ROUND_MS, Wake::Housekeeping { instance: number, life });
            }
            Err(error) => self.ended(number, &error.to_string()),
        }
    }

    /// Until when the machine does nothing, if it does nothing now.
    fn frozen(&self, number: usize) -> Option<i64> {
        let until = self.machines.get(number)?.frozen_until;
        (until > self.world.clock_ms()).then_some(until)
    }

    fn turn(&mut self, number: usize, life: u64, actor: usize) {
        if let Some(until) = self.frozen(number) {
            return self.due_at(until, Wake::Turn { instance: number, life, actor });
        }
        let machine = self.machines.get_mut(number).filter(|machine| machine.life == life);
        let Some(instance) = machine.and_then(|machine| machine.instance.as_mut()) else { return };
        match instance.turn(actor) {
            Some(Pause::Until(at)) => self.due_at(at, Wake::Turn { instance: number, life, actor }),
            Some(Pause::Crash) => self.kill_and_start(number),
            Some(Pause::Ended(result)) => self.thread_ended(number, result),
            None => {}
        }
    }

    fn thread_ended(&mut self, number: usize, result: Result<(), String>) {
        let Some(machine) = self.machines.get_mut(number) else { return };
        let Some(instance) = &machine.instance else { return };
        let closing = instance.is_closing();
        match result {
            Err(error) if !closing => return self.ended(number, &error),
            // What was not committed is processed again: that is for the model to see.
            Err(_) => self.world.note(format_args!("i{number} closes with an error")),
            Ok(()) => {}
        }
        if instance.is_over() {
            machine.instance = None;
            self.world.note(format_args!("i{number} is closed"));
        }
    }

    /// A process ended by itself: it may if its disk failed.
    fn ended(&mut self, number: usize, error: &str) {
        // The place of the directories is another one in each run.
        let root = self.root.as_ref().map(|root| root.path().display().to_string()).unwrap_or_default();
        let error = error.replace(&root, "");
        self.world.note(format_args!("i{number} ended: {error}"));
        if !self.world.state().disk_failed.contains(&number) {
            self.world.violation(format!("i{number} ended by itself: {error}"));
        }
        self.kill(number);
        self.due_in(RESTART_MS, Wake::Start(number));
    }

    fn kill_and_start(&mut self, number: usize) {
        self.kill(number);
        let down = 10 + self.random.below(3_000) as i64;
        self.due_in(down, Wake::Start(number));
    }

    fn kill(&mut self, number: usize) {
        if let Some(machine) = self.machines.get_mut(number)
            && let Some(instance) = machine.instance.take()
        {
            machine.frozen_until = 0;
            instance.kill();
            self.world.state().members.remove(&number);
        }
    }

    fn housekeeping(&mut self, number: usize, life: u64) {
        let now = self.link(number).now();
        let frozen = self.frozen(number);
        let Some(machine) = self.machines.get_mut(number).filter(|machine| machine.life == life) else {
            return;
        };
        let Some(instance) = &mut machine.instance else { return };
        if frozen.is_none() {
            instance.housekeeping(now);
        }
        let stood_until = {
            let state = self.world.state();
            let thread = state.stood_until.get(&number).copied().unwrap_or(0);
            thread.max(machine.frozen_until).max(state.outage_until)
        };
        if let Some(since) = machine.closing_since
            && self.world.clock_ms() - since.max(stood_until) > CLOSE_MS
        {
            machine.closing_since = None;
            self.world.violation(format!("I10: i{number} did not close within {CLOSE_MS} ms"));
        }
        self.due_in(ROUND_MS, Wake::Housekeeping { instance: number, life });
    }

    fn act(&mut self, act: Act) {
        self.world.note(format_args!("{act:?}"));
        match act {
            Act::Kill { instance, down_ms, wipe, power_loss } => {
                self.kill(instance);
                let directory = self.state_dir(instance);
                if let Some(applies) = power_loss {
                    self.disk.lose(&directory, applies);
                }
                if wipe {
                    self.disk.delete(&directory);
                    let _ = std::fs::remove_dir_all(&directory);
                }
                self.due_in(down_ms, Wake::Start(instance));
            }
            Act::Freeze { instance, ms } => self.freeze(instance, ms),
            Act::Restart { instance, down_ms } => {
                self.close(instance);
                self.due_in(down_ms, Wake::Start(instance));
            }
            Act::ExpireMembers => self.world.kafka.expire_members(&self.simulation.name),
            Act::Outage { ms } => self.world.state().outage_until = self.world.clock_ms() + ms,
            Act::ClockJump { instance, ms } => {
                *self.world.state().skew.entry(instance).or_default() += ms;
            }
            Act::Compact => {
                let topics = self.world.kafka.topics();
                for topic in topics.iter().filter(|topic| topic.ends_with("-changelog")) {
                    if let Err(error) = self.world.kafka.compact(topic) {
                        self.world.violation(format!("the run failed: {error}"));
                    }
                }
            }
        }
    }

    fn freeze(&mut self, number: usize, ms: i64) {
        let until = self.world.clock_ms() + ms;
        let Some(machine) = self.machines.get_mut(number) else { return };
        machine.frozen_until = until;
        let members = self.world.state().members.get(&number).cloned().unwrap_or_default();
        for (group, member) in members {
            self.world.kafka.silence(&group, &member);
        }
    }

    fn close(&mut self, number: usize) {
        let now = self.world.clock_ms();
        let Some(machine) = self.machines.get_mut(number) else { return };
        if let Some(instance) = &machine.instance
            && !instance.is_closing()
        {
            instance.close();
            machine.closing_since = Some(now);
        }
    }

    /// No more faults; who is down comes up.
    fn heal(&mut self) {
        self.world.note(format_args!("heals"));
        self.world.heal();
        for number in 0..self.machines.len() {
            self.due_in(0, Wake::Start(number));
        }
    }

    fn lag(&self) -> std::collections::BTreeMap<String, i64> {
        lag(&self.world.kafka, &self.simulation.name, &self.input)
    }

    fn all_done(&self) -> bool {
        let (kafka, schedule) = (&self.world.kafka, self.schedule);
        self.lag().is_empty() && (self.simulation.done)(kafka, schedule, &self.input)
    }

    fn all_up(&self) -> bool {
        self.machines
            .iter()
            .all(|machine| machine.instance.as_ref().is_some_and(|it| it.is_running() && !it.is_closing()))
    }

    fn close_all(&mut self) {
        self.leaving = true;
        (0..self.machines.len()).for_each(|number| self.close(number));
        let deadline = self.world.clock_ms() + 2 * CLOSE_MS;
        self.until(deadline, |run| run.machines.iter().all(|machine| machine.instance.is_none()));
        // The last markers arrive, and what a process left open that never came back times out.
        let deadline = self.world.clock_ms() + TRANSACTION_MS + self.schedule.marker_ms;
        while self.world.clock_ms() < deadline && !undecided(&self.world.kafka).is_empty() {
            self.world.clock.advance(ROUND_MS);
        }
    }

    /// What must be true of any topology, then what the simulation asks for.
    fn check(&mut self) {
        let kafka = &self.world.kafka;
        for place in undecided(&self.world.kafka) {
            self.world.violation(format!("I6: a transaction is left open on {place}"));
        }
        let engines = self.disk.of(self.link(self.machines.len()));
        let observed = Observed {
            kafka,
            schedule: self.schedule,
            input: &self.input,
            state_dirs: (0..self.machines.len()).map(|number| self.state_dir(number)).collect(),
            engines: &engines,
        };
        for violation in (self.simulation.check)(&observed) {
            self.world.violation(violation);
        }
    }
}

/// In memory where the system has such a place: state directories are made for each run.
fn directory() -> Option<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("kstreams-sim-").to_owned();
    let made = if memory.is_dir() { builder().tempdir_in(memory).ok() } else { None };
    made.or_else(|| builder().tempdir().ok())
}
