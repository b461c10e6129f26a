//! Counts the vectors of a file and keeps those that differ.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What was expected and what came instead.
pub(crate) struct Difference {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// What a judge says about one vector.
pub(crate) type Verdict = Result<(), Difference>;

/// Compares one part of a vector.
pub(crate) fn equal<T: PartialEq + Debug>(what: &str, expected: T, got: T) -> Verdict {
    if expected == got {
        return Ok(());
    }
    Err(Difference { what: what.to_owned(), expected: format!("{expected:?}"), got: format!("{got:?}") })
}

/// The vectors of one file.
pub(crate) struct Tally {
    file: &'static str,
    least: Option<usize>,
    total: usize,
    equal: usize,
    unsupported: BTreeMap<String, usize>,
    unsupported_allowed: usize,
    differences: Vec<(String, usize, Difference)>,
}

impl Tally {
    /// `least`: how many vectors the file must have.
    pub(crate) fn new(file: &'static str, least: Option<usize>) -> Self {
        let differences = Vec::new();
        let unsupported = BTreeMap::new();
        Self { file, least, total: 0, equal: 0, unsupported, unsupported_allowed: 0, differences }
    }

    /// Whether this is the file of this repository, whose counts are known.
    pub(crate) fn is_own(&self) -> bool {
        self.least.is_some()
    }

    /// Judges a vector of `list`. A panic is a difference.
    pub(crate) fn vector(&mut self, list: &str, index: usize, judge: impl FnOnce() -> Verdict) {
        self.total += 1;
        let verdict = catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
            let expected = "no panic".to_owned();
            Err(Difference { what: "code".to_owned(), expected, got: "panic (see above)".to_owned() })
        });
        match verdict {
            Ok(()) => self.equal += 1,
            Err(difference) => self.differences.push((list.to_owned(), index, difference)),
        }
    }

    /// A vector that needs what this library does not have. Counts as different, but for `allowed` of them.
    pub(crate) fn unsupported(&mut self, what: String, allowed: usize) {
        self.total += 1;
        self.unsupported_allowed = allowed;
        *self.unsupported.entry(what).or_default() += 1;
    }

    /// `keys.json 812/812`.
    pub(crate) fn line(&self) -> String {
        let unsupported = match self.unsupported.is_empty() {
            true => String::new(),
            false => {
                let all: Vec<String> =
                    self.unsupported.iter().map(|(what, count)| format!("{what} {count}")).collect();
                format!(", unsupported {}: {}", self.unsupported.values().sum::<usize>(), all.join(", "))
            }
        };
        format!("{}.json {}/{}{unsupported}", self.file, self.equal, self.total)
    }

    /// Prints at most `limit` differences; gives how many are still allowed.
    pub(crate) fn print_differences(&self, limit: usize) -> usize {
        for (list, index, Difference { what, expected, got }) in self.differences.iter().take(limit) {
            println!("\n{}.json {list}[{index}] {what}\n  expected {expected}\n  got      {got}", self.file);
        }
        if let Some(least) = self.least.filter(|least| self.total < *least) {
            println!("\n{}.json has {} vectors, and had {least}", self.file, self.total);
        }
        limit - self.differences.len().min(limit)
    }

    /// Whether everything is equal.
    pub(crate) fn holds(&self) -> bool {
        self.differences.is_empty()
            && self.unsupported.values().sum::<usize>() <= self.unsupported_allowed
            && self.least.is_none_or(|least| self.total >= least)
    }
}
