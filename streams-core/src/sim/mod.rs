//! Topologies under faults: many instances of the real runtime, a cluster and disks that fail by a seed, in virtual time.
//!
//! ```text
//! Schedule (data, of a seed) ──► Run: what is due next ──► Instance: coroutines over runtime::StreamThread
//!                                  │                           │ each call to cluster or disk
//!                                  ▼                           ▼
//!                               acts: kill, freeze ..       Link: time passes, faults ──► embedded log, Disk
//!                                  └──────► checks ◄───────────┘   and the trace
//! ```
//! Nothing here knows the time, and all chance comes of the seed: the same schedule gives the same run, call by call.
//!
//! What it can find: results lost, doubled or out of order; state that is not its changelog; offsets of rows that are not committed;
//! threads that end, hang or do not close; commits that take effect twice or late. What it cannot: what librdkafka or RocksDB do by
//! themselves (tests on a real broker and real disks do that), data races (only one thread runs).

mod agenda;
mod consumer;
mod disk;
mod explore;
mod instance;
mod leftovers;
mod producer;
mod random;
mod run;
mod schedule;
mod shrink;
mod simulation;
mod step;
mod world;

pub use explore::{Exploration, Failure, all_cells, explore};
pub use random::Random;
pub use schedule::{Act, Event, Schedule};
pub use simulation::{Input, Observed, Outcome, Simulation};
pub use step::{CallFault, FaultKind, Step};
pub use world::Cell;
