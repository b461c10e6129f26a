//! Everyday operation: `kstreams topics`, `reset`, `describe`, `plan diff`, `top`, `completions`. In process on the embedded log, and the
//! built program beside a running application, and on a real broker. Catches topics that are altered unasked, a reset under a running
//! application, one that loses or repeats other records than it says, and bad input that gets no clear sentence.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a broker that does not start is told")]

#[cfg(feature = "rdkafka")]
mod broker;
#[cfg(feature = "rdkafka")]
mod files;
mod page;
#[cfg(feature = "rdkafka")]
mod program;
mod reset;
#[cfg(feature = "rdkafka")]
mod running;
