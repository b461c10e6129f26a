//! A topology, its input, and what must come out: run under any schedule.

use std::path::PathBuf;

use streams_state::engine::EngineProvider;
use streams_state::types::Timestamp;

use super::random::Random;
use super::run::Run;
use super::schedule::Schedule;
use super::world::Cell;
use crate::client::embedded::EmbeddedKafka;
use crate::config::StreamsConfig;
use crate::topology::Topology;

/// A record of the input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Topic.
    pub topic: String,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Timestamp, ms since the epoch.
    pub timestamp: Timestamp,
}

impl Input {
    /// A record with text as key and value.
    pub fn text(topic: &str, key: &str, value: &str, timestamp: Timestamp) -> Self {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        Self { topic: topic.to_owned(), key, value, timestamp }
    }
}

/// What a run left behind, after all instances were closed.
pub struct Observed<'a> {
    /// The cluster.
    pub kafka: &'a EmbeddedKafka,
    /// The schedule of the run.
    pub schedule: &'a Schedule,
    /// What was fed, in order.
    pub input: &'a [Input],
    /// State directory of each instance.
    pub state_dirs: Vec<PathBuf>,
    /// Reads what is on the disks.
    pub engines: &'a dyn EngineProvider,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Rules that were broken; none if all is well.
    pub violations: Vec<String>,
    /// What happened at which step, how often.
    pub cells: std::collections::BTreeMap<Cell, u64>,
    /// The same for the same schedule.
    pub trace: u64,
    /// Calls to the cluster and to disks.
    pub calls: u64,
    /// Virtual time that passed, ms.
    pub virtual_ms: i64,
    /// How often an instance was started.
    pub starts: u64,
    /// The trace as text, if it was asked for.
    pub log: Vec<String>,
}

type MakeTopology = dyn Fn() -> Topology + Send + Sync;
type Configure = dyn Fn(&mut StreamsConfig, &mut Random) + Send + Sync;
type MakeInput = dyn Fn(&mut Random, usize) -> Vec<Input> + Send + Sync;
type Done = dyn Fn(&EmbeddedKafka, &Schedule, &[Input]) -> bool + Send + Sync;
type Check = dyn Fn(&Observed<'_>) -> Vec<String> + Send + Sync;

/// A topology under faults.
///
/// Instances of the application run on the real runtime, over the [embedded log](crate::client::embedded) and simulated disks, on
/// one thread and in virtual time. A [`Schedule`] says what happens to them; the same schedule gives the same run.
/// [`explore`](super::explore) runs many.
///
/// ```
/// use streams_core::dsl::StreamsBuilder;
/// use streams_core::sim::{Input, Schedule, Simulation};
/// use streams_core::topic::Topic;
///
/// let simulation = Simulation::new("shout", || {
///     let builder = StreamsBuilder::new();
///     let words = builder.stream(&Topic::<String, String>::new("words"));
///     words.map_values(|word| word.to_uppercase()).to(&Topic::<String, String>::new("loud"));
///     builder.build().expect("a topology")
/// })
/// .topic("words", 2)
/// .topic("loud", 2)
/// .input(|random, records| {
///     (0..records).map(|n| Input::text("words", &format!("k{}", random.below(5)), &format!("w{n}"), n as i64)).collect()
/// })
/// .check(|seen| {
///     let loud = seen.kafka.read_all("loud", true).expect("the topic");
///     let complete = loud.len() == seen.input.len() || !seen.schedule.exactly_once;
///     if complete { Vec::new() } else { vec![format!("{} of {}", loud.len(), seen.input.len())] }
/// });
/// for seed in 0..20 {
///     let outcome = simulation.run(&Schedule::of(seed));
///     assert_eq!(outcome.violations, [""; 0], "seed {seed}");
/// }
/// ```
pub struct Simulation {
    pub(super) name: String,
    pub(super) topology: Box<MakeTopology>,
    pub(super) topics: Vec<(String, i32)>,
    pub(super) configure: Box<Configure>,
    pub(super) input: Box<MakeInput>,
    pub(super) done: Box<Done>,
    pub(super) check: Box<Check>,
}

impl Simulation {
    /// A simulation of this topology, which is built for each start of an instance. `name` is its `application.id`.
    pub fn new(name: &str, topology: impl Fn() -> Topology + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            topology: Box::new(topology),
            topics: Vec::new(),
            configure: Box::new(|_, _| {}),
            input: Box::new(|_, _| Vec::new()),
            done: Box::new(|_, _, _| true),
            check: Box::new(|_| Vec::new()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A topic that is there before the application starts.
    #[must_use]
    pub fn topic(mut self, name: &str, partitions: i32) -> Self {
        self.topics.push((name.to_owned(), partitions));
        self
    }

    /// Settings beside those of the schedule; the numbers are of its seed, so that they may be settings of that seed alone.
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(&mut StreamsConfig, &mut Random) + Send + Sync + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// The input, in the order in which it is fed: as many records as the schedule says.
    #[must_use]
    pub fn input(mut self, input: impl Fn(&mut Random, usize) -> Vec<Input> + Send + Sync + 'static) -> Self {
        self.input = Box::new(input);
        self
    }

    /// What else must come true before the application is closed: for what happens by the clock, after all input is processed. Asked
    /// with the cluster, the schedule and the input; that it never comes true is a violation.
    #[must_use]
    pub fn done_when(
        mut self,
        done: impl Fn(&EmbeddedKafka, &Schedule, &[Input]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.done = Box::new(done);
        self
    }

    /// What must be true in the end; gives a sentence for each thing that is not.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Observed<'_>) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    /// Runs a schedule.
    pub fn run(&self, schedule: &Schedule) -> Outcome {
        Run::new(self, schedule, false).finish()
    }

    /// Runs a schedule, and keeps the trace as text: what led to a failure.
    pub fn run_with_log(&self, schedule: &Schedule) -> Outcome {
        Run::new(self, schedule, true).finish()
    }

    /// The smallest schedule found that still breaks a rule.
    pub fn shrink(&self, schedule: &Schedule) -> Schedule {
        super::shrink::shrink(schedule, |candidate| !self.run(candidate).violations.is_empty())
    }
}
