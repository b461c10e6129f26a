//! What is wrong with a topology: all faults at once.

use std::fmt;

/// A topology that cannot be built, with every fault found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologyError {
    /// One sentence each: what, where, and the way out.
    pub faults: Vec<String>,
}

impl TopologyError {
    /// One fault.
    pub fn new(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()] }
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [fault] => write!(f, "invalid topology: {fault}"),
            faults => {
                write!(f, "invalid topology, {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
        }
    }
}

impl std::error::Error for TopologyError {}
