//! What is wrong with the settings of an application: all faults at once.

use std::fmt;

/// Settings that cannot be used, with every fault found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// One sentence each: which setting, what is wrong with it, and the way out.
    pub faults: Vec<String>,
}

impl ConfigError {
    /// One fault.
    pub fn new(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()] }
    }

    /// Nothing, if there are no faults.
    pub(crate) fn unless_none(faults: Vec<String>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { faults }) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [fault] => write!(f, "invalid configuration: {fault}"),
            faults => {
                write!(f, "invalid configuration, {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
