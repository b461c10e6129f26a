//! What happens in a simulation, as data: made from a seed, shrunk after a failure, kept as a file.

use serde::{Deserialize, Serialize};

use super::random::Random;
use super::step::{CallFault, FaultKind, Step};

/// Something that happens at a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Act {
    /// kill -9 of an instance; it starts again so many ms later.
    Kill {
        /// Which.
        instance: usize,
        /// Until it starts again, ms.
        down_ms: i64,
        /// Its state directory is gone, too.
        wipe: bool,
        /// The power fails: so many of the last writes of each store are gone.
        power_loss: Option<usize>,
    },
    /// SIGSTOP of an instance, heartbeats included, then SIGCONT.
    Freeze {
        /// Which.
        instance: usize,
        /// How long, ms.
        ms: i64,
    },
    /// An instance closes, and starts again so many ms later.
    Restart {
        /// Which.
        instance: usize,
        /// Until it starts again, ms.
        down_ms: i64,
    },
    /// The group forgets all members.
    ExpireMembers,
    /// No broker answers for so many ms.
    Outage {
        /// How long.
        ms: i64,
    },
    /// The clock of an instance jumps.
    ClockJump {
        /// Which.
        instance: usize,
        /// By how much, ms.
        ms: i64,
    },
    /// Changelogs are compacted.
    Compact,
}

/// One entry of a schedule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// At a time, ms after the start.
    At(i64, Act),
    /// At a call of an instance.
    Call {
        /// Which instance.
        instance: usize,
        /// At which step; `None`: at any.
        step: Option<Step>,
        /// At its so-manieth call of this kind, counted over restarts, from 0.
        nth: u32,
        /// What happens to it.
        fault: CallFault,
    },
}

/// Settings and events of one run. The same schedule gives the same run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Input, latencies and the order of what happens at the same time come of it.
    pub seed: u64,
    /// With exactly once, or at least once.
    pub exactly_once: bool,
    /// Instances of the application.
    pub instances: usize,
    /// Stream threads of each.
    pub threads: usize,
    /// Records of the input.
    pub records: usize,
    /// `commit.interval.ms`.
    pub commit_interval_ms: i64,
    /// Longest way of a request or an answer, ms.
    pub latency_ms: i64,
    /// Longest way of a transaction marker, ms.
    pub marker_ms: i64,
    /// A thread writes its committed rows to the engines once in so many turns, beside what it does by itself; 0: never.
    pub flush_one_in: u64,
    /// Stores are restored in bulk, however short their changelogs are.
    pub bulk_restore: bool,
    /// What happens.
    pub events: Vec<Event>,
}

/// Within this time acts happen, ms after the start.
const ACTS_UNTIL_MS: u64 = 12_000;

impl Schedule {
    /// The schedule of a seed, with faults.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let instances = 1 + random.below(3) as usize;
        let exactly_once = !random.one_in(8);
        let mut schedule = Self {
            seed,
            exactly_once,
            instances,
            threads: 1 + usize::from(random.one_in(3)),
            records: 16 + random.below(48) as usize,
            commit_interval_ms: random.choose(&[10, 30, 100, 100, 400]).copied().unwrap_or(100),
            latency_ms: random.choose(&[0, 1, 3, 10]).copied().unwrap_or(0),
            marker_ms: random.choose(&[0, 0, 5, 60]).copied().unwrap_or(0),
            flush_one_in: random.choose(&[0, 3, 10]).copied().unwrap_or(0),
            bulk_restore: random.one_in(2),
            events: Vec::new(),
        };
        for _ in 0..1 + random.below(4) {
            schedule.add_call(&mut random);
        }
        for _ in 0..random.below(4) {
            let at = random.below(ACTS_UNTIL_MS) as i64;
            schedule.events.push(Event::At(at, act(&mut random, instances)));
        }
        schedule
    }

    /// The same settings and input without any fault.
    pub fn without_faults(&self) -> Self {
        Self { events: Vec::new(), ..self.clone() }
    }

    /// A fault at a step; half of the time a second one soon after it, while the first is being recovered from.
    fn add_call(&mut self, random: &mut Random) {
        let instance = random.below(self.instances as u64) as usize;
        let steps: Vec<Step> = Step::ALL.into_iter().filter(|step| step.is_of(self.exactly_once)).collect();
        let Some(step) = random.choose(&steps).copied() else { return };
        let Some(kind) = random.choose(step.faults()).copied() else { return };
        let fault = fault(kind, random);
        self.events.push(Event::Call { instance, step: Some(step), nth: nth(step, random), fault });
        if !random.one_in(2) {
            return;
        }
        let after =
            [Step::InitTransactions, Step::Committed, Step::ListOffsets, Step::Restore, Step::Rebalance];
        let Some(step) = random.choose(&after).copied().filter(|step| step.is_of(self.exactly_once)) else {
            return;
        };
        let Some(kind) = random.choose(step.faults()).copied() else { return };
        let fault = self::fault(kind, random);
        let nth = 1 + random.below(3) as u32;
        self.events.push(Event::Call { instance, step: Some(step), nth, fault });
    }
}

/// When a step is hit: rare ones early, frequent ones anywhere.
fn nth(step: Step, random: &mut Random) -> u32 {
    let spread = match step {
        Step::InitTransactions | Step::AbortTransaction | Step::Close => 2,
        Step::Rebalance | Step::Committed | Step::ListOffsets | Step::Restore => 4,
        Step::SendOffsets | Step::EndTransaction | Step::Flush | Step::CommitOffsets => 12,
        Step::StoreWrite | Step::Produce => 12,
        Step::Poll => 200,
    };
    random.below(spread) as u32
}

fn fault(kind: FaultKind, random: &mut Random) -> CallFault {
    let mut of = |choices: &[i64]| random.choose(choices).copied().unwrap_or(0);
    match kind {
        FaultKind::CrashBefore => CallFault::CrashBefore,
        FaultKind::CrashAfter => CallFault::CrashAfter,
        FaultKind::RequestLost => CallFault::RequestLost,
        FaultKind::ReplyLost => CallFault::ReplyLost,
        FaultKind::Late => CallFault::Late(of(&[1, 5, 20, 100, 1_000])),
        FaultKind::Resent => CallFault::Resent(of(&[1, 5, 20, 100, 1_000])),
        FaultKind::Refused => CallFault::Refused,
        FaultKind::Fenced => CallFault::Fenced,
        // Beyond the interval of commits, the transaction's timeout, and `max.poll.interval.ms`.
        FaultKind::Stall => CallFault::Stall(of(&[50, 2_000, 12_000, 40_000])),
        FaultKind::DiskFull => CallFault::DiskFull,
        FaultKind::Damaged => CallFault::Damaged,
    }
}

fn act(random: &mut Random, instances: usize) -> Act {
    let instance = random.below(instances as u64) as usize;
    let mut of = |choices: &[i64]| random.choose(choices).copied().unwrap_or(0);
    match of(&[0, 0, 0, 1, 2, 3, 4, 5, 6]) {
        0 => {
            let down_ms = of(&[10, 500, 3_000, 9_000]);
            let (wipe, power) = (of(&[0, 0, 0, 1]) == 1, of(&[-1, -1, 0, 1, 3]));
            Act::Kill { instance, down_ms, wipe, power_loss: usize::try_from(power).ok() }
        }
        1 => Act::Freeze { instance, ms: of(&[200, 4_000, 8_000, 15_000]) },
        2 => Act::Restart { instance, down_ms: of(&[10, 1_000, 8_000]) },
        3 => Act::ExpireMembers,
        4 => Act::Outage { ms: of(&[20, 500, 5_000, 20_000]) },
        5 => Act::ClockJump { instance, ms: of(&[-3_600_000, -1_000, 1_000, 3_600_000, 86_400_000]) },
        _ => Act::Compact,
    }
}
