//! Threads, assignment, commit, recovery.

mod clock;

pub use clock::SystemClock;
